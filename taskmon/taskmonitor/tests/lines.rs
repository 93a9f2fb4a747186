// SPDX-License-Identifier: GPL-2.0-only

//! Lines as the module writes them, as later versions may, and damaged ones.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use taskmonitor::LineError;
use taskmonitor::Sample;
use taskmonitor::State;
use taskmonitor::Task;

const SAMPLE: &str = "pid 267 usr 4000000 sys 1 time 12345678901 rss 1048576 minflt 120 majflt 2 mm_users 1 \
                      state S seq 17 start 9876543210";
const TASK: &str = "pid 267 start 9876543210 state S threads 1 samples 3600 taken 5000 evicted 1300 reclaimed 100 \
                    missed 2 usr 4000000 sys 1 time 12345678901 rss 1048576 mm_users 1 comm a b\\134\\303\\274";

#[test]
fn a_sample() {
    let sample = Sample::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!((sample.pid, sample.usr, sample.sys, sample.time), (267, 4_000_000, 1, 12_345_678_901));
    assert_eq!((sample.rss, sample.minflt, sample.majflt, sample.mm_users), (1_048_576, 120, 2, 1));
    assert_eq!((sample.state.letter(), sample.seq, sample.start), ('S', 17, 9_876_543_210));
    assert_eq!(sample.cpu(), 4_000_001);
    assert_eq!(sample.to_string(), SAMPLE);
    assert_eq!(Sample::parse(format!("{SAMPLE}\n").as_bytes()), Ok(sample));
    assert!(!sample.state.exited());
    assert!(Sample::parse(SAMPLE.replace("state S", "state X").as_bytes()).unwrap().state.exited());
}

#[test]
fn a_task() {
    let task = Task::parse(TASK.as_bytes()).unwrap();
    assert_eq!((task.id().pid, task.id().start, task.state.letter(), task.threads), (267, 9_876_543_210, 'S', 1));
    assert_eq!((task.samples, task.taken, task.evicted, task.reclaimed, task.missed), (3600, 5000, 1300, 100, 2));
    assert_eq!(
        (task.usr, task.sys, task.time, task.rss, task.mm_users),
        (4_000_000, 1, 12_345_678_901, 1_048_576, 1)
    );
    assert_eq!(task.comm, "a b\\ü".as_bytes());
    assert_eq!(task.name(), "a b\\ü");
}

#[test]
fn a_thread_and_its_process() {
    let with = |tgid: &str| {
        let line = TASK.replace("comm a b", &format!("{tgid} comm a b"));
        Task::parse(line.as_bytes()).map(|task| (task.tgid, task.process()))
    };
    assert_eq!(Task::parse(TASK.as_bytes()).map(|task| task.tgid), Ok(None), "an older module");
    assert_eq!(with("tgid 267"), Ok((Some(267), None)));
    assert_eq!(with("tgid 260"), Ok((Some(260), Some(260))));
    assert_eq!(with("tgid 0"), Ok((Some(0), None)), "its process has no PID here");
    assert_eq!(with("tgid x"), Err(LineError::Value("tgid")));
    assert_eq!(with("tgid 1 tgid 1"), Err(LineError::Repeated("tgid")));
}

#[test]
fn a_name_cannot_play_with_a_terminal() {
    let task = Task::parse(TASK.replace("comm a b", "comm \\033[2J\\377").as_bytes()).unwrap();
    assert_eq!(task.comm, b"\x1b[2J\xff\\\xc3\xbc");
    assert_eq!(task.name(), "\u{fffd}[2J\u{fffd}\\ü");
    let empty = Task::parse(
        b"pid 1 start 2 state S threads 1 samples 1 taken 1 evicted 0 reclaimed 0 missed 0 \
                              usr 0 sys 0 time 3 rss 0 mm_users 0 comm ",
    );
    assert_eq!(empty.unwrap().comm, b"");
    let turns = "a\u{202e}b\u{200f}\u{2066}\u{2028}\u{9b}é日";
    assert_eq!(taskmonitor::readable(turns.as_bytes()), "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}é日");
}

#[test]
fn what_is_no_sample() {
    let with = |from, to| Sample::parse(SAMPLE.replace(from, to).as_bytes());
    assert_eq!(Sample::parse(b""), Err(LineError::Missing("pid")));
    assert_eq!(with(" start 9876543210", ""), Err(LineError::Missing("start")));
    assert_eq!(with(" start 9876543210", " start"), Err(LineError::Odd));
    assert_eq!(with("pid", "pid  "), Err(LineError::Odd));
    assert_eq!(with("usr", " usr"), Err(LineError::Odd));
    assert_eq!(with("4000000", "-4"), Err(LineError::Value("usr")));
    assert_eq!(with("4000000", "4e6"), Err(LineError::Value("usr")));
    assert_eq!(with("4000000", "18446744073709551616"), Err(LineError::Value("usr")));
    assert_eq!(with("pid 267", "pid 4294967296"), Err(LineError::Value("pid")));
    assert_eq!(with("state S", "state SS"), Err(LineError::Value("state")));
    assert_eq!(with("state S", "state \u{7}"), Err(LineError::Value("state")));
    assert_eq!(with("sys 1", "usr 1"), Err(LineError::Repeated("usr")));
    assert_eq!(with("4000000", "18446744073709551615").unwrap().cpu(), u64::MAX);
}

#[test]
fn what_is_no_name() {
    for bad in ["\\", "\\1", "\\12", "\\400", "\\128", "\\x41"] {
        let line = format!("{}{bad}", TASK);
        assert_eq!(Task::parse(line.as_bytes()), Err(LineError::Value("comm")), "{bad}");
    }
}

prop_compose! {
    fn samples()(
        pid: u32, usr: u64, sys: u64, time: u64, rss: u64, minflt: u64, majflt: u64, mm_users: u32,
        state in "[A-Za-z]", seq: u64, start: u64,
    ) -> String {
        format!(
            "pid {pid} usr {usr} sys {sys} time {time} rss {rss} minflt {minflt} majflt {majflt} \
             mm_users {mm_users} state {state} seq {seq} start {start}"
        )
    }
}

proptest! {
    #[test]
    fn every_sample_can_be_read(line in samples()) {
        prop_assert_eq!(Sample::parse(line.as_bytes()).unwrap().to_string(), line);
    }

    #[test]
    fn keys_of_later_versions_are_skipped(line in samples(), key in "[a-z_]{1,8}_", value in "[!-~]{1,9}", at in 0..12_usize) {
        let words: Vec<&str> = line.split(' ').collect();
        let (before, behind) = words.split_at(2 * at.min(11));
        let pair = [key.as_str(), value.as_str()];
        let later = [before, &pair, behind].concat().join(" ");
        prop_assert_eq!(Sample::parse(later.as_bytes()), Sample::parse(line.as_bytes()));
    }

    #[test]
    fn damage_is_noticed_or_harmless(line in samples(), at: prop::sample::Index, with: u8, cut: prop::sample::Index) {
        let mut bytes = line.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        // What is read of a damaged line is what stands there: it can be written, and read again.
        if let Ok(sample) = Sample::parse(&bytes) {
            prop_assert_eq!(Sample::parse(sample.to_string().as_bytes()), Ok(sample));
        }
        // Only in the digits of the last number can the end be missing without a trace.
        let cut = cut.index(line.len());
        let last = line.rfind(' ').unwrap() + 1;
        prop_assert_eq!(Sample::parse(&line.as_bytes()[..cut]).is_ok(), cut > last);
    }

    #[test]
    fn nothing_makes_it_panic(line: Vec<u8>) {
        let _ = Sample::parse(&line);
        let _ = Task::parse(&line);
    }

    #[test]
    fn words_of_ours_in_any_order_make_no_panic(words in prop::collection::vec(
        prop::sample::select(vec!["pid", "usr", "time", "state", "comm", "", "S", "X", "17", "99999999999999999999", "\\", "\\101", "\n"]), 0..40,
    )) {
        let line = words.join(" ");
        let _ = Sample::parse(line.as_bytes());
        let _ = Task::parse(line.as_bytes());
    }

    #[test]
    fn every_name_comes_back(comm: Vec<u8>) {
        let escaped: String = comm.iter().map(|&b| match b {
            b'\\' | 0..=31 | 127..=255 => format!("\\{b:03o}"),
            _ => char::from(b).to_string(),
        }).collect();
        let line = TASK.split_once(" comm ").unwrap().0.to_owned() + " comm " + &escaped;
        let task = Task::parse(line.as_bytes()).unwrap();
        prop_assert_eq!(&task.comm, &comm);
        prop_assert!(!task.name().chars().any(char::is_control));
    }
}

#[test]
fn states_pad() {
    let sample = Sample::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(format!("{:>3}|{:<2}|", sample.state, State::EXITED), "  S|X |");
}
