// SPDX-License-Identifier: GPL-2.0-only

//! `show` and `list` over a recorded history.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use common::System;
use common::golden;

/// Two tasks and one that exits, a second apart: 267 has a gap and a counter that went back, 300 is idle.
fn recorded() -> System {
    let system = System::new();
    let ms = 1_000_000_u64;
    let sample = |pid: u64, second: u64, seq: u64, usr: u64, sys: u64, rss: u64, minflt: u64, state: char| {
        format!(
            "pid {pid} usr {} sys {} time {} rss {rss} minflt {minflt} majflt {} mm_users 1 state {state} \
             seq {seq} start {}\n",
            usr * ms,
            sys * ms,
            100_000 * ms + second * 1000 * ms + pid,
            minflt / 100,
            pid * 1000 * ms,
        )
    };
    let mut history = String::new();
    for second in 0..10 {
        if !(3..=5).contains(&second) {
            let minflt = if second == 8 { 0 } else { 100 * second };
            history +=
                &sample(267, second, second, 400 * second, 25 * second, 1_048_576 + 4096 * second, minflt, 'R');
        }
        history += &sample(300, second, second, 7, 3, 524_288, 50, 'S');
        if second == 4 {
            history += &sample(312, second, 0, 0, 1, 4096, 9, 'R');
            history += &sample(312, second + 1, 1, 500, 51, 0, 19, 'X');
        }
    }
    system.write("sys/kernel/debug/taskmonitor_follow", &history);
    let task = |pid: u64, state: char, samples: u64, missed: u64, usr: u64, comm: &str| {
        format!(
            "pid {pid} start {} state {state} threads 1 samples {samples} taken {samples} evicted 0 reclaimed 0 \
             missed {missed} usr {usr} sys 0 time {} rss 4096 mm_users 1 comm {comm}\n",
            pid * 1000 * ms,
            109_000 * ms,
        )
    };
    let tasks = task(267, 'R', 7, 3, 3600, "busy \\303\\274")
        + &task(300, 'S', 10, 0, 7, "idle, \"quoted\"")
        + &task(312, 'X', 2, 0, 500, "gone");
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks);
    system.process(267, 1, "busy ü", "/system.slice/ssh.service");
    system.process(300, 267, "idle, \"quoted\"", "/user.slice/user-1000.slice/session-1.scope");
    system
}

#[track_caller]
fn compare(name: &str, args: &[&str]) {
    let (out, err, status) = recorded().said(args);
    assert_eq!((err.as_str(), status), ("", 0));
    golden(name, &out);
}

#[test]
fn tables() {
    compare("show.table", &["show"]);
    compare("show-interval.table", &["show", "--interval", "5s"]);
    compare("show-fields.table", &["show", "267", "--fields", "seq,lost,cpu"]);
    compare("show-raw.table", &["show", "--raw", "300"]);
    compare("list.table", &["list"]);
}

#[test]
fn formats() {
    compare("show.csv", &["show", "--format", "csv"]);
    compare("show.ndjson", &["show", "--format", "ndjson", "267", "312"]);
    compare("show.kv", &["show", "--format", "kv", "300"]);
    compare("list.csv", &["list", "--format", "csv"]);
    compare("list.ndjson", &["list", "--format", "ndjson"]);
}

#[test]
fn the_raw_lines_are_those_of_the_kernel() {
    let system = recorded();
    let (out, _, _) = system.said(&["show", "--raw", "--format", "kv"]);
    assert_eq!(out, system.read("sys/kernel/debug/taskmonitor_follow"));
}

#[test]
fn spans_of_time() {
    let system = recorded();
    let seqs = |args: &[&str]| {
        let (out, err, status) =
            system.said(&[&["show", "300", "--format", "csv", "--fields", "seq"], args].concat());
        assert_eq!((err.as_str(), status), ("", 0));
        out.lines().skip(1).map(|line| line.parse().unwrap()).collect::<Vec<u64>>()
    };
    // The first sample is of 100 s after boot, at 16:00:00.
    assert_eq!(seqs(&["--since", "2026-11-27T16:01:47Z"]), [7, 8, 9]);
    assert_eq!(seqs(&["--until", "1795795302"]), [0, 1]);
    assert_eq!(seqs(&["--since", "2026-11-27T16:01:42Z", "--until", "2026-11-27T17:01:44+01:00"]), [2, 3]);
    assert_eq!(seqs(&["--since", "2030-01-01T00:00:00Z"]), [] as [u64; 0]);
    // What was before is not shown, but is what a rate begins from.
    let (out, _, _) = system.said(&["show", "267", "--format", "csv", "--fields", "cpu", "--since", "1795795307"]);
    assert_eq!(out, "cpu_percent\n42.500\n42.500\n42.500\n");
}

#[test]
fn selectors() {
    let system = recorded();
    let pids = |args: &[&str]| {
        let (out, err, status) = system.said(&[&["list", "--format", "csv"], args].concat());
        if status != 0 {
            assert_eq!((out.as_str(), status), ("", 1));
            return err;
        }
        out.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let none = |selector: &str| format!("taskmon: no monitored task matches {selector}\n");
    assert_eq!(pids(&[]), "267 300 312");
    assert_eq!(pids(&["312", "267"]), "267 312");
    assert_eq!(pids(&["--name", "gone"]), "312");
    assert_eq!(pids(&["--name", "gon"]), none("--name gon"));
    assert_eq!(pids(&["7", "--name", "/^x/", "--children"]), none("PID 7 --name /^x/ --children"));
    assert_eq!(pids(&["--name", "/^(gon|bus)/"]), "267 312");
    assert_eq!(pids(&["--cgroup", "/system.slice"]), "267");
    assert_eq!(pids(&["--cgroup", "/system"]), none("--cgroup /system"));
    assert_eq!(pids(&["--cgroup", "/"]), "267 300");
    assert_eq!(pids(&["--unit", "ssh"]), "267");
    assert_eq!(pids(&["--unit", "session-1.scope"]), "300");
    assert_eq!(pids(&["--unit", "ssh", "--children"]), "267 300");
    assert_eq!(pids(&["--cgroup", "/", "--name", "/quoted/"]), "300");
    assert_eq!(pids(&["--unit", "ssh", "--name", "gone"]), none("--name gone --unit ssh"));
    assert_eq!(pids(&["--unit", "ssh", "312"]), "267 312");
    assert!(system.said(&["list", "--name", "/(/"]).1.contains("invalid regular expression \"(\": "));
    assert_eq!(pids(&["--user", "nobody-of-that-name"]), "taskmon: unknown user \"nobody-of-that-name\"\n");
    let user = nix::unistd::getuid().to_string();
    assert_eq!(pids(&["--user", &user]), "267 300");
    let (out, err, status) = system.said(&["show", "9999"]);
    assert_eq!((out.as_str(), err.as_str(), status), ("", "taskmon: no monitored task matches PID 9999\n", 1));
}

#[test]
fn a_single_thread_is_chosen_by_what_its_process_is() {
    let system = System::new();
    std::fs::remove_dir_all(system.path("proc")).unwrap();
    std::os::unix::fs::symlink("/proc", system.path("proc")).unwrap();
    // This one: /proc does not list it, as it leads no process.
    let tid = nix::unistd::gettid();
    assert_ne!(tid, nix::unistd::getpid());
    system.write(
        "sys/kernel/debug/taskmonitor_tasks",
        &format!(
            "pid {tid} start 5 state S threads 1 samples 0 taken 0 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 time 0 \
             rss 0 mm_users 1 comm worker\n"
        ),
    );
    let user = nix::unistd::getuid().to_string();
    let (out, err, status) = system.said(&["list", "--user", &user, "--format", "kv"]);
    assert!(out.starts_with(&format!("pid {tid} ")), "{out}");
    assert_eq!((out.lines().count(), err.as_str(), status), (1, "", 0));
}

/// A process, its program's arguments and file.
fn program(system: &System, pid: u32, comm: &str, arguments: &str, executable: &str) {
    system.process(pid, 1, comm, "/");
    system.write(&format!("proc/{pid}/cmdline"), arguments);
    if !executable.is_empty() {
        std::os::unix::fs::symlink(executable, system.path(&format!("proc/{pid}/exe"))).unwrap();
    }
}

/// A kernel thread: /proc has more of its name than the module.
fn kernel_thread(system: &System, pid: u32, name: &str) {
    let zeros = ["0"; 42].join(" ");
    system.write(&format!("proc/{pid}/stat"), &format!("{pid} ({name}) S 2 0 0 0 -1 2129984 {zeros}\n"));
    system.write(&format!("proc/{pid}/cgroup"), "0::/\n");
    system.write(&format!("proc/{pid}/cmdline"), "");
}

/// The PIDs that are added, or what is said.
fn added(system: &System, args: &[&str]) -> String {
    let (out, err, status) = system.said(&[&["add"], args].concat());
    if status != 0 {
        assert_eq!((out.as_str(), status), ("", 1));
        return err;
    }
    assert_eq!(err, "");
    out.lines().map(|line| line.strip_suffix(": added").unwrap()).collect::<Vec<_>>().join(" ")
}

/// PIDs in the order in which a folder happens to have them.
fn sorted(pids: &str) -> Vec<&str> {
    let mut pids: Vec<&str> = pids.split(' ').collect();
    pids.sort_unstable();
    pids
}

#[test]
fn a_name_longer_than_a_comm_is_that_of_a_program() {
    let system = System::new();
    program(&system, 3, "a-very-long-nam", "/opt/a-very-long-name-indeed\0-x\0", "/opt/a-very-long-name-indeed");
    program(&system, 4, "a-very-long-nam", "/opt/a-very-long-name-instead\0", "/opt/a-very-long-name-instead");
    program(&system, 5, "a-very-long-nam", "", "/opt/a-very-long-name-indeed (deleted)");
    program(&system, 6, "a-very-long-nam", "python3\0/opt/a-very-long-name-indeed\0", "/usr/bin/python3");
    program(&system, 7, "main", "/opt/a-very-long-name-indeed\0", "/opt/a-very-long-name-indeed");
    program(&system, 8, "a-very-long-nam", "", "");
    assert_eq!(sorted(&added(&system, &["--name", "a-very-long-name-indeed"])), ["3", "5", "6"]);
    assert_eq!(added(&system, &["--name", "a-very-long-name-instead"]), "4");
    assert_eq!(sorted(&added(&system, &["--name", "a-very-long-nam"])), ["3", "4", "5", "6", "8"]);
    let said = "taskmon: no process matches --name a-very-long-name; the kernel keeps 15 bytes of a-very-long-name: to \
                select every task with this part as its name: --name a-very-long-nam\n";
    assert_eq!(added(&system, &["--name", "a-very-long-name"]), said);
    // Among monitored tasks it is the same; one that has exited only has its comm.
    let task = |pid: u32, state: char, comm: &str| {
        format!(
            "pid {pid} start 5 state {state} threads 1 samples 0 taken 0 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 \
             time 0 rss 0 mm_users 1 comm {comm}\n"
        )
    };
    let tasks = task(3, 'S', "a-very-long-nam") + &task(4, 'S', "a-very-long-nam") + &task(5, 'X', "a-very-long-nam");
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks);
    let removed = |name: &str| system.said(&["remove", "--name", name]).0;
    assert_eq!(removed("a-very-long-name-indeed"), "3: removed\n");
    assert_eq!(removed("a-very-long-nam"), "3: removed\n4: removed\n5: removed\n");
    assert_eq!(removed("a-very-long-name"), "");
}

#[test]
fn kernel_threads_are_chosen_by_each_of_their_names() {
    let system = System::new();
    kernel_thread(&system, 20, "rcu_tasks_trace_kthread");
    kernel_thread(&system, 21, "kworker/0:1-mm_percpu_wq");
    kernel_thread(&system, 22, "kworker/0:1H-kblockd");
    kernel_thread(&system, 23, "kworker/R-ext4-rsv-conversion");
    kernel_thread(&system, 24, "kworker/u1000:12+flush-8:0");
    // Not one, whatever its name is.
    program(&system, 30, "kworker/0:1", "/tmp/kworker/0:1\0", "/tmp/miner");
    let names = [
        ("rcu_tasks_trace_kthread", "20"),
        ("rcu_tasks_trace", "20"),
        ("[rcu_tasks_trace_kthread]", "20"),
        ("/_kthread$/", "20"),
        ("kworker/0:1-mm_percpu_wq", "21"),
        ("kworker/0:1+events", "21"),
        ("/mm_percpu/", "21"),
        ("kworker/0:1H", "22"),
        ("kworker/R-ext4-rsv-conversion", "23"),
        ("kworker/R-ext4-", "23"),
        ("kworker/u1000:12-events_unbound", "24"),
        ("kworker/u1000:1", "24"),
    ];
    for (name, pid) in names {
        assert_eq!(added(&system, &["--name", name]), pid, "{name}");
    }
    assert_eq!(sorted(&added(&system, &["--name", "kworker/0:1"])), ["21", "30"]);
    assert_eq!(added(&system, &["--name", "kworker/R-ext4"]), "taskmon: no process matches --name kworker/R-ext4\n");
    // The module keeps less, and the names that select these tasks are the same.
    let task = |pid: u32, comm: &str| {
        format!(
            "pid {pid} start 5 state S threads 1 samples 0 taken 0 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 time 0 \
             rss 0 mm_users 1 comm {comm}\n"
        )
    };
    let tasks = task(20, "rcu_tasks_trace")
        + &task(21, "kworker/0:1")
        + &task(22, "kworker/0:1H")
        + &task(23, "kworker/R-ext4-")
        + &task(24, "kworker/u1000:1")
        + &task(30, "kworker/0:1");
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks);
    for (name, pid) in names {
        assert_eq!(system.said(&["remove", "--name", name]).0, format!("{pid}: removed\n"), "{name}");
    }
}

#[test]
fn names_are_taken_as_they_are_printed() {
    let system = System::new();
    // Nine of these: the kernel cuts the eighth.
    let half = &"ééééééééé".as_bytes()[..15];
    let zeros = ["0"; 45].join(" ");
    let stat = [b"7 (", half, format!(") S 1 7 7 {zeros}\n").as_bytes()].concat();
    std::fs::create_dir_all(system.path("proc/7")).unwrap();
    std::fs::write(system.path("proc/7/stat"), stat).unwrap();
    system.process(8, 1, "ééééééé", "/");
    system.process(9, 1, "a\u{1b}b", "/");
    for name in ["ééééééé\u{fffd}", "ééééééé?"] {
        assert_eq!(added(&system, &["--name", name]), "7", "{name}");
    }
    assert_eq!(added(&system, &["--name", "ééééééé"]), "8");
    assert_eq!(added(&system, &["--name", "a?b"]), "9");
    let mut command = system.taskmon();
    command.args(["add", "--name"]).arg(std::ffi::OsStr::from_bytes(half));
    assert_eq!(String::from_utf8_lossy(&command.output().unwrap().stdout), "7: added\n");
    // What it comes from is not known here.
    let err = added(&system, &["--name", "ééééééééé"]);
    assert!(err.ends_with(": --name 'ééééééé\u{fffd}'\n"), "{err}");
    system.write("proc/7/cmdline", "ééééééééé\0");
    assert_eq!(added(&system, &["--name", "ééééééééé"]), "7");
}

#[test]
fn processes_are_chosen_by_their_command_lines() {
    let system = recorded();
    program(&system, 267, "java", "/usr/bin/java\0-Xmx1g\0-jar\0/srv/app one.jar\0", "/usr/bin/java");
    program(&system, 268, "java", "/usr/bin/java\0-jar\0/srv/two.jar\0", "/usr/bin/java");
    // It has exited, and another process has its number.
    program(&system, 312, "java", "/usr/bin/java\0-jar\0/srv/two.jar\0", "/usr/bin/java");
    kernel_thread(&system, 2, "kthreadd");
    assert_eq!(added(&system, &["--cmdline", "/-jar .*one[.]jar$/"]), "267");
    assert_eq!(sorted(&added(&system, &["--cmdline", "/[.]jar$/"])), ["267", "268", "312"]);
    assert_eq!(added(&system, &["--cmdline", "/usr/bin/java -Xmx1g -jar /srv/app one.jar"]), "267");
    assert_eq!(sorted(&added(&system, &["--cmdline", "/one/", "--cmdline", "/two/"])), ["267", "268", "312"]);
    assert_eq!(
        added(&system, &["--cmdline", "/.*/", "--name", "kthreadd"]),
        "taskmon: no process matches --name kthreadd --cmdline /.*/\n"
    );
    assert_eq!(
        added(&system, &["--cmdline", "/usr/bin/java"]),
        "taskmon: no process matches --cmdline /usr/bin/java\n"
    );
    let listed = |args: &[&str]| {
        let (out, _, _) = system.said(&[&["list", "--format", "csv"], args].concat());
        out.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed(&["--cmdline", "/java/"]), "267");
    assert_eq!(listed(&["--cmdline", "/java/", "--name", "busy ü"]), "267");
    assert_eq!(listed(&["--cmdline", "/java/", "--name", "gone"]), "");
    let (show, _, status) = system.said(&["show", "--cmdline", "/one/", "--format", "csv", "--fields", "pid"]);
    assert_eq!((show.lines().skip(1).all(|pid| pid == "267"), show.lines().count(), status), (true, 8, 0));
    // It is bounded.
    let long = format!("x\0{}end\0", "y\0".repeat(1 << 20));
    program(&system, 270, "x", &long, "");
    assert_eq!(added(&system, &["--cmdline", "/^x( y){1000}/"]), "270");
    assert_eq!(added(&system, &["--cmdline", "/^x .*end/"]), "taskmon: no process matches --cmdline /^x .*end/\n");
    for args in [&["add", "--cmdline", ""][..], &["list", "--cmdline", "/(/"]] {
        assert_eq!(system.said(args).2, 2);
    }
}

#[test]
fn who_runs_taskmon_is_not_chosen_by_the_command_line_that_does() {
    let system = System::new();
    std::fs::remove_dir_all(system.path("proc")).unwrap();
    std::os::unix::fs::symlink("/proc", system.path("proc")).unwrap();
    // A shell that has the regular expression in its command line, and a process beside it that has it, too.
    let program = assert_cmd::cargo::cargo_bin("taskmon");
    let script = format!(
        "sh -c 'while sleep 1; do :; done' beside-{0} >/dev/null 2>&1 & {1} --root {2} add --cmdline '/beside-{0}/'; kill $!",
        std::process::id(),
        program.display(),
        system.path("").display()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((out.lines().count(), err.as_ref()), (1, ""), "{out}");
}

#[test]
fn units_of_all_types() {
    let system = System::new();
    for (pid, group) in [
        (10, "/system.slice/ssh.service"),
        (11, "/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service"),
        (12, "/user.slice/user-1000.slice/session-1.scope"),
        (13, "/user.slice/user-1000.slice/user@1000.service/app.slice/app-a\\x2db-7.scope"),
        (14, "/system.slice/mnt-data.mount"),
        (15, "/system.slice/_cpu.service"),
        (16, "/machine.slice/box.scope/system.slice/cron.service"),
        (17, "/system.slice/cron.service (deleted)"),
        (18, "/system.slice/gpg-agent.socket"),
    ] {
        system.process(pid, 1, "x", group);
    }
    for (unit, pids) in [
        ("ssh", "10"),
        ("system-serial\\x2dgetty.slice", "11"),
        ("serial-getty@ttyS0", "11"),
        ("serial-getty@", "11"),
        ("session-1.scope", "12"),
        ("app-a\\x2db-7.scope", "13"),
        ("user@1000", "13"),
        ("user-1000.slice", "12 13"),
        ("mnt-data.mount", "14"),
        ("/mnt/data", "14"),
        ("cpu", "15"),
        ("gpg-agent.socket", "18"),
    ] {
        assert_eq!(sorted(&added(&system, &["--unit", unit])).join(" "), pids, "{unit}");
    }
    assert_eq!(added(&system, &["--unit", "gpg-agent"]), "taskmon: no process matches --unit gpg-agent\n");
    assert_eq!(added(&system, &["--cgroup", "/sys/fs/cgroup/system.slice/ssh.service/"]), "10");
    let (out, err, status) = system.said(&["add", "--unit", "cron"]);
    assert_eq!((out.lines().count(), status), (2, 0));
    let note = "taskmon: --unit cron means 2 units; to select one: --cgroup PATH: \
                /machine.slice/box.scope/system.slice/cron.service, /system.slice/cron.service\n";
    assert_eq!(err, note);
    assert_eq!(added(&system, &["--cgroup", "/system.slice/cron.service"]), "17");
}

#[test]
fn adding_and_removing() {
    let system = recorded();
    assert_eq!(system.said(&["add", "267"]).0, "267: added\n");
    let (out, _, status) = system.said(&["add", "--unit", "ssh", "--children", "99"]);
    assert_eq!((out.as_str(), status), ("99: added\n267: added\n300: added\n", 0));
    let (out, _, status) = system.said(&["remove", "--name", "gone", "5"]);
    assert_eq!((out.as_str(), status), ("312: removed\n5: removed\n", 0));
    assert_eq!(system.said(&["add", "--name", "none"]).1, "taskmon: no process matches --name none\n");
    for command in ["add", "remove"] {
        let (out, err, status) = system.said(&[command]);
        assert_eq!((out.as_str(), status), ("", 2));
        assert!(err.contains("no task selected: give a PID"), "{err}");
    }
}

#[test]
fn mistakes_on_the_command_line() {
    for args in [
        &["show", "0"] as &[&str],
        &["show", "-1"],
        &["show", "4294967296"],
        &["show", "--since", "yesterday"],
        &["show", "--interval", "0s"],
        &["show", "--fields", "nonsense"],
        &["show", "--raw", "--interval", "1s"],
        &["show", "--format", "xml"],
        &["nonsense"],
        &["add"],
        &["remove", "--children"],
        &["add", "--name", "/(/"],
        // An empty variable of a script is not all there is.
        &["add", "--cgroup", ""],
        &["remove", "--unit", ""],
        &["list", "--user", ""],
    ] {
        // With and without the module.
        for loaded in [true, false] {
            let system = recorded();
            if !loaded {
                std::fs::remove_dir_all(system.path("sys/module")).unwrap();
            }
            let (out, err, status) = system.said(args);
            assert_eq!((out.as_str(), status), ("", 2), "{args:?}");
            assert!(!err.is_empty());
        }
    }
    assert!(recorded().said(&["add"]).1.contains("Usage: taskmon add "));
}

#[test]
fn without_the_module() {
    let system = System::new();
    std::fs::remove_dir_all(system.path("sys/module")).unwrap();
    for args in [&["list"] as &[&str], &["show"], &["add", "1"], &["remove", "1"]] {
        let (out, err, status) = system.said(args);
        let said = "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n";
        assert_eq!((out.as_str(), err.as_str(), status), ("", said, 1));
    }
}

#[test]
fn damage_is_said() {
    let system = recorded();
    system.append("sys/kernel/debug/taskmonitor_follow", "pid 7 usr\n");
    let (_, err, status) = system.said(&["show"]);
    assert!(err.ends_with("taskmonitor_follow: key without value: \"pid 7 usr\"\n"), "{err}");
    assert_eq!(status, 1);
}

#[test]
fn nobody_reads_any_more() {
    let system = recorded();
    let history = system.read("sys/kernel/debug/taskmonitor_follow").replace("start 300000000000", "start 1");
    for _ in 0..1000 {
        system.append("sys/kernel/debug/taskmonitor_follow", &history);
    }
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("taskmon"))
        .args(["--root", system.path("").to_str().unwrap(), "show"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("TIME"));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn following_ends_whole_when_it_is_told_to() {
    let system = recorded();
    // (Whoever started the tests may ignore the signal.)
    let mut child = std::process::Command::new("env")
        .arg("--default-signal")
        .arg(assert_cmd::cargo::cargo_bin("taskmon"))
        .args(["--root", system.path("").to_str().unwrap(), "show", "-f", "--format", "kv", "--raw"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    system.append("sys/kernel/debug/taskmonitor_follow", &text);
    while text.lines().count() < 20 {
        assert!(out.read_line(&mut text).unwrap() > 0);
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    out.read_to_string(&mut text).unwrap();
    assert!(text.ends_with('\n') && text.lines().all(|line| line.contains(" start ")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_was_good_before_damage_is_shown() {
    let system = recorded();
    let (all, _, _) = system.said(&["show", "--format", "csv"]);
    system.append("sys/kernel/debug/taskmonitor_follow", "pid 7 usr\n");
    let (out, _, status) = system.said(&["show", "--format", "csv"]);
    assert_eq!((out, status), (all, 1));
}

#[test]
fn the_end_of_time_is_no_end() {
    let system = recorded();
    let line = system.read("sys/kernel/debug/taskmonitor_follow").lines().last().unwrap().to_owned();
    let mut words: Vec<&str> = line.split(' ').collect();
    let max = u64::MAX.to_string();
    for key in ["time", "seq", "usr"] {
        let at = words.iter().position(|word| *word == key).unwrap();
        words[at + 1] = &max;
    }
    let line = words.join(" ");
    system.append("sys/kernel/debug/taskmonitor_follow", &format!("{line}\n"));
    assert_eq!(system.said(&["show", "--raw", "--format", "kv"]).0.lines().last(), Some(line.as_str()));
}

#[test]
fn each_field_comes_once_and_a_name_with_blanks_last() {
    let (out, _, status) =
        recorded().said(&["show", "300", "--format", "ndjson", "--fields", "pid,state", "--fields", "state,pid"]);
    assert_eq!((out.lines().next(), status), (Some("{\"pid\":300,\"state\":\"S\"}"), 0));
    let (out, _, _) = recorded().said(&["show", "300", "--format", "kv", "--fields", "name,pid"]);
    assert_eq!(out.lines().next(), Some("pid 300 name idle, \"quoted\""));
    let (out, _, _) = recorded().said(&["show", "300", "--format", "csv", "--fields", "name,pid"]);
    assert_eq!(out.lines().next(), Some("name,pid"));
}

#[test]
fn nobody_reads_what_was_added() {
    let system = System::new();
    for pid in 2..500 {
        system.process(pid, 1, "many", "/");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("taskmon"));
    command.arg("--root").arg(system.path("")).args(["add", "--name", "many", "7000"]).stdout(full);
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err, "taskmon: cannot write the output: No space left on device (os error 28)\n");
    assert_eq!(output.status.code(), Some(1));
    // All the same, it went on behind the first, 7000: a regular file keeps of a line what shorter ones have left.
    let mut taken = system.read("sys/kernel/taskmonitor");
    taken.truncate(4);
    assert_ne!(taken, "7000");
}

#[test]
fn no_half_record_where_there_is_no_room() {
    let system = recorded();
    let file = system.path("out");
    for redirection in [">", ">>"] {
        std::fs::write(&file, "before\n").unwrap();
        let script =
            format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" --root \"$1\" show --format csv {redirection}\"$2\"");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).arg(assert_cmd::cargo::cargo_bin("taskmon")).arg(system.path("")).arg(&file);
        let output = shell.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.starts_with("taskmon: cannot write the output: "), "{err}");
        assert_eq!(output.status.code(), Some(1));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(if redirection == ">" { "time," } else { "before\ntime," }), "{text}");
        assert!(text.ends_with(",busy ü\n") || text.ends_with(",\"idle, \"\"quoted\"\"\"\n"), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }
}
