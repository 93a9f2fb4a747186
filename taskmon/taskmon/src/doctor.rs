// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon doctor`: checks whether taskmon and the module work here, and how to fix problems.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process;
use std::time::Duration;

use clap::Parser;
use nix::errno::Errno;
use taskmonitor::Monitor;
use taskmonitor::Root;
use taskmonitor::Task;

use crate::Failure;
use crate::cli;
use crate::cli::Cli;
use crate::period::Book;
use crate::period::Request;
use crate::times::Clock;
use crate::times::Offsets;

/// The initial PID namespace has this name in every kernel.
const INITIAL: &str = "pid:[4026531836]";
/// Of so many sampling instants one may be missed before it is worth a word, or of so many samples one be given back ...
const MISSED: u64 = 100;
/// ... and so many in all.
const FEW: u64 = 10;

/// The fix if the kernel's command line disables debugfs.
const BOOT: &str =
    "remove debugfs=off and debugfs=no-mount from the kernel's command line, then reboot and load the module";

/// How a file may be used: what the system says if one tries.
type Access = Result<(), Errno>;

/// How things are.
#[derive(Clone, Debug)]
struct Facts {
    // Of the kernel.
    release: Option<String>,
    loaded: bool,
    // Whether there is a module for this kernel, and whether there is the source for one.
    built: bool,
    source: bool,
    // What the loaded module is, and the one that modprobe would load.
    running: Build,
    installed: Build,
    // Processes of a taskmon that has been replaced since they began, and whether each is an exporter.
    replaced: Vec<(u32, bool)>,
    mounted: bool,
    // By the kernel's command line.
    forbidden: bool,
    follow: Access,
    tasks: Access,
    // To write to.
    sysfs: Access,
    root: bool,
    // none, integrity, or confidentiality; not known without securityfs.
    lockdown: Option<String>,
    // What can be read of the module.
    module: Option<Module>,
    // The PID namespace of this process.
    namespace: Option<String>,
    // What a `taskmon run` has left of the period that it lowered.
    period: Option<Lowered>,
    // Of the time namespace, and for how long the machine was suspended since boot.
    offsets: Offsets,
    suspended: Duration,
}

/// What a module was built from, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Build {
    version: Option<String>,
    // A checksum of the source, by the kernel's own build.
    srcversion: Option<String>,
}

impl Build {
    /// The one that is loaded.
    fn running(root: &Root) -> Self {
        let of = |name: &str| read(root.module().join(name)).filter(|text| !text.is_empty());
        Self { version: of("version"), srcversion: of("srcversion") }
    }

    /// The one that modprobe would load. modinfo knows which that is, and how it is compressed.
    fn installed(root: &Root, release: &str) -> Self {
        // The last two may be missing in the PATH of a user who is not root.
        let output = ["modinfo", "/usr/sbin/modinfo", "/sbin/modinfo"].into_iter().find_map(|program| {
            let mut command = process::Command::new(program);
            command.arg("--basedir").arg(root.join("")).args(["--set-version", release, "taskmonitor"]);
            command.stdin(process::Stdio::null()).output().ok()
        });
        output.map_or_else(Self::default, |output| Self::of_modinfo(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads what modinfo prints.
    fn of_modinfo(text: &str) -> Self {
        let of = |key: &str| {
            let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
            text.lines().find_map(value)
        };
        Self { version: of("version"), srcversion: of("srcversion") }
    }

    /// Whether both are known, and not of the same source.
    fn differs_from(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| a != b);
        differ(&self.version, &other.version) || differ(&self.srcversion, &other.srcversion)
    }
}

#[derive(Clone, Debug)]
struct Module {
    period: Result<Duration, String>,
    sampling: Result<bool, String>,
    max_tasks: Option<u64>,
    // Or what is wrong with them.
    tasks: Result<Vec<Task>, String>,
}

/// A period that was lowered, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lowered {
    original: u64,
    set: u64,
    // Whether somebody lives who needs it.
    needed: bool,
}

/// What is found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// The check passed.
    Ok(String),
    /// It works, but the user should know this; perhaps with a fix.
    Note(String, Option<String>),
    /// It does not work, and the fix.
    Problem(String, String),
}

fn ok(what: impl Into<String>) -> Finding {
    Finding::Ok(what.into())
}

fn note(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::Note(what.into(), Some(fix.into()))
}

fn problem(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::Problem(what.into(), fix.into())
}

/// What that means. Nothing here reads or writes anything.
fn findings(facts: &Facts) -> Vec<Finding> {
    let Some(release) = &facts.release else {
        return vec![problem(
            "/proc/sys/kernel does not exist: this is not Linux, or proc is not mounted",
            "mount -t proc proc /proc",
        )];
    };
    let mut found = vec![module(facts, release)];
    found.extend(versions(facts));
    found.push(match facts {
        Facts { mounted: true, .. } => ok("debugfs is mounted on /sys/kernel/debug"),
        Facts { forbidden: true, .. } => problem("debugfs is disabled on the kernel's command line", BOOT),
        _ => problem("debugfs is not mounted on /sys/kernel/debug", "mount -t debugfs none /sys/kernel/debug"),
    });
    if facts.loaded {
        found.extend(rights(facts));
    } else if !facts.root {
        found.push(problem(
            "not running as root: only root can load the module and access its files",
            "sudo taskmon doctor",
        ));
    }
    found.push(match facts.lockdown.as_deref() {
        None => ok("no kernel lockdown found"),
        Some("none") => ok("the kernel is not locked down"),
        Some(how) => Finding::Note(
            format!(
                "the kernel is locked down ({how}) and denies access to /sys/kernel/debug/taskmonitor; taskmon does not \
                 need that file"
            ),
            None,
        ),
    });
    if let Some(module) = &facts.module {
        found.push(match &module.sampling {
            Ok(true) => ok("sampling is on"),
            Ok(false) => problem("sampling is stopped: no samples are taken", "echo start >/sys/kernel/taskmonitor"),
            Err(error) => problem(error, "modprobe -r taskmonitor && modprobe taskmonitor"),
        });
        found.push(match &module.period {
            Ok(period) => ok(format!("the period is {period:?}")),
            Err(error) => problem(error, "modprobe -r taskmonitor && modprobe taskmonitor"),
        });
        match &module.tasks {
            Ok(tasks) => {
                found.push(monitored(tasks, module.max_tasks));
                found.extend(lost(tasks, module.period.as_ref().ok().copied()));
            }
            // If it cannot even be opened, that is told already.
            Err(error) if facts.tasks.is_ok() => found.push(problem(
                error,
                "install the same version of taskmon and module (taskmon --version, cat /sys/module/taskmonitor/version)",
            )),
            Err(_) => {}
        }
    }
    found.push(namespace(facts));
    found.extend(clocks(facts));
    found.extend(left(facts));
    found
}

fn module(facts: &Facts, release: &str) -> Finding {
    if facts.loaded {
        return ok("the kernel module taskmonitor is loaded");
    }
    if facts.built {
        return problem("the kernel module taskmonitor is not loaded", "modprobe taskmonitor");
    }
    if facts.source {
        problem(
            format!("the kernel module taskmonitor is not built for the running kernel {release}"),
            format!("dkms autoinstall -k {release} && modprobe taskmonitor (if that fails: taskmonitor-doctor)"),
        )
    } else {
        problem(
            format!("the kernel module taskmonitor is not installed for the running kernel {release}"),
            "apt-get install ./taskmonitor-dkms_*.deb (or, in the source tree of taskmonitor: make doctor, then make)",
        )
    }
}

/// What reloads the module, and what that costs.
const RELOAD: &str = "modprobe -r taskmonitor && modprobe taskmonitor (drops all histories; stop taskmon export and other readers \
                      first)";

/// Whether what is loaded, what is installed and this taskmon are of one version.
fn versions(facts: &Facts) -> Vec<Finding> {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    const SAME: &str = "install the same version of the packages taskmon and taskmonitor-dkms, then reload the module: modprobe -r \
                        taskmonitor && modprobe taskmonitor";
    let Facts { running, installed, .. } = facts;
    let mut found = Vec::new();
    match (&facts.module, &running.version, &installed.version) {
        (Some(_), None, _) => found.push(problem(
            "cannot read the version of the module",
            "modprobe -r taskmonitor && modprobe taskmonitor",
        )),
        (Some(_), Some(loaded), Some(other)) if running.differs_from(installed) => {
            let other = if loaded == other { format!("another build of {other}") } else { other.clone() };
            let what = format!("the loaded module is version {loaded}, the installed module is {other}");
            found.push(note(what, RELOAD));
        }
        (Some(_), Some(version), _) if version == OURS => {
            let installed = if installed.version.is_some() { ", the installed module" } else { "" };
            found.push(ok(format!("the loaded module{installed} and taskmon are version {version}")));
        }
        _ => {}
    }
    // The one that counts is the one that is there after a reload.
    let module = installed.version.as_ref().map(|version| ("installed", version));
    let module = module.or(running.version.as_ref().map(|version| ("loaded", version)));
    if let Some((which, version)) = module.filter(|(_, version)| *version != OURS) {
        found.push(note(format!("the {which} module is version {version}, taskmon is version {OURS}"), SAME));
    }
    let replaced = |exports: bool| {
        let pids = facts.replaced.iter().filter(|(_, exporter)| *exporter == exports);
        pids.map(|(pid, _)| pid.to_string()).collect::<Vec<String>>().join(" ")
    };
    // (Any other one passes the signal on to its command, or ends what somebody watches or records.)
    let (exporters, others) = (replaced(true), replaced(false));
    if !exporters.is_empty() {
        found.push(note(
            format!("exporters of a taskmon that has been replaced since they started: PID {exporters}"),
            format!("kill {exporters} (and start them again; for a systemd service: systemctl restart)"),
        ));
    }
    if !others.is_empty() {
        found.push(ok(format!(
            "other processes of a taskmon that has been replaced since they started: PID {others}; they continue until they end"
        )));
    }
    found
}

fn rights(facts: &Facts) -> Vec<Finding> {
    let files = [
        ("read", "/sys/kernel/debug/taskmonitor_follow", facts.follow),
        ("read", "/sys/kernel/debug/taskmonitor_tasks", facts.tasks),
        ("write to", "/sys/kernel/taskmonitor", facts.sysfs),
    ];
    let refused = |(how, path, access): (&str, &str, Access)| {
        let errno = access.err()?;
        let debugfs = path.starts_with("/sys/kernel/debug");
        let locked = facts.lockdown.as_deref().is_some_and(|how| how != "none");
        let what = format!("cannot {how} {path}: {}", errno.desc());
        Some(match errno {
            // Without debugfs there is no such file, and that is told already.
            Errno::ENOENT if debugfs && !facts.mounted => return None,
            Errno::ENOENT if debugfs => problem(format!("{path} does not exist, although debugfs is mounted"), BOOT),
            Errno::EACCES | Errno::EPERM if !facts.root => problem(what, "sudo taskmon doctor"),
            Errno::EPERM if locked => problem(
                format!("{what}; the kernel is locked down, and the file's mode allows writing"),
                format!("chmod 400 {path}"),
            ),
            Errno::EACCES | Errno::EPERM => problem(
                format!("{what}, although running as root: a container or a security module restricts access"),
                "taskmon doctor (outside the container, or with CAP_DAC_OVERRIDE and the host's /sys)",
            ),
            Errno::EROFS => problem(
                format!("cannot write to {path}: /sys is mounted read-only, as in a container"),
                "mount -o remount,rw /sys (or run taskmon outside the container)",
            ),
            _ => problem(what, "dmesg | grep taskmonitor"),
        })
    };
    let mut found: Vec<Finding> = files.into_iter().filter_map(refused).collect();
    // One fix for several files is reported once.
    let fix = |finding: &Finding| match finding {
        Finding::Problem(_, fix) => Some(fix.clone()),
        _ => None,
    };
    found.dedup_by_key(|finding| fix(finding));
    if files.iter().all(|(_, _, access)| access.is_ok()) {
        found.push(ok("all files of the module are accessible"));
    }
    found
}

fn monitored(tasks: &[Task], max_tasks: Option<u64>) -> Finding {
    let living = tasks.iter().filter(|task| !task.state.exited()).count() as u64;
    let exited = tasks.len() as u64 - living;
    let of = max_tasks.map_or(String::new(), |max| format!(" of max_tasks {max}"));
    let what = format!("monitored tasks: {living} living{of}, {exited} exited");
    match max_tasks {
        _ if tasks.is_empty() => note("no task is monitored", "taskmon add --name NAME"),
        Some(max) if living >= max => problem(
            format!("{what}: the limit is reached, no task can be added"),
            format!(
                "modprobe -r taskmonitor && modprobe taskmonitor max_tasks={} (drops all histories)",
                larger(max)
            ),
        ),
        // As many as would be ten percent.
        Some(max) if living >= max - max / 10 => note(
            format!("{what}: the limit is almost reached"),
            format!(
                "modprobe -r taskmonitor && modprobe taskmonitor max_tasks={} (drops all histories)",
                larger(max)
            ),
        ),
        _ => ok(what),
    }
}

/// Twice as many, but no more than the module takes.
fn larger(max_tasks: u64) -> u64 {
    max_tasks.saturating_mul(2).min(1 << 20)
}

fn lost(tasks: &[Task], period: Option<Duration>) -> Vec<Finding> {
    let sum = |value: fn(&Task) -> u64| tasks.iter().fold(0_u64, |sum, task| sum.saturating_add(value(task)));
    let (taken, missed, reclaimed) = (sum(|t| t.taken), sum(|t| t.missed), sum(|t| t.reclaimed));
    let mut found = Vec::new();
    if missed > FEW.max(taken.saturating_add(missed) / MISSED) {
        let longer = period.map_or(2_000_000, |period| period.as_micros().saturating_mul(2).min(3_600_000_000));
        found.push(note(
            format!(
                "{missed} samples were missed and {taken} taken: the period is too short for this number of tasks, or the \
                 machine is too busy"
            ),
            format!("echo {longer} >/sys/module/taskmonitor/parameters/period_us"),
        ));
    }
    if reclaimed > FEW.max(taken / MISSED) {
        found.push(note(
            format!("{reclaimed} of {taken} samples were reclaimed under memory pressure: histories are short"),
            "taskmon remove --name NAME (for tasks that need no monitoring), or set a longer period",
        ));
    }
    if found.is_empty() && !tasks.is_empty() {
        found.push(ok(format!(
            "{taken} samples were taken, {missed} missed, {reclaimed} reclaimed under memory pressure"
        )));
    }
    found
}

fn namespace(facts: &Facts) -> Finding {
    match facts.namespace.as_deref() {
        None => ok("the PID namespace is unknown"),
        Some(INITIAL) => ok("running in the initial PID namespace"),
        Some(_) => Finding::Note(
            "not running in the initial PID namespace (a container?): PIDs are those of this namespace, tasks outside have PID 0"
                .to_owned(),
            None,
        ),
    }
}

/// What is worth a word about the clocks.
fn clocks(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if facts.offsets.boottime != 0 {
        let by = Duration::from_nanos(facts.offsets.boottime.unsigned_abs());
        let sign = if facts.offsets.boottime > 0 { "ahead of" } else { "less than" };
        found.push(ok(format!(
            "running in a time namespace, whose boot time is {by:?} {sign} the machine's: taskmon takes that off"
        )));
    }
    if facts.suspended >= Duration::from_secs(1) {
        found.push(ok(format!(
            "the machine was suspended for {} since boot: this is a gap in the histories of all tasks",
            crate::record::clock(facts.suspended)
        )));
    }
    found
}

/// The period, if it is still what a `taskmon run` has lowered it to, and none is there to put it back.
fn left(facts: &Facts) -> Option<Finding> {
    let Lowered { original, set, needed } = facts.period?;
    let now = facts.module.as_ref()?.period.as_ref().ok()?;
    (!needed && original != set && *now == Duration::from_micros(set)).then(|| {
        let now = Duration::from_micros(set);
        let before = Duration::from_micros(original);
        note(
            format!("a killed taskmon run has left the period at {now:?}; before, it was {before:?}"),
            "taskmon run -- true",
        )
    })
}

/// The lines, and whether there is a problem.
fn report(findings: &[Finding]) -> (String, bool) {
    let mut text = String::new();
    for finding in findings {
        let (word, what, fix) = match finding {
            Finding::Ok(what) => ("ok", what, None),
            Finding::Note(what, fix) => ("note", what, fix.as_ref()),
            Finding::Problem(what, fix) => ("problem", what, Some(fix)),
        };
        let _ = writeln!(text, "{word:<8} {what}");
        if let Some(fix) = fix {
            let _ = writeln!(text, "         fix: {fix}");
        }
    }
    (text, findings.iter().any(|finding| matches!(finding, Finding::Problem(..))))
}

/// The file without its newline, if it can be read.
fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

fn access(opened: io::Result<File>) -> Access {
    opened.map(drop).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Looks.
fn facts(root: &Root, is_root: bool) -> Facts {
    let release = read(root.join("proc/sys/kernel/osrelease"));
    let loaded = root.module().exists();
    // Empty or not, each kernel that has modules has that list.
    let modules = release.as_ref().map(|release| root.join("lib/modules").join(release));
    let list = modules.and_then(|folder| read(folder.join("modules.dep"))).unwrap_or_default();
    // Nothing is written to it: that would be a command.
    let sysfs = OpenOptions::new().write(true).open(root.sysfs());
    let lockdown = read(root.join("sys/kernel/security/lockdown"));
    let namespace = fs::read_link(root.join("proc/self/ns/pid")).ok();
    let offsets = read(root.join("proc/self/timens_offsets"));
    Facts {
        loaded,
        built: list.lines().any(|line| {
            let file = line.split(':').next().and_then(|path| path.rsplit('/').next());
            file.is_some_and(|file| file == "taskmonitor.ko" || file.starts_with("taskmonitor.ko."))
        }),
        source: root.join("var/lib/dkms/taskmonitor").exists(),
        running: Build::running(root),
        installed: release.as_deref().map(|release| Build::installed(root, release)).unwrap_or_default(),
        replaced: replaced(root),
        mounted: read(root.join("proc/self/mounts")).is_some_and(|mounts| {
            mounts.lines().any(|line| {
                let mut fields = line.split(' ').skip(1);
                (fields.next(), fields.next()) == (Some("/sys/kernel/debug"), Some("debugfs"))
            })
        }),
        forbidden: read(root.join("proc/cmdline")).is_some_and(|line| {
            line.split_whitespace().any(|word| matches!(word, "debugfs=off" | "debugfs=no-mount"))
        }),
        follow: access(File::open(root.follow())),
        tasks: access(File::open(root.tasks())),
        sysfs: access(sysfs),
        root: is_root,
        lockdown: lockdown.and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())),
        module: Monitor::open(root.clone()).ok().map(|monitor| Module {
            period: monitor.period().map_err(|e| e.to_string()),
            sampling: monitor.sampling().map_err(|e| e.to_string()),
            max_tasks: monitor.parameter("max_tasks").ok().and_then(|max| max.parse().ok()),
            tasks: monitor.tasks().map_err(|e| e.to_string()),
        }),
        namespace: namespace.map(|name| name.to_string_lossy().into_owned()),
        period: read(root.join("run/taskmon/period")).and_then(|text| lowered(root, &text)),
        offsets: offsets.as_deref().map(Offsets::parse).unwrap_or_default(),
        // (Of a root that is no system, the clocks are another one's. A kernel without time namespaces has no offsets.)
        suspended: read(root.join("proc/uptime"))
            .and_then(|_| Clock::new(None).ok())
            .map_or(Duration::ZERO, |clock| Duration::from_nanos(clock.first().suspended)),
        release,
    }
}

/// The processes whose program, a taskmon, is there no more, as a package was upgraded or removed; and whether each is an exporter.
fn replaced(root: &Root) -> Vec<(u32, bool)> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    let mut pids: Vec<(u32, bool)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let program = fs::read_link(entry.path().join("exe")).ok()?;
            let replaced = program.to_str()?.ends_with("/taskmon (deleted)");
            replaced.then(|| (pid, exports(&fs::read(entry.path().join("cmdline")).unwrap_or_default())))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether a command line, with a zero byte after each word, is one of `taskmon export`.
fn exports(cmdline: &[u8]) -> bool {
    let words = cmdline.strip_suffix(b"\0").unwrap_or(cmdline).split(|&byte| byte == 0).map(OsStr::from_bytes);
    // (What only another version takes is not known: that is no reason to kill it.)
    Cli::try_parse_from(words).is_ok_and(|cli| matches!(cli.command, Some(cli::Command::Export(_))))
}

/// What the file that several `taskmon run` share says.
fn lowered(root: &Root, text: &str) -> Option<Lowered> {
    let Book { original, set, requests } = Book::parse(text)?;
    let lives = |request: &Request| {
        let stat = read(root.join("proc").join(request.pid.to_string()).join("stat"))?;
        // The name, which may have blanks, ends with the last parenthesis; the 22nd field is when it began.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        (!matches!(fields.next()?, "Z" | "X") && fields.nth(18)? == request.start.to_string()).then_some(())
    };
    Some(Lowered { original, set, needed: requests.iter().any(|request| lives(request).is_some()) })
}

/// `taskmon doctor`
pub fn doctor(root: &Root) -> Result<(), Failure> {
    let (text, problems) = report(&findings(&facts(root, nix::unistd::geteuid().is_root())));
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))?;
    if problems { Err(Failure::Said) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn task(state: char, taken: u64, missed: u64, reclaimed: u64) -> Task {
        let line = format!(
            "pid 7 start 5 state {state} threads 1 samples 1 taken {taken} evicted 0 reclaimed {reclaimed} missed {missed} \
             usr 0 sys 0 time 5 rss 0 mm_users 1 comm sh"
        );
        Task::parse(line.as_bytes()).unwrap()
    }

    fn build(version: &str, srcversion: &str) -> Build {
        Build { version: Some(version.to_owned()), srcversion: Some(srcversion.to_owned()) }
    }

    /// All is well.
    fn well() -> Facts {
        Facts {
            release: Some("7.3.4+deb13-amd64".to_owned()),
            loaded: true,
            built: true,
            source: true,
            running: build(OURS, "A1"),
            installed: build(OURS, "A1"),
            replaced: vec![],
            mounted: true,
            forbidden: false,
            follow: Ok(()),
            tasks: Ok(()),
            sysfs: Ok(()),
            root: true,
            lockdown: Some("none".to_owned()),
            module: Some(Module {
                period: Ok(Duration::from_secs(1)),
                sampling: Ok(true),
                max_tasks: Some(16384),
                tasks: Ok(vec![task('S', 1000, 0, 0), task('X', 10, 1, 0)]),
            }),
            namespace: Some(INITIAL.to_owned()),
            period: None,
            offsets: Offsets::default(),
            suspended: Duration::ZERO,
        }
    }

    fn not_loaded() -> Facts {
        let missing = Err(Errno::ENOENT);
        Facts {
            loaded: false,
            module: None,
            running: Build::default(),
            follow: missing,
            tasks: missing,
            sysfs: missing,
            ..well()
        }
    }

    /// The module of `well`, changed.
    fn with(change: impl FnOnce(&mut Module)) -> Facts {
        let mut facts = well();
        facts.module.as_mut().map(change);
        facts
    }

    const OURS: &str = env!("CARGO_PKG_VERSION");

    #[test]
    fn modinfo() {
        let text = "filename:       /lib/modules/7.3.4/updates/dkms/taskmonitor.ko.xz\nversion:        0.1.0\nlicense:        GPL\n\
                    description:    version: 9\nsrcversion:     E9348E5984A3F086C53F992\nvermagic:       7.3.4 SMP\n";
        assert_eq!(Build::of_modinfo(text), build("0.1.0", "E9348E5984A3F086C53F992"));
        assert_eq!(Build::of_modinfo("modinfo: ERROR: Module taskmonitor not found.\n"), Build::default());
        assert!(build("1", "a").differs_from(&build("1", "b")) && build("1", "a").differs_from(&build("2", "a")));
        assert!(!build("1", "a").differs_from(&build("1", "a")) && !build("1", "a").differs_from(&Build::default()));
    }

    #[test]
    fn each_problem_and_its_fix() {
        let refused = Err(Errno::EACCES);
        let locked = |facts: Facts| Facts { lockdown: Some("integrity".to_owned()), ..facts };
        let missing = Err(Errno::ENOENT);
        let lowered_to = |set: u64, needed| Facts {
            period: Some(Lowered { original: 1_000_000, set: set * 1000, needed }),
            ..with(|m| m.period = Ok(Duration::from_millis(10)))
        };
        let cases: Vec<(&str, Facts)> = vec![
            ("all is well", well()),
            ("not Linux", Facts { release: None, ..well() }),
            ("not loaded", not_loaded()),
            ("not loaded, and no root", Facts { root: false, lockdown: None, ..not_loaded() }),
            ("not built", Facts { built: false, installed: Build::default(), ..not_loaded() }),
            ("not installed", Facts { built: false, source: false, installed: Build::default(), ..not_loaded() }),
            ("no version", Facts { running: Build::default(), ..well() }),
            ("no modinfo", Facts { installed: Build::default(), ..well() }),
            ("to be reloaded", Facts { running: build("9.8.6", "A0"), ..well() }),
            ("to be reloaded, of one version", Facts { running: build(OURS, "A0"), ..well() }),
            ("three versions", Facts { running: build("9.8.6", "A0"), installed: build("9.8.7", "A1"), ..well() }),
            ("two versions", Facts { running: build("9.8.7", "A1"), installed: build("9.8.7", "A1"), ..well() }),
            ("two versions, and not loaded", Facts { installed: build("9.8.7", "A1"), ..not_loaded() }),
            (
                "two versions, and no modinfo",
                Facts { running: build("9.8.7", "A1"), installed: Build::default(), ..well() },
            ),
            ("an exporter of before", Facts { replaced: vec![(71, true), (1234, true)], ..well() }),
            (
                "an exporter and a command of before",
                Facts { replaced: vec![(71, true), (72, false), (73, false)], ..well() },
            ),
            (
                "debugfs is not mounted",
                Facts {
                    mounted: false,
                    follow: missing,
                    tasks: missing,
                    ..with(|m| m.tasks = Err("no such file".to_owned()))
                },
            ),
            (
                "debugfs is off",
                Facts {
                    mounted: false,
                    forbidden: true,
                    follow: missing,
                    tasks: missing,
                    ..with(|m| m.tasks = Err("no such file".to_owned()))
                },
            ),
            (
                "debugfs without the files",
                Facts { follow: missing, tasks: missing, ..with(|m| m.tasks = Err("no such file".to_owned())) },
            ),
            (
                "no root",
                Facts {
                    root: false,
                    follow: refused,
                    tasks: refused,
                    sysfs: refused,
                    lockdown: None,
                    ..with(|m| m.tasks = Err("no such file".to_owned()))
                },
            ),
            (
                "root without rights",
                Facts {
                    follow: refused,
                    tasks: Err(Errno::EPERM),
                    sysfs: Err(Errno::EROFS),
                    ..with(|m| m.tasks = Err("no such file".to_owned()))
                },
            ),
            ("locked down", locked(well())),
            ("locked down more than it should be", locked(Facts { follow: Err(Errno::EPERM), ..well() })),
            ("an error that nobody thought of", Facts { follow: Err(Errno::EIO), ..well() }),
            ("stopped", with(|m| m.sampling = Ok(false))),
            ("no period", with(|m| m.period = Err("invalid value \"soon\" for period_us".to_owned()))),
            (
                "a sampling that cannot be read",
                with(|m| m.sampling = Err("cannot access sampling: Input/output error".to_owned())),
            ),
            (
                "tasks that cannot be understood",
                with(|m| m.tasks = Err("cannot parse tasks: key without value: \"nonsense\"".to_owned())),
            ),
            ("nothing is monitored", with(|m| m.tasks = Ok(vec![]))),
            (
                "soon too many",
                with(|m| {
                    m.max_tasks = Some(10);
                    m.tasks = Ok(vec![task('S', 5, 0, 0); 9]);
                }),
            ),
            (
                "too many",
                with(|m| {
                    m.max_tasks = Some(2);
                    m.tasks = Ok(vec![task('S', 5, 0, 0); 2]);
                }),
            ),
            ("missed", with(|m| m.tasks = Ok(vec![task('S', 980, 20, 0)]))),
            ("reclaimed", with(|m| m.tasks = Ok(vec![task('S', 1000, 0, 500)]))),
            ("in a container", Facts { namespace: Some("pid:[4026532000]".to_owned()), ..well() }),
            ("not known where", Facts { namespace: None, ..well() }),
            (
                "in a time namespace",
                Facts { offsets: Offsets::parse("monotonic 86400 0\nboottime 86400 0\n"), ..well() },
            ),
            ("suspended for a night", Facts { suspended: Duration::from_secs(8 * 3600 + 60), ..well() }),
            ("a period that nobody needs", lowered_to(10, false)),
            ("a period that somebody needs", lowered_to(10, true)),
            ("a period that somebody has set", lowered_to(20, false)),
        ];
        let mut text = String::new();
        for (name, facts) in cases {
            let (lines, problems) = report(&findings(&facts));
            let status = i32::from(problems);
            let _ = write!(text, "--- {name}: status {status}\n{lines}");
        }
        let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        // To see what has changed: its difference to what is kept.
        assert_eq!(text, include_str!("../tests/golden/doctor"), "\n{text}");
    }

    #[test]
    fn what_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let seen = || facts(&root, true);
        let nothing = seen();
        assert!(
            nothing.release.is_none() && !nothing.loaded && nothing.module.is_none() && nothing.lockdown.is_none()
        );
        write("proc/sys/kernel/osrelease", "7.3.4\n");
        write("lib/modules/7.3.4/modules.dep", "updates/other.ko: a/taskmonitor.ko\nkernel/taskmonitor.koala: b\n");
        assert_eq!((seen().release.as_deref(), seen().built, seen().source), (Some("7.3.4"), false, false));
        write("lib/modules/7.3.4/modules.dep", "updates/dkms/taskmonitor.ko.xz:\n");
        fs::create_dir_all(root.join("var/lib/dkms/taskmonitor")).unwrap();
        assert_eq!((seen().built, seen().source), (true, true));
        write("proc/self/mounts", "x /sys/kernel/debug/tracing debugfs rw 0 0\ny /sys/kernel/debug tmpfs rw 0 0\n");
        assert!(!seen().mounted);
        write("proc/self/mounts", "none /sys/kernel/debug debugfs rw 0 0\n");
        assert!(seen().mounted && !seen().forbidden);
        write("proc/cmdline", "quiet debugfs=off\n");
        assert!(seen().forbidden);
        write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        assert_eq!(seen().lockdown.as_deref(), Some("integrity"));
        fs::create_dir_all(root.join("proc/self/ns")).unwrap();
        std::os::unix::fs::symlink(INITIAL, root.join("proc/self/ns/pid")).unwrap();
        assert_eq!(seen().namespace.as_deref(), Some(INITIAL));
        assert_eq!(seen().follow, Err(Errno::ENOENT));
        write("sys/kernel/debug/taskmonitor_follow", "");
        write("sys/kernel/taskmonitor", "untouched");
        assert_eq!((seen().follow, seen().sysfs, seen().tasks), (Ok(()), Ok(()), Err(Errno::ENOENT)));
        assert_eq!(read(root.sysfs()).as_deref(), Some("untouched"));
        write("sys/module/taskmonitor/version", "0.1.0\n");
        write("sys/module/taskmonitor/parameters/period_us", "2500\n");
        write("sys/module/taskmonitor/parameters/sampling", "N\n");
        write("sys/module/taskmonitor/parameters/max_tasks", "5\n");
        write("sys/module/taskmonitor/srcversion", "A1\n");
        assert_eq!((seen().running, seen().installed), (build("0.1.0", "A1"), Build::default()));
        let gone = "/usr/bin/taskmon (deleted)";
        for (pid, program, words) in [
            ("71", gone, "taskmon\0export\0--listen\0:9898\0"),
            ("72", "/usr/bin/taskmon", "taskmon\0export\0--listen\0:9899\0"),
            ("73", "/usr/bin/mon (deleted)", "mon\0export\0"),
            // To kill one of these would kill what it runs, or end what it records.
            ("74", gone, "taskmon\0run\0--\0make\0export\0"),
            ("75", gone, "taskmon\0record\0-o\0a.rec\0--\0taskmon\0export\0--listen\0:1\0"),
            ("76", gone, "taskmon\0record\0-o\0export\0"),
            ("77", gone, "taskmon\0"),
            ("78", gone, "taskmon\0export\0--an-option-of-later\0"),
        ] {
            write(&format!("proc/{pid}/cmdline"), words);
            std::os::unix::fs::symlink(program, root.join("proc").join(pid).join("exe")).unwrap();
        }
        let expected = [(71, true), (74, false), (75, false), (76, false), (77, false), (78, false)];
        assert_eq!(seen().replaced, expected);
        let module = seen().module.unwrap();
        assert_eq!(
            (module.period, module.sampling, module.max_tasks),
            (Ok(Duration::from_micros(2500)), Ok(false), Some(5))
        );
        assert!(module.tasks.is_err());
    }

    #[test]
    fn a_period_that_was_lowered() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        let book = "original 1000000\nset 10000\n41 77 10000\n42 99 20000\nend\n";
        let needed = || lowered(&root, book).map(|lowered| lowered.needed);
        assert_eq!(needed(), Some(false));
        fs::create_dir_all(root.join("proc/42")).unwrap();
        let stat = |state: char, start: u64| {
            let zeros = "0 ".repeat(18);
            fs::write(root.join("proc/42/stat"), format!("42 (a) b) {state} {zeros}{start} 5 6\n")).unwrap();
        };
        stat('S', 98);
        assert_eq!(needed(), Some(false), "the PID is another's");
        stat('Z', 99);
        assert_eq!(needed(), Some(false));
        stat('S', 99);
        assert_eq!(needed(), Some(true));
        // What taskmon run takes for damage, and what no module has had.
        let damaged = book.trim_end_matches("end\n");
        for none in ["", "original\n", "original 500\nset\n", "nonsense", damaged, "original 5\nset 10000\nend\n"] {
            assert_eq!(lowered(&root, none), None);
        }
    }
}
