// SPDX-License-Identifier: GPL-2.0

//! The sampling thread.

use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::might_sleep, //
};

use crate::{
    monitor::Monitor,
    wrappers::{
        kthread,
        mm::DropBatch,
        task::runtime,
        timekeeping::monotonic_ns, //
    },
};

/// The name of the thread.
pub(crate) const NAME: &CStr = c"taskmonitor";

/// From one tick to the next, in nanoseconds.
// CAST: To a wider type.
const TICK_NS: u64 = kernel::bindings::TICK_NSEC as u64;

/// How long the thread rests: after it has run for a time T, until T later.
struct Rest {
    until: u64,
    /// Since when it is to rest for as long as it runs, and what it had run for by then.
    since: u64,
    before: u64,
}

impl Rest {
    fn new(runtime: u64) -> Self {
        Self {
            until: 0,
            since: 0,
            before: runtime,
        }
    }

    /// The thread has slept, is here again at `now`, and has run for `runtime` in all.
    fn after_sleep(&mut self, now: u64, runtime: u64) {
        let took = runtime.saturating_sub(self.before);
        let paid = self.since.saturating_add(took.saturating_mul(2));
        self.until = self.until.max(paid);
        self.since = now.max(paid);
        self.before = runtime;
    }

    /// It has not slept until `now`, and had run for `runtime` in all when the scheduler looked last: a
    /// tick ago, or when it left its CPU. So it has run for a tick more, at most, but no longer than has
    /// passed.
    fn after_work(&mut self, now: u64, runtime: u64) {
        let known = runtime.saturating_sub(self.before);
        let passed = now.saturating_sub(self.since);
        let took = known.saturating_add(TICK_NS).min(passed);
        self.until = self.until.max(now.saturating_add(took));
    }
}

impl kthread::Run for Monitor {
    /// Samples all tasks at each instant of the grid.
    ///
    /// A late wakeup does not shift later instants; if the next one has come before it, the former is
    /// missed, which shows as a gap in `seq`. After work that took a time T the thread rests for at
    /// least T, so it never takes more than half a processor, however often there is news. What of T is not
    /// seen from in here (waking up, going to sleep) is known when it is over: it counts the next time.
    /// Without tasks the thread does not wake up at all.
    fn run(&self, thread: &kthread::Current<'_>) {
        let task = thread.task();
        self.set_sampler(Some(ARef::from(task)));
        let mut rest = Rest::new(runtime(task));
        // The last instant that was sampled.
        let mut sampled = 0;
        let (mut slept, mut rested) = (true, false);
        let mut drops = DropBatch::new();

        while !thread.should_stop() {
            // What changes behind this is looked at before the thread sleeps on.
            let news = self.news();
            let ran = runtime(task);
            let round = self.begin_round(sampled, &mut drops, |now| {
                if slept {
                    rest.after_sleep(now, ran);
                } else {
                    rest.after_work(now, ran);
                }
                rested || now >= rest.until
            });
            let Some(round) = round else {
                // News, which can wait. More of it must not wake us up.
                rested = true;
                self.set_resting(true);
                slept = thread.sleep_until(Some(rest.until), u64::MAX, || true);
                self.set_resting(false);
                continue;
            };
            rested = false;
            let Some(schedule) = round.schedule else {
                slept = thread.sleep_until(None, u64::MAX, || self.news() == news);
                continue;
            };
            if let Some(due) = schedule.due {
                sampled = due;
                if round.more.is_some() {
                    self.go_on(due, round.more, thread, &mut drops);
                    rest.after_work(monotonic_ns(), runtime(task));
                }
                self.announce();
            }
            let deadline = schedule.next.max(rest.until);
            slept = thread.sleep_until(Some(deadline), schedule.period, || self.news() == news);
        }
        self.set_sampler(None);
    }
}

impl Monitor {
    /// Goes on with the round of `instant`, from task `next` on.
    fn go_on(
        &self,
        instant: u64,
        mut next: Option<u64>,
        thread: &kthread::Current<'_>,
        drops: &mut DropBatch,
    ) {
        while let Some(from) = next {
            // Lets others run where the kernel is not preemptible.
            might_sleep();
            if thread.should_stop() {
                return;
            }
            next = self.continue_round(from, instant, drops);
        }
    }
}

#[kunit_tests(taskmonitor_sampler)]
mod tests {
    use super::*;

    /// A rest of a thread that has run for `before` and is here for the first time at `now`.
    fn rest(now: u64, before: u64) -> Rest {
        let mut rest = Rest::new(before);
        rest.after_sleep(now, before);
        rest
    }

    #[test]
    fn what_it_ran_for_before_does_not_count() {
        let rest = rest(1000, 77);
        assert!(rest.until <= 1000);
    }

    /// It ran from 1000 to 1100, and is back at 1150.
    #[test]
    fn it_rests_for_as_long_as_it_ran() {
        let mut rest = rest(1000, 77);
        rest.after_sleep(1150, 177);
        assert_eq!(rest.until, 1200);
    }

    /// Waking up to find that there is to be more rest counts, too.
    #[test]
    fn what_is_not_paid_yet_is_added_to() {
        let mut rest = rest(1000, 0);
        rest.after_sleep(1150, 100);
        rest.after_sleep(1200, 110);
        assert_eq!(rest.until, 1220);
        rest.after_sleep(5000, 120);
        assert_eq!(rest.until, 1240);
        rest.after_sleep(5100, 150);
        assert_eq!(rest.until, 5060);
    }

    /// What it has run for is found in the time that has passed, and not once more when it is known.
    #[test]
    fn work_without_sleep_counts_once() {
        let mut rest = rest(1000, 0);
        rest.after_work(1100, 0);
        assert_eq!(rest.until, 1200);
        rest.after_work(1150, 0);
        assert_eq!(rest.until, 1300);
        rest.after_sleep(1300, 150);
        assert_eq!(rest.until, 1300);
    }

    /// Another task had its CPU for a second: that is no work.
    #[test]
    fn time_without_a_cpu_is_no_work() {
        let mut rest = rest(1000, 77);
        let now = 1_000_000_000;
        rest.after_work(now, 50_077);
        assert_eq!(rest.until, now + 50_000 + TICK_NS);
    }

    #[test]
    fn arithmetic_saturates() {
        let mut rest = rest(u64::MAX - 1, 0);
        rest.after_sleep(u64::MAX, u64::MAX);
        assert_eq!((rest.until, rest.since), (u64::MAX, u64::MAX));
        rest.after_sleep(0, 0);
        rest.after_work(0, 0);
        assert_eq!(rest.until, u64::MAX);
    }
}
