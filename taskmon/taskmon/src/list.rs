// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon list`: the monitored tasks.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use taskmonitor::Follow;
use taskmonitor::Id;
use taskmonitor::Monitor;
use taskmonitor::Sample;
use taskmonitor::Task;

use crate::Failure;
use crate::choose::Chooser;
use crate::cli::List;
use crate::output::Column;
use crate::output::Shown;
use crate::output::Whole;
use crate::output::Writer;
use crate::rate::Series;
use crate::signals::Stop;

/// As many samples are read rather than waited for: it takes less than a tenth of a second.
const READ_RATHER: u64 = 100_000;
/// A period longer than that is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

const COLUMNS: [Column; 10] = [
    Column { key: "pid", head: "PID", width: 7, shown: Shown::Number },
    Column { key: "state", head: "S", width: 1, shown: Shown::Text },
    Column { key: "cpu_percent", head: "%CPU", width: 7, shown: Shown::Number },
    Column { key: "rss_bytes", head: "RSS", width: 9, shown: Shown::Bytes },
    Column { key: "threads", head: "THREADS", width: 7, shown: Shown::Number },
    Column { key: "samples", head: "SAMPLES", width: 8, shown: Shown::Number },
    Column { key: "missed", head: "MISSED", width: 7, shown: Shown::Number },
    Column { key: "evicted", head: "EVICTED", width: 8, shown: Shown::Number },
    Column { key: "reclaimed", head: "RECLAIMED", width: 9, shown: Shown::Number },
    Column { key: "name", head: "NAME", width: 15, shown: Shown::Text },
];

/// CPU usage over the last period, by the two newest samples of each task.
struct Usage {
    series: Series,
    rates: HashMap<Id, Option<f64>>,
}

impl Usage {
    fn take(&mut self, sample: Sample) {
        self.series.push(sample, |point| {
            self.rates.insert(point.sample.id(), point.rates.cpu);
        });
    }

    fn read(&mut self, follow: &mut Follow) -> Result<usize, Failure> {
        Ok(follow.read(|sample| self.take(sample))?)
    }
}

/// Reads the samples that are there, or waits for the next, whichever takes less.
fn usage(monitor: &Monitor, tasks: &[Task]) -> Result<Usage, Failure> {
    let mut usage = Usage { series: Series::new(None), rates: HashMap::new() };
    let samples = tasks.iter().fold(0_u64, |sum, task| sum.saturating_add(task.samples));
    let period = monitor.period()?;
    let mut follow = monitor.follow()?;
    if samples <= READ_RATHER || period > LONGEST_WAIT || !monitor.sampling()? {
        while usage.read(&mut follow)? > 0 {}
        return Ok(usage);
    }
    // Two instants from here on, of all that live, and a second for a machine that is busy.
    let stop = Stop::new()?;
    let end = Instant::now() + 2 * period + Duration::from_secs(1);
    let living = tasks.iter().filter(|task| !task.state.exited()).count();
    follow.skip()?;
    while usage.rates.values().filter(|rate| rate.is_some()).count() < living {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.asked() {
            break;
        }
        if usage.read(&mut follow)? == 0 {
            follow.wait(Some(left))?;
        }
    }
    Ok(usage)
}

/// `taskmon list`
pub fn list(monitor: &Monitor, args: &List) -> Result<(), Failure> {
    let chooser = Chooser::new(&args.selector)?;
    let all = monitor.tasks()?;
    let usage = usage(monitor, &all)?;
    let tasks = chooser.of_tasks(monitor.root(), monitor.tasks()?)?;
    if tasks.is_empty() && !chooser.is_empty() {
        return Err(chooser.no_match("monitored task"));
    }
    let stdout = Whole::stdout().map_err(|e| Failure::output(&e))?;
    let mut writer = Writer::new(stdout, args.format, COLUMNS.to_vec());
    let mut write = || {
        for task in &tasks {
            let cpu = usage.rates.get(&task.id()).copied().flatten().filter(|_| !task.state.exited());
            writer.record(&[
                task.pid.into(),
                task.state.letter().to_string().into(),
                cpu.into(),
                task.rss.into(),
                task.threads.into(),
                task.samples.into(),
                task.missed.into(),
                task.evicted.into(),
                task.reclaimed.into(),
                task.name().into(),
            ])?;
        }
        writer.flush()
    };
    write().map_err(|e| Failure::output(&e))
}
