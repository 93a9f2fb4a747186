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
        // The last instant that was sampled, the time until which to rest, and when work began.
        let (mut sampled, mut rest, mut began) = (0, 0, monotonic_ns());

        while !thread.should_stop() {
            let news = self.news();
            let mut deadline = None;
            let schedule = self.set().schedule(sampled);
            if let Some(schedule) = schedule {
                match schedule.due {
                    Some(due) if schedule.now >= rest => {
                        self.round(due, thread);
                        sampled = due;
                        rest = rest_after(began);
                        continue;
                    }
                    _ => deadline = Some(schedule.next.max(rest)),
                }
            }
            if rest < began {
                rest = rest_after(began);
            }
            thread.sleep_until(deadline, || self.news() == news);
            began = monotonic_ns();
            if began < rest {
                // News, which can wait. More of it must not wake us up.
                self.set_sampler(None);
                rest = rest.saturating_add(monotonic_ns().saturating_sub(began));
                thread.sleep_until(Some(rest), || true);
                began = monotonic_ns();
                self.set_sampler(Some(sampler.clone()));
            }
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
        self.samples().notify_all();
    }
}
