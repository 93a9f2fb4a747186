// SPDX-License-Identifier: GPL-2.0

//! The sampling thread.

use kernel::{
    current,
    prelude::*,
    sync::aref::ARef,
    task::might_sleep, //
};

use crate::{
    monitor::Monitor,
    wrappers::{
        kthread,
        timekeeping::monotonic_ns, //
    },
};

/// The name of the thread.
pub(crate) const NAME: &CStr = c"taskmonitor";

impl kthread::Run for Monitor {
    /// Samples all tasks at each instant of the grid.
    ///
    /// A late wakeup does not shift later instants; if the next one has come before it, the former is
    /// missed, which shows as a gap in `seq`. After a round that took a time T the thread rests for at
    /// least T, so it never takes more than half a processor. Without tasks it does not wake up at all.
    fn run(&self, thread: &kthread::Current) {
        self.set_sampler(Some(ARef::from(&**current!())));
        // The last instant that was sampled, and the time until which to rest.
        let (mut sampled, mut rest) = (0, 0);

        while !thread.should_stop() {
            let news = self.news();
            let mut deadline = None;
            let schedule = self.set().schedule(sampled);
            if let Some(schedule) = schedule {
                match schedule.due {
                    Some(due) if schedule.now >= rest => {
                        self.round(due, thread);
                        sampled = due;
                        let ended = monotonic_ns();
                        rest = ended.saturating_add(ended.saturating_sub(schedule.now));
                        continue;
                    }
                    _ => deadline = Some(schedule.next.max(rest)),
                }
            }
            thread.sleep_until(deadline, || self.news() == news);
        }
        self.set_sampler(None);
    }
}

impl Monitor {
    fn round(&self, instant: u64, thread: &kthread::Current) {
        let mut next = Some(0);
        while let Some(from) = next {
            if thread.should_stop() {
                return;
            }
            next = self.sample_batch(from, instant);
            // Lets others run where the kernel is not preemptible.
            might_sleep();
        }
        self.samples().notify_all();
    }
}
