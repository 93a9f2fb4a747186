// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon info`: what is in a recording.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use rustc_hash::FxHashMap;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::readable;
use taskmonitor_recording::Damage;
use taskmonitor_recording::End;
use taskmonitor_recording::Event;
use taskmonitor_recording::Head;
use taskmonitor_recording::Reader;
use taskmonitor_recording::Reason;
use taskmonitor_recording::Why;

use crate::Failure;
use crate::cli::Format;
use crate::cli::Info;
use crate::output::Column;
use crate::output::Shown;
use crate::output::Value;
use crate::output::Whole;
use crate::output::Writer;
use crate::output::bytes;
use crate::record::clock;
use crate::record::losses;
use crate::record::plural;
use crate::signals::Stop;
use crate::times::Clock;
use crate::times::rfc3339;

/// What is known of a task.
struct Known {
    name: Option<String>,
    // Of a command: when it began.
    began: Option<Sample>,
    // The first sample, or the beginning, and the last sample.
    span: Option<(Sample, Sample)>,
    samples: u64,
    // Missing between them.
    gaps: u64,
    // Unknown without a sample of a task that lived.
    peak: Option<u64>,
    lost: FxHashMap<Reason, u64>,
}

impl Known {
    fn new() -> Self {
        Self { name: None, began: None, span: None, samples: 0, gaps: 0, peak: None, lost: FxHashMap::default() }
    }

    fn take(&mut self, sample: Sample) {
        let (first, last) = self.span.or_else(|| self.began.map(|began| (began, began))).unwrap_or((sample, sample));
        // (Of one that was removed and added again, numbers begin anew.)
        self.gaps = self.gaps.saturating_add(sample.seq.saturating_sub(last.seq).saturating_sub(1));
        self.span = Some((first, sample));
        self.samples += 1;
        // (What has exited has no memory, which says nothing about how much it needed.)
        if !sample.state.exited() {
            self.peak = self.peak.max(Some(sample.rss));
        }
    }

    /// What is lost, by its reason. What the recording says nothing of is so for an unknown one.
    fn lost(&self) -> Vec<(Reason, u64)> {
        let mut lost: Vec<(Reason, u64)> =
            Reason::ALL.into_iter().filter_map(|reason| Some((reason, *self.lost.get(&reason)?))).collect();
        let sum = lost.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let more = self.gaps.saturating_sub(sum);
        match lost.last_mut() {
            _ if more == 0 => {}
            Some((Reason::Unknown, count)) => *count = count.saturating_add(more),
            _ => lost.push((Reason::Unknown, more)),
        }
        lost
    }
}

/// All that is known.
struct All {
    head: Head,
    tasks: Vec<(Id, Known)>,
    end: Option<End>,
    damage: Damage,
    clock: Clock,
}

fn read(path: &Path, stop: &Stop) -> Result<All, Failure> {
    let mut reader = Reader::open(path)?;
    let mut tasks: FxHashMap<Id, Known> = FxHashMap::default();
    let mut end = None;
    let clock = Clock::of(reader.head().anchor());
    if let Some(exec) = reader.head().exec {
        tasks.entry(exec.id).or_insert_with(Known::new).began = exec.beginning();
    }
    while let Some(event) = reader.next()? {
        match event {
            Event::Name { id, name } => {
                tasks.entry(id).or_insert_with(Known::new).name = Some(readable(&name));
            }
            Event::Sample(sample) => tasks.entry(sample.id()).or_insert_with(Known::new).take(sample),
            Event::Lost(lost) => {
                let count = tasks.entry(lost.id).or_insert_with(Known::new).lost.entry(lost.reason).or_default();
                *count = count.saturating_add(lost.count);
            }
            Event::End(is) => end = Some(is),
            Event::Clock(anchor) => clock.push(anchor),
            _ => {}
        }
        if stop.asked() {
            return Err(Failure::Said);
        }
    }
    let mut tasks: Vec<(Id, Known)> = tasks.into_iter().collect();
    tasks.sort_by_key(|(id, known)| (known.span.map(|(first, _)| first.time), *id));
    Ok(All { head: reader.head().clone(), tasks, end, damage: reader.damage(), clock })
}

/// Whether a recorder has it locked.
fn being_written(path: &Path) -> bool {
    let file = File::open(path).ok();
    let locked = file.map(|file| Flock::lock(file, FlockArg::LockSharedNonblock));
    matches!(locked, Some(Err((_, Errno::EWOULDBLOCK))))
}

/// Why it ended.
fn ended(end: Option<&End>, written: bool) -> String {
    let Some(end) = end else {
        return if written {
            "not yet: taskmon is writing it".to_owned()
        } else {
            "abnormally: taskmon was killed, or the machine crashed".to_owned()
        };
    };
    match (end.why, end.status) {
        (Why::Stopped, _) => "when taskmon was stopped by a signal".to_owned(),
        (Why::Duration, _) => "at its maximum duration".to_owned(),
        (Why::MaxSize, _) => "at its maximum size".to_owned(),
        (Why::Gone, _) => "when all selected tasks had exited or were removed".to_owned(),
        (Why::Command, Some(status)) => format!("with the command (exit status {status})"),
        (Why::Command, None) => "with the command".to_owned(),
        (Why::Failed, _) => "on an error: samples could not be read or written".to_owned(),
        _ => "for a reason that this version of taskmon does not know".to_owned(),
    }
}

/// What is wrong with the file.
fn damages(damage: Damage) -> Option<String> {
    let mut text = String::new();
    if damage.places > 0 {
        let _ = write!(text, "at {}: {} skipped", plural(damage.places, "place"), bytes(damage.bytes));
        if damage.skipped > 0 {
            let _ = write!(text, ", {} not decodable without them", plural(damage.skipped, "chunk"));
        }
        text.push_str("; samples may be missing");
    }
    if damage.torn > 0 {
        let but = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{but}an incomplete chunk of {} at the end", plural(damage.torn, "byte"));
    }
    (!text.is_empty()).then_some(text)
}

/// What became of the clock, as far as it is worth a word: each time that it was set by more than a clock drifts, or that the machine
/// was suspended.
fn changes(time: &Clock) -> Vec<String> {
    const NOTABLE: u64 = 100_000_000;
    const MOST: usize = 10;
    let anchors = time.anchors_since(0);
    let mut changes = Vec::new();
    for two in anchors.windows(2) {
        let [before, after] = two else { continue };
        let when = rfc3339(time.timestamp(after.at));
        let set = after.booted.saturating_sub(before.booted);
        if set.unsigned_abs() >= NOTABLE {
            let (sign, by) = (if set > 0 { '+' } else { '-' }, Duration::from_nanos(set.unsigned_abs()));
            changes.push(format!("set by {sign}{}, to {when}", clock(by)));
        }
        let slept = after.suspended.saturating_sub(before.suspended);
        if slept >= NOTABLE {
            changes.push(format!("suspended for {}, until {when}", clock(Duration::from_nanos(slept))));
        }
    }
    if changes.len() > MOST {
        let more = changes.len() - MOST;
        changes.truncate(MOST);
        changes.push(format!("and {}", plural(more as u64, "more change")));
    }
    changes
}

fn facts(path: &Path, all: &All) -> String {
    let All { head, tasks, end, damage, clock: time } = all;
    let mut text = format!("{}\n", path.display());
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:>9}  {value}");
    };
    let printable = |text: &str| readable(text.as_bytes());
    let last = tasks.iter().filter_map(|(_, known)| known.span).map(|(_, last)| last.time).max();
    let until = end.map(|end| end.time).or(last).unwrap_or(head.began).max(head.began);
    let (from, to) = (rfc3339(time.timestamp(head.began)), rfc3339(time.timestamp(until)));
    line("recorded", &format!("{from} to {to}, {}", clock(Duration::from_nanos(until - head.began))));
    line(
        "by",
        &format!(
            "taskmon {}, taskmonitor {}, Linux {}",
            printable(&head.taskmon),
            printable(&head.module),
            printable(&head.kernel)
        ),
    );
    line("period", &format!("{:?}", head.period));
    for what in changes(time) {
        line("clock", &what);
    }
    if let Some(command) = &head.command {
        line("command", &printable(command));
    }
    if let Some(peak) = end.and_then(|end| end.peak) {
        line("peak RSS", &format!("{}, by the kernel", bytes(peak)));
    }
    line("ended", &ended(end.as_ref(), end.is_none() && being_written(path)));
    let samples = tasks.iter().fold(0_u64, |sum, (_, known)| sum.saturating_add(known.samples));
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    line(
        "size",
        &format!(
            "{}, {} of {}",
            bytes(size),
            plural(samples, "sample"),
            plural(tasks.iter().filter(|(_, known)| known.samples > 0).count() as u64, "task")
        ),
    );
    let mut sums: FxHashMap<Reason, u64> = FxHashMap::default();
    for (reason, count) in tasks.iter().flat_map(|(_, known)| known.lost()) {
        let sum = sums.entry(reason).or_default();
        *sum = sum.saturating_add(count);
    }
    let sums: Vec<_> = Reason::ALL.into_iter().filter_map(|reason| Some((reason, *sums.get(&reason)?))).collect();
    line("lost", losses(&sums).strip_suffix(" lost").unwrap_or(&losses(&sums).replacen(" lost:", ":", 1)));
    if let Some(damage) = damages(*damage) {
        line("damaged", &damage);
    }
    text
}

/// The columns of a task. Programs get all.
fn columns(format: Format) -> Vec<Column> {
    let number = |key, head, width| Column { key, head, width, shown: Shown::Number };
    let text = |key, head, width| Column { key, head, width, shown: Shown::Text };
    let mut columns = vec![
        number("pid", "PID", 7),
        text("from", "FROM", 24),
        text("to", "TO", 24),
        number("samples", "SAMPLES", 9),
        number("cpu_seconds", "CPU S", 9),
        number("cpu_percent", "%CPU", 7),
        Column { key: "peak_rss_bytes", head: "PEAK RSS", width: 9, shown: Shown::Bytes },
        number("lost", "LOST", 7),
    ];
    if format != Format::Table {
        columns.push(number("start_ns", "", 0));
        for key in [
            "lost_missed",
            "lost_evicted",
            "lost_reclaimed",
            "lost_evicted_or_reclaimed",
            "lost_no_space",
            "lost_unknown",
        ] {
            columns.push(number(key, "", 0));
        }
    }
    columns.push(text("name", "NAME", 0));
    columns
}

fn row<'a>(id: Id, known: &'a Known, format: Format, clock: &Clock) -> Vec<Value<'a>> {
    let time = |time: u64| Value::from(rfc3339(clock.timestamp(time)));
    let (from, to, cpu, elapsed) = match known.span {
        Some((first, last)) => (
            time(first.time),
            time(last.time),
            last.cpu().checked_sub(first.cpu()),
            last.time.saturating_sub(first.time),
        ),
        None => (Value::None, Value::None, None, 0),
    };
    let seconds = cpu.map(|cpu| cpu as f64 / 1e9);
    let percent = cpu.filter(|_| elapsed > 0).map(|cpu| 100.0 * cpu as f64 / elapsed as f64);
    let lost = known.lost();
    let sum = lost.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let mut row: Vec<Value<'_>> = vec![
        id.pid.into(),
        from,
        to,
        known.samples.into(),
        seconds.into(),
        percent.into(),
        known.peak.map_or(Value::None, Value::from),
        sum.into(),
    ];
    if format != Format::Table {
        row.push(id.start.into());
        row.extend(Reason::ALL.map(|reason| {
            Value::from(lost.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count))
        }));
    }
    row.push(known.name.as_deref().map_or(Value::None, Value::from));
    row
}

/// `taskmon info`
pub fn info(args: &Info) -> Result<(), Failure> {
    let all = read(&args.input, &Stop::new()?)?;
    let failed = |e: io::Error| Failure::output(&e);
    let mut out = Whole::stdout().map_err(failed)?;
    if args.format == Format::Table {
        let mut text = facts(&args.input, &all);
        if !all.tasks.is_empty() {
            text.push('\n');
        }
        io::Write::write_all(&mut out, text.as_bytes()).map_err(failed)?;
        if all.tasks.is_empty() {
            return Ok(());
        }
    }
    let mut writer = Writer::new(out, args.format, columns(args.format));
    for (id, known) in &all.tasks {
        writer.record(&row(*id, known, args.format, &all.clock)).map_err(failed)?;
    }
    writer.flush().map_err(failed)
}
