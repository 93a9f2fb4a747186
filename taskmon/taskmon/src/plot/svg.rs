// SPDX-License-Identifier: GPL-2.0-only

//! A figure as SVG 1.1, for papers, pages and reviews: alone in its file, without script, font or anything else from
//! elsewhere.
//!
//! What is written is a handful of elements whose attributes are numbers and words of ours, so this has a writer of its own,
//! of a few functions, one of which escapes, instead of a crate that keeps a tree of them in memory.
//!
//! What is where, and why:
//! - Each task has a panel of its own for CPU usage, with one scale for all, instead of areas stacked upon each other: only so can
//!   be seen when each of them has gaps, exits and faults, and what its own shape is.
//! - A usage is the mean over the time between two samples, so it is drawn as steps. Memory is what it was at an instant: a line.
//! - A major page fault is a time that the task waited for I/O: each is marked, under the CPU usage that it costs. Minor ones are
//!   many, and tell of a phase (memory that is touched for the first time) rather than of an instant: their rate has a thin panel,
//!   of all tasks together.
//! - Where neighbouring samples have become one, the area is their mean, and a pale band with a line goes up to the highest; the line of the
//!   memory goes up and down to their extremes.
//! - Colours are of Okabe and Ito's palette, in an order in which neighbours differ in lightness, too; beside it there are dashes, and
//!   labels.

use std::fmt::Display;
use std::fmt::Write;

use super::axes;
use super::axes::Scale;
use super::figure::Figure;
use super::figure::Track;
use super::figure::gap;
use super::layout::Contents;
use super::layout::Frame;
use super::layout::Layout;
use super::text;
use crate::output::grouped;
use crate::output::many;
use crate::reduce::Span;

/// The colour of each place, and the dashes of its line.
const STYLES: [(Colour, &str); 8] = [
    (Colour(0x00, 0x72, 0xb2), "none"),
    (Colour(0xe6, 0x9f, 0x00), "8 3"),
    (Colour(0x00, 0x9e, 0x73), "2 2"),
    (Colour(0x56, 0xb4, 0xe9), "9 3 2 3"),
    (Colour(0xd5, 0x5e, 0x00), "4 3"),
    (Colour(0x22, 0x22, 0x22), "14 4"),
    (Colour(0xcc, 0x79, 0xa7), "10 3 2 3 2 3"),
    (Colour(0x77, 0x77, 0x77), "1 1.5"),
];
const MAJOR: Colour = Colour(0xd5, 0x5e, 0x00);
const INK: &str = "#222222";
const GREY: &str = "#5f5f5f";
const GRID: &str = "#e4e4e4";
const AXIS: &str = "#444444";
const FONTS: &str = "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif";

/// Sizes of letters.
const TITLE: f64 = 15.0;
const BODY: f64 = 11.0;
const SMALL: f64 = 10.0;

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Colour(u8, u8, u8);

impl Colour {
    /// With so much white in it.
    fn pale(self, white: f64) -> Self {
        let mix = |value: u8| (f64::from(value) + (255.0 - f64::from(value)) * white).round() as u8;
        Self(mix(self.0), mix(self.1), mix(self.2))
    }

    /// CPU usage in user mode; that in the kernel is the colour itself.
    fn user(self) -> Self {
        self.pale(0.58)
    }

    /// Up to the highest.
    fn band(self) -> Self {
        self.pale(0.82)
    }
}

impl Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Attributes: a name and a value, which is escaped.
type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

/// Writes elements.
#[derive(Default)]
struct Writer {
    out: String,
    open: Vec<&'static str>,
}

impl Writer {
    fn begin(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.tag(name, attributes, ">\n");
        self.open.push(name);
    }

    fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            let indent = self.open.len();
            let _ = writeln!(self.out, "{:indent$}</{name}>", "");
        }
    }

    fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.tag(name, attributes, "/>\n");
    }

    fn full(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.tag(name, attributes, ">");
        let _ = writeln!(self.out, "{}</{name}>", escaped(text));
    }

    /// An element with others on its line.
    fn parts(&mut self, name: &str, attributes: Attributes<'_>, parts: &[(&str, Attributes<'_>, &str)]) {
        self.tag(name, attributes, ">");
        for (part, attributes, text) in parts {
            self.attributes(part, attributes);
            let _ = write!(self.out, ">{}</{part}>", escaped(text));
        }
        let _ = writeln!(self.out, "</{name}>");
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>, end: &str) {
        let indent = self.open.len();
        let _ = write!(self.out, "{:indent$}", "");
        self.attributes(name, attributes);
        self.out.push_str(end);
    }

    fn attributes(&mut self, name: &str, attributes: Attributes<'_>) {
        let _ = write!(self.out, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.out, " {key}=\"{}\"", escaped(&value.to_string()));
        }
    }
}

/// The one place in which text becomes XML. (What XML cannot hold at all, `text::clean` has replaced.)
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate: tenths of a pixel are as exact as is seen, and short.
struct Px(f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round();
        let tenths = if tenths.is_finite() { tenths as i64 } else { 0 };
        let (sign, tenths) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
        match tenths % 10 {
            0 => write!(f, "{sign}{}", tenths / 10),
            part => write!(f, "{sign}{}.{part}", tenths / 10),
        }
    }
}

/// The data of a path.
#[derive(Default)]
struct Path {
    data: String,
    // As they were written.
    x: String,
    y: String,
}

impl Path {
    fn place(&mut self, x: f64, y: f64) {
        (self.x, self.y) = (Px(x).to_string(), Px(y).to_string());
    }

    fn to(&mut self, command: char, x: f64, y: f64) {
        let before = (std::mem::take(&mut self.x), std::mem::take(&mut self.y));
        self.place(x, y);
        let _ = match (command, self.x == before.0, self.y == before.1) {
            ('L', true, true) => Ok(()),
            ('L', true, false) => write!(self.data, "V{}", self.y),
            ('L', false, true) => write!(self.data, "H{}", self.x),
            _ => write!(self.data, "{command}{} {}", self.x, self.y),
        };
    }

    fn begin(&mut self, x: f64, y: f64) {
        self.to('M', x, y);
    }

    fn line(&mut self, x: f64, y: f64) {
        self.to('L', x, y);
    }

    fn close(&mut self) {
        self.data.push('Z');
    }
}

/// An entry of the legend.
struct Entry {
    symbol: Symbol,
    text: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    User,
    System,
    Highest,
    Lowest,
    Major,
    Missing,
    Exit,
}

/// How wide a symbol is, with what is to its right.
const SYMBOL: f64 = 20.0;
/// Between two entries.
const APART: f64 = 18.0;

/// What of the figure needs an explanation.
fn legend(figure: &Figure) -> Vec<Entry> {
    let any = |is: fn(&Track) -> bool| figure.tracks.iter().any(is);
    let entries = [
        (Symbol::User, "user", true),
        (Symbol::System, "system", true),
        (Symbol::Highest, "highest", any(Track::reduced)),
        (Symbol::Lowest, "lowest sample", any(Track::reduced)),
        (Symbol::Major, "major page fault", any(|track| track.whole.majflt > 0)),
        (Symbol::Missing, "samples missing", any(|track| track.pid.is_some() && track.whole.lost > 0)),
        (Symbol::Exit, "exit", any(|track| track.exited.is_some())),
    ];
    entries.into_iter().filter(|(_, _, there)| *there).map(|(symbol, text, _)| Entry { symbol, text }).collect()
}

/// The entries, line by line, each with its place.
fn flow(entries: Vec<Entry>, left: f64, right: f64) -> Vec<Vec<(f64, Entry)>> {
    let mut lines: Vec<Vec<(f64, Entry)>> = vec![Vec::new()];
    let mut x = left;
    for entry in entries {
        let width = SYMBOL + text::width(entry.text, BODY, false);
        if x + width > right && x > left {
            lines.push(Vec::new());
            x = left;
        }
        if let Some(line) = lines.last_mut() {
            line.push((x, entry));
        }
        x += width + APART;
    }
    lines
}

/// The figure as SVG; if `height` is not enough for it, what would be.
pub fn draw(figure: &Figure, width: u32, height: Option<u32>) -> Result<String, u32> {
    let faults = figure.total.iter().any(|span| span.minflt > 0);
    let lines = flow(legend(figure), 12.0, f64::from(width) - 12.0);
    let others = figure.tracks.len() > 1 && figure.tracks.iter().any(|track| track.pid.is_none());
    let layout =
        Layout::new(width, height, Contents { tasks: figure.tracks.len(), others, faults, legend: lines.len() })?;
    let mut drawing = Drawing { figure, layout: &layout, svg: Writer::default(), single: figure.tracks.len() == 1 };
    drawing.all(&lines);
    Ok(drawing.svg.out)
}

struct Drawing<'a> {
    figure: &'a Figure,
    layout: &'a Layout,
    svg: Writer,
    single: bool,
}

/// How a text stands to its place.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing<'_> {
    fn all(&mut self, lines: &[Vec<(f64, Entry)>]) {
        let Self { figure, layout, .. } = *self;
        self.svg.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let view = format!("0 0 {} {}", Px(layout.width), Px(layout.height));
        self.svg.begin(
            "svg",
            &[
                ("xmlns", &"http://www.w3.org/2000/svg"),
                ("version", &"1.1"),
                ("width", &Px(layout.width)),
                ("height", &Px(layout.height)),
                ("viewBox", &view),
                ("font-family", &FONTS),
                ("font-size", &BODY),
            ],
        );
        self.svg.full("title", &[], &figure.title);
        self.svg.full("desc", &[], &description(figure));
        self.hatch();
        self.svg.empty("rect", &[("width", &Px(layout.width)), ("height", &Px(layout.height)), ("fill", &"#ffffff")]);
        let room = layout.width - 2.0 * layout.margin;
        let title = text::fit(&figure.title, room, |text| text::width(text, TITLE, true), "…");
        self.text((layout.margin, layout.title), &title, TITLE, INK, Anchor::Start, true);
        let facts = text::fit(&figure.facts.join(" · "), room, |text| text::width(text, BODY, false), "…");
        self.text((layout.margin, layout.facts), &facts, BODY, GREY, Anchor::Start, false);
        for (line, &y) in lines.iter().zip(&layout.legend) {
            for (x, entry) in line {
                self.symbol(entry.symbol, *x, y);
                self.text((x + SYMBOL, y), entry.text, BODY, INK, Anchor::Start, false);
            }
        }
        self.cpu();
        self.memory();
        self.faults();
        self.time();
        self.svg.end();
    }

    fn hatch(&mut self) {
        self.svg.begin("defs", &[]);
        self.svg.begin(
            "pattern",
            &[
                ("id", &"missing"),
                ("width", &6),
                ("height", &6),
                ("patternUnits", &"userSpaceOnUse"),
                ("patternTransform", &"rotate(45)"),
            ],
        );
        self.svg.empty("rect", &[("width", &6), ("height", &6), ("fill", &"#ffffff")]);
        self.svg.empty("rect", &[("width", &1.1), ("height", &6), ("fill", &"#b0b0b0")]);
        self.svg.end();
        self.svg.end();
    }

    fn text(&mut self, place: (f64, f64), text: &str, size: f64, colour: &str, anchor: Anchor, bold: bool) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (Px(place.0), Px(place.1));
        let mut attributes: Vec<(&str, &dyn Display)> = vec![("x", &x), ("y", &y), ("fill", &colour)];
        if size != BODY {
            attributes.push(("font-size", &size));
        }
        if anchor != "start" {
            attributes.push(("text-anchor", &anchor));
        }
        if bold {
            attributes.push(("font-weight", &"bold"));
        }
        self.svg.full("text", &attributes, text);
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &dyn Display, width: f64) {
        let (x1, y1, x2, y2) = (Px(from.0), Px(from.1), Px(to.0), Px(to.1));
        self.svg.empty(
            "line",
            &[("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2), ("stroke", colour), ("stroke-width", &width)],
        );
    }

    fn fill(&mut self, path: &Path, colour: &dyn Display) {
        if !path.data.is_empty() {
            self.svg.empty("path", &[("d", &path.data), ("fill", colour)]);
        }
    }

    fn stroke(&mut self, path: &Path, colour: &dyn Display, width: f64, dashes: &str) {
        if path.data.is_empty() {
            return;
        }
        let mut attributes: Vec<(&str, &dyn Display)> = vec![
            ("d", &path.data),
            ("fill", &"none"),
            ("stroke", colour),
            ("stroke-width", &width),
            ("stroke-linejoin", &"round"),
        ];
        if dashes != "none" {
            attributes.push(("stroke-dasharray", &dashes));
        }
        self.svg.empty("path", &attributes);
    }

    /// Neutral where each task has a colour of its own.
    fn neutral(&self) -> Colour {
        if self.single { style(0).0 } else { Colour(0x55, 0x55, 0x55) }
    }

    fn symbol(&mut self, symbol: Symbol, x: f64, y: f64) {
        let colour = self.neutral();
        let (top, bottom) = (y - 8.5, y + 0.5);
        let box_of = |path: &mut Path, top: f64| {
            path.begin(x, bottom);
            path.line(x, top);
            path.line(x + 14.0, top);
            path.line(x + 14.0, bottom);
            path.close();
        };
        let mut path = Path::default();
        match symbol {
            Symbol::User => {
                box_of(&mut path, top);
                self.fill(&path, &colour.user());
            }
            Symbol::System => {
                box_of(&mut path, top);
                self.fill(&path, &colour);
            }
            Symbol::Highest => {
                box_of(&mut path, top);
                self.fill(&path, &colour.band());
                self.line((x, top), (x + 14.0, top), &colour, 1.0);
            }
            Symbol::Lowest => {
                box_of(&mut path, top);
                self.fill(&path, &colour.user());
                let mut path = Path::default();
                path.begin(x, y - 4.0);
                path.line(x + 14.0, y - 4.0);
                self.stroke(&path, &"#ffffff", 1.2, LOWEST);
            }
            Symbol::Missing => {
                box_of(&mut path, top);
                self.fill(&path, &"url(#missing)");
                self.stroke(&path, &"#999999", 0.7, "none");
            }
            Symbol::Major => self.major(x + 7.0, y - 8.0),
            Symbol::Exit => self.cross(x + 7.0, y - 4.0),
        }
    }

    fn major(&mut self, x: f64, y: f64) {
        let mut path = Path::default();
        triangle(&mut path, x, y);
        self.fill(&path, &MAJOR);
    }

    fn cross(&mut self, x: f64, y: f64) {
        let mut path = Path::default();
        path.begin(x - 3.5, y - 3.5);
        path.line(x + 3.5, y + 3.5);
        path.begin(x - 3.5, y + 3.5);
        path.line(x + 3.5, y - 3.5);
        self.stroke(&path, &INK, 1.6, "none");
    }

    /// Where `time` is.
    fn x(&self, time: u64) -> f64 {
        let Figure { since, until, .. } = *self.figure;
        let frame = self.layout.memory;
        let part = time.saturating_sub(since) as f64 / (until - since) as f64;
        frame.x + part.min(1.0) * frame.width
    }

    /// Title of a panel, and its unit.
    fn heading(&mut self, number: usize, title: &str, unit: &str) {
        let y = self.layout.headings.get(number).copied().unwrap_or_default();
        let x = self.layout.margin;
        let (bold, plain): (Attributes<'_>, Attributes<'_>) =
            (&[("font-weight", &"bold"), ("fill", &INK)], &[("dx", &8), ("fill", &GREY)]);
        self.svg.parts("text", &[("x", &Px(x)), ("y", &Px(y))], &[("tspan", bold, title), ("tspan", plain, unit)]);
    }

    fn grid(&mut self, frame: &Frame, scale: &Scale) {
        for value in scale.ticks() {
            let y = frame.at(value, scale.top);
            let (colour, width) = if value == 0.0 { (AXIS, 1.0) } else { (GRID, 1.0) };
            if value > 0.0 {
                self.line((frame.x, y), (frame.right(), y), &colour, width);
            }
            self.text((frame.x - 6.0, y + 3.5), &scale.label(value), SMALL, GREY, Anchor::End, false);
        }
    }

    fn baseline(&mut self, frame: &Frame) {
        self.line((frame.x, frame.bottom()), (frame.right(), frame.bottom()), &AXIS, 1.0);
    }

    /// Light lines at the ticks of time.
    fn times(&mut self, frame: &Frame) {
        for tick in self.ticks() {
            let x = self.x_of(tick.at);
            self.line((x, frame.y), (x, frame.bottom()), &GRID, 1.0);
        }
    }

    fn ends(&self) -> (i128, i128) {
        let Figure { clock, since, until, .. } = self.figure;
        let at = |time: &u64| clock.timestamp(*time).as_nanosecond();
        (at(since), at(until).max(at(since) + 1))
    }

    fn x_of(&self, at: i128) -> f64 {
        let (since, until) = self.ends();
        let frame = self.layout.memory;
        frame.x + (at - since) as f64 / (until - since) as f64 * frame.width
    }

    fn ticks(&self) -> Vec<axes::Tick> {
        let (since, until) = self.ends();
        axes::times(since, until, self.layout.memory.width, 14.0, |label| text::width(label, SMALL, false))
    }

    fn cpu(&mut self) {
        let Self { figure, layout, .. } = *self;
        let highest =
            figure.tracks.iter().filter(|track| track.pid.is_some()).filter_map(Track::peak).fold(0.0, f64::max);
        if !self.single {
            self.columns(0, &[(0.0, "PID"), (MEAN, "mean"), (1.0, "peak")]);
        }
        self.heading(
            0,
            "CPU usage",
            if self.single { "percent of one processor" } else { "of each task, percent of one processor" },
        );
        for (i, (track, frame)) in figure.tracks.iter().zip(&layout.cpu).enumerate() {
            // What many do together would flatten all else: it has a scale of its own.
            let highest = if track.pid.is_some() { highest } else { track.peak().unwrap_or(0.0) };
            let scale = Scale::percent(
                highest,
                if frame.height >= 100.0 {
                    4
                } else if frame.height >= 36.0 {
                    2
                } else {
                    1
                },
            );
            self.svg.begin("g", &[]);
            self.times(frame);
            self.grid(frame, &scale);
            self.usage(track, frame, &scale, style(i).0);
            self.gaps(track, frame, true);
            self.baseline(frame);
            self.marks(track, frame);
            self.label(i, track, frame);
            self.svg.end();
        }
    }

    fn usage(&mut self, track: &Track, frame: &Frame, scale: &Scale, colour: Colour) {
        let (mut user, mut all, mut top) = (Path::default(), Path::default(), Path::default());
        let (mut outline, mut highest, mut lowest) = (Path::default(), Path::default(), Path::default());
        let mut any = false;
        for run in track.spans.split(|span| known(span).is_none()) {
            let mut begin = 0;
            for end in 1..=run.len() {
                let apart =
                    run.get(end).zip(run.get(end - 1)).is_none_or(|(after, before)| gap(before, after).is_some());
                if !apart {
                    continue;
                }
                let steps = run.get(begin..end).unwrap_or_default();
                begin = end;
                any = true;
                let level = |value: f64| frame.at(value, scale.top);
                let x = |time| self.x(time);
                let of = |pick: fn(&(f64, f64, f64, f64)) -> f64| {
                    steps
                        .iter()
                        .filter_map(|span| Some((x(span.since), x(span.until), level(pick(&known(span)?)))))
                        .collect::<Vec<_>>()
                };
                area(&mut user, &of(|usage| usage.0), frame.bottom());
                area(&mut all, &of(|usage| usage.1), frame.bottom());
                stairs(&mut outline, &of(|usage| usage.1));
                if steps.iter().any(|span| span.samples > 1) {
                    area(&mut top, &of(|usage| usage.2), frame.bottom());
                    stairs(&mut highest, &of(|usage| usage.2));
                    stairs(&mut lowest, &of(|usage| usage.3));
                }
            }
        }
        self.fill(&top, &colour.band());
        self.fill(&all, &colour);
        self.fill(&user, &colour.user());
        self.stroke(&lowest, &"#ffffff", 1.2, LOWEST);
        self.stroke(&highest, &colour, 0.8, "none");
        self.stroke(&outline, &colour, 0.8, "none");
        // (Gaps speak for themselves, in the same place.)
        let gaps = track.spans.windows(2).any(|two| matches!(two, [before, after] if gap(before, after).is_some()));
        if !any && !gaps {
            let why = if track.spans.len() < 2 { "usage unknown, there is only one sample" } else { "usage unknown" };
            self.said(frame, f64::midpoint(frame.x, frame.right()), why);
        }
    }

    /// A remark in a panel, on white.
    fn said(&mut self, frame: &Frame, middle: f64, what: &str) {
        let width = text::width(what, SMALL, false) + 8.0;
        let y = frame.y + frame.height / 2.0;
        self.svg.empty(
            "rect",
            &[
                ("x", &Px(middle - width / 2.0)),
                ("y", &Px(y - 7.5)),
                ("width", &Px(width)),
                ("height", &Px(15.0)),
                ("fill", &"#ffffff"),
            ],
        );
        self.text((middle, y + 3.5), what, SMALL, GREY, Anchor::Middle, false);
    }

    /// Where samples are missing: hatched where that can be seen, else a short line at the upper edge.
    /// (How many is said once.)
    fn gaps(&mut self, track: &Track, frame: &Frame, said: bool) {
        if track.pid.is_none() {
            return;
        }
        let (mut short, mut wide, mut edges) = (Path::default(), Path::default(), Path::default());
        let mut remarks = Vec::new();
        let neighbours = track.spans.windows(2).filter_map(|two| match two {
            [before, after] => Some((gap(before, after), after)),
            _ => None,
        });
        for (gap, after) in neighbours {
            let ends = gap.map(|gap| (self.x(gap.since), self.x(gap.until)));
            match gap.zip(ends) {
                Some((gap, (from, until))) if until - from >= 2.5 => {
                    area(&mut wide, &[(from, until, frame.y)], frame.bottom());
                    for x in [from, until] {
                        edges.begin(x, frame.y);
                        edges.line(x, frame.bottom());
                    }
                    remarks.push((gap, from, until));
                }
                _ if after.lost > 0 => {
                    let x = self.x(after.since.midpoint(after.until));
                    short.begin(x, frame.y - 4.0);
                    short.line(x, frame.y);
                }
                _ => {}
            }
        }
        self.fill(&wide, &"url(#missing)");
        self.stroke(&edges, &"#999999", 0.8, "none");
        self.stroke(&short, &"#888888", 1.0, "none");
        for (gap, from, until) in remarks.into_iter().filter(|_| said && frame.height >= 20.0) {
            let what = match gap.lost {
                Some(0) => vec!["not monitored, or suspended".to_owned(), "not monitored".to_owned()],
                Some(lost) => vec![format!("{} missing", many(lost, "sample")), grouped(lost)],
                None => vec!["samples missing".to_owned(), "missing".to_owned()],
            };
            let fits = |what: &&String| text::width(what, SMALL, false) + 16.0 <= until - from;
            if let Some(what) = what.iter().find(fits) {
                self.said(frame, f64::midpoint(from, until), what);
            }
        }
    }

    /// Major page faults, and the exit.
    fn marks(&mut self, track: &Track, frame: &Frame) {
        let mut path = Path::default();
        let mut last = f64::NEG_INFINITY;
        for span in track.spans.iter().filter(|span| span.majflt > 0) {
            let x = self.x(span.since.midpoint(span.until));
            // Those that lie on each other anyway are one.
            if x - last >= 1.0 {
                triangle(&mut path, x, frame.bottom() + 1.5);
                last = x;
            }
        }
        self.fill(&path, &MAJOR);
        if let Some(time) = track.exited {
            let x = self.x(time);
            self.line((x, frame.y), (x, frame.bottom()), &INK, 1.0);
            self.cross(x, frame.y);
        }
    }

    /// Beside a panel of CPU usage.
    fn label(&mut self, place: usize, track: &Track, frame: &Frame) {
        let (x, room) = (self.layout.labels, self.layout.room);
        // (Of many, the sum is known as a mean only.)
        let peak = track.peak().filter(|_| track.pid.is_some());
        if self.single {
            let usage = [("peak", peak), ("mean", track.mean())];
            let usage =
                usage.into_iter().filter_map(|(what, usage)| Some(format!("{what} {}", text::percent(usage?))));
            let times = [("user", track.whole.usr), ("system", track.whole.sys)].into_iter();
            let times = times.map(|(what, ns)| format!("{what} {}", text::duration(ns)));
            let lines = usage.chain(times.filter(|_| track.whole.elapsed > 0));
            for (i, line) in lines.enumerate() {
                let line = text::fit(&line, room, |text| text::width(text, BODY, false), "…");
                self.text((x, frame.y + 9.0 + 15.0 * i as f64), &line, BODY, GREY, Anchor::Start, false);
            }
            return;
        }
        let y = frame.y + frame.height / 2.0 - 3.0;
        self.swatch(place, x, y - 4.0);
        let name = text::fit(&track.name, room - DASH, |text| text::width(text, BODY, true), "…");
        self.text((x + DASH, y), &name, BODY, INK, Anchor::Start, true);
        let pid = track.pid.map_or_else(|| "own scale".to_owned(), |pid| pid.to_string());
        self.text((x, y + 14.0), &pid, SMALL, GREY, Anchor::Start, false);
        for (part, usage) in [(MEAN, track.mean()), (1.0, peak)] {
            if let Some(usage) = usage {
                self.text((x + part * room, y + 14.0), &text::percent(usage), SMALL, GREY, Anchor::End, false);
            }
        }
    }

    /// What stands in the labels of a panel: each to the left of its place, the first to the right.
    fn columns(&mut self, number: usize, columns: &[(f64, &str)]) {
        let y = self.layout.headings.get(number).copied().unwrap_or_default();
        for &(part, text) in columns {
            let anchor = if part > 0.0 { Anchor::End } else { Anchor::Start };
            self.text((self.layout.labels + part * self.layout.room, y), text, SMALL, GREY, anchor, false);
        }
    }

    /// The line of a task, for its label.
    fn swatch(&mut self, place: usize, x: f64, y: f64) {
        let (colour, dashes) = style(place);
        let mut path = Path::default();
        path.begin(x, y);
        path.line(x + DASH - 6.0, y);
        self.stroke(&path, &colour, 2.2, dashes);
    }

    fn memory(&mut self) {
        let Self { figure, layout, .. } = *self;
        let frame = &layout.memory;
        // What many have together would flatten all else: it has a panel of its own.
        let mut tracks: Vec<(usize, &Track)> = figure.tracks.iter().enumerate().collect();
        let others = layout.others.and_then(|frame| Some((frame, tracks.pop()?)));
        tracks.sort_by_key(|(_, track)| std::cmp::Reverse(track.whole.rss.1));
        let highest = tracks.first().map_or(0, |(_, track)| track.whole.rss.1);
        let (unit, bytes) = axes::unit(highest);
        let scale = Scale::new(highest as f64 / bytes, if frame.height >= 80.0 { 4 } else { 2 });
        self.heading(1, "Memory", &format!("resident, {unit}"));
        self.svg.begin("g", &[]);
        self.times(frame);
        self.grid(frame, &scale);
        // The first is the uppermost.
        for (i, track) in tracks.iter().rev() {
            self.resident(*i, track, frame, bytes, &scale, self.single);
        }
        if let [track] = figure.tracks.as_slice() {
            self.gaps(track, frame, false);
            self.text(
                (layout.labels, frame.y + 9.0),
                &format!("peak {}", track.memory()),
                BODY,
                GREY,
                Anchor::Start,
                false,
            );
            if let Some(last) = track.spans.last().filter(|_| track.exited.is_none() && track.spans.len() > 1) {
                let last = format!("last {}", text::memory(last.last_rss));
                self.text((layout.labels, frame.y + 24.0), &last, BODY, GREY, Anchor::Start, false);
            }
        } else {
            self.columns(1, &[(1.0, "peak")]);
            for (line, (i, track)) in tracks.iter().enumerate() {
                self.amount(*i, track, frame.y + 9.0 + 14.0 * line as f64);
            }
        }
        self.baseline(frame);
        self.svg.end();
        if let Some((frame, (i, track))) = others {
            let (_, bytes) = axes::unit(highest.max(1));
            let scale = Scale::new(track.whole.rss.1 as f64 / bytes, 1);
            self.svg.begin("g", &[]);
            self.times(&frame);
            self.grid(&frame, &scale);
            self.resident(i, track, &frame, bytes, &scale, true);
            self.baseline(&frame);
            self.amount(i, track, frame.y + frame.height / 2.0 - 3.0);
            self.text(
                (layout.labels, frame.y + frame.height / 2.0 + 11.0),
                "own scale",
                SMALL,
                GREY,
                Anchor::Start,
                false,
            );
            self.svg.end();
        }
    }

    /// Beside a panel of memory.
    fn amount(&mut self, place: usize, track: &Track, y: f64) {
        let (x, room) = (self.layout.labels, self.layout.room);
        let peak = track.memory();
        self.swatch(place, x, y - 4.0);
        let width = |text: &str| text::width(text, SMALL, false);
        let name = text::fit(&track.name, room - DASH - 6.0 - width(&peak), width, "…");
        self.text((x + DASH, y), &name, SMALL, INK, Anchor::Start, false);
        self.text((x + room, y), &peak, SMALL, GREY, Anchor::End, false);
    }

    fn resident(&mut self, place: usize, track: &Track, frame: &Frame, unit: f64, scale: &Scale, filled: bool) {
        let (colour, dashes) = style(place);
        let level = |rss: u64| frame.at(rss as f64 / unit, scale.top);
        let (mut line, mut below) = (Path::default(), Path::default());
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut dots = Vec::new();
        let mut spans = track.spans.iter().peekable();
        while let Some(span) = spans.next() {
            let (low, high) = (level(span.rss.0), level(span.rss.1));
            if span.samples > 1 && low != high {
                // Up and down, the nearer one first.
                let x = self.x(span.since.midpoint(span.until));
                let near = points.last().map_or(high, |point| point.1);
                let (first, second) =
                    if (near - low).abs() < (near - high).abs() { (low, high) } else { (high, low) };
                points.extend([(x, first), (x, second)]);
            } else {
                // What is joined, or summed, was so all the time.
                if points.is_empty() && span.since < span.until {
                    points.push((self.x(span.since), high));
                }
                points.push((self.x(span.until), high));
            }
            if spans.peek().is_none_or(|next| gap(span, next).is_some()) {
                if let [(x, y)] = points.as_slice() {
                    dots.push((*x, *y));
                }
                polyline(&mut line, &points);
                if let (Some(first), Some(last)) = (points.first(), points.last()) {
                    let corners = [(first.0, frame.bottom())].into_iter().chain(points.iter().copied());
                    polyline(&mut below, &corners.chain([(last.0, frame.bottom())]).collect::<Vec<_>>());
                    below.close();
                }
                points.clear();
            }
        }
        if filled {
            self.fill(&below, &colour.band());
        }
        self.stroke(&line, &colour, 1.5, dashes);
        for (x, y) in dots {
            self.svg.empty("circle", &[("cx", &Px(x)), ("cy", &Px(y)), ("r", &2), ("fill", &colour)]);
        }
        if let Some((time, last)) = track.exited.zip(track.spans.last()) {
            self.cross(self.x(time), level(last.last_rss));
        }
    }

    fn faults(&mut self) {
        let Self { figure, layout, .. } = *self;
        let Some(frame) = layout.faults else { return };
        let rate = |span: &Span| span.minflt as f64 * 1e9 / span.elapsed as f64;
        let spans: Vec<&Span> = figure.total.iter().filter(|span| span.elapsed > 0).collect();
        let scale = Scale::new(spans.iter().map(|span| rate(span)).fold(0.0, f64::max), 2);
        self.heading(2, "Minor page faults", if self.single { "per second" } else { "of all tasks, per second" });
        self.svg.begin("g", &[]);
        self.times(&frame);
        self.grid(&frame, &scale);
        let mut path = Path::default();
        for run in spans.chunk_by(|before, after| before.until == after.since) {
            let steps: Vec<(f64, f64, f64)> = run
                .iter()
                .map(|span| (self.x(span.since), self.x(span.until), frame.at(rate(span), scale.top)))
                .collect();
            area(&mut path, &steps, frame.bottom());
        }
        self.fill(&path, &"#8a8a8a");
        if let [track] = figure.tracks.as_slice() {
            self.gaps(track, &frame, false);
        }
        self.baseline(&frame);
        self.svg.end();
    }

    fn time(&mut self) {
        let Self { figure, layout, .. } = *self;
        let plot = layout.memory;
        let ticks = self.ticks();
        let days = axes::days(&ticks);
        // The day on which it begins, and that all of it is UTC, is said once; then each day that begins.
        let first = format!("{} UTC", axes::date(figure.clock.timestamp(figure.since).as_nanosecond(), days));
        self.text((plot.x, layout.dates), &first, SMALL, GREY, Anchor::Start, false);
        let mut free = plot.x + text::width(&first, SMALL, false) + 10.0;
        for tick in ticks {
            let x = self.x_of(tick.at);
            self.line((x, layout.axis), (x, layout.axis + 4.0), &AXIS, 1.0);
            self.text((x, layout.ticks), &tick.label, SMALL, GREY, Anchor::Middle, false);
            if let Some(date) = tick.date {
                let half = text::width(&date, SMALL, false) / 2.0;
                let middle = x.max(free + half);
                if middle + half <= layout.width - 4.0 {
                    self.text((middle, layout.dates), &date, SMALL, GREY, Anchor::Middle, false);
                    free = middle + half + 10.0;
                }
            }
        }
    }
}

/// How wide the line of a label is, with what is to its right.
const DASH: f64 = 28.0;
/// Where the mean usage stands in a label.
const MEAN: f64 = 0.66;
/// The dashes of the line of the lowest usage, which is not to look like an edge of the areas.
const LOWEST: &str = "4 2";

fn style(place: usize) -> (Colour, &'static str) {
    STYLES.get(place).or(STYLES.last()).copied().unwrap_or((Colour(0, 0, 0), "none"))
}

/// The usage in user mode, all of it, and the highest and the lowest of a sample, where something is known.
fn known(span: &Span) -> Option<(f64, f64, f64, f64)> {
    let (lowest, highest) = span.cpu?;
    let (usr, sys) = span.mean()?;
    let all = usr + sys;
    Some((usr, all, f64::from(highest).max(all), f64::from(lowest).min(all)))
}

/// From left to right at a level each, down to `bottom`.
fn area(path: &mut Path, steps: &[(f64, f64, f64)], bottom: f64) {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
    path.begin(first.0, bottom);
    for &(from, until, y) in steps {
        path.line(from, y);
        path.line(until, y);
    }
    path.line(last.1, bottom);
    path.close();
}

/// The upper edge of that.
fn stairs(path: &mut Path, steps: &[(f64, f64, f64)]) {
    for (i, &(from, until, y)) in steps.iter().enumerate() {
        if i == 0 {
            path.begin(from, y);
        }
        path.line(from, y);
        path.line(until, y);
    }
}

fn polyline(path: &mut Path, points: &[(f64, f64)]) {
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.begin(x, y);
        } else {
            path.line(x, y);
        }
    }
}

/// With its tip at `y`.
fn triangle(path: &mut Path, x: f64, y: f64) {
    path.begin(x, y);
    path.line(x + 3.0, y + 6.0);
    path.line(x - 3.0, y + 6.0);
    path.close();
}

/// All that there is to see, for who cannot.
fn description(figure: &Figure) -> String {
    let time = |time| crate::times::rfc3339(figure.clock.timestamp(time));
    let mut said = format!(
        "CPU usage and resident memory from {} to {}: {}.",
        time(figure.since),
        time(figure.until),
        figure.facts.join(", ")
    );
    for track in &figure.tracks {
        let _ = write!(said, " {}:", track.full_name());
        if let Some((mean, peak)) = track.mean().zip(track.peak()) {
            let _ = write!(said, " CPU {} on average, {} at most,", text::percent(mean), text::percent(peak));
        }
        let at_most = if track.memory() == "unknown" { "" } else { " at most" };
        let _ = write!(said, " memory {}{at_most}", track.memory());
        if let Some(exit) = track.exited {
            let _ = write!(said, ", exited by {}", time(exit));
        }
        said.push('.');
    }
    said
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn coordinates() {
        let px = |value| Px(value).to_string();
        assert_eq!([px(1.0), px(1.25), px(-0.04), px(-1.26), px(0.05)], ["1", "1.3", "0", "-1.3", "0.1"]);
        assert_eq!([px(f64::NAN), px(f64::INFINITY)], ["0", "0"]);
        let mut path = Path::default();
        path.begin(1.0, 2.0);
        for (x, y) in [(1.0, 5.0), (1.02, 5.0), (4.0, 5.0), (4.5, 6.0)] {
            path.line(x, y);
        }
        assert_eq!(path.data, "M1 2V5H4L4.5 6");
    }

    #[test]
    fn neighbours_differ_in_lightness() {
        let grey = |Colour(r, g, b): Colour| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        for two in STYLES.windows(2) {
            let [(a, _), (b, _)] = two else { continue };
            assert!((grey(*a) - grey(*b)).abs() >= 30.0, "{a} {b}");
        }
        for (colour, _) in STYLES {
            assert!(grey(colour.user()) - grey(colour) >= 45.0, "{colour}");
            assert!(grey(colour.band()) - grey(colour.user()) >= 18.0, "{colour}");
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("<&\"'>"), "&lt;&amp;&quot;'&gt;");
    }
}
