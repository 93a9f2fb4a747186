// SPDX-License-Identifier: GPL-2.0-only

//! What `taskmon top` knows and what its keys do to that. Nothing here reads or writes anything.

use std::cmp::Ordering;
use std::time::Duration;

use rustc_hash::FxHashMap;
use taskmonitor::Id;
use taskmonitor::State;
use taskmonitor::Task;
use unicode_width::UnicodeWidthChar;

use super::keys::Key;
use crate::cli::Sort;
use crate::rate::Point;
use crate::reduce::Past;
use crate::reduce::Span;
use crate::threads::Processes;
use crate::times::Clock;

/// All spans of all pasts together: about 60 MiB.
const SPANS: usize = 1 << 19;
/// More of a single task than any screen has columns for.
const SPANS_OF_ONE: usize = 1 << 13;
/// A recording may have any number of tasks; of more than that, the later ones are not shown.
const MOST_TASKS: usize = 1 << 17;
/// What is typed into a prompt.
const LONGEST_INPUT: usize = 64;

/// Seconds that a chart may show.
const WINDOWS: [u64; 22] = [
    1,
    2,
    5,
    10,
    30,
    60,
    120,
    300,
    600,
    1800,
    3600,
    2 * 3600,
    6 * 3600,
    12 * 3600,
    86400,
    2 * 86400,
    7 * 86400,
    14 * 86400,
    30 * 86400,
    90 * 86400,
    365 * 86400,
    3650 * 86400,
];
const SECOND: u64 = 1_000_000_000;

/// Where the samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The module.
    Module,
    /// A recording of this name.
    File(String),
}

/// What the module says of a task besides its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub threads: u32,
    pub samples: u64,
    pub taken: u64,
    pub evicted: u64,
    pub reclaimed: u64,
    pub missed: u64,
}

/// What a task does at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values {
    pub state: State,
    pub cpu: Option<f64>,
    pub usr: Option<f64>,
    pub sys: Option<f64>,
    pub rss: u64,
    /// A second, of both kinds.
    pub faults: Option<f64>,
    pub lost: u64,
}

/// A task.
#[derive(Debug)]
pub struct Row {
    pub id: Id,
    /// The name, fit for a terminal.
    pub name: String,
    // In small letters, to look in.
    folded: String,
    pub counts: Option<Counts>,
    /// The PID of its process, if it is a thread.
    pub process: Option<u32>,
    pub past: Past,
    /// CPU time in the newest sample: user and system.
    pub used: (u64, u64),
    time: u64,
    last: Values,
    gaps: u64,
}

impl Row {
    fn new(id: Id, most: usize, state: State) -> Self {
        let last = Values { state, cpu: None, usr: None, sys: None, rss: 0, faults: None, lost: 0 };
        Self {
            id,
            name: "?".to_owned(),
            folded: "?".to_owned(),
            counts: None,
            process: None,
            past: Past::new(most),
            used: (0, 0),
            time: 0,
            last,
            gaps: 0,
        }
    }

    fn call(&mut self, name: &str) {
        let name = printable(name);
        if self.name != name {
            self.folded = name.to_lowercase();
            self.name = name;
        }
    }

    fn now(&mut self, point: &Point) {
        let (sample, rates) = (&point.sample, &point.rates);
        if sample.time < self.time {
            return;
        }
        self.time = sample.time;
        self.used = (sample.usr, sample.sys);
        let faults = rates.minflt.zip(rates.majflt).map(|(minor, major)| minor + major);
        let Values { lost, .. } = self.last;
        self.last = Values {
            state: sample.state,
            cpu: rates.cpu,
            usr: rates.usr,
            sys: rates.sys,
            rss: sample.rss,
            faults,
            lost,
        };
    }

    /// What it does now, or did at a moment; nothing where nothing was recorded yet.
    pub fn values(&self, at: Option<u64>) -> Option<Values> {
        let Some(at) = at else {
            let exited = self.last.state.exited();
            let rate = |rate: Option<f64>| rate.filter(|_| !exited);
            let lost = self.counts.map_or(self.gaps, |counts| counts.missed.saturating_add(counts.reclaimed));
            let Values { cpu, usr, sys, faults, .. } = self.last;
            return Some(Values {
                cpu: rate(cpu),
                usr: rate(usr),
                sys: rate(sys),
                faults: rate(faults),
                lost,
                ..self.last
            });
        };
        let span = self.past.at(at)?;
        // Behind a span that is not the last there is a gap; behind the last, what it says still holds.
        let last = self.past.spans().last().is_some_and(|last| last.until == span.until);
        let known = at <= span.until || last && !span.state.exited();
        let means = span.mean().filter(|_| known);
        let seconds = span.elapsed as f64 / 1e9;
        Some(Values {
            state: span.state,
            cpu: means.map(|(usr, sys)| usr + sys),
            usr: means.map(|(usr, _)| usr),
            sys: means.map(|(_, sys)| sys),
            rss: span.last_rss,
            faults: means.map(|_| span.minflt.saturating_add(span.majflt) as f64 / seconds),
            lost: (self.past.spans().iter().take_while(|span| span.since <= at))
                .fold(0, |sum, span| span.lost.saturating_add(sum)),
        })
    }
}

/// What asks for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Table,
    /// Help is shown from that line on.
    Help(usize),
    /// A part of a name is typed; this was the filter before.
    Filter(String),
    /// A PID or name to add is typed.
    Add(String),
    /// Whether to remove that task.
    Remove(Id),
}

/// What a key asks of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, but that the screen has changed.
    Draw,
    /// To end.
    Quit,
    /// To stop, as Control-Z does.
    Stop,
    /// To monitor the process with this PID, or those with this name.
    Add(String),
    /// To stop monitoring this one.
    Remove(Id),
}

/// The state of all that is shown.
#[derive(Debug)]
pub struct Model {
    pub origin: Origin,
    pub clock: Clock,
    /// The time between two samples.
    pub period: Option<Duration>,
    /// Whether the module samples.
    pub sampling: bool,
    /// How much of the past has been read, of how much; all, if there is none.
    pub reading: Option<(u64, u64)>,
    /// What became of the last thing that was asked for, and whether it failed.
    pub message: Option<(String, bool)>,
    pub mode: Mode,
    pub filter: String,
    pub sort: Sort,
    /// The largest first, or for PIDs and names, the smallest.
    pub forward: bool,
    /// Whether the selected task takes all the room.
    pub large: bool,
    /// The moment that is shown; none is now.
    pub at: Option<u64>,
    /// What an empty table means.
    pub chosen: bool,
    /// Samples that were read.
    pub read: u64,
    rows: Vec<Row>,
    places: FxHashMap<Id, usize>,
    most: usize,
    newest: u64,
    oldest: u64,
    // Places of the rows that are shown, in their order.
    order: Vec<usize>,
    selected: Option<Id>,
    // Where the selected one is in the order.
    cursor: usize,
    // Whether it was chosen, or is just the first.
    held: bool,
    top: usize,
    // How many rows the table has, and columns the chart.
    page: usize,
    columns: usize,
    // One of WINDOWS; none is the least that has all.
    window: Option<usize>,
    // Where the window ends.
    end: u64,
}

impl Model {
    pub fn new(origin: Origin, clock: Clock, sort: Sort) -> Self {
        Self {
            origin,
            clock,
            period: None,
            sampling: true,
            reading: None,
            message: None,
            mode: Mode::Table,
            filter: String::new(),
            sort,
            forward: true,
            large: false,
            at: None,
            chosen: false,
            read: 0,
            rows: Vec::new(),
            places: FxHashMap::default(),
            most: SPANS_OF_ONE - 1,
            newest: 0,
            oldest: 0,
            order: Vec::new(),
            selected: None,
            cursor: 0,
            held: false,
            top: 0,
            page: 1,
            columns: 60,
            window: None,
            end: 0,
        }
    }

    // --- what is there ---

    /// The row of a task, a new one if it has none; none if there are too many.
    fn row(&mut self, id: Id, state: State) -> Option<&mut Row> {
        let place = match self.places.get(&id) {
            Some(&place) => place,
            None if self.rows.len() >= MOST_TASKS => {
                self.message = Some((
                    format!("only the first {MOST_TASKS} tasks are shown; select fewer by PID or --name"),
                    true,
                ));
                return None;
            }
            None => {
                let place = self.rows.len();
                self.rows.push(Row::new(id, self.most, state));
                self.places.insert(id, place);
                self.share();
                place
            }
        };
        self.rows.get_mut(place)
    }

    /// Divides the memory between the tasks: the more there are, the less has each. (One less than a power of two: a past
    /// that is full has one span more for a moment, and a Vec grows by doubling.)
    fn share(&mut self) {
        let most = (SPANS / self.rows.len().next_power_of_two()).clamp(4, SPANS_OF_ONE) - 1;
        if most < self.most {
            self.most = most;
            self.rows.iter_mut().for_each(|row| row.past.limit(most));
        }
    }

    /// Takes what the module says of the chosen tasks: there are no others.
    pub fn tasks(&mut self, tasks: &[Task]) {
        let there: rustc_hash::FxHashSet<Id> = tasks.iter().map(Task::id).collect();
        if self.rows.iter().any(|row| !there.contains(&row.id)) {
            self.rows.retain(|row| there.contains(&row.id));
            self.places = self.rows.iter().enumerate().map(|(place, row)| (row.id, place)).collect();
            // New ones may have more again. (What has been joined stays so.)
            self.most = (SPANS / self.rows.len().max(1).next_power_of_two()).clamp(4, SPANS_OF_ONE) - 1;
            self.order.clear();
        }
        for task in tasks {
            let Some(row) = self.row(task.id(), task.state) else { break };
            row.call(&task.name());
            row.process = task.process();
            row.counts = Some(Counts {
                threads: task.threads,
                samples: task.samples,
                taken: task.taken,
                evicted: task.evicted,
                reclaimed: task.reclaimed,
                missed: task.missed,
            });
            if task.time >= row.time {
                row.last.state = task.state;
                row.last.rss = task.rss;
                row.used = (task.usr, task.sys);
            }
            self.newest = self.newest.max(task.time);
        }
    }

    /// Takes the newest of a task, whose past is still to come.
    pub fn now(&mut self, point: &Point) {
        if let Some(&place) = self.places.get(&point.sample.id()) {
            self.newest = self.newest.max(point.sample.time);
            if let Some(row) = self.rows.get_mut(place) {
                row.now(point);
            }
        }
    }

    /// Takes the next of a task that is known.
    pub fn past(&mut self, point: &Point) {
        self.read = self.read.saturating_add(1);
        if let Some(&place) = self.places.get(&point.sample.id()) {
            self.newest = self.newest.max(point.sample.time);
            if let Some(row) = self.rows.get_mut(place) {
                row.gaps = row.gaps.saturating_add(point.lost);
                row.now(point);
                row.past.push(point);
            }
        }
    }

    /// Takes the next of a task of a recording.
    pub fn recorded(&mut self, point: &Point, name: Option<&str>, process: Option<u32>) {
        if let Some(row) = self.row(point.sample.id(), point.sample.state) {
            row.process = process;
            if let Some(name) = name {
                row.call(name);
            }
        }
        self.past(point);
    }

    // --- what is shown of it ---

    /// How many tasks there are, and how many of these have exited.
    pub fn count(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().filter(|row| row.last.state.exited()).count())
    }

    /// Samples that are in memory, and those that were lost.
    pub fn samples(&self) -> (u64, u64) {
        let sum = |of: &dyn Fn(&Row) -> u64| self.rows.iter().map(of).fold(0_u64, u64::saturating_add);
        match self.origin {
            Origin::Module => (
                sum(&|row| row.counts.map_or(0, |counts| counts.samples)),
                sum(&|row| row.counts.map_or(0, |counts| counts.missed.saturating_add(counts.reclaimed))),
            ),
            Origin::File(_) => (self.read, sum(&|row| row.gaps)),
        }
    }

    /// The tasks that are shown, how many.
    pub fn shown(&self) -> usize {
        self.order.len()
    }

    /// Those of the page, with whether they are selected.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, bool)> {
        let places = self.order.iter().enumerate().skip(self.top).take(self.page);
        places.filter_map(|(i, &place)| Some((self.rows.get(place)?, i == self.cursor)))
    }

    /// All that are shown.
    pub fn all(&self) -> impl Iterator<Item = &Row> + Clone {
        self.order.iter().filter_map(|&place| self.rows.get(place))
    }

    /// The first row of the page, and its number of rows.
    pub fn page(&self) -> (usize, usize) {
        (self.top, self.page)
    }

    /// The selected task.
    pub fn selected(&self) -> Option<&Row> {
        self.selected.and_then(|id| self.find(&id))
    }

    /// The task with this identity.
    pub fn find(&self, id: &Id) -> Option<&Row> {
        self.places.get(id).and_then(|&place| self.rows.get(place))
    }

    /// The first and the last moment of which there is something.
    pub fn range(&self) -> (u64, u64) {
        (self.oldest, self.newest)
    }

    /// The moment that is shown.
    pub fn moment(&self) -> u64 {
        self.at.unwrap_or(self.newest)
    }

    /// The usage and memory of all that are shown together. A thread whose process is shown, too, is part of that.
    pub fn totals(&self) -> (Option<f64>, u64) {
        let exited = |row: &Row| row.last.state.exited().then_some(row.time);
        let there = self.all().filter(|row| row.values(self.at).is_some());
        let processes = Processes::new(there.clone().map(|row| (row.id, row.process, exited(row))));
        let (mut cpu, mut rss) = (None, 0_u64);
        let counted = there.filter(|row| processes.of(row.id, row.process).is_none());
        for values in counted.filter_map(|row| row.values(self.at)) {
            cpu = match (cpu, values.cpu) {
                (Some(sum), Some(more)) => Some(sum + more),
                (sum, more) => sum.or(more),
            };
            rss = rss.saturating_add(values.rss);
        }
        (cpu, rss)
    }

    /// The index of the window that is shown.
    fn window_index(&self) -> usize {
        let all = self.least_window();
        self.window.map_or(all, |window| window.min(all))
    }

    fn least_window(&self) -> usize {
        let whole = self.newest.saturating_sub(self.oldest);
        WINDOWS.iter().position(|&seconds| seconds * SECOND >= whole).unwrap_or(WINDOWS.len() - 1)
    }

    /// How much time charts show.
    pub fn window(&self) -> u64 {
        WINDOWS.get(self.window_index()).copied().unwrap_or(1) * SECOND
    }

    /// For so many columns: where those begin, which may be before boot, and how much time each has. They stay where they are
    /// while time goes on.
    pub fn bins(&self, columns: usize) -> (i128, u64) {
        let width = self.window().div_ceil(columns.max(1) as u64).max(1);
        let last = i128::from(self.end / width);
        ((last + 1 - columns.max(1) as i128) * i128::from(width), width)
    }

    // --- what changes it ---

    /// Puts all in order again, after what is known or shown has changed.
    pub fn tick(&mut self) {
        let first = |row: &Row| row.past.spans().first().map(|span: &Span| span.since);
        self.oldest = self.rows.iter().filter_map(first).min().unwrap_or(self.newest).min(self.newest);
        // The tasks of the first instant are sampled one after the other: when all were is the first moment.
        let earliest = self.oldest.saturating_add(self.period() / 2).min(self.newest);
        self.at = self.at.map(|at| at.clamp(earliest, self.newest));
        self.end = match self.at {
            None => self.newest,
            Some(at) => {
                let window = self.window();
                if at > self.end {
                    at
                } else if at < self.end.saturating_sub(window - window / 64) {
                    at.saturating_add(window - window / 64).min(self.newest)
                } else {
                    self.end
                }
            }
        };
        self.arrange();
    }

    fn arrange(&mut self) {
        // Keys are reckoned once, and not again and again while they are compared.
        let wanted = self.filter.to_lowercase();
        let matches =
            |row: &Row| wanted.is_empty() || row.folded.contains(&wanted) || row.id.pid.to_string() == wanted;
        let mut keyed: Vec<(f64, usize)> = Vec::with_capacity(self.rows.len());
        for (place, row) in self.rows.iter().enumerate().filter(|(_, row)| matches(row)) {
            let Some(values) = row.values(self.at) else { continue };
            let key = match self.sort {
                Sort::Cpu => values.cpu.unwrap_or(-1.0),
                Sort::Memory => values.rss as f64,
                Sort::Faults => values.faults.unwrap_or(-1.0),
                Sort::Pid => -f64::from(row.id.pid),
                Sort::Name => 0.0,
            };
            keyed.push((key, place));
        }
        let rows = &self.rows;
        let forward = self.forward;
        let turned = |order: Ordering| if forward { order } else { order.reverse() };
        let by_name = self.sort == Sort::Name;
        keyed.sort_unstable_by(|(a, left), (b, right)| {
            let (Some(left), Some(right)) = (rows.get(*left), rows.get(*right)) else { return Ordering::Equal };
            let by = if by_name { left.name.cmp(&right.name) } else { b.total_cmp(a) };
            turned(by).then_with(|| left.id.cmp(&right.id))
        });
        self.order.clear();
        self.order.extend(keyed.into_iter().map(|(_, place)| place));
        if self.held {
            let rows = &self.rows;
            let is_selected = |&place: &usize| rows.get(place).map(|row| row.id) == self.selected;
            if let Some(at) = self.order.iter().position(is_selected) {
                self.cursor = at;
            }
        } else {
            self.cursor = 0;
        }
        self.select(self.cursor);
    }

    /// Says how much room there is.
    pub fn room(&mut self, page: usize, columns: usize) {
        self.page = page;
        self.columns = columns.max(1);
        self.scroll();
    }

    fn select(&mut self, cursor: usize) {
        self.cursor = cursor.min(self.order.len().saturating_sub(1));
        self.selected = self.order.get(self.cursor).and_then(|&place| self.rows.get(place)).map(|row| row.id);
        self.scroll();
    }

    fn scroll(&mut self) {
        let page = self.page.max(1);
        let most = self.order.len().saturating_sub(page);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(page)).min(most);
    }

    fn go(&mut self, cursor: usize) {
        self.held = true;
        self.select(cursor);
    }

    /// The time between two samples, in nanoseconds.
    fn period(&self) -> u64 {
        self.period.map_or(0, |period| u64::try_from(period.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Shows the moment that is `steps` columns of the chart later.
    fn later(&mut self, steps: i64) {
        let step = (self.window() / self.columns as u64).max(self.period()).max(1);
        let by = step.saturating_mul(steps.unsigned_abs());
        let at = if steps < 0 { self.moment().saturating_sub(by) } else { self.moment().saturating_add(by) };
        self.show(if at >= self.newest { None } else { Some(at) });
    }

    fn show(&mut self, at: Option<u64>) {
        self.at = at;
        self.tick();
    }

    fn zoom(&mut self, nearer: bool) {
        let now = self.window_index();
        let next = if nearer { now.saturating_sub(1) } else { now + 1 };
        self.window = (next < self.least_window()).then_some(next);
        if let Some(at) = self.at {
            // What is looked at stays in view.
            self.end = at.saturating_add(self.window() / 2).min(self.newest);
        }
        self.tick();
    }

    fn sort_by(&mut self, sort: Sort) {
        self.forward = self.sort != sort || !self.forward;
        self.sort = sort;
        self.top = 0;
        self.tick();
    }

    /// Says what was done.
    pub fn say(&mut self, text: impl std::fmt::Display) {
        self.message = Some((printable(&text.to_string()), false));
    }

    /// Says what could not be done.
    pub fn complain(&mut self, text: impl std::fmt::Display) {
        self.message = Some((printable(&text.to_string()), true));
    }

    /// What a key does.
    pub fn key(&mut self, key: Key) -> Effect {
        self.message = None;
        if key == Key::Control('c') {
            return Effect::Quit;
        }
        if key == Key::Control('z') {
            return Effect::Stop;
        }
        match std::mem::replace(&mut self.mode, Mode::Table) {
            Mode::Table => return self.table_key(key),
            Mode::Help(line) => match key {
                Key::Up | Key::Char('k') => self.mode = Mode::Help(line.saturating_sub(1)),
                // (The view knows where it ends.)
                Key::Down | Key::Char('j') => self.mode = Mode::Help(line.saturating_add(1)),
                Key::PageUp => self.mode = Mode::Help(line.saturating_sub(5)),
                Key::PageDown | Key::Char(' ') => self.mode = Mode::Help(line.saturating_add(5)),
                _ => {}
            },
            Mode::Filter(before) => match key {
                Key::Enter => {}
                Key::Escape => {
                    self.filter = before;
                    self.tick();
                }
                key => {
                    type_into(&mut self.filter, key);
                    self.mode = Mode::Filter(before);
                    self.top = 0;
                    self.tick();
                }
            },
            Mode::Add(mut text) => match key {
                Key::Enter if !text.is_empty() => return Effect::Add(text),
                Key::Enter | Key::Escape => {}
                key => {
                    type_into(&mut text, key);
                    self.mode = Mode::Add(text);
                }
            },
            Mode::Remove(id) => match key {
                Key::Char('y' | 'Y') => return Effect::Remove(id),
                _ => self.say("nothing was removed"),
            },
        }
        Effect::Draw
    }

    fn table_key(&mut self, key: Key) -> Effect {
        let page = self.page.max(1);
        match key {
            Key::Char('q') | Key::Function(10) => return Effect::Quit,
            Key::Char('?' | 'h') | Key::Function(1) => self.mode = Mode::Help(0),
            Key::Up | Key::Char('k') => self.go(self.cursor.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.go(self.cursor.saturating_add(1)),
            Key::PageUp => self.go(self.cursor.saturating_sub(page)),
            Key::PageDown => self.go(self.cursor.saturating_add(page)),
            Key::Char('g') => {
                // Whoever is first, from now on.
                self.held = false;
                self.select(0);
            }
            Key::Char('G') => self.go(usize::MAX),
            Key::Left => self.later(-1),
            Key::Right => self.later(1),
            Key::FarLeft | Key::Char('[') => self.later(-(self.columns as i64 / 2).max(2)),
            Key::FarRight | Key::Char(']') => self.later((self.columns as i64 / 2).max(2)),
            Key::Home => self.show(Some(0)),
            Key::End => self.show(None),
            Key::Char(' ') => self.show(if self.at.is_some() { None } else { Some(self.newest) }),
            Key::Char('+' | '=') => self.zoom(true),
            Key::Char('-') => self.zoom(false),
            Key::Char('c') => self.sort_by(Sort::Cpu),
            Key::Char('m') => self.sort_by(Sort::Memory),
            Key::Char('f') => self.sort_by(Sort::Faults),
            Key::Char('p') => self.sort_by(Sort::Pid),
            Key::Char('n') => self.sort_by(Sort::Name),
            Key::Char('r') => self.sort_by(self.sort),
            Key::Enter => self.large = !self.large,
            Key::Char('/') => self.mode = Mode::Filter(self.filter.clone()),
            Key::Escape => {
                if self.large {
                    self.large = false;
                } else if !self.filter.is_empty() {
                    self.filter.clear();
                    self.tick();
                } else if self.at.is_some() {
                    self.show(None);
                }
            }
            Key::Char('a' | 'd') | Key::Delete if self.origin != Origin::Module => {
                self.complain("a recording cannot be changed; to add or remove tasks: taskmon top without -i");
            }
            Key::Char('a') => self.mode = Mode::Add(String::new()),
            Key::Char('d') | Key::Delete => match self.selected {
                Some(id) => {
                    // What is asked about must not change before the answer.
                    self.held = true;
                    self.mode = Mode::Remove(id);
                }
                None => self.complain("there is no task to remove"),
            },
            _ => {}
        }
        Effect::Draw
    }
}

fn type_into(text: &mut String, key: Key) {
    match key {
        Key::Backspace => {
            text.pop();
        }
        Key::Control('u') => text.clear(),
        Key::Char(c) if text.chars().count() < LONGEST_INPUT && harmless(c) => text.push(c),
        _ => {}
    }
}

/// Whether a terminal shows this character in a column or two of its own, and nothing else becomes of it.
fn harmless(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // (Joined with what stands before it.)
    let joins = matches!(c, '\u{ad}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{1f1e6}'..='\u{1f1ff}');
    !turns && !joins && c.width().is_some_and(|width| width > 0)
}

/// `text` without what plays with a terminal. Names are chosen by the tasks.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
