// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon top`, with a folder in place of the module: frames as text, and what becomes of a terminal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use common::BOOTED;
use common::System;
use common::golden;
use nix::fcntl::FcntlArg;
use nix::fcntl::FdFlag;
use nix::fcntl::fcntl;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::poll;
use nix::pty::Winsize;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const TASKMON: &str = env!("CARGO_BIN_EXE_taskmon");
/// The longest that something is waited for.
const LIMIT: Duration = Duration::from_secs(60);

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

fn sample(pid: u32, seq: u64, usr: u64, rss: u64, state: char) -> String {
    let time = (seq + 1) * 1_000_000_000;
    format!(
        "pid {pid} usr {usr} sys {seq}0000000 time {time} rss {rss} minflt {seq}0 majflt 0 mm_users 1 state {state} seq {seq} start {pid}\n"
    )
}

fn task(pid: u32, name: &str, samples: u64, last: &str) -> String {
    let field = |key: &str| last.split(' ').skip_while(|word| *word != key).nth(1).unwrap().trim();
    format!(
        "pid {pid} start {pid} state {} threads 1 samples {samples} taken {samples} evicted 0 reclaimed 0 missed 0 usr {} sys {} time {} rss {} mm_users 1 comm {name}\n",
        field("state"),
        field("usr"),
        field("sys"),
        field("time"),
        field("rss")
    )
}

/// One that monitors a few tasks.
fn system() -> System {
    let system = System::new();
    let (mut tasks, mut samples) = (String::new(), String::new());
    let names = ["postgres", "nginx", "a\\033[2Jb\\342\\200\\256", "gone"];
    for (name, pid) in names.into_iter().zip([267, 300, 312, 401]) {
        let mut last = String::new();
        for seq in 0..30_u64 {
            let state = if pid == 401 && seq == 29 { 'X' } else { 'S' };
            last = sample(pid, seq, seq * u64::from(pid) * 1_000_000, u64::from(pid) * 1_000_000, state);
            samples += &last;
        }
        tasks += &task(pid, name, 30, &last);
    }
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks);
    system.write("sys/kernel/debug/taskmonitor_follow", &samples);
    system
}

fn once(system: &System, args: &[&str], columns: &str) -> (String, String, i32) {
    let output = system.taskmon().env("COLUMNS", columns).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[test]
fn as_wide_as_can_be() {
    let (out, err, status) = once(&system(), &["top", "--batch"], "65535");
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(out.contains("CPU peaks in "), "{out}");
}

#[test]
fn a_frame() {
    let system = system();
    for (columns, name) in [("80", "top-80"), ("120", "top-120"), ("40", "top-40")] {
        let (frame, errors, status) = once(&system, &["top", "--batch"], columns);
        assert_eq!((errors.as_str(), status), ("", 0));
        golden(name, &frame);
        // Without a terminal, it is the same without --batch, and without a command.
        assert_eq!(once(&system, &["top"], columns).0, frame);
        assert_eq!(once(&system, &[], columns).0, frame);
    }
    let by = |sort: &str| {
        let (frame, _, _) = once(&system, &["top", "--sort", sort], "80");
        frame.lines().skip(3).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(by("pid"), ["267", "300", "312", "401"]);
    assert_eq!(by("memory"), ["401", "312", "300", "267"]);
    assert_eq!(by("name"), ["312", "401", "300", "267"]);
    assert_eq!(by("cpu"), ["312", "300", "267", "401"]);
    // Some of them.
    let (frame, _, _) = once(&system, &["top", "--name", "nginx", "401"], "80");
    assert_eq!(frame.lines().count(), 5, "{frame}");
    assert_eq!(once(&system, &["top", "--batch"], "1000").2, 0);
    let usual = once(&system, &["top", "--batch"], "80").0;
    assert_eq!(once(&system, &["top", "--batch"], "0").0, usual, "no terminal, and COLUMNS says nothing");
    assert_eq!(once(&system, &["top", "--batch"], "nonsense").2, 0);
}

#[test]
fn a_thread_of_a_process_is_in_no_sum() {
    let system = system();
    let totals = |args: &[&str]| {
        let (frame, _, status) = once(&system, &[&["top", "--batch"], args].concat(), "80");
        assert_eq!(status, 0);
        let of = |key: &str| frame.split_once(key).unwrap().1.split_whitespace().next().unwrap().to_owned();
        (of(" CPU "), of(" RSS "))
    };
    let (all, without) = (totals(&[]), totals(&["267", "312", "401"]));
    assert_ne!(all, without);
    let tasks = system.read("sys/kernel/debug/taskmonitor_tasks");
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks.replace(" comm nginx", " tgid 267 comm nginx"));
    assert_eq!(totals(&[]), without);
    // By itself, it counts.
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks.replace(" comm nginx", " tgid 200 comm nginx"));
    assert_eq!(totals(&[]), all);
}

#[test]
fn failures_are_sentences() {
    let system = system();
    let (frame, errors, status) = once(&system, &["top", "--name", "nobody"], "80");
    let expected = "taskmon: no monitored task matches --name nobody\n";
    assert_eq!((frame.as_str(), errors.as_str(), status), ("", expected, 1));
    let (_, errors, status) = once(&system, &["top", "-i", "/no/such/file"], "80");
    assert!(status == 1 && errors.starts_with("taskmon: cannot read /no/such/file: "), "{errors}");
    for mistake in [&["top", "--sort", "nonsense"][..], &["top", "--interval", "0s"], &["top", "x"]] {
        assert_eq!(once(&system, mistake, "80").2, 2, "{mistake:?}");
    }
    fs::remove_dir_all(system.path("sys/module")).unwrap();
    fs::remove_dir_all(system.path("sys/kernel")).unwrap();
    for args in [&["top"][..], &["top", "--batch"], &[]] {
        let (_, errors, status) = once(&system, args, "80");
        let expected = "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n";
        assert_eq!((errors.as_str(), status), (expected, 1));
    }
}

#[test]
fn an_empty_system() {
    let (frame, errors, status) = once(&System::new(), &["top", "--batch"], "80");
    assert_eq!((errors.as_str(), status), ("", 0));
    golden("top-empty", &frame);
}

/// A shell with job control on a terminal of its own, of 80 columns and 24 lines, and what it prints.
struct Terminal {
    shell: Child,
    master: Option<fs::File>,
    printed: String,
    system: System,
}

impl Drop for Terminal {
    /// Ends what is left if a test has failed.
    fn drop(&mut self) {
        let _ = self.shell.kill();
    }
}

impl Terminal {
    /// Runs `script`, to which "$0" is taskmon with the system as its root.
    fn new(system: System, script: &str) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        // (A copy that other tests' processes have would keep the terminal from ending.)
        for side in [&pty.master, &pty.slave] {
            fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let taskmon = system.path("taskmon");
        let text = format!(
            "#!/bin/sh\necho $$ >{0}/pid\nexec {TASKMON} --root {0} --booted {BOOTED} \"$@\"\n",
            system.path("").display()
        );
        fs::write(&taskmon, text).unwrap();
        let mut setsid = Command::new("env");
        setsid.args(["--default-signal", "setsid", "--ctty", "--wait", "sh", "-mc", script]);
        setsid.arg(format!("sh {}", taskmon.display()));
        setsid.current_dir(system.path("")).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let shell = setsid.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        Self { shell, master: Some(pty.master.into()), printed: String::new(), system }
    }

    /// One in which taskmon runs, and the modes of the terminal before and after it are kept.
    fn top(environment: &str) -> Self {
        let script = format!("stty -a >before; {environment} $0 top; echo en''ded $?; stty -a >after; echo al''l");
        Self::new(system(), &script)
    }

    /// The screen: what was printed has only changed it.
    fn screen(&self) -> String {
        let mut cells = vec![vec![' '; 80]; 24];
        let (mut x, mut y) = (0, 0);
        let mut rest = self.printed.chars();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => {
                    let sequence: String = rest.by_ref().skip(1).take_while_inclusive(|c| !c.is_ascii_alphabetic());
                    let place = sequence.strip_suffix('H').map(|place| place.split_once(';').unwrap_or(("1", "1")));
                    if let Some((line, column)) = place {
                        (x, y) = (column.parse::<usize>().unwrap() - 1, line.parse::<usize>().unwrap() - 1);
                    }
                    if sequence == "2J" {
                        cells = vec![vec![' '; 80]; 24];
                    }
                }
                '\r' => x = 0,
                '\n' => y = (y + 1).min(23),
                c => {
                    if let Some(cell) = cells[y].get_mut(x) {
                        *cell = c;
                    }
                    x += 1;
                }
            }
        }
        cells.into_iter().map(|line| line.into_iter().collect::<String>() + "\n").collect()
    }

    /// Reads until the terminal shows `text`, or has shown it.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        let mut buffer = [0; 4096];
        while !self.printed.contains(text) && !self.screen().contains(text) {
            let master = self.master.as_mut().unwrap();
            let ready = poll(&mut [PollFd::new(master.as_fd(), PollFlags::POLLIN)], 1000_u16).unwrap();
            assert!(ready > 0 || Instant::now() < end, "{text} does not come: {:?}", self.printed);
            if ready > 0 {
                let read = master.read(&mut buffer).unwrap_or(0);
                assert!(read > 0, "{text} does not come: {:?}", self.printed);
                self.printed += &String::from_utf8_lossy(&buffer[..read]);
            }
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.master.as_mut().unwrap().write_all(keys).unwrap();
    }

    /// Forgets what was printed.
    fn forget(&mut self) {
        self.printed.clear();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.system.read("pid").trim().parse().unwrap())
    }

    /// That it ended with that status, and that the terminal is as it was.
    #[track_caller]
    fn ends_sound(mut self, status: i32) -> String {
        self.shows(&format!("ended {status}\r\n"));
        self.shows("all\r\n");
        await_that("the shell's end", || self.shell.try_wait().unwrap().is_some());
        let (before, after) = (self.system.read("before"), self.system.read("after"));
        assert!(before.contains(" icanon") && before == after, "{before}\n{after}");
        let last = |what: &str| self.printed.rfind(what);
        assert!(last(ENTER) < last(LEAVE) && last("\x1b[?25l") < last(SHOW_CURSOR), "{:?}", self.printed);
        self.printed.clone()
    }
}

trait TakeWhileInclusive: Iterator<Item = char> {
    /// All up to the first for which `more` does not hold, and that one.
    fn take_while_inclusive(&mut self, more: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        for c in self {
            taken.push(c);
            if !more(c) {
                break;
            }
        }
        taken
    }
}

impl<I: Iterator<Item = char>> TakeWhileInclusive for I {}

#[track_caller]
fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn keys_end_it() {
    for keys in [&b"q"[..], b"\x03", b"?\x03", b"\x1b[21~"] {
        let mut terminal = Terminal::top("");
        terminal.shows("postgres");
        terminal.types(keys);
        let printed = terminal.ends_sound(0);
        assert!(printed.contains("\x1b[38;5;"), "no colours");
        assert!(!printed.contains("\x1b[2Jb") && !printed.contains('\u{202e}'), "what a name says is obeyed");
    }
}

#[test]
fn a_terminal_that_does_not_say_how_large_it_is() {
    for size in ["rows 0 cols 0", "cols 0", "rows 0"] {
        let script = format!(
            "stty {size}; $0 top --batch && $0 plot --ascii && stty -a >before; $0 top; echo en''ded $?; stty -a >after; echo al''l"
        );
        let mut terminal = Terminal::new(system(), &script);
        terminal.shows(ENTER);
        let (frame, rest) = terminal.printed.split_once(ENTER).unwrap();
        assert!(frame.contains("postgres") && frame.contains("CPU"), "{frame}");
        // A part of the screen may have come with ENTER.
        terminal.printed = format!("{ENTER}{rest}");
        // As on one of 80 columns and 24 lines.
        terminal.shows("postgres");
        assert!(terminal.screen().lines().all(|line| line.chars().count() <= 80));
        terminal.types(b"q");
        terminal.ends_sound(0);
    }
}

#[test]
fn signals_end_it() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut terminal = Terminal::top("");
        terminal.shows("postgres");
        kill(terminal.pid(), signal).unwrap();
        terminal.ends_sound(0);
    }
}

#[test]
fn no_colours_if_nobody_wants_them() {
    let mut terminal = Terminal::top("NO_COLOR=1");
    terminal.shows("postgres");
    terminal.types(b"v?");
    terminal.shows("keys and symbols");
    terminal.types(b"qq");
    let printed = terminal.ends_sound(0);
    assert!(!printed.contains("\x1b[38;") && !printed.contains("\x1b[48;"), "{printed:?}");
}

/// The profile of a release aborts, that of a test unwinds: the hook comes before either.
#[test]
#[cfg(debug_assertions)]
fn a_panic_leaves_the_terminal_sound() {
    let terminal = Terminal::top("TASKMON_PANIC=1");
    let printed = terminal.ends_sound(101);
    assert!(printed.rfind(LEAVE) < printed.find("panicked at"), "it is said where it cannot be read: {printed:?}");
}

#[test]
fn it_stops_and_goes_on() {
    for by_key in [true, false] {
        let script = "stty -a >before; $0 top; stty -a >stopped; echo stop''ped; read _; fg; echo en''ded $?; stty -a >after; \
                      echo al''l";
        let mut terminal = Terminal::new(system(), script);
        terminal.shows("postgres");
        let pid = terminal.pid();
        if by_key {
            terminal.types(b"\x1a");
        } else {
            kill(pid, Signal::SIGTSTP).unwrap();
        }
        terminal.shows("stopped\r\n");
        assert_eq!(state(pid), 'T');
        assert_eq!(terminal.system.read("before"), terminal.system.read("stopped"));
        assert!(terminal.printed.rfind(ENTER) < terminal.printed.rfind(LEAVE));
        terminal.forget();
        terminal.types(b"\n");
        // All is drawn again.
        terminal.shows(ENTER);
        terminal.shows("postgres");
        terminal.types(b"q");
        terminal.ends_sound(0);
    }
}

#[test]
fn one_that_is_ended_while_it_is_stopped_leaves_the_terminal_alone() {
    let script =
        "stty -a >before; $0 top; echo stop''ped; read _; kill %1; fg; echo en''ded $?; stty -a >after; echo al''l";
    let mut terminal = Terminal::new(system(), script);
    terminal.shows("postgres");
    terminal.types(b"\x1a");
    terminal.shows("stopped\r\n");
    terminal.types(b"\n");
    terminal.ends_sound(0);
}

/// As a session of its own has nobody to let it go on.
#[test]
fn one_that_nobody_can_let_go_on_does_not_stop() {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    for side in [&pty.master, &pty.slave] {
        fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let system = system();
    let side = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut setsid = Command::new("setsid");
    setsid.args(["--ctty", "--wait", TASKMON, "--root"]).arg(system.path("")).args(["--booted", BOOTED, "top"]);
    let taskmon = setsid.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    let mut terminal = Terminal { shell: taskmon, master: Some(pty.master.into()), printed: String::new(), system };
    terminal.shows("postgres");
    terminal.types(b"\x1a?");
    terminal.shows("keys and symbols");
    terminal.types(b"qq");
    await_that("its end", || terminal.shell.try_wait().unwrap().is_some());
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    // With a signal from the kernel, and without one, as it is not the terminal that rules it.
    for ruled in [true, false] {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        for side in [&pty.master, &pty.slave] {
            fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let system = system();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut setsid = Command::new("setsid");
        setsid.args(if ruled { &["--ctty", "--wait", TASKMON][..] } else { &["--wait", TASKMON] });
        setsid.arg("--root").arg(system.path("")).args(["--booted", BOOTED, "top"]).env("TERM", "xterm");
        let taskmon = setsid.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        drop(setsid);
        let mut terminal =
            Terminal { shell: taskmon, master: Some(pty.master.into()), printed: String::new(), system };
        drop(pty.slave);
        terminal.shows("postgres");
        terminal.master = None;
        await_that("its end", || terminal.shell.try_wait().unwrap().is_some());
    }
}

#[test]
fn what_is_typed_is_done() {
    let mut terminal = Terminal::top("");
    terminal.shows("postgres");
    let told = |terminal: &Terminal| terminal.system.read("sys/kernel/taskmonitor");
    terminal.types(b"a4711\r");
    await_that("a task that is added", || told(&terminal) == "4711\n");
    terminal.shows("4711: added");
    terminal.types(b"pd");
    terminal.shows("remove 267 postgres? y/n");
    terminal.types(b"y");
    await_that("a task that is removed", || told(&terminal) == "-267\n");
    terminal.shows("267: removed");
    // What cannot be done is said.
    fs::remove_file(terminal.system.path("sys/kernel/taskmonitor")).unwrap();
    fs::create_dir(terminal.system.path("sys/kernel/taskmonitor")).unwrap();
    terminal.types(b"a4712\r");
    terminal.shows("4712: not added: ");
    terminal.types(b"anobody\r");
    terminal.shows("no process has the name nobody");
    terminal.types(b"q");
    terminal.ends_sound(0);
}

#[test]
fn news_are_shown() {
    let mut terminal = Terminal::top("");
    terminal.shows("postgres");
    let last = sample(500, 0, 5, 1 << 20, 'R');
    terminal.system.append("sys/kernel/debug/taskmonitor_tasks", &task(500, "newcomer", 1, &last));
    terminal.system.append("sys/kernel/debug/taskmonitor_follow", &last);
    terminal.shows("newcomer");
    terminal.system.write("sys/module/taskmonitor/parameters/sampling", "N\n");
    terminal.shows("STOPPED");
    // What goes wrong meanwhile is said when the terminal is sound.
    terminal.system.append("sys/kernel/debug/taskmonitor_tasks", "nonsense\n");
    terminal.shows("ended 1");
    let printed = terminal.ends_sound(1);
    assert!(printed.rfind(LEAVE) < printed.find("taskmon: "), "{printed:?}");
}

#[test]
fn a_terminal_that_can_do_nothing() {
    let mut terminal = Terminal::new(system(), "TERM=dumb $0 top; echo en''ded $?");
    terminal.shows("ended 1");
    assert!(
        terminal.printed.contains("try taskmon top --batch")
            || terminal.printed.contains("taskmon top --batch writes")
    );
    assert!(!terminal.printed.contains(ENTER));
}
