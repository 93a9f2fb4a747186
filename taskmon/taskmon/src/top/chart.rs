// SPDX-License-Identifier: GPL-2.0-only

//! A past in as many columns as a screen has. Nothing here reads or writes anything.

use crate::reduce::Span;

/// What happened in the time of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The mean of user and of system CPU usage, in percent, over what is known of the time.
    pub cpu: Option<(f64, f64)>,
    /// The highest usage.
    pub peak: Option<f64>,
    /// The most resident memory.
    pub rss: Option<u64>,
    /// Samples are missing.
    pub gap: bool,
    /// The task has exited.
    pub exit: bool,
    // Nanoseconds of it that are known.
    known: f64,
}

/// Puts `spans` into `count` columns, of which the first begins at `since`, and each takes `width` nanoseconds. (Those before
/// boot have nothing.)
pub fn bins(spans: &[Span], since: i128, width: u64, count: usize) -> Vec<Bin> {
    let width = width.max(1);
    let before_boot = usize::try_from((-since).max(0) / i128::from(width)).unwrap_or(count).min(count);
    let mut bins = vec![Bin::default(); before_boot];
    bins.extend(bins_since_boot(spans, u64::try_from(since.max(0)).unwrap_or(u64::MAX), width, count - before_boot));
    bins
}

fn bins_since_boot(spans: &[Span], since: u64, width: u64, count: usize) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); count];
    let end = since.saturating_add(width.saturating_mul(count as u64));
    let column = |time: u64| usize::try_from(time.saturating_sub(since) / width).unwrap_or(usize::MAX);
    let first = spans.partition_point(|span| span.until < since);
    let mut before = first.checked_sub(1).and_then(|i| spans.get(i)).map(|span| span.until);
    for span in spans.iter().skip(first).take_while(|span| span.since < end) {
        // Where it is not known what happened, from the end of the one before on.
        if let Some(before) = before.filter(|&before| before < span.since) {
            let (from, to) = (column(before.max(since)), column(span.since.saturating_sub(1)));
            bins.iter_mut().take(to.saturating_add(1)).skip(from).for_each(|bin| bin.gap = true);
        }
        before = Some(span.until);
        let mean = span.mean();
        // (A moment at the end of a column is in it, not in the next.)
        let (from, to) = (column(span.since.max(since)), column(span.until.saturating_sub(1).max(since)));
        let (from, to) = (from.min(to), to);
        for (i, bin) in bins.iter_mut().enumerate().take(to.saturating_add(1)).skip(from) {
            let begin = since.saturating_add(width.saturating_mul(i as u64));
            let overlap = span.until.min(begin.saturating_add(width)).saturating_sub(span.since.max(begin)) as f64;
            if let Some((usr, sys)) = mean {
                let (old_usr, old_sys) = bin.cpu.unwrap_or_default();
                let known = bin.known + overlap;
                let joined =
                    |old: f64, new: f64| if known > 0.0 { (old * bin.known + new * overlap) / known } else { new };
                bin.cpu = Some((joined(old_usr, usr), joined(old_sys, sys)));
                bin.known = known;
                let peak = span.cpu.map_or(usr + sys, |(_, high)| f64::from(high));
                bin.peak = Some(bin.peak.map_or(peak, |old| old.max(peak)));
            }
            bin.rss = Some(bin.rss.map_or(span.rss.1, |old| old.max(span.rss.1)));
            bin.gap |= span.lost > 0 && i == from && span.samples > 1;
            bin.exit |= span.state.exited() && i == to;
        }
    }
    bins
}

/// The least number that is fit for the end of an axis and not below `value`: ..., 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, ...
pub fn round_up(value: f64) -> f64 {
    let mut ten = 1.0;
    for _ in 0..20 {
        let factors = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];
        if let Some(end) = factors.into_iter().map(|factor| factor * ten).find(|&end| end >= value) {
            return end;
        }
        ten *= 10.0;
    }
    ten
}

/// The same for bytes: 4 KiB, 6 KiB, 8 KiB, 12 KiB, ...
pub fn round_up_bytes(value: u64) -> u64 {
    let mut end = 4096_u64;
    while end < value {
        if end + end / 2 >= value {
            return end + end / 2;
        }
        end = end.saturating_mul(2);
    }
    end
}

const STEPS: [u64; 25] = [
    1_000_000,
    10_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    15_000_000_000,
    30_000_000_000,
    60_000_000_000,
    120_000_000_000,
    300_000_000_000,
    600_000_000_000,
    1_800_000_000_000,
    3_600_000_000_000,
    7_200_000_000_000,
    21_600_000_000_000,
    43_200_000_000_000,
    86_400_000_000_000,
    172_800_000_000_000,
    604_800_000_000_000,
    2_592_000_000_000_000,
    31_536_000_000_000_000,
];

/// How an axis is marked, a column of which has `width` nanoseconds: the time between two marks, which people count in, and
/// how the time of day is written there.
pub fn marks(width: u64) -> (u64, &'static str) {
    let formats = STEPS.into_iter().map(|step| match step {
        0..1_000_000_000 => (step, "%H:%M:%S%.3f", 12),
        1_000_000_000..60_000_000_000 => (step, "%H:%M:%S", 8),
        60_000_000_000..86_400_000_000_000 => (step, "%H:%M", 5),
        _ => (step, "%m-%d", 5),
    });
    // With its sign in front, and some room behind.
    let fits = formats.into_iter().find(|(step, _, columns)| step / width.max(1) >= columns + 3);
    fits.map_or((u64::MAX, "%Y"), |(step, format, _)| (step, format))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use taskmonitor::State;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn span(since: u64, until: u64, usr: u64, rss: u64) -> Span {
        let elapsed = until - since;
        let cpu = (elapsed > 0).then(|| usr as f32 * 100.0 / elapsed as f32);
        Span {
            since,
            until,
            elapsed,
            usr,
            sys: 0,
            cpu: cpu.map(|cpu| (cpu, cpu)),
            rss: (rss, rss),
            minflt: 0,
            majflt: 0,
            samples: 1,
            lost: 0,
            last_rss: rss,
            state: State::EXITED,
        }
    }

    #[test]
    fn each_column_has_its_own_time() {
        let spans = [span(100, 100, 0, 7), span(100, 200, 50, 8), span(200, 300, 100, 9)];
        let bins = bins(&spans, 50, 100, 4);
        let cpu: Vec<_> = bins.iter().map(|bin| bin.cpu.map(|(usr, _)| usr.round())).collect();
        assert_eq!(cpu, [Some(50.0), Some(75.0), Some(100.0), None]);
        assert_eq!(bins.iter().map(|bin| bin.peak).collect::<Vec<_>>(), [Some(50.0), Some(100.0), Some(100.0), None]);
        assert_eq!(bins.iter().map(|bin| bin.rss).collect::<Vec<_>>(), [Some(8), Some(9), Some(9), None]);
    }

    #[test]
    fn before_boot_there_is_nothing() {
        let spans = [span(0, 100, 50, 7), span(100, 200, 50, 8)];
        let rss = |since| bins(&spans, since, 100, 4).iter().map(|bin| bin.rss).collect::<Vec<_>>();
        assert_eq!(rss(-200), [None, None, Some(7), Some(8)]);
        assert_eq!(rss(-1000), [None; 4]);
        assert_eq!(rss(i128::from(u64::MAX)), [None; 4]);
    }

    #[test]
    fn a_long_span_fills_its_columns_and_a_gap_stays_empty() {
        let spans = [span(0, 300, 30, 1), span(700, 800, 0, 1)];
        let bins = bins(&spans, 0, 100, 9);
        let known: Vec<bool> = bins.iter().map(|bin| bin.cpu.is_some()).collect();
        assert_eq!(known, [true, true, true, false, false, false, false, true, false]);
        let gaps: Vec<bool> = bins.iter().map(|bin| bin.gap).collect();
        assert_eq!(gaps, [false, false, false, true, true, true, true, false, false]);
        assert!(bins[7].exit);
    }

    #[test]
    fn ends_of_axes() {
        assert_eq!(
            [0.0, 1.0, 1.1, 3.0, 60.0, 100.0, 101.0, 770.0].map(round_up),
            [1., 1., 1.5, 3., 60., 100., 150., 800.]
        );
        assert_eq!(round_up(f64::MAX), round_up(f64::INFINITY));
        assert_eq!([0, 4096, 4097, 7000, 1 << 30].map(round_up_bytes), [4096, 4096, 6144, 8192, 1 << 30]);
        assert_eq!(round_up_bytes(u64::MAX), u64::MAX);
        assert_eq!((marks(0).0, marks(u64::MAX).0), (1_000_000, u64::MAX));
        assert_eq!(marks(SECOND), (15 * SECOND, "%H:%M:%S"));
        assert_eq!(marks(10 * SECOND), (120 * SECOND, "%H:%M"));
        assert_eq!(marks(3600 * SECOND), (12 * 3600 * SECOND, "%H:%M"));
        assert_eq!(marks(4 * 3600 * SECOND), (2 * 86400 * SECOND, "%m-%d"));
    }
}
