// SPDX-License-Identifier: GPL-2.0

//! The instants at which samples are taken.

use core::num::{
    NonZeroU32,
    NonZeroU64, //
};

const NANOS_PER_MICRO: NonZeroU64 = NonZeroU64::MIN.saturating_add(999);

/// Equally spaced instants on CLOCK_MONOTONIC, numbered.
///
/// All arithmetic saturates: what a clock in nanoseconds can reach in a machine's life does not.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    /// When instant `first` is, in nanoseconds.
    start: u64,
    /// From one instant to the next, in nanoseconds.
    period: NonZeroU64,
    /// The number of the instant at `start`.
    first: u64,
}

impl Grid {
    /// A grid that begins at `start`, with instant `first`.
    pub(crate) fn new(start: u64, period_us: NonZeroU32, first: u64) -> Self {
        Self {
            start,
            period: NonZeroU64::from(period_us).saturating_mul(NANOS_PER_MICRO),
            first,
        }
    }

    /// From one instant to the next, in nanoseconds.
    pub(crate) fn period(&self) -> u64 {
        self.period.get()
    }

    /// The last instant that is not later than `now`.
    pub(crate) fn last_before(&self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.start) / self.period;
        self.first.saturating_add(passed)
    }

    /// When `instant` is.
    pub(crate) fn time_of(&self, instant: u64) -> u64 {
        let passed = instant.saturating_sub(self.first);
        self.start
            .saturating_add(passed.saturating_mul(self.period.get()))
    }
}

#[kernel::macros::kunit_tests(taskmonitor_grid)]
mod tests {
    use super::*;

    use crate::testing::Random;

    fn grid(start: u64, period_us: u32, first: u64) -> Grid {
        let period_us = NonZeroU32::new(period_us).unwrap_or(NonZeroU32::MIN);
        Grid::new(start, period_us, first)
    }

    #[test]
    fn instants_are_one_period_apart() {
        let grid = grid(5000, 1, 0);
        assert_eq!(grid.time_of(0), 5000);
        assert_eq!(grid.time_of(1), 6000);
        assert_eq!(grid.time_of(1000), 1_005_000);
    }

    #[test]
    fn an_instant_begins_at_its_nanosecond() {
        let grid = grid(5000, 1, 0);
        assert_eq!(grid.last_before(5000), 0);
        assert_eq!(grid.last_before(5001), 0);
        assert_eq!(grid.last_before(5999), 0);
        assert_eq!(grid.last_before(6000), 1);
        assert_eq!(grid.last_before(6001), 1);
        assert_eq!(grid.last_before(1_004_999), 999);
        assert_eq!(grid.last_before(1_005_000), 1000);
    }

    #[test]
    fn before_the_start_it_is_the_first() {
        assert_eq!(grid(5000, 1, 0).last_before(4999), 0);
        assert_eq!(grid(5000, 1, 0).last_before(0), 0);
        assert_eq!(grid(5000, 1, 7).last_before(4999), 7);
        assert_eq!(grid(5000, 1, 7).time_of(6), 5000);
        assert_eq!(grid(5000, 1, 7).time_of(0), 5000);
    }

    #[test]
    fn counting_goes_on_from_the_first() {
        let grid = grid(500, 100, 7);
        assert_eq!(grid.time_of(7), 500);
        assert_eq!(grid.time_of(9), 200_500);
        assert_eq!(grid.last_before(200_499), 8);
        assert_eq!(grid.last_before(200_500), 9);
    }

    /// Ten and a half periods were slept through: the next instant is where it always was.
    #[test]
    fn a_late_wakeup_does_not_shift_what_follows() {
        let grid = grid(1_000_000, 1000, 0);
        let due = grid.last_before(1_000_000 + 10_500_000);
        assert_eq!(due, 10);
        assert_eq!(grid.time_of(due + 1), 12_000_000);
    }

    #[test]
    fn periods_of_any_length() {
        assert_eq!(grid(0, 100, 0).time_of(1), 100_000);
        assert_eq!(grid(0, 3_600_000_000, 0).time_of(1), 3_600_000_000_000);
        assert_eq!(grid(0, 3_600_000_000, 0).last_before(3_599_999_999_999), 0);
        assert_eq!(grid(0, u32::MAX, 0).time_of(1), 4_294_967_295_000);
        assert_eq!(grid(0, u32::MAX, 0).last_before(4_294_967_295_000), 1);
    }

    #[test]
    fn arithmetic_saturates() {
        // Time.
        assert_eq!(grid(u64::MAX, 1, 0).time_of(1), u64::MAX);
        assert_eq!(grid(u64::MAX, 1, 0).last_before(u64::MAX), 0);
        assert_eq!(grid(1, u32::MAX, 0).time_of(u64::MAX), u64::MAX);
        assert_eq!(grid(0, 1, 0).last_before(u64::MAX), 18_446_744_073_709_551);
        // Numbers.
        assert_eq!(grid(0, 1, u64::MAX - 1).last_before(1000), u64::MAX);
        assert_eq!(grid(0, 1, u64::MAX - 1).last_before(9000), u64::MAX);
        assert_eq!(grid(0, 1, u64::MAX - 1).time_of(u64::MAX), 1000);
    }

    #[test]
    fn now_is_between_two_instants() {
        let mut random = Random::new();
        for _ in 0..20_000 {
            let (start, first) = (random.any() >> 3, random.any() >> 3);
            // CAST: Any number will do.
            let grid = grid(start, random.any_size() as u32, first);
            let now = start + (random.any_size() >> 3);
            let last = grid.last_before(now);
            assert!(last >= first);
            assert!(grid.time_of(last) <= now);
            assert!(now < grid.time_of(last + 1));
        }
    }
}
