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
