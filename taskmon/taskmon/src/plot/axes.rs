// SPDX-License-Identifier: GPL-2.0-only

//! Where the ticks of an axis are, and what stands at them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::output::grouped;

/// An axis from 0 to a round number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Its upper end.
    pub top: f64,
    /// From tick to tick.
    pub step: f64,
}

/// A little may stick out at the top: 100.3 % wants no axis up to 200.
const OVER: f64 = 0.02;

impl Scale {
    /// An axis on which `highest` fits, with at most `parts` from tick to tick.
    pub fn new(highest: f64, parts: u32) -> Self {
        let parts = f64::from(parts.max(1));
        if !highest.is_finite() || highest <= 0.0 {
            return Self { top: 1.0, step: 1.0 };
        }
        let mut unit = 10_f64.powf((highest / parts).log10().floor());
        for _ in 0..3 {
            for step in [1.0, 2.0, 2.5, 5.0] {
                let needed = (highest / (step * unit) / (1.0 + OVER)).ceil().max(1.0);
                // (Halves at the ticks are harder to read than what is gained by them.)
                if needed <= parts && (step != 2.5 || unit > 1.0) {
                    return Self { top: needed * step * unit, step: step * unit };
                }
            }
            unit *= 10.0;
        }
        Self { top: highest, step: highest }
    }

    /// One for percent of a processor: a whole one is what people compare with, and what hardly does anything is not to
    /// look busy.
    pub fn percent(highest: f64, parts: u32) -> Self {
        let highest = highest.max(10.0);
        Self::new(if (50.0..=100.0 * (1.0 + OVER)).contains(&highest) { 100.0 } else { highest }, parts)
    }

    /// The ticks, from 0 on.
    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Self { top, step } = *self;
        let most = (top / step).round().clamp(0.0, 100.0) as u32;
        (0..=most).map(move |i| f64::from(i) * step)
    }

    /// What stands at one, in at most six characters.
    pub fn label(&self, value: f64) -> String {
        // (No task does that much, but a file can say so.)
        if value >= 1e9 || self.step < 1e-3 {
            return if value > 0.0 { format!("{value:.1e}").replace(".0e", "e") } else { "0".to_owned() };
        }
        if self.step >= 1.0 && value >= 10_000.0 {
            let (value, unit) = if value >= 1e6 { (value / 1e6, "M") } else { (value / 1e3, "k") };
            let short = format!("{value:.1}");
            return format!("{}{unit}", short.strip_suffix(".0").unwrap_or(&short));
        }
        let digits = (0..6).find(|&d| (self.step * 10_f64.powi(d)).fract().abs() < 1e-6).unwrap_or(6);
        if digits == 0 {
            grouped(value.round() as u64)
        } else {
            format!("{value:.*}", digits.unsigned_abs() as usize)
        }
    }
}

/// The unit in which `bytes` is a handy number.
pub fn unit(bytes: u64) -> (&'static str, f64) {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)];
    let fitting = units.iter().rev().find(|(_, shift)| bytes >> shift > 0);
    let (name, shift) = fitting.copied().unwrap_or(("KiB", 10));
    (name, (1_u64 << shift) as f64)
}

/// A tick of the axis of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Nanoseconds since 1970.
    pub at: i128,
    /// What stands at it.
    pub label: String,
    /// A day, or year, that begins there, or is that of the beginning.
    pub date: Option<String>,
}

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// From tick to tick, in nanoseconds: round numbers as people count time, the smallest first.
fn steps() -> impl Iterator<Item = i128> {
    let decimal = |from: u32, until: u32, unit: i128| {
        (from..until).flat_map(move |power| [1, 2, 5].map(|digit| digit * 10_i128.pow(power) * unit))
    };
    let few = [1, 2, 5, 10, 15, 30].into_iter();
    decimal(0, 9, 1)
        .chain(few.clone().map(|n| n * SECOND))
        .chain(few.map(|n| n * MINUTE))
        .chain([1, 2, 3, 6, 12].map(|n| n * HOUR))
        .chain([1, 2, 7, 14].map(|n| n * DAY))
        .chain(decimal(1, 7, DAY).filter(|&step| step > 14 * DAY))
}

/// The ticks from `from` to `until` (both nanoseconds since 1970, in UTC), as many as fit into `room` with `gap` between
/// their labels, whose width `measure` knows.
pub fn times(from: i128, until: i128, room: f64, gap: f64, measure: impl Fn(&str) -> f64) -> Vec<Tick> {
    let range = (until - from).max(1);
    let place = |at: i128| (at - from) as f64 / range as f64 * room;
    for step in steps().filter(|step| range / step <= 100) {
        let ticks = every(step, from, until);
        let fits = ticks.windows(2).all(|two| match two {
            [a, b] => place(b.at) - place(a.at) >= (measure(&a.label) + measure(&b.label)) / 2.0 + gap,
            _ => true,
        });
        if fits {
            return ticks;
        }
    }
    Vec::new()
}

fn civil(at: i128) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_nanosecond(at).unwrap_or(if at < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    }))
}

/// The date of `at`, or, for days, its year.
pub fn date(at: i128, days: bool) -> String {
    let time = civil(at);
    if days {
        format!("{:04}", time.year())
    } else {
        format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day())
    }
}

/// Whether the ticks are days.
pub fn days(ticks: &[Tick]) -> bool {
    ticks.iter().all(|tick| tick.at.rem_euclid(DAY) == 0) && ticks.iter().any(|tick| !tick.label.contains(':'))
}

fn every(step: i128, from: i128, until: i128) -> Vec<Tick> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = step >= DAY;
    let mut before = date(from, days);
    let first = from.div_euclid(step) + i128::from(from.rem_euclid(step) > 0);
    let mut ticks = Vec::new();
    for at in (first..=until.div_euclid(step)).map(|i| i * step) {
        let time = civil(at);
        let (h, m, s) = (time.hour(), time.minute(), time.second());
        let fraction = format!("{:09}", at.rem_euclid(SECOND));
        let digits = (0..=9).find(|&d| step % 10_i128.pow(9 - d) == 0).unwrap_or(9) as usize;
        let fraction = fraction.get(..digits).unwrap_or_default();
        let label = match step {
            step if step >= DAY => {
                let month = MONTHS.get((time.month() - 1).unsigned_abs() as usize).copied().unwrap_or_default();
                format!("{} {month}", time.day())
            }
            step if step >= MINUTE => format!("{h:02}:{m:02}"),
            step if step >= SECOND || at.rem_euclid(SECOND) == 0 => format!("{h:02}:{m:02}:{s:02}"),
            _ if ticks.is_empty() => format!("{h:02}:{m:02}:{s:02}.{fraction}"),
            _ => format!(".{fraction}"),
        };
        let now = date(at, days);
        let date = (now != before).then(|| now.clone());
        before = now;
        ticks.push(Tick { at, label, date });
    }
    ticks
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-27T16:00:00Z.
    const T: i128 = 1_795_795_200 * SECOND;

    fn labels(from: i128, until: i128) -> Vec<String> {
        times(from, until, 600.0, 12.0, |text| 6.4 * text.len() as f64).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn scales() {
        let ticks = |max, parts| Scale::new(max, parts).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(100.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(101.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(1600.0, 4), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(ticks(0.0, 4), [0.0, 1.0]);
        assert_eq!(ticks(f64::NAN, 4), [0.0, 1.0]);
        assert_eq!(Scale::percent(0.0, 2).top, 10.0);
        assert_eq!(Scale::percent(51.0, 2).top, 100.0);
        assert_eq!(Scale::percent(143.0, 3).top, 150.0);
        let label = |max, value| Scale::new(max, 4).label(value);
        assert_eq!([label(8.0, 2.0), label(1.0, 0.5), label(8000.0, 2000.0)], ["2", "0.5", "2,000"]);
        assert_eq!([label(9e4, 50_000.0), label(9e6, 2_500_000.0)], ["50k", "2.5M"]);
        assert_eq!([unit(0), unit(5 << 20), unit(u64::MAX)].map(|(name, _)| name), ["KiB", "MiB", "PiB"]);
    }

    #[test]
    fn times_for_people() {
        let joined = |from, until| labels(from, until).join(" ");
        assert_eq!(joined(T, T + 100 * SECOND), "16:00:00 16:00:15 16:00:30 16:00:45 16:01:00 16:01:15 16:01:30");
        assert_eq!(joined(T, T + SECOND * 3 / 2), "16:00:00 .2 .4 .6 .8 16:00:01 .2 .4");
        assert_eq!(joined(T + 1, T + 1_000_001), "16:00:00.0002 .0004 .0006 .0008 .0010");
        assert_eq!(
            joined(T, T + HOUR),
            "16:00 16:05 16:10 16:15 16:20 16:25 16:30 16:35 16:40 16:45 16:50 16:55 17:00"
        );
        assert_eq!(joined(T, T + 30 * HOUR), "18:00 21:00 00:00 03:00 06:00 09:00 12:00 15:00 18:00 21:00");
        assert_eq!(joined(T, T + 8 * DAY), "28 Nov 29 Nov 30 Nov 1 Dec 2 Dec 3 Dec 4 Dec 5 Dec");
    }

    #[test]
    fn the_date_is_said_where_it_changes() {
        let dates = |until| {
            let ticks = times(T, until, 600.0, 12.0, |text| 6.4 * text.len() as f64);
            (days(&ticks), ticks.into_iter().filter_map(|tick| tick.date).collect::<Vec<_>>())
        };
        assert_eq!(dates(T + HOUR), (false, vec![]));
        assert_eq!(dates(T + 30 * HOUR), (false, vec!["2026-11-28".to_owned()]));
        assert_eq!(dates(T + 60 * DAY), (true, vec!["2027".to_owned()]));
        assert_eq!(date(T, false), "2026-11-27");
    }

    proptest! {
        /// Whatever the range, there are some, in it, that do not touch.
        #[test]
        fn any_range(from in 0..4_000_000_000_000_000_000_i128, power in 1..62_u32, room in 250.0..4000.0_f64) {
            let until = from + (1_i128 << power);
            let measure = |text: &str| 6.4 * text.len() as f64;
            let ticks = times(from, until, room, 10.0, measure);
            prop_assert!(ticks.iter().all(|tick| (from..=until).contains(&tick.at)));
            prop_assert!(ticks.windows(2).all(|two| two[0].at < two[1].at));
            prop_assert!(power < 4 || !ticks.is_empty());
            prop_assert!(ticks.len() as f64 <= room / 16.0);
        }

        #[test]
        fn any_scale(power in -9..22_i32, digits in 1.0..10.0_f64, parts in 1..10_u32) {
            let highest = digits * 10_f64.powi(power);
            let scale = Scale::new(highest, parts);
            prop_assert!(scale.top * 1.0201 >= highest && scale.top / scale.step <= f64::from(parts) + 0.01, "{:?}", scale);
            prop_assert!(scale.ticks().all(|tick| scale.label(tick).len() <= 6), "{:?}", scale);
        }
    }
}
