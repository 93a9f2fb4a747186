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
    /// missed, which shows as a gap in `seq`. After work that took a time T the thread rests for at
    /// least T, so it never takes more than half a processor, however often there is news. Without tasks
    /// it does not wake up at all.
    fn run(&self, thread: &kthread::Current) {
        let sampler = ARef::from(&**current!());
        self.set_sampler(Some(sampler.clone()));
        // The last instant that was sampled, and the time until which to rest.
        let (mut sampled, mut rest) = (0, 0);

        while !thread.should_stop() {
            // What changes behind this is looked at before the thread sleeps on.
            let news = self.news();
            let schedule = self.set().schedule(sampled);
            let began = match &schedule {
                Some(schedule) => schedule.now,
                None => monotonic_ns(),
            };
            if began < rest {
                // News, which can wait. More of it must not wake us up.
                self.set_sampler(None);
                rest = rest.saturating_add(monotonic_ns().saturating_sub(began));
                thread.sleep_until(Some(rest), || true);
                self.set_sampler(Some(sampler.clone()));
                continue;
            }
            let next = schedule.map(|schedule| {
                if let Some(due) = schedule.due {
                    self.round(due, thread);
                    sampled = due;
                }
                schedule.next
            });
            rest = rest_after(began);
            let deadline = next.map(|next| next.max(rest));
            thread.sleep_until(deadline, || self.news() == news);
        }
        self.set_sampler(None);
    }
}

/// Until when to rest after work that began at `began`, and has taken until now.
fn rest_after(began: u64) -> u64 {
    let now = monotonic_ns();
    now.saturating_add(now.saturating_sub(began))
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
        self.announce();
    }
}
