// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon show`: what was recorded.

use std::io;
use std::io::Write;
use std::time::Duration;

use crate::Failure;
use crate::cli::Field;
use crate::cli::Format;
use crate::cli::Show;
use crate::output::Column;
use crate::output::Shown;
use crate::output::Value;
use crate::output::Whole;
use crate::output::Writer;
use crate::rate::Point;
use crate::record::clock as duration;
use crate::record::plural;
use crate::signals::Stop;
use crate::source::Source;
use crate::times::Clock;
use crate::times::rfc3339;

/// What is shown of a sample if nothing else is asked for.
const TABLE: &[Field] = &[
    Field::Time,
    Field::Pid,
    Field::State,
    Field::Cpu,
    Field::Usr,
    Field::Sys,
    Field::Rss,
    Field::Minflt,
    Field::Majflt,
    Field::Name,
];
/// The same, for programs.
const ALL: &[Field] = &[
    Field::Time,
    Field::Pid,
    Field::Start,
    Field::Seq,
    Field::State,
    Field::Cpu,
    Field::Usr,
    Field::Sys,
    Field::Rss,
    Field::Minflt,
    Field::Majflt,
    Field::MmUsers,
    Field::Lost,
    Field::Name,
];
/// Totals, which `taskmon run` adds: a command that is shorter than the period has one sample, and no rates.
const TOTALS: &[Field] = &[Field::UsrNs, Field::SysNs, Field::MinfltCount, Field::MajfltCount, Field::ElapsedNs];
/// The keys of the module's own lines, in their order.
const RAW: &[Field] = &[
    Field::Pid,
    Field::Usr,
    Field::Sys,
    Field::Time,
    Field::Rss,
    Field::Minflt,
    Field::Majflt,
    Field::MmUsers,
    Field::State,
    Field::Seq,
    Field::Start,
];

fn column(field: Field, raw: bool) -> Column {
    use Field::*;
    let number = |key, head, width| Column { key, head, width, shown: Shown::Number };
    let text = |key, head, width| Column { key, head, width, shown: Shown::Text };
    match (field, raw) {
        (Time, false) => text("time", "TIME", 24),
        (Time, true) => number("time", "TIME", 16),
        (Pid, _) => number("pid", "PID", 7),
        (Name, _) => text("name", "NAME", 15),
        (State, _) => text("state", "S", 1),
        (Cpu, _) => number("cpu_percent", "%CPU", 7),
        (Usr, false) => number("usr_percent", "%USR", 7),
        (Usr, true) => number("usr", "USR", 15),
        (Sys, false) => number("sys_percent", "%SYS", 7),
        (Sys, true) => number("sys", "SYS", 15),
        (Rss, false) => Column { key: "rss_bytes", head: "RSS", width: 9, shown: Shown::Bytes },
        (Rss, true) => number("rss", "RSS", 12),
        (Minflt, false) => number("minflt_per_second", "MINFLT/S", 9),
        (Minflt, true) => number("minflt", "MINFLT", 9),
        (Majflt, false) => number("majflt_per_second", "MAJFLT/S", 8),
        (Majflt, true) => number("majflt", "MAJFLT", 7),
        (MmUsers, _) => number("mm_users", "USERS", 5),
        (Seq, _) => number("seq", "SEQ", 8),
        (Start, false) => number("start_ns", "START", 16),
        (Start, true) => number("start", "START", 16),
        (Lost, _) => number("lost", "LOST", 5),
        (UsrNs, _) => number("usr_ns", "USR NS", 15),
        (SysNs, _) => number("sys_ns", "SYS NS", 15),
        (MinfltCount, _) => number("minflt", "MINFLT", 9),
        (MajfltCount, _) => number("majflt", "MAJFLT", 7),
        (SuspendedNs, _) => number("suspended_ns", "SUSPENDED NS", 15),
        (ElapsedNs, _) => number("elapsed_ns", "ELAPSED NS", 12),
    }
}

/// Returns the fields that `taskmon run` writes.
pub fn fields_of_run() -> Vec<Field> {
    [ALL, TOTALS].concat()
}

/// Writes points as records.
pub struct Records<W> {
    writer: Writer<W>,
    fields: Vec<Field>,
    clock: Clock,
    raw: bool,
    // Said in a line of its own, where no field says it.
    gaps: bool,
    suspends: bool,
    // The time that was written last, and its milliseconds: the tasks of an instant share it.
    time: (u64, String),
}

impl<W: Write> Records<W> {
    /// Writes `fields`, or those that fit `format` if there are none, to `out`.
    pub fn new(out: W, format: Format, fields: &[Field], raw: bool, clock: Clock) -> Self {
        let fields = match (fields, raw, format) {
            ([], true, _) => RAW,
            ([], false, Format::Table) => TABLE,
            ([], false, _) => ALL,
            (fields, _, _) => fields,
        };
        // Each key once: an object has no two members of one name.
        let mut once: Vec<Field> = Vec::new();
        for &field in fields {
            if !once.contains(&field) {
                once.push(field);
            }
        }
        // A name may have blanks: only what is last can have them.
        if format == Format::Kv {
            once.sort_by_key(|field| *field == Field::Name);
        }
        let fields = once;
        let columns = fields.iter().map(|&field| column(field, raw)).collect();
        Self {
            writer: Writer::new(out, format, columns),
            gaps: !fields.contains(&Field::Lost),
            suspends: !fields.contains(&Field::SuspendedNs),
            fields,
            clock,
            raw,
            time: (u64::MAX, String::new()),
        }
    }

    /// Writes a point of a task with this name.
    pub fn point(&mut self, point: &Point, name: Option<&str>) -> io::Result<()> {
        let Point { sample, increase, rates, lost, suspended } = point;
        if self.gaps && *lost > 0 {
            let samples = plural(*lost, "sample");
            let are = if *lost == 1 { "is" } else { "are" };
            self.writer.remark(&format!("# pid {}: {samples} {are} missing", sample.pid));
        }
        if self.suspends && *suspended > 0 {
            let long = duration(Duration::from_nanos(*suspended));
            self.writer.remark(&format!(
                "# pid {}: the machine was suspended for {long}, or sampling was stopped",
                sample.pid
            ));
        }
        let raw = self.raw;
        let either = |count: u64, rate: Option<f64>| if raw { count.into() } else { rate.into() };
        let ms = sample.time / 1_000_000;
        if !raw && self.time.0 != ms {
            self.time = (ms, rfc3339(self.clock.timestamp(ms * 1_000_000)));
        }
        let mut letter = [0; 4];
        let letter: &str = sample.state.letter().encode_utf8(&mut letter);
        let row = self.fields.iter().map(|field| match field {
            Field::Time if raw => sample.time.into(),
            Field::Time => self.time.1.as_str().into(),
            Field::Pid => sample.pid.into(),
            Field::Name => name.map_or(Value::None, Value::from),
            Field::State => letter.into(),
            Field::Cpu => rates.cpu.into(),
            Field::Usr => either(sample.usr, rates.usr),
            Field::Sys => either(sample.sys, rates.sys),
            Field::Rss => sample.rss.into(),
            Field::Minflt => either(sample.minflt, rates.minflt),
            Field::Majflt => either(sample.majflt, rates.majflt),
            Field::MmUsers => sample.mm_users.into(),
            Field::Seq => sample.seq.into(),
            Field::Start => sample.start.into(),
            Field::Lost => (*lost).into(),
            Field::UsrNs => sample.usr.into(),
            Field::SysNs => sample.sys.into(),
            Field::MinfltCount => sample.minflt.into(),
            Field::MajfltCount => sample.majflt.into(),
            Field::SuspendedNs => (*suspended).into(),
            Field::ElapsedNs => {
                Some(increase.elapsed).filter(|&elapsed| elapsed > 0).map_or(Value::None, Value::from)
            }
        });
        self.writer.record(&row.collect::<Vec<Value<'_>>>())
    }

    /// Writes what has been gathered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// `taskmon show`, of the module or of a recording.
pub fn show(mut source: Source, args: &Show) -> Result<(), Failure> {
    let clock = source.clock();
    let since = args.since.map(|moment| clock.bound(moment));
    let until = args.until.map(|moment| clock.bound(moment));
    let begun = |time: u64| since.as_ref().is_none_or(|since| since.reached(time));
    let before_end = |time: u64| until.as_ref().is_none_or(|until| !until.reached(time));
    let stop = Stop::new()?;
    let stdout = Whole::stdout().map_err(|e| Failure::output(&e))?;
    let mut records = Records::new(stdout, args.format, &args.fields, args.raw, clock.clone());
    // (Of a recording, that is known at its end.)
    if !args.follow && args.input.is_none() {
        source.demand()?;
    }
    let mut series = source.series(args.interval);
    let mut failed = None;
    while !stop.asked() {
        // Before reading: what comes after a look that found nothing, and before the end, is still to be shown.
        let over = !args.follow || !before_end(clock.now());
        let read = source.read(|sample, name| {
            if before_end(sample.time) {
                series.push(*sample, |point| {
                    if begun(point.sample.time) && failed.is_none() {
                        failed = records.point(&point, name).err();
                    }
                });
            }
        });
        if matches!(read, Ok(false)) {
            records.flush().map_err(|e| Failure::output(&e))?;
            if over {
                break;
            }
            // Not for ever: a signal may have come just before.
            source.wait(Some(Duration::from_secs(1)))?;
            continue;
        }
        if let Some(e) = failed {
            return Err(Failure::output(&e));
        }
        if args.follow || read.is_err() {
            records.flush().map_err(|e| Failure::output(&e))?;
        }
        // What came before it was good, and has been shown.
        read?;
    }
    series.finish(|point| {
        if begun(point.sample.time) && failed.is_none() {
            failed = records.point(&point, source.name(&point.sample.id())).err();
        }
    });
    failed.map_or(Ok(()), Err).and_then(|()| records.flush()).map_err(|e| Failure::output(&e))?;
    if args.input.is_some() && !stop.asked() { source.demand() } else { Ok(()) }
}
