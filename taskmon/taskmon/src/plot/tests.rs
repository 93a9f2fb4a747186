// SPDX-License-Identifier: GPL-2.0-only

//! Pictures of all kinds: golden files, and what must hold of each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use roxmltree::Document;
use roxmltree::Node;
use taskmonitor::Sample;

use super::ascii;
use super::ascii::Terminal;
use super::figure::Figure;
use super::figure::Picture;
use super::layout;
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
    let (mut task, mut noise) = (Made::new(267, "postgres", 3_600_000 * MS), Noise(2));
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
fn golden_text() {
    for (name, figure) in all() {
        for (kind, columns, utf8) in [("txt", 80, false), ("utf8.txt", 80, true), ("40.txt", 40, false)] {
            let drawn = ascii::draw(&figure, Terminal { columns, utf8, colour: false });
            golden(&format!("plot-{name}.{kind}"), &drawn);
        }
    }
}

#[test]
fn golden_svg() {
    for (name, figure) in all() {
        golden(&format!("plot-{name}.svg"), &svg::draw(&figure, 800, None).unwrap());
    }
}

/// A rectangle: left, top, right, bottom.
type Edges = (f64, f64, f64, f64);

fn number(node: Node<'_, '_>, key: &str) -> f64 {
    node.attribute(key).unwrap_or("0").parse().unwrap_or_else(|_| panic!("{key} of {node:?}"))
}

/// What is around a text, by the widest of the fonts.
fn around(node: Node<'_, '_>) -> Edges {
    let size = if node.has_attribute("font-size") { number(node, "font-size") } else { 11.0 };
    let wide = |node: Node<'_, '_>| {
        let bold = node.attribute("font-weight") == Some("bold");
        text::width(node.text().unwrap_or(""), size, bold) + number(node, "dx")
    };
    let width: f64 = wide(node) + node.children().filter(Node::is_element).map(wide).sum::<f64>();
    let (x, y) = (number(node, "x"), number(node, "y"));
    let left = match node.attribute("text-anchor") {
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        None => x,
        other => panic!("{other:?}"),
    };
    (left, y - 0.75 * size, left + width, y + 0.2 * size)
}

fn overlap(a: Edges, b: Edges) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

/// All points of a path.
fn points(data: &str) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut points = Vec::new();
    let mut rest = data;
    while let Some(command) = rest.chars().next() {
        rest = &rest[1..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let numbers: Vec<f64> = rest[..end].split_whitespace().map(|n| n.parse().unwrap()).collect();
        rest = &rest[end..];
        match (command, numbers.as_slice()) {
            ('M' | 'L', &[to_x, to_y]) => (x, y) = (to_x, to_y),
            ('H', &[to]) => x = to,
            ('V', &[to]) => y = to,
            ('Z', []) => continue,
            other => panic!("{other:?}"),
        }
        points.push((x, y));
    }
    points
}

/// What must hold of every picture. Gives its texts.
#[track_caller]
fn check(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.tag_name().namespace()), ("svg", Some("http://www.w3.org/2000/svg")));
    assert_eq!(root.attribute("version"), Some("1.1"));
    let (width, height) = (number(root, "width"), number(root, "height"));
    assert_eq!(root.attribute("viewBox").unwrap(), format!("0 0 {width} {height}"));
    let first: Vec<&str> =
        root.children().filter(Node::is_element).take(2).map(|node| node.tag_name().name()).collect();
    assert_eq!(first, ["title", "desc"]);
    let inside = |x: f64, y: f64| (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
    let mut texts: Vec<(Edges, String)> = Vec::new();
    for node in root.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            matches!(
                name,
                "svg"
                    | "title"
                    | "desc"
                    | "defs"
                    | "pattern"
                    | "rect"
                    | "g"
                    | "path"
                    | "line"
                    | "circle"
                    | "text"
                    | "tspan"
            ),
            "{name}"
        );
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on") && attribute.name() != "href" && attribute.name() != "style");
            let value = attribute.value();
            assert!(!value.contains("url(") || value == "url(#missing)");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
        }
        match name {
            "path" => assert!(points(node.attribute("d").unwrap()).iter().all(|&(x, y)| inside(x, y)), "{node:?}"),
            "line" => assert!(
                inside(number(node, "x1"), number(node, "y1")) && inside(number(node, "x2"), number(node, "y2"))
            ),
            "circle" => assert!(inside(number(node, "cx"), number(node, "cy"))),
            "rect" => {
                let (x, y) = (number(node, "x"), number(node, "y"));
                assert!(inside(x, y) && inside(x + number(node, "width"), y + number(node, "height")), "{node:?}");
            }
            "text" => {
                let edges = around(node);
                let said: String = node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
                assert!(inside(edges.0, edges.1) && inside(edges.2, edges.3), "outside: {said:?} {edges:?}");
                if let Some((_, other)) = texts.iter().find(|(other, _)| overlap(*other, edges)) {
                    panic!("{said:?} lies on {other:?}");
                }
                texts.push((edges, said));
            }
            _ => {}
        }
    }
    texts.into_iter().map(|(_, said)| said).collect()
}

#[test]
fn every_picture_is_sound() {
    for (_, figure) in all() {
        for (width, height) in [(480, None), (800, None), (800, Some(1200)), (4000, Some(4000)), (1000, None)] {
            check(&svg::draw(&figure, width, height).unwrap());
        }
        let least = svg::draw(&figure, 800, Some(1)).unwrap_err();
        check(&svg::draw(&figure, 800, Some(least)).unwrap());
        assert!(svg::draw(&figure, 800, Some(least - 1)).is_err());
    }
}

#[test]
fn names_are_only_names() {
    let svg =
        svg::draw(&picture(Some("</title><script>alert(1)</script>"), &odd(), 600).unwrap(), 800, None).unwrap();
    let texts = check(&svg);
    assert!(texts.contains(&"<script>&\"'".to_owned()) && texts.contains(&"(no name)".to_owned()), "{texts:?}");
    assert!(!svg.contains("<script") && !svg.contains(['\u{202e}', '\u{1b}', '\u{200f}']));
    for utf8 in [false, true] {
        let drawn = ascii::draw(&picture(None, &odd(), 320).unwrap(), Terminal { columns: 80, utf8, colour: false });
        assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()) && (utf8 || drawn.is_ascii()));
        assert!(!drawn.contains(['\u{202e}', '\u{200f}']));
    }
}

/// The lines of a picture with this colour, or its areas.
fn drawn(svg: &str, key: &str, colour: &str) -> Vec<(f64, f64)> {
    let document = Document::parse(svg).unwrap();
    let paths = document.descendants().filter(|node| node.attribute(key) == Some(colour));
    paths.flat_map(|node| points(node.attribute("d").unwrap_or(""))).collect()
}

#[test]
fn one_peak_among_many_is_seen() {
    let figure = picture(None, &long(), 600).unwrap();
    let svg = svg::draw(&figure, 800, None).unwrap();
    check(&svg);
    let layout =
        layout::Layout::new(800, None, layout::Contents { tasks: 1, others: false, faults: true, legend: 1 })
            .unwrap();
    let lines = drawn(&svg, "stroke", "#0072b2");
    // At 99 % and at 150 MiB or more; nothing else gets near.
    for (panel, level) in [(&layout.cpu[0], 0.98), (&layout.memory, 0.75)] {
        let edge = panel.bottom() - level * panel.height;
        let high: Vec<f64> =
            lines.iter().filter(|(_, y)| (panel.y - 3.0..edge).contains(y)).map(|(x, _)| *x).collect();
        let (left, right) = (high.iter().copied().fold(f64::MAX, f64::min), high.iter().copied().fold(0.0, f64::max));
        assert!((0.0..4.0).contains(&(right - left)), "{high:?}");
        let there = panel.x + panel.width * 61_803.0 / 99_999.0;
        assert!((left - 3.0..right + 3.0).contains(&there), "{there} {high:?}");
    }
    let text = ascii::draw(&figure, Terminal { columns: 80, utf8: false, colour: false });
    let top = text.lines().find(|line| line.contains("100 |")).unwrap();
    assert!((1..=2).contains(&top.matches('\'').count()), "{text}");
}

#[test]
fn nothing_is_drawn_in_a_gap() {
    let figure = picture(None, &gaps(), 600).unwrap();
    let svg = svg::draw(&figure, 800, None).unwrap();
    let texts = check(&svg);
    assert_eq!(texts.iter().filter(|text| *text == "60 samples missing").count(), 1);
    // 60 samples of half a second, and the first behind them: from 45.5 to 76 s of 97.
    let layout =
        layout::Layout::new(800, None, layout::Contents { tasks: 1, others: false, faults: true, legend: 1 })
            .unwrap();
    let x = |second: f64| layout.memory.x + layout.memory.width * second / 97.0;
    for (key, colour) in [("fill", "#0072b2"), ("stroke", "#0072b2"), ("fill", "#8a8a8a"), ("fill", "#d1e4f0")] {
        let points = drawn(&svg, key, colour);
        assert!(!points.iter().any(|(at, _)| (x(45.5) + 1.0..x(76.0) - 1.0).contains(at)), "{colour}");
    }
    let hatched = drawn(&svg, "fill", "url(#missing)");
    assert!(
        hatched.iter().any(|(at, _)| (at - x(45.5)).abs() < 0.2)
            && hatched.iter().any(|(at, _)| (at - x(76.0)).abs() < 0.2)
    );
}

#[test]
fn who_has_no_place_is_summed() {
    let figure = picture(None, &many(), 600).unwrap();
    assert_eq!(figure.tracks.len(), 8);
    let names: Vec<&str> = figure.tracks.iter().map(|track| track.name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("http-worker-")).count(), 7);
    assert_eq!(names[7], "293 others");
    // No nanosecond of CPU time gets lost, and no fault; also not where there was room to keep each.
    for (few, figure) in [(300, figure.clone()), (9, picture(None, &many()[..9], 600).unwrap())] {
        let used: u64 = figure.tracks.iter().map(|track| track.whole.usr + track.whole.sys).sum();
        let all: u64 = many()[..few].iter().map(|made| made.usr + made.sys).sum();
        assert!(used.abs_diff(all) < 2000, "{used} of {all}");
    }
    let faults: u64 = figure.total.iter().map(|span| span.minflt).sum();
    // (Those before the first sample are before the picture.)
    let there: u64 = many().iter().map(|made| made.minflt - made.minflt / 120).sum();
    assert!(faults.abs_diff(there) < 2000, "{faults} of {there}");
    let texts = check(&svg::draw(&figure, 800, None).unwrap());
    assert_eq!(texts.iter().filter(|text| *text == "293 others").count(), 2);
    assert!(texts.iter().any(|text| text.starts_with("300 tasks")), "{texts:?}");
    // Eight have a place each; nine do not.
    let few = |n: usize| picture(None, &many()[..n], 600).unwrap().tracks;
    assert!(few(8).iter().all(|track| track.pid.is_some()) && few(8).len() == 8);
    assert_eq!(
        few(9).iter().filter(|track| track.pid.is_none()).map(|track| track.name.clone()).collect::<Vec<_>>(),
        ["2 others"]
    );
}

/// As much as there can be: every sample differs, and every other one is missing.
#[test]
fn the_size_is_bounded() {
    let mut noise = Noise(6);
    let made: Vec<Made> = (0..20)
        .map(|i| {
            let mut task = Made::new(4_194_000 + i, "&&&&&&&&&&&&&&&", 10_000 * MS + i);
            for _ in 0..10_000 {
                if noise.next() < 0.1 {
                    task.miss(50, 1);
                }
                let (usr, sys) = (100.0 * noise.next(), 50.0 * noise.next());
                task.sample(1, usr, sys, (1000.0 * noise.next()) as u64 * MIB, (9, u64::from(noise.next() < 0.5)));
            }
            task.exit(1);
            task
        })
        .collect();
    let figure = picture(Some(&"<".repeat(100_000)), &made, 600).unwrap();
    let svg = svg::draw(&figure, 800, None).unwrap();
    assert!(svg.len() < 1 << 20, "{} bytes", svg.len());
    check(&svg);
    for columns in 40..=200 {
        let text = ascii::draw(&figure, Terminal { columns, utf8: true, colour: true });
        assert!(text.len() < 1 << 18 && text.lines().count() < 60, "{} bytes", text.len());
    }
}

#[test]
fn every_terminal_is_wide_enough() {
    for (name, figure) in all() {
        for columns in 40..=200 {
            for utf8 in [false, true] {
                let text = ascii::draw(&figure, Terminal { columns, utf8, colour: false });
                let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(longest <= columns, "{name}, {columns} columns: {longest}\n{text}");
                assert!(text.lines().all(|line| !line.ends_with(' ')));
                assert!(utf8 || text.is_ascii());
            }
        }
    }
}

#[test]
fn colours_are_codes_beside_the_same_text() {
    for (_, figure) in all() {
        let plain = ascii::draw(&figure, Terminal { columns: 80, utf8: false, colour: false });
        let coloured = ascii::draw(&figure, Terminal { columns: 80, utf8: false, colour: true });
        let mut stripped = String::new();
        for (i, part) in coloured.split('\u{1b}').enumerate() {
            stripped += if i == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(stripped, plain);
        // No colour goes on into the next line.
        assert!(
            coloured.lines().all(|line| line.rsplit_once('\u{1b}').is_none_or(|(_, last)| last.starts_with("[0m")))
        );
    }
}

#[test]
fn nothing_to_draw() {
    assert!(picture(None, &[], 600).is_none());
    let texts = check(&svg::draw(&picture(None, &lone(), 600).unwrap(), 800, None).unwrap());
    assert!(texts.contains(&"usage unknown, there is only one sample".to_owned()), "{texts:?}");
    // Of many with a sample each: what the others have is not left out.
    let made: Vec<Made> = (1..=100)
        .map(|pid| {
            let mut task = Made::new(pid, "new", 100_000 * MS + pid);
            task.sample(0, 0.0, 0.0, MIB, (0, 0));
            task
        })
        .collect();
    let figure = picture(None, &made, 600).unwrap();
    assert_eq!(
        figure.tracks.last().map(|track| (track.name.as_str(), track.whole.rss.1)),
        Some(("93 others", 93 * MIB))
    );
    let texts = check(&svg::draw(&figure, 800, None).unwrap());
    assert!(texts.contains(&"93.0 MiB".to_owned()), "{texts:?}");
    // One that has exited before anybody looked: neither memory nor usage.
    let mut gone = Made::new(7, "gone", 5);
    gone.put(0, 0, 'X');
    let figure = picture(None, &[gone], 600).unwrap();
    check(&svg::draw(&figure, 800, None).unwrap());
    ascii::draw(&figure, Terminal { columns: 40, utf8: false, colour: false });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever has been recorded, there is a picture, and it is sound.
    #[test]
    fn anything_is_drawn(
        tasks in prop::collection::vec(
            prop::collection::vec((0..3_u64, 1..u64::MAX >> 12, any::<u64>(), any::<u64>(), 0..1000_u64, 0..2_u64), 1..40),
            1..12,
        ),
        exits in any::<u32>(),
        fine in 2..700_usize,
    ) {
        let mut made = Vec::new();
        for (i, steps) in (0..).zip(tasks) {
            let mut task = Made::new(i + 1, "any", 1 + i);
            for (skipped, passed, used, rss, minflt, majflt) in steps {
                task.seq += skipped / 2;
                task.time += passed;
                task.usr = task.usr.wrapping_add(used >> 20);
                task.sys = task.sys.wrapping_add(used >> 30);
                task.minflt += minflt;
                task.majflt += majflt;
                task.put(rss, 1, 'R');
            }
            if (exits >> i) & 1 == 1 {
                task.exit(1);
            }
            made.push(task);
        }
        let figure = picture(None, &made, fine).unwrap();
        check(&svg::draw(&figure, 800, None).unwrap());
        for utf8 in [false, true] {
            let text = ascii::draw(&figure, Terminal { columns: 80, utf8, colour: false });
            prop_assert!(text.lines().all(|line| line.chars().count() <= 80));
        }
    }
}
