// SPDX-License-Identifier: GPL-2.0-only

//! What was written is read, whatever happens to the file in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::State;
use taskmonitor_recording::Counts;
use taskmonitor_recording::Damage;
use taskmonitor_recording::End;
use taskmonitor_recording::Error;
use taskmonitor_recording::Event;
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
        period: Duration::from_millis(100),
        module: "0.1".to_owned(),
        taskmon: "0.1.0".to_owned(),
        kernel: "6.12.48".to_owned(),
        command: Some("make -j4".to_owned()),
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
    let end = End { why: Why::Stopped, time: 99, status: None };
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
    let end = End { why: Why::Command, time: 12, status: Some(137) };
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
    let bytes = writer.end(&End { why: Why::Duration, time: 0, status: None }).unwrap();
    let (_, events, damage) = read(&bytes).unwrap();
    assert_eq!(damage, Damage::default());
    assert_eq!(samples(&events), history);
    let losses: Vec<Lost> =
        events.iter().filter_map(|event| if let Event::Lost(lost) = event { Some(*lost) } else { None }).collect();
    assert_eq!(losses, lost);
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
    seal(&mut later, 1, &Chunk::end(&End { why: Why::Stopped, time: 1, status: None }));
    // Of a kind that may come, with the checksum of that.
    later[4] = 200;
    let end = later.len() - 4;
    let crc = crc32fast::hash(&later[4..end]);
    later[end..].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(later);
    let end = End { why: Why::Stopped, time: 1, status: None };
    seal(&mut bytes, 2, &Chunk::end(&end));
    let (_, events, damage) = read(&bytes).unwrap();
    assert_eq!((events, damage), (vec![Event::End(end)], Damage::default()));
}

#[test]
fn refused() {
    let (bytes, _) = recording(&history(1, 1), 1);
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(
        read(&newer).unwrap_err().to_string(),
        "FILE is a recording of version 2, and this taskmon knows those up to 1: take a newer one"
    );
    let mut none = bytes;
    none[0] ^= 1;
    assert_eq!(read(&none).unwrap_err().to_string(), "FILE is no recording of taskmon");
    assert_eq!(read(b"\x8bTMREX").unwrap_err().to_string(), "FILE is no recording of taskmon");
    assert_eq!(
        read(b"").unwrap_err().to_string(),
        "FILE ended before its recording had begun, or all of it is damaged: there is nothing in it"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(Error::NotOne(_))));
    assert!(matches!(Reader::open(&folder.path().join("none")), Err(Error::Io { .. })));
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
        let bytes = writer.end(&End { why: Why::Command, time: 9_000_000_000, status: Some(2) }).unwrap();
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
    last.push(Event::End(End { why: Why::Command, time: 9_000_000_000, status: Some(2) }));
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
        let bytes = writer.end(&End { why: Why::Stopped, time: 0, status: None }).unwrap();
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
            let begin = bytes.len();
            bytes.extend_from_slice(b"\xf5TM\0");
            bytes.push(kind);
            bytes.extend_from_slice(&(number as u32 + 9).to_le_bytes());
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&payload);
            let crc = crc32fast::hash(&bytes[begin + 4..]);
            bytes.extend_from_slice(&crc.to_le_bytes());
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
