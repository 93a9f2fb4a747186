// SPDX-License-Identifier: GPL-2.0-only

//! What two recordings say of the same tasks, and whether the second says too much. Nothing here reads or writes anything.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::ValueEnum;
use rustc_hash::FxHashMap;
use taskmonitor::Id;
use taskmonitor::Sample;

use crate::rate::Series;
use crate::size::size;
use crate::threads::Processes;
use crate::times::duration;

/// What is compared. More of it is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Measure {
    /// Time from the first sample to the last
    Wall,
    /// User CPU time
    User,
    /// System CPU time
    System,
    /// Both together
    Cpu,
    /// Page faults without I/O
    Minflt,
    /// Page faults with I/O
    Majflt,
    /// The most resident memory in any sample, of one task
    PeakRss,
    /// Resident memory, of one task, in half of the samples no more than this
    RssP50,
    RssP95,
    RssP99,
    /// The highest CPU usage between two samples, of one task, in percent of one processor
    CpuPeak,
    /// CPU usage, of one task, in half of the samples no more than this
    CpuP50,
    CpuP95,
    CpuP99,
}

/// What a measure is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Bytes,
    Count,
    Percent,
}

impl Measure {
    /// As it is written.
    pub fn key(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is in.
    pub fn unit(self) -> Unit {
        use Measure::*;
        match self {
            Wall | User | System | Cpu => Unit::Nanoseconds,
            PeakRss | RssP50 | RssP95 | RssP99 => Unit::Bytes,
            Minflt | Majflt => Unit::Count,
            CpuPeak | CpuP50 | CpuP95 | CpuP99 => Unit::Percent,
        }
    }
}

/// How much more of a measure is not too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    measure: Measure,
    // Of what it was, and on top of that.
    share: f64,
    more: f64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (measure, more) = text.split_once('=').ok_or("expected a measure and its limit, such as cpu=10%")?;
        let measure = Measure::from_str(measure, false).map_err(|_| {
            let keys: Vec<String> = Measure::value_variants().iter().map(|measure| measure.key()).collect();
            format!("unknown measure \"{measure}\"; the measures are {}", keys.join(", "))
        })?;
        let mut limit = Self { measure, share: 0.0, more: 0.0 };
        for part in more.split('+') {
            match part.strip_suffix('%') {
                Some(percent) => limit.share += number(percent)? / 100.0,
                None => {
                    limit.more += match measure.unit() {
                        Unit::Nanoseconds => {
                            let bad = |_| {
                                format!("\"{part}\": expected a share or a duration, such as 10%, 50ms or 10%+50ms")
                            };
                            duration(part).map_err(bad)?.as_nanos() as f64
                        }
                        Unit::Bytes => {
                            let bad =
                                |_| format!("\"{part}\": expected a share or a size, such as 10%, 1MiB or 10%+1MiB");
                            size(part).map_err(bad)? as f64
                        }
                        Unit::Count => number(part)?,
                        Unit::Percent => {
                            return Err(format!(
                                "\"{part}\": the limit of {} must be a percentage, such as 10%",
                                measure.key()
                            ));
                        }
                    }
                }
            }
        }
        Ok(limit)
    }
}

fn number(text: &str) -> Result<f64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("\"{text}\" is not a number such as 10 or 2.5"))
}

impl Limit {
    /// What it is of.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// The most that may be there now, if there was `before` then.
    pub fn most(&self, before: f64) -> f64 {
        before + before * self.share + self.more
    }
}

/// What a task did, or several together.
#[derive(Clone, Debug, Default)]
struct Did {
    // CLOCK_BOOTTIME of the first and the last sample.
    span: Option<(u64, u64)>,
    user: u64,
    system: u64,
    minflt: u64,
    majflt: u64,
    lost: u64,
    samples: u64,
    rss: Spread,
    cpu: Spread,
}

impl Did {
    fn and(&mut self, other: &Self) {
        self.span = match (self.span, other.span) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (span, None) | (None, span) => span,
        };
        self.user = self.user.saturating_add(other.user);
        self.system = self.system.saturating_add(other.system);
        self.minflt = self.minflt.saturating_add(other.minflt);
        self.majflt = self.majflt.saturating_add(other.majflt);
        self.lost = self.lost.saturating_add(other.lost);
        self.samples = self.samples.saturating_add(other.samples);
        self.rss.and(&other.rss);
        self.cpu.and(&other.cpu);
    }
}

/// How often which values came, none of which is negative. So that this takes no more memory for more of them, each is kept to 12
/// binary digits, but for the highest.
#[derive(Clone, Debug, Default)]
struct Spread {
    // In the order of the values, as such floating-point numbers are in that of their bits.
    counts: BTreeMap<u64, u64>,
    most: Option<f64>,
}

impl Spread {
    /// Bits of a value that are not kept.
    const LEFT_OUT: u32 = f64::MANTISSA_DIGITS - 12;

    fn add(&mut self, value: f64) {
        let nearest = value.to_bits().saturating_add(1 << (Self::LEFT_OUT - 1)) >> Self::LEFT_OUT;
        *self.counts.entry(nearest).or_default() += 1;
        self.most = Some(self.most.map_or(value, |most| most.max(value)));
    }

    fn and(&mut self, other: &Self) {
        for (&value, &count) in &other.counts {
            *self.counts.entry(value).or_default() += count;
        }
        self.most = [self.most, other.most].into_iter().flatten().reduce(f64::max);
    }

    /// The value that a share of all do not exceed.
    fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = self.counts.values().sum::<u64>().saturating_mul(percent).div_ceil(100);
        let mut below = 0;
        let (value, _) = self.counts.iter().find(|&(_, count)| {
            below += count;
            below >= rank
        })?;
        self.most.map(|most| most.min(f64::from_bits(value << Self::LEFT_OUT)))
    }
}

/// The measures of tasks of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    values: BTreeMap<Measure, f64>,
    /// Samples.
    pub samples: u64,
    /// Samples that are missing.
    pub lost: u64,
}

impl Measures {
    fn of(did: &Did) -> Self {
        let values = Measure::value_variants().iter().filter_map(|&measure| {
            let value = match measure {
                Measure::Wall => did.span.map(|(from, to)| to.saturating_sub(from) as f64),
                Measure::User => Some(did.user as f64),
                Measure::System => Some(did.system as f64),
                Measure::Cpu => Some(did.user.saturating_add(did.system) as f64),
                Measure::Minflt => Some(did.minflt as f64),
                Measure::Majflt => Some(did.majflt as f64),
                Measure::PeakRss => did.rss.most,
                Measure::RssP50 => did.rss.percentile(50),
                Measure::RssP95 => did.rss.percentile(95),
                Measure::RssP99 => did.rss.percentile(99),
                Measure::CpuPeak => did.cpu.most,
                Measure::CpuP50 => did.cpu.percentile(50),
                Measure::CpuP95 => did.cpu.percentile(95),
                Measure::CpuP99 => did.cpu.percentile(99),
            };
            Some((measure, value?))
        });
        Self { values: values.collect(), samples: did.samples, lost: did.lost }
    }

    /// The value of `measure`; none where the samples do not tell.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.values.get(&measure).copied()
    }
}

/// A task, as its samples come.
#[derive(Debug)]
struct Track {
    name: Option<String>,
    // The PID of its process, if it is a thread.
    process: Option<u32>,
    first: Sample,
    last: Sample,
    did: Did,
}

/// Reads what tasks did from their samples.
#[derive(Debug, Default)]
pub struct Tally {
    series: Series,
    tracks: FxHashMap<Id, Track>,
    // That of a command.
    beginning: Option<Sample>,
}

impl Tally {
    /// The counters of a command were those of `beginning` when it began.
    pub fn begin(&mut self, beginning: Sample) {
        self.series.begin(beginning);
        self.beginning = Some(beginning);
    }

    /// Takes the next sample of a task that has this name now, and, if it is a thread, this PID of its process.
    pub fn take(&mut self, sample: &Sample, name: Option<&str>, process: Option<u32>) {
        let Self { series, tracks, beginning } = self;
        let first = beginning.filter(|beginning| beginning.id() == sample.id()).unwrap_or(*sample);
        let fresh = || Track { name: None, process: None, first, last: *sample, did: Did::default() };
        let track = tracks.entry(sample.id()).or_insert_with(fresh);
        track.last = *sample;
        track.process = process.or(track.process);
        if track.name.as_deref() != name {
            track.name = name.map(str::to_owned);
        }
        let did = &mut track.did;
        did.samples += 1;
        // (What has exited has no memory, which says nothing about how much it needed.)
        if sample.mm_users > 0 {
            did.rss.add(sample.rss as f64);
        }
        series.push(*sample, |point| {
            did.lost = did.lost.saturating_add(point.lost);
            point.rates.cpu.into_iter().for_each(|cpu| did.cpu.add(cpu));
        });
    }

    /// What the tasks of each name did between their first and their last sample, whatever is missing in between; and all
    /// of them together. A thread whose process is among the tasks adds nothing: it is part of what the process did.
    pub fn end(self) -> Totals {
        let exited = |track: &Track| track.last.state.exited().then_some(track.last.time);
        let processes = Processes::new(self.tracks.iter().map(|(&id, track)| (id, track.process, exited(track))));
        let (mut groups, mut all, mut threads) = (BTreeMap::<String, Did>::new(), Did::default(), 0);
        for (id, Track { name, process, first, last, mut did }) in self.tracks {
            if processes.of(id, process).is_some() {
                threads += 1;
                continue;
            }
            did.span = Some((first.time, last.time));
            did.user = last.usr.saturating_sub(first.usr);
            did.system = last.sys.saturating_sub(first.sys);
            did.minflt = last.minflt.saturating_sub(first.minflt);
            did.majflt = last.majflt.saturating_sub(first.majflt);
            all.and(&did);
            groups.entry(name.unwrap_or_default()).or_default().and(&did);
        }
        let groups = groups.into_iter().map(|(name, did)| (name, Measures::of(&did))).collect();
        Totals { groups, all: Measures::of(&all), threads }
    }
}

/// What the tasks of a recording did.
pub struct Totals {
    /// By their names.
    pub groups: BTreeMap<String, Measures>,
    /// All together.
    pub all: Measures,
    /// How many threads are left out, as parts of their processes.
    pub threads: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sample(pid: u32, seq: u64, ms: u64, rss: u64) -> Sample {
        let (usr, users) = (ms * 1_000_000, u8::from(rss > 0));
        let time = (seq + 1) * SECOND;
        let line = format!(
            "pid {pid} usr {usr} sys {usr} time {time} rss {rss} minflt {ms} majflt 1 mm_users {users} state S seq {seq} start 9"
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn limit(text: &str) -> Result<Limit, String> {
        text.parse()
    }

    #[test]
    fn limits() {
        let most = |text: &str, before: f64| limit(text).unwrap().most(before);
        assert_eq!(most("cpu=10%", 2e9), 2.2e9);
        assert_eq!(most("cpu=10%+50ms", 1e9), 1.15e9);
        assert_eq!(most("peak_rss=1MiB", 0.0), 1_048_576.0);
        assert_eq!(most("majflt=3", 4.0), 7.0);
        assert_eq!(most("cpu_p99=0%", 4.0), 4.0);
        let bads = [
            "",
            "cpu",
            "cpu=",
            "cpu=10",
            "cpu=-1%",
            "cpu=nan%",
            "cpu=%",
            "majflt=1MiB",
            "cpu_p99=5",
            "x=1%",
            "wall=1%+",
        ];
        for bad in bads {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    fn spread(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut spread = Spread::default();
        values.into_iter().for_each(|value| spread.add(value));
        spread
    }

    #[test]
    fn percentiles() {
        let (mut odd, even): (Vec<u32>, Vec<u32>) = (1..=200).partition(|n| n % 2 == 1);
        odd.reverse();
        let mut all = spread(odd.into_iter().map(f64::from));
        all.and(&spread(even.into_iter().map(f64::from)));
        assert_eq!([50, 95, 99, 100].map(|p| all.percentile(p).unwrap()), [100.0, 190.0, 198.0, 200.0]);
        assert_eq!(all.most, Some(200.0));
        let one = spread([7.0]);
        assert_eq!((one.percentile(50), one.percentile(99), spread([]).percentile(50)), (Some(7.0), Some(7.0), None));
        let zeros = spread([0.0, 0.0, 0.0, 1.5]);
        assert_eq!((zeros.percentile(50), zeros.percentile(99)), (Some(0.0), Some(1.5)));
    }

    #[test]
    fn many_values_take_no_more_memory_than_some() {
        let most = 1_000_000_u64;
        let all = spread((1..=most).map(|n| (n * 4097) as f64));
        assert!(all.counts.len() < 50_000, "{}", all.counts.len());
        for percent in [1, 50, 95, 99] {
            let (is, exact) = (all.percentile(percent).unwrap(), (most / 100 * percent * 4097) as f64);
            assert!((is / exact - 1.0).abs() < 0.0003, "{percent}: {is} {exact}");
        }
        assert_eq!(all.most, Some((most * 4097) as f64));
        // (The nearest with 12 digits is more.)
        assert_eq!(spread([0.1; 9]).percentile(50), Some(0.1));
    }

    #[test]
    fn measures_of_tasks() {
        let mut tally = Tally::default();
        for (i, ms) in [0, 100, 150, 150].into_iter().enumerate() {
            tally.take(
                &sample(1, i as u64, ms, 4096 * (i as u64 % 3)),
                Some(if i == 0 { "sh" } else { "sort" }),
                None,
            );
        }
        // Two that are missing.
        tally.take(&sample(2, 5, 1000, 1 << 20), Some("sort"), None);
        tally.take(&sample(2, 8, 3000, 1 << 20), Some("sort"), None);
        tally.take(&sample(3, 0, 5, 0), None, None);
        let Totals { groups, all, threads } = tally.end();
        assert_eq!(threads, 0);
        assert_eq!(groups.keys().collect::<Vec<_>>(), ["", "sort"]);
        let sort = &groups["sort"];
        let get = |measure| sort.get(measure).unwrap();
        assert_eq!((sort.samples, sort.lost, all.samples), (6, 2, 7));
        assert_eq!(get(Measure::Wall), 8.0 * SECOND as f64);
        assert_eq!((get(Measure::User), get(Measure::Cpu)), (2.15e9, 4.3e9));
        assert_eq!((get(Measure::Minflt), get(Measure::Majflt)), (2150.0, 0.0));
        assert_eq!((get(Measure::PeakRss), get(Measure::RssP50)), (1_048_576.0, 8192.0));
        // None over the gap.
        assert_eq!((get(Measure::CpuPeak), get(Measure::CpuP50)), (20.0, 10.0));
        assert_eq!(groups[""].get(Measure::PeakRss), None, "one that has exited");
        assert_eq!(groups[""].get(Measure::Wall), Some(0.0));
    }

    #[test]
    fn a_thread_of_a_process_adds_nothing() {
        let tally = |pids: &[u32]| {
            let mut tally = Tally::default();
            for round in 0..3 {
                for &pid in pids {
                    // Two threads of process 1, and one of a process that is not there. Which is which is learnt late.
                    let process = (pid > 1 && round > 0).then_some(if pid == 4 { 9 } else { 1 });
                    let name = if pid == 3 { "worker" } else { "app" };
                    tally.take(&sample(pid, round, 100 * round, 4096), Some(name), process);
                }
            }
            tally.end()
        };
        let (with, without) = (tally(&[2, 1, 3, 4]), tally(&[1, 4]));
        assert_eq!((&with.groups, &with.all, with.threads), (&without.groups, &without.all, 2));
        assert_eq!(with.groups.keys().collect::<Vec<_>>(), ["app"]);
        assert_eq!(with.all.get(Measure::Cpu), Some(0.8e9));
        // Without its process, a thread stands for itself.
        let alone = tally(&[2, 3]);
        assert_eq!((alone.groups.len(), alone.threads, alone.all.get(Measure::Cpu)), (2, 0, Some(0.8e9)));
    }
}
