// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon run`, with a folder in place of the module.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::ffi::OsStr;
use std::fs;
use std::fs::OpenOptions;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::FcntlArg;
use nix::fcntl::FdFlag;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::fcntl;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::poll;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tempfile::TempDir;

const TASKMON: &str = env!("CARGO_BIN_EXE_taskmon");

/// The longest that something is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// `program`, for which no signal is ignored that is for the tests: nohup ignores one, and a shell does for what it runs in the
/// background.
fn by_default(program: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", program]);
    command
}

/// A folder with the module in it, or what looks like it.
struct Module(TempDir);

impl Module {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(this.at("sys/module/taskmonitor/parameters")).unwrap();
        fs::create_dir_all(this.at("sys/kernel/debug")).unwrap();
        for (file, text) in [
            ("sys/module/taskmonitor/parameters/period_us", "1000000\n"),
            ("sys/module/taskmonitor/parameters/sampling", "Y\n"),
            ("sys/module/taskmonitor/parameters/max_samples", "3600\n"),
            ("sys/kernel/taskmonitor", ""),
            ("sys/kernel/debug/taskmonitor_follow", ""),
            ("sys/kernel/debug/taskmonitor_tasks", ""),
        ] {
            fs::write(this.at(file), text).unwrap();
        }
        this
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn period(&self) -> u64 {
        self.read("sys/module/taskmonitor/parameters/period_us").trim().parse().unwrap()
    }

    fn append(&self, path: &str, text: &str) {
        OpenOptions::new().append(true).open(self.at(path)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The last command that the module was given.
    fn told(&self) -> String {
        // (What was written last begins the file: it is no longer than what it overwrites, but for a minus.)
        self.read("sys/kernel/taskmonitor").lines().next().unwrap_or_default().to_owned()
    }

    /// `taskmon run OPTIONS -- COMMAND`, of which both are words.
    fn run(&self, options: &[&str], command: &[&str]) -> Command {
        let mut run = by_default("env");
        run.arg(TASKMON).arg("--root").arg(self.0.path()).arg("run").args(options).arg("--").args(command);
        run
    }

    fn output(&self, options: &[&str], command: &[&str]) -> Output {
        self.run(options, command).stdin(Stdio::null()).output().unwrap()
    }

    /// The same, of a command that says "ready" and reads a line before it goes on.
    fn start(&self, options: &[&str], script: &str) -> Running {
        Running::new(self.run(options, &["sh", "-c", script]))
    }
}

struct Running {
    taskmon: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut taskmon = command.spawn().unwrap();
        let (stdin, stdout) = (taskmon.stdin.take().unwrap(), BufReader::new(taskmon.stdout.take().unwrap()));
        let mut this = Self { taskmon, stdin, stdout };
        assert_eq!(this.line(), "ready");
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.taskmon.id()).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Lets the command go on, and waits for its end. Gives the exit status and stderr.
    fn end(mut self) -> (Option<i32>, String) {
        self.stdin.write_all(b"\n").unwrap();
        self.wait()
    }

    /// Waits for its end.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.taskmon.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.taskmon.wait().unwrap().code(), errors)
    }
}

impl Drop for Terminal {
    /// Ends what is left if a test has failed.
    fn drop(&mut self) {
        let _ = self.shell.kill();
    }
}

fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The value of a line of the summary.
fn field<'a>(summary: &'a str, key: &str) -> &'a str {
    let line = summary.lines().find(|line| line.trim_start().starts_with(key));
    line.unwrap_or_else(|| panic!("no {key} in: {summary}")).trim_start().trim_start_matches(key).trim()
}

#[test]
fn exit_statuses() {
    let module = Module::new();
    for status in 0..=255 {
        let output = module.output(&[], &["sh", "-c", &format!("exit {status}")]);
        assert_eq!(output.status.code(), Some(status), "{}", errors(&output));
        assert_eq!(errors(&output).contains("status"), status != 0);
    }
}

#[test]
fn ends_by_signals() {
    let module = Module::new();
    for signal in [1, 2, 3, 6, 9, 11, 13, 14, 15, 34, 64] {
        let output = module.output(&[], &["sh", "-c", &format!("ulimit -c 0; kill -{signal} $$")]);
        assert_eq!(output.status.code(), Some(128 + signal), "{}", errors(&output));
        assert!(field(&errors(&output), "status").starts_with("killed by "));
    }
}

#[test]
fn commands_that_cannot_be_run() {
    let module = Module::new();
    let file = module.at("no-program");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = module.at("sys");
    for (command, status) in [
        ("no-such-command-anywhere", 127),
        ("/no/such/file", 127),
        ("", 127),
        (file.to_str().unwrap(), 126),
        (folder.to_str().unwrap(), 126),
    ] {
        let csv = module.at("samples");
        let output = module.output(&["--period", "10ms", "--keep", "--csv", csv.to_str().unwrap()], &[command]);
        assert_eq!(output.status.code(), Some(status), "{command}: {}", errors(&output));
        assert!(errors(&output).contains("cannot run "), "{}", errors(&output));
        assert!(!errors(&output).contains("wall"), "a summary of nothing");
        assert_eq!(module.period(), 1_000_000);
        assert!(module.told().starts_with('-'), "nothing is kept: {}", module.told());
    }
}

/// The command is looked for as by any other program.
#[test]
fn where_a_command_is_looked_for() {
    let module = Module::new();
    let folder = |name: &str, mode: Option<u32>, text: &str| {
        fs::create_dir_all(module.at(name)).unwrap();
        let Some(mode) = mode else { return };
        let file = module.at(name).join("some-command");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    folder("none", None, "");
    folder("denied", Some(0o644), "echo denied");
    folder("script", Some(0o755), "echo script $#: $1");
    folder("program", Some(0o755), "#!/bin/sh\necho program $#: $1");
    let at = |name: &str| module.at(name).to_str().unwrap().to_owned();
    let outputs = |path: &str, command: &str| {
        let in_folder = |mut run: Command| {
            // (taskmon itself is found by its full path.)
            let output = run.current_dir(module.at("program")).env("PATH", path).output().unwrap();
            (String::from_utf8(output.stdout).unwrap(), output.status.code())
        };
        let mut taskmon = Command::new(TASKMON);
        taskmon.arg("--root").arg(module.0.path()).args(["run", "--", command, "a b"]);
        let mut without = Command::new("/usr/bin/env");
        without.args([command, "a b"]);
        assert_eq!(in_folder(taskmon), in_folder(without), "{path}: {command}");
        let mut again = Command::new(TASKMON);
        again.arg("--root").arg(module.0.path()).args(["run", "--", command, "a b"]);
        in_folder(again)
    };
    let [none, denied, script, program] = ["none", "denied", "script", "program"].map(at);
    let by_script = ("script 1: a b\n".to_owned(), Some(0));
    let by_program = ("program 1: a b\n".to_owned(), Some(0));
    let file = format!("{script}/some-command");
    // What the kernel does not know, the shell executes.
    assert_eq!(outputs(&format!("{none}:{script}:{program}"), "some-command"), by_script);
    assert_eq!(outputs("/bin", &file), by_script);
    // The search goes on where the file may not be executed, or is below what is no directory.
    assert_eq!(outputs(&format!("{denied}:{file}:{program}:{script}"), "some-command"), by_program);
    // An empty element is the working directory.
    for path in [format!("{none}:"), format!(":{script}"), format!("{none}::{script}"), String::new()] {
        assert_eq!(outputs(&path, "some-command"), by_program, "{path}");
    }
    assert_eq!(outputs(&format!("{denied}:{none}"), "some-command").1, Some(126));
    assert_eq!(outputs(&none, "some-command").1, Some(127));
}

/// What taskmon uses to look for the command is not the command's.
#[test]
fn nothing_of_a_long_search() {
    let module = Module::new();
    // As long as a variable may be.
    let path = format!("{}{}", "/x:".repeat(40_000), std::env::var("PATH").unwrap());
    let output = module.run(&[], &["sh", "-c", "times"]).env("PATH", path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "0m0.010s 0m0.120s", of all that its process has used.
    let words = text.lines().next().unwrap().split(' ');
    let all: f64 =
        words.map(|word| word.trim_start_matches("0m").trim_end_matches('s').parse::<f64>().unwrap()).sum();
    let errors = errors(&output);
    let seconds = |key| field(&errors, key).trim_end_matches(" s").parse::<f64>().unwrap();
    // (By ticks of 10 ms. A machine that is so fast shows nothing.)
    if all > 0.025 {
        assert!(seconds("user") + seconds("system") < all / 2.0, "{text}{errors}");
    }
}

/// Its process was taskmon's to the end.
#[test]
fn nothing_of_a_command_that_could_not_be_run() {
    let module = Module::new();
    let recording = module.at("a.rec");
    let path = format!("{}{}", "/x:".repeat(40_000), std::env::var("PATH").unwrap());
    let mut record = by_default("env");
    record.arg(TASKMON).arg("--root").arg(module.0.path()).arg("record").arg("-o").arg(&recording);
    // (The search takes long enough to sample the process meanwhile.)
    record.args(["--", "no-such-command-anywhere"]).env("PATH", path);
    let mut record = record.stderr(Stdio::null()).spawn().unwrap();
    await_that("the process", || !module.told().is_empty());
    let pid = module.told();
    if !pid.starts_with('-') {
        module.append("sys/kernel/debug/taskmonitor_follow", &sample(&pid, 0, later(), 1 << 20));
    }
    assert_eq!(record.wait().unwrap().code(), Some(127));
    let csv = Command::new(TASKMON).arg("csv").arg("-i").arg(&recording).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&csv.stdout).lines().count(), 1, "{csv:?}");
}

#[test]
fn failures_of_its_own_come_before_the_command() {
    let ran = |module: &Module| module.at("ran").exists();
    let command = |module: &Module| module.at("ran").to_str().unwrap().to_owned();

    let module = Module::new();
    fs::remove_dir_all(module.at("sys/module")).unwrap();
    let output = module.output(&[], &["touch", &command(&module)]);
    assert_eq!((output.status.code(), ran(&module)), (Some(125), false));
    assert_eq!(
        errors(&output),
        "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n"
    );

    let module = Module::new();
    for file in [module.at("sys").to_str().unwrap(), "/no/folder/file", "/dev/full"] {
        let output = module.output(&["--csv", file], &["touch", &command(&module)]);
        assert_eq!((output.status.code(), ran(&module)), (Some(125), false));
        assert!(errors(&output).starts_with(&format!("taskmon: cannot write {file}: ")), "{}", errors(&output));
    }

    // One file, by two names.
    fs::write(module.at("one"), "").unwrap();
    fs::hard_link(module.at("one"), module.at("other")).unwrap();
    let (one, other) = (module.at("one"), module.at("other"));
    let options = ["--csv", one.to_str().unwrap(), "--json", other.to_str().unwrap()];
    let output = module.output(&options, &["touch", &command(&module)]);
    assert_eq!((output.status.code(), ran(&module)), (Some(125), false));
    assert!(errors(&output).contains("in two formats"), "{}", errors(&output));

    // The module takes no command: it is not added.
    fs::remove_file(module.at("sys/kernel/taskmonitor")).unwrap();
    let output = module.output(&["--period", "10ms"], &["touch", &command(&module)]);
    assert_eq!((output.status.code(), ran(&module)), (Some(125), false), "{}", errors(&output));
    assert_eq!(module.period(), 1_000_000);

    // Nor a period.
    let module = Module::new();
    fs::remove_file(module.at("sys/module/taskmonitor/parameters/period_us")).unwrap();
    let output = module.output(&["--period", "10ms"], &["touch", &command(&module)]);
    assert_eq!((output.status.code(), ran(&module)), (Some(125), false), "{}", errors(&output));

    for (option, value) in [("--period", "99us"), ("--period", "2h"), ("--period", "soon"), ("--such", "none")] {
        let output = module.output(&[option, value], &["touch", &command(&module)]);
        assert_eq!((output.status.code(), ran(&module)), (Some(2), false), "{}", errors(&output));
    }
}

#[test]
fn a_process_that_is_not_let_go_never_runs() {
    let module = Module::new();
    let ran = module.at("ran");
    // taskmon holds the process for as long as somebody else has the file of periods locked.
    fs::create_dir_all(module.at("run/taskmon")).unwrap();
    let periods = fs::File::create(module.at("run/taskmon/period")).unwrap();
    let periods = Flock::lock(periods, FlockArg::LockExclusive).unwrap();
    let mut taskmon = module.run(&["--period", "10ms"], &["touch", ran.to_str().unwrap()]).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", taskmon.id());
    let held = || fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
    await_that("a process that is held", || !held().is_empty());
    let stat = format!("/proc/{}/stat", held());
    taskmon.kill().unwrap();
    taskmon.wait().unwrap();
    // (It may be that nobody reaps it.)
    await_that("its end", || !fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")));
    drop(periods);
    assert!(!ran.exists());
}

/// SIGCHLD comes before taskmon has blocked it, and is gone.
#[test]
fn a_process_that_is_killed_at_once() {
    let module = Module::new();
    let ran = module.at("ran");
    let mut shell = by_default("sh");
    shell.args(["-c", "kill -STOP $$; exec \"$0\" --root \"$1\" run -- touch \"$2\"", TASKMON]);
    let mut taskmon = shell.arg(module.0.path()).arg(&ran).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(taskmon.id().try_into().unwrap());
    assert!(matches!(waitpid(pid, Some(WaitPidFlag::WUNTRACED)), Ok(WaitStatus::Stopped(..))));
    let options = ptrace::Options::PTRACE_O_TRACEFORK | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let held = loop {
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceEvent(_, _, nix::libc::PTRACE_EVENT_FORK) => break ptrace::getevent(pid).unwrap(),
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).unwrap(),
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None).unwrap(),
            ended => panic!("{ended:?}"),
        }
    };
    // taskmon does not go on until the new process is dead.
    let held = Pid::from_raw(held.try_into().unwrap());
    kill(held, Signal::SIGKILL).unwrap();
    while !matches!(waitpid(held, None).unwrap(), WaitStatus::Signaled(..)) {}
    ptrace::detach(pid, None).unwrap();
    let end = Instant::now() + LIMIT;
    let status = loop {
        match taskmon.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() < end => sleep(Duration::from_millis(10)),
            None => {
                taskmon.kill().unwrap();
                panic!("taskmon waits for ever");
            }
        }
    };
    let mut errors = String::new();
    taskmon.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((status.code(), ran.exists()), (Some(137), false), "{errors}");
    assert_eq!(errors, "taskmon: touch ended before it was executed\n");
}

#[test]
fn the_command_gets_what_it_would_get_without() {
    let module = Module::new();
    let arguments = [b"\xff\xfe".as_slice(), b"", b"--period", b"--", b"a b"].map(OsStr::from_bytes);
    let output = module.run(&[], &["printf", "<%s>"]).args(arguments).output().unwrap();
    assert_eq!(output.stdout, b"<\xff\xfe><><--period><--><a b>");

    // The same files, signals, environment, working directory. Two signals are a matter of the C library's own, which
    // ignores them in whatever it starts.
    let script = "cd /proc/self/fd && echo [0-9]* && cd - >&2; \
        grep -E '^Sig(Blk|Ign)' /proc/self/status | sed 's/[0-9a-f]\\{8\\}$//'; \
        grep -E '^Sig(Blk|Ign)' /proc/self/status | sed 's/.*[0-9a-f]\\{8\\}\\([0-9a-f]\\)/\\1/' | \
            sed 's/^[89a-f]/x/'; ps -o pgid= -p $$ | wc -l; pwd; env | grep -v '^_=' | sort; ulimit -a";
    let shell = ["sh", "-c", script];
    let without = by_default(shell[0]).args(&shell[1..]).output().unwrap();
    let with = module.output(&[], &shell);
    assert_eq!(String::from_utf8(with.stdout).unwrap(), String::from_utf8(without.stdout).unwrap());

    // More than a pipe holds, through stdin and stdout.
    let text: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_ne_bytes()[n as usize % 3]).collect();
    fs::write(module.at("text"), &text).unwrap();
    let stdin = fs::File::open(module.at("text")).unwrap();
    let output = module.run(&[], &["cat"]).stdin(stdin).output().unwrap();
    assert!(output.stdout == text);
}

#[test]
fn no_file_is_left_open_in_the_command() {
    let module = Module::new();
    // (In a shell that runs it both ways: other tests open files that get into whatever this one starts.)
    let script = "ls -l /proc/self/fd | sed '1d; s/.* -> //'; echo --; \
        \"$0\" --root \"$1\" run --period 10ms --csv \"$1/samples\" -- ls -l /proc/self/fd | sed '1d; s/.* -> //'";
    let shell = by_default("sh").args(["-c", script, TASKMON]).arg(module.0.path()).output().unwrap();
    let files = String::from_utf8(shell.stdout).unwrap().replace(|c: char| c.is_ascii_digit(), "");
    let (without, with) = files.split_once("--\n").unwrap();
    assert!(without.lines().count() >= 3, "{files}");
    assert_eq!(with, without);
}

#[test]
fn signals_are_passed_on() {
    let module = Module::new();
    let signals =
        ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "VTALRM", "PROF", "WINCH", "IO", "PWR", "CONT"];
    for name in signals {
        let signal: Signal = format!("SIG{name}").parse().unwrap();
        let number = signal as i32;
        let caught = module.start(
            &["--period", "10ms"],
            &format!("trap 'exit 42' {number}; echo ready; while :; do sleep 0.01; done"),
        );
        caught.signal(signal);
        assert_eq!(caught.wait().0, Some(42), "{name}");
        assert_eq!(module.period(), 1_000_000);
        if matches!(name, "WINCH" | "CONT") {
            continue;
        }
        let fatal = module.start(&[], "ulimit -c 0; echo ready; read _; exit 3");
        fatal.signal(signal);
        let (status, errors) = fatal.wait();
        assert_eq!(status, Some(128 + number), "{name}: {errors}");
    }
}

#[test]
fn what_is_ignored_stays_ignored() {
    let module = Module::new();
    let script = "trap '' HUP TERM; exec \"$0\" --root \"$1\" run -- sh -c 'echo ready; read _; exit 7'";
    let mut shell = by_default("sh");
    shell.args(["-c", script, TASKMON]).arg(module.0.path());
    let run = Running::new(shell);
    run.signal(Signal::SIGHUP);
    run.signal(Signal::SIGTERM);
    let (status, errors) = run.end();
    assert_eq!(status, Some(7), "{errors}");
}

#[test]
fn children_that_it_had_before() {
    // They end meanwhile, and ignored signals of children tell nobody of their end.
    let module = Module::new();
    let script = "sleep 0.2 & exec env --ignore-signal=CHLD \"$0\" --root \"$1\" run -- sh -c 'sleep 0.5; exit 9'";
    let status = by_default("sh").args(["-c", script, TASKMON]).arg(module.0.path()).status().unwrap();
    assert_eq!(status.code(), Some(9));
}

#[test]
fn stderr_that_nobody_reads() {
    let module = Module::new();
    for (redirection, name) in [("2>&-", "closed"), ("2>/dev/full", "full"), ("2>&1 | :", "unread")] {
        let script = format!(
            "{{ \"$0\" --root \"$1\" run --period 10ms -- sh -c 'exit 5'; echo $? >\"$1/status\"; }} {redirection}"
        );
        let shell = by_default("sh").args(["-c", &script, TASKMON]).arg(module.0.path()).output().unwrap();
        assert!(shell.status.success());
        assert_eq!(module.read("status"), "5\n", "{name}");
        assert_eq!(module.period(), 1_000_000, "{name}");
        assert!(module.told().starts_with('-'), "{name}");
    }
}

fn sample(pid: &str, seq: u64, time: u64, rss: u64) -> String {
    format!(
        "pid {pid} usr {} sys 0 time {time} rss {rss} minflt 5 majflt 6 mm_users 1 state R seq {seq} start 9\n",
        seq * 500_000_000
    )
}

/// A time at which taskmon has certainly found that the command runs.
fn later() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    u64::try_from((Duration::from(now) + LIMIT).as_nanos()).unwrap()
}

#[test]
fn samples() {
    let module = Module::new();
    let (csv, json) = (module.at("samples.csv"), module.at("samples.json"));
    let run = module.start(
        &["--csv", csv.to_str().unwrap(), "--json", json.to_str().unwrap(), "--keep"],
        "echo ready; read _; exit 3",
    );
    let pid = module.told();
    // Of what was before, of others, and of another one that has that PID, nothing is seen.
    let now = later();
    let mib = 1 << 20;
    let mut text = sample(&pid, 0, 1, 70 * mib);
    text += &sample("1", 0, now, 90 * mib);
    text += &sample(&pid, 1, now, 10 * mib);
    text += &sample(&pid, 4, now + 1_000_000_000, 20 * mib);
    text += &sample(&pid, 5, now + 2_000_000_000, 30 * mib);
    text += &sample(&pid, 6, now + 3_000_000_000, 80 * mib).replace("start 9", "start 10");
    module.append("sys/kernel/debug/taskmonitor_follow", &text);
    let task = format!(
        "pid {pid} start 9 state S threads 1 samples 4 taken 4 evicted 0 reclaimed 0 missed 5 \
         usr 0 sys 0 time 3 rss 0 mm_users 0 comm sh\n"
    );
    module.append("sys/kernel/debug/taskmonitor_tasks", &task);
    let (status, errors) = run.end();
    assert_eq!(status, Some(3));
    assert_eq!(module.told(), pid, "it is kept");
    assert_eq!(field(&errors, "samples"), "3, 5 missed");
    // The last of them lasts until the command ends, which is sooner.
    assert_eq!(field(&errors, "mean RSS"), "15.0MiB");
    let csv = fs::read_to_string(csv).unwrap();
    let json = fs::read_to_string(json).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), json.lines().count()), (4, 3), "{csv}{json}");
    assert!(lines[0].starts_with("time,pid,start_ns,seq,state,cpu_percent,"), "{csv}");
    assert!(lines[0].ends_with(",lost,name,usr_ns,sys_ns,minflt,majflt,elapsed_ns"), "{csv}");
    assert!(
        lines[3].contains(&format!(",{pid},9,5,R,50.000,50.000,0.000,31457280,"))
            && lines[3].ends_with(",1000000000"),
        "{csv}"
    );
    assert!(lines[2].contains(",2,sh,"), "two are missing before it: {csv}");
    assert!(
        json.lines().all(|line| line.starts_with("{\"time\":\"") && line.contains(",\"name\":\"sh\",\"usr_ns\":")),
        "{json}"
    );
    assert!(!csv.contains("73400320") && !json.contains("73400320"), "what was before the command: {csv}{json}");
}

#[test]
fn a_picture() {
    let module = Module::new();
    let svg = module.at("picture.svg");
    fs::write(&svg, "the one before").unwrap();
    let run = module.start(&["--plot", svg.to_str().unwrap()], "echo ready; read _; exit 3");
    assert_eq!(fs::read_to_string(&svg).unwrap(), "the one before", "until it is done");
    let pid = module.told();
    let now = later();
    let text: String = (1..5).map(|seq| sample(&pid, seq, now + seq * 1_000_000_000, seq << 20)).collect();
    module.append("sys/kernel/debug/taskmonitor_follow", &text);
    let (status, _) = run.end();
    assert_eq!(status, Some(3));
    let svg = fs::read_to_string(&svg).unwrap();
    for text in [
        "<svg ",
        ">sh -c 'echo ready; read _; exit 3'</text>",
        &format!(">sh, PID {pid} · "),
        " s · 4 samples",
        ">peak 4.0 MiB<",
    ] {
        assert!(svg.contains(text), "{text}\n{svg}");
    }
    // Before the command runs, not after it.
    let output = module.output(&["--plot", module.at("none/picture.svg").to_str().unwrap()], &["echo", "has run"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0));
    assert!(errors(&output).contains("cannot write "), "{}", errors(&output));
    // Without a sample, there is none.
    let output = module.output(&["--plot", module.at("empty.svg").to_str().unwrap()], &["true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(errors(&output).contains("empty.svg: not written, as there are no samples"), "{}", errors(&output));
    assert!(!module.at("empty.svg").exists());
}

#[test]
fn histories_of_others_are_not_removed() {
    let module = Module::new();
    let run = module.start(&[], "echo ready; read _");
    let pid = module.told();
    for start in [3, 9] {
        let task = format!(
            "pid {pid} start {start} state S threads 1 samples 4 taken 4 evicted 0 reclaimed 0 missed 0 \
             usr 0 sys 0 time 3 rss 0 mm_users 0 comm sh\n"
        );
        module.append("sys/kernel/debug/taskmonitor_tasks", &task);
    }
    let (status, errors) = run.end();
    assert_eq!((status, module.told()), (Some(0), pid), "{errors}");
    assert!(errors.contains("is kept, because the module also has one of an earlier task"), "{errors}");
}

#[test]
fn files_that_become_full() {
    let module = Module::new();
    let json = module.at("samples.json");
    // A sample takes more than a quarter of the room that there is.
    let script = "ulimit -f 1; exec \"$0\" --root \"$1\" run --period 10ms --json \"$2\" -- sh -c 'echo ready; read _; exit 6'";
    let mut shell = by_default("sh");
    shell.args(["-c", script, TASKMON]).arg(module.0.path()).arg(&json);
    let run = Running::new(shell);
    let pid = module.told();
    let now = later();
    let text: String = (0..50).map(|seq| sample(&pid, seq, now + seq, 1)).collect();
    // (Longer than what taskmon itself may write.)
    module.append("sys/kernel/debug/taskmonitor_follow", &text);
    let (status, errors) = run.end();
    assert_eq!(status, Some(6), "{errors}");
    assert!(errors.contains("cannot write more samples to "), "{errors}");
    assert_eq!(field(&errors, "samples"), "50, 0 missed");
    assert_eq!(module.period(), 1_000_000);
    let json = fs::read_to_string(json).unwrap();
    assert!(json.lines().count() > 0 && json.ends_with("}\n"), "{json}");

    let run = module.start(&["--json", "/dev/full"], "echo ready; read _; exit 6");
    module.append("sys/kernel/debug/taskmonitor_follow", &sample(&module.told(), 0, later(), 1));
    let (status, errors) = run.end();
    assert_eq!(status, Some(6), "{errors}");
    assert!(errors.contains("cannot write more samples to /dev/full: "), "{errors}");
}

#[test]
fn samples_that_cannot_be_read() {
    let module = Module::new();
    let run = module.start(&["--period", "10ms"], "echo ready; read _; exit 6");
    module.append("sys/kernel/debug/taskmonitor_follow", "nonsense\n");
    let (status, errors) = run.end();
    assert_eq!(status, Some(6), "{errors}");
    assert!(errors.contains("cannot read more samples: "), "{errors}");
    assert!(errors.contains("wall"), "{errors}");
    assert_eq!(module.period(), 1_000_000);
    assert!(module.told().starts_with('-'));
}

#[test]
fn totals_are_those_of_the_command() {
    let module = Module::new();
    // It waits for a child of its own, which counts.
    let output =
        module.output(&[], &["sh", "-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; times"]);
    let seconds = |text: &str| text.trim_end_matches(" s").parse::<f64>().unwrap();
    let told = errors(&output);
    let used = seconds(field(&told, "user")) + seconds(field(&told, "system"));
    // What the shell says of itself, and of its child: "0m0.20s 0m0.00s" each.
    let shell = String::from_utf8(output.stdout).unwrap();
    let times = shell.split_whitespace().map(|time| seconds(time.trim_start_matches("0m").trim_end_matches('s')));
    let shell: f64 = times.sum();
    assert!(shell > 0.05 && (used - shell).abs() <= 0.05 + 0.03 * shell, "{used} s, not {shell} s: {told}");
}

#[test]
fn the_period_is_lowered_and_put_back() {
    let module = Module::new();
    let run = module.start(&["--period", "10ms"], "echo ready; read _");
    assert_eq!(module.period(), 10_000);
    let (_, errors) = run.end();
    assert_eq!(module.period(), 1_000_000);
    assert!(errors.contains("lowered the module's period from 1s to 10ms"), "{errors}");
    assert!(errors.contains("restored the module's period to 1s"), "{errors}");
    assert_eq!(module.read("run/taskmon/period"), "");

    for period in ["1s", "1m"] {
        let run = module.start(&["--period", period], "echo ready; read _");
        assert_eq!(module.period(), 1_000_000);
        let (_, errors) = run.end();
        assert!(errors.contains("the module's period is already 1s and is not changed"), "{errors}");
        assert_eq!(module.period(), 1_000_000);
    }
}

#[test]
fn several_need_a_period() {
    let module = Module::new();
    let one = module.start(&["--period", "10ms"], "echo ready; read _");
    let two = module.start(&["--period", "100ms"], "echo ready; read _");
    let three = module.start(&["--period", "1ms"], "echo ready; read _");
    assert_eq!(module.period(), 1_000);
    let (_, errors) = three.end();
    assert!(errors.contains("set the module's period to 10ms, which another taskmon needs"), "{errors}");
    assert_eq!(module.period(), 10_000);
    one.end();
    assert_eq!(module.period(), 100_000);
    two.end();
    assert_eq!(module.period(), 1_000_000);
    assert_eq!(module.read("run/taskmon/period"), "");
}

#[test]
fn many_at_once() {
    let module = Module::new();
    let runs: Vec<Child> = (1..=24)
        .map(|n| {
            let mut run = module.run(&["--period", &format!("{n}ms")], &["true"]);
            run.stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(module.period(), 1_000_000);
    assert_eq!(module.read("run/taskmon/period"), "");
}

#[test]
fn a_period_that_somebody_else_has_set_stays() {
    let module = Module::new();
    let run = module.start(&["--period", "10ms"], "echo ready; read _");
    fs::write(module.at("sys/module/taskmonitor/parameters/period_us"), "250000\n").unwrap();
    let (_, errors) = run.end();
    assert!(errors.contains("the module's period was changed to 250ms by somebody else"), "{errors}");
    assert_eq!(module.period(), 250_000);
}

#[test]
fn one_that_is_killed() {
    for options in [&[][..], &["--period", "100ms"]] {
        let module = Module::new();
        let mut run = module.start(&["--period", "10ms"], "echo ready; read _; echo over");
        run.signal(Signal::SIGKILL);
        run.taskmon.wait().unwrap();
        assert_eq!(module.period(), 10_000, "nobody was there to put it back");
        let next = module.output(options, &["true"]);
        assert_eq!(next.status.code(), Some(0));
        assert!(errors(&next).contains("module's period"), "{}", errors(&next));
        assert_eq!(module.period(), 1_000_000);
        assert_eq!(module.read("run/taskmon/period"), "");
        // The command goes on.
        run.stdin.write_all(b"\n").unwrap();
        assert_eq!(run.line(), "over");
    }
}

#[test]
fn a_damaged_file_of_periods() {
    let module = Module::new();
    fs::create_dir_all(module.at("run/taskmon")).unwrap();
    fs::write(module.at("run/taskmon/period"), "nonsense").unwrap();
    let output = module.output(&["--period", "10ms"], &["true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(errors(&output).contains("is damaged"), "{}", errors(&output));
    assert_eq!(module.period(), 1_000_000);
    assert_eq!(module.read("run/taskmon/period"), "");
}

/// A shell with job control on a terminal of its own, and what it prints.
struct Terminal {
    shell: Child,
    master: fs::File,
    printed: String,
}

impl Terminal {
    fn new(module: &Module, script: &str) -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        // (A copy that other tests' processes have would keep the terminal from ending.)
        for side in [&pty.master, &pty.slave] {
            fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut setsid = by_default("setsid");
        setsid.args(["--ctty", "--wait", "sh", "-mc", script, TASKMON]).arg(module.0.path());
        let shell = setsid.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        Self { shell, master: pty.master.into(), printed: String::new() }
    }

    /// Reads until the terminal shows `text`.
    fn shows(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        let mut buffer = [0; 4096];
        while !self.printed.contains(text) {
            let ready = poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], 1000_u16).unwrap();
            assert!(ready > 0 || Instant::now() < end, "{text} does not come: {}", self.printed);
            if ready > 0 {
                let read = self.master.read(&mut buffer).unwrap_or(0);
                assert!(read > 0, "{text} does not come: {}", self.printed);
                self.printed += &String::from_utf8_lossy(&buffer[..read]);
            }
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    fn end(&mut self) {
        await_that("the shell's end", || self.shell.try_wait().unwrap().is_some());
    }
}

#[test]
fn a_signal_of_the_terminal_comes_once() {
    let module = Module::new();
    // (One that came twice would go unnoticed if the second came before the first was handled, but not each time.)
    let mut terminal = Terminal::new(
        &module,
        "\"$0\" --root \"$1\" run -- sh -c 'n=0; trap \"n=\\$((n + 1)); echo got \\$n\" INT; trap \"kill \\$!; exit \\$n\" USR1; \
         sleep 1000 & echo rea''dy; while :; do wait; done'; echo en''ded $?",
    );
    terminal.shows("ready");
    for n in 1..=20 {
        terminal.types(b"\x03");
        terminal.shows(&format!("got {n}\r\n"));
        sleep(Duration::from_millis(20));
    }
    let pid = module.told().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGUSR1).unwrap();
    terminal.shows("ended 20");
    terminal.end();
}

#[test]
fn jobs_stop_and_go_on() {
    let module = Module::new();
    // (What is typed must not be what is waited for.)
    let mut terminal = Terminal::new(
        &module,
        "\"$0\" --root \"$1\" run --period 10ms -- sh -c 'echo rea''dy; read line; echo got $line; kill -TSTP $$; \
         read line; echo got $line; exit 4'; echo stop''ped; read _; fg; echo stop''ped again; read _; fg; echo en''ded $?",
    );
    let state = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    terminal.shows("ready");
    let command = module.told();
    terminal.types(b"\x1a");
    terminal.shows("stopped");
    await_that("a stopped command", || state(&command) == 'T');
    terminal.types(b"\n");
    await_that("a command that goes on", || state(&command) == 'S');
    terminal.types(b"one\n");
    // It stops itself, alone: but the shell waits for taskmon.
    terminal.shows("got one");
    terminal.shows("stopped again");
    await_that("a command that has stopped itself", || state(&command) == 'T');
    terminal.types(b"\n");
    await_that("a command that goes on", || state(&command) == 'S');
    terminal.types(b"two\n");
    terminal.shows("got two");
    terminal.shows("ended 4");
    terminal.end();
    assert_eq!(module.period(), 1_000_000);
}
