// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon csv`: all that is in a recording, for other programs.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Failure;
use crate::cli::Csv;
use crate::cli::Format;
use crate::output;
use crate::output::Column;
use crate::output::Shown;
use crate::output::Value;
use crate::output::Whole;
use crate::output::Writer;
use crate::rate::Point;
use crate::signals::Stop;
use crate::source::Source;
use crate::times::Clock;

const KEYS: [&str; 21] = [
    "time",
    "boottime_ns",
    "pid",
    "start_ns",
    "name",
    "seq",
    "lost",
    "state",
    "usr_ns",
    "sys_ns",
    "rss_bytes",
    "minflt",
    "majflt",
    "mm_users",
    "elapsed_ns",
    "cpu_percent",
    "usr_percent",
    "sys_percent",
    "minflt_per_second",
    "majflt_per_second",
    "suspended_ns",
];

fn values<'a>(point: &Point, name: Option<&'a str>, clock: &Clock) -> [Value<'a>; 21] {
    let Point { sample, increase, rates, lost, suspended } = point;
    let known = |count: u64| if increase.elapsed > 0 { count.into() } else { Value::None };
    [
        format!("{:.9}", clock.timestamp(sample.time)).into(),
        sample.time.into(),
        sample.pid.into(),
        sample.start.into(),
        name.map_or(Value::None, Value::from),
        sample.seq.into(),
        (*lost).into(),
        sample.state.letter().to_string().into(),
        sample.usr.into(),
        sample.sys.into(),
        sample.rss.into(),
        sample.minflt.into(),
        sample.majflt.into(),
        sample.mm_users.into(),
        known(increase.elapsed),
        rates.cpu.into(),
        rates.usr.into(),
        rates.sys.into(),
        rates.minflt.into(),
        rates.majflt.into(),
        (*suspended).into(),
    ]
}

/// Whether both are one file.
fn same(one: &Path, other: &Path) -> bool {
    let what = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    what(one).is_ok_and(|one| what(other).is_ok_and(|other| one == other))
}

/// `taskmon csv`
pub fn csv(args: &Csv) -> Result<(), Failure> {
    let stop = Stop::new()?;
    let mut source = Source::file(&args.input, &args.selector)?;
    let clock = source.clock();
    let failed = |e: std::io::Error| match &args.output {
        Some(path) => Failure::other(format!("cannot write {}", path.display()), e),
        None => Failure::output(&e),
    };
    if args.output.as_ref().is_some_and(|output| same(&args.input, output)) {
        return Err(Failure::Other(format!("cannot write {}: it is the input file", args.input.display())));
    }
    let out = match &args.output {
        Some(path) => output::create(path).map(Whole::new),
        None => Whole::stdout(),
    };
    let columns = KEYS.map(|key| Column { key, head: key, width: 0, shown: Shown::Text });
    let mut writer = Writer::new(out.map_err(failed)?, Format::Csv, columns.to_vec());
    let mut series = source.series(None);
    let mut wrote = Ok(());
    let mut more = true;
    while more && wrote.is_ok() && !stop.asked() {
        let read = source.read(|sample, name| {
            series.push(*sample, |point| {
                if wrote.is_ok() {
                    wrote = writer.record(&values(&point, name, &clock));
                }
            });
        });
        // What came before something failed is written.
        more = *read.as_ref().unwrap_or(&false);
        if read.is_err() {
            writer.flush().map_err(failed)?;
            read?;
        }
    }
    wrote.and_then(|()| writer.flush()).map_err(failed)?;
    if stop.asked() { Ok(()) } else { source.demand() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use taskmonitor::Sample;

    use super::*;
    use crate::rate::Series;

    #[test]
    fn a_row() {
        let line = "pid 7 usr 5 sys 6 time 1234567890 rss 8 minflt 9 majflt 10 mm_users 2 state R seq 12 start 3";
        let sample = Sample::parse(line.as_bytes()).unwrap();
        let clock = Clock::new(Some(1_795_795_200_000_000_000)).unwrap();
        let mut out = Vec::new();
        let columns = KEYS.map(|key| Column { key, head: key, width: 0, shown: Shown::Text });
        let mut writer = Writer::new(&mut out, Format::Csv, columns.to_vec());
        let mut series = Series::new(None);
        let later = Sample { time: 2_234_567_890, seq: 13, usr: 500_000_005, ..sample };
        for sample in [sample, later] {
            series.push(sample, |point| writer.record(&values(&point, Some("a, b"), &clock)).unwrap());
        }
        writer.flush().unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out.lines().skip(1).collect::<Vec<_>>(),
            [
                "2026-11-27T16:00:01.234567890Z,1234567890,7,3,\"a, b\",12,0,R,5,6,8,9,10,2,,,,,,,0",
                "2026-11-27T16:00:02.234567890Z,2234567890,7,3,\"a, b\",13,0,R,500000005,6,8,9,10,2,1000000000,\
                 50.000,50.000,0.000,0.000,0.000,0",
            ]
        );
    }
}
