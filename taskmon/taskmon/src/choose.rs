// SPDX-License-Identifier: GPL-2.0-only

//! Which tasks a selector means, and what is done with them.

mod name;
mod unit;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use procfs::FromRead;
use procfs::ProcError;
use procfs::process::Process;
use procfs::process::Stat;
use procfs::process::StatFlags;
use taskmonitor::Command;
use taskmonitor::Monitor;
use taskmonitor::Reason;
use taskmonitor::Root;
use taskmonitor::Task;
use taskmonitor::readable;

use crate::Failure;
use crate::cli::Add;
use crate::cli::Remove;
use crate::cli::Selector;
use crate::say;

use name::ByComm;
pub use name::COMM_MAX;
pub use name::CommandLine;
pub use name::Name;
use unit::Unit;

/// How much of a command line is compared, in bytes. A single argument can be as long.
const COMMAND_LINE_MAX: u64 = 128 << 10;
/// How many of a name's units are listed.
const UNITS_LISTED: usize = 4;

/// What /proc says of a process, or of a single thread.
struct Facts {
    process: Process,
    pid: u32,
    parent: u32,
    // Of a kernel thread, its full name and what it works on.
    name: Vec<u8>,
    kernel_thread: bool,
    // Read when they are needed first: to read the arguments can take as long as the process holds a lock on its memory.
    groups: OnceCell<Vec<String>>,
    arguments: OnceCell<Vec<u8>>,
}

impl Facts {
    /// None once it has ended.
    fn new(process: Process) -> Option<Self> {
        let text = read(&process, "stat", u64::MAX);
        // (The crate's own is without the bytes that are not UTF-8.)
        let (start, end) =
            (text.iter().position(|&byte| byte == b'(')?, text.iter().rposition(|&byte| byte == b')')?);
        let stat = Stat::from_read(text.as_slice()).ok()?;
        Some(Self {
            pid: u32::try_from(stat.pid).unwrap_or_default(),
            parent: u32::try_from(stat.ppid).unwrap_or_default(),
            name: text.get(start + 1..end)?.to_vec(),
            kernel_thread: stat.flags & StatFlags::PF_KTHREAD.bits() != 0,
            process,
            groups: OnceCell::new(),
            arguments: OnceCell::new(),
        })
    }

    fn of_task(root: &Root, pid: u32) -> Option<Self> {
        Process::new_with_root(root.join("proc").join(pid.to_string())).ok().and_then(Self::new)
    }

    fn groups(&self) -> &[String] {
        self.groups.get_or_init(|| unit::groups(&read(&self.process, "cgroup", u64::MAX)))
    }

    /// The arguments as in /proc/PID/cmdline; none of a kernel thread, and of a process that has ended.
    fn arguments(&self) -> &[u8] {
        self.arguments.get_or_init(|| read(&self.process, "cmdline", COMMAND_LINE_MAX))
    }

    /// Whether the program is called so.
    fn is_program(&self, name: &[u8]) -> bool {
        let executable = self.process.exe().unwrap_or_default();
        name::is_program(name, &self.name, self.arguments(), executable.as_os_str().as_bytes())
    }

    fn is_called(&self, name: &Name) -> bool {
        if self.kernel_thread {
            name.of_kernel_thread(&self.name)
        } else {
            name.of_process(&self.name, |name| self.is_program(name))
        }
    }
}

/// The first bytes of a file of a process; nothing if the process has ended.
fn read(process: &Process, file: &str, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(file) = process.open_relative(file) else { return bytes };
    // What was read before a failure is all there is.
    let _ = file.take(most).read_to_end(&mut bytes);
    bytes
}

/// A process that was looked at.
#[derive(Debug)]
struct Seen {
    pid: u32,
    parent: u32,
    matches: bool,
}

/// A selector that is understood.
#[derive(Debug)]
pub struct Chooser {
    pids: Vec<u32>,
    names: Vec<Name>,
    command_lines: Vec<CommandLine>,
    groups: Vec<String>,
    // Also as on the command line.
    units: Vec<(Unit, String)>,
    users: Vec<u32>,
    children: bool,
    // The selector as on the command line.
    text: String,
}

impl Chooser {
    /// Understands `selector`.
    pub fn new(selector: &Selector) -> Result<Self, Failure> {
        Ok(Self {
            pids: selector.pids.clone(),
            names: selector.name.clone(),
            command_lines: selector.cmdline.clone(),
            groups: selector.cgroup.iter().map(|group| unit::path(group)).collect(),
            units: selector.unit.iter().map(|unit| (Unit::new(unit), unit.clone())).collect(),
            users: selector.user.iter().map(|user| user_number(user)).collect::<Result<_, _>>()?,
            children: selector.children,
            text: text(selector),
        })
    }

    /// The error that no task matches: `tasks` says which tasks were searched.
    pub fn no_match(&self, tasks: &str) -> Failure {
        let mut message = format!("no {tasks} matches {}", self.text);
        let long = self.names.iter().filter(|name| name.is_long());
        for (name, part) in long.filter_map(|name| Some((name, name.part()?))) {
            message += &format!(
                "; the kernel keeps {COMM_MAX} bytes of {name}: to select every task with this part as its name: \
                 --name {}",
                quoted(&part)
            );
        }
        Failure::Other(message)
    }

    /// What to say about the names that a recording has only a part of.
    pub fn parts_of_names(&self) -> impl Iterator<Item = String> {
        self.names.iter().filter_map(|name| {
            let part = name.part()?;
            Some(format!(
                "a recording has at most {COMM_MAX} bytes of a name: --name {name} selects all tasks named {part}"
            ))
        })
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty() && !self.filters()
    }

    /// Whether it names tasks by their PIDs alone.
    pub fn only_pids(&self) -> bool {
        !self.pids.is_empty() && !self.filters() && !self.children
    }

    fn filters(&self) -> bool {
        !self.names.is_empty() || self.filters_by_proc()
    }

    fn filters_by_proc(&self) -> bool {
        !(self.command_lines.is_empty() && self.groups.is_empty() && self.units.is_empty() && self.users.is_empty())
    }

    /// Whether more than PIDs and names is needed to choose tasks.
    pub fn needs_proc(&self) -> bool {
        self.children || self.filters_by_proc()
    }

    /// Whether one of the names is that of a task of which only its comm is known. That of a task to which none of the
    /// names has to match is Yes.
    fn by_comm(&self, comm: &[u8]) -> ByComm {
        let mut best = if self.names.is_empty() { ByComm::Yes } else { ByComm::No };
        for name in &self.names {
            match name.by_comm(comm) {
                ByComm::Yes => return ByComm::Yes,
                ByComm::Unknown => best = ByComm::Unknown,
                ByComm::No => {}
            }
        }
        best
    }

    /// Whether a process matches the options; `named` says that its name does. What takes longest to find out comes last.
    fn matches(&self, facts: &Facts, named: bool) -> bool {
        fn any<T>(values: &[T], matches: impl Fn(&T) -> bool) -> bool {
            values.is_empty() || values.iter().any(matches)
        }
        self.filters()
            && (named || any(&self.names, |name| facts.is_called(name)))
            && any(&self.users, |user| facts.process.uid().is_ok_and(|uid| uid == *user))
            && any(&self.groups, |group| facts.groups().iter().any(|of| unit::is_below(of, group)))
            && any(&self.units, |(unit, _)| facts.groups().iter().any(|of| unit.group(of).is_some()))
            && any(&self.command_lines, |line| line.matches(facts.arguments()))
    }

    /// Whether it chooses a task of which only PID and, maybe, name are known.
    pub fn of_recording(&self, pid: u32, comm: Option<&[u8]>) -> bool {
        let named = |comm: &[u8]| self.names.iter().any(|name| name.of_recording(comm));
        self.is_empty() || self.pids.contains(&pid) || !self.filters_by_proc() && comm.is_some_and(named)
    }

    /// The PIDs of those that are chosen and, if they are asked for, of their descendants.
    fn among(&self, processes: &[Seen]) -> Vec<u32> {
        let mut chosen = self.pids.clone();
        chosen.extend(processes.iter().filter(|p| p.matches).map(|p| p.pid));
        if self.children {
            let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
            for p in processes {
                children.entry(p.parent).or_default().push(p.pid);
            }
            let mut next = 0;
            // No process is visited twice, however the tree changed while it was read.
            let mut seen: HashSet<u32> = chosen.iter().copied().collect();
            while let Some(&pid) = chosen.get(next) {
                next += 1;
                let more = children.get(&pid).into_iter().flatten().filter(|&&pid| seen.insert(pid));
                let more: Vec<u32> = more.copied().collect();
                chosen.extend(more);
            }
        }
        let mut seen = HashSet::new();
        chosen.retain(|&pid| seen.insert(pid));
        chosen
    }

    /// The processes of the system that are chosen, by their PIDs, and what to say about the choice.
    fn of_system(&self, root: &Root) -> Result<(Vec<u32>, Vec<String>), Failure> {
        if !self.filters() && !self.children {
            return Ok((self.among(&[]), Vec::new()));
        }
        let callers = if self.command_lines.is_empty() { HashSet::new() } else { callers(root) };
        let mut units: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.units.len()];
        let processes = processes(root, |facts| {
            let matches = self.matches(facts, false) && !callers.contains(&facts.pid);
            for (found, (unit, _)) in units.iter_mut().zip(&self.units).filter(|_| matches) {
                found.extend(facts.groups().iter().filter_map(|group| unit.group(group)).map(ToOwned::to_owned));
            }
            matches
        })?;
        let several = units.iter().zip(&self.units).filter(|(found, (unit, _))| unit.is_one() && found.len() > 1);
        let notes = several.map(|(found, (_, text))| {
            let listed: Vec<String> = found.iter().take(UNITS_LISTED).map(|path| readable(path.as_bytes())).collect();
            let more = if found.len() > listed.len() { ", ..." } else { "" };
            let text = readable(text.as_bytes());
            format!(
                "--unit {text} means {} units; to select one: --cgroup PATH: {}{more}",
                found.len(),
                listed.join(", ")
            )
        });
        Ok((self.among(&processes), notes.collect()))
    }

    /// Those of `tasks` that are chosen; all, if the selector says nothing. Of a task that has exited only PID and name are
    /// known.
    pub fn of_tasks(&self, root: &Root, tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
        if self.is_empty() {
            return Ok(tasks);
        }
        if self.children {
            return self.of_tasks_and_children(root, tasks);
        }
        Ok(tasks.into_iter().filter(|task| self.is_chosen(root, task)).collect())
    }

    fn is_chosen(&self, root: &Root, task: &Task) -> bool {
        if self.pids.contains(&task.pid) {
            return true;
        }
        if !self.filters() {
            return false;
        }
        match (self.by_comm(&task.comm), self.filters_by_proc()) {
            (ByComm::No, _) => false,
            (ByComm::Yes, false) => true,
            (by_comm, _) => {
                !task.state.exited()
                    && Facts::of_task(root, task.pid)
                        .is_some_and(|facts| self.matches(&facts, by_comm == ByComm::Yes))
            }
        }
    }

    fn of_tasks_and_children(&self, root: &Root, tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
        let mut all = processes(root, |facts| self.matches(facts, false))?;
        // A single thread is not listed in /proc, but it is there.
        let listed: HashSet<u32> = all.iter().map(|seen| seen.pid).collect();
        let threads = tasks.iter().filter(|task| !task.state.exited() && !listed.contains(&task.pid));
        all.extend(threads.filter_map(|task| {
            let facts = Facts::of_task(root, task.pid)?;
            Some(Seen { pid: facts.pid, parent: facts.parent, matches: self.matches(&facts, false) })
        }));
        let by_proc: HashSet<u32> = self.among(&all).into_iter().collect();
        let chosen = |task: &Task| self.is_chosen(root, task) || !task.state.exited() && by_proc.contains(&task.pid);
        Ok(tasks.into_iter().filter(chosen).collect())
    }
}

/// The selector as on the command line.
fn text(selector: &Selector) -> String {
    let Selector { pids, name, cmdline, cgroup, unit, user, children } = selector;
    let mut words: Vec<String> = pids.iter().map(|pid| format!("PID {pid}")).collect();
    words.extend(name.iter().map(|name| format!("--name {name}")));
    words.extend(cmdline.iter().map(|line| format!("--cmdline {line}")));
    for (option, values) in [("--cgroup", cgroup), ("--unit", unit), ("--user", user)] {
        words.extend(values.iter().map(|value| format!("{option} {}", readable(value.as_bytes()))));
    }
    words.extend(children.then(|| "--children".to_owned()));
    words.join(" ")
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The number of a user. Names are `id`'s to know, which asks whatever the system has for that.
fn user_number(user: &str) -> Result<u32, Failure> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let unknown = || Failure::Other(format!("unknown user \"{}\"", user.escape_debug()));
    let output = std::process::Command::new("id")
        .args(["-u", "--", user])
        .output()
        .map_err(|e| Failure::other("cannot run id to look up the user", e))?;
    if !output.status.success() {
        return Err(unknown());
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| unknown())
}

/// All processes, and which of them match. What ends while it is read is left out.
fn processes(root: &Root, mut matches: impl FnMut(&Facts) -> bool) -> Result<Vec<Seen>, Failure> {
    let folder = root.join("proc");
    let failed = |e: ProcError| Failure::other(format!("cannot read {}", folder.display()), e);
    let mut all = Vec::new();
    for process in procfs::process::all_processes_with_root(&folder).map_err(failed)? {
        let Some(facts) = process.ok().and_then(Facts::new) else { continue };
        all.push(Seen { pid: facts.pid, parent: facts.parent, matches: matches(&facts) });
    }
    Ok(all)
}

/// The ancestors of this process that have the selector in their own command lines, as `sudo taskmon add --cmdline /REGEX/`
/// has: the regular expression matches itself there.
fn callers(root: &Root) -> HashSet<u32> {
    let option = b"--cmdline";
    let mut callers = HashSet::new();
    let mut pid = std::process::id();
    while let Some(facts) = Facts::of_task(root, pid).filter(|facts| callers.insert(facts.pid)) {
        if pid != std::process::id() && !facts.arguments().windows(option.len()).any(|part| part == option) {
            callers.remove(&pid);
        }
        pid = facts.parent;
    }
    callers
}

/// The PIDs of the processes with this name, or with one that matches a regular expression.
pub fn by_name(root: &Root, name: &str) -> Result<Vec<u32>, String> {
    let name = Name::parse(name.into())?;
    let long = name.is_long();
    let selector = Selector { name: vec![name], ..Selector::default() };
    let chooser = Chooser::new(&selector).map_err(|e| e.to_string())?;
    let (pids, _) = chooser.of_system(root).map_err(|e| e.to_string())?;
    if pids.is_empty() && long { Err(chooser.no_match("process").to_string()) } else { Ok(pids) }
}

/// The result for `selected` tasks, of which `failed` could not be added or removed.
fn verdict(chooser: &Chooser, tasks: &str, selected: usize, failed: usize) -> Result<(), Failure> {
    match (selected, failed) {
        (0, _) => Err(chooser.no_match(tasks)),
        (_, 0) => Ok(()),
        _ => Err(Failure::Said),
    }
}

/// Ends `taskmon COMMAND` as any other mistake on the command line does if its selector says nothing.
pub fn demand(selector: &Selector, command: &str) {
    let Selector { pids, name, cmdline, cgroup, unit, user, children: _ } = selector;
    let no_option = name.is_empty() && cmdline.is_empty() && cgroup.is_empty() && unit.is_empty() && user.is_empty();
    if pids.is_empty() && no_option {
        crate::cli::mistake(command, "no task selected: give a PID, --name, --cmdline, --cgroup, --unit or --user");
    }
}

/// `taskmon add`
pub fn add(monitor: &Monitor, args: &Add) -> Result<(), Failure> {
    let chooser = Chooser::new(&args.selector)?;
    let itself = std::process::id();
    let by_hand: HashSet<u32> = chooser.pids.iter().copied().collect();
    let (mut chosen, notes) = chooser.of_system(monitor.root())?;
    notes.into_iter().for_each(say);
    chosen.retain(|&pid| pid != itself || by_hand.contains(&pid));
    let (mut failed, mut report) = (0, Report::default());
    for (i, &pid) in chosen.iter().enumerate() {
        match monitor.send(Command::Add(pid)) {
            Ok(()) => report.line(format!("{pid}: added")),
            Err(e) => match e.reason() {
                Some(Reason::Monitored) => report.line(format!("{pid}: already monitored")),
                // What was found in /proc may have ended meanwhile; what was given by hand should be there.
                Some(Reason::NoSuchTask) if !by_hand.contains(&pid) => {
                    report.line(format!("{pid}: exited before it was added"))
                }
                Some(reason) => {
                    failed += 1;
                    let hint = match reason {
                        Reason::TooMany => "; to see how to raise it: taskmon doctor",
                        _ => "",
                    };
                    say(format_args!("{pid}: not added: {reason}{hint}"));
                    // It would be the same for all others.
                    if reason == Reason::TooMany {
                        for pid in chosen.iter().skip(i + 1) {
                            report.line(format!("{pid}: not tried"));
                        }
                        break;
                    }
                }
                None => return Err(e.into()),
            },
        }
    }
    report.end()?;
    verdict(&chooser, "process", chosen.len(), failed)
}

/// `taskmon remove`
pub fn remove(monitor: &Monitor, args: &Remove) -> Result<(), Failure> {
    let chooser = Chooser::new(&args.selector)?;
    let tasks = chooser.of_tasks(monitor.root(), monitor.tasks()?)?;
    let mut pids: Vec<u32> = tasks.iter().map(|task| task.pid).collect();
    let there: HashSet<u32> = pids.iter().copied().collect();
    // Also said of what is not there.
    pids.extend(chooser.pids.iter().filter(|pid| !there.contains(pid)));
    let mut seen = HashSet::new();
    pids.retain(|&pid| seen.insert(pid));
    let (mut failed, mut report) = (0, Report::default());
    for &pid in &pids {
        match monitor.send(Command::Remove(pid)) {
            Ok(()) => report.line(format!("{pid}: removed")),
            Err(e) => match e.reason() {
                Some(reason) => {
                    failed += 1;
                    say(format_args!("{pid}: not removed: {reason}"));
                }
                None => return Err(e.into()),
            },
        }
    }
    report.end()?;
    verdict(&chooser, "monitored task", pids.len(), failed)
}

/// What was done, for stdout: line by line, so that it has been said whatever happens next. That it cannot be written is no
/// reason to leave half of the tasks undone.
#[derive(Default)]
struct Report(Option<io::Error>);

impl Report {
    fn line(&mut self, mut text: String) {
        text.push('\n');
        if self.0.is_none() {
            self.0 = io::stdout().write_all(text.as_bytes()).err();
        }
    }

    fn end(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |e| Err(Failure::output(&e)))
    }
}
