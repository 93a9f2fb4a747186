// SPDX-License-Identifier: GPL-2.0

//! How the time that a task ran is split into user and system time.
//!
//! The scheduler measures how long a task ran to the nanosecond; the tick only counts in which mode
//! it met the task. (On a nohz_full processor, the kernel measures the time in each mode, too. But
//! that includes interrupts, and the scheduler's sum may be a second old.) As `cputime_adjust()` of
//! `kernel/sched/cputime.c`, this takes the sum from the former and the ratio from the latter, and
//! never lets a part decrease.

use crate::wrappers::{
    math::mul_u64_u64_div_u64,
    task::Usage, //
};

/// User and system time so far, in nanoseconds. Neither ever decreases.
#[derive(Clone, Copy, Default)]
pub(crate) struct CpuTime {
    usr: u64,
    sys: u64,
}

impl CpuTime {
    /// What was used up to now.
    #[inline]
    pub(crate) fn new(usr: u64, sys: u64) -> Self {
        Self { usr, sys }
    }

    /// Goes on to what `usage` says, and returns user and system time; their sum is
    /// `usage.runtime`, as long as that does not decrease.
    pub(crate) fn update(&mut self, usage: &Usage) -> (u64, u64) {
        let total = usage.runtime;
        if self.usr.saturating_add(self.sys) < total {
            let sys = match (usage.utime, usage.stime) {
                // As long as no tick met it, it is taken to run in user mode.
                (_, 0) => 0,
                (0, _) => total,
                (utime, stime) => {
                    mul_u64_u64_div_u64(stime, total, utime.saturating_add(stime)).min(total)
                }
            };
            // The former values add up to less than `total`: so if one part is kept from
            // decreasing, the other still has room to grow.
            let sys = sys.max(self.sys);
            let usr = total.saturating_sub(sys).max(self.usr);
            self.usr = usr;
            self.sys = total.saturating_sub(usr);
        }
        (self.usr, self.sys)
    }
}

#[kernel::macros::kunit_tests(taskmonitor_cputime)]
mod tests {
    use super::*;

    use crate::testing::Random;

    fn usage(runtime: u64, utime: u64, stime: u64) -> Usage {
        Usage {
            runtime,
            utime,
            stime,
            ..Usage::default()
        }
    }

    /// What the first reading of a task gives.
    fn first(runtime: u64, utime: u64, stime: u64) -> (u64, u64) {
        CpuTime::default().update(&usage(runtime, utime, stime))
    }

    /// Divides as on paper; the result must fit.
    fn long_division(mut rest: u128, divisor: u64) -> u64 {
        let mut quotient = 0;
        for bit in (0..64).rev() {
            let part = u128::from(divisor) << bit;
            if rest >= part {
                rest -= part;
                quotient |= 1 << bit;
            }
        }
        quotient
    }

    /// `cputime_adjust()` of `kernel/sched/cputime.c`, line by line. Returns the new `prev`.
    fn cputime_adjust(prev: (u64, u64), curr: &Usage) -> (u64, u64) {
        let (prev_utime, prev_stime) = prev;
        let rtime = curr.runtime;
        if prev_stime + prev_utime >= rtime {
            return prev;
        }
        let mut stime = if curr.stime == 0 {
            0
        } else if curr.utime == 0 {
            rtime
        } else {
            let product = u128::from(curr.stime).wrapping_mul(u128::from(rtime));
            long_division(product, curr.stime + curr.utime)
        };
        if stime < prev_stime {
            stime = prev_stime;
        }
        let mut utime = rtime - stime;
        if utime < prev_utime {
            utime = prev_utime;
            stime = rtime - utime;
        }
        (utime, stime)
    }

    #[test]
    fn nothing_used_is_nothing() {
        assert_eq!(first(0, 0, 0), (0, 0));
        assert_eq!(first(0, 4_000_000, 4_000_000), (0, 0));
    }

    #[test]
    fn without_ticks_all_is_user_time() {
        assert_eq!(first(1234, 0, 0), (1234, 0));
    }

    #[test]
    fn ticks_of_one_mode_take_all() {
        assert_eq!(first(1234, 4_000_000, 0), (1234, 0));
        assert_eq!(first(1234, 0, 4_000_000), (0, 1234));
    }

    #[test]
    fn ticks_of_both_modes_give_the_ratio() {
        assert_eq!(first(1000, 30, 10), (750, 250));
        // System time is rounded down.
        assert_eq!(first(10, 2, 1), (7, 3));
        assert_eq!(first(1, 1, 1), (1, 0));
    }

    /// The product of 6e17 and 8e17 has 119 bits.
    #[test]
    fn products_beyond_64_bits_are_exact() {
        assert_eq!(
            first(
                800_000_000_000_000_001,
                200_000_000_000_000_000,
                600_000_000_000_000_000
            ),
            (200_000_000_000_000_001, 600_000_000_000_000_000)
        );
    }

    #[test]
    fn user_time_does_not_decrease() {
        let mut time = CpuTime::default();
        assert_eq!(time.update(&usage(100, 1, 0)), (100, 0));
        // By the ratio alone, this would be (11, 99).
        assert_eq!(time.update(&usage(110, 1, 9)), (100, 10));
    }

    #[test]
    fn system_time_does_not_decrease() {
        let mut time = CpuTime::default();
        assert_eq!(time.update(&usage(100, 0, 1)), (0, 100));
        assert_eq!(time.update(&usage(110, 9, 1)), (10, 100));
    }

    #[test]
    fn a_runtime_that_is_not_later_changes_nothing() {
        let mut time = CpuTime::default();
        assert_eq!(time.update(&usage(100, 3, 1)), (75, 25));
        assert_eq!(time.update(&usage(60, 1, 3)), (75, 25));
        assert_eq!(time.update(&usage(100, 1, 3)), (75, 25));
        assert_eq!(time.update(&usage(0, 0, 0)), (75, 25));
        // And then it goes on from there.
        assert_eq!(time.update(&usage(101, 1, 3)), (75, 26));
    }

    #[test]
    fn the_largest_numbers_are_split() {
        let half = 1 << 63;
        assert_eq!(first(u64::MAX, 1, 1), (half, half - 1));
        assert_eq!(first(u64::MAX, 0, u64::MAX), (0, u64::MAX));
        assert_eq!(first(u64::MAX, u64::MAX, 0), (u64::MAX, 0));
        // More ticks than fit (which no machine counts): no overflow, and the sum stays right.
        let (usr, sys) = first(u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(usr.checked_add(sys), Some(u64::MAX));
    }

    /// A long life of a task, as the kernel would split it.
    #[test]
    fn it_is_what_cputime_adjust_does() {
        let mut random = Random::new();
        let mut model = (0, 0);
        let mut time = CpuTime::default();
        let mut now = usage(0, 0, 0);
        for _ in 0..20_000 {
            // Up to an hour, and in 20,000 steps no more than 2^57.
            now.runtime += random.any_size() >> 22;
            match random.below(4) {
                0 => now.utime += random.any_size() >> 22,
                1 => now.stime += random.any_size() >> 22,
                _ => (),
            }
            model = cputime_adjust(model, &now);
            assert_eq!(time.update(&now), model);
        }
        assert!(model.0 > 0 && model.1 > 0);
    }

    #[test]
    fn parts_only_grow_and_add_up() {
        let mut random = Random::new();
        for _ in 0..100 {
            let mut time = CpuTime::default();
            let mut now = usage(0, 0, 0);
            let (mut usr, mut sys) = (0, 0);
            for _ in 0..200 {
                // Up to a tick of each, more rarely much more.
                now.runtime += 1 + random.below(4_000_000);
                now.utime += 4_000_000 * random.below(2);
                now.stime += 4_000_000 * (random.below(30) / 29) * random.below(100);
                let new = time.update(&now);
                assert!(new.0 >= usr && new.1 >= sys);
                (usr, sys) = new;
                assert_eq!(usr + sys, now.runtime);
            }
        }
    }
}
