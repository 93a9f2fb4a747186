// SPDX-License-Identifier: GPL-2.0

//! How the time that a task ran is split into user and system time.
//!
//! The scheduler measures how long a task ran to the nanosecond; the tick only counts in which mode
//! it met the task. As `cputime_adjust()` of `kernel/sched/cputime.c`, this takes the sum from the
//! former and the ratio from the latter, and never lets a part decrease.

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
