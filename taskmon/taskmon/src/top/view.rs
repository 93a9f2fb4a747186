// SPDX-License-Identifier: GPL-2.0-only

//! Draws a model. Nothing here reads or writes anything.
//!
//! Nothing is said by colour alone: what has one differs in its sign, its place or its words, too.

use std::fmt::Write as _;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use taskmonitor::State;
use unicode_width::UnicodeWidthStr;

use super::chart::Bin;
use super::chart::bins;
use super::chart::marks;
use super::chart::round_up;
use super::chart::round_up_bytes;
use super::model::Mode;
use super::model::Model;
use super::model::Origin;
use super::model::Row;
use super::model::Values;
use crate::cli::Sort;
use crate::output::bytes;
use crate::output::grouped;
use crate::output::many;

/// Less is not enough for a table.
pub const LEAST: (u16, u16) = (40, 10);
/// How wide the marks of an axis are.
const MARKS: u16 = 9;
/// Between the pieces of the head.
const GAP: u16 = 3;
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub colour: bool,
}

impl Look {
    fn fg(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn user(self) -> Style {
        self.fg(Color::Cyan)
    }

    fn system(self) -> Style {
        self.fg(Color::Yellow)
    }

    fn memory(self) -> Style {
        self.fg(Color::Magenta)
    }

    fn quiet(self) -> Style {
        if self.colour { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn bar(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Cyan)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// A piece of a line.
type Piece = (String, Style);

fn put(buffer: &mut Buffer, x: u16, y: u16, text: &str, width: u16, style: Style) -> u16 {
    if buffer.area.contains(Position { x, y }) { buffer.set_stringn(x, y, text, width.into(), style).0 } else { x }
}

fn sign(buffer: &mut Buffer, x: u16, y: u16, symbol: &str, style: Style) {
    if let Some(cell) = buffer.cell_mut(Position { x, y }) {
        cell.set_symbol(symbol).set_style(style);
    }
}

fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

// --- the head ---

/// `1.5s`, `2m`, `1h30m`: in at most two units.
fn short(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = nanoseconds / 1_000_000_000;
    if seconds < 60 {
        let text = match nanoseconds {
            0..1_000_000 => return format!("{}us", nanoseconds / 1000),
            1_000_000..1_000_000_000 => return format!("{}ms", nanoseconds / 1_000_000),
            _ => format!("{:.1}", seconds as f64 + (nanoseconds % 1_000_000_000 / 100_000_000) as f64 / 10.0),
        };
        return format!("{}s", text.trim_end_matches(".0"));
    }
    let (mut left, mut text, mut parts) = (seconds, String::new(), 0);
    for (unit, name) in UNITS {
        if left >= unit || parts == 1 {
            if left / unit > 0 {
                let _ = write!(text, "{}{name}", left / unit);
            }
            left %= unit;
            parts += 1;
        }
        if parts == 2 {
            break;
        }
    }
    text
}

fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Cpu => "%CPU",
        Sort::Memory => "RSS",
        Sort::Faults => "FLT/S",
        Sort::Pid => "PID",
        Sort::Name => "NAME",
    }
}

/// Whether the largest is first.
fn falls(model: &Model) -> bool {
    model.forward != matches!(model.sort, Sort::Pid | Sort::Name)
}

fn arrow(model: &Model) -> &'static str {
    if falls(model) { "▼" } else { "▲" }
}

/// The state of the source, in one or two lines, and of what is shown, in one.
fn head_pieces(model: &Model, look: Look, columns: u16) -> (Vec<Piece>, Vec<Piece>) {
    let plain = Style::new();
    let mut source: Vec<Piece> = Vec::new();
    let period = model.period.map(|period| short(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)));
    match (&model.origin, period) {
        (Origin::Module, period) => {
            let every = period.map_or(String::new(), |period| format!(" every {period}"));
            source.push(if model.sampling {
                (format!("sampling{every}"), look.strong())
            } else {
                (
                    format!("STOPPED{}", every.replace("every ", "(")) + if every.is_empty() { "" } else { ")" },
                    look.warning(),
                )
            });
        }
        (Origin::File(name), Some(period)) => source.push((format!("{name}, every {period}"), look.strong())),
        (Origin::File(name), None) => source.push((name.clone(), look.strong())),
    }
    let (tasks, exited) = model.count();
    source.push((
        many(tasks as u64, "task")
            + &if exited > 0 { format!(", {} exited", grouped(exited as u64)) } else { String::new() },
        plain,
    ));
    let (samples, lost) = model.samples();
    source.push((many(samples, "sample"), plain));
    source.push((format!("{} lost", grouped(lost)), if lost > 0 { look.warning() } else { plain }));
    if let Some((done, all)) = model.reading {
        let share = done.min(all).saturating_mul(100) / all.max(1);
        let text = if all > 0 { format!("reading {share}%") } else { format!("reading {}", grouped(done)) };
        source.push((text, look.strong()));
    }

    let mut shown: Vec<Piece> = Vec::new();
    let (_, newest) = model.range();
    let moment = model.moment();
    let time = model.clock.timestamp(moment);
    let time =
        if columns < 60 { time.strftime("%H:%M:%SZ") } else { time.strftime("%Y-%m-%d %H:%M:%SZ") }.to_string();
    let (time, when) = match (model.at, &model.origin) {
        _ if newest == 0 => ("-".to_owned(), String::new()),
        (None, Origin::Module) => (time, "now".to_owned()),
        (None, Origin::File(_)) => (time, "end".to_owned()),
        (Some(at), Origin::Module) => (time, format!("FROZEN, {} ago", short(newest.saturating_sub(at)))),
        (Some(at), Origin::File(_)) => (time, format!("{} before end", short(newest.saturating_sub(at)))),
    };
    shown.push((time, look.strong()));
    if !when.is_empty() {
        shown.push((when, if model.at.is_some() { look.warning() } else { plain }));
    }
    shown.push((format!("by {}{}", sort_name(model.sort), arrow(model)), plain));
    let (cpu, rss) = model.totals();
    if columns >= 60 {
        shown.push((format!("CPU {}", cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.1}%"))), plain));
        shown.push((format!("RSS {}", bytes(rss)), plain));
    }
    if !model.filter.is_empty() {
        shown.push((format!("{} for \"{}\"", grouped(model.shown() as u64), model.filter), look.strong()));
    }
    (source, shown)
}

/// Pieces in at most so many lines of at most `columns`, with `gap` blanks between them.
fn wrap(pieces: Vec<Piece>, columns: u16, most: usize, gap: u16) -> Vec<Vec<Piece>> {
    let mut lines: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut used = 0;
    for (text, style) in pieces {
        let wide = width(&text);
        let gap = if used > 0 { gap } else { 0 };
        if used > 0 && used + gap + wide > columns {
            if lines.len() == most {
                break;
            }
            lines.push(Vec::new());
            used = 0;
        } else {
            used += gap;
        }
        used = used.saturating_add(wide);
        if let Some(line) = lines.last_mut() {
            line.push((text, style));
        }
    }
    lines
}

/// The lines of the head.
pub fn head(model: &Model, look: Look, columns: u16) -> Vec<Vec<Piece>> {
    let (source, shown) = head_pieces(model, look, columns);
    let mut lines = wrap(source, columns, 2, GAP);
    lines.extend(wrap(shown, columns, 1, GAP));
    lines
}

fn draw_pieces(buffer: &mut Buffer, area: Rect, y: u16, pieces: &[Piece], gap: u16) {
    let mut x = area.x;
    for (i, (text, style)) in pieces.iter().enumerate() {
        if i > 0 {
            x = x.saturating_add(gap);
        }
        x = put(buffer, x, y, text, area.right().saturating_sub(x), *style);
    }
}

// --- the table ---

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Pid,
    Name,
    State,
    Cpu,
    Usr,
    Sys,
    Rss,
    Faults,
    Lost,
    Past,
}

/// The columns for a table of this width, each with its own.
fn columns(model: &Model, wide: u16) -> Vec<(Column, u16)> {
    use Column::*;
    let mut columns = vec![(Pid, 7), (Name, 15), (State, 1), (Cpu, 6)];
    match wide {
        80.. => columns.extend([(Usr, 6), (Sys, 6), (Rss, 9), (Faults, 7), (Lost, 5)]),
        60..80 => columns.extend([(Rss, 9), (Faults, 7)]),
        // What it is sorted by is there.
        _ if model.sort == Sort::Faults => columns.push((Faults, 9)),
        _ => columns.push((Rss, 9)),
    }
    let used = |columns: &[(Column, u16)]| columns.iter().map(|(_, wide)| wide + 1).sum::<u16>() - 1;
    let most = wide.saturating_sub(used(&columns));
    if most >= 7 {
        columns.push((Past, most - 1));
    } else if let Some(over) = used(&columns).checked_sub(wide) {
        if let Some((_, name)) = columns.iter_mut().find(|(column, _)| *column == Name) {
            *name = name.saturating_sub(over);
        }
    }
    columns
}

/// Draws the names of the columns, and says by which one the table is sorted.
pub fn draw_header(buffer: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let style = look.bar();
    buffer.set_style(Rect { height: 1, ..area }, style);
    let mut x = area.x;
    for (column, wide) in columns(model, area.width) {
        let (text, sort) = match column {
            Column::Pid => ("PID", Some(Sort::Pid)),
            Column::Name => ("NAME", Some(Sort::Name)),
            Column::State => ("S", None),
            Column::Cpu => ("%CPU", Some(Sort::Cpu)),
            Column::Usr => ("%USR", None),
            Column::Sys => ("%SYS", None),
            Column::Rss => ("RSS", Some(Sort::Memory)),
            Column::Faults => ("FLT/S", Some(Sort::Faults)),
            Column::Lost => ("LOST", None),
            Column::Past => ("", None),
        };
        let sorted = sort == Some(model.sort);
        let mut text = if sorted { format!("{text}{}", arrow(model)) } else { text.to_owned() };
        if column == Column::Past {
            let window = short(model.window());
            text = format!("CPU peaks in {window}");
            for shorter in [format!("CPU in {window}"), window] {
                if width(&text) > wide {
                    text = shorter;
                }
            }
        }
        let left = matches!(column, Column::Name | Column::State | Column::Past);
        let from = if left { x } else { x + wide.saturating_sub(width(&text)) };
        let style = if sorted { style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { style };
        put(buffer, from, area.y, &text, wide, style);
        x = x.saturating_add(wide + 1);
    }
}

/// In at most six columns.
fn rate(value: Option<f64>, wide: u16) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) => {
            let text = format!("{value:.1}");
            if width(&text) <= wide { text } else { amount(value) }
        }
    }
}

/// `123`, `12.3k`, `456k`, `4.5M`, ...: in at most five columns.
fn amount(value: f64) -> String {
    let mut value = value;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 || value.is_nan() {
            let digits = if unit.is_empty() || value >= 99.95 { 0 } else { 1 };
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    "many".to_owned()
}

fn draw_row(buffer: &mut Buffer, area: Rect, model: &Model, row: &Row, look: Look, chosen: bool) {
    let Some(values) = row.values(model.at) else { return };
    let base = if chosen { look.chosen() } else { Style::new() };
    let faint = if values.state.exited() && !chosen { look.quiet() } else { base };
    if chosen {
        buffer.set_style(Rect { height: 1, ..area }, base);
    }
    let mut x = area.x;
    for (column, wide) in columns(model, area.width) {
        let busy = values.cpu.is_some_and(|cpu| cpu >= 90.0);
        let (text, style) = match column {
            Column::Pid => (row.id.pid.to_string(), faint),
            Column::Name => (row.name.clone(), if values.state.exited() { faint } else { base.patch(look.strong()) }),
            Column::State => (values.state.letter().to_string(), state_style(values.state, base, look, chosen)),
            Column::Cpu => (rate(values.cpu, wide), if busy { base.patch(look.strong()) } else { faint }),
            Column::Usr => (rate(values.usr, wide), faint),
            Column::Sys => (rate(values.sys, wide), faint),
            Column::Rss => (bytes(values.rss), faint),
            Column::Faults => (values.faults.map_or("-".to_owned(), amount), faint),
            Column::Lost => {
                (amount(values.lost as f64), if values.lost > 0 && !chosen { look.warning() } else { faint })
            }
            Column::Past => {
                // (Not reversed, which would turn high and low around.)
                let spark = Rect { x, y: area.y, width: wide, height: 1 };
                buffer.set_style(spark, Style::reset());
                draw_spark(buffer, spark, model, row, look.user());
                continue;
            }
        };
        let left = matches!(column, Column::Name | Column::State);
        let from = if left { x } else { x + wide.saturating_sub(width(&text)) };
        put(buffer, from, area.y, &text, wide, style);
        x = x.saturating_add(wide + 1);
    }
}

fn state_style(state: State, base: Style, look: Look, chosen: bool) -> Style {
    if chosen {
        return base;
    }
    match state.letter() {
        'R' => look.fg(Color::Green),
        'D' | 'Z' => look.warning(),
        _ => look.quiet(),
    }
}

/// The peaks of its CPU usage: a whole processor is as high as the line, but for what keeps it from the line above.
fn draw_spark(buffer: &mut Buffer, area: Rect, model: &Model, row: &Row, style: Style) {
    let (since, width) = model.bins(area.width.into());
    for (x, bin) in (area.x..area.right()).zip(bins(row.past.spans(), since, width, area.width.into())) {
        let symbol = match bin.peak {
            Some(peak) => EIGHTHS.get((peak * 0.07).ceil().clamp(1.0, 7.0) as usize).copied().unwrap_or(" "),
            None if bin.gap => "·",
            None => " ",
        };
        sign(buffer, x, area.y, symbol, style);
    }
}

// --- the charts ---

/// An axis from 0 to `end`, whose marks are `label`s.
struct Axis {
    end: f64,
    label: fn(f64) -> String,
}

fn percent(value: f64) -> String {
    format!("{}%", (value * 100.0).round() / 100.0)
}

fn memory(value: f64) -> String {
    bytes(value.round() as u64).replace(".0", "")
}

/// Draws axes, and gives the rectangle that is left for what they measure.
fn draw_axes(buffer: &mut Buffer, area: Rect, model: &Model, axis: &Axis, bins: &[Bin], look: Look) -> Rect {
    let plot = Rect {
        x: area.x + MARKS,
        y: area.y,
        width: area.width.saturating_sub(MARKS),
        height: area.height.saturating_sub(1),
    };
    let quiet = look.quiet();
    let edge = plot.x.saturating_sub(1);
    for y in plot.y..plot.bottom() {
        sign(buffer, edge, y, "│", quiet);
    }
    let mut marks = vec![(plot.y, axis.end), (plot.bottom(), 0.0)];
    if plot.height >= 6 && plot.height % 2 == 0 {
        marks.push((plot.y + plot.height / 2, axis.end / 2.0));
    }
    for (y, value) in marks {
        let text = (axis.label)(value);
        put(buffer, edge.saturating_sub(width(&text)), y, &text, MARKS, quiet);
        sign(buffer, edge, y, if y == plot.bottom() { "└" } else { "┤" }, quiet);
    }
    let y = plot.bottom();
    for (x, bin) in (plot.x..plot.right()).zip(bins) {
        let symbol = match (bin.exit, bin.gap) {
            (true, _) => "X",
            (_, true) => "·",
            _ => "─",
        };
        sign(buffer, x, y, symbol, quiet);
    }
    draw_times(buffer, plot, model, look);
    plot
}

/// Marks in the line below, at times of day that people count in.
fn draw_times(buffer: &mut Buffer, plot: Rect, model: &Model, look: Look) {
    let (since, width_of_one) = model.bins(plot.width.into());
    let (step, format) = marks(width_of_one);
    // By the time of day, not since boot.
    let first = model.clock.frozen(model.moment()).timestamp(0).as_nanosecond().saturating_add(since);
    let mut next = first.div_euclid(i128::from(step)) * i128::from(step);
    let mut free = plot.x;
    for _ in 0..plot.width {
        if let Ok(offset) = u64::try_from(next - first) {
            let column = offset / width_of_one;
            let Ok(column) = u16::try_from(column) else { break };
            let x = plot.x.saturating_add(column);
            let Ok(time) = Timestamp::from_nanosecond(next) else { break };
            let time = time.strftime(format).to_string();
            if x.saturating_add(width(&time)).saturating_add(1) > plot.right() {
                break;
            }
            if x >= free {
                sign(buffer, x, plot.bottom(), "┬", look.quiet());
                free = put(buffer, x + 1, plot.bottom(), &time, plot.width, Style::new()).saturating_add(1);
            }
        }
        next = next.saturating_add(step.into());
    }
}

/// How many eighths of `height` lines `value` takes.
fn eighths(value: f64, end: f64, height: u16) -> u32 {
    let all = f64::from(height) * 8.0;
    (value / end * all).ceil().clamp(0.0, all) as u32
}

/// The column of the moment that is shown, if it is not the last.
fn pointer(model: &Model, plot: Rect) -> Option<u16> {
    let (since, width) = model.bins(plot.width.into());
    let column = (i128::from(model.at?) - since) / i128::from(width);
    u16::try_from(column).ok().map(|column| plot.x.saturating_add(column)).filter(|&x| x < plot.right())
}

fn draw_pointer(buffer: &mut Buffer, plot: Rect, model: &Model) {
    let Some(x) = pointer(model, plot) else { return };
    for y in plot.y..plot.bottom() {
        if let Some(cell) = buffer.cell_mut(Position { x, y }) {
            if cell.symbol() == " " {
                cell.set_symbol("┊");
            } else {
                cell.set_style(Style::new().add_modifier(Modifier::REVERSED));
            }
        }
    }
    sign(buffer, x, plot.bottom(), "▲", Style::new().add_modifier(Modifier::BOLD));
}

/// User and system usage above each other, and the peaks.
fn draw_cpu(buffer: &mut Buffer, area: Rect, model: &Model, row: &Row, values: Option<&Values>, look: Look) {
    let plot_width = area.width.saturating_sub(MARKS);
    let (since, wide) = model.bins(plot_width.into());
    let bins = bins(row.past.spans(), since, wide, plot_width.into());
    let peak = bins.iter().filter_map(|bin| bin.peak).reduce(f64::max);
    let axis = Axis { end: round_up(peak.unwrap_or(0.0).max(10.0)), label: percent };
    let mut title: Vec<Piece> = vec![("CPU".to_owned(), look.strong())];
    if let Some(values) = values {
        title.push((values.cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.1}%")), look.strong()));
        let part =
            |value: Option<f64>, name: &str| value.map_or(name.to_owned(), |value| format!("{name} {value:.1}"));
        title.push((format!("█ {}", part(values.usr, "user")), look.user()));
        title.push((format!("▒ {}", part(values.sys, "system")), look.system()));
        title.push((format!("╹ {}", part(peak, "peak")), look.quiet()));
    }
    draw_title(buffer, area, &title);
    let plot = draw_axes(buffer, below_title(area), model, &axis, &bins, look);
    for (x, bin) in (plot.x..plot.right()).zip(&bins) {
        let Some((usr, sys)) = bin.cpu else {
            if bin.gap {
                sign(buffer, x, plot.bottom().saturating_sub(1), "·", look.quiet());
            }
            continue;
        };
        let user = eighths(usr, axis.end, plot.height);
        let both = eighths(usr + sys, axis.end, plot.height);
        for line in 0..u32::from(plot.height) {
            let (from, y) = (line * 8, plot.bottom().saturating_sub(1).saturating_sub(line as u16));
            let (in_user, in_both) = (user.saturating_sub(from).min(8), both.saturating_sub(from).min(8));
            match (in_user, in_both) {
                (8, _) => sign(buffer, x, y, "█", look.user()),
                (_, 0) => break,
                // What is more of the two is shown.
                (user, both) if user * 2 >= both => {
                    sign(buffer, x, y, EIGHTHS.get(both as usize).copied().unwrap_or(" "), look.user());
                }
                // (A shade has no height. Where that is all there is, how much it is counts more than what.)
                (_, part) if both < 8 => {
                    sign(buffer, x, y, EIGHTHS.get(part as usize).copied().unwrap_or(" "), look.system());
                }
                (_, part) => sign(buffer, x, y, if part > 4 { "▒" } else { "░" }, look.system()),
            }
        }
        if let Some(high) = bin.peak {
            let high = eighths(high, axis.end, plot.height);
            let line = high.saturating_sub(1) / 8;
            // Where it is not the usage itself.
            if high > 0 && line > both.saturating_sub(1) / 8 {
                sign(buffer, x, plot.bottom().saturating_sub(1).saturating_sub(line as u16), "╹", look.quiet());
            }
        }
    }
    draw_pointer(buffer, plot, model);
}

fn draw_memory(buffer: &mut Buffer, area: Rect, model: &Model, row: &Row, values: Option<&Values>, look: Look) {
    let plot_width = area.width.saturating_sub(MARKS);
    let (since, wide) = model.bins(plot_width.into());
    let bins = bins(row.past.spans(), since, wide, plot_width.into());
    let peak = bins.iter().filter_map(|bin| bin.rss).max().unwrap_or(0);
    let axis = Axis { end: round_up_bytes(peak) as f64, label: memory };
    let mut title = vec![("RSS".to_owned(), look.strong())];
    if let Some(values) = values {
        title.push((bytes(values.rss), look.strong()));
        title.push((format!("peak {}", bytes(peak)), look.quiet()));
    }
    draw_title(buffer, area, &title);
    let plot = draw_axes(buffer, below_title(area), model, &axis, &bins, look);
    for (x, bin) in (plot.x..plot.right()).zip(&bins) {
        let Some(rss) = bin.rss else { continue };
        let high = eighths(rss as f64, axis.end, plot.height);
        for line in 0..u32::from(plot.height) {
            let y = plot.bottom().saturating_sub(1).saturating_sub(line as u16);
            match high.saturating_sub(line * 8).min(8) {
                0 => break,
                part => sign(buffer, x, y, EIGHTHS.get(part as usize).copied().unwrap_or(" "), look.memory()),
            }
        }
    }
    draw_pointer(buffer, plot, model);
}

fn draw_title(buffer: &mut Buffer, area: Rect, pieces: &[Piece]) {
    if let Some(line) = wrap(pieces.to_vec(), area.width, 1, 2).first() {
        draw_pieces(buffer, area, area.y, line, 2);
    }
}

fn below_title(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// A line that says whose charts these are.
fn draw_rule(buffer: &mut Buffer, area: Rect, model: &Model, look: Look) {
    for x in area.x..area.right() {
        sign(buffer, x, area.y, "─", look.quiet());
    }
    let Some(row) = model.selected() else { return };
    let text = format!(" {} {} ", row.id.pid, row.name);
    let x = put(buffer, area.x + 2, area.y, &text, area.width.saturating_sub(4), look.strong());
    let window = format!(" {} ", short(model.window()));
    let from = area.right().saturating_sub(width(&window) + 2);
    if from > x {
        put(buffer, from, area.y, &window, area.width, Style::new());
    }
}

/// What is known of the selected task, in lines.
fn details(model: &Model, row: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    let values = row.values(model.at);
    let began = model.clock.timestamp(row.id.start).strftime("%Y-%m-%d %H:%M:%SZ");
    let state = values.map_or('-', |values| values.state.letter());
    let threads = row.counts.map_or(String::new(), |counts| format!("   {}", many(counts.threads.into(), "thread")));
    lines.push(format!("state {state}{threads}   started {began}"));
    lines.push(format!("CPU time {} user, {} system", short(row.used.0), short(row.used.1)));
    if let Some(counts) = row.counts {
        lines.push(format!(
            "{} samples taken: {} kept, {} evicted, {} reclaimed; {} missed",
            grouped(counts.taken),
            grouped(counts.samples),
            grouped(counts.evicted),
            grouped(counts.reclaimed),
            grouped(counts.missed)
        ));
    }
    lines
}

// --- all together ---

/// Draws `model` into a frame, whatever size that has.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model, look: Look) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!(
            "{}x{} is too small: taskmon top needs at least {}x{}",
            area.width, area.height, LEAST.0, LEAST.1
        );
        for (y, line) in (area.y..area.bottom()).zip(fold(&text, area.width)) {
            put(buffer, area.x, y, &line, area.width, Style::new());
        }
        return;
    }
    if let Mode::Help(line) = model.mode {
        let line = draw_help(buffer, area, line, look);
        model.mode = Mode::Help(line);
        return;
    }
    let mut y = area.y;
    for pieces in head(model, look, area.width) {
        draw_pieces(buffer, area, y, &pieces, GAP);
        y += 1;
    }
    let middle = Rect { y, height: area.height.saturating_sub(y - area.y + 1), ..area };
    // (Of all tasks, not of those that some filter leaves: what is looked at must not move while that is typed.)
    let rows = u16::try_from(model.count().0.max(3) + 1).unwrap_or(u16::MAX);
    let charts = if model.large {
        middle.height
    } else if area.height >= 16 {
        middle.height.saturating_sub(rows).clamp((area.height / 3).clamp(6, 16), (area.height / 2).min(24))
    } else {
        0
    };
    let charts = Rect { y: middle.bottom() - charts.min(middle.height), height: charts.min(middle.height), ..area };
    let table = Rect { height: middle.height - charts.height, ..middle };
    let both = charts.width >= 72 && !model.large;
    let one = if both { (charts.width - 2) / 2 } else { charts.width };
    model.room(table.height.saturating_sub(1).into(), one.saturating_sub(MARKS).into());
    if table.height > 0 {
        draw_table(buffer, table, model, look);
    }
    if charts.height > 0 {
        draw_charts(buffer, charts, model, look, both, one);
    }
    let last = area.bottom() - 1;
    if let Some(cursor) = draw_foot(buffer, Rect { y: last, height: 1, ..area }, model, look) {
        frame.set_cursor_position(Position { x: cursor.min(area.right().saturating_sub(1)), y: last });
    }
}

fn draw_table(buffer: &mut Buffer, area: Rect, model: &Model, look: Look) {
    draw_header(buffer, area, model, look);
    for (y, (row, chosen)) in (area.y + 1..area.bottom()).zip(model.rows()) {
        draw_row(buffer, Rect { y, height: 1, ..area }, model, row, look, chosen);
    }
    if model.shown() == 0 && area.height > 2 {
        let text = empty(model, "press a to add");
        put(buffer, area.x + 2, area.y + 2, &text, area.width.saturating_sub(2), Style::new());
    }
}

/// Why the table is empty; `add` fixes it if nothing is monitored.
fn empty(model: &Model, add: &str) -> String {
    match (&model.origin, model.count().0) {
        _ if !model.filter.is_empty() => "no task matches: Esc shows all",
        (Origin::Module, 0) if model.chosen => "no monitored task matches the selector",
        (Origin::Module, 0) => return format!("no task is monitored: {add}"),
        (Origin::File(_), 0) if model.reading.is_none() => "the recording has no samples",
        (_, 0) => "reading ...",
        _ => "no task was recorded yet at this time",
    }
    .to_owned()
}

fn draw_charts(buffer: &mut Buffer, area: Rect, model: &Model, look: Look, both: bool, one: u16) {
    draw_rule(buffer, area, model, look);
    let area = below_title(area);
    let Some(row) = model.selected() else { return };
    let values = row.values(model.at);
    let values = values.as_ref();
    if both {
        draw_cpu(buffer, Rect { width: one, ..area }, model, row, values, look);
        let x = area.x + one + 2;
        draw_memory(buffer, Rect { x, width: area.right().saturating_sub(x), ..area }, model, row, values, look);
        return;
    }
    if !model.large {
        draw_cpu(buffer, area, model, row, values, look);
        return;
    }
    let mut lines = details(model, row);
    lines.truncate(usize::from(area.height).saturating_sub(5).min(3));
    let height = area.height - lines.len() as u16;
    // Two charts, where each has four lines at least.
    let upper = if height >= 12 { height - height * 2 / 5 } else { height };
    draw_cpu(buffer, Rect { height: upper, ..area }, model, row, values, look);
    if upper < height {
        draw_memory(buffer, Rect { y: area.y + upper, height: height - upper, ..area }, model, row, values, look);
    }
    for (y, line) in (area.y + height..).zip(lines) {
        put(buffer, area.x, y, &line, area.width, Style::new());
    }
}

/// The last line; says where the cursor is, if something is typed.
fn draw_foot(buffer: &mut Buffer, area: Rect, model: &Model, look: Look) -> Option<u16> {
    let prompt = |buffer: &mut Buffer, text: String| {
        let hidden = usize::from(width(&text).saturating_sub(area.width.saturating_sub(1)));
        let text: String = text.chars().skip(hidden).collect();
        Some(put(buffer, area.x, area.y, &text, area.width, look.strong()))
    };
    match &model.mode {
        Mode::Filter(_) => return prompt(buffer, format!("filter by name or PID: {}", model.filter)),
        Mode::Add(text) => return prompt(buffer, format!("add PID or name: {text}")),
        Mode::Remove(id) => {
            let name = model.find(id).map_or("", |row| row.name.as_str());
            let text = format!("remove {} {name}? y/n", id.pid);
            return prompt(buffer, text);
        }
        Mode::Table | Mode::Help(_) => {}
    }
    if let Some((text, failed)) = &model.message {
        let style = if *failed { look.warning() } else { look.strong() };
        put(buffer, area.x, area.y, text, area.width, style);
        return None;
    }
    let place = {
        let (top, page) = model.page();
        let last = (top + page).min(model.shown());
        if model.large || last == 0 {
            String::new()
        } else {
            format!("{}-{last}/{}", (top + 1).min(last), model.shown())
        }
    };
    let hints = [
        ("?", "help"),
        ("q", "quit"),
        ("c m f", "sort"),
        ("/", "filter"),
        ("←→", "time"),
        ("space", if model.at.is_some() { "resume" } else { "freeze" }),
        ("enter", if model.large { "table" } else { "details" }),
        ("a d", "add, remove"),
        ("+-", "zoom"),
    ];
    let (mut x, end) = (area.x, area.right().saturating_sub(width(&place) + 2));
    for (key, text) in hints {
        if key == "a d" && model.origin != Origin::Module {
            continue;
        }
        if x + width(key) + width(text) + 3 > end {
            break;
        }
        x = put(buffer, x, area.y, key, area.width, look.strong());
        x = put(buffer, x + 1, area.y, text, area.width, look.quiet()) + 2;
    }
    put(buffer, area.right().saturating_sub(width(&place)), area.y, &place, area.width, Style::new());
    None
}

/// Keys, and signs, and what they mean.
const HELP: &[(&str, &str)] = &[
    ("c m f p n", "sort by CPU, memory, faults, PID, name; again, or r: reverse"),
    ("up down", "select a task (also k, j; PgUp and PgDn: by a page)"),
    ("g G", "g keeps the first row selected; G selects the last task"),
    ("left right", "go back and forward in time by a column of the chart"),
    ("[ ]", "go back and forward by half a chart (also Shift with left, right)"),
    ("Home End", "go to the oldest sample; to now, or to the end of the recording"),
    ("space", "freeze this moment; resume"),
    ("+ -", "show less, more time in the charts"),
    ("enter", "show the selected task alone, with details; back"),
    ("/", "show only tasks with a text in their names, or with a PID"),
    ("a", "add a process by its PID, or all processes with a name (or /REGEX/)"),
    ("d", "remove the selected task and its history, after a question"),
    ("Esc", "back"),
    ("q", "quit"),
    ("", ""),
    ("%CPU", "CPU usage in % of one processor; %USR: user mode, %SYS: kernel"),
    ("RSS", "resident memory"),
    ("FLT/S", "page faults per second"),
    ("LOST", "samples missed or reclaimed; evicted samples do not count"),
    ("-", "unknown, or the task has exited"),
    ("▁▂▃▄▅▆▇", "highest CPU usage in each column of time; ▇: one processor or more; ·: samples are missing"),
    ("█ ▒ ╹", "user, system, peak; X: the task exited; ·: samples are missing"),
];

/// Words in lines of at most `columns`.
fn fold(text: &str, columns: u16) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Draws the help from some line on; gives the line, not behind the last.
fn draw_help(buffer: &mut Buffer, area: Rect, line: usize, look: Look) -> usize {
    put(buffer, area.x, area.y, "taskmon top: keys and symbols", area.width, look.strong());
    let indent = 12;
    let wide = area.width.saturating_sub(indent + 1);
    let lines: Vec<(&str, String)> = HELP
        .iter()
        .flat_map(|(key, text)| {
            fold(text, wide).into_iter().enumerate().map(|(i, line)| (if i == 0 { *key } else { "" }, line))
        })
        .collect();
    let room = usize::from(area.height).saturating_sub(2);
    let line = line.min(lines.len().saturating_sub(room));
    for (y, (key, text)) in (area.y + 1..).zip(lines.iter().skip(line).take(room)) {
        put(buffer, area.x + 1, y, key, indent, look.strong());
        put(buffer, area.x + indent, y, text, wide, Style::new());
    }
    let more = if line + room < lines.len() { "down: more   any other key: back" } else { "any key: back" };
    put(buffer, area.x, area.bottom() - 1, more, area.width, look.quiet());
    line
}

/// A frame without a terminal: head and table, each line to its last sign, for `give`.
pub fn plain<E>(model: &Model, columns: u16, mut give: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let look = Look { colour: false };
    let columns = columns.max(LEAST.0);
    let area = Rect { x: 0, y: 0, width: columns, height: 1 };
    let mut buffer = Buffer::empty(area);
    let mut line = |draw: &dyn Fn(&mut Buffer)| {
        buffer.reset();
        draw(&mut buffer);
        give(&text_of(&buffer, 0))
    };
    for pieces in head(model, look, columns) {
        line(&|buffer| draw_pieces(buffer, area, 0, &pieces, GAP))?;
    }
    line(&|buffer| draw_header(buffer, area, model, look))?;
    if model.shown() == 0 {
        return line(&|buffer| {
            put(buffer, 2, 0, &empty(model, "taskmon add PID"), columns.saturating_sub(2), Style::new());
        });
    }
    for row in model.all() {
        line(&|buffer| draw_row(buffer, area, model, row, look, false))?;
    }
    Ok(())
}

/// A line of a buffer as text, without the blanks at its end.
pub fn text_of(buffer: &Buffer, y: u16) -> String {
    let mut text = String::new();
    let mut skip = 0;
    for x in buffer.area.x..buffer.area.right() {
        // Behind a wide sign there is a cell that is none.
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if let Some(cell) = buffer.cell(Position { x, y }) {
            text.push_str(cell.symbol());
            skip = cell.symbol().width().saturating_sub(1);
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}
