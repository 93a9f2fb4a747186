// SPDX-License-Identifier: GPL-2.0-only

//! A figure for a terminal: the same panels as in SVG, of characters. Those of a terminal without UTF-8 are ASCII.
//!
//! Blocks, not Braille: most fonts have blocks, and they can be told apart when filled with shades, so that no colour is
//! needed. Tasks are beneath each other, as in SVG; as lines of memory cannot cross here, each task has its own, on one scale.

use super::axes;
use super::axes::Scale;
use super::figure::Figure;
use super::figure::Track;
use super::figure::gap;
use super::text;
use crate::reduce::Span;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub columns: usize,
    pub utf8: bool,
    pub colour: bool,
}

/// What is left of a panel: the labels of its axis, and the axis.
const LEFT: usize = 8;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same without UTF-8: from little to much.
const RAMP: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];

/// Colours, as the terminal calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ink {
    None,
    User,
    System,
    Memory,
    Highest,
    Major,
    Faint,
    Bold,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::User => "0;94",
            Self::System => "0;34",
            Self::Memory => "0;32",
            Self::Highest => "0;36",
            Self::Major => "0;31",
            Self::Faint => "0;2",
            Self::Bold => "0;1",
        }
    }
}

/// The characters of a terminal.
#[derive(Clone, Copy, Debug)]
struct Signs {
    user: char,
    system: char,
    highest: char,
    major: char,
    missing: char,
    exit: char,
    side: char,
    corner: char,
    floor: char,
    tick: char,
    ellipsis: &'static str,
    apart: &'static str,
}

const UTF8: Signs = Signs {
    user: '▒',
    system: '█',
    highest: '•',
    major: '▲',
    missing: '╱',
    exit: '×',
    side: '│',
    corner: '└',
    floor: '─',
    tick: '┴',
    ellipsis: "…",
    apart: " · ",
};
const ASCII: Signs = Signs {
    user: ':',
    system: '#',
    highest: '\'',
    major: '^',
    missing: '/',
    exit: 'X',
    side: '|',
    corner: '+',
    floor: '-',
    tick: '+',
    ellipsis: "...",
    apart: ", ",
};

/// How many columns `text` takes: Chinese characters and pictures have two.
fn columns(text: &str) -> f64 {
    text.chars()
        .map(|c| if c < '\u{1100}' || ('\u{2000}'..'\u{2e80}').contains(&c) || c == '\u{fffd}' { 1.0 } else { 2.0 })
        .sum()
}

/// What happened in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Column {
    // Time of which the usage is known, in nanoseconds.
    known: f64,
    usr: f64,
    sys: f64,
    highest: f64,
    rss: Option<u64>,
    // Time in which samples are missing, and whether any are.
    gap: f64,
    lost: bool,
    major: bool,
    exit: bool,
}

impl Column {
    /// In user mode, and all.
    fn usage(&self) -> Option<(f64, f64)> {
        (self.known > 0.0).then(|| (self.usr / self.known, (self.usr + self.sys) / self.known))
    }

    /// Nothing but missing samples.
    fn missing(&self) -> bool {
        self.known == 0.0 && self.rss.is_none() && self.gap > 0.0
    }
}

/// The figure as text.
pub fn draw(figure: &Figure, terminal: Terminal) -> String {
    let signs = if terminal.utf8 { UTF8 } else { ASCII };
    let mut drawing = Drawing {
        figure,
        terminal,
        signs,
        width: terminal.columns.saturating_sub(LEFT + 1).max(8),
        out: String::new(),
        highest: false,
    };
    drawing.all();
    drawing.out
}

struct Drawing<'a> {
    figure: &'a Figure,
    terminal: Terminal,
    signs: Signs,
    // Of the panels.
    width: usize,
    out: String,
    // Whether the sign is in one of them.
    highest: bool,
}

impl Drawing<'_> {
    fn all(&mut self) {
        let figure = self.figure;
        let tracks: Vec<(&Track, Vec<Column>)> =
            figure.tracks.iter().map(|track| (track, self.sample(track))).collect();
        match tracks.as_slice() {
            [(track, columns)] => self.one(track, columns),
            tracks => self.several(tracks),
        }
        self.time();
        // What the signs mean is above them, but known now.
        let panels = std::mem::take(&mut self.out);
        self.line(&figure.title, Ink::Bold);
        self.words(figure.facts.iter().map(|fact| self.plain(fact)).collect(), self.signs.apart, Ink::Faint);
        self.legend();
        self.line("", Ink::None);
        self.out.push_str(&panels);
    }

    /// What of `text` this terminal can show.
    fn plain(&self, text: &str) -> String {
        if self.terminal.utf8 {
            text.to_owned()
        } else {
            text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
        }
    }

    fn put(&mut self, cells: &[(char, Ink)]) {
        let used = cells.len() - cells.iter().rev().take_while(|(c, _)| *c == ' ').count();
        let mut ink = Ink::None;
        for &(c, wanted) in cells.get(..used).unwrap_or_default() {
            if self.terminal.colour && wanted != ink {
                self.out.push_str("\u{1b}[");
                self.out.push_str(wanted.code());
                self.out.push('m');
                ink = wanted;
            }
            self.out.push(c);
        }
        if ink != Ink::None {
            self.out.push_str("\u{1b}[0m");
        }
        self.out.push('\n');
    }

    fn line(&mut self, text: &str, ink: Ink) {
        let text = self.plain(text);
        let text = text::fit(&text, self.terminal.columns as f64, columns, self.signs.ellipsis);
        self.put(&text.chars().map(|c| (c, ink)).collect::<Vec<_>>());
    }

    /// Words, as many in a line as fit.
    fn words(&mut self, words: Vec<String>, apart: &str, ink: Ink) {
        let mut line = String::new();
        for word in words {
            if !line.is_empty() && columns(&line) + columns(apart) + columns(&word) > self.terminal.columns as f64 {
                self.line(&std::mem::take(&mut line), ink);
            }
            if !line.is_empty() {
                line.push_str(apart);
            }
            line.push_str(&word);
        }
        self.line(&line, ink);
    }

    fn legend(&mut self) {
        let any = |is: fn(&Track) -> bool| self.figure.tracks.iter().any(is);
        let signs = self.signs;
        let entries = [
            (signs.user, "user", true),
            (signs.system, "system", true),
            (signs.highest, "highest sample", self.highest),
            (signs.major, "major page fault", any(|track| track.whole.majflt > 0)),
            (signs.missing, "missing", any(|track| track.pid.is_some() && track.whole.lost > 0)),
            (signs.exit, "exit", any(|track| track.exited.is_some())),
        ];
        let entries =
            entries.into_iter().filter(|(_, _, there)| *there).map(|(sign, what, _)| format!("{sign} {what}"));
        self.words(entries.collect(), "  ", Ink::Faint);
    }

    /// What a track did in each column.
    fn sample(&self, track: &Track) -> Vec<Column> {
        let mut all = vec![Column::default(); self.width];
        let mut before: Option<&Span> = None;
        for span in &track.spans {
            let mut wide = false;
            if let Some(gap) = before.and_then(|before| gap(before, span)) {
                self.spread(&mut all, gap.since, gap.until, |column, part| column.gap += part);
                wide = self.place(gap.until) - self.place(gap.since) >= 2.0;
            }
            before = Some(span);
            let elapsed = (span.until - span.since) as f64;
            if let (Some((_, highest)), Some((usr, sys))) = (span.cpu, span.mean()) {
                self.spread(&mut all, span.since, span.until, |column, part| {
                    column.known += part;
                    column.usr += usr * part;
                    column.sys += sys * part;
                    column.highest = column.highest.max(f64::from(highest));
                });
            }
            // (An instant is in a column, too.)
            let rss = |column: &mut Column, _| column.rss = Some(column.rss.unwrap_or(0).max(span.rss.1));
            self.spread(&mut all, span.since, span.until, rss);
            if elapsed == 0.0 {
                self.at(&mut all, span.until, |column| rss(column, 0.0));
            }
            self.at(&mut all, span.since.midpoint(span.until), |column| {
                column.lost |= span.lost > 0 && !wide;
                column.major |= span.majflt > 0;
            });
        }
        if let Some(time) = track.exited {
            self.at(&mut all, time, |column| column.exit = true);
        }
        all
    }

    /// In which column `time` is, exactly.
    fn place(&self, time: u64) -> f64 {
        let Figure { since, until, .. } = *self.figure;
        time.saturating_sub(since) as f64 / (until - since) as f64 * self.width as f64
    }

    fn at(&self, all: &mut [Column], time: u64, take: impl Fn(&mut Column)) {
        let place = (self.place(time) as usize).min(self.width - 1);
        all.get_mut(place).into_iter().for_each(take);
    }

    /// Gives each column that the time from `since` to `until` touches how much of it it has.
    fn spread(&self, all: &mut [Column], since: u64, until: u64, take: impl Fn(&mut Column, f64)) {
        let (from, to) = (self.place(since), self.place(until));
        for (i, column) in all.iter_mut().enumerate().skip(from as usize) {
            let part = to.min(i as f64 + 1.0) - from.max(i as f64);
            if part <= 0.0 {
                break;
            }
            take(column, part);
        }
    }

    fn one(&mut self, track: &Track, all: &[Column]) {
        let usage = [("peak", track.peak()), ("mean", track.mean())];
        let usage: Vec<String> =
            usage.iter().filter_map(|(what, usage)| Some(format!("{what} {}", text::percent((*usage)?)))).collect();
        let usage = if usage.is_empty() { "unknown, there is only one sample".to_owned() } else { usage.join(", ") };
        self.words(vec!["CPU usage, % of one processor:".to_owned(), usage], " ", Ink::None);
        self.cpu(all, 8, Scale::percent(track.peak().unwrap_or(0.0), 4));
        let (unit, bytes) = axes::unit(track.whole.rss.1);
        self.words(vec![format!("Memory, {unit}:"), format!("peak {}", track.memory())], " ", Ink::None);
        let scale = Scale::new(track.whole.rss.1 as f64 / bytes, 4);
        let rss: Vec<Option<f64>> = all.iter().map(|column| column.rss.map(|rss| rss as f64 / bytes)).collect();
        self.bars(&rss, all, 5, scale, Ink::Memory);
        self.faults(all);
    }

    fn several(&mut self, tracks: &[(&Track, Vec<Column>)]) {
        let of_tasks = || tracks.iter().filter(|(track, _)| track.pid.is_some());
        let highest = of_tasks().filter_map(|(track, _)| track.peak()).fold(0.0, f64::max);
        let most = of_tasks().map(|(track, _)| track.whole.rss.1).max().unwrap_or(0);
        let full = if self.terminal.utf8 { "full height is" } else { ". to @ is 0 to" };
        let head =
            ["CPU usage, % of one processor;".to_owned(), format!("mem: memory, {full} {}", text::memory(most))];
        self.words(head.to_vec(), " ", Ink::None);
        let lines = if tracks.len() <= 4 { 3 } else { 2 };
        for (track, all) in tracks {
            // What many do together would flatten all else.
            let own = track.pid.is_none();
            let (highest, most) =
                if own { (track.peak().unwrap_or(0.0), track.whole.rss.1) } else { (highest, most) };
            let pid = track.pid.map(|pid| format!(" {pid}")).unwrap_or_default();
            let memory = format!("{}{}", track.memory(), if own { ", own scales" } else { "" });
            let mean = track.mean().map_or_else(|| "-".to_owned(), text::percent);
            let said = match track.peak().filter(|_| !own) {
                Some(peak) => format!("mean {mean}, peak {}; {memory}", text::percent(peak)),
                None => format!("mean {mean}; {memory}"),
            };
            // Before a name becomes shorter than those that tasks have, it is said in fewer words.
            let width = self.terminal.columns as f64;
            let left = |said: &str| width - columns(&pid) - columns(said) - 2.0;
            let name = columns(&track.name).min(15.0);
            let said = if left(&said) < name { format!("{mean}; {memory}") } else { said };
            let room = left(&said).max(8.0);
            let name = text::fit(&self.plain(&track.name), room, columns, self.signs.ellipsis);
            self.line(&format!("{name}{pid}: {said}"), Ink::None);
            self.cpu(all, lines, Scale::percent(highest, 1));
            self.strip(all, most);
        }
        self.faults(&[]);
    }

    /// A line of a panel: what stands left of it, and what is in it.
    fn row(&mut self, label: &str, cells: impl IntoIterator<Item = (char, Ink)>) {
        let label = format!("{label:>width$} ", width = LEFT - 2);
        let head = label.chars().map(|c| (c, Ink::Faint)).chain([(self.signs.side, Ink::Faint)]);
        let line: Vec<(char, Ink)> = head.chain(cells).collect();
        self.put(&line);
    }

    /// What stands at line `line` of `lines` from above.
    fn tick(scale: &Scale, line: usize, lines: usize) -> String {
        let middle = lines / 2;
        match line {
            0 => scale.label(scale.top),
            l if l + 1 == lines => "0".to_owned(),
            l if lines >= 5 && lines % 2 == 0 && l == middle && (scale.top / scale.step).round() as u64 % 2 == 0 => {
                scale.label(scale.top / 2.0)
            }
            _ => String::new(),
        }
    }

    fn cpu(&mut self, all: &[Column], lines: usize, scale: Scale) {
        let missing = (self.signs.missing, Ink::Faint);
        for line in 0..lines {
            let floor = scale.top * (lines - 1 - line) as f64 / lines as f64;
            let height = scale.top / lines as f64;
            let cells: Vec<(char, Ink)> = all
                .iter()
                .map(|column| match column.usage() {
                    None if column.missing() => missing,
                    None => (' ', Ink::None),
                    Some((user, whole)) => {
                        let part = |level: f64| ((level - floor) / height).clamp(0.0, 1.0);
                        // (A little more than the axis has is in its last line.)
                        let highest = part(column.highest.min(scale.top));
                        let cell = self.cell(part(user), part(whole), floor == 0.0 && whole > 0.0);
                        let above =
                            column.highest > whole + height / 4.0 && highest > 0.0 && (highest < 1.0 || line == 0);
                        if cell.0 == ' ' && above { (self.signs.highest, Ink::Highest) } else { cell }
                    }
                })
                .collect();
            self.highest |= cells.iter().any(|(c, _)| *c == self.signs.highest);
            self.row(&Self::tick(&scale, line, lines), cells);
        }
        let marks: Vec<(char, Ink)> = all
            .iter()
            .map(|column| match column {
                Column { exit: true, .. } => (self.signs.exit, Ink::Bold),
                Column { major: true, .. } => (self.signs.major, Ink::Major),
                // Too short to be seen above.
                column if column.lost && !column.missing() => missing,
                _ => (' ', Ink::None),
            })
            .collect();
        if marks.iter().any(|(c, _)| *c != ' ') {
            self.row("", marks);
        }
    }

    /// A cell of which `user` and then `whole` is filled; something, if it is little.
    fn cell(&self, user: f64, whole: f64, some: bool) -> (char, Ink) {
        let mostly_user = user >= whole / 2.0;
        let ink = if mostly_user { Ink::User } else { Ink::System };
        let full = if mostly_user { self.signs.user } else { self.signs.system };
        if !self.terminal.utf8 {
            let sign = if whole >= 0.5 {
                full
            } else if some && whole > 0.0 {
                '.'
            } else {
                ' '
            };
            return (sign, ink);
        }
        let sign = match (whole * 8.0).round() as usize {
            8.. => full,
            0 if some => '▁',
            0 => ' ',
            // A block would look as what is in the kernel.
            eighths @ 1.. if mostly_user && !self.terminal.colour => match eighths {
                1 => '▁',
                2..=4 => '░',
                _ => full,
            },
            eighths => BLOCKS.get(eighths - 1).copied().unwrap_or(full),
        };
        (sign, ink)
    }

    /// A panel of bars.
    fn bars(&mut self, values: &[Option<f64>], all: &[Column], lines: usize, scale: Scale, ink: Ink) {
        for line in 0..lines {
            let floor = scale.top * (lines - 1 - line) as f64 / lines as f64;
            let cells: Vec<(char, Ink)> = values
                .iter()
                .zip(all)
                .map(|(value, column)| match value {
                    None if column.missing() => (self.signs.missing, Ink::Faint),
                    None => (' ', Ink::None),
                    Some(value) => {
                        let part = ((value - floor) / scale.top * lines as f64).clamp(0.0, 1.0);
                        let least = floor == 0.0 && *value > 0.0;
                        let sign = match (self.terminal.utf8, (part * 8.0).round() as usize) {
                            (true, 0) if least => '▁',
                            (_, 0) if !least => ' ',
                            (true, eighths) => BLOCKS.get(eighths.saturating_sub(1)).copied().unwrap_or(' '),
                            (false, 4..) => self.signs.system,
                            (false, _) => {
                                if least {
                                    '.'
                                } else {
                                    ' '
                                }
                            }
                        };
                        (sign, ink)
                    }
                })
                .collect();
            self.row(&Self::tick(&scale, line, lines), cells);
        }
    }

    /// Memory in one line, of which `most` fills all.
    fn strip(&mut self, all: &[Column], most: u64) {
        let signs = if self.terminal.utf8 { BLOCKS } else { RAMP };
        let cells: Vec<(char, Ink)> = all
            .iter()
            .map(|column| match column.rss {
                None if column.missing() => (self.signs.missing, Ink::Faint),
                None | Some(0) => (' ', Ink::None),
                Some(rss) => {
                    let level = (rss as f64 / most.max(1) as f64 * 8.0).ceil() as usize;
                    (signs.get(level.clamp(1, 8) - 1).copied().unwrap_or(' '), Ink::Memory)
                }
            })
            .collect();
        self.row("mem", cells);
    }

    /// Of all tasks; `missing` are the columns of the only one.
    fn faults(&mut self, missing: &[Column]) {
        if self.figure.total.iter().all(|span| span.minflt == 0) {
            return;
        }
        let gaps = missing.iter().map(|column| column.gap).chain(std::iter::repeat(0.0)).take(self.width);
        let mut all: Vec<Column> = gaps.map(|gap| Column { gap, ..Column::default() }).collect();
        for span in self.figure.total.iter().filter(|span| span.elapsed > 0) {
            // (Of a column, as if they were CPU time.)
            let rate = span.minflt as f64 * 1e9 / span.elapsed as f64;
            self.spread(&mut all, span.since, span.until, |column, part| {
                column.known += part;
                column.usr += rate * part;
            });
        }
        let rates: Vec<Option<f64>> = all.iter().map(|column| column.usage().map(|(rate, _)| rate)).collect();
        let scale = Scale::new(rates.iter().flatten().fold(0.0, |a, &b| f64::max(a, b)), 2);
        self.line("Minor page faults per second", Ink::None);
        self.bars(&rates, &all, 2, scale, Ink::None);
    }

    fn time(&mut self) {
        let Figure { clock, since, until, .. } = self.figure;
        let at = |time: &u64| clock.timestamp(*time).as_nanosecond();
        let (from, to) = (at(since), at(until).max(at(since) + 1));
        let ticks = axes::times(from, to, self.width as f64, 2.0, columns);
        let days = axes::days(&ticks);
        let mut floor = vec![(self.signs.floor, Ink::Faint); self.width];
        let mut labels = vec![' '; self.terminal.columns];
        let mut dates = labels.clone();
        let first = format!("{} UTC", axes::date(from, days));
        write(&mut dates, LEFT, &first);
        let mut free = LEFT + first.len() + 2;
        for tick in &ticks {
            let column =
                (((tick.at - from) as f64 / (to - from) as f64 * self.width as f64) as usize).min(self.width - 1);
            if let Some(cell) = floor.get_mut(column) {
                cell.0 = self.signs.tick;
            }
            let begin = |text: &str| (LEFT + column).saturating_sub(text.len() / 2);
            write(&mut labels, begin(&tick.label), &tick.label);
            if let Some(date) = &tick.date {
                let begin = begin(date).max(free);
                if begin + date.len() <= self.terminal.columns {
                    write(&mut dates, begin, date);
                    free = begin + date.len() + 2;
                }
            }
        }
        let mut line: Vec<(char, Ink)> = vec![(' ', Ink::Faint); LEFT - 1];
        line.push((self.signs.corner, Ink::Faint));
        line.extend(floor);
        self.put(&line);
        for text in [labels, dates] {
            self.put(&text.into_iter().map(|c| (c, Ink::Faint)).collect::<Vec<_>>());
        }
    }
}

/// Writes all of `text` there, or, if it does not fit, nothing.
fn write(line: &mut [char], at: usize, text: &str) {
    if let Some(room) = line.get_mut(at..at + text.len()) {
        for (cell, c) in room.iter_mut().zip(text.chars()) {
            *cell = c;
        }
    }
}
