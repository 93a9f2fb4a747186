// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon diff`: two recordings compared.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use crate::Failure;
use crate::cli::Diff;
use crate::cli::Format;
use crate::cli::Selector;
use crate::compare::Limit;
use crate::compare::Measure;
use crate::compare::Measures;
use crate::compare::Tally;
use crate::compare::Totals;
use crate::compare::Unit;
use crate::output::Column;
use crate::output::Shown;
use crate::output::Value;
use crate::output::Whole;
use crate::output::Writer;
use crate::output::bytes;
use crate::output::many;
use crate::say;
use crate::source::Source;
use crate::summary::time;

/// Exit statuses, as those of diff and cmp.
const BEYOND: u8 = 1;
const FAILED: u8 = 2;

/// All tasks together, where there is more than one name.
const ALL: &str = "(all)";

const COLUMNS: [Column; 8] = [
    Column { key: "name", head: "NAME", width: 15, shown: Shown::Text },
    Column { key: "measure", head: "MEASURE", width: 8, shown: Shown::Text },
    Column { key: "unit", head: "UNIT", width: 7, shown: Shown::Text },
    Column { key: "before", head: "BEFORE", width: 14, shown: Shown::Number },
    Column { key: "after", head: "AFTER", width: 14, shown: Shown::Number },
    Column { key: "change_percent", head: "CHANGE", width: 10, shown: Shown::Number },
    Column { key: "most", head: "LIMIT", width: 14, shown: Shown::Number },
    Column { key: "beyond", head: "", width: 0, shown: Shown::Text },
];

/// `taskmon diff`
pub fn diff(args: &Diff) -> ExitCode {
    match attempt(args) {
        Ok(Verdict { beyond, known }) => {
            if !beyond.is_empty() {
                say(format_args!("limit exceeded: {}", beyond.join(", ")));
            }
            let limited: BTreeSet<Measure> = args.max_increase.iter().map(Limit::measure).collect();
            let unknown: Vec<String> = limited.difference(&known).map(|measure| measure.key()).collect();
            if !unknown.is_empty() {
                say(format_args!(
                    "limit not checked, no task has a value in both recordings: {}",
                    unknown.join(", ")
                ));
                return ExitCode::from(FAILED);
            }
            if beyond.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BEYOND) }
        }
        // Who reads only the beginning may not take that for the verdict.
        Err(failure) => {
            say(failure);
            ExitCode::from(FAILED)
        }
    }
}

/// What has a limit.
#[derive(Default)]
struct Verdict {
    // What keeps to it no more.
    beyond: Vec<String>,
    // What could be compared at all. (Kernel threads have no memory, and tasks of one sample no usage: these are no reason to fail
    // where there are others.)
    known: BTreeSet<Measure>,
}

/// Compares.
fn attempt(args: &Diff) -> Result<Verdict, Failure> {
    let selector = Selector { name: args.name.clone(), ..Selector::default() };
    let Totals { groups: before, all: all_before, threads: threads_before } = measures(&args.before, &selector)?;
    let Totals { groups: after, all: all_after, threads: threads_after } = measures(&args.after, &selector)?;
    let pairs = pairs(&before, &after);
    if pairs.is_empty() {
        return Err(Failure::Other(format!(
            "no task name is in both {} and {}; to compare two names: --name OLD --name NEW",
            args.before.display(),
            args.after.display()
        )));
    }
    let mut report = Report::new(args.format, &args.max_increase)?;
    for (name, before, after) in &pairs {
        report.task(name, before, after)?;
    }
    if before.len() > 1 || after.len() > 1 {
        report.task(ALL, &all_before, &all_after)?;
    }
    // What is compared by no other name is part of all.
    let versions = before.len() == 1 && after.len() == 1;
    for (path, groups, others) in [(&args.before, &before, &after), (&args.after, &after, &before)] {
        let alone = |name: &&String| !versions && !others.contains_key(*name);
        for name in groups.keys().filter(alone) {
            report.remark(&format!("# {name} is only in {}", path.display()));
        }
    }
    for (path, threads) in [(&args.before, threads_before), (&args.after, threads_after)] {
        if threads > 0 {
            report.remark(&format!("# {}: {}", path.display(), crate::threads::remark(threads)));
        }
    }
    report.end()
}

/// What the tasks of the recording `path` did.
fn measures(path: &Path, selector: &Selector) -> Result<Totals, Failure> {
    let mut source = Source::file(path, selector)?;
    let mut tally = Tally::default();
    source.beginning().into_iter().for_each(|beginning| tally.begin(beginning));
    while source.read_known(|sample, known| tally.take(sample, known.name.as_deref(), known.process))? {}
    source.demand()?;
    Ok(tally.end())
}

/// Who is compared with whom: tasks of the same name; and where there is only one on each side, these two, whatever they are
/// called: a program and its next version.
fn pairs<'a>(
    before: &'a BTreeMap<String, Measures>,
    after: &'a BTreeMap<String, Measures>,
) -> Vec<(&'a str, &'a Measures, &'a Measures)> {
    if let (1, 1, Some((_, a)), Some((name, b))) =
        (before.len(), after.len(), before.iter().next(), after.iter().next())
    {
        return vec![(name, a, b)];
    }
    before.iter().filter_map(|(name, a)| Some((name.as_str(), a, after.get(name)?))).collect()
}

struct Report<'a> {
    writer: Writer<Whole>,
    format: Format,
    limits: &'a [Limit],
    verdict: Verdict,
}

impl<'a> Report<'a> {
    fn new(format: Format, limits: &'a [Limit]) -> Result<Self, Failure> {
        let stdout = Whole::stdout().map_err(|e| Failure::output(&e))?;
        let writer = Writer::new(stdout, format, arranged(format, limits, COLUMNS.to_vec()));
        Ok(Self { writer, format, limits, verdict: Verdict::default() })
    }

    /// All measures of a task.
    fn task(&mut self, name: &str, before: &Measures, after: &Measures) -> Result<(), Failure> {
        let Self { writer, format, limits, verdict } = self;
        let mut write = || -> io::Result<()> {
            for &measure in Measure::value_variants() {
                let (a, b) = (before.get(measure), after.get(measure));
                // The strictest counts.
                let of_it = limits.iter().filter(|limit| limit.measure() == measure);
                let most = of_it.filter_map(|limit| Some(limit.most(a?))).min_by(f64::total_cmp);
                let too_much = most.zip(b).is_some_and(|(most, b)| b > most);
                if too_much {
                    verdict.beyond.push(format!("{name} {}", measure.key()));
                }
                if a.is_some() && b.is_some() {
                    verdict.known.insert(measure);
                }
                let change = a.zip(b).filter(|&(a, _)| a > 0.0).map(|(a, b)| 100.0 * (b - a) / a);
                let value = |value: Option<f64>| shown(*format, measure.unit(), value);
                let change = match change {
                    Some(change) if *format == Format::Table => format!("{change:+.1} %").into(),
                    change => change.into(),
                };
                let beyond: Value<'_> = match format {
                    Format::Table if too_much => "exceeded".into(),
                    Format::Table => "".into(),
                    _ => Value::Count(too_much.into()),
                };
                let values = vec![
                    name.into(),
                    measure.key().into(),
                    word(measure.unit()).into(),
                    value(a),
                    value(b),
                    change,
                    value(most),
                    beyond,
                ];
                writer.record(&arranged(*format, limits, values))?;
            }
            Ok(())
        };
        write().map_err(|e| Failure::output(&e))?;
        for (when, lost) in [("BEFORE", before.lost), ("AFTER", after.lost)] {
            if lost > 0 {
                let samples = many(lost, "sample");
                self.remark(&format!("# {name}: {samples} missing in {when}: the real peaks may be higher"));
            }
        }
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        self.writer.remark(text);
    }

    fn end(mut self) -> Result<Verdict, Failure> {
        self.writer.flush().map_err(|e| Failure::output(&e))?;
        Ok(self.verdict)
    }
}

/// Columns, or their values, as the format has them: a name may have blanks, which in kv only what is last can have; and a table
/// without limits has no columns for them,
/// and has the unit with each value.
fn arranged<T>(format: Format, limits: &[Limit], mut columns: Vec<T>) -> Vec<T> {
    match format {
        Format::Kv => columns.rotate_left(1),
        Format::Table => {
            columns.remove(2);
            columns.truncate(if limits.is_empty() { 5 } else { usize::MAX });
        }
        Format::Csv | Format::Ndjson => {}
    }
    columns
}

fn word(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "ns",
        Unit::Bytes => "bytes",
        Unit::Count => "count",
        Unit::Percent => "percent",
    }
}

/// For people in what they think in, for programs as it is.
fn shown<'a>(format: Format, unit: Unit, value: Option<f64>) -> Value<'a> {
    let Some(value) = value else { return Value::None };
    match (format, unit) {
        (Format::Table, Unit::Nanoseconds) => time(Duration::from_nanos(value as u64)).into(),
        (Format::Table, Unit::Bytes) => bytes(value as u64).into(),
        (Format::Table, Unit::Percent) => format!("{value:.1} %").into(),
        (_, Unit::Percent) => Value::Rate(value),
        (_, Unit::Nanoseconds | Unit::Bytes | Unit::Count) => Value::Count(value as u64),
    }
}
