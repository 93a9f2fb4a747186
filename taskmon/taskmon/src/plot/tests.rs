// SPDX-License-Identifier: GPL-2.0-only

//! Pictures of all kinds: golden files, and what must hold of each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use roxmltree::Document;
use roxmltree::Node;
use taskmonitor::Sample;

use super::figure::Figure;
use super::figure::Picture;
use super::svg;
use super::text;
use crate::rate::Series;
use crate::times::Clock;

/// 2026-11-27T16:00:00Z.
const BOOTED: i64 = 1_795_795_200_000_000_000;
const MS: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

/// A task that is made up.
struct Made {
    pid: u64,
    name: String,
    // Of the next sample.
    time: u64,
    seq: u64,
    usr: u64,
    sys: u64,
    minflt: u64,
    majflt: u64,
    lines: Vec<(u64, String)>,
}

impl Made {
    fn new(pid: u64, name: &str, time: u64) -> Self {
        let (name, lines) = (name.to_owned(), Vec::new());
        Self { pid, name, time, seq: 0, usr: 0, sys: 0, minflt: 0, majflt: 0, lines }
    }

    /// A sample `ms` after the one before, with such a usage in between.
    fn sample(&mut self, ms: u64, usr: f64, sys: f64, rss: u64, faults: (u64, u64)) {
        if self.seq > 0 {
            self.time += ms * MS;
            self.usr += (usr * ms as f64) as u64 * MS / 100;
            self.sys += (sys * ms as f64) as u64 * MS / 100;
        }
        self.minflt += faults.0;
        self.majflt += faults.1;
        self.put(rss, 1, 'R');
    }

    fn put(&mut self, rss: u64, users: u64, state: char) {
        let Self { pid, time, seq, usr, sys, minflt, majflt, .. } = *self;
        let line = format!(
            "pid {pid} usr {usr} sys {sys} time {time} rss {rss} minflt {minflt} majflt {majflt} mm_users {users} \
             state {state} seq {seq} start {pid}"
        );
        self.lines.push((time, line));
        self.seq += 1;
    }

    fn miss(&mut self, samples: u64, ms: u64) {
        self.seq += samples;
        self.time += samples * ms * MS;
    }

    fn exit(&mut self, ms: u64) {
        self.time += ms * MS;
        self.put(0, 0, 'X');
    }
}

fn picture(title: Option<&str>, made: &[Made], fine: usize) -> Option<Figure> {
    let mut samples: Vec<(u64, usize, Sample)> = Vec::new();
    for (i, made) in made.iter().enumerate() {
        samples.extend(made.lines.iter().map(|(time, line)| (*time, i, Sample::parse(line.as_bytes()).unwrap())));
    }
    samples.sort_by_key(|&(time, i, _)| (time, i));
    let mut picture = Picture::new(Clock::new(Some(BOOTED)).unwrap(), title.map(str::to_owned), fine);
    loop {
        let mut series = Series::new(None);
        for &(_, i, sample) in &samples {
            series.push(sample, |point| picture.push(&point, Some(&made[i].name)));
        }
        match picture.again() {
            Some(again) => picture = again,
            None => return picture.finish(),
        }
    }
}

/// Numbers that look as if there were no rule in them, and are always the same.
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1 << 24) as f64
    }
}

/// Reads, computes, writes: a second a sample.
fn one() -> Vec<Made> {
    let (mut task, mut noise) = (Made::new(267, "sort", 100_000 * MS), Noise(1));
    for i in 0..100_u64 {
        let n = noise.next();
        let (usr, sys, rss, faults) = match i {
            0..20 => {
                (22.0 + 8.0 * n, 30.0 + 15.0 * n, 4 + 12 * i, (2900 + (200.0 * n) as u64, u64::from(i % 3 == 1)))
            }
            20..70 => (97.0 + 2.0 * n, 1.0 + n, 244, ((20.0 * n) as u64, 0)),
            70..80 => (0.3 * n, 0.5 * n, 244, (0, 0)),
            _ => (30.0 + 10.0 * n, 42.0 + 18.0 * n, 244 - 6 * (i - 80), (300, 0)),
        };
        task.sample(1000, usr, sys, rss * MIB, faults);
    }
    vec![task]
}

fn gaps() -> Vec<Made> {
    let (mut task, mut noise) = (Made::new(267, "postgres", 3600_000 * MS), Noise(2));
    for i in 0..120_u64 {
        if i == 40 {
            task.miss(12, 500);
        }
        if i == 80 {
            task.miss(60, 500);
        }
        if i > 90 && i % 9 == 0 {
            task.miss(1, 500);
        }
        let n = noise.next();
        task.sample(
            500,
            40.0 + 20.0 * n,
            8.0 + 6.0 * n,
            (180 + i / 4) * MIB,
            ((100.0 * n) as u64, u64::from(i == 41 || i == 42)),
        );
    }
    vec![task]
}

/// Four that have something to do with each other: a server, two workers, and one that comes late; one exits.
fn several() -> Vec<Made> {
    let mut noise = Noise(3);
    let mut made = vec![
        Made::new(812, "postgres", 100_000 * MS),
        Made::new(1440, "worker/0", 100_020 * MS),
        Made::new(1441, "worker/1", 100_040 * MS),
        Made::new(2050, "backup", 130_000 * MS),
    ];
    for i in 0..180_u64 {
        let n = noise.next();
        made[0].sample(
            500,
            12.0 + 5.0 * n,
            9.0 + 3.0 * n,
            (310 + i / 20) * MIB,
            ((30.0 * n) as u64, u64::from(i == 100)),
        );
        if i < 110 {
            let busy = if i % 40 < 25 { 95.0 } else { 5.0 };
            made[1].sample(500, busy + 3.0 * n, 2.0 * n, (40 + i) * MIB, (260, 0));
        }
        if i == 110 {
            made[1].exit(500);
        }
        if i == 60 {
            made[2].miss(30, 500);
        } else if !(60..90).contains(&i) {
            let busy = if i % 50 > 20 { 70.0 } else { 0.0 };
            made[2].sample(
                500,
                busy + 3.0 * n,
                busy / 5.0 + n,
                (90 + (40.0 * (i as f64 / 30.0 * TAU).sin().max(0.0)) as u64) * MIB,
                (9, 0),
            );
        }
        if i >= 60 {
            made[3].sample(500, 8.0 + n, 45.0 + 25.0 * n, 18 * MIB, (3, if i % 7 == 0 { 2 } else { 0 }));
        }
    }
    made
}

fn exits() -> Vec<Made> {
    let mut made = vec![Made::new(4711, "cc1plus", 50_000 * MS)];
    for i in 0..40_u64 {
        made[0].sample(
            10,
            if i < 5 { 40.0 } else { 98.0 },
            if i < 5 { 50.0 } else { 2.0 },
            (10 + i * i / 8) * MIB,
            (150 + i, u64::from(i < 4)),
        );
    }
    made[0].exit(10);
    made
}

/// 300 tasks, of which a few do something.
fn many() -> Vec<Made> {
    let mut noise = Noise(4);
    (0..300_u64)
        .map(|task| {
            let mut made = Made::new(1000 + task, &format!("http-worker-{task}"), 500_000 * MS + task * 3000);
            let heavy = task % 37 == 5;
            for i in 0..120_u64 {
                let n = noise.next();
                let wave = (1.0 + (i as f64 / 60.0 * TAU + task as f64).sin()) / 2.0;
                let usr = if heavy { 30.0 + wave * 60.0 * n } else { 0.6 * n };
                let rss = if heavy { 60 + i / 3 + task / 4 } else { 3 };
                made.sample(1000, usr, usr / 4.0, rss * MIB, (if heavy { 40 } else { 1 }, 0));
            }
            made
        })
        .collect()
}

/// 100,000 samples, a second each, with one peak that lasts as long.
fn long() -> Vec<Made> {
    let (mut task, mut noise) = (Made::new(99, "collectd", 100_000 * MS), Noise(5));
    for i in 0..100_000_u64 {
        let day = (1.0 - (i as f64 / 86_400.0 * TAU).cos()) / 2.0;
        let n = noise.next();
        let peak = i == 61_803;
        let usr = if peak { 95.0 } else { 6.0 + 12.0 * day + 5.0 * n };
        let rss = 60 * MIB + (12.0 * day * MIB as f64) as u64 + if peak { 90 * MIB } else { 0 };
        task.sample(1000, usr, 2.0 + 3.0 * n, rss, ((6.0 * n) as u64, u64::from(peak)));
    }
    vec![task]
}

fn lone() -> Vec<Made> {
    let mut task = Made::new(267, "sleep", 100_000 * MS);
    task.sample(0, 0.0, 0.0, 3 * MIB / 2, (70, 0));
    vec![task]
}

/// Names that mean harm, or are none.
fn odd() -> Vec<Made> {
    let names = [
        "<script>&\"'",
        "\u{202e}txt.exe\u{200f}",
        "\u{1b}[31mred\n",
        "一二三四五漢字漢字漢字漢字",
        "a very long name that has no end at all, and goes on and on",
        "",
    ];
    names
        .iter()
        .zip(0..)
        .map(|(name, i)| {
            let mut task = Made::new(4_194_300 + i, name, 100_000 * MS);
            for second in 0..30 {
                task.sample(1000, 10.0 * (i + 1) as f64, 3.0, (5 + second * i) * MIB, (0, 0));
            }
            task
        })
        .collect()
}

/// All of them, with their names.
fn all() -> Vec<(&'static str, Figure)> {
    let wide = "sort --parallel=4 -S 64M -T /var/tmp --compress-program=zstd -k 2,2n -k 1,1 -o sorted.txt access.log.1 access.log.2";
    [
        ("one", None, one()),
        ("gaps", None, gaps()),
        ("several", Some("A database and its workers"), several()),
        ("exit", None, exits()),
        ("many", None, many()),
        ("long", None, long()),
        ("lone", None, lone()),
        ("odd", Some(wide), odd()),
    ]
    .into_iter()
    .map(|(name, title, made)| (name, picture(title, &made, 600).unwrap()))
    .collect()
}

/// Compares with tests/golden, or writes there if GOLDEN=write is in the environment.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} is not what is drawn now", path.display());
}

#[test]
fn golden_svg() {
    for (name, figure) in all() {
        golden(&format!("plot-{name}.svg"), &svg::draw(&figure, 800, None).unwrap());
    }
}
