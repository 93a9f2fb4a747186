// SPDX-License-Identifier: GPL-2.0-only

//! What was written is read, whatever happens to the file in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Cursor;
use std::io::Read;
use std::io::Seek;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::State;
use taskmonitor_recording::Anchor;
use taskmonitor_recording::Counts;
use taskmonitor_recording::Damage;
use taskmonitor_recording::End;
use taskmonitor_recording::Error;
use taskmonitor_recording::Event;
use taskmonitor_recording::Exec;
use taskmonitor_recording::Head;
use taskmonitor_recording::Lost;
use taskmonitor_recording::Reader;
use taskmonitor_recording::Reason;
use taskmonitor_recording::Why;
use taskmonitor_recording::Writer;

fn head() -> Head {
    Head {
        booted: 1_795_795_200_000_000_000,
        began: 5_000_000_000,
        suspended: 0,
        period: Duration::from_millis(100),
        module: "0.1".to_owned(),
        taskmon: "0.1.0".to_owned(),
        kernel: "6.12.48".to_owned(),
        command: Some("make -j4".to_owned()),
        exec: None,
    }
}

/// Reads all of it.
fn read(bytes: &[u8]) -> Result<(Head, Vec<Event>, Damage), Error> {
    let mut reader = Reader::of(Cursor::new(bytes), Path::new("FILE"))?;
    let mut events = Vec::new();
    while let Some(event) = reader.next()? {
        events.push(event);
    }
    assert_eq!(reader.next()?, None);
    Ok((reader.head().clone(), events, reader.damage()))
}

fn samples(events: &[Event]) -> Vec<Sample> {
    events.iter().filter_map(|event| if let Event::Sample(sample) = event { Some(*sample) } else { None }).collect()
}

/// Tasks that do a bit, sampled again and again.
fn history(tasks: u32, rounds: u64) -> Vec<Sample> {
    let mut all = Vec::new();
    for round in 0..rounds {
        for task in 0..tasks {
            let pid = 100 + task;
            let busy = u64::from(task % 4 == 0);
            all.push(Sample {
                pid,
                usr: busy * round * (900_000 + u64::from(task)),
                sys: busy * round * 31_000,
                time: 5_000_000_000 + round * 100_000_000 + u64::from(task) * 700 + round % 7 * 1000,
                rss: 4096 * u64::from(pid) + busy * (round % 5) * 4096,
                minflt: busy * round * 3,
                majflt: u64::from(task),
                mm_users: 1,
                state: State::new(if busy == 1 { 'R' } else { 'S' }).unwrap(),
                seq: round + u64::from(round > 5) * 2,
                start: u64::from(pid) * 1_000_000,
            });
        }
    }
    all
}

/// A recording of `samples`, with a chunk for each `each` of them, and where the chunks end with how many samples are before.
fn recording(samples: &[Sample], each: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    for (i, sample) in samples.iter().enumerate() {
        writer.name(sample.id(), format!("task {}", sample.pid).as_bytes()).unwrap();
        writer.sample(sample).unwrap();
        if i % each == each - 1 {
            writer.flush().unwrap();
        }
    }
    let end = End { why: Why::Stopped, time: 99, status: None, peak: None };
    let bytes = writer.end(&end).unwrap();
    let mut ends = Vec::new();
    let (mut at, mut count) = (12, 0);
    while at < bytes.len() {
        let kind = bytes[at + 4];
        let length = u32::from_le_bytes(bytes[at + 9..at + 13].try_into().unwrap()) as usize;
        at += 17 + length;
        if kind == 3 {
            count = samples.len().min(count + each);
        }
        ends.push((at, count));
    }
    (bytes, ends)
}

#[test]
fn all_that_was_written() {
    let history = history(5, 50);
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    let id = history[0].id();
    let lost = [Reason::Missed, Reason::Evicted, Reason::Reclaimed, Reason::EvictedOrReclaimed, Reason::NoSpace]
        .map(|reason| Lost { id, count: u64::MAX, before: 7, reason });
    let counts = Counts { id, taken: 1, missed: 2, evicted: 3, reclaimed: u64::MAX };
    let end = End { why: Why::Command, time: 12, status: Some(137), peak: None };
    writer.name(id, b"first").unwrap();
    writer.sample(&history[0]).unwrap();
    writer.name(id, b"first").unwrap();
    writer.name(id, &[0xff; 300]).unwrap();
    writer.sample(&history[1]).unwrap();
    writer.lost(&lost).unwrap();
    writer.counts(&[counts]).unwrap();
    let bytes = writer.end(&end).unwrap();
    let (is, events, damage) = read(&bytes).unwrap();
    assert_eq!((is, damage), (head(), Damage::default()));
    let mut expected = vec![
        Event::Name { id, name: b"first".to_vec() },
        Event::Sample(history[0]),
        Event::Name { id, name: vec![0xff; 255] },
        Event::Sample(history[1]),
    ];
    expected.extend(lost.map(Event::Lost));
    expected.extend([Event::Counts(counts), Event::End(end)]);
    assert_eq!(events, expected);
}

#[test]
fn threads() {
    let (task, thread) = (history(1, 2), Id { pid: 8, start: 9 });
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    // What is learnt after a sample is there before it is read, if both are of one chunk.
    writer.sample(&task[0]).unwrap();
    writer.thread(task[0].id(), 7).unwrap();
    writer.thread(task[0].id(), 7).unwrap();
    writer.thread(thread, u32::MAX).unwrap();
    writer.flush().unwrap();
    writer.sample(&task[1]).unwrap();
    let bytes = writer.end(&End { why: Why::Stopped, time: 12, status: None, peak: None }).unwrap();
    let (_, mut events, damage) = read(&bytes).unwrap();
    assert_eq!(damage, Damage::default());
    events.pop();
    let one = Event::Thread { id: task[0].id(), process: 7 };
    let expected =
        [one, Event::Thread { id: thread, process: u32::MAX }, Event::Sample(task[0]), Event::Sample(task[1])];
    assert_eq!(events, expected);
}

#[test]
fn each_fresh_chunk_tells_of_its_threads() {
    let all = history(4, 6_000);
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    for sample in &all {
        writer.thread(sample.id(), 7).unwrap();
        writer.sample(sample).unwrap();
    }
    let bytes = writer.end(&End { why: Why::Stopped, time: 12, status: None, peak: None }).unwrap();
    let (_, events, _) = read(&bytes).unwrap();
    let told = events.iter().filter(|event| matches!(event, Event::Thread { process: 7, .. })).count();
    let fresh = bytes.windows(5).filter(|window| window.starts_with(b"\xf5TM\0") && window[4] == 1).count();
    assert!(fresh > 1 && told == 4 * fresh, "{told} {fresh}");
}

#[test]
fn many_tasks() {
    // More than one chunk can have of each kind, and several beginnings.
    let history = history(20_000, 12);
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    for sample in &history {
        writer.name(sample.id(), b"a name of a task").unwrap();
        writer.sample(sample).unwrap();
    }
    let lost: Vec<Lost> =
        history.iter().map(|s| Lost { id: s.id(), count: 1, before: s.seq, reason: Reason::Missed }).collect();
    writer.lost(&lost).unwrap();
    let bytes = writer.end(&End { why: Why::Duration, time: 0, status: None, peak: None }).unwrap();
    // (To begin afresh each time would take 80 bytes of each.)
    assert!(bytes.len() < 25 * history.len(), "{}", bytes.len());
    let (_, events, damage) = read(&bytes).unwrap();
    assert_eq!(damage, Damage::default());
    assert_eq!(samples(&events), history);
    let losses: Vec<Lost> =
        events.iter().filter_map(|event| if let Event::Lost(lost) = event { Some(*lost) } else { None }).collect();
    assert_eq!(losses, lost);
}

#[test]
fn more_tasks_than_may_go_on() {
    let last = (1 << 20) + 7;
    let one = |pid| Sample { pid, start: u64::from(pid), ..history(1, 1)[0] };
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    for pid in (0..last).chain([0, last - 1]) {
        writer.sample(&one(pid)).unwrap();
    }
    let bytes = writer.end(&End { why: Why::Duration, time: 0, status: None, peak: None }).unwrap();
    let mut reader = Reader::of(Cursor::new(bytes), Path::new("FILE")).unwrap();
    for pid in (0..last).chain([0, last - 1]) {
        assert_eq!(reader.next().unwrap(), Some(Event::Sample(one(pid))));
    }
    assert_eq!(reader.damage(), Damage::default());
}

#[test]
fn names_of_tasks_that_are_gone_are_not_kept() {
    let mut writer = Writer::new(Vec::new(), head()).unwrap();
    let (stays, gone) = (history(1, 40_000), Id { pid: 7, start: 7 });
    writer.name(stays[0].id(), b"stays").unwrap();
    writer.name(gone, b"gone").unwrap();
    for sample in &stays {
        writer.sample(sample).unwrap();
    }
    let bytes = writer.end(&End { why: Why::Duration, time: 0, status: None, peak: None }).unwrap();
    let named =
        |id| read(&bytes).unwrap().1.iter().filter(|e| matches!(e, Event::Name { id: i, .. } if *i == id)).count();
    // (It is written anew once, as it could just have come.)
    assert!(named(gone) <= 2 && named(stays[0].id()) > 2, "{} {}", named(gone), named(stays[0].id()));
}

/// What a sample takes, in a file that is flushed once a second.
#[test]
fn small() {
    let size = |tasks, rounds, each| {
        let history = history(tasks, rounds);
        recording(&history, each).0.len() as f64 / history.len() as f64
    };
    let (one, hundred) = (size(1, 10_000, 10), size(100, 1000, 1000));
    println!("bytes a sample: {one:.2} of one busy task, {hundred:.2} of a hundred tasks, every fourth busy");
    assert!(one < 25.0 && hundred < 8.0, "{one} {hundred}");
}

#[test]
fn cut_anywhere() {
    let history = history(3, 40);
    let (bytes, ends) = recording(&history, 7);
    for cut in 0..bytes.len() {
        let whole = ends.iter().rfind(|(end, _)| *end <= cut);
        let Some(&(end, count)) = whole else {
            assert!(matches!(read(&bytes[..cut]), Err(Error::Nothing(_))), "cut at {cut}");
            continue;
        };
        let (is, events, damage) = read(&bytes[..cut]).unwrap();
        assert_eq!(samples(&events), history[..count], "cut at {cut}");
        assert_eq!((is, damage), (head(), Damage { torn: (cut - end) as u64, ..Damage::default() }));
    }
}

/// Samples of which nothing is as predicted.
fn wild(count: u64) -> Vec<Sample> {
    let number = |i: u64, field: u64| (i * 8 + field).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let one = |i: u64| Sample {
        pid: (i % 3) as u32,
        usr: number(i, 0),
        sys: number(i, 1),
        time: number(i, 2),
        rss: number(i, 3),
        minflt: number(i, 4),
        majflt: number(i, 5),
        mm_users: number(i, 6) as u32,
        state: State::new(char::from(b'a' + (i % 26) as u8)).unwrap(),
        seq: number(i, 7),
        start: i % 3,
    };
    (0..count).map(one).collect()
}

#[test]
fn any_bit_may_flip() {
    // Long enough to begin afresh several times.
    let (mut bytes, _) = recording(&wild(3600), 300);
    let (_, all, _) = read(&bytes).unwrap();
    let all = samples(&all);
    let fresh: Vec<usize> = (12..bytes.len() - 14)
        .filter(|&at| bytes[at..].starts_with(b"\xf5TM\0\x03") && bytes[at + 13] & 1 == 1)
        .collect();
    assert!(fresh.len() >= 3, "{fresh:?}");
    // What is behind each beginning is all there is if a file has nothing else.
    let head = &bytes[..fresh[0]];
    let behind: Vec<Vec<Sample>> =
        fresh.iter().map(|&at| samples(&read(&[head, &bytes[at..]].concat()).unwrap().1)).collect();
    assert!(behind[0] == all && behind[1].len() < all.len() && behind.iter().all(|behind| !behind.is_empty()));
    // Those near the borders of a chunk, and some within.
    let mut places: Vec<usize> = fresh.iter().flat_map(|&at| at.saturating_sub(40)..at + 20).collect();
    places.extend((0..60).chain(bytes.len() - 40..bytes.len()).chain((0..bytes.len()).step_by(9973)));
    for (place, bit) in places.into_iter().map(|place| (place, place % 8)) {
        bytes[place] ^= 1 << bit;
        match read(&bytes) {
            Err(Error::NotOne(_)) => assert!(place < 12),
            Err(Error::Newer { .. }) => assert!((8..12).contains(&place)),
            Err(error) => panic!("byte {place}: {error}"),
            Ok((is, events, damage)) => {
                assert!(place >= 12);
                assert_eq!(is, crate::head());
                assert!(damage.places == 1 || damage.torn > 0, "byte {place}: {damage:?}");
                // What is left is as it was, and in order. (No two samples are equal.)
                let is = samples(&events);
                let mut rest = all.iter();
                assert!(is.iter().all(|sample| rest.any(|other| other == sample)), "byte {place}");
                // From the next beginning on, nothing is missing.
                if let Some(next) = fresh.iter().position(|&at| at > place) {
                    assert!(is.ends_with(&behind[next]), "byte {place}");
                }
            }
        }
        bytes[place] ^= 1 << bit;
    }
}

#[test]
fn a_hole() {
    let history = history(3, 12_000);
    let (bytes, ends) = recording(&history, 3000);
    // Two chunks are cut out, and nothing else says so than their numbers.
    let hole = [&bytes[..ends[3].0], &bytes[ends[5].0..]].concat();
    let (_, events, damage) = read(&hole).unwrap();
    assert_eq!((damage.places, damage.bytes, damage.torn), (1, 0, 0));
    assert!(damage.skipped > 0);
    let is = samples(&events);
    assert!(is.len() < history.len() && is.len() > history.len() / 3);
    let mut rest = history.iter();
    assert!(is.iter().all(|sample| rest.any(|other| other == sample)));
    // The same chunk twice.
    let twice = [&bytes[..ends[3].0], &bytes[ends[2].0..]].concat();
    let mut rest = history.iter();
    assert!(samples(&read(&twice).unwrap().1).iter().all(|sample| rest.any(|other| other == sample)));
}

#[test]
fn what_is_not_known_is_skipped() {
    use taskmonitor_recording::{Chunk, beginning, seal};
    let mut bytes = beginning();
    seal(&mut bytes, 0, &Chunk::head(&head()));
    let mut later = Vec::new();
    seal(&mut later, 1, &Chunk::end(&End { why: Why::Stopped, time: 1, status: None, peak: None }));
    // Of a kind that may come, with the checksum of that.
    later[4] = 200;
    let end = later.len() - 4;
    let crc = crc32fast::hash(&later[4..end]);
    later[end..].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(later);
    let end = End { why: Why::Stopped, time: 1, status: None, peak: None };
    seal(&mut bytes, 2, &Chunk::end(&end));
    let (_, events, damage) = read(&bytes).unwrap();
    assert_eq!((events, damage), (vec![Event::End(end)], Damage::default()));
}

/// A chunk as it stands in a file, whatever is in it.
fn chunk(kind: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32fast::hash(&bytes);
    [&b"\xf5TM\0"[..], &bytes, &crc.to_le_bytes()].concat()
}

#[test]
fn nothing_goes_on_from_samples_that_are_none() {
    let begun =
        [taskmonitor_recording::beginning(), chunk(1, 0, b"booted 0\n"), chunk(3, 1, &[1, 0, 5, 9, 0, 0])].concat();
    // One more of task 0, two seconds later.
    let more = [0, 1, 0, 4];
    let (_, events, damage) = read(&[&begun[..], &chunk(3, 2, &more)].concat()).unwrap();
    assert_eq!((samples(&events).len(), damage), (2, Damage::default()));
    // Of a task that there is not; and what is behind it.
    let (_, events, damage) = read(&[&begun[..], &chunk(3, 2, &[0, 20]), &chunk(3, 3, &more)].concat()).unwrap();
    assert_eq!((samples(&events).len(), damage), (1, Damage { places: 1, skipped: 1, ..Damage::default() }));
}

/// Counts what is read.
struct Counting<'a>(Cursor<Vec<u8>>, &'a std::cell::Cell<usize>);

impl Read for Counting<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(to)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_length_that_is_none_makes_nobody_read_all() {
    let mut long = chunk(3, 1, &[]);
    long[9..13].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    let end = chunk(6, 1, b"why stopped\n");
    let file = [taskmonitor_recording::beginning(), chunk(1, 0, b"booted 0\n"), long, end, vec![0; 8 << 20]].concat();
    let count = std::cell::Cell::new(0);
    let mut reader = Reader::of(Counting(Cursor::new(file), &count), Path::new("FILE")).unwrap();
    assert_eq!(
        reader.next().unwrap(),
        Some(Event::End(End { why: Why::Stopped, time: 0, status: None, peak: None }))
    );
    assert!(count.get() < 1 << 20, "{}", count.get());
}

#[test]
fn refused() {
    let (bytes, _) = recording(&history(1, 1), 1);
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(
        read(&newer).unwrap_err().to_string(),
        "cannot read FILE: it has format version 2, and this taskmon reads versions up to 1; use a newer taskmon"
    );
    let mut none = bytes;
    none[0] ^= 1;
    assert_eq!(read(&none).unwrap_err().to_string(), "FILE is not a recording of taskmon");
    assert_eq!(read(b"\x8bTMREX").unwrap_err().to_string(), "FILE is not a recording of taskmon");
    assert_eq!(
        read(b"").unwrap_err().to_string(),
        "FILE is empty: the recording ended before its head was written, or all of the file is damaged"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(Error::NotOne(_))));
    assert!(matches!(Reader::open(&folder.path().join("none")), Err(Error::Io { .. })));
}

/// The beginning of a command is in the second head, whatever is between that and the first.
#[test]
fn what_may_come_before_the_second_head() {
    let second = b"booted 0\nexec 7 5 8 0\n";
    let lost: &[u8] = &[7, 5, 1, 1, 1];
    for (kind, payload) in
        [(2, &b"\x07\x05\x02sh"[..]), (4, lost), (5, lost), (7, &[1, 1, 0, 0]), (8, &[7, 5, 1]), (9, b"later")]
    {
        let front =
            [taskmonitor_recording::beginning(), chunk(1, 0, b"booted 0\n"), chunk(kind, 1, payload)].concat();
        let file = [front, chunk(1, 2, second), chunk(6, 3, b"why stopped\n")].concat();
        let (head, ..) = read(&file).unwrap();
        assert!(head.exec.is_some(), "kind {kind}");
    }
}

/// Returns whether all of a file is understood.
fn understood(bytes: &[u8]) -> bool {
    let mut reader = Reader::of(Cursor::new(bytes), Path::new("FILE")).unwrap();
    while reader.next().unwrap().is_some() {}
    reader.understood()
}

#[test]
fn what_is_understood() {
    let (bytes, _) = recording(&history(3, 40), 1);
    assert!(understood(&bytes));
    let first = taskmonitor_recording::beginning().len() + 13;
    let head = u32::from_le_bytes(bytes[first - 4..first].try_into().unwrap()) as usize;
    // Wherever a recorder is killed.
    for end in first + head + 4..bytes.len() {
        assert!(understood(&bytes[..end]), "cut at {end}");
    }
    // Whatever is damaged behind the head, the last chunk included.
    for at in first + head + 4..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        // (The length of the last chunk may then be one that is not reached.)
        assert!(!understood(&damaged) || bytes.len() - at < 100, "damage at {at}");
    }
    assert!(!understood(&[&bytes[..], &[0; 100]].concat()));
    let with = |kind: u8, payload: &[u8]| {
        [taskmonitor_recording::beginning(), chunk(1, 0, b"booted 0\n"), chunk(kind, 1, payload)].concat()
    };
    assert!(understood(&with(6, b"why failed\ntime 3\n")) && understood(&with(4, &[7, 5, 1, 1, 0])));
    for (kind, payload) in
        [(9, &b"later"[..]), (1, b"later 1\n"), (6, b"why bored\n"), (4, &[7, 5, 1, 1, 99]), (3, &[3]), (2, b"\x07")]
    {
        assert!(!understood(&with(kind, payload)), "kind {kind}");
    }
}

/// What came after the first readers of version 1: they skip both.
#[test]
fn clocks_and_beginnings() {
    let all = history(2, 6);
    let anchor = |second: u64, booted: i64| Anchor {
        since: second,
        at: second + 1,
        booted,
        suspended: u64::MAX / (second + 1),
    };
    let anchors = [anchor(1, i64::MIN), anchor(2, i64::MAX), anchor(3, 0)];
    let exec = Exec { id: all[0].id(), time: 5, seq: 3 };
    let mut writer = Writer::new(Vec::new(), Head { suspended: 7, ..head() }).unwrap();
    writer.exec(exec).unwrap();
    for sample in &all[..4] {
        writer.sample(sample).unwrap();
    }
    writer.clock(&anchors).unwrap();
    for sample in &all[4..] {
        writer.sample(sample).unwrap();
    }
    let end = End { why: Why::Command, time: 9, status: Some(0), peak: Some(4096) };
    let (read_head, events, damage) = read(&writer.end(&end).unwrap()).unwrap();
    // The beginning is known before the first sample.
    assert_eq!(read_head, Head { suspended: 7, exec: Some(exec), ..head() });
    assert_eq!(damage, Damage::default());
    assert_eq!(samples(&events), all);
    let clocks =
        events.iter().filter_map(|event| if let Event::Clock(anchor) = event { Some(*anchor) } else { None });
    assert_eq!(clocks.collect::<Vec<_>>(), anchors);
    let before = events.iter().take_while(|event| !matches!(event, Event::Clock(_))).cloned().collect::<Vec<_>>();
    assert_eq!(samples(&before), &all[..4], "a clock comes between the samples");
    assert_eq!(events.last(), Some(&Event::End(end)));
    let beginning = exec.beginning().unwrap();
    assert_eq!((beginning.time, beginning.seq, beginning.cpu(), beginning.id()), (5, 3, 0, all[0].id()));
}

/// What version 1 is. This file must stay readable for ever: what it holds may never be written anew.
#[test]
fn the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1.rec");
    let all = history(4, 30);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") && !path.exists() {
        let mut writer = Writer::new(Vec::new(), head()).unwrap();
        for (i, sample) in all.iter().enumerate() {
            writer.name(sample.id(), if i < 60 { b"make" } else { b"ld \xff" }).unwrap();
            writer.sample(sample).unwrap();
            if i % 32 == 31 {
                writer.flush().unwrap();
            }
        }
        let id = all[0].id();
        writer.lost(&Reason::ALL.map(|reason| Lost { id, count: 2, before: 8, reason })).unwrap();
        writer.counts(&[Counts { id, taken: 30, missed: 2, evicted: 3, reclaimed: 4 }]).unwrap();
        let bytes = writer.end(&End { why: Why::Command, time: 9_000_000_000, status: Some(2), peak: None }).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(*reader.head(), head());
    let mut events = Vec::new();
    while let Some(event) = reader.next().unwrap() {
        events.push(event);
    }
    assert_eq!(reader.damage(), Damage::default());
    assert_eq!(samples(&events), all);
    let names: Vec<&[u8]> = events
        .iter()
        .filter_map(|event| if let Event::Name { name, .. } = event { Some(&**name) } else { None })
        .collect();
    assert_eq!(names, [&b"make"[..], b"make", b"make", b"make", b"ld \xff", b"ld \xff", b"ld \xff", b"ld \xff"]);
    let id = all[0].id();
    let mut last: Vec<Event> =
        Reason::ALL.map(|reason| Event::Lost(Lost { id, count: 2, before: 8, reason })).to_vec();
    last.push(Event::Counts(Counts { id, taken: 30, missed: 2, evicted: 3, reclaimed: 4 }));
    last.push(Event::End(End { why: Why::Command, time: 9_000_000_000, status: Some(2), peak: None }));
    assert!(events.ends_with(&last), "{events:?}");
}

/// Samples as no kernel gives them, too.
fn any_sample() -> impl Strategy<Value = Sample> {
    let number = prop_oneof![0..10_u64, any::<u64>(), Just(u64::MAX)];
    let n = || number.clone();
    ((0..6_u32, 0..3_u64, n(), n(), n(), n()), (n(), n(), any::<u32>(), prop::char::range('a', 'z'), n())).prop_map(
        |((pid, start, usr, sys, time, rss), (minflt, majflt, mm_users, state, seq))| Sample {
            pid,
            usr,
            sys,
            time,
            rss,
            minflt,
            majflt,
            mm_users,
            state: State::new(state).unwrap(),
            seq,
            start,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_samples(all in prop::collection::vec((any_sample(), 0..20_u8), 0..200)) {
        let mut writer = Writer::new(Vec::new(), head()).unwrap();
        for (sample, also) in &all {
            match also {
                0 => writer.flush().unwrap(),
                1 => writer.name(sample.id(), &[*also; 3]).unwrap(),
                2 => writer.name(Id { pid: 1, start: sample.usr }, &sample.sys.to_le_bytes()).unwrap(),
                _ => {}
            }
            writer.sample(sample).unwrap();
        }
        let bytes = writer.end(&End { why: Why::Stopped, time: 0, status: None, peak: None }).unwrap();
        let (_, events, damage) = read(&bytes).unwrap();
        prop_assert_eq!(damage, Damage::default());
        let all: Vec<Sample> = all.into_iter().map(|(sample, _)| sample).collect();
        prop_assert_eq!(samples(&events), all);
    }

    /// With right checksums around them.
    #[test]
    fn any_payloads(chunks in prop::collection::vec((0..8_u8, prop::collection::vec(any::<u8>(), 0..100)), 0..20)) {
        let (mut bytes, _) = recording(&history(2, 3), 2);
        for (number, (kind, payload)) in chunks.into_iter().enumerate() {
            bytes.extend(chunk(kind, number as u32 + 9, &payload));
        }
        let (_, events, damage) = read(&bytes).unwrap();
        prop_assert!(samples(&events).len() >= 6);
        prop_assert_eq!((damage.bytes, damage.torn), (0, 0));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..500), as_one in any::<bool>()) {
        if as_one {
            let (mut one, ends) = recording(&history(2, 3), 2);
            one.truncate(ends[0].0);
            one.extend(&bytes);
            let (_, events, damage) = read(&one).unwrap();
            prop_assert_eq!((events, damage.torn), (vec![], bytes.len() as u64));
        } else {
            prop_assert!(read(&bytes).is_err());
            let beginning = [&taskmonitor_recording::beginning()[..], &bytes].concat();
            prop_assert!(matches!(read(&beginning), Err(Error::Nothing(_))));
        }
    }
}
