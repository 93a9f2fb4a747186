// SPDX-License-Identifier: GPL-2.0-only

//! Models that are made by hand, what their keys do, and how they look.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::style::Modifier;
use taskmonitor::Sample;
use taskmonitor::State;
use taskmonitor::Task;

use super::keys::Key;
use super::model::Effect;
use super::model::Mode;
use super::model::Model;
use super::model::Origin;
use super::model::printable;
use super::view;
use super::view::Look;
use crate::cli::Sort;
use crate::rate::Series;
use crate::times::Clock;

const SECOND: u64 = 1_000_000_000;
const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (200, 60)];

/// What a task does in each second.
#[derive(Clone, Copy)]
struct Doing {
    pid: u32,
    comm: &'static str,
    usr: u64,
    sys: u64,
    mib: u64,
    faults: u64,
}

const SOME: [Doing; 5] = [
    Doing { pid: 267, comm: "postgres", usr: 45, sys: 10, mib: 300, faults: 20 },
    Doing { pid: 300, comm: "nginx", usr: 3, sys: 2, mib: 40, faults: 0 },
    Doing { pid: 312, comm: "ffmpeg", usr: 310, sys: 8, mib: 700, faults: 1900 },
    Doing { pid: 9, comm: "kworker/0:1", usr: 0, sys: 1, mib: 0, faults: 0 },
    Doing { pid: 401, comm: "cc1plus", usr: 93, sys: 5, mib: 220, faults: 45_000 },
];

fn sample(doing: &Doing, seq: u64, second: u64, state: char) -> Sample {
    // (So that there is something to be seen in a chart.)
    let percent = |percent: u64| {
        (0..=second).map(|s| percent * (1 + (s / 7 + u64::from(doing.pid)) % 4) / 2 * 10_000_000).sum::<u64>()
    };
    Sample::parse(
        format!(
            "pid {} usr {} sys {} time {} rss {} minflt {} majflt 0 mm_users 1 state {state} seq {seq} start {}",
            doing.pid,
            percent(doing.usr),
            percent(doing.sys),
            (second + 1) * SECOND,
            if state == 'X' { 0 } else { (doing.mib << 20) * (60 + second) / 120 },
            doing.faults * second,
            doing.pid * 1000
        )
        .as_bytes(),
    )
    .unwrap()
}

fn task(doing: &Doing, last: &Sample, missed: u64) -> Task {
    Task {
        pid: doing.pid,
        start: last.start,
        state: last.state,
        threads: 1,
        samples: last.seq + 1 - missed,
        taken: last.seq + 1 - missed,
        evicted: 0,
        reclaimed: 0,
        missed,
        usr: last.usr,
        sys: last.sys,
        time: last.time,
        rss: last.rss,
        mm_users: 1,
        tgid: Some(doing.pid),
        comm: doing.comm.as_bytes().to_vec(),
    }
}

fn empty(origin: Origin) -> Model {
    let mut model = Model::new(origin, Clock::new(Some(1_795_795_200_000_000_000)).unwrap(), Sort::Cpu);
    model.period = Some(Duration::from_secs(1));
    model
}

/// Tasks over so many seconds. One exits, of one samples are missing, if they are among them.
fn filled(origin: Origin, tasks: &[Doing], seconds: u64) -> Model {
    let mut model = empty(origin.clone());
    let mut series = Series::new(None);
    let exits = |doing: &Doing, second| doing.pid == 401 && second >= seconds * 3 / 4;
    let misses = |doing: &Doing, second| doing.pid == 267 && second > seconds / 2 && second < seconds * 5 / 8;
    let mut last: Vec<Option<(Task, u64)>> = vec![None; tasks.len()];
    for second in 0..seconds {
        for (doing, last) in tasks.iter().zip(&mut last) {
            let state = if exits(doing, second) {
                'X'
            } else if doing.usr > 50 {
                'R'
            } else {
                'S'
            };
            let missed = last.as_ref().map_or(0, |(_, missed)| *missed);
            if misses(doing, second) {
                if let Some((_, missed)) = last {
                    *missed += 1;
                }
                continue;
            }
            if last.as_ref().is_some_and(|(task, _)| task.state.exited()) {
                continue;
            }
            let sample = sample(doing, second, second, state);
            *last = Some((task(doing, &sample, missed), missed));
        }
    }
    if origin == Origin::Module {
        model.tasks(&last.iter().flatten().map(|(task, _)| task.clone()).collect::<Vec<_>>());
    }
    for second in 0..seconds {
        for doing in tasks {
            let exited = second > 0 && exits(doing, second - 1);
            if misses(doing, second) || exited {
                continue;
            }
            let state = if exits(doing, second) {
                'X'
            } else if doing.usr > 50 {
                'R'
            } else {
                'S'
            };
            series.push(sample(doing, second, second, state), |point| match origin {
                Origin::Module => model.past(&point),
                Origin::File(_) => model.recorded(&point, Some(doing.comm), None),
            });
        }
    }
    model.tick();
    model
}

fn thousands(count: u32) -> Vec<Doing> {
    let name = |i: u32| ["postgres", "nginx", "sh", "java", "worker"][i as usize % 5];
    (0..count)
        .map(|i| Doing {
            pid: 1000 + i,
            comm: name(i),
            usr: u64::from(i * 7919 % 101),
            sys: u64::from(i % 7),
            mib: u64::from(i % 300),
            faults: u64::from(i * 31 % 977),
        })
        .collect()
}

fn module(tasks: &[Doing], seconds: u64) -> Model {
    filled(Origin::Module, tasks, seconds)
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.chars()
        .map(|key| {
            model.key(match key {
                '<' => Key::Left,
                '>' => Key::Right,
                '^' => Key::Up,
                'v' => Key::Down,
                '\r' => Key::Enter,
                '\x1b' => Key::Escape,
                '~' => Key::Home,
                '$' => Key::End,
                key => Key::Char(key),
            })
        })
        .filter(|effect| *effect != Effect::Draw)
        .collect()
}

fn drawn(model: &mut Model, (width, height): (u16, u16), colour: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model, Look { colour })).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    (0..buffer.area.height).map(|y| view::text_of(buffer, y) + "\n").collect()
}

/// Compares what is drawn at all sizes with tests/golden/top/NAME, or writes it there if GOLDEN=write is in the environment.
#[track_caller]
fn golden(name: &str, mut model: impl FnMut() -> Model) {
    let mut all = String::new();
    for size in SIZES {
        let mut model = model();
        // (Of what is drawn first, keys know the size.)
        all += &format!("--- {}x{} ---\n{}", size.0, size.1, text(&drawn(&mut model, size, true)));
        assert_eq!(
            text(&drawn(&mut model, size, true)),
            text(&drawn(&mut model, size, false)),
            "colours change words"
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/top").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &all).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == all, "{} is not what is drawn now:\n{all}", path.display());
}

#[test]
fn screens() {
    golden("some", || module(&SOME, 120));
    golden("empty", || module(&[], 0));
    golden("one-sample", || module(&SOME[..1], 1));
    golden("thousands", || module(&thousands(5000), 4));
    golden("file", || filled(Origin::File("night.tmon".to_owned()), &SOME, 300));
    let after = |keys: &'static str| {
        move || {
            let mut model = module(&SOME, 120);
            drawn(&mut model, (80, 24), false);
            press(&mut model, keys);
            model
        }
    };
    golden("exited", after("nv\r"));
    golden("gap", after("pvvv"));
    golden("help", after("?"));
    golden("filter", after("/N"));
    golden("filter-nothing", after("/zz\r"));
    golden("prompt", after("a4711"));
    golden("confirm", after("pvd"));
    golden("frozen", after("v<<<<<<"));
    golden("oldest", after("~"));
    golden("faults", after("f"));
    golden("zoom", after("++"));
    golden("reading", || {
        let mut model = module(&SOME, 1);
        model.reading = Some((1_000_000, 18_000_000));
        model
    });
    golden("stopped", || {
        let mut model = module(&SOME, 3);
        model.sampling = false;
        model.complain("267: not added: it is monitored already");
        model
    });
    golden("odd-names", || {
        let names = [
            "a\u{202e}b\x1b[31m",
            "日本語日本",
            "e\u{301}\u{200d}x",
            "שלום",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            "  ",
            "👍🏽",
        ];
        let tasks: Vec<Doing> =
            names.into_iter().zip(1..).map(|(comm, pid)| Doing { pid, comm, ..SOME[0] }).collect();
        module(&tasks, 9)
    });
    // What is too small, too.
    for (size, said) in [
        ((39, 10), "39x10 is too small: taskmon top needs\nat least 40x10\n"),
        ((40, 9), "40x9 is too small: taskmon top needs at\nleast 40x10\n"),
        ((10, 3), "10x3 is\ntoo small:\ntaskmon\n"),
        ((1, 1), "1\n"),
    ] {
        let screen = text(&drawn(&mut module(&SOME, 9), size, true));
        assert_eq!(screen.trim_end_matches('\n'), said.trim_end_matches('\n'));
    }
}

#[test]
fn a_frame_as_text() {
    for columns in [80, 120] {
        let model = module(&SOME, 120);
        let mut all = String::new();
        view::plain::<()>(&model, columns, |line| {
            all += line;
            all.push('\n');
            Ok(())
        })
        .unwrap();
        assert!(all.lines().all(|line| line.chars().count() <= columns.into() && !line.ends_with(' ')), "{all}");
        assert_eq!(all.lines().count(), 2 + 1 + SOME.len(), "{all}");
        let pids: Vec<&str> = all.lines().skip(3).map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(pids, ["312", "267", "300", "9", "401"], "{all}");
    }
}

#[test]
fn numbers_keep_their_units() {
    let doing = &SOME[0];
    let last = sample(doing, 0, 0, 'S');
    for (missed, shown) in [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (99_949, "99.9k"),
        (99_951, "100k"),
        (858_934, "859k"),
        (999_600, "1.0M"),
        (u64::MAX, "many"),
    ] {
        let mut model = empty(Origin::Module);
        model.tasks(&[Task { missed, ..task(doing, &last, 0) }]);
        model.tick();
        let mut line = String::new();
        view::plain::<()>(&model, 80, |next| {
            line = next.to_owned();
            Ok(())
        })
        .unwrap();
        assert_eq!(line.split_whitespace().nth(8), Some(shown), "{line}");
    }
}

#[test]
fn what_is_selected_stands_out_without_colours_too() {
    for colour in [false, true] {
        let mut model = module(&SOME, 20);
        press(&mut model, "v");
        let buffer = drawn(&mut model, (80, 24), colour);
        let reversed = |y: u16| buffer[(2, y)].modifier.contains(Modifier::REVERSED);
        assert_eq!((3..8).map(reversed).collect::<Vec<_>>(), [false, true, false, false, false]);
        let colours = buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(colours, colour);
    }
}

fn order(model: &Model) -> Vec<u32> {
    model.all().map(|row| row.id.pid).collect()
}

#[test]
fn sorting() {
    let mut model = module(&SOME, 120);
    assert_eq!(order(&model), [312, 267, 300, 9, 401], "what has exited uses nothing");
    for (keys, expected) in [
        ("c", [401, 9, 300, 267, 312]),
        ("m", [312, 267, 300, 9, 401]),
        ("f", [312, 267, 9, 300, 401]),
        ("p", [9, 267, 300, 312, 401]),
        ("p", [401, 312, 300, 267, 9]),
        ("n", [401, 312, 9, 300, 267]),
        ("r", [267, 300, 9, 312, 401]),
    ] {
        press(&mut model, keys);
        assert_eq!(order(&model), expected, "{keys}");
    }
}

#[test]
fn the_selection_is_the_first_until_somebody_chooses() {
    let mut model = module(&SOME, 120);
    let selected = |model: &Model| model.selected().map(|row| row.id.pid);
    assert_eq!(selected(&model), Some(312));
    press(&mut model, "n");
    assert_eq!(selected(&model), Some(401));
    press(&mut model, "v");
    assert_eq!(selected(&model), Some(312));
    press(&mut model, "m");
    press(&mut model, "n");
    assert_eq!(selected(&model), Some(312), "it stays whatever the order is");
    press(&mut model, "g");
    press(&mut model, "p");
    assert_eq!(selected(&model), Some(9));
    press(&mut model, "G");
    assert_eq!(selected(&model), Some(401));
    // If it is removed, another is.
    model.tasks(&[]);
    model.tick();
    assert_eq!((selected(&model), model.shown()), (None, 0));
}

#[test]
fn moments() {
    let mut model = module(&SOME, 120);
    let cpu = |model: &Model| model.all().find(|row| row.id.pid == 401).and_then(|row| row.values(model.at)).unwrap();
    assert_eq!((model.at, cpu(&model).cpu, cpu(&model).state), (None, None, State::EXITED));
    press(&mut model, " ");
    assert_eq!(model.at, Some(120 * SECOND));
    press(&mut model, "[[");
    let then = model.at.unwrap();
    assert!(then < 90 * SECOND && cpu(&model).cpu.unwrap() > 40.0, "{then}");
    assert_ne!(cpu(&model).state, State::EXITED);
    // The present goes on behind it, and the moment stays.
    let mut series = Series::new(None);
    for second in 119..130 {
        series.push(sample(&SOME[2], second, second, 'R'), |point| model.past(&point));
    }
    model.tick();
    assert_eq!((model.at, model.range().1), (Some(then), 130 * SECOND));
    press(&mut model, " ");
    assert_eq!(model.at, None);
    press(&mut model, "~");
    assert_eq!(model.at, Some(SECOND + SECOND / 2));
    press(&mut model, ">");
    assert!(model.at.unwrap() > 2 * SECOND);
    press(&mut model, "$<");
    let step = 130 * SECOND - model.at.unwrap();
    assert!((SECOND..20 * SECOND).contains(&step), "{step}");
    press(&mut model, ">");
    assert_eq!(model.at, None, "the last is now");
    // In a gap nothing is known but what was before.
    press(&mut model, " ");
    model.at = Some(70 * SECOND);
    model.tick();
    let gap = model.all().find(|row| row.id.pid == 267).unwrap().values(model.at).unwrap();
    assert_eq!((gap.cpu, gap.faults, gap.rss > 0), (None, None, true));
    assert_eq!(gap.lost, 0);
    assert_eq!(model.all().find(|row| row.id.pid == 267).unwrap().values(Some(100 * SECOND)).unwrap().lost, 14);
}

#[test]
fn who_was_not_there_then_is_not_shown() {
    let mut late = SOME[1];
    late.pid = 999;
    let mut model = module(&SOME[..1], 60);
    let last = sample(&late, 0, 50, 'S');
    let first = task(&SOME[0], &sample(&SOME[0], 59, 59, 'S'), 0);
    model.tasks(&[first, task(&late, &last, 0)]);
    Series::new(None).push(last, |point| model.past(&point));
    model.tick();
    assert_eq!(order(&model), [267, 999]);
    press(&mut model, "~");
    assert_eq!(order(&model), [267]);
}

#[test]
fn filters() {
    let mut model = module(&SOME, 20);
    press(&mut model, "/G");
    assert_eq!(order(&model).len(), 3, "postgres, nginx, ffmpeg");
    press(&mut model, "i");
    assert_eq!(order(&model), [300]);
    assert_eq!(press(&mut model, "q"), [], "it is typed");
    assert!(order(&model).is_empty());
    press(&mut model, "\x1b");
    assert_eq!((order(&model).len(), model.filter.as_str()), (5, ""));
    press(&mut model, "/312\r");
    assert_eq!(order(&model), [312]);
    press(&mut model, "\x1b");
    assert_eq!(order(&model).len(), 5);
}

#[test]
fn adding_and_removing() {
    let mut model = module(&SOME, 20);
    assert_eq!(press(&mut model, "a12\r"), [Effect::Add("12".to_owned())]);
    assert_eq!(press(&mut model, "a\x1b"), []);
    assert_eq!(press(&mut model, "a\r"), []);
    assert_eq!((press(&mut model, "dn"), &model.mode), (vec![], &Mode::Table));
    press(&mut model, "p");
    let id = model.selected().unwrap().id;
    assert_eq!(press(&mut model, "dy"), [Effect::Remove(id)]);
    // Of a recording, nothing.
    let mut model = filled(Origin::File("x".to_owned()), &SOME, 20);
    assert_eq!(press(&mut model, "dya12\r"), []);
    let mut model = module(&[], 0);
    assert_eq!(press(&mut model, "dy"), []);
}

#[test]
fn ends() {
    assert_eq!(press(&mut empty(Origin::Module), "q"), [Effect::Quit]);
    for mode in ["", "?", "/", "a"] {
        let mut model = module(&SOME, 2);
        press(&mut model, mode);
        assert_eq!(model.key(Key::Control('c')), Effect::Quit);
        assert_eq!(model.key(Key::Control('z')), Effect::Stop);
    }
}

#[test]
fn names_are_harmless() {
    assert_eq!(
        printable("a\x1b[31m\u{202e}b\u{200b}\u{7f}\u{9b}é日"),
        "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}é日"
    );
}

#[test]
fn the_newest_is_shown_while_the_past_is_read() {
    let mut model = module(&SOME[..1], 1);
    let mut series = Series::new(None);
    for second in 500..502 {
        series.push(sample(&SOME[0], second, second, 'S'), |point| model.now(&point));
    }
    model.tick();
    let cpu = model.all().next().unwrap().values(None).unwrap().cpu;
    assert!(cpu.is_some());
    // What is older does not take its place.
    let mut series = Series::new(None);
    for second in 0..2 {
        series.push(sample(&SOME[0], second, second, 'S'), |point| model.past(&point));
    }
    model.tick();
    assert_eq!(model.all().next().unwrap().values(None).unwrap().cpu, cpu);
}

/// However many samples come, and however many tasks there are, pasts stay within what they may have.
#[test]
fn memory_is_bounded() {
    const BUDGET: usize = 80 << 20;
    for (count, samples) in [(1, 200_000), (100, 12_000), (3000, 500), (70_000, 10)] {
        let mut model = empty(Origin::File("x".to_owned()));
        let mut series = Series::new(None);
        for seq in 0..samples {
            for pid in 1..=count {
                let mut sample = sample(&SOME[3], seq, 0, 'S');
                (sample.pid, sample.time) = (pid, (seq + 1) * SECOND + u64::from(pid));
                series.push(sample, |point| model.recorded(&point, None, None));
            }
        }
        model.tick();
        let (bytes, spans) = model.all().fold((0, 0), |(bytes, spans), row| {
            (bytes + row.past.capacity() * size_of::<crate::reduce::Span>(), spans + row.past.spans().len())
        });
        assert_eq!(model.shown(), count as usize);
        assert!(bytes <= BUDGET, "{count} tasks have {bytes} bytes");
        assert!(spans >= model.shown().max(2000), "{count} tasks have {spans} spans only");
    }
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => prop::sample::select(vec![
            Key::Up, Key::Down, Key::Left, Key::Right, Key::FarLeft, Key::FarRight, Key::PageUp, Key::PageDown, Key::Home,
            Key::End, Key::Enter, Key::Escape, Key::Backspace, Key::Delete, Key::Control('u'), Key::Function(1),
        ]),
        4 => prop::sample::select("cmfpnrgG[]/ad?y +-".chars().collect::<Vec<_>>()).prop_map(Key::Char),
        1 => any::<char>().prop_map(Key::Char),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Key(Key),
    Size(u16, u16),
    Sample { pid: u32, seq: u64, time: u64, usr: u64, rss: u64, exits: bool },
    Tasks(Vec<(u32, u64)>),
}

fn steps() -> impl Strategy<Value = Step> {
    // (At the ends of time and of all numbers, too.)
    let number = || prop_oneof![0..1000_u64, any::<u64>(), Just(u64::MAX)];
    prop_oneof![
        8 => keys().prop_map(Step::Key),
        2 => (0..250_u16, 0..70_u16).prop_map(|(width, height)| Step::Size(width, height)),
        8 => (1..9_u32, number(), number(), number(), number(), any::<bool>())
            .prop_map(|(pid, seq, time, usr, rss, exits)| Step::Sample { pid, seq, time, usr, rss, exits }),
        1 => prop::collection::vec((1..9_u32, number()), 0..9).prop_map(Step::Tasks),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_is_drawn(file in any::<bool>(), steps in prop::collection::vec(steps(), 0..60)) {
        let mut model = empty(if file { Origin::File("x".to_owned()) } else { Origin::Module });
        let mut series = Series::new(None);
        let mut size = (80, 24);
        for step in steps {
            match step {
                Step::Key(key) => {
                    model.key(key);
                }
                Step::Size(width, height) => size = (width, height),
                Step::Sample { pid, seq, time, usr, rss, exits } => {
                    let mut sample = sample(&SOME[0], seq, 0, if exits { 'X' } else { 'S' });
                    (sample.pid, sample.time, sample.usr, sample.rss) = (pid, time, usr, rss);
                    series.push(sample, |point| if file { model.recorded(&point, None, None) } else { model.past(&point) });
                    model.tick();
                }
                Step::Tasks(tasks) if !file => {
                    let tasks: Vec<Task> = tasks
                        .into_iter()
                        .map(|(pid, number)| {
                            let doing = Doing { pid, ..SOME[0] };
                            Task { time: number, missed: number, ..task(&doing, &sample(&doing, 1, 1, 'S'), 0) }
                        })
                        .collect();
                    model.tasks(&tasks);
                    model.tick();
                }
                Step::Tasks(_) => {}
            }
            drawn(&mut model, size, true);
            let selected = model.selected().map(|row| row.id);
            prop_assert_eq!(selected.is_some(), model.shown() > 0);
            let (top, page) = model.page();
            prop_assert!(top == 0 || top + page.max(1) <= model.shown());
        }
    }
}

/// What 5,000 tasks cost: an instant of samples, a new order, a frame. For people, as a busy machine takes longer:
/// `cargo test --release -- --ignored --nocapture what_thousands_cost`.
#[test]
#[ignore = "it measures"]
fn what_thousands_cost() {
    let tasks = thousands(5000);
    let mut model = module(&tasks, 120);
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
    let mut measure = |what: &str, times: u32, work: &mut dyn FnMut(&mut Model, &mut Terminal<TestBackend>)| {
        let began = Instant::now();
        (0..times).for_each(|_| work(&mut model, &mut terminal));
        println!("{what}: {:?}", began.elapsed() / times);
    };
    let frame = |model: &mut Model, terminal: &mut Terminal<TestBackend>| {
        terminal.draw(|frame| view::draw(frame, model, Look { colour: true })).unwrap();
    };
    measure("a frame of 200x60", 500, &mut |model, terminal| frame(model, terminal));
    measure("a key that scrolls, and the frame", 500, &mut |model, terminal| {
        model.key(Key::Down);
        frame(model, terminal);
    });
    measure("a step back in time, and the frame", 200, &mut |model, terminal| {
        model.key(Key::Left);
        frame(model, terminal);
    });
    let mut series = Series::new(None);
    let mut second = 120;
    measure("an instant of 5,000 samples", 20, &mut |model, _| {
        for doing in &tasks {
            let mut sample = sample(doing, second, 1, 'S');
            sample.time = second * SECOND;
            series.push(sample, |point| model.past(&point));
        }
        second += 1;
    });
    measure("a new order", 200, &mut |model, _| model.tick());
}
