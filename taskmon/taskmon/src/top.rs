// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon top`: the tasks as they are, and as they were.
//!
//! `model` is what is known and shown, `view` draws it; neither reads or writes anything. `screen` is the terminal, `keys`
//! and `chart` reckon. Here is what brings them together, and the samples.

mod chart;
mod keys;
mod model;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use keys::Decoder;
use model::Effect;
use model::Model;
use model::Origin;
use model::printable;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use rustc_hash::FxHashMap;
use screen::Screen;
use screen::Signals;
use taskmonitor::Command;
use taskmonitor::Follow;
use taskmonitor::Id;
use taskmonitor::Monitor;
use taskmonitor::Root;
use taskmonitor::Sample;
use view::Look;

use crate::Failure;
use crate::choose;
use crate::choose::Chooser;
use crate::cli::Top;
use crate::output::Whole;
use crate::output::many;
use crate::rate::Point;
use crate::rate::Series;
use crate::source::Known;
use crate::source::Source;
use crate::times::Clock;

/// For so long, samples are read before keys are heeded again.
const SLICE: Duration = Duration::from_millis(30);
/// While the past is read, the screen is drawn so often.
const DRAW_READING: Duration = Duration::from_millis(150);
/// Without news, whether tasks or parameters have changed is looked at so often.
const LOOK: Duration = Duration::from_secs(2);
/// From the first sample of an instant on, the others come.
const SETTLE: Duration = Duration::from_millis(30);
/// An Escape that is more than a key is followed by the rest of it before that.
const ESCAPE: Duration = Duration::from_millis(50);
/// How long it is known of a task that it is not chosen: it may exec.
const REFUSAL_LASTS: Duration = Duration::from_secs(10);
/// A past of more samples takes longer to be read than the next instants are waited for.
const MUCH: u64 = 300_000;
/// Samples of tasks that are not known yet.
const MOST_STRANGERS: usize = 10_000;
/// A period longer than that is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The module.
struct Live {
    monitor: Monitor,
    chooser: Chooser,
    // Whether a task is chosen.
    chosen: FxHashMap<Id, bool>,
    refused: Instant,
    follow: Follow,
    series: Series,
    clock: Clock,
    // What comes now, while the past is being read.
    now: Option<(Follow, Series)>,
    // Samples that were read of the past, and those that were there.
    done: u64,
    all: u64,
    caught_up: bool,
    strangers: Vec<Point>,
}

impl Live {
    fn open(monitor: &Monitor, args: &Top, clock: Clock) -> Result<Self, Failure> {
        Ok(Self {
            monitor: monitor.clone(),
            chooser: Chooser::new(&args.selector)?,
            chosen: FxHashMap::default(),
            refused: Instant::now(),
            follow: monitor.follow()?,
            series: Series::by_clock(None, clock.clone()),
            clock,
            now: None,
            done: 0,
            all: 0,
            caught_up: false,
            strangers: Vec::new(),
        })
    }

    /// Looks which tasks there are, and what the module does.
    fn look(&mut self, model: &mut Model) -> Result<(), Failure> {
        model.period = Some(self.monitor.period()?);
        model.sampling = self.monitor.sampling()?;
        let mut tasks = self.monitor.tasks()?;
        self.all = self.all.max(tasks.iter().fold(0, |sum, task| sum.saturating_add(task.samples)));
        let again = self.refused.elapsed() > REFUSAL_LASTS;
        let mut chosen: FxHashMap<Id, bool> = FxHashMap::default();
        let mut new = Vec::new();
        for task in &tasks {
            // Whoever was chosen stays so: of a task that has exited less is known.
            match self.chosen.get(&task.id()) {
                Some(&known) if known || !again => chosen.insert(task.id(), known),
                _ => {
                    new.push(task.clone());
                    chosen.insert(task.id(), false)
                }
            };
        }
        if !new.is_empty() {
            chosen.extend(self.chooser.of_tasks(self.monitor.root(), new)?.iter().map(|task| (task.id(), true)));
        }
        if again {
            self.refused = Instant::now();
        }
        self.chosen = chosen;
        tasks.retain(|task| self.chosen.get(&task.id()).is_some_and(|&chosen| chosen));
        model.tasks(&tasks);
        for point in std::mem::take(&mut self.strangers) {
            model.past(&point);
        }
        Ok(())
    }

    /// Reads for a while. Says whether there may be more already.
    fn read(&mut self, model: &mut Model) -> Result<bool, Failure> {
        let end = Instant::now() + SLICE;
        // (It is the module's that may have been set since.)
        self.clock.look();
        if let Some((follow, series)) = &mut self.now {
            follow.read(|sample| series.push(sample, |point| model.now(&point)))?;
        }
        let Self { follow, series, chosen, strangers, .. } = self;
        let mut more = true;
        while more && Instant::now() < end {
            let read = follow.read(|sample| match chosen.get(&sample.id()) {
                Some(false) => {}
                Some(true) => series.push(sample, |point| model.past(&point)),
                None => series.push(sample, |point| {
                    if strangers.len() < MOST_STRANGERS {
                        strangers.push(point);
                    }
                }),
            })?;
            self.done = self.done.saturating_add(read as u64);
            more = read > 0;
        }
        if !more {
            // From here on, what is new comes this way.
            self.caught_up = true;
            self.now = None;
        }
        model.reading = (!self.caught_up).then_some((self.done, self.all));
        Ok(more)
    }

    /// Has what comes now be read besides the past, if that is much.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.all > MUCH {
            let mut follow = self.monitor.follow()?;
            follow.skip()?;
            self.now = Some((follow, Series::by_clock(None, self.clock.clone())));
        }
        Ok(())
    }

    /// Adds what was typed. Says what became of it, and whether it failed.
    fn add(&self, text: &str) -> (String, bool) {
        let pids = match text.parse::<u32>() {
            Ok(pid) => vec![pid],
            Err(_) => match choose::by_name(self.monitor.root(), text) {
                Ok(pids) if pids.is_empty() => return (format!("no process has the name {text}"), true),
                Ok(pids) => pids,
                Err(e) => return (e, true),
            },
        };
        let (mut added, mut failed) = (0, None);
        for &pid in &pids {
            match self.monitor.send(Command::Add(pid)) {
                Ok(()) => added += 1,
                Err(e) => {
                    let reason = e.reason().map_or_else(|| e.to_string(), |reason| reason.to_string());
                    failed.get_or_insert((pid, reason));
                }
            }
        }
        match (pids.as_slice(), failed) {
            ([pid], None) => (format!("{pid}: added"), false),
            (_, None) => (format!("{} added", many(added, "task")), false),
            ([_], Some((pid, reason))) => (format!("{pid}: not added: {reason}"), true),
            (pids, Some((pid, reason))) => {
                let others = pids.len() as u64 - added;
                (format!("{} added, {others} not added; {pid}: {reason}", many(added, "task")), true)
            }
        }
    }

    /// Removes a task. Says what became of it, and whether it failed.
    fn remove(&self, id: &Id) -> (String, bool) {
        match self.monitor.send(Command::Remove(id.pid)) {
            Ok(()) => (format!("{}: removed", id.pid), false),
            Err(e) => {
                let reason = e.reason().map_or_else(|| e.to_string(), |reason| reason.to_string());
                (format!("{}: not removed: {reason}", id.pid), true)
            }
        }
    }
}

/// A recording.
struct Recorded {
    source: Source,
    series: Series,
    over: bool,
}

impl Recorded {
    /// Reads for a while. Says whether there may be more.
    fn read(&mut self, model: &mut Model) -> Result<bool, Failure> {
        let end = Instant::now() + SLICE;
        let Self { source, series, over } = self;
        while !*over && Instant::now() < end {
            let take = |sample: &Sample, known: &Known| {
                series.push(*sample, |point| model.recorded(&point, known.name.as_deref(), known.process));
            };
            *over = !source.read_known(take)?;
        }
        model.reading = (!*over).then_some((model.read, 0));
        if *over {
            source.complaint().into_iter().for_each(|complaint| model.complain(complaint));
        }
        Ok(!*over)
    }
}

/// Where samples come from.
enum Feed {
    Live(Box<Live>),
    Recorded(Box<Recorded>),
}

impl Feed {
    fn read(&mut self, model: &mut Model) -> Result<bool, Failure> {
        match self {
            Self::Live(live) => {
                let more = live.read(model)?;
                if !live.strangers.is_empty() {
                    live.look(model)?;
                }
                Ok(more)
            }
            Self::Recorded(recorded) => recorded.read(model),
        }
    }

    fn look(&mut self, model: &mut Model) -> Result<(), Failure> {
        match self {
            Self::Live(live) => live.look(model),
            Self::Recorded(_) => Ok(()),
        }
    }
}

/// `taskmon top`
pub fn top(root: Root, args: &Top, booted: Option<i64>) -> Result<(), Failure> {
    let once = args.batch || !io::stdout().is_terminal();
    if let Some(path) = &args.input {
        let mut source = Source::file(path, &args.selector)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let mut model = Model::new(Origin::File(printable(&name)), source.clock(), args.sort);
        model.period = source.head().map(|head| head.period);
        if once {
            let mut recorded = Recorded { series: source.series(None), source, over: false };
            while recorded.read(&mut model)? {}
            recorded.source.demand()?;
            return write_frame(&mut model);
        }
        source.mute();
        let recorded = Recorded { series: source.series(None), source, over: false };
        return watch(Feed::Recorded(Box::new(recorded)), &mut model, args.interval);
    }
    let monitor = Monitor::open(root)?;
    let clock = Clock::new(booted).map_err(|e| Failure::other("cannot read the clock", e))?;
    let mut model = Model::new(Origin::Module, clock.clone(), args.sort);
    let mut live = Live::open(&monitor, args, clock)?;
    model.chosen = !live.chooser.is_empty();
    live.look(&mut model)?;
    if once {
        if model.chosen && model.count().0 == 0 {
            return Err(live.chooser.no_match("monitored task"));
        }
        all_at_once(&mut live, &mut model)?;
        return write_frame(&mut model);
    }
    live.begin()?;
    watch(Feed::Live(Box::new(live)), &mut model, args.interval)
}

/// Reads the past, if that takes less time than to wait for the next two instants.
fn all_at_once(live: &mut Live, model: &mut Model) -> Result<(), Failure> {
    let period = model.period.unwrap_or(LONGEST_WAIT);
    if live.all <= MUCH || period > LONGEST_WAIT || !model.sampling {
        // (Not for ever, if they come faster than they are read.)
        let all = live.all;
        while live.read(model)? && live.done <= all {}
        return live.look(model);
    }
    // Two instants from here on, of all that live, and a second for a machine that is busy.
    let end = Instant::now() + 2 * period + Duration::from_secs(1);
    live.follow.skip()?;
    let unknown = |model: &Model| {
        let values = model.all().filter_map(|row| row.values(None));
        values.filter(|values| !values.state.exited() && values.cpu.is_none()).count()
    };
    model.tick();
    while unknown(model) > 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if !live.read(model)? {
            live.follow.wait(Some(left))?;
        }
    }
    live.look(model)
}

fn write_frame(model: &mut Model) -> Result<(), Failure> {
    model.reading = None;
    model.tick();
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
    // (Any terminal's, as stdout may lead into a pipe to one.)
    let terminal = || crossterm::terminal::window_size().ok().map(|size| size.columns);
    let columns = given.filter(|&columns| columns > 0).or_else(terminal).filter(|&columns| columns > 0).unwrap_or(80);
    let write = || {
        let mut out = io::BufWriter::with_capacity(1 << 16, Whole::stdout()?);
        view::plain(model, columns, |line| writeln!(out, "{line}"))?;
        out.flush()
    };
    write().map_err(|e| Failure::output(&e))
}

/// A panic on purpose, for the test of what it leaves behind; only where mistakes are looked for anyhow.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
fn panic_if_asked() {
    if std::env::var_os("TASKMON_PANIC").is_some() {
        panic!("TASKMON_PANIC is set");
    }
}

#[cfg(not(debug_assertions))]
fn panic_if_asked() {}

/// Shows all on the terminal until that ends, or whoever looks at it is content.
fn watch(mut feed: Feed, model: &mut Model, interval: Duration) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::open()?;
    let done = run(&mut feed, model, interval, &mut screen, &mut signals);
    // Before anything is said.
    drop(screen);
    done
}

fn run(
    feed: &mut Feed,
    model: &mut Model,
    interval: Duration,
    screen: &mut Screen,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let look = Look { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
    let failed = |e: io::Error| {
        if screen::has_gone(&e) { Ok(()) } else { Err(Failure::other("cannot use the terminal any more", e)) }
    };
    let mut decoder = Decoder::default();
    // Whether there may be more to read at once, whether news have come, and until when they are left alone.
    let (mut more, mut news) = (true, true);
    let mut rest = Instant::now();
    let mut drawn = Instant::now();
    let mut draw = true;
    model.tick();
    loop {
        if signals.end() {
            return Ok(());
        }
        if signals.stop() && screen::can_stop() {
            screen.leave();
            let _ = nix::sys::signal::raise(Signal::SIGSTOP);
            if signals.end() {
                return Ok(());
            }
            signals.goes_on();
            if let Err(e) = screen.again() {
                return failed(e);
            }
            draw = true;
        }
        // Somebody else has stopped us, and the shell did what it liked with the terminal.
        if signals.goes_on() {
            if let Err(e) = screen.again() {
                return failed(e);
            }
            draw = true;
        }
        // Also while samples come faster than they are read.
        news |= more && Instant::now() >= rest;
        if more || news && Instant::now() >= rest {
            if news {
                feed.look(model)?;
                rest = Instant::now() + interval.saturating_sub(SETTLE);
                news = false;
            }
            more = feed.read(model)?;
            if !more || drawn.elapsed() >= DRAW_READING {
                model.tick();
                draw = true;
            }
        }
        if draw {
            if let Err(e) = screen.draw(|frame| view::draw(frame, model, look)) {
                return failed(e);
            }
            (draw, drawn) = (false, Instant::now());
            panic_if_asked();
        }
        let now = Instant::now();
        let waits = !more && now >= rest;
        let mut timeout = match (more, news) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => Some(rest.saturating_duration_since(now)),
            (false, false) if waits => feed.patience(),
            (false, false) => Some(rest.saturating_duration_since(now)),
        };
        if decoder.is_open() {
            timeout = Some(timeout.map_or(ESCAPE, |timeout| timeout.min(ESCAPE)));
        }
        let ready = wait(screen, signals, feed.file().filter(|_| waits && !news), timeout)?;
        if ready.signal {
            signals.drain();
            draw = true;
        }
        if ready.news || waits && !news && ready.nothing && feed.patience().is_some() {
            news = true;
            // The rest of the instant comes in a moment.
            if ready.news {
                rest = Instant::now() + SETTLE.min(interval);
            }
        }
        let mut keys = Vec::new();
        if ready.keys {
            let mut buffer = [0; 1024];
            match screen.read(&mut buffer) {
                Ok([]) => return Ok(()),
                Ok(bytes) => decoder.take(bytes, |key| keys.push(key)),
                Err(e) => return failed(e),
            }
        } else if decoder.is_open() && ready.nothing {
            decoder.end(|key| keys.push(key));
        }
        for key in keys {
            draw = true;
            match model.key(key) {
                Effect::Draw => {}
                Effect::Quit => return Ok(()),
                // All of the job, as if the terminal had sent it: a sudo, or what reads our output.
                Effect::Stop => {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP);
                }
                Effect::Add(text) => feed.command(model, |live| live.add(&text))?,
                Effect::Remove(id) => feed.command(model, |live| live.remove(&id))?,
            }
        }
    }
}

/// What has happened.
#[derive(Default)]
struct Ready {
    keys: bool,
    signal: bool,
    news: bool,
    nothing: bool,
}

/// Waits for keys, signals and, of `file`, samples.
fn wait(
    screen: &Screen,
    signals: &Signals,
    file: Option<&Follow>,
    timeout: Option<Duration>,
) -> Result<Ready, Failure> {
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(t) => PollTimeout::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX),
    };
    let mut files =
        vec![PollFd::new(screen.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    files.extend(file.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    match nix::poll::poll(&mut files, timeout) {
        Ok(0) => Ok(Ready { nothing: true, ..Ready::default() }),
        Ok(_) => {
            // (Also of what has ended: reading tells.)
            let ready = |i: usize| files.get(i).and_then(PollFd::any).unwrap_or(false);
            Ok(Ready { keys: ready(0), signal: ready(1), news: ready(2), nothing: false })
        }
        Err(nix::errno::Errno::EINTR) => Ok(Ready::default()),
        Err(e) => Err(Failure::other("cannot wait for keys and samples", e)),
    }
}

impl Feed {
    /// What tells of news.
    fn file(&self) -> Option<&Follow> {
        match self {
            Self::Live(live) => Some(&live.follow),
            Self::Recorded(_) => None,
        }
    }

    /// How long nothing is looked at without news.
    fn patience(&self) -> Option<Duration> {
        match self {
            Self::Live(_) => Some(LOOK),
            Self::Recorded(_) => None,
        }
    }

    /// Has something done by the module, and says what became of it.
    fn command(&mut self, model: &mut Model, what: impl FnOnce(&Live) -> (String, bool)) -> Result<(), Failure> {
        if let Self::Live(live) = self {
            let (text, failed) = what(live);
            live.look(model)?;
            model.tick();
            if failed {
                model.complain(text);
            } else {
                model.say(text);
            }
        }
        Ok(())
    }
}
