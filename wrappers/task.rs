// SPDX-License-Identifier: GPL-2.0

//! What the kernel accounts to tasks, and whether they have ended.
//!
//! [`Thread`] and [`Process`] hold on to a `struct task_struct`, so that they can be read at any
//! time, during an exec, after the exit, and after the parent has reaped them: what the kernel keeps of
//! ended threads stays in the `struct signal_struct`, which lives as long as a task of its group is
//! held.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use core::{
    mem,
    mem::offset_of,
    ptr,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    current,
    ffi::{
        c_int,
        c_ulong, //
    },
    mm::Mm,
    sync::{
        aref::ARef,
        rcu, //
    },
    task::Task, //
};

use super::{
    barrier::smp_rmb,
    mm,
    mm::{
        DropBatch,
        Memory, //
    },
    pid::Pid, //
};

#[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
use super::timekeeping::sched_clock;

/// Reads once what C code may write to meanwhile, as `READ_ONCE()` does.
macro_rules! read_once {
    ($($place:tt)+) => {
        ptr::read_volatile(&raw const $($place)+)
    };
}

/// What a task has used since it began.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User time, as counted by the tick, or by the clock on a nohz_full processor, in nanoseconds.
    pub(crate) utime: u64,
    /// System time, counted likewise, in nanoseconds.
    pub(crate) stime: u64,
    /// Time on the CPU, as the scheduler measured it (`sum_exec_runtime`), in nanoseconds. Of a task
    /// that runs, it is as old as the last tick: up to a second on a nohz_full processor.
    pub(crate) runtime: u64,
    /// Page faults that needed no I/O.
    pub(crate) min_flt: u64,
    /// Page faults that needed I/O.
    pub(crate) maj_flt: u64,
}

impl Usage {
    #[inline]
    fn add(&mut self, other: &Self) {
        // Sums of counters of the kernel, which wrap there, too.
        self.utime = self.utime.wrapping_add(other.utime);
        self.stime = self.stime.wrapping_add(other.stime);
        self.runtime = self.runtime.wrapping_add(other.runtime);
        self.min_flt = self.min_flt.wrapping_add(other.min_flt);
        self.maj_flt = self.maj_flt.wrapping_add(other.maj_flt);
    }
}

/// What is seen of a task at one time.
#[derive(Default)]
pub(crate) struct Reading {
    /// What it has used. Of an ended task, these are the final totals.
    pub(crate) usage: Usage,
    pub(crate) memory: Memory,
    /// The letter of its state, as in `/proc/PID/stat`.
    pub(crate) state: u8,
    /// It is gone from every CPU, and will never run again.
    pub(crate) ended: bool,
    /// How many threads were looked at for it.
    pub(crate) threads: usize,
    /// To be given to `read_idle()` the next time, if no other reading was taken since; none if all is
    /// to be read then, too.
    pub(crate) mark: Option<Mark>,
}

/// `TASK_COMM_LEN`.
const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

/// The name of a task (`comm`): up to 15 bytes, of any value but NUL.
#[derive(Clone, Copy)]
pub(crate) struct Comm(pub(crate) [u8; COMM_LEN]);

impl Comm {
    /// The bytes of the name.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len = self.0.iter().take_while(|byte| **byte != 0).count();
        self.0.get(..len).unwrap_or_default()
    }
}

/// A process: a thread group as a whole, which keeps its identity across every exec.
pub(crate) struct Process {
    pid: ARef<Pid>,
    /// Any task of the group; holds the `signal_struct`.
    task: ARef<Task>,
    mm: AddressSpace,
}

/// What tells whether a task has run since it was read. A task that is on a CPU has none.
///
/// A task that has not run has neither used anything, nor started threads, executed another program, or
/// exited: all of that it does itself.
///
/// # Why it is right
///
/// The scheduler sets `on_cpu` before it switches to a task. When the task leaves its CPU, the
/// scheduler brings the run time up to date, counts the switch, and clears `on_cpu`, the last with
/// release semantics. Nothing orders the run time before the count: on a machine with weak ordering
/// (arm64), another CPU may see the new count with the old run time until `on_cpu` is cleared. So the
/// count alone proves nothing of a task that was on a CPU when it was read: its old values could be
/// repeated for as long as it sleeps after that.
///
/// Call a stay of the task on a CPU a run, and let `switches` be the count that run K left behind.
///
/// 1. [`Mark::new`] reads the count before `on_cpu`. A reader that has seen the count of run K sees
///    what was written before that, `on_cpu` included: between setting it and counting is the full
///    barrier that arm64 has in `switch_to()`, as `__schedule()` says (x86-64 keeps stores in
///    order). So if it then reads 0, that is from the end of run K or a later run, and what it reads
///    after that includes all that run K used. (If it is from a later run, the mark does not match,
///    and the task is read again.)
/// 2. The task may begin to run again while the rest is read. If the reader sees anything of that run,
///    it has seen that `on_cpu` was set, for the same reason. [`Mark::is_of`], which is called later
///    under the same lock, then reads 1, or the 0 of a later run, and with that a later count.
pub(crate) struct Mark {
    /// How often it left a CPU, as `khungtaskd` counts it.
    switches: c_ulong,
    /// `__state`, which others change, too.
    state: u32,
}

impl Mark {
    /// Returns the mark of `task`; `None` if that is on a CPU.
    ///
    /// To be called before all else is read, and with the same lock held as for the calls of
    /// [`Mark::is_of`].
    ///
    /// # Safety
    ///
    /// `task` must be valid.
    #[inline]
    unsafe fn new(task: *mut bindings::task_struct) -> Option<Self> {
        // SAFETY: By this function's own contract.
        unsafe {
            let switches = switches(task);
            smp_rmb();
            if read_once!((*task).on_cpu) != 0 {
                return None;
            }
            smp_rmb();
            let state = read_once!((*task).__state);
            Some(Self { switches, state })
        }
    }

    /// Whether `task` has not run since, and is in the same state.
    ///
    /// # Safety
    ///
    /// `task` must be valid.
    #[inline]
    unsafe fn is_of(&self, task: *mut bindings::task_struct) -> bool {
        // SAFETY: By this function's own contract.
        unsafe {
            read_once!((*task).on_cpu) == 0 && {
                smp_rmb();
                switches(task) == self.switches && read_once!((*task).__state) == self.state
            }
        }
    }
}

/// How often `task` left a CPU.
///
/// # Safety
///
/// `task` must be valid.
#[inline]
unsafe fn switches(task: *mut bindings::task_struct) -> c_ulong {
    // SAFETY: By this function's own contract.
    unsafe { read_once!((*task).nvcsw).wrapping_add(read_once!((*task).nivcsw)) }
}

/// One thread.
pub(crate) struct Thread {
    pid: ARef<Pid>,
    /// The PID of its process, which is gone from the process itself once that has been reaped.
    group: Option<ARef<Pid>>,
    task: ARef<Task>,
    mm: AddressSpace,
}

/// Takes a reference on the task that `pid` is attached to as `kind`. A zombie is a task, too.
///
/// Wraps `get_pid_task()`.
fn task_of(pid: &Pid, kind: bindings::pid_type) -> Option<ARef<Task>> {
    // SAFETY: `pid` is valid.
    let task = unsafe { bindings::get_pid_task(pid.as_ptr(), kind) };

    // SAFETY: `get_pid_task()` took a reference, which this takes over; `Task` is transparent.
    NonNull::new(task).map(|task| unsafe { ARef::from_raw(task.cast()) })
}

/// Takes a reference on the PID of the process that `task` belongs to; `None` once that process has been
/// reaped.
///
/// Wraps `get_task_pid()`.
fn group_of(task: &Task) -> Option<ARef<Pid>> {
    // SAFETY: `task` is valid, and holds its `signal_struct`, in which this pointer is.
    let pid = unsafe { bindings::get_task_pid(task.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };

    // SAFETY: `get_task_pid()` took a reference, which this takes over; `Pid` is transparent.
    NonNull::new(pid).map(|pid| unsafe { ARef::from_raw(pid.cast()) })
}

/// CLOCK_BOOTTIME at which `task` (a process's first thread) began, in nanoseconds.
fn start_boottime(task: &Task) -> u64 {
    // SAFETY: `task` is valid. An exec may copy the same value from one leader to the next.
    unsafe { read_once!((*task.as_ptr()).start_boottime) }
}

impl Process {
    /// The process that `pid` leads; `None` if `pid` is none that leads one.
    pub(crate) fn of(pid: &ARef<Pid>) -> Option<Self> {
        Some(Self {
            pid: pid.clone(),
            task: task_of(pid, bindings::pid_type_PIDTYPE_TGID)?,
            mm: AddressSpace::default(),
        })
    }

    /// CLOCK_BOOTTIME at which it began, in nanoseconds.
    pub(crate) fn start(&self) -> u64 {
        start_boottime(&self.task)
    }

    fn signal(&self) -> *mut bindings::signal_struct {
        // SAFETY: The task is held, and `signal` of a task does not change before its last put.
        unsafe { (*self.task.as_ptr()).signal }
    }

    /// Reads the totals of all its threads, exited ones included, and what is seen of its leader.
    ///
    /// Context: any but interrupts; never sleeps. Takes the RCU read lock, `alloc_lock` of a thread,
    /// and `stats_lock` if threads come and go all the while. Costs a walk over the threads; but of a
    /// process whose one thread sleeps, a look at that.
    /// An address space that the process has left goes to `drops`.
    #[inline]
    pub(crate) fn read(&mut self, drops: &mut DropBatch) -> Reading {
        self.read_one().unwrap_or_else(|| self.read_all(drops))
    }

    /// Reads a living process whose only thread is the task that is held, which is on no CPU, and has
    /// the same address space as before, as [`Self::read`] does; `None` says nothing.
    #[inline(always)]
    pub(crate) fn read_one(&self) -> Option<Reading> {
        let (task, signal) = (self.task.as_ptr(), self.signal());

        // SAFETY: The task is held, and holds its `signal_struct`; fields that change are read once. The
        // list of threads is compared with, not followed.
        unsafe {
            let mark = Mark::new(task)?;
            let before = read_once!((*signal).stats_lock.seqcount.seqcount.sequence);
            smp_rmb();
            let head = &raw mut (*signal).thread_head;
            let node = &raw mut (*task).thread_node;
            if read_once!((*head).next) != node
                || read_once!((*node).next) != head
                || read_once!((*task).exit_state) != 0
            {
                return None;
            }
            let mut usage = usage_of_exited(signal);
            // A task that is on no CPU has nothing pending.
            usage.add(&usage_accounted(task));
            smp_rmb();
            // As in `totals_of_group()`.
            if before & 1 != 0
                || read_once!((*signal).stats_lock.seqcount.seqcount.sequence) != before
            {
                return None;
            }
            Some(Reading {
                usage,
                memory: self.mm.read_same(task)?,
                state: state_letter(mark.state, 0),
                ended: false,
                threads: 1,
                mark: Some(mark),
            })
        }
    }

    /// Reads a process by a walk over its threads.
    #[inline(never)]
    fn read_all(&mut self, drops: &mut DropBatch) -> Reading {
        let guard = rcu::read_lock();
        let totals = self.totals(&guard);
        let mut reading = Reading {
            usage: totals.usage,
            state: b'X',
            ended: totals.ended,
            threads: totals.threads,
            ..Reading::default()
        };

        // SAFETY: `pid` is valid; the task stays so under RCU.
        let leader =
            unsafe { bindings::pid_task(self.pid.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        if let Some(leader) = NonNull::new(leader) {
            let leader = leader.as_ptr();
            // SAFETY: RCU keeps the task valid while `guard` lives.
            unsafe {
                reading.state = state_letter(
                    read_once!((*leader).__state),
                    read_once!((*leader).exit_state),
                );
                reading.memory = self.mm.read(leader, drops);
            }
            if leader != self.task.as_ptr() {
                // Another thread has become the leader by an exec: the one to hold from now on.
                if let Some(task) = task_of(&self.pid, bindings::pid_type_PIDTYPE_TGID) {
                    self.task = task;
                }
            }
        }
        if reading.memory.mm_users == 0 {
            // The leader is gone or going. Its address space lives on with the other threads.
            if let Some(other) = totals.with_mm {
                // SAFETY: As above.
                reading.memory = unsafe { self.mm.read(other.as_ptr(), drops) };
            }
        }
        reading
    }

    /// What alone may have changed since the reading that `mark` is of, if it has not run since. `None`
    /// says nothing.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn read_idle(&self, mark: &Mark) -> Option<Memory> {
        // SAFETY: The task is held.
        let idle = unsafe { mark.is_of(self.task.as_ptr()) };
        idle.then(|| self.mm.read_known())
    }

    /// Gives up the address space that it was last seen to have.
    pub(crate) fn release_mm(&mut self, drops: &mut DropBatch) {
        self.mm.set(None, drops);
    }

    /// The name of its leader, or of a thread that it had if all are gone.
    ///
    /// Context: any but interrupts; never sleeps. Takes the RCU read lock.
    pub(crate) fn comm(&self) -> Comm {
        let _guard = rcu::read_lock();
        // SAFETY: `pid` is valid; the task stays so under RCU.
        let leader =
            unsafe { bindings::pid_task(self.pid.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        let task = if leader.is_null() {
            self.task.as_ptr()
        } else {
            leader
        };
        // SAFETY: Valid under RCU, or held.
        unsafe { comm_of(task) }
    }

    /// Sums up what is accounted to the process.
    ///
    /// As `thread_group_cputime()` does it: a thread that exits moves its share from its own fields
    /// to those of the group in a write section of `stats_lock`.
    ///
    /// The kernel does so when the task is reaped. The kernel reaps a thread that does not lead its
    /// group, and a process whose parent ignores SIGCHLD, on that task's own CPU, on its way out. A
    /// parent that waits may reap a process before it has left its CPU, too. Neither brings the run
    /// time up to date before. So what such a task runs from its last tick or switch on is missing in
    /// the totals of the group: in those that wait4() gives, and for good. Of the task that is held it is
    /// known. A process that has had one thread has an exact run time by that; of one that has had
    /// more, what the other threads ran in the end is lost.
    fn totals(&self, guard: &rcu::Guard) -> Totals {
        let mut totals = self.totals_of_group(guard);
        if totals.threads == 0 {
            let task = self.task.as_ptr();
            // SAFETY: The task is held. There are no threads any more: so it has been reaped, and its
            // `exit_state` is set.
            unsafe {
                totals.ended = has_left_cpu(task);
                let own = read_once!((*task).se.sum_exec_runtime);
                totals.usage.runtime = totals.usage.runtime.max(own);
            }
        }
        totals
    }

    /// As [`Self::totals`], by what the kernel accounts to the group alone. Without threads, it says
    /// that the process has ended, though its last thread may be on its CPU yet.
    fn totals_of_group(&self, guard: &rcu::Guard) -> Totals {
        let signal = self.signal();

        // SAFETY: The held task holds its `signal_struct`.
        let sequence = || unsafe { read_once!((*signal).stats_lock.seqcount.seqcount.sequence) };

        let before = sequence();
        if before & 1 == 0 {
            smp_rmb();
            let totals = self.walk(guard);
            smp_rmb();
            if sequence() == before {
                return totals;
            }
        }

        // Threads exit just now: keep them from it for this one walk.
        // SAFETY: As above for the lock, which is initialised with the `signal_struct`.
        let _locked = unsafe { IrqSaved::lock(&raw mut (*signal).stats_lock.lock) };
        self.walk(guard)
    }

    fn walk(&self, guard: &rcu::Guard) -> Totals {
        if vtime_accounting_enabled() {
            self.walk_and_add::<true>(guard)
        } else {
            self.walk_and_add::<false>(guard)
        }
    }

    /// Walks over the threads; adds what is pending if `PENDING`.
    fn walk_and_add<const PENDING: bool>(&self, _: &rcu::Guard) -> Totals {
        let signal = self.signal();
        let mut totals = Totals {
            usage: Usage::default(),
            ended: true,
            threads: 0,
            with_mm: None,
        };

        // SAFETY: The held task holds its `signal_struct`. The list of threads is an RCU list, and
        // the RCU read lock is held: what `next` leads to is the list's head or the `thread_node`
        // of a task that stays valid meanwhile. Those fields that change are read once.
        unsafe {
            totals.usage = usage_of_exited(signal);
            let head = &raw mut (*signal).thread_head;
            let mut node = read_once!((*head).next);
            while node != head {
                let task = node
                    .byte_sub(offset_of!(bindings::task_struct, thread_node))
                    .cast::<bindings::task_struct>();
                if read_once!((*task).exit_state) == 0 {
                    totals.ended = false;
                    // One that exits loses its address space a while before.
                    if !read_once!((*task).mm).is_null() {
                        totals.with_mm = totals.with_mm.or(NonNull::new(task));
                    }
                } else {
                    totals.ended &= has_left_cpu(task);
                }
                let mut usage = usage_accounted(task);
                if PENDING {
                    (usage.utime, usage.stime) = cputime_with_pending(task);
                }
                totals.usage.add(&usage);
                totals.threads = totals.threads.wrapping_add(1);
                node = read_once!((*node).next);
            }
        }
        totals
    }
}

/// What a walk over the threads of a process finds.
struct Totals {
    usage: Usage,
    /// No thread lives, and those that do not have left their CPUs for good.
    ended: bool,
    threads: usize,
    /// A living thread with an address space.
    with_mm: Option<NonNull<bindings::task_struct>>,
}

impl Thread {
    /// The thread that has `pid` as its TID; `None` if there is none.
    pub(crate) fn of(pid: &ARef<Pid>) -> Option<Self> {
        let task = task_of(pid, bindings::pid_type_PIDTYPE_PID)?;
        Some(Self {
            pid: pid.clone(),
            group: group_of(&task),
            task,
            mm: AddressSpace::default(),
        })
    }

    /// The PID of the process that it belongs to; `None` if that had been reaped before this was made.
    pub(crate) fn group(&self) -> Option<&ARef<Pid>> {
        self.group.as_ref()
    }

    /// CLOCK_BOOTTIME at which it began, in nanoseconds.
    pub(crate) fn start(&self) -> u64 {
        start_boottime(&self.task)
    }

    /// The name of the thread. Context: any.
    pub(crate) fn comm(&self) -> Comm {
        // SAFETY: The task is held.
        unsafe { comm_of(self.task.as_ptr()) }
    }

    /// Reads what is accounted to the thread.
    ///
    /// Context: any but interrupts; never sleeps. Takes `alloc_lock` if it has got another address space
    /// since it was last read. An address space that it has left goes to `drops`.
    pub(crate) fn read(&mut self, drops: &mut DropBatch) -> Reading {
        let task = self.task.as_ptr();

        // SAFETY: The task is held.
        unsafe {
            let mark = Mark::new(task);
            let state = match &mark {
                Some(mark) => mark.state,
                None => read_once!((*task).__state),
            };
            let exit_state = read_once!((*task).exit_state);
            let ended = if exit_state != 0 {
                has_left_cpu(task)
            } else {
                // An exec by a thread that is not the leader makes it the leader: it lives on, but
                // under the leader's PID, and its own TID is over.
                // (NULL is that of a thread that is being reaped just now.)
                let now = read_once!((*task).thread_pid);
                !now.is_null() && now != self.pid.as_ptr()
            };
            Reading {
                usage: usage_of(task),
                memory: self.mm.read(task, drops),
                state: state_letter(state, exit_state),
                ended,
                threads: 1,
                mark: mark.filter(|_| exit_state == 0),
            }
        }
    }

    /// Gives up the address space that it was last seen to have.
    pub(crate) fn release_mm(&mut self, drops: &mut DropBatch) {
        self.mm.set(None, drops);
    }

    /// What alone may have changed since the reading that `mark` is of, if it has not run since. `None`
    /// says nothing.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn read_idle(&self, mark: &Mark) -> Option<Memory> {
        // SAFETY: The task is held.
        let idle = unsafe { mark.is_of(self.task.as_ptr()) };
        idle.then(|| self.mm.read_known())
    }
}

/// What a task has run for, in nanoseconds, up to when it last left its CPU, or a tick met it.
///
/// Context: any. Reads `se.sum_exec_runtime`.
pub(crate) fn runtime(task: &Task) -> u64 {
    // SAFETY: The task is valid; the scheduler may bring this up to date meanwhile.
    unsafe { read_once!((*task.as_ptr()).se.sum_exec_runtime) }
}

/// Whether a task sleeps, such that `wake_up_process()` wakes it up.
///
/// Context: any. Reads `__state`.
pub(crate) fn is_asleep(task: &Task) -> bool {
    // SAFETY: The task is valid; its state may change meanwhile.
    is_sleep(unsafe { read_once!((*task.as_ptr()).__state) })
}

/// Whether a task in this state sleeps. One that waits for a `spinlock_t` of PREEMPT_RT does not
/// (`TASK_RTLOCK_WAIT`): it goes on by itself with what it was doing.
fn is_sleep(state: u32) -> bool {
    state & bindings::TASK_NORMAL != 0
}

/// How often the current task has left its CPU: the same as before if it has run all the time.
///
/// Context: process context.
#[inline]
pub(crate) fn own_switches() -> c_ulong {
    // SAFETY: The current task is valid, and these are its own counts.
    unsafe { switches(Task::current_raw()) }
}

/// Whether the current task is about to be killed. Wraps `fatal_signal_pending()`.
///
/// Context: process context.
pub(crate) fn fatal_signal_pending() -> bool {
    current!().signal_pending() && {
        // SAFETY: The current task is valid; its signals may change meanwhile.
        let signals = unsafe { read_once!((*Task::current_raw()).pending.signal.sig[0]) };
        signals & (1 << (bindings::SIGKILL - 1)) != 0
    }
}

/// Whether a task whose `exit_state` is set has switched away from its CPU for the last time, so that
/// its counters are final.
///
/// # Safety
///
/// `task` must be valid.
unsafe fn has_left_cpu(task: *mut bindings::task_struct) -> bool {
    // `exit_state` is set some way before the end. `__state` is set to `TASK_DEAD` before the last
    // schedule(), and `on_cpu` cleared (with release semantics) after it; the counters are read
    // after both. The task set `TASK_DEAD` itself, after the barrier in the switch_to() by which it
    // began to run: so who sees that sees `on_cpu` set by then, or cleared at the end.
    //
    // SAFETY: By this function's own contract.
    let dead = unsafe { read_once!((*task).__state) } & bindings::TASK_DEAD != 0;
    smp_rmb();
    // SAFETY: As above.
    let left = dead && unsafe { read_once!((*task).on_cpu) } == 0;
    smp_rmb();
    left
}

/// What the exited threads of a process have used.
///
/// # Safety
///
/// `signal` must be valid.
#[inline]
unsafe fn usage_of_exited(signal: *mut bindings::signal_struct) -> Usage {
    // SAFETY: By this function's own contract; each field is read once.
    unsafe {
        Usage {
            utime: read_once!((*signal).utime),
            stime: read_once!((*signal).stime),
            runtime: read_once!((*signal).sum_sched_runtime),
            min_flt: read_once!((*signal).min_flt) as u64,
            maj_flt: read_once!((*signal).maj_flt) as u64,
        }
    }
}

/// What one thread has used.
///
/// # Safety
///
/// `task` must be valid.
unsafe fn usage_of(task: *mut bindings::task_struct) -> Usage {
    // SAFETY: By this function's own contract.
    unsafe {
        let mut usage = usage_accounted(task);
        if vtime_accounting_enabled() {
            (usage.utime, usage.stime) = cputime_with_pending(task);
        }
        usage
    }
}

/// What the kernel has accounted to one thread.
///
/// # Safety
///
/// `task` must be valid.
#[inline]
unsafe fn usage_accounted(task: *mut bindings::task_struct) -> Usage {
    // SAFETY: By this function's own contract; each field is read once.
    unsafe {
        Usage {
            utime: read_once!((*task).utime),
            stime: read_once!((*task).stime),
            runtime: read_once!((*task).se.sum_exec_runtime),
            min_flt: read_once!((*task).min_flt) as u64,
            maj_flt: read_once!((*task).maj_flt) as u64,
        }
    }
}

/// Whether there are nohz_full processors, on which time may be pending.
///
/// On such a processor there may be no tick for a long time. The kernel reads the clock when a task
/// enters or leaves user mode instead, and accounts what has passed since; until then it is pending.
#[inline]
fn vtime_accounting_enabled() -> bool {
    #[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
    // SAFETY: A variable of the kernel's, which is exported.
    unsafe {
        read_once!(bindings::context_tracking_key.key.enabled.counter) != 0
    }
    #[cfg(not(CONFIG_VIRT_CPU_ACCOUNTING_GEN))]
    false
}

/// User and system time of one thread with what is pending, in nanoseconds, as `task_cputime()` of
/// `kernel/sched/cputime.c` gives it.
///
/// # Safety
///
/// `task` must be valid.
#[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
#[cold]
unsafe fn cputime_with_pending(task: *mut bindings::task_struct) -> (u64, u64) {
    loop {
        // SAFETY: By this function's own contract; each field is read once. What was read counts only
        // if nobody has written meanwhile, which `vtime.seqcount` tells.
        unsafe {
            let vtime = &raw const (*task).vtime;
            let before = read_once!((*vtime).seqcount.sequence);
            smp_rmb();
            let accounted = (read_once!((*task).utime), read_once!((*task).stime));
            let pending = Pending {
                state: read_once!((*vtime).state),
                since: read_once!((*vtime).starttime),
                utime: read_once!((*vtime).utime),
                stime: read_once!((*vtime).stime),
            };
            // Also before the count: what passes after it may not be the task's.
            let now = sched_clock();
            smp_rmb();
            if before & 1 == 0 && read_once!((*vtime).seqcount.sequence) == before {
                return pending.added_to(accounted, now);
            }
        }
        // Only the task's own processor writes, with interrupts off, some dozen instructions at a time:
        // with PREEMPT_RT, too, this reader cannot have preempted it.
        core::hint::spin_loop();
    }
}

/// As above: nothing is pending.
///
/// # Safety
///
/// `task` must be valid.
#[cfg(not(CONFIG_VIRT_CPU_ACCOUNTING_GEN))]
#[cold]
unsafe fn cputime_with_pending(task: *mut bindings::task_struct) -> (u64, u64) {
    // SAFETY: By this function's own contract; each field is read once.
    unsafe { (read_once!((*task).utime), read_once!((*task).stime)) }
}

/// What a nohz_full processor has not accounted to a task yet: a part of `struct vtime`.
#[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
struct Pending {
    state: bindings::vtime_state,
    /// `sched_clock()` up to which time was taken, in nanoseconds.
    since: u64,
    /// Less than a tick each, which is accounted together with what follows in the same mode.
    utime: u64,
    stime: u64,
}

#[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
impl Pending {
    /// Returns user and system time with what is pending at `now`, by `sched_clock()`.
    fn added_to(&self, (utime, stime): (u64, u64), now: u64) -> (u64, u64) {
        // The clocks of two processors may differ.
        let since = now.saturating_sub(self.since);
        // These are sums of the kernel's, which wrap there, too.
        match self.state {
            // On no processor, or on one with a tick.
            bindings::vtime_state_VTIME_INACTIVE | bindings::vtime_state_VTIME_IDLE => {
                (utime, stime)
            }
            bindings::vtime_state_VTIME_SYS => {
                (utime, stime.wrapping_add(self.stime).wrapping_add(since))
            }
            // In user mode, or in that of a guest.
            _ => (utime.wrapping_add(self.utime).wrapping_add(since), stime),
        }
    }
}

/// The name of `task`, which may change meanwhile: each byte is one of some name it had.
///
/// # Safety
///
/// `task` must be valid.
unsafe fn comm_of(task: *mut bindings::task_struct) -> Comm {
    let mut name = [0; COMM_LEN];
    for (i, byte) in name.iter_mut().enumerate() {
        // SAFETY: By this function's own contract, and in bounds. CAST: A byte.
        *byte = unsafe {
            (&raw const (*task).comm)
                .cast::<u8>()
                .add(i)
                .read_volatile()
        };
    }
    Comm(name)
}

/// The letter that `task_state_to_char()` gives.
fn state_letter(state: u32, exit_state: c_int) -> u8 {
    // CAST: A set of flags.
    let exit_state = exit_state as u32;
    let mut report = (state | exit_state) & bindings::TASK_REPORT;
    if state & bindings::TASK_IDLE == bindings::TASK_IDLE {
        report = bindings::TASK_REPORT_IDLE;
    }
    if state & (bindings::TASK_RTLOCK_WAIT | bindings::TASK_FROZEN) != 0 {
        report = bindings::TASK_UNINTERRUPTIBLE;
    }
    let last_set_bit = (u32::BITS - report.leading_zeros()) as usize;
    b"RSDTtXZPI".get(last_set_bit).copied().unwrap_or(b'?')
}

/// The address space that a task was last seen to have.
///
/// Held as by `mmgrab()`, which keeps the `struct mm_struct`, not what it maps: so its counters can be read
/// without a lock for as long as the task has it, which is told by its address.
#[derive(Default)]
struct AddressSpace(Option<ARef<Mm>>);

impl AddressSpace {
    /// What is seen of the address space of `task`; zeros if it has none.
    ///
    /// # Safety
    ///
    /// `task` must be valid, and its `alloc_lock` not held.
    unsafe fn read(&mut self, task: *mut bindings::task_struct, drops: &mut DropBatch) -> Memory {
        // SAFETY: By this function's own contract.
        match unsafe { self.read_same(task) } {
            Some(memory) => memory,
            // SAFETY: As above.
            None => unsafe { self.look(task, drops) },
        }
    }

    /// As [`Self::read`]; `None` if it is another address space than before.
    ///
    /// # Safety
    ///
    /// `task` must be valid.
    #[inline(always)]
    unsafe fn read_same(&self, task: *mut bindings::task_struct) -> Option<Memory> {
        // SAFETY: By this function's own contract.
        let mm = unsafe { read_once!((*task).mm) };
        match &self.0 {
            Some(known) if known.as_raw() == mm => Some(mm::usage(known)),
            None if mm.is_null() => Some(Memory::default()),
            _ => None,
        }
    }

    /// What is seen of the address space that the task had when it was last read.
    #[inline]
    fn read_known(&self) -> Memory {
        self.0.as_deref().map(mm::usage).unwrap_or_default()
    }

    /// As [`Self::read`], of a task that has another address space than before.
    ///
    /// # Safety
    ///
    /// As for [`Self::read`].
    #[cold]
    unsafe fn look(&mut self, task: *mut bindings::task_struct, drops: &mut DropBatch) -> Memory {
        // SAFETY: By this function's own contract. `alloc_lock` (of `task_lock()`) keeps `mm` from being
        // changed, and so the address space from going away. A kernel thread only borrows one.
        let mm = unsafe {
            bindings::spin_lock(&raw mut (*task).alloc_lock);
            let mm = if read_once!((*task).flags) & bindings::PF_KTHREAD == 0 {
                NonNull::new((*task).mm)
            } else {
                None
            };
            // `Mm` is transparent, and counted as by `mmgrab()`.
            let mm = mm.map(|mm| ARef::from(mm.cast::<Mm>().as_ref()));
            bindings::spin_unlock(&raw mut (*task).alloc_lock);
            mm
        };
        self.set(mm, drops);
        self.read_known()
    }

    /// Goes on with `mm`. What was known before goes to `drops`: the task may have been the last to
    /// use it.
    fn set(&mut self, mm: Option<ARef<Mm>>, drops: &mut DropBatch) {
        if let Some(former) = mem::replace(&mut self.0, mm) {
            drops.push(former);
        }
    }
}

/// A `spinlock_t` taken with interrupts off, as by `spin_lock_irqsave()`.
///
/// # Invariants
///
/// The lock is valid, and held by the current task.
struct IrqSaved {
    lock: *mut bindings::spinlock_t,
    #[cfg(not(CONFIG_PREEMPT_RT))]
    flags: usize,
}

impl IrqSaved {
    /// # Safety
    ///
    /// `lock` must be valid while the result lives, and not be held by the current task.
    unsafe fn lock(lock: *mut bindings::spinlock_t) -> Self {
        // INVARIANT: Taken here, valid by this function's own contract.
        #[cfg(not(CONFIG_PREEMPT_RT))]
        return Self {
            lock,
            // SAFETY: By this function's own contract. Without PREEMPT_RT, a `spinlock_t` begins
            // with its `raw_spinlock_t`.
            flags: unsafe { bindings::_raw_spin_lock_irqsave(lock.cast()) },
        };
        #[cfg(CONFIG_PREEMPT_RT)]
        {
            // Interrupt handlers are threads then, and a `spinlock_t` a sleeping lock.
            // SAFETY: By this function's own contract.
            unsafe { bindings::spin_lock(lock) };
            Self { lock }
        }
    }
}

impl Drop for IrqSaved {
    fn drop(&mut self) {
        // SAFETY: The lock is valid and held, as the type invariant says.
        unsafe {
            #[cfg(not(CONFIG_PREEMPT_RT))]
            bindings::_raw_spin_unlock_irqrestore(self.lock.cast(), self.flags);
            #[cfg(CONFIG_PREEMPT_RT)]
            bindings::spin_unlock(self.lock);
        }
    }
}

#[kernel::macros::kunit_tests(taskmonitor_task)]
mod tests {
    use super::*;

    use kernel::{
        error::{
            code::ESRCH,
            Result, //
        },
        page::PAGE_SIZE,
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    #[test]
    fn a_name_ends_before_its_nul() {
        assert_eq!(Comm([0; 16]).bytes(), b"");
        assert_eq!(Comm(*b"sh\0rest of bash\0").bytes(), b"sh");
        assert_eq!(Comm(*b"exactly15 bytes\0").bytes(), b"exactly15 bytes");
        // In the midst of being changed, it may lack its end.
        assert_eq!(Comm(*b"16 bytes, no end").bytes(), b"16 bytes, no end");
    }

    #[test]
    fn usage_adds_up_field_by_field() {
        let mut sum = Usage {
            utime: 1,
            stime: 20,
            runtime: 300,
            min_flt: 4000,
            maj_flt: u64::MAX,
        };
        sum.add(&Usage {
            utime: 5,
            stime: 60,
            runtime: 700,
            min_flt: 8000,
            maj_flt: 10,
        });
        assert_eq!((sum.utime, sum.stime, sum.runtime), (6, 80, 1000));
        // As counters of the kernel do, it wraps.
        assert_eq!((sum.min_flt, sum.maj_flt), (12000, 9));
    }

    #[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
    #[test]
    fn pending_time_is_added_by_mode() {
        let added = |state, now| {
            let pending = Pending {
                state,
                since: 1000,
                utime: 20,
                stime: 3,
            };
            pending.added_to((50_000, 60_000), now)
        };
        for off_cpu in [
            bindings::vtime_state_VTIME_INACTIVE,
            bindings::vtime_state_VTIME_IDLE,
        ] {
            assert_eq!(added(off_cpu, 5000), (50_000, 60_000));
        }
        assert_eq!(
            added(bindings::vtime_state_VTIME_SYS, 5000),
            (50_000, 64_003)
        );
        for user in [
            bindings::vtime_state_VTIME_USER,
            bindings::vtime_state_VTIME_GUEST,
        ] {
            assert_eq!(added(user, 5000), (54_020, 60_000));
        }
        // By the clock of a processor that is behind.
        assert_eq!(
            added(bindings::vtime_state_VTIME_USER, 999),
            (50_020, 60_000)
        );
    }

    #[test]
    fn time_with_what_is_pending_is_no_less() {
        let task = current!().as_ptr();
        // SAFETY: The current task is valid.
        let (accounted, (utime, stime)) =
            unsafe { (usage_accounted(task), cputime_with_pending(task)) };
        assert!(utime >= accounted.utime && stime >= accounted.stime);
    }

    #[test]
    fn waiting_for_a_lock_is_no_sleep() {
        for state in [
            bindings::TASK_INTERRUPTIBLE,
            bindings::TASK_UNINTERRUPTIBLE,
            bindings::TASK_IDLE,
        ] {
            assert!(is_sleep(state));
        }
        for state in [
            bindings::TASK_RUNNING,
            bindings::TASK_RTLOCK_WAIT,
            bindings::TASK_DEAD,
            bindings::TASK_NEW,
        ] {
            assert!(!is_sleep(state));
        }
    }

    #[test]
    fn sleeping_counts_as_a_switch() {
        let before = own_switches();
        fsleep(Delta::from_millis(1));
        assert!(own_switches() > before);
    }

    #[test]
    fn a_task_on_a_cpu_has_no_mark() {
        let mut drops = DropBatch::new();
        let own = Pid::find(current!().pid()).and_then(|pid| Process::of(&pid));
        let read = own.map(|mut process| (process.read_one(), process.read(&mut drops)));
        assert!(read.is_some_and(|(at_once, reading)| {
            at_once.is_none() && reading.mark.is_none() && reading.threads == 1
        }));
    }

    /// `kthreadd` may be busy for a moment: it starts the threads of unit tests.
    #[test]
    fn a_task_that_sleeps_has_a_mark() {
        let mut drops = DropBatch::new();
        let kthreadd = Pid::find(crate::testing::KTHREADD).and_then(|pid| Process::of(&pid));
        let sleeps = kthreadd.is_some_and(|mut process| {
            (0..1_000_000).any(|_| {
                let mark = process.read(&mut drops).mark;
                mark.is_some_and(|mark| process.read_idle(&mark).is_some())
            })
        });
        assert!(sleeps);
    }

    #[test]
    fn an_address_space_that_is_let_go_is_dropped_later() -> Result {
        let mut drops = DropBatch::new();
        let pid = Pid::find(crate::testing::INIT).ok_or(ESRCH)?;
        let mut init = Process::of(&pid).ok_or(ESRCH)?;
        for count in 1..=62 {
            assert!(init.read(&mut drops).memory.mm_users > 0);
            assert!(drops.has_room(1));
            init.release_mm(&mut drops);
            assert_eq!(drops.len(), count);
        }
        assert!(!drops.has_room(1));
        // Without room, it is dropped at once.
        for _ in 0..3 {
            init.read(&mut drops);
            init.release_mm(&mut drops);
        }
        assert_eq!(drops.len(), 64);
        drops.clear();
        assert_eq!(drops.len(), 0);
        assert!(init.read(&mut drops).memory.mm_users > 0);
        // There is no other one.
        init.read(&mut drops);
        assert_eq!(drops.len(), 0);
        Ok(())
    }

    #[test]
    fn a_kernel_thread_is_a_process_without_memory() {
        let read = Pid::find(crate::testing::KTHREADD)
            .and_then(|pid| Process::of(&pid))
            .map(|mut process| (process.read(&mut DropBatch::new()), process.comm()));
        assert!(read.is_some_and(|(reading, comm)| {
            (reading.memory.rss, reading.memory.mm_users, reading.threads) == (0, 0, 1)
                && !reading.ended
                && comm.bytes() == b"kthreadd"
        }));
    }

    #[test]
    fn init_has_memory() {
        let read = Pid::find(crate::testing::INIT)
            .and_then(|pid| Process::of(&pid))
            .map(|mut process| process.read(&mut DropBatch::new()));
        assert!(read.is_some_and(|reading| {
            // (Of few and large pages, its processors may have counted all for themselves alone.)
            (reading.memory.rss > 0 || PAGE_SIZE > 4096)
                && reading.memory.mm_users > 0
                && reading.threads > 0
                && !reading.ended
        }));
    }
}
