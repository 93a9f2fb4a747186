// SPDX-License-Identifier: GPL-2.0

//! Kernel threads.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    current,
    error::from_err_ptr,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task,
    types::NotThreadSafe, //
};

use crate::wrappers::hrtimer::Sleeper;

/// What a kernel thread does.
pub(crate) trait Run: Send + Sync {
    /// The thread's function. It must return soon after [`Current::should_stop`] turned true.
    ///
    /// Is not called at all if the thread is stopped before it first runs.
    fn run(&self, current: &Current<'_>);
}

/// The current thread, which is a kernel thread.
///
/// # Invariants
///
/// `task` is the current task.
pub(crate) struct Current<'a> {
    task: &'a Task,
    sleeper: &'a Sleeper,
    _not_thread_safe: NotThreadSafe,
}

impl Current<'_> {
    /// Its task.
    pub(crate) fn task(&self) -> &Task {
        self.task
    }

    /// Whether the owner wants the thread to end. Wraps `kthread_should_stop()`.
    pub(crate) fn should_stop(&self) -> bool {
        // SAFETY: The current task is a kernel thread: only `trampoline` makes a `Current`.
        unsafe { bindings::kthread_should_stop() }
    }

    /// Sleeps until `deadline` (CLOCK_MONOTONIC, in nanoseconds; without one, for good), until it is
    /// woken up, or is to stop. Does not sleep if `may_sleep` returns false, which is asked after
    /// the point from which on a wakeup counts. May also wake up for no reason. Returns whether it
    /// has called schedule().
    ///
    /// A timer wakes the thread up at `deadline` and each `interval` nanoseconds from then on, by itself, until
    /// it finds it awake. To sleep until the next of these times costs less than any other. Until another
    /// time is set, or none, the thread may be woken up from whatever else it sleeps for.
    ///
    /// Context: may sleep. Wraps `schedule()`; see [`Sleeper`] for the timer.
    pub(crate) fn sleep_until(
        &self,
        deadline: Option<u64>,
        interval: u64,
        may_sleep: impl FnOnce() -> bool,
    ) -> bool {
        match deadline {
            Some(ns) if !self.sleeper.set(ns, interval) => return false,
            Some(_) => (),
            None => self.sleeper.cancel(),
        }
        // `TASK_IDLE`: uninterruptible, but no load.
        self.set_state(bindings::TASK_IDLE);
        // Pairs with the barrier of `wake_up_process()`: either we see what the waker did before,
        // or it sees our state.
        // SAFETY: Always safe to call.
        unsafe { bindings::smp_mb() };
        let early = deadline.is_none_or(|ns| !self.sleeper.has_expired(ns));
        let sleeps = early && !self.should_stop() && may_sleep();
        if sleeps {
            // SAFETY: A kernel thread may sleep here.
            unsafe { bindings::schedule() };
        }
        self.set_state(bindings::TASK_RUNNING);
        sleeps
    }

    fn set_state(&self, state: u32) {
        let task = self.task.as_ptr();

        // SAFETY: This is the current task, which is valid; it alone sets its state, but others read it and reset
        // it to running, for which this is one store.
        unsafe { (&raw mut (*task).__state).write_volatile(state) };
    }
}

/// What a thread works with.
#[pin_data]
struct Thread<T> {
    data: Arc<T>,
    #[pin]
    sleeper: Sleeper,
}

/// A running kernel thread.
///
/// Dropping it stops the thread and waits for its end.
///
/// # Invariants
///
/// `task` is the kernel thread that was given a pointer to what `thread` holds, and that was not
/// stopped yet.
pub(crate) struct Registration<T: Run + 'static> {
    task: ARef<Task>,
    // Behind `task`: not used by the thread any more when it goes.
    _thread: Arc<Thread<T>>,
}

impl<T: Run + 'static> Registration<T> {
    /// Makes a thread called `name` that runs `data`, and starts it.
    ///
    /// Context: may sleep. Wraps `kthread_create_on_node()` and `wake_up_process()`.
    pub(crate) fn new(name: &CStr, data: Arc<T>) -> Result<Self> {
        let sleeper = Sleeper::new()?;
        let thread = pin_init!(Thread {
            data,
            sleeper <- sleeper,
        });
        let thread = Arc::pin_init(thread, GFP_KERNEL)?;

        // SAFETY: `trampoline::<T>` is for a pointer to a `Thread<T>` that lives until the thread ends:
        // `thread` is kept until then. `name` fits the format, which copies it.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_node(
                Some(Self::trampoline),
                Arc::as_ptr(&thread).cast_mut().cast(),
                bindings::NUMA_NO_NODE,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;
        let task = NonNull::new(task).ok_or(ENOMEM)?.cast::<Task>();

        // SAFETY: The new thread waits to be woken up, so the task is valid; the reference that is
        // taken here keeps it so, even when the thread has ended. `Task` is transparent.
        let task = unsafe { ARef::from(task.as_ref()) };
        thread.sleeper.wake(task.clone());
        task.wake_up();

        // INVARIANT: Just made, with a pointer to what `thread` holds.
        Ok(Self {
            task,
            _thread: thread,
        })
    }

    /// # Safety
    ///
    /// To be called by a new kernel thread only, with a pointer to a `Thread<T>` that outlives it.
    unsafe extern "C" fn trampoline(thread: *mut c_void) -> c_int {
        // SAFETY: By this function's own contract.
        let thread = unsafe { &*thread.cast::<Thread<T>>() };
        thread.data.run(&Current {
            task: current!(),
            sleeper: &thread.sleeper,
            _not_thread_safe: NotThreadSafe,
        });
        thread.sleeper.cancel();

        // kthread_stop() may come after that: it works on a thread that has ended, too, as long as
        // the task is held, as the registration does.
        0
    }
}

impl<T: Run + 'static> Drop for Registration<T> {
    /// Context: may sleep. Wraps `kthread_stop()`.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a kernel thread, held, and not stopped before.
        unsafe { bindings::kthread_stop(self.task.as_ptr()) };
    }
}
