// SPDX-License-Identifier: GPL-2.0-only

//! `show` and `list` over a recorded history.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
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

#[test]
fn names_are_cut_as_the_kernel_cuts_them() {
    let system = System::new();
    system.process(7, 1, "a-very-long-nam", "/");
    let (out, err, status) = system.said(&["add", "--name", "a-very-long-name-indeed"]);
    assert_eq!((out.as_str(), err.as_str(), status), ("7: added\n", "", 0));
    assert_eq!(system.read("sys/kernel/taskmonitor"), "7\n");
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
