// SPDX-License-Identifier: GPL-2.0-only

//! The files of the module, in a folder that looks like them.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use taskmonitor::Command;
use taskmonitor::Error;
use taskmonitor::LineError;
use taskmonitor::Monitor;
use taskmonitor::Root;
use taskmonitor::Sample;
use tempfile::TempDir;

fn line(seq: u64) -> String {
    format!("pid 7 usr 1 sys 2 time {seq} rss 4 minflt 5 majflt 6 mm_users 7 state R seq {seq} start 9\n")
}

/// A folder with the module in it.
fn module() -> (TempDir, Monitor) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::at(folder.path());
    fs::create_dir_all(root.module().join("parameters")).unwrap();
    fs::create_dir_all(root.debugfs()).unwrap();
    fs::write(root.parameter("period_us"), "1000000\n").unwrap();
    fs::write(root.parameter("sampling"), "Y\n").unwrap();
    fs::write(root.module().join("version"), "0.1\n").unwrap();
    fs::write(root.sysfs(), "").unwrap();
    fs::write(root.follow(), "").unwrap();
    (folder, Monitor::open(root).unwrap())
}

fn append(monitor: &Monitor, text: &str) {
    OpenOptions::new().append(true).open(monitor.root().follow()).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn nothing_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Monitor::open(Root::at(folder.path())), Err(Error::NotLoaded)));
}

#[test]
fn it_goes_away_meanwhile() {
    let (folder, monitor) = module();
    fs::remove_dir_all(folder.path().join("sys")).unwrap();
    assert!(matches!(monitor.tasks(), Err(Error::NotLoaded)));
    assert!(matches!(monitor.follow(), Err(Error::NotLoaded)));
    assert!(matches!(monitor.send(Command::Clear), Err(Error::NotLoaded)));
    assert!(matches!(monitor.period(), Err(Error::NotLoaded)));
}

#[test]
fn debugfs_is_not_there() {
    let (folder, monitor) = module();
    fs::remove_file(monitor.root().follow()).unwrap();
    fs::create_dir_all(folder.path().join("proc/self")).unwrap();
    let mounts = folder.path().join("proc/self/mounts");
    fs::write(&mounts, "proc /proc proc rw 0 0\n").unwrap();
    assert!(matches!(monitor.follow(), Err(Error::NotMounted(_))));
    fs::write(&mounts, "proc /proc proc rw 0 0\ndebugfs /sys/kernel/debug debugfs rw 0 0\n").unwrap();
    assert!(matches!(monitor.follow(), Err(Error::DebugfsOff(_))));
}

#[test]
fn samples_come_once_whole_and_in_order() {
    let (_folder, monitor) = module();
    let mut follow = monitor.follow().unwrap();
    let mut seqs = Vec::new();
    let mut read = |follow: &mut taskmonitor::Follow| {
        let count = follow.read(|sample: Sample| seqs.push(sample.seq)).unwrap();
        (count, seqs.clone())
    };
    assert_eq!(read(&mut follow), (0, vec![]));
    append(&monitor, &line(0));
    append(&monitor, &line(1));
    // Half a line is none, until its other half is there.
    let (half, other) = (&line(2)[..20], &line(2)[20..]);
    append(&monitor, half);
    assert_eq!(read(&mut follow), (2, vec![0, 1]));
    assert_eq!(read(&mut follow).0, 0);
    append(&monitor, other);
    append(&monitor, &line(5));
    assert_eq!(read(&mut follow), (2, vec![0, 1, 2, 5]));
    append(&monitor, &line(6));
    follow.skip().unwrap();
    append(&monitor, &line(7));
    assert!(follow.wait(Some(Duration::ZERO)).unwrap());
    let mut seq = 0;
    assert_eq!(follow.read(|sample| seq = sample.seq).unwrap(), 1);
    assert_eq!(seq, 7);
}

#[test]
fn more_than_a_buffer() {
    let (_folder, monitor) = module();
    let text: String = (0..10_000).map(line).collect();
    append(&monitor, &text);
    let mut follow = monitor.follow().unwrap();
    let mut next = 0;
    while follow
        .read(|sample| {
            assert_eq!(sample.seq, next);
            next += 1
        })
        .unwrap()
        > 0
    {}
    assert_eq!(next, 10_000);
}

#[test]
fn damage_is_an_error_that_shows_it() {
    let (_folder, monitor) = module();
    append(&monitor, "pid 7 \u{1b}\n");
    let error = monitor.follow().unwrap().read(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Line { line_error: LineError::Odd, .. }), "{error}");
    assert!(error.to_string().ends_with(r#": key without value: "pid 7 \x1b""#), "{error}");
    append(&monitor, &"x".repeat(1 << 20));
    let mut follow = monitor.follow().unwrap();
    follow.read(|_| ()).unwrap_err();
    let (_folder, monitor) = module();
    append(&monitor, &"x".repeat(1 << 20));
    let error = monitor.follow().unwrap().read(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Line { line_error: LineError::Endless, .. }), "{error}");
    assert!(error.to_string().len() < 500);
}

#[test]
fn tasks() {
    let (_folder, monitor) = module();
    let task = |pid| {
        format!(
            "pid {pid} start 2 state S threads 1 samples 1 taken 1 evicted 0 reclaimed 0 missed 0 \
             usr 0 sys 0 time 3 rss 0 mm_users 0 comm sh\n"
        )
    };
    fs::write(monitor.root().tasks(), task(9) + &task(3)).unwrap();
    let pids: Vec<u32> = monitor.tasks().unwrap().iter().map(|task| task.pid).collect();
    assert_eq!(pids, [9, 3]);
    fs::write(monitor.root().tasks(), task(9) + "nonsense\n").unwrap();
    assert!(matches!(monitor.tasks(), Err(Error::Line { .. })));
}

#[test]
fn commands_and_parameters() {
    let (_folder, monitor) = module();
    for (command, text) in [
        (Command::Add(267), "267"),
        (Command::Remove(267), "-267"),
        (Command::Clear, "clear"),
        (Command::Start, "start"),
        (Command::Stop, "stop"),
    ] {
        fs::write(monitor.root().sysfs(), "").unwrap();
        monitor.send(command).unwrap();
        assert_eq!(fs::read_to_string(monitor.root().sysfs()).unwrap(), format!("{text}\n"));
    }
    assert_eq!(monitor.version().unwrap(), "0.1");
    assert!(monitor.sampling().unwrap());
    assert_eq!(monitor.period().unwrap(), Duration::from_secs(1));
    fs::write(monitor.root().parameter("period_us"), "").unwrap();
    monitor.set_period(Duration::from_nanos(2_500_900)).unwrap();
    assert_eq!(fs::read_to_string(monitor.root().parameter("period_us")).unwrap(), "2500");
    fs::write(monitor.root().parameter("period_us"), "soon\n").unwrap();
    assert!(matches!(monitor.period(), Err(Error::Parameter { .. })));
}
