// SPDX-License-Identifier: GPL-2.0-only

//! A long past in bounded memory: neighbouring samples become one span of time, which keeps their extremes, so that no peak
//! is lost however long the past is. Nothing here reads or writes anything.

use taskmonitor::State;

use crate::rate::Point;

/// What one task did in a span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// CLOCK_BOOTTIME from which on this tells what happened, in nanoseconds: that of the sample before the first, or, if
    /// that one is missing, of the first itself. Where it is not the `until` of the span before, there is a gap.
    pub since: u64,
    /// CLOCK_BOOTTIME of the last sample, in nanoseconds.
    pub until: u64,
    /// How much of the time in between is known, in nanoseconds: all of it but the gaps.
    pub elapsed: u64,
    /// User CPU time, in nanoseconds.
    pub usr: u64,
    /// System CPU time, in nanoseconds.
    pub sys: u64,
    /// The lowest and the highest CPU usage between two samples, in percent of one processor; none where none is known.
    pub cpu: Option<(f32, f32)>,
    /// The least and the most resident memory of a sample, in bytes.
    pub rss: (u64, u64),
    /// Page faults without I/O.
    pub minflt: u64,
    /// Page faults with I/O.
    pub majflt: u64,
    /// Samples.
    pub samples: u32,
    /// Samples that are missing, before the first and between them.
    pub lost: u64,
    /// Resident memory in the last sample, in bytes.
    pub last_rss: u64,
    /// The state in the last sample.
    pub state: State,
}

impl Span {
    /// That of one sample.
    pub fn of(point: &Point) -> Self {
        let Point { sample, increase, rates, lost, .. } = point;
        let cpu = rates.cpu.map(|cpu| (cpu as f32, cpu as f32));
        Self {
            since: sample.time.saturating_sub(increase.elapsed),
            until: sample.time,
            elapsed: increase.elapsed,
            usr: increase.usr.unwrap_or(0),
            sys: increase.sys.unwrap_or(0),
            cpu,
            rss: (sample.rss, sample.rss),
            minflt: increase.minflt.unwrap_or(0),
            majflt: increase.majflt.unwrap_or(0),
            samples: 1,
            lost: *lost,
            last_rss: sample.rss,
            state: sample.state,
        }
    }

    /// Takes `later`, which follows, into this one.
    pub fn join(&mut self, later: &Self) {
        let cpu = match (self.cpu, later.cpu) {
            (Some((low, high)), Some((lower, higher))) => Some((low.min(lower), high.max(higher))),
            (cpu, None) | (None, cpu) => cpu,
        };
        *self = Self {
            since: self.since,
            until: later.until,
            elapsed: self.elapsed.saturating_add(later.elapsed),
            usr: self.usr.saturating_add(later.usr),
            sys: self.sys.saturating_add(later.sys),
            cpu,
            rss: (self.rss.0.min(later.rss.0), self.rss.1.max(later.rss.1)),
            minflt: self.minflt.saturating_add(later.minflt),
            majflt: self.majflt.saturating_add(later.majflt),
            samples: self.samples.saturating_add(later.samples),
            lost: self.lost.saturating_add(later.lost),
            last_rss: later.last_rss,
            state: later.state,
        };
    }

    /// The mean of user and of system CPU usage, in percent of one processor; none where no time is known.
    pub fn mean(&self) -> Option<(f64, f64)> {
        let share = |ns: u64| 100.0 * ns as f64 / self.elapsed as f64;
        (self.elapsed > 0).then(|| (share(self.usr), share(self.sys)))
    }
}

/// The past of one task, in at most so many spans.
#[derive(Clone, Debug)]
pub struct Past {
    most: usize,
    // Spans whose samples are of the same multiple of 2^shift nanoseconds are one.
    shift: u32,
    spans: Vec<Span>,
}

impl Past {
    /// In at most `most` spans (but 2 at least). As long as there are not more samples, each has its own.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(2), shift: 0, spans: Vec::new() }
    }

    /// From now on in at most `most` spans (but 2 at least), and in no more memory than those need. What has been joined
    /// stays so.
    pub fn limit(&mut self, most: usize) {
        self.most = most.max(2);
        while self.spans.len() > self.most {
            self.widen();
        }
        self.spans.shrink_to(self.most);
    }

    /// Takes the next sample. (Of one that is older than the last there is nothing to be learnt.)
    pub fn push(&mut self, point: &Point) {
        let next = Span::of(point);
        match self.spans.last_mut() {
            Some(last) if last.until >= next.until => {}
            Some(last) if last.until >> self.shift == next.until >> self.shift => last.join(&next),
            _ => self.spans.push(next),
        }
        while self.spans.len() > self.most {
            self.widen();
        }
    }

    /// Twice as much time in each. (What is within one multiple at the end is so however large `shift` grows.)
    fn widen(&mut self) {
        self.shift = (self.shift + 1).min(63);
        let shift = self.shift;
        self.spans.dedup_by(|later, earlier| {
            let same = earlier.until >> shift == later.until >> shift;
            if same {
                earlier.join(later);
            }
            same
        });
    }

    /// For how many spans there is memory.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.spans.capacity()
    }

    /// The spans, the oldest first.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span that tells of `time`: the last that began no later; none before the first.
    pub fn at(&self, time: u64) -> Option<&Span> {
        let behind = self.spans.partition_point(|span| span.since <= time);
        self.spans.get(behind.checked_sub(1)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;
    use taskmonitor::Sample;

    use super::*;
    use crate::rate::Series;

    fn sample(seq: u64, time: u64, usr: u64, rss: u64) -> Sample {
        let line = format!(
            "pid 7 usr {usr} sys 0 time {time} rss {rss} minflt {seq} majflt 0 mm_users 1 state S seq {seq} start 9"
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn past(most: usize, samples: &[Sample]) -> Past {
        let (mut past, mut series) = (Past::new(most), Series::new(None));
        for &sample in samples {
            series.push(sample, |point| past.push(&point));
        }
        past
    }

    #[test]
    fn few_samples_stay_as_they_are() {
        let samples = [sample(0, 100, 0, 5), sample(1, 200, 50, 6), sample(4, 500, 60, 7), sample(5, 600, 70, 7)];
        let past = past(4, &samples);
        let spans: Vec<_> = past.spans().iter().map(|s| (s.since, s.until, s.cpu, s.lost)).collect();
        let cpu = |p| Some((p, p));
        assert_eq!(
            spans,
            [(100, 100, None, 0), (100, 200, cpu(50.0), 0), (500, 500, None, 2), (500, 600, cpu(10.0), 0)]
        );
        assert_eq!(past.at(99), None);
        assert_eq!(past.at(150).unwrap().until, 200);
        assert_eq!(past.at(300).unwrap().until, 200, "in the gap: what was there before it");
        assert_eq!(past.at(900).unwrap().until, 600);
    }

    #[test]
    fn a_single_peak_among_a_million_is_kept() {
        let (mut usr, mut past, mut series) = (0, Past::new(100), Series::new(None));
        for seq in 0..1_000_000_u64 {
            usr += if seq == 654_321 { 1_000_000 } else { 1000 };
            let rss = if seq == 123_456 { 1 << 30 } else { 4096 };
            series.push(sample(seq, (seq + 1) * 1_000_000, usr, rss), |point| past.push(&point));
        }
        assert!((50..=100).contains(&past.spans().len()), "{}", past.spans().len());
        assert_eq!(past.spans().iter().filter(|s| s.cpu.unwrap().1 == 100.0).count(), 1);
        assert_eq!(past.spans().iter().filter(|s| s.rss.1 == 1 << 30).count(), 1);
    }

    #[test]
    fn a_lower_limit_holds_at_once() {
        let samples: Vec<_> = (0..1000).map(|i| sample(i, 100 * (i + 1), 10 * i, i)).collect();
        let (mut past, all) = (past(1000, &samples), past(1000, &samples));
        past.limit(10);
        assert!((5..=10).contains(&past.spans().len()) && past.spans.capacity() <= 16, "{past:?}");
        let whole = |past: &Past| {
            past.spans()[1..].iter().fold(past.spans()[0], |mut a, b| {
                a.join(b);
                a
            })
        };
        assert_eq!(whole(&past), whole(&all));
    }

    proptest! {
        /// Whatever comes, nothing is lost and nothing is counted twice.
        #[test]
        fn sums_and_extremes_stay(
            steps in prop::collection::vec((0..4_u64, 0..u64::MAX >> 8, 0..1_000_u64, 0..1_000_000_u64), 1..200),
            most in 0..20_usize,
        ) {
            let (mut seq, mut time, mut usr) = (0_u64, 0_u64, 0);
            let mut samples = Vec::new();
            for (skipped, passed, used, rss) in steps {
                seq += 1 + skipped / 3;
                time = time.saturating_add(passed + 1);
                usr += used;
                samples.push(sample(seq, time, usr, rss));
            }
            let (all, few) = (past(usize::MAX, &samples), past(most, &samples));
            prop_assert!(few.spans().len() <= most.max(2));
            let mut whole = all.spans()[0];
            all.spans()[1..].iter().for_each(|span| whole.join(span));
            let mut reduced = few.spans()[0];
            few.spans()[1..].iter().for_each(|span| reduced.join(span));
            prop_assert_eq!(whole, reduced);
            prop_assert!(few.spans().windows(2).all(|w| w[0].until <= w[1].since && w[0].until < w[1].until));
        }
    }
}
