// SPDX-License-Identifier: GPL-2.0

//! High-resolution timers.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use kernel::{
    cpu::CpuId,
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
            AbsoluteHardMode,
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

use crate::wrappers::{
    task::is_asleep,
    timekeeping::monotonic_ns, //
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
        mode: AbsoluteHardMode<Monotonic>,
        field: self.timer,
    }
}

impl HrTimerCallback for Timer {
    type Pointer<'a> = Arc<Self>;

    /// Context: hard interrupt, with PREEMPT_RT, too. So it takes nothing that sleeps there: it reads and
    /// writes words, and `hrtimer_forward()` and `wake_up_process()` take no lock but a `raw_spinlock_t`.
    /// (Else the timer would expire in the thread `ktimers`, and not at all while a real-time task of a
    /// higher priority keeps that from its CPU.)
    fn run(this: ArcBorrow<'_, Self>, mut ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let task = this.task.as_ref();
        // Who does not sleep now is not interrupted again and again: it sets the timer when it is to sleep.
        let (interval, restart) = match task.is_some_and(|task| is_asleep(task)) {
            true => (this.interval.load(Relaxed), HrTimerRestart::Restart),
            false => (i64::MAX, HrTimerRestart::NoRestart),
        };
        // Before the wakeup, so that who is woken up, or is about to sleep, sees that it has expired.
        ctx.forward_now(Delta::from_nanos(interval));
        if let Some(task) = task {
            task.wake_up();
        }
        restart
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
    /// The CPU on which the timer was started; `NOWHERE` while it is not running.
    started_on: Atomic<u32>,
    /// The time 0.
    origin: Instant<Monotonic>,
}

/// No CPU.
const NOWHERE: u32 = u32::MAX;

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
        // An `Instant` cannot be made of a number; hrtimer_setup() clears all of the timer.
        let origin = timer.timer.expires();
        Ok(pin_init!(Self {
            timer,
            handle <- new_mutex!(None, "hrtimer::Sleeper::handle"),
            started_on: Atomic::new(NOWHERE),
            origin,
        }))
    }

    /// Makes `task` the one to be woken up. The first one stays.
    pub(crate) fn wake(&self, task: ARef<Task>) {
        self.timer.task.populate(task);
    }

    /// Lets the timer expire at `ns` (CLOCK_MONOTONIC, in nanoseconds), and each `interval`
    /// nanoseconds from then on, for as long as it finds the task asleep. Does nothing if that is when it
    /// expires next, anyway, unless the task has come to another CPU since. Returns false, and leaves the
    /// timer as it is, if `ns` is over already.
    ///
    /// Context: may sleep. Wraps `hrtimer_cancel()` and `hrtimer_start_range_ns()`.
    #[inline]
    pub(crate) fn set(&self, ns: u64, interval: u64) -> bool {
        let cpu = CpuId::current().as_u32();
        let is_set = self.started_on.load(Relaxed) == cpu && !self.has_expired(ns);
        is_set || self.start(ns, interval, cpu)
    }

    #[inline(never)]
    fn start(&self, ns: u64, interval: u64, cpu: u32) -> bool {
        if ns <= monotonic_ns() {
            return false;
        }
        let mut handle = self.handle.lock();
        // First of all, as this cancels whatever is running.
        *handle = None;
        self.timer.interval.store(saturating(interval), Relaxed);
        let at = self.origin + Delta::from_nanos(saturating(ns));
        *handle = Some(self.timer.clone().start(at));
        self.started_on.store(cpu, Relaxed);
        true
    }

    /// Stops the timer.
    ///
    /// Context: may sleep. Wraps `hrtimer_cancel()`.
    pub(crate) fn cancel(&self) {
        if self.started_on.load(Relaxed) != NOWHERE {
            *self.handle.lock() = None;
            self.started_on.store(NOWHERE, Relaxed);
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
