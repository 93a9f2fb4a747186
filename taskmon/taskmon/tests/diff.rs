// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon diff`, of recordings that are written here.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use common::golden;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor_recording::End;
use taskmonitor_recording::Head;
use taskmonitor_recording::Why;
use taskmonitor_recording::Writer;

const MIB: u64 = 1 << 20;

/// A task that works for `ms` in each second, with memory that grows to `mib`, and exits.
struct Task {
    pid: u32,
    name: &'static str,
    ms: u64,
    mib: u64,
    /// The samples with these numbers are missing.
    missing: std::ops::Range<u64>,
}

fn task(pid: u32, name: &'static str, ms: u64, mib: u64) -> Task {
    Task { pid, name, ms, mib, missing: 0..0 }
}

fn record(path: &Path, tasks: &[Task]) {
    record_threads(path, tasks, &[]);
}

/// The same, where some of the tasks are threads of others.
fn record_threads(path: &Path, tasks: &[Task], threads: &[(u32, u32)]) {
    let mut writer = Writer::new(File::create(path).unwrap(), Head::default()).unwrap();
    for Task { pid, name, .. } in tasks {
        writer.name(Id { pid: *pid, start: 9 }, name.as_bytes()).unwrap();
    }
    for &(pid, process) in threads {
        writer.thread(Id { pid, start: 9 }, process).unwrap();
    }
    for seq in 0..=10 {
        for Task { pid, ms, mib, missing, .. } in tasks {
            let (used, time) = (seq * ms * 1_000_000, (seq + 1) * 1_000_000_000);
            let (rss, users, state) = if seq == 10 { (0, 0, 'X') } else { ((mib * seq / 9) * MIB, 1, 'R') };
            let line = format!(
                "pid {pid} usr {used} sys {} time {time} rss {rss} minflt {} majflt 0 mm_users {users} state {state} seq {seq} start 9",
                used / 4,
                seq * mib,
            );
            if !missing.contains(&seq) {
                writer.sample(&Sample::parse(line.as_bytes()).unwrap()).unwrap();
            }
        }
    }
    writer.end(&End { why: Why::Stopped, time: 20_000_000_000, status: None, peak: None }).unwrap();
}

struct Pair(tempfile::TempDir);

impl Pair {
    fn new(before: &[Task], after: &[Task]) -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        record(&pair.0.path().join("before"), before);
        record(&pair.0.path().join("after"), after);
        pair
    }

    fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::cargo_bin("taskmon").unwrap();
        command.current_dir(self.0.path()).args(["diff", "before", "after"]).args(args);
        command
    }

    fn said(&self, args: &[&str]) -> (String, String, i32) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }
}

#[test]
fn a_thread_of_a_process_adds_nothing() {
    let (app, other) = (|| task(7, "app", 400, 90), || task(8, "other", 100, 10));
    let tasks = || [app(), task(17, "app", 300, 90), task(18, "worker", 100, 90), other(), task(19, "app", 50, 5)];
    let pair = Pair::new(&[app(), other(), task(19, "app", 50, 5)], &[]);
    // Two threads of process 7, of which one has a name of its own, and one of a process that was not recorded.
    record_threads(&pair.0.path().join("after"), &tasks(), &[(17, 7), (18, 7), (19, 6)]);
    let (csv, _, status) = pair.said(&["--format", "csv", "--max-increase", "cpu=0%", "--max-increase", "minflt=0%"]);
    assert_eq!(status, 0, "{csv}");
    assert!(csv.contains("(all)") && !csv.contains("worker"), "{csv}");
    let (table, _, _) = pair.said(&[]);
    assert!(table.ends_with("# after: 2 threads are counted as part of their processes\n"), "{table}");
    // Whoever asks for the thread alone gets it.
    record_threads(&pair.0.path().join("before"), &tasks(), &[(17, 7), (18, 7), (19, 6)]);
    let (csv, _, status) = pair.said(&["--format", "csv", "--name", "worker"]);
    assert!(status == 0 && csv.contains("worker,user,ns,1000000000,1000000000,"), "{csv}");
}

#[test]
fn a_program_and_its_next_version() {
    let pair = Pair::new(&[task(7, "sort", 400, 90)], &[task(9, "sort2", 480, 99)]);
    let (table, said, status) = pair.said(&[]);
    assert_eq!((said.as_str(), status), ("", 0));
    golden("diff.table", &table);
    let (ndjson, _, status) = pair.said(&["--format", "ndjson"]);
    assert_eq!(status, 0);
    golden("diff.ndjson", &ndjson);
}

#[test]
fn limits_tell_by_the_status() {
    let pair = Pair::new(&[task(7, "sort", 400, 90)], &[task(9, "sort", 480, 99)]);
    for within in
        ["cpu=20%", "cpu=1s", "cpu=10%+500ms", "peak_rss=9MiB", "minflt=90", "majflt=0", "wall=0%", "cpu_p50=20.1%"]
    {
        let (_, said, status) = pair.said(&["--max-increase", within]);
        assert_eq!((said.as_str(), status), ("", 0), "{within}");
    }
    for beyond in ["cpu=19%", "cpu=999ms", "cpu=10%+499ms", "peak_rss=8.9MiB", "minflt=89", "cpu_p50=19.9%"] {
        let (_, said, status) = pair.said(&["--max-increase", beyond]);
        let measure = beyond.split_once('=').unwrap().0;
        assert_eq!(
            (said.as_str(), status),
            (format!("taskmon: limit exceeded: sort {measure}\n").as_str(), 1),
            "{beyond}"
        );
    }
    // The strictest of several, and each measure by itself.
    let (table, said, status) = pair.said(&[
        "--max-increase",
        "cpu=19%",
        "--max-increase",
        "cpu=50%",
        "--max-increase",
        "peak_rss=1%",
        "--max-increase",
        "wall=0%",
    ]);
    assert_eq!((said.as_str(), status), ("taskmon: limit exceeded: sort cpu, sort peak_rss\n", 1));
    golden("diff-limits.table", &table);
    let (csv, _, _) = pair.said(&["--max-increase", "cpu=19%", "--format", "csv"]);
    golden("diff-limits.csv", &csv);
}

#[test]
fn less_is_never_too_much() {
    let pair = Pair::new(&[task(7, "sort", 480, 99)], &[task(9, "sort", 400, 90)]);
    let (_, _, status) =
        pair.said(&["--max-increase", "cpu=0%", "--max-increase", "peak_rss=0%", "--max-increase", "cpu_p99=0%"]);
    assert_eq!(status, 0);
}

#[test]
fn several_tasks() {
    let before = [task(1, "web", 100, 9), task(2, "web", 300, 18), task(3, "db", 10, 27), task(4, "cron", 1, 9)];
    let mut after = [task(5, "web", 200, 18), task(6, "db", 10, 27), task(7, "backup", 500, 9)];
    after[1].missing = 3..5;
    let pair = Pair::new(&before, &after);
    let (table, said, status) = pair.said(&["--max-increase", "cpu=50%"]);
    // Neither of the names that both have: what is new counts in all of them together.
    assert_eq!((said.as_str(), status), ("taskmon: limit exceeded: (all) cpu\n", 1));
    golden("diff-several.table", &table);
    let (kv, _, _) = pair.said(&["--name", "db", "--format", "kv"]);
    assert!(kv.lines().count() == 14 && kv.lines().all(|line| line.ends_with(" name db")), "{kv}");
    let (_, said, status) = pair.said(&["--name", "cron"]);
    assert!(said.starts_with("taskmon: no task in ") && said.ends_with(" matches --name cron\n"), "{said}");
    assert_eq!(status, 2);
}

#[test]
fn what_only_one_has_is_said_though_there_is_one_pair() {
    let pair = Pair::new(&[task(1, "web", 100, 9), task(4, "cron", 1, 9)], &[task(5, "web", 100, 9)]);
    let (table, said, status) = pair.said(&[]);
    assert_eq!((said.as_str(), status), ("", 0));
    assert!(table.ends_with("# cron is only in before\n"), "{table}");
}

#[test]
fn a_limit_of_what_is_not_known_is_no_success() {
    let mut short = [task(9, "sort", 480, 99)];
    short[0].missing = 1..11;
    let pair = Pair::new(&[task(7, "sort", 400, 90)], &short);
    let (_, said, status) = pair.said(&["--max-increase", "cpu_p99=10%", "--max-increase", "cpu=10%"]);
    let expected = "taskmon: limit not checked, no task has a value in both recordings: cpu_p99\n";
    assert_eq!((said.as_str(), status), (expected, 2));
    assert_eq!(pair.said(&["--max-increase", "cpu=10%"]).2, 0);
    // What is beyond its limit is said nevertheless.
    let pair = Pair::new(&short, &[task(7, "sort", 400, 90)]);
    let (_, said, status) = pair.said(&["--max-increase", "cpu_p99=10%", "--max-increase", "cpu=10%"]);
    let expected = format!("taskmon: limit exceeded: sort cpu\n{expected}");
    assert_eq!((said.as_str(), status), (expected.as_str(), 2));
    // Of two tasks, one tells.
    let both = |one: Task| [one, task(8, "web", 100, 9)];
    short[0].pid = 3;
    let pair = Pair::new(&both(task(7, "sort", 400, 90)), &both(short.into_iter().next().unwrap()));
    let (_, said, status) = pair.said(&["--max-increase", "cpu_p99=10%"]);
    assert_eq!((said.as_str(), status), ("", 0));
}

#[test]
fn what_cannot_be_compared() {
    let pair = Pair::new(&[task(1, "a", 1, 1), task(2, "b", 1, 1)], &[task(1, "c", 1, 1), task(2, "d", 1, 1)]);
    let (out, said, status) = pair.said(&[]);
    assert_eq!((out.as_str(), status), ("", 2));
    let expected = "taskmon: no task name is in both before and after; to compare two names: --name OLD --name NEW\n";
    assert_eq!(said, expected);
    std::fs::write(pair.0.path().join("after"), "no recording").unwrap();
    assert_eq!(pair.said(&[]).2, 2);
    std::fs::remove_file(pair.0.path().join("after")).unwrap();
    assert_eq!(pair.said(&[]).2, 2);
    assert_eq!(pair.said(&["--max-increase", "cpu=much"]).2, 2);
}

#[test]
fn an_output_that_nobody_reads_is_no_verdict() {
    let pair = Pair::new(&[task(7, "sort", 400, 90)], &[task(9, "sort", 480, 99)]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taskmon"));
    command.current_dir(pair.0.path()).args(["diff", "before", "after", "--max-increase", "cpu=1%"]);
    let status = command.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
