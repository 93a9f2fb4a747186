// SPDX-License-Identifier: GPL-2.0

//! High-resolution timers.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use kernel::{
    impl_has_hr_timer, new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    },
    task::Task,
    time::{
        hrtimer::{
            AbsoluteMode,
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart, //
        },
        Delta,
        Instant,
        Monotonic, //
    },
};

/// What the callback needs.
#[pin_data]
struct Timer {
    #[pin]
    timer: HrTimer<Self>,
    /// From one expiry to the next, in nanoseconds.
    interval: Atomic<i64>,
    task: SetOnce<ARef<Task>>,
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Timer {
        mode: AbsoluteMode<Monotonic>,
        field: self.timer,
    }
}

impl HrTimerCallback for Timer {
    type Pointer<'a> = Arc<Self>;

    /// Context: hard interrupt, or soft where PREEMPT_RT makes it so.
    fn run(this: ArcBorrow<'_, Self>, mut ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        // Before the wakeup, so that who is woken up sees that it has expired.
        ctx.forward_now(Delta::from_nanos(this.interval.load(Relaxed)));
        if let Some(task) = this.task.as_ref() {
            task.wake_up();
        }
        HrTimerRestart::Restart
    }
}

/// Wakes a task up at a time, and from then on at equal intervals.
///
/// It goes on by itself: a task that each time sleeps until the next of these times need not start
/// a timer anew, nor cancel one, as it does with `struct hrtimer_sleeper`.
///
/// Dropping it cancels the timer.
#[pin_data]
pub(crate) struct Sleeper {
    timer: Arc<Timer>,
    /// While the timer is running.
    #[pin]
    handle: Mutex<Option<ArcHrTimerHandle<Timer>>>,
    running: Atomic<bool>,
    /// When CLOCK_MONOTONIC began to count.
    origin: Instant<Monotonic>,
}

impl Sleeper {
    /// A timer that does not run. Fails with `ENOMEM`.
    ///
    /// Context: may sleep. Wraps `hrtimer_setup()`.
    pub(crate) fn new() -> Result<impl PinInit<Self>> {
        let timer = Arc::pin_init(
            pin_init!(Timer {
                timer <- HrTimer::new(),
                interval: Atomic::new(0),
                task: SetOnce::new(),
            }),
            GFP_KERNEL,
        )?;
        // What hrtimer_setup() makes of it: an `Instant` cannot be made of a number.
        let origin = timer.timer.expires();
        Ok(pin_init!(Self {
            timer,
            handle <- new_mutex!(None, "hrtimer::Sleeper::handle"),
            running: Atomic::new(false),
            origin,
        }))
    }

    /// Makes `task` the one to be woken up. The first one stays.
    pub(crate) fn wake(&self, task: ARef<Task>) {
        self.timer.task.populate(task);
    }

    /// Lets the timer expire at `ns` (CLOCK_MONOTONIC, in nanoseconds), and each `interval`
    /// nanoseconds from then on. Does nothing if that is when it expires next, anyway: then it keeps its
    /// interval.
    ///
    /// Context: may sleep. Wraps `hrtimer_cancel()` and `hrtimer_start_range_ns()`.
    #[inline]
    pub(crate) fn set(&self, ns: u64, interval: u64) {
        if !self.running.load(Relaxed) || self.has_expired(ns) {
            self.start(ns, interval);
        }
    }

    #[inline(never)]
    fn start(&self, ns: u64, interval: u64) {
        let mut handle = self.handle.lock();
        // First of all, as this cancels whatever is running.
        *handle = None;
        self.timer.interval.store(saturating(interval), Relaxed);
        let at = self.origin + Delta::from_nanos(saturating(ns));
        *handle = Some(self.timer.clone().start(at));
        self.running.store(true, Relaxed);
    }

    /// Stops the timer.
    ///
    /// Context: may sleep. Wraps `hrtimer_cancel()`.
    pub(crate) fn cancel(&self) {
        if self.running.load(Relaxed) {
            *self.handle.lock() = None;
            self.running.store(false, Relaxed);
        }
    }

    /// Whether the timer, which was [`set`](Self::set) to `ns`, has expired then: the task was woken up, or
    /// is about to be.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn has_expired(&self, ns: u64) -> bool {
        (self.timer.timer.expires() - self.origin).as_nanos() != saturating(ns)
    }
}

/// As what timers count in.
fn saturating(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
