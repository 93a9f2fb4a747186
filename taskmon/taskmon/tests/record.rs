// SPDX-License-Identifier: GPL-2.0-only

//! `record`, and what reads its files, with a folder in place of the module.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use common::BOOTED;
use common::System;
use common::golden;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::State;
use taskmonitor_recording::Anchor;
use taskmonitor_recording::Counts;
use taskmonitor_recording::Damage;
use taskmonitor_recording::End;
use taskmonitor_recording::Event;
use taskmonitor_recording::Exec;
use taskmonitor_recording::Head;
use taskmonitor_recording::Lost;
use taskmonitor_recording::Reader;
use taskmonitor_recording::Reason;
use taskmonitor_recording::Why;
use taskmonitor_recording::Writer;

/// The longest that something is waited for.
const LIMIT: Duration = Duration::from_secs(60);
const FOLLOW: &str = "sys/kernel/debug/taskmonitor_follow";
const TASKS: &str = "sys/kernel/debug/taskmonitor_tasks";

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LIMIT, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}

fn line(pid: u64, second: u64, seq: u64, usr: u64, rss: u64) -> String {
    format!(
        "pid {pid} usr {} sys {} time {} rss {rss} minflt {} majflt 1 mm_users 1 state {} seq {seq} start {}\n",
        usr * 1_000_000,
        usr * 100_000,
        100_000_000_000 + second * 1_000_000_000 + pid,
        usr / 10,
        if usr == 0 { 'S' } else { 'R' },
        pid * 1_000_000_000,
    )
}

fn task(pid: u64, counts: [u64; 4], comm: &str) -> String {
    let [taken, evicted, reclaimed, missed] = counts;
    format!(
        "pid {pid} start {} state S threads 1 samples {} taken {taken} evicted {evicted} reclaimed {reclaimed} \
         missed {missed} usr 0 sys 0 time 109000000000 rss 4096 mm_users 1 comm {comm}\n",
        pid * 1_000_000_000,
        taken - evicted - reclaimed,
    )
}

/// Two tasks, ten seconds; of the first, three samples were missed.
fn recorded() -> System {
    let system = System::new();
    let mut history = String::new();
    for second in 0..10 {
        if !(3..=5).contains(&second) {
            history += &line(267, second, second, 400 * second, 1_048_576 + 4096 * second);
        }
        history += &line(300, second, second, 0, 524_288);
    }
    system.write(FOLLOW, &history);
    system
        .write(TASKS, &(task(267, [7, 0, 0, 3], "busy \\303\\274") + &task(300, [10, 0, 0, 0], "idle, \"quoted\"")));
    system.write("proc/sys/kernel/osrelease", "6.12.48+deb13-amd64\n");
    system
}

/// `taskmon record -o FILE ARGS`, which goes on.
fn begin(system: &System, file: &str, args: &[&str]) -> Child {
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_taskmon"), "--root"]).arg(system.path(""));
    command.args(["--booted", BOOTED, "record", "-o"]).arg(system.path(file)).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Stops it, and gives what it said.
#[track_caller]
fn stop(mut child: Child, signal: Signal) -> String {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

fn events(path: &Path) -> (Vec<Event>, Damage) {
    let mut reader = Reader::open(path).unwrap();
    let mut events = Vec::new();
    while let Some(event) = reader.next().unwrap() {
        events.push(event);
    }
    (events, reader.damage())
}

fn samples(path: &Path) -> Vec<Sample> {
    let sample = |event| if let Event::Sample(sample) = event { Some(sample) } else { None };
    Reader::open(path).map(|_| events(path).0.into_iter().filter_map(sample).collect()).unwrap_or_default()
}

fn lost(path: &Path) -> Vec<(u32, u64, u64, Reason)> {
    let lost = |event| if let Event::Lost(l) = event { Some((l.id.pid, l.count, l.before, l.reason)) } else { None };
    events(path).0.into_iter().filter_map(lost).collect()
}

fn end(path: &Path) -> End {
    match events(path).0.last() {
        Some(Event::End(end)) => *end,
        other => panic!("{other:?} is no end"),
    }
}

/// Records what there is, and stops.
#[track_caller]
fn record(system: &System, args: &[&str], expected: usize) -> (PathBuf, String) {
    let path = system.path("a.rec");
    let changed = || fs::metadata(&path).map_or((0, 0), |meta| (meta.ctime(), meta.ctime_nsec()));
    let before = changed();
    let child = begin(system, "a.rec", args);
    wait_until("samples in the file", || changed() != before && samples(&path).len() >= expected);
    (path, stop(child, Signal::SIGINT))
}

#[test]
fn a_file_shows_what_the_module_shows() {
    let system = recorded();
    let (path, said) = record(&system, &[], 17);
    let name = path.display();
    let size = fs::metadata(&path).unwrap().len();
    let expected = format!("taskmon: {name}: 17 samples of 2 tasks in ");
    assert!(said.starts_with(&expected) && said.ends_with(&format!(", {size}B, 3 lost: 3 missed\n")), "{said}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let path = path.to_str().unwrap();
    for args in [
        &["--raw", "--format", "kv"][..],
        &[],
        &["--interval", "5s", "--format", "csv"],
        &["267", "--format", "ndjson"],
        &["--name", "/^idle/", "--fields", "time,name,rss"],
        &["--since", "2026-11-27T16:01:47Z", "--until", "1795795309"],
    ] {
        let (live, _, _) = system.said(&[&["show"], args].concat());
        let (file, err, status) = system.said(&[&["show", "-i", path], args].concat());
        assert_eq!((err.as_str(), status), ("", 0), "{args:?}");
        assert_eq!(file, live, "{args:?}");
    }
    assert_eq!(system.said(&["show", "--raw", "--format", "kv", "-i", path]).0, system.read(FOLLOW));
    // It needs neither the module nor its system's clock.
    let elsewhere = System::new();
    fs::remove_dir_all(elsewhere.path("sys")).unwrap();
    assert_eq!(elsewhere.said(&["show", "-i", path]), system.said(&["show"]));
    for (args, text) in [
        (&["show", "-i", path, "999"][..], "a.rec matches PID 999"),
        (&["show", "-i", path, "--user", "0"], "which has only PIDs and names of tasks"),
        (&["show", "-i", path, "--cmdline", "/a/"], "which has only PIDs and names of tasks"),
        (&["show", "-i", path, "--children", "267"], "which has only PIDs and names of tasks"),
        (&["show", "-i", "/proc/self/status"], "is not a recording of taskmon"),
        (&["show", "-i", "/"], "is not a recording of taskmon"),
        (&["info", "-i", "/nothing/there"], "No such file"),
    ] {
        let (_, err, status) = system.said(args);
        assert!(err.contains(text) && status == 1, "{args:?}: {err}");
    }
    assert_eq!(system.said(&["show", "-i", path, "--follow"]).2, 2);
}

#[test]
fn what_is_chosen() {
    let system = recorded();
    system.write(FOLLOW, &(line(5, 0, 0, 1, 1) + &system.read(FOLLOW)));
    for args in [&["300"][..], &["--name", "idle, \"quoted\""]] {
        let (path, said) = record(&system, args, 10);
        assert!(said.contains("10 samples of 1 task in") && said.contains("none lost"), "{said}");
        assert!(samples(&path).iter().all(|sample| sample.pid == 300));
    }
    let file = system.path("none.rec");
    let (_, err, status) = system.said(&["record", "-o", file.to_str().unwrap(), "999"]);
    assert!(
        err.contains("no monitored task matches PID 999; to monitor a task: taskmon add PID") && status == 1,
        "{err}"
    );
    assert!(!file.exists());
    for args in [
        &["record", "267"][..],
        &["record", "-o", "x", "--max-size", "10"],
        &["record", "-o", "x", "--max-size", "1XB"],
        &["record", "-o", "x", "267", "--", "true"],
        &["record", "-o", "x", "--from-now", "--", "true"],
        &["record", "-o", "x", "--period", "1s"],
    ] {
        assert_eq!(system.said(args).2, 2, "{args:?}");
    }
}

#[test]
fn only_what_is_new() {
    let system = recorded();
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &["--from-now"]);
    wait_until("the file", || Reader::open(&path).is_ok());
    system.append(FOLLOW, &(line(300, 10, 10, 0, 1) + &line(267, 12, 12, 0, 1)));
    system.write(TASKS, &(task(267, [9, 0, 0, 4], "busy") + &task(300, [11, 0, 0, 0], "idle")));
    wait_until("samples", || samples(&path).len() == 2);
    stop(child, Signal::SIGTERM);
    assert_eq!(samples(&path).len(), 2);
    // (It may have looked before the fake module said what it counts.)
    let lost = lost(&path);
    assert_eq!(lost.iter().map(|lost| lost.1).sum::<u64>(), 2);
    assert!(lost.iter().all(|lost| (lost.0, lost.2) == (267, 12)), "{lost:?}");
    assert_eq!(end(&path).why, Why::Stopped);
}

#[test]
fn reasons_of_losses() {
    let system = recorded();
    system.write(FOLLOW, &line(267, 0, 0, 1, 1));
    system.write(TASKS, &task(267, [1, 0, 0, 0], "busy"));
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &[]);
    wait_until("a sample", || samples(&path).len() == 1);
    // (A look may come between the counts and the sample, but none before the counts.)
    system.write(TASKS, &task(267, [9, 7, 0, 2], "busy"));
    system.append(FOLLOW, &line(267, 10, 10, 2, 1));
    wait_until("a reason", || lost(&path).len() >= 2);
    assert_eq!(lost(&path), [(267, 2, 10, Reason::Missed), (267, 7, 10, Reason::Evicted)]);
    system.write(TASKS, &task(267, [20, 7, 10, 2], "busy"));
    system.append(FOLLOW, &line(267, 21, 21, 2, 1));
    wait_until("another", || lost(&path).len() >= 3);
    assert_eq!(lost(&path)[2..], [(267, 10, 21, Reason::Reclaimed)]);
    stop(child, Signal::SIGHUP);
    let counts =
        Counts { id: Id { pid: 267, start: 267_000_000_000 }, taken: 20, missed: 2, evicted: 7, reclaimed: 10 };
    assert!(events(&path).0.contains(&Event::Counts(counts)));
}

/// With no sample behind them that would show that they are missing.
#[test]
fn the_last_ones_have_gone() {
    let system = recorded();
    let tasks = |first, second, third| {
        task(267, first, "busy") + &task(300, second, "never read") + &task(400, third, "gone before")
    };
    system.write(FOLLOW, &line(267, 0, 0, 1, 1));
    system.write(TASKS, &tasks([1, 0, 0, 0], [7, 2, 0, 3], [5, 5, 0, 1]));
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &[]);
    wait_until("a sample", || samples(&path).len() == 1);
    system.write(TASKS, &tasks([9, 9, 0, 2], [8, 2, 6, 4], [5, 5, 0, 1]));
    let said = stop(child, Signal::SIGINT);
    let mut told = lost(&path);
    told.sort();
    let expected = [
        (267, 2, 11, Reason::Missed),
        (267, 8, 11, Reason::Evicted),
        (300, 1, 12, Reason::Missed),
        (300, 6, 12, Reason::Reclaimed),
    ];
    assert_eq!(told, expected);
    assert!(said.ends_with("17 lost: 3 missed, 8 evicted, 6 reclaimed\n"), "{said}");
    let name = |event| if let Event::Name { id, name } = event { Some((id.pid, name)) } else { None };
    let names: Vec<_> = events(&path).0.into_iter().filter_map(name).collect();
    assert_eq!(names, [(267, b"busy".to_vec()), (300, b"never read".to_vec())]);
    let counts = |event| if let Event::Counts(counts) = event { Some((counts.id.pid, counts.taken)) } else { None };
    assert_eq!(events(&path).0.into_iter().filter_map(counts).collect::<Vec<_>>(), [(267, 9), (300, 8)]);
}

/// Lets the module count so, and waits until that has been looked at: task 300, of which there must be a sample, has a new name.
#[track_caller]
fn look(system: &System, file: &str, tasks: &str) {
    let path = system.path(file);
    let names = || {
        let of_300 = |event: &Event| matches!(event, Event::Name { id, .. } if id.pid == 300);
        events(&path).0.iter().filter(|event| of_300(event)).count()
    };
    let before = names();
    // (As a whole: half of it would be read as well.)
    system.write("tasks", &(tasks.to_owned() + &task(300, [1, 0, 0, 0], &format!("look {before}"))));
    fs::rename(system.path("tasks"), system.path(TASKS)).unwrap();
    wait_until("a look", || names() > before);
}

fn lines(pid: u64, seqs: std::ops::Range<u64>) -> String {
    seqs.map(|seq| line(pid, seq, seq, 1, 1)).collect()
}

/// A recording of the first `count` samples of the task 267, and one of 300.
fn begun(count: u64) -> (System, PathBuf, Child) {
    let system = recorded();
    system.write(FOLLOW, &(lines(267, 0..count) + &lines(300, 0..1)));
    system.write(TASKS, &(task(267, [count, 0, 0, 0], "busy") + &task(300, [1, 0, 0, 0], "idle")));
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() as u64 == count + 1);
    (system, path, child)
}

/// Of one that is removed, what had not been read.
#[test]
fn removed_unread() {
    for (counts, expected) in [
        // All five were there at the last look; who was evicted had been read.
        ([105, 100, 0, 2], [(267, 5, 107, Reason::Unknown), (267, 2, 107, Reason::Missed)].as_slice()),
        ([105, 103, 0, 0], &[(267, 2, 105, Reason::Unknown), (267, 3, 105, Reason::Evicted)]),
        ([100, 0, 100, 0], &[]),
    ] {
        let (system, path, child) = begun(100);
        look(&system, "a.rec", &task(267, counts, "busy"));
        look(&system, "a.rec", "");
        look(&system, "a.rec", "");
        look(&system, "a.rec", "");
        assert_eq!(lost(&path), expected);
        stop(child, Signal::SIGINT);
        assert_eq!(lost(&path), expected);
    }
}

/// Just before the end.
#[test]
fn removed_in_the_end() {
    let (system, path, child) = begun(1);
    look(&system, "a.rec", &task(267, [50, 0, 0, 0], "busy"));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    // More than is read at once, and with a sample behind the end: one look has to do.
    system.append(FOLLOW, &(lines(300, 1..5000) + &line(300, 1_000_000_000, 5000, 1, 1)));
    system.write(TASKS, &task(300, [5001, 0, 0, 0], "idle"));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    stop(child, Signal::SIGCONT);
    assert_eq!(lost(&path), [(267, 49, 50, Reason::Unknown)]);
}

/// Removed, and added again: its numbers and its counts begin anew.
#[test]
fn added_again() {
    let (system, path, child) = begun(10);
    let again = |taken| task(267, taken, "busy").replace("time 109000000000", "time 209000000000");
    look(&system, "a.rec", &task(267, [10, 0, 0, 0], "busy"));
    look(&system, "a.rec", &again([2, 0, 0, 0]));
    system.append(FOLLOW, &lines(267, 0..2));
    look(&system, "a.rec", &again([3, 0, 0, 0]));
    system.append(FOLLOW, &lines(267, 2..5));
    wait_until("all samples", || samples(&path).len() == 16);
    look(&system, "a.rec", &again([5, 0, 0, 0]));
    assert_eq!(lost(&path), []);
    // Once more: of the former history, three were not read, and all of the new one has gone.
    look(&system, "a.rec", &again([8, 0, 0, 0]));
    look(&system, "a.rec", &again([6, 6, 0, 1]));
    stop(child, Signal::SIGINT);
    let expected = [(267, 3, 8, Reason::Unknown), (267, 1, 7, Reason::Missed), (267, 6, 7, Reason::Evicted)];
    let mut told = lost(&path);
    told.sort_by_key(|lost| (lost.2 != 8, lost.3 as u8));
    assert_eq!(told, expected);
}

/// Those that are monitored for others are none of its business.
#[test]
fn a_command_beside_others() {
    let system = recorded();
    system.write("sys/module/taskmonitor/parameters/max_samples", "3600\n");
    let path = system.path("a.rec");
    let script = format!("cd {}; echo >ready; while [ ! -e go ]; do sleep 0.02; done", system.path("").display());
    let child = begin(&system, "a.rec", &["--", "sh", "-c", &script]);
    wait_until("the command", || system.path("ready").exists());
    system.write(TASKS, &(task(267, [507, 0, 0, 3], "busy") + &task(300, [510, 510, 0, 0], "idle")));
    system.write("go", "");
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains(", none lost"), "{said}");
    assert_eq!(lost(&path), []);
}

/// The names of those of which there is no sample take no room from those that are there.
#[test]
fn names_of_those_never_read_come_last() {
    let system = System::new();
    let others = |counts| (1000..3000).map(|pid| task(pid, counts, &format!("number {pid}"))).collect::<String>();
    let wild_task = |count| task(267, [count, 0, 0, 0], "wild").replace("start 267000000000", "start 1");
    system.write(FOLLOW, &wild(0, 100));
    system.write(TASKS, &(wild_task(100) + &others([1, 0, 0, 0])));
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &["--max-size", "64KiB"]);
    wait_until("samples", || samples(&path).len() == 100);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    system.append(FOLLOW, &wild(100, 300));
    system.write(TASKS, &(wild_task(400) + &others([1, 1, 0, 0])));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    stop(child, Signal::SIGCONT);
    assert_eq!(samples(&path).len(), 400);
    assert!(fs::metadata(&path).unwrap().len() <= 64 << 10);
}

#[test]
fn a_name_that_changes() {
    let system = recorded();
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &["267", "300"]);
    wait_until("samples", || samples(&path).len() == 17);
    system.write(TASKS, &(task(267, [7, 0, 0, 3], "other") + &task(300, [10, 0, 0, 0], "idle, \"quoted\"")));
    let names = || {
        let name = |event| if let Event::Name { id, name } = event { Some((id.pid, name)) } else { None };
        events(&path).0.into_iter().filter_map(name).collect::<Vec<_>>()
    };
    wait_until("the name", || names().len() == 3);
    assert_eq!(names().last(), Some(&(267, b"other".to_vec())));
    // All of its tasks exit.
    let last = |pid, second| line(pid, second, second, 0, 0).replace("state S", "state X");
    system.append(FOLLOW, &(last(267, 10) + &last(300, 10)));
    let output = child.wait_with_output().unwrap();
    assert!(
        String::from_utf8(output.stderr).unwrap().ends_with("(all selected tasks have exited or were removed)\n")
    );
    assert_eq!((end(&path).why, samples(&path).len()), (Why::Gone, 19));
}

#[test]
fn a_task_that_had_exited_before() {
    let system = recorded();
    system.append(FOLLOW, &line(267, 10, 10, 0, 0).replace("state S", "state X"));
    let exited = task(267, [8, 0, 0, 3], "busy").replace("state S", "state X").replace("time 109", "time 110");
    system.write(TASKS, &exited);
    let path = system.path("a.rec");
    let args = ["record", "-o", path.to_str().unwrap(), "--from-now", "--duration", "60s", "267"];
    let (_, err, status) = system.said(&args);
    assert!(err.ends_with("(all selected tasks have exited or were removed)\n") && status == 0, "{err}");
    assert_eq!((end(&path).why, samples(&path).len()), (Why::Gone, 0));
}

#[test]
fn tasks_that_were_removed_count_once() {
    let system = recorded();
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 17);
    system.write(TASKS, "");
    system.append(FOLLOW, &line(267, 12, 12, 1, 1));
    // That nobody knows why is told when the task is.
    wait_until("the removal", || lost(&path).iter().any(|lost| lost.3 == Reason::Unknown));
    let said = stop(child, Signal::SIGINT);
    assert!(said.contains("18 samples of 2 tasks in "), "{said}");
}

#[test]
fn threads_are_told_from_processes() {
    let system = recorded();
    let tasks = system.read(TASKS);
    system.write(
        TASKS,
        &tasks.replace(" comm busy", " tgid 300 comm busy").replace(" comm idle", " tgid 300 comm idle"),
    );
    let (path, _) = record(&system, &[], 17);
    let id = Id { pid: 267, start: 267_000_000_000 };
    let (events, _) = events(&path);
    let threads: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Thread { .. })).collect();
    assert_eq!(threads, [&Event::Thread { id, process: 300 }]);
    // Before its first sample.
    let first = |what: fn(&Event) -> bool| events.iter().position(what).unwrap();
    assert!(first(|event| matches!(event, Event::Thread { .. })) < first(|event| matches!(event, Event::Sample(_))));
}

/// A chunk as it is in a file, of whatever kind.
fn chunk(kind: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(number.to_le_bytes());
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    // The CRC-32 of zlib.
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)));
    [b"\xf5TM\0", &bytes[..], &crc.to_le_bytes()].concat()
}

const END: taskmonitor_recording::End =
    taskmonitor_recording::End { why: taskmonitor_recording::Why::Stopped, time: 0, status: None, peak: None };

#[test]
fn only_a_new_file_or_a_recording() {
    let system = recorded();
    let path = system.path("a.rec");
    record(&system, &[], 17);
    let good = system.path("good.rec");
    fs::rename(&path, &good).unwrap();
    let refused = |text: &str| {
        let (_, err, status) = system.said(&["record", "-o", path.to_str().unwrap(), "--duration", "10s"]);
        assert!(err.contains(text) && err.lines().count() == 1 && status == 1, "{err}");
    };
    fs::write(&path, "precious").unwrap();
    refused("the file exists and is not a recording");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("directory");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("it is not a regular file");
    fs::remove_file(&path).unwrap();
    symlink("precious", &path).unwrap();
    refused("it is a symbolic link");
    assert!(!system.path("precious").exists());
    fs::remove_file(&path).unwrap();
    // A recording, but not one that is understood: of a format that is newer, of a taskmon that is newer, without a head, cut
    // within its version, or with something else behind the magic bytes.
    let start = taskmonitor_recording::beginning();
    let magic = start.get(..8).unwrap();
    let headed = |taskmon: &str| {
        let head =
            taskmonitor_recording::Head { taskmon: taskmon.to_owned(), ..taskmonitor_recording::Head::default() };
        taskmonitor_recording::Writer::new(Vec::new(), head).unwrap().end(&END).unwrap()
    };
    // And with something that a later version may have: a chunk of another kind, a line in the head, or a damaged place, which may be
    // all that there is of it.
    let newest = headed(env!("CARGO_PKG_VERSION"));
    let recorded = fs::read(&good).unwrap();
    let next = |text: &[u8]| text.windows(4).filter(|bytes| *bytes == b"\xf5TM\0").count() as u32;
    let with = |kind: u8, payload: &[u8]| [&newest[..], &chunk(kind, next(&newest), payload)].concat();
    let damaged = |at: usize| {
        let mut text = recorded.clone();
        text[at] ^= 1;
        text
    };
    let version = env!("CARGO_PKG_VERSION");
    for (text, why) in [
        (with(9, b"later"), "with content that this taskmon does not understand"),
        (
            with(1, format!("taskmon {version}\nlater 1\n").as_bytes()),
            "with content that this taskmon does not understand",
        ),
        (with(6, b"why bored\n"), "with content that this taskmon does not understand"),
        (with(4, &[7, 1, 1, 1, 77]), "with content that this taskmon does not understand"),
        (damaged(recorded.len() / 2), "that is damaged"),
        (damaged(recorded.len() - 1), "with content that this taskmon does not understand"),
        ([&recorded[..], &[0; 4096]].concat(), "with content that this taskmon does not understand"),
        (headed(""), "of an unknown version of taskmon (\"\")"),
        (headed("0.1.0~later"), "of an unknown version of taskmon (\"0.1.0~later\")"),
        (headed("0.999.0-rc.1"), "a recording of taskmon 0.999.0-rc.1, which is newer"),
        ([magic, &99_u32.to_le_bytes(), b"new"].concat(), "a recording of format version 99, which is newer"),
        (headed("999.0.0"), "a recording of taskmon 999.0.0, which is newer"),
        ([&start[..], b"no chunk"].concat(), "cannot be read as a recording"),
        ([magic, &[0; 4]].concat(), "cannot be read as a recording"),
        ([magic, &[9]].concat(), "is not a recording"),
        (b"\x8bTMRECORD\n".to_vec(), "is not a recording"),
    ] {
        fs::write(&path, &text).unwrap();
        refused(why);
        assert_eq!(fs::read(&path).unwrap(), text);
        // No other output replaces it either.
        for args in [["csv", "-o"], ["plot", "-o"]] {
            let (_, err, status) =
                system.said(&[args[0], "-i", good.to_str().unwrap(), args[1], path.to_str().unwrap()]);
            assert!(
                !text.starts_with(magic) || status == 1 && err.contains("is a recording"),
                "{args:?}: {status} {err}"
            );
            if text.starts_with(magic) {
                assert_eq!(fs::read(&path).unwrap(), text);
            }
        }
    }
    // One of an older taskmon, and what a recorder leaves that is killed: at once, or while it wrote a chunk.
    let cut = |less: usize| recorded[..recorded.len() - less].to_vec();
    let cuts = [cut(1), cut(10), cut(recorded.len() / 2)];
    for text in
        [headed("0.0.1"), headed(&format!("{version}-rc.1+b")), magic.to_vec(), start, newest].into_iter().chain(cuts)
    {
        fs::write(&path, text).unwrap();
        record(&system, &[], 17);
    }
    // An empty one, as mktemp makes, and a recording, which others could read.
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    record(&system, &[], 17);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    record(&system, &["300"], 10);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(samples(&path).len(), 10);
    // Two at once.
    let child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 17);
    refused("another taskmon is writing to it");
    assert!(system.said(&["info", "-i", path.to_str().unwrap()]).0.contains("not yet: taskmon is writing it"));
    stop(child, Signal::SIGINT);
}

/// Samples of which nothing can be foreseen.
fn wild(from: u64, count: u64) -> String {
    let number = |i: u64, field: u64| (i * 8 + field).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    let one = |i| {
        format!(
            "pid 267 usr {} sys {} time {} rss {} minflt {} majflt {} mm_users 1 state R seq {i} start 1\n",
            number(i, 0),
            number(i, 1),
            1_000_000_000 + i,
            number(i, 3),
            number(i, 4),
            number(i, 5),
        )
    };
    (from..from + count).map(one).collect()
}

fn wild_system(count: u64) -> System {
    let system = System::new();
    system.write(FOLLOW, &wild(0, count));
    system.write(TASKS, &task(267, [count, 0, 0, 0], "wild").replace("start 267000000000", "start 1"));
    system
}

#[test]
fn no_larger_than_it_may_be() {
    for (most, bytes) in [("16KiB", 16 << 10), ("100000", 100_000), ("1MiB", 1 << 20)] {
        let system = wild_system(40_000);
        let path = system.path("a.rec");
        let (_, err, status) = system.said(&["record", "-o", path.to_str().unwrap(), "--max-size", most]);
        assert!(err.ends_with("(maximum size reached)\n") && status == 0, "{err}");
        let size = fs::metadata(&path).unwrap().len();
        assert!((bytes / 2..=bytes).contains(&size), "{size} of {bytes}");
        assert_eq!(end(&path).why, Why::MaxSize);
        let samples = samples(&path);
        assert!(samples.iter().zip(0..).all(|(sample, seq)| sample.seq == seq) && samples.len() > 100);
        assert_eq!(events(&path).1, Damage::default());
    }
}

/// What was missing is told although the file is full.
#[test]
fn full_of_a_task_with_losses() {
    let system = wild_system(40_000);
    system.write(FOLLOW, &(wild(0, 1) + &wild(3, 40_000)));
    system.write(TASKS, &task(267, [2, 0, 0, 2], "wild").replace("start 267000000000", "start 1"));
    let path = system.path("a.rec");
    let (_, err, _) = system.said(&["record", "-o", path.to_str().unwrap(), "--max-size", "16KiB"]);
    assert_eq!(lost(&path), [(267, 2, 3, Reason::Missed)]);
    assert!(err.contains(", 2 lost: 2 missed "), "{err}");
    assert_eq!(end(&path).why, Why::MaxSize);
}

#[test]
fn tasks_that_found_no_place_do_not_count() {
    let system = System::new();
    let all = 1000..4000;
    system.write(FOLLOW, &all.clone().map(|pid| line(pid, 0, 0, 1, 1)).collect::<String>());
    system.write(TASKS, &all.map(|pid| task(pid, [1, 0, 0, 0], &format!("number {pid}"))).collect::<String>());
    let path = system.path("a.rec");
    let (_, err, _) = system.said(&["record", "-o", path.to_str().unwrap(), "--max-size", "16KiB"]);
    let count = samples(&path).len();
    assert!((10..3000).contains(&count), "{count}");
    assert!(err.contains(&format!(": {count} samples of {count} tasks in ")), "{err}");
}

fn prlimit(child: &Child, limit: &str) {
    let pid = child.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
    assert!(status.unwrap().success());
}

#[test]
fn no_room_for_a_while() {
    let system = wild_system(2000);
    let path = system.path("a.rec");
    let mut child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 2000);
    prlimit(&child, &(fs::metadata(&path).unwrap().len() + 6000).to_string());
    // More than is kept in memory.
    for part in 0..40 {
        system.append(FOLLOW, &wild(2000 + part * 1000, 1000));
        sleep(Duration::from_millis(50));
    }
    system.write(TASKS, &task(267, [42_000, 0, 0, 0], "wild").replace("start 267000000000", "start 1"));
    let mut said = [0; 1000];
    let count = child.stderr.as_mut().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    assert!(said.contains("no space left for") && said.lines().count() == 1, "{said}");
    assert_eq!(samples(&path).len(), 2000);
    // (All must have been read: what is not would find room.)
    let pid = child.id();
    let read = || {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|fd| fd.unwrap());
        let follow = fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.ends_with("taskmonitor_follow")));
        let infos: Vec<String> = follow
            .map(|fd| fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(fd.file_name())).unwrap())
            .collect();
        infos[0].lines().next().unwrap().trim_start_matches("pos:").trim().parse::<u64>().unwrap()
    };
    wait_until("all is read", || read() == fs::metadata(system.path(FOLLOW)).unwrap().len());
    sleep(Duration::from_millis(300));
    prlimit(&child, "unlimited");
    wait_until("the loss is told", || !lost(&path).is_empty());
    system.append(FOLLOW, &wild(42_000, 500));
    system.write(TASKS, &task(267, [42_500, 0, 0, 0], "wild").replace("start 267000000000", "start 1"));
    wait_until("it goes on", || samples(&path).last().is_some_and(|sample| sample.seq == 42_499));
    let said = stop(child, Signal::SIGINT);
    let (samples, lost) = (samples(&path), lost(&path));
    assert_eq!((lost.len(), lost[0].0, lost[0].2, lost[0].3), (1, 267, 42_000, Reason::NoSpace), "{lost:?}");
    assert_eq!(samples.len() as u64 + lost[0].1, 42_500);
    assert!(samples.len() > 5000 && lost[0].1 > 5000, "{} {lost:?}", samples.len());
    assert!(samples.windows(2).all(|two| two[0].seq < two[1].seq));
    assert!(said.contains(&format!("{0} lost: {0} for lack of space", lost[0].1)), "{said}");
    assert_eq!(events(&path).1, Damage::default());
}

#[test]
fn no_room_until_the_end() {
    let system = wild_system(2000);
    let path = system.path("a.rec");
    let child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 2000);
    let size = fs::metadata(&path).unwrap().len() + 6000;
    prlimit(&child, &size.to_string());
    system.append(FOLLOW, &wild(2000, 1000));
    let mut child = child;
    let mut first = [0; 20];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"taskmon: no space le");
    let said = stop(child, Signal::SIGINT);
    assert!(said.contains("1000 lost: 1000 for lack of space"), "{said}");
    assert_eq!(lost(&path), [(267, 1000, 3000, Reason::NoSpace)]);
    assert_eq!((end(&path).why, samples(&path).len()), (Why::Stopped, 2000));
    assert!(fs::metadata(&path).unwrap().len() <= size);
}

#[test]
fn what_was_missed_is_told_without_room() {
    let system = wild_system(2000);
    let path = system.path("a.rec");
    let mut child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 2000);
    prlimit(&child, &(fs::metadata(&path).unwrap().len() + 6000).to_string());
    system.write(TASKS, &task(267, [3000, 0, 0, 3], "wild").replace("start 267000000000", "start 1"));
    system.append(FOLLOW, &wild(2003, 1000));
    let mut first = [0; 20];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"taskmon: no space le");
    let said = stop(child, Signal::SIGINT);
    assert!(said.contains("1003 lost: 3 missed, 1000 for lack of space"), "{said}");
    let mut lost = lost(&path);
    lost.sort();
    assert_eq!(lost, [(267, 3, 2003, Reason::Missed), (267, 1000, 3003, Reason::NoSpace)]);
}

#[test]
fn killed() {
    let system = recorded();
    let path = system.path("a.rec");
    let mut child = begin(&system, "a.rec", &[]);
    wait_until("samples", || samples(&path).len() == 17);
    child.kill().unwrap();
    child.wait().unwrap();
    let (info, _, _) = system.said(&["info", "-i", path.to_str().unwrap()]);
    assert!(info.contains("ended  abnormally") && info.contains("17 samples of 2 tasks"), "{info}");
    // Half a chunk at the end, and damage in the middle.
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 3);
    fs::write(&path, &bytes).unwrap();
    let (info, _, _) = system.said(&["info", "-i", path.to_str().unwrap()]);
    assert!(info.contains("damaged  an incomplete chunk of "), "{info}");
}

#[test]
fn for_so_long() {
    let system = recorded();
    let path = system.path("a.rec");
    let (_, err, status) = system.said(&["record", "-o", path.to_str().unwrap(), "--duration", "300ms"]);
    assert!(err.contains("17 samples") && status == 0, "{err}");
    assert_eq!(end(&path).why, Why::Duration);
}

#[test]
fn a_command() {
    let system = recorded();
    system.write("sys/module/taskmonitor/parameters/max_samples", "3600\n");
    let path = system.path("a.rec");
    let script = "echo ready >ready; while [ ! -e go ]; do sleep 0.02; done; exit 3";
    let child = begin(&system, "a.rec", &["--", "sh", "-c", &format!("cd {}; {script}", system.path("").display())]);
    wait_until("the command", || system.path("ready").exists());
    let told = system.read("sys/kernel/taskmonitor");
    let pid: u64 = told.lines().next().unwrap().parse().unwrap();
    // The first is of before the command began, and is not recorded.
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    let at = |line: String, second: u64| {
        let (before, behind) = line.split_once(" time ").unwrap();
        let (_, behind) = behind.split_once(' ').unwrap();
        format!("{before} time {} {behind}", (now.tv_sec() as u64 + second) * 1_000_000_000)
    };
    let of_command = line(pid, 1, 0, 0, 1) + &at(line(pid, 1, 1, 5, 1), 1) + &at(line(pid, 2, 2, 6, 1), 2);
    system.append(TASKS, &task(pid, [3, 0, 0, 0], "sh"));
    system.append(FOLLOW, &(of_command + &line(300, 11, 11, 0, 1)));
    wait_until("samples", || samples(&path).len() == 2);
    system.write("go", "");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("\n   status  exit 3\n"), "{said}");
    assert!(said.lines().last().unwrap().contains("2 samples of 1 task in "), "{said}");
    assert!(samples(&path).iter().all(|sample| u64::from(sample.pid) == pid && sample.usr > 0));
    assert!(said.lines().last().unwrap().ends_with(", none lost"), "{said}");
    assert_eq!((end(&path).why, end(&path).status), (Why::Command, Some(3)));
    let (info, _, _) = system.said(&["info", "-i", path.to_str().unwrap()]);
    assert!(info.contains("  command  sh -c cd ") && info.contains("with the command (exit status 3)"), "{info}");
    assert_eq!(system.said(&["record", "-o", path.to_str().unwrap(), "--", "/nothing/there"]).2, 127);
    assert_eq!((end(&path).why, end(&path).status), (Why::Command, Some(127)));
}

#[test]
fn a_command_that_cannot_be_recorded_to_its_end() {
    let system = recorded();
    let path = system.path("a.rec");
    let script = "mv tasks gone; while [ ! -e go ]; do sleep 0.02; done; exit 3";
    let script = format!("cd {}; {}", system.path("").display(), script.replacen("tasks", TASKS, 1));
    let mut child = begin(&system, "a.rec", &["--", "sh", "-c", &script]);
    let mut said = [0; 30];
    child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"taskmon: the recording ends he");
    system.write("go", "");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!((end(&path).why, end(&path).status), (Why::Failed, None));
}

/// A recording as it could be, of known times.
fn known(system: &System) -> PathBuf {
    let head = Head {
        booted: BOOTED.parse().unwrap(),
        began: 100_000_000_000,
        suspended: 0,
        period: Duration::from_millis(1000),
        module: "0.1.0".to_owned(),
        taskmon: "0.1.0".to_owned(),
        kernel: "6.12.48+deb13-amd64".to_owned(),
        command: Some("make \u{1b}[31m".to_owned()),
        exec: None,
    };
    let mut writer = Writer::new(Vec::new(), head).unwrap();
    let recorded = recorded();
    let all = recorded.read(FOLLOW);
    let id = |pid| Id { pid, start: u64::from(pid) * 1_000_000_000 };
    writer.name(id(267), b"ma\x1bke").unwrap();
    writer.name(id(300), b"a, \"b\"").unwrap();
    for line in all.lines() {
        writer.sample(&Sample::parse(line.as_bytes()).unwrap()).unwrap();
    }
    writer.lost(&[Lost { id: id(267), count: 2, before: 6, reason: Reason::Evicted }]).unwrap();
    let end = End { why: Why::Command, time: 110_000_000_000, status: Some(2), peak: None };
    let path = system.path("known.rec");
    fs::write(&path, writer.end(&end).unwrap()).unwrap();
    path
}

#[test]
fn what_is_in_it() {
    let system = System::new();
    let path = known(&system);
    let path = path.to_str().unwrap();
    let (out, err, status) = system.said(&["info", "-i", path]);
    assert_eq!((err.as_str(), status), ("", 0));
    golden("info.table", &out.replacen(path, "known.rec", 1));
    for format in ["csv", "ndjson"] {
        golden(&format!("info.{format}"), &system.said(&["info", "-i", path, "--format", format]).0);
    }
    let csv = system.path("out.csv");
    let (out, _, _) = system.said(&["csv", "-i", path]);
    golden("csv.csv", &out);
    let (none, err, status) = system.said(&["csv", "-i", path, "-o", csv.to_str().unwrap()]);
    assert_eq!((none.as_str(), err.as_str(), status), ("", "", 0));
    assert_eq!(fs::read_to_string(csv).unwrap(), out);
    let (some, _, _) = system.said(&["csv", "-i", path, "300"]);
    assert_eq!(some.lines().count(), 11);
    let before = fs::read(path).unwrap();
    assert_eq!(system.said(&["csv", "-i", path, "-o", path]).2, 1);
    assert_eq!(fs::read(path).unwrap(), before);
}

/// Of a command that began half a second before its first sample, whose machine's clock was set by an hour in the sixth second, and
/// which was suspended in the ninth.
fn with_clocks(system: &System) -> PathBuf {
    let id = Id { pid: 267, start: 267_000_000_000 };
    let sample = |second: u64| Sample::parse(line(267, second, second, 400 * (second + 1), 4096).as_bytes()).unwrap();
    let second = |second: u64| 100_000_000_000 + 1_000_000_000 * second;
    let booted: i64 = BOOTED.parse().unwrap();
    let hour = 3_600_000_000_000;
    let head = Head { booted, began: second(0) - 700_000_000, suspended: 5, ..Head::default() };
    let mut writer = Writer::new(Vec::new(), head).unwrap();
    writer.exec(Exec { id, time: second(0) - 500_000_000, seq: 0 }).unwrap();
    writer.name(id, b"make").unwrap();
    (0..6).for_each(|at| writer.sample(&Sample { seq: at + 1, ..sample(at) }).unwrap());
    let set = Anchor { since: second(5) + 500_000, at: second(5) + 900_000, booted: booted + hour, suspended: 5 };
    writer.clock(&[set]).unwrap();
    (6..9).for_each(|at| writer.sample(&Sample { seq: at + 1, ..sample(at) }).unwrap());
    let slept = Anchor { since: second(8) + 500, at: second(68), suspended: 59_000_000_005, ..set };
    writer.clock(&[slept]).unwrap();
    writer.sample(&Sample { seq: 10, ..sample(68) }).unwrap();
    let last = Sample { seq: 11, state: State::EXITED, rss: 0, mm_users: 0, ..sample(69) };
    writer.sample(&last).unwrap();
    let end = End { why: Why::Command, time: second(70), status: Some(0), peak: Some(5 << 20) };
    let path = system.path("clocks.rec");
    fs::write(&path, writer.end(&end).unwrap()).unwrap();
    path
}

#[test]
fn clocks() {
    let system = System::new();
    let path = with_clocks(&system);
    let path = path.to_str().unwrap();
    let show = |args: &[&str]| {
        let args = [&["show", "-i", path, "--format", "csv", "--fields", "time,cpu,suspended_ns"], args].concat();
        let (out, err, status) = system.said(&args);
        assert_eq!((err.as_str(), status), ("", 0));
        out.lines().skip(1).map(str::to_owned).collect::<Vec<String>>()
    };
    let all = show(&[]);
    assert_eq!(
        all,
        [
            // Since the beginning of the command; an hour later from the sixth second on; and without a rate over the suspend.
            "2026-11-27T16:01:40.000Z,88.000,0",
            "2026-11-27T16:01:41.000Z,44.000,0",
            "2026-11-27T16:01:42.000Z,44.000,0",
            "2026-11-27T16:01:43.000Z,44.000,0",
            "2026-11-27T16:01:44.000Z,44.000,0",
            "2026-11-27T16:01:45.000Z,44.000,0",
            "2026-11-27T17:01:46.000Z,44.000,0",
            "2026-11-27T17:01:47.000Z,44.000,0",
            "2026-11-27T17:01:48.000Z,44.000,0",
            "2026-11-27T17:02:48.000Z,,59000000000",
            "2026-11-27T17:02:49.000Z,44.000,0",
        ]
    );
    assert_eq!(show(&["--since", "2026-11-27T17:00:00Z"]), &all[6..]);
    assert_eq!(show(&["--until", "2026-11-27T17:00:00Z"]), &all[..6]);
    let table = system.said(&["show", "-i", path]).0;
    assert!(
        table.contains("\n# pid 267: the machine was suspended for 59.0 s, or sampling was stopped\n"),
        "{table}"
    );
    let info = system.said(&["info", "-i", path]).0;
    assert!(info.contains("\n    clock  set by +1:00:00, to 2026-11-27T17:01:45.000Z\n"), "{info}");
    assert!(info.contains("\n    clock  suspended for 59.0 s, until 2026-11-27T17:02:48.000Z\n"), "{info}");
    assert!(info.contains("\n peak RSS  5.0MiB, by the kernel\n"), "{info}");
    // All CPU time since the beginning.
    assert!(info.lines().last().unwrap().contains("30.80"), "{info}");
    let plot = system.said(&["plot", "--ascii", "-i", path]).0;
    assert!(plot.contains("the clock was set by +60 min"), "{plot}");
    let svg = system.said(&["plot", "-o", "-", "-i", path]).0;
    assert!(svg.contains("not monitored, or suspended"), "{svg}");
    let top = system.said(&["top", "--batch", "-i", path]).0;
    assert!(top.contains("2026-11-27 17:02:49Z"), "{top}");
}

/// The last sample is all that there is of a command that was shorter than the period.
#[test]
fn a_short_command() {
    let system = System::new();
    let id = Id { pid: 267, start: 267_000_000_000 };
    let mut writer = Writer::new(Vec::new(), Head { booted: BOOTED.parse().unwrap(), ..Head::default() }).unwrap();
    writer.exec(Exec { id, time: 100_000_000_267, seq: 0 }).unwrap();
    writer.name(id, b"make").unwrap();
    let sample = Sample::parse(line(267, 1, 1, 500, 0).as_bytes()).unwrap();
    writer.sample(&Sample { state: State::EXITED, mm_users: 0, ..sample }).unwrap();
    let end = End { why: Why::Command, time: 101_000_000_267, status: Some(0), peak: None };
    let path = system.path("short.rec");
    fs::write(&path, writer.end(&end).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    let info = system.said(&["info", "-i", path, "--format", "ndjson"]).0;
    assert!(info.contains("\"cpu_seconds\":0.55") && info.contains("\"peak_rss_bytes\":null"), "{info}");
    let csv = system.said(&["csv", "-i", path]).0;
    assert!(csv.lines().nth(1).unwrap().contains(",X,500000000,50000000,0,50,"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().contains(",1000000000,55.000,50.000,5.000,"), "{csv}");
    let (plot, err, status) = system.said(&["plot", "--ascii", "-i", path]);
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(plot.contains("55 %") && plot.contains("unknown") && !plot.contains("0 B"), "{plot}");
    let svg = system.said(&["plot", "-o", "-", "-i", path]).0;
    assert!(svg.contains("memory unknown") && svg.contains(">peak unknown<"), "{svg}");
    assert!(!svg.contains("memory 0 B") && !svg.contains("peak 0 B"), "{svg}");
}

#[test]
fn a_task_that_was_chosen_by_its_name_stays_so() {
    let system = System::new();
    let path = system.path("a.rec");
    let mut writer = Writer::new(fs::File::create(&path).unwrap(), Head::default()).unwrap();
    for (second, name) in ["sh", "make", "cc1"].into_iter().enumerate() {
        let sample = Sample::parse(line(267, second as u64, second as u64, 1, 1).as_bytes()).unwrap();
        writer.name(sample.id(), name.as_bytes()).unwrap();
        writer.sample(&sample).unwrap();
    }
    writer.flush().unwrap();
    let args = ["show", "-i", path.to_str().unwrap(), "--format", "csv", "--fields", "name", "--name", "make"];
    assert_eq!(system.said(&args), ("name\nmake\ncc1\n".to_owned(), String::new(), 0));
}

#[test]
fn a_recording_has_names_as_the_kernel_keeps_them() {
    let system = System::new();
    let path = system.path("a.rec");
    let mut writer = Writer::new(fs::File::create(&path).unwrap(), Head::default()).unwrap();
    for (pid, name) in [(1, "a-very-long-nam"), (2, "kworker/0:1"), (3, "kworker/0:1H")] {
        let sample = Sample::parse(line(pid, pid, 0, 1, 1).as_bytes()).unwrap();
        writer.name(sample.id(), name.as_bytes()).unwrap();
        writer.sample(&sample).unwrap();
    }
    writer.flush().unwrap();
    let shown = |name: &str| {
        system.said(&["show", "-i", path.to_str().unwrap(), "--format", "csv", "--fields", "pid", "--name", name])
    };
    let said = |name: &str, part: &str| {
        format!("taskmon: a recording has at most 15 bytes of a name: --name {name} selects all tasks named {part}\n")
    };
    for (name, pid, part) in [
        ("a-very-long-name-indeed", "1", Some("a-very-long-nam")),
        ("a-very-long-nam", "1", None),
        ("kworker/0:1-events", "2", Some("kworker/0:1")),
        ("kworker/0:1H", "3", None),
    ] {
        let err = part.map(|part| said(name, part)).unwrap_or_default();
        assert_eq!(shown(name), (format!("pid\n{pid}\n"), err, 0), "{name}");
    }
}

#[test]
fn damaged() {
    let system = System::new();
    let path = known(&system);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|five| five == b"\xf5TM\0\x03").unwrap();
    bytes[at + 40] ^= 4;
    fs::write(&path, bytes).unwrap();
    let (out, err, status) = system.said(&["show", "-i", path.to_str().unwrap(), "--format", "csv"]);
    assert_eq!((out.lines().count(), status), (1, 0));
    assert!(err.contains("is damaged: samples may be missing"), "{err}");
    let (info, _, _) = system.said(&["info", "-i", path.to_str().unwrap()]);
    assert!(info.contains("damaged  at 1 place: "), "{info}");
}

#[test]
fn a_terminal_sees_how_it_goes() {
    let system = recorded();
    let path = system.path("a.rec");
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_taskmon"), "--root"]).arg(system.path(""));
    command.args(["record", "-o"]).arg(&path).stderr(terminal.slave).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut master = fs::File::from(terminal.master);
    let mut seen = String::new();
    let mut read = |until: &str| {
        while !seen.contains(until) {
            let mut bytes = [0; 1000];
            let count = master.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{seen:?}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        seen.clone()
    };
    read("  2 tasks, 17 samples, ");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let seen = read("3 missed\r\n");
    assert!(child.wait().unwrap().success());
    // What it said on the way is wiped away, and the last line is whole.
    assert_eq!(seen.matches('\n').count(), 1, "{seen:?}");
    let last = seen.rsplit("\r\u{1b}[K").next().unwrap();
    assert!(last.starts_with("taskmon: ") && last.contains("17 samples of 2 tasks in "), "{seen:?}");
}
