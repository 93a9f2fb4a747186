// SPDX-License-Identifier: GPL-2.0-only

//! From counters to rates. Nothing here reads or writes anything.

use std::time::Duration;

use rustc_hash::FxHashMap;
use taskmonitor::Id;
use taskmonitor::Sample;

use crate::times::Clock;

/// The counters of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    usr: u64,
    sys: u64,
    minflt: u64,
    majflt: u64,
}

impl Counters {
    fn of(sample: &Sample) -> Self {
        let &Sample { usr, sys, minflt, majflt, .. } = sample;
        Self { usr, sys, minflt, majflt }
    }
}

/// How much of each counter there was in how much time. A counter that went back has no increase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Increase {
    /// Nanoseconds.
    pub elapsed: u64,
    /// User CPU time, in nanoseconds.
    pub usr: Option<u64>,
    /// System CPU time, in nanoseconds.
    pub sys: Option<u64>,
    /// Page faults without I/O.
    pub minflt: Option<u64>,
    /// Page faults with I/O.
    pub majflt: Option<u64>,
}

impl Increase {
    const NONE: Self = Self { elapsed: 0, usr: Some(0), sys: Some(0), minflt: Some(0), majflt: Some(0) };

    fn between(before: &Sample, after: &Sample) -> Self {
        let (a, b) = (Counters::of(before), Counters::of(after));
        Self {
            elapsed: after.time.saturating_sub(before.time),
            usr: b.usr.checked_sub(a.usr),
            sys: b.sys.checked_sub(a.sys),
            minflt: b.minflt.checked_sub(a.minflt),
            majflt: b.majflt.checked_sub(a.majflt),
        }
    }

    fn and(self, other: Self) -> Self {
        let add = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
        Self {
            elapsed: self.elapsed.saturating_add(other.elapsed),
            usr: add(self.usr, other.usr),
            sys: add(self.sys, other.sys),
            minflt: add(self.minflt, other.minflt),
            majflt: add(self.majflt, other.majflt),
        }
    }

    fn rates(self) -> Rates {
        let seconds = self.elapsed as f64 / 1e9;
        let rate = |counter: Option<u64>, unit: f64| {
            (self.elapsed > 0).then_some(())?;
            Some(counter? as f64 / unit / seconds)
        };
        let cpu = self.usr.zip(self.sys).and_then(|(usr, sys)| usr.checked_add(sys));
        Rates {
            cpu: rate(cpu, 1e7),
            usr: rate(self.usr, 1e7),
            sys: rate(self.sys, 1e7),
            minflt: rate(self.minflt, 1.0),
            majflt: rate(self.majflt, 1.0),
        }
    }
}

/// Rates over the time that has really passed; none where there is nothing to tell one from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// CPU usage, in percent of one processor.
    pub cpu: Option<f64>,
    /// That in user mode.
    pub usr: Option<f64>,
    /// That in the kernel.
    pub sys: Option<f64>,
    /// Page faults without I/O, a second.
    pub minflt: Option<f64>,
    /// Page faults with I/O, a second.
    pub majflt: Option<f64>,
}

/// A sample, and what happened since the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The sample; of a span of time, the last.
    pub sample: Sample,
    /// The increase of its counters.
    pub increase: Increase,
    /// The rates.
    pub rates: Rates,
    /// Samples that are missing before this one; of a span of time, in it.
    pub lost: u64,
    /// For how long the system was suspended before this sample, in nanoseconds; of a span of time, in it. As with missing samples,
    /// the time between the two samples is in no rate.
    pub suspended: u64,
}

/// What is known of a task.
#[derive(Clone, Copy, Debug)]
struct Track {
    last: Sample,
    increase: Increase,
    lost: u64,
    suspended: u64,
    // Between it and the one before, if none is missing there.
    step: Option<u64>,
    // Whether `last` is still to be given, as that of its span.
    open: bool,
}

/// Makes points of samples, for all tasks.
#[derive(Debug, Default)]
pub struct Series {
    // The length of a span, in nanoseconds: a point for each. None: a point for each sample.
    every: Option<u64>,
    // Knows when the system was suspended.
    clock: Option<Clock>,
    tracks: FxHashMap<Id, Track>,
}

impl Series {
    /// A point for each span of `every`, which begin at its multiples since boot; without, one for each sample.
    pub fn new(every: Option<Duration>) -> Self {
        let every = every.map(|every| u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1));
        Self { every, clock: None, tracks: FxHashMap::default() }
    }

    /// The same, which takes a time in which the system was suspended, by `clock`, for a gap.
    pub fn by_clock(every: Option<Duration>, clock: Clock) -> Self {
        Self { clock: Some(clock), ..Self::new(every) }
    }

    /// The counters of a task were those of `sample` before its first sample: nothing is given for it, but an increase begins there.
    pub fn begin(&mut self, sample: Sample) {
        self.tracks.insert(sample.id(), Track { open: false, ..Track::new(sample) });
    }

    /// Takes the next sample, and gives the points that are complete with it to `give`.
    pub fn push(&mut self, sample: Sample, mut give: impl FnMut(Point)) {
        let track = self.tracks.get(&sample.id()).copied();
        let fresh = Track::new(sample);
        let mut next = match track {
            None => fresh,
            Some(track) => {
                let same = self.every.is_some_and(|every| sample.time / every == track.last.time / every);
                if track.open && !same {
                    give(track.point());
                }
                let old = if track.open && same { track } else { fresh };
                let lost = sample.seq.saturating_sub(track.last.seq).saturating_sub(1);
                // Between samples that do not follow each other nothing is known. (A task that was removed and added again begins
                // with 0.)
                let next = sample.seq.checked_sub(1) == Some(track.last.seq);
                let (before, now) = (track.last.time, sample.time);
                // (Where samples are missing, only what was seen is known.)
                let step = track.step.filter(|_| next);
                let suspended =
                    self.clock.as_ref().map_or_else(Default::default, |clock| clock.suspended(before, now, step));
                let known = next && suspended.length == 0;
                let more = if known { Increase::between(&track.last, &sample) } else { Increase::NONE };
                Track {
                    last: sample,
                    increase: old.increase.and(more),
                    lost: old.lost.saturating_add(lost),
                    suspended: old.suspended.saturating_add(suspended.length),
                    // (Of what follows a gap, the step before it is still a measure. But if it was only guessed that there is one, a
                    // second step of that length shows that the period is longer.)
                    step: if known || suspended.guessed { Some(now.saturating_sub(before)) } else { track.step },
                    open: true,
                }
            }
        };
        if self.every.is_none() || sample.state.exited() {
            give(next.point());
            next.open = false;
        }
        if sample.state.exited() {
            self.tracks.remove(&sample.id());
        } else {
            self.tracks.insert(sample.id(), next);
        }
    }

    /// Gives the points of the spans that are not complete, as far as they go, those of the oldest first.
    pub fn finish(&mut self, mut give: impl FnMut(Point)) {
        let mut open: Vec<&mut Track> = self.tracks.values_mut().filter(|track| track.open).collect();
        open.sort_by_key(|track| (track.last.time, track.last.id()));
        for track in open {
            give(track.point());
            track.open = false;
        }
    }
}

impl Track {
    fn new(sample: Sample) -> Self {
        Self { last: sample, increase: Increase::NONE, lost: 0, suspended: 0, step: None, open: true }
    }

    fn point(&self) -> Point {
        let Self { last: sample, increase, lost, suspended, .. } = *self;
        Point { sample, increase, rates: increase.rates(), lost, suspended }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use taskmonitor_recording::Anchor;

    use super::*;

    /// A sample at `second` with CPU times in milliseconds.
    fn sample(seq: u64, second: f64, usr: u64, sys: u64) -> Sample {
        let line = format!(
            "pid 7 usr {} sys {} time {} rss 0 minflt {} majflt 0 mm_users 1 state S seq {seq} start 9",
            usr * 1_000_000,
            sys * 1_000_000,
            (second * 1e9) as u64,
            10 * seq,
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn points(every: Option<u64>, samples: &[Sample]) -> Vec<Point> {
        let mut series = Series::new(every.map(Duration::from_secs));
        let mut points = Vec::new();
        for &sample in samples {
            series.push(sample, |point| points.push(point));
        }
        series.finish(|point| points.push(point));
        points
    }

    #[test]
    fn rates_are_over_the_time_that_passed() {
        let points = points(None, &[sample(0, 1.0, 0, 0), sample(1, 1.5, 250, 50), sample(2, 3.5, 250, 50)]);
        assert_eq!(points[0].rates, Rates::default());
        assert_eq!(
            (points[1].rates.usr, points[1].rates.sys, points[1].rates.cpu),
            (Some(50.0), Some(10.0), Some(60.0))
        );
        assert_eq!((points[1].rates.minflt, points[1].rates.majflt), (Some(20.0), Some(0.0)));
        assert_eq!((points[2].rates.cpu, points[2].rates.minflt), (Some(0.0), Some(5.0)));
    }

    #[test]
    fn no_rate_over_a_gap() {
        let points = points(None, &[sample(0, 1.0, 0, 0), sample(5, 6.0, 5000, 0), sample(6, 7.0, 5500, 0)]);
        assert_eq!(points.iter().map(|p| p.lost).collect::<Vec<_>>(), [0, 4, 0]);
        assert_eq!((points[1].rates.cpu, points[2].rates.cpu), (None, Some(50.0)));
    }

    #[test]
    fn no_rate_over_a_removal() {
        let samples = [sample(7, 1.0, 0, 0), sample(0, 5.0, 4000, 0), sample(1, 6.0, 4500, 0)];
        let points = points(None, &samples);
        assert_eq!(points.iter().map(|p| p.lost).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(points.iter().map(|p| p.rates.cpu).collect::<Vec<_>>(), [None, None, Some(50.0)]);
    }

    #[test]
    fn no_rate_of_a_counter_that_went_back_nor_of_no_time() {
        let points = points(None, &[sample(0, 1.0, 100, 0), sample(1, 2.0, 50, 0), sample(2, 2.0, 60, 0)]);
        assert_eq!((points[1].rates.usr, points[1].rates.cpu, points[1].rates.sys), (None, None, Some(0.0)));
        assert_eq!(points[2].rates, Rates::default());
    }

    #[test]
    fn spans() {
        let samples: Vec<Sample> = (0..=6).map(|i| sample(i, 1.0 + i as f64 / 2.0, 100 * i, 0)).collect();
        let points = points(Some(2), &samples);
        // Spans from 0, 2 and 4 s on; each begins where the one before ended.
        assert_eq!(points.iter().map(|p| p.sample.seq).collect::<Vec<_>>(), [1, 5, 6]);
        assert_eq!(points.iter().map(|p| p.rates.cpu).collect::<Vec<_>>(), [Some(20.0); 3]);
        assert_eq!(points.iter().map(|p| p.lost).sum::<u64>(), 0);
    }

    #[test]
    fn a_gap_in_a_span_counts_for_nothing() {
        let samples =
            [sample(0, 0.0, 0, 0), sample(1, 1.0, 100, 0), sample(8, 8.0, 8000, 0), sample(9, 9.0, 8100, 0)];
        let points = points(Some(10), &samples);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].rates.cpu, points[0].lost), (Some(10.0), 6));
    }

    #[test]
    fn no_rate_over_a_suspend() {
        let samples =
            [sample(0, 1.0, 0, 0), sample(1, 2.0, 500, 0), sample(2, 92.0, 600, 0), sample(3, 93.0, 1100, 0)];
        let anchor = |at: u64, suspended: u64| Anchor {
            since: 0,
            at: at * 1_000_000_000,
            booted: 0,
            suspended: suspended * 1_000_000_000,
        };
        // As it was seen, and as it can be guessed later.
        let seen = Clock::of(anchor(0, 0));
        seen.push(anchor(92, 89));
        for (clock, expected) in [(seen, 89), (Clock::of(anchor(100, 89)), 89), (Clock::of(anchor(100, 0)), 0)] {
            let mut points = Vec::new();
            let mut series = Series::by_clock(None, clock);
            samples.into_iter().for_each(|sample| series.push(sample, |point| points.push(point)));
            let cpu: Vec<_> = points.iter().map(|point| point.rates.cpu.map(f64::round)).collect();
            let gap = if expected > 0 { None } else { Some(0.0) };
            assert_eq!(cpu, [None, Some(50.0), gap, Some(50.0)]);
            assert_eq!(points.iter().map(|point| point.suspended / 1_000_000_000).sum::<u64>(), expected);
            assert_eq!(points.iter().map(|point| point.lost).sum::<u64>(), 0);
        }
    }

    #[test]
    fn a_longer_period_is_no_suspend() {
        let seconds = [201, 202, 203, 263, 323, 383, 384, 385, 445, 505];
        let clock = Clock::of(Anchor { since: 0, at: 1_000_000_000_000, booted: 0, suspended: 100_000_000_000 });
        let mut points = Vec::new();
        let mut series = Series::by_clock(None, clock);
        for (seq, second) in (0..).zip(seconds) {
            series.push(sample(seq, second as f64, 500 * second, 0), |point| points.push(point));
        }
        let cpu: Vec<_> = points.iter().map(|point| point.rates.cpu).collect();
        // The first such interval may be a suspend. The second one refutes that, and there were not two of them.
        let half = Some(50.0);
        assert_eq!(cpu, [None, half, half, None, half, half, half, half, half, half]);
        assert_eq!(points.iter().map(|point| point.suspended).sum::<u64>(), 59_000_000_000);
    }

    #[test]
    fn a_beginning_is_no_point() {
        for every in [None, Some(10)] {
            let mut series = Series::new(every.map(Duration::from_secs));
            let mut points = Vec::new();
            series.begin(sample(3, 1.0, 0, 0));
            series.push(sample(4, 3.0, 1000, 0), |point| points.push(point));
            series.finish(|point| points.push(point));
            assert_eq!(points.iter().map(|p| (p.sample.seq, p.rates.cpu)).collect::<Vec<_>>(), [(4, Some(50.0))]);
        }
    }

    #[test]
    fn tasks_apart_and_exits() {
        let mut other = sample(0, 1.0, 77, 0);
        other.start = 10;
        let mut last = sample(1, 2.0, 500, 0);
        last.state = taskmonitor::State::EXITED;
        let mut series = Series::new(Some(Duration::from_secs(100)));
        let mut points = Vec::new();
        for sample in [sample(0, 1.0, 0, 0), other, last] {
            series.push(sample, |point| points.push(point));
        }
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].rates.cpu, points[0].sample.state.exited()), (Some(50.0), true));
        assert_eq!(series.tracks.len(), 1, "nothing is kept of a task that has exited");
    }
}
