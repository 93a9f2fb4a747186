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
        task::own_runtime,
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
    /// least T, so it never takes more than half a processor, however often there is news. What of T is not
    /// seen from in here (waking up, going to sleep) is known when it is over: it counts the next time.
    /// Without tasks the thread does not wake up at all.
    fn run(&self, thread: &kthread::Current) {
        let sampler = ARef::from(&**current!());
        self.set_sampler(Some(sampler.clone()));
        // The last instant that was sampled, and the time until which to rest.
        let (mut sampled, mut rest) = (0, 0);
        // From when on it is to rest for as long as it runs, and what it had run for by then.
        let (mut since, mut before) = (0_u64, own_runtime());
        let mut rested = false;

        while !thread.should_stop() {
            // What changes behind this is looked at before the thread sleeps on.
            let news = self.news();
            let schedule = self.set().schedule(sampled);
            let began = match &schedule {
                Some(schedule) => schedule.now,
                None => monotonic_ns(),
            };
            let runtime = own_runtime();
            let took = runtime.saturating_sub(before);
            let paid = since.saturating_add(took.saturating_mul(2));
            (since, before) = (began.max(paid), runtime);
            rest = rest.max(paid);
            if began < rest && !rested {
                // News, which can wait. More of it must not wake us up. What this takes counts the next time.
                rested = true;
                self.set_sampler(None);
                rest = rest.saturating_add(monotonic_ns().saturating_sub(began));
                thread.sleep_until(Some(rest), || true);
                self.set_sampler(Some(sampler.clone()));
                continue;
            }
            rested = false;
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
