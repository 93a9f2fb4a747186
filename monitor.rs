// SPDX-License-Identifier: GPL-2.0

//! The monitor: what can be done with the set of monitored tasks.
//!
//! Two locks, taken in this order: `control` (a mutex) serialises what changes which tasks there are,
//! and is held while memory for that is allocated; `set` (a spinlock) protects the tasks and their
//! histories, and is held for a bounded piece of work at a time, during which nothing sleeps.

use core::num::NonZeroU32;

use kernel::{
    current, new_mutex, new_poll_condvar, new_spinlock,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        poll::PollCondVar,
        Arc,
        Mutex,
        SpinLock,
        SpinLockGuard, //
    },
    task::{
        might_sleep,
        Task, //
    },
};

use crate::{
    command::Command,
    params::Settings,
    sample::{
        drain,
        Block,
        TRIM, //
    },
    set::{
        Choice,
        Reservation,
        Schedule,
        Set,
        Subject,
        BATCH,
        THREADS_A_TASK, //
    },
    stats::Activity,
    wrappers::{
        mempool::Pool,
        mm::DropBatch,
        pid::{
            NamespaceId,
            Pid, //
        },
        slab::rbtree_node_size,
        task::runtime,
        timekeeping::monotonic_ns,
    },
};

/// Maximum number of followers at once. Each has a place for each task, and may hold a block of it.
pub(crate) const MAX_FOLLOWERS: usize = 128;

/// What a task is found by: a number in one of the PID namespaces that know it, and its number in
/// the set, since a history outlives the task, and its PID may be given to another.
type Key = (NamespaceId, i32, u64);

/// What the changing of the set needs. Protected by a mutex.
struct Control {
    index: RBTree<Key, ARef<Pid>>,
    /// Number of entries of `index`.
    entries: usize,
    next: u64,
    sampler: Option<ARef<Task>>,
}

impl Control {
    /// The first task at or behind `from` that `nr` means in `namespace`.
    fn find(&self, namespace: NamespaceId, nr: i32, from: u64) -> Option<(u64, ARef<Pid>)> {
        let cursor = self.index.cursor_lower_bound(&(namespace, nr, from))?;
        let (&(found_namespace, found_nr, number), pid) = cursor.current();
        (found_namespace == namespace && found_nr == nr).then(|| (number, pid.clone()))
    }

    fn insert(&mut self, pid: &ARef<Pid>, number: u64) -> Result {
        for (namespace, nr) in pid.numbers() {
            let key = (namespace, nr, number);
            if let Err(error) = self
                .index
                .try_create_and_insert(key, pid.clone(), GFP_KERNEL)
            {
                self.remove(pid, number);
                return Err(error);
            }
            self.entries = self.entries.saturating_add(1);
        }
        Ok(())
    }

    fn remove(&mut self, pid: &Pid, number: u64) {
        for (namespace, nr) in pid.numbers() {
            if self.index.remove(&(namespace, nr, number)).is_some() {
                self.entries = self.entries.saturating_sub(1);
            }
        }
    }

    /// Returns the bytes that the allocator set aside for the index.
    fn bytes(&self) -> usize {
        let entry = rbtree_node_size::<Key, ARef<Pid>>();
        self.entries.saturating_mul(entry)
    }
}

/// A round that has begun.
pub(crate) struct Round {
    /// Nothing without living tasks, or while stopped.
    pub(crate) schedule: Option<Schedule>,
    /// The number of the task to go on with, if there are more than were sampled.
    pub(crate) more: Option<u64>,
}

/// The monitor: tasks, their histories, and where the memory for those comes from.
#[pin_data(PinnedDrop)]
pub(crate) struct Monitor {
    max_tasks: usize,
    #[pin]
    control: Mutex<Control>,
    #[pin]
    set: SpinLock<Set>,
    /// Counts what the sampling thread must look at before it sleeps on.
    news: Atomic<u32>,
    /// Whether it can wait: the thread looks at it when its rest is over.
    resting: Atomic<bool>,
    /// Notified when there are new samples, if there are `followers`.
    #[pin]
    samples: PollCondVar,
    followers: Atomic<usize>,
    /// The bytes that all followers together have for their places.
    follower_bytes: Atomic<usize>,
    // Behind the set, whose blocks go back to it.
    pool: Arc<Pool<Block>>,
    /// Bytes of a block.
    block_size: usize,
}

impl Monitor {
    /// Makes a monitor without tasks. `block_size` is what a block of `pool` takes.
    pub(crate) fn new<'a>(
        pool: Arc<Pool<Block>>,
        block_size: usize,
        settings: &'a Settings,
    ) -> impl PinInit<Self> + 'a {
        let set = Set::new(settings, max_blocks(settings.max_mib, block_size));
        let control = Control {
            index: RBTree::new(),
            entries: 0,
            next: 0,
            sampler: None,
        };
        pin_init!(Self {
            // CAST: To a wider type.
            max_tasks: settings.max_tasks as usize,
            control <- new_mutex!(control, "taskmonitor::control"),
            set <- new_spinlock!(set, "taskmonitor::set"),
            news: Atomic::new(0),
            resting: Atomic::new(false),
            samples <- new_poll_condvar!("taskmonitor::samples"),
            followers: Atomic::new(0),
            follower_bytes: Atomic::new(0),
            pool,
            block_size,
        })
    }

    /// Locks the set. To be held for a bounded piece of work only, during which nothing sleeps.
    pub(crate) fn set(&self) -> SpinLockGuard<'_, Set> {
        self.set.lock()
    }

    /// Carries out a command, for the current task. Errors: see the functions that do so.
    ///
    /// Context: may sleep.
    pub(crate) fn command(&self, command: Command) -> Result {
        match command {
            Command::Add(nr) => self.add(nr)?,
            Command::Remove(nr) => self.remove(nr)?,
            Command::Print(nr) => self.print(nr)?,
            Command::PrintAll => self.print_all(),
            Command::Clear => self.clear(),
            Command::Start => self.start(),
            Command::Stop => self.stop(),
        }
        Ok(())
    }

    /// Starts monitoring the task that `nr` means to the current task.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: there is no such task.
    /// - `EEXIST`: that very task is monitored already.
    /// - `ENOSPC`: `max_tasks` living tasks are monitored, or its first block would exceed `max_mib` even
    ///   after all blocks are evicted that can be.
    /// - `ENOMEM`: there is not enough memory.
    ///
    /// Context: may sleep.
    pub(crate) fn add(&self, nr: i32) -> Result {
        let pid = Pid::find(nr).ok_or(ESRCH)?;
        let subject = Subject::of(&pid).ok_or(ESRCH)?;
        let mut control = self.control.lock();

        if let Some((namespace, nr)) = pid.numbers().next() {
            let mut from = 0;
            while let Some((number, known)) = control.find(namespace, nr, from) {
                if core::ptr::eq(&*known, &*pid) {
                    return Err(EEXIST);
                }
                from = number.saturating_add(1);
            }
        }
        let room = self.room()?;
        let number = control.next;
        // No other task comes or goes meanwhile.
        let needs_room = self.set().needs_room(number);
        let reservation = Reservation::new(number, needs_room)?;
        control.insert(&pid, number)?;
        while self.set().make_block_room(&self.pool) {
            might_sleep();
        }
        let mut drops = DropBatch::new();
        let added = self
            .set()
            .add(&pid, subject, reservation, &self.pool, &mut drops);
        if let Err(error) = added {
            control.remove(&pid, number);
            return Err(error);
        }
        control.next = number.saturating_add(1);
        if let Some((number, pid)) = room {
            self.forget(&mut control, number, &pid);
        }
        self.tell_sampler(&control);
        self.announce();
        Ok(())
    }

    /// What must go for one more task to be monitored: nothing, or at the limit the history of the
    /// task that exited longest ago. Fails with `ENOSPC` if all are living.
    ///
    /// To be called with `control` locked, so that no task comes or goes meanwhile.
    fn room(&self) -> Result<Option<(u64, ARef<Pid>)>> {
        let set = self.set();
        if set.len() < self.max_tasks {
            return Ok(None);
        }
        let oldest = set.oldest_exit();
        drop(set);
        oldest.or_else(|| self.find_ended()).map(Some).ok_or(ENOSPC)
    }

    /// A task that has ended since it was last sampled.
    fn find_ended(&self) -> Option<(u64, ARef<Pid>)> {
        let (mut next, mut found) = (Some(0), None);
        let mut drops = DropBatch::new();
        while let Some(from) = next.filter(|_| found.is_none()) {
            let mut cost = 0;
            next = self.set().visit(from, |number, task| {
                let (ended, threads) = task.has_ended(&mut drops);
                if ended {
                    found = Some((number, task.pid.clone()));
                }
                cost += 1 + threads / THREADS_A_TASK;
                found.is_none() && cost < BATCH && drops.has_room(1)
            });
            drops.clear();
            might_sleep();
        }
        found
    }

    /// Removes a task and drops its history.
    fn forget(&self, control: &mut Control, number: u64, pid: &Pid) {
        control.remove(pid, number);
        let removed = self.set().remove(number);
        if let Some(task) = removed {
            task.history.drain();
        }

        // With its last history gone, nothing would be shown of what `print` chose.
        let choice = self.set().choice.clone();
        if let Some(choice) = choice {
            if control.find(choice.namespace, choice.nr, 0).is_none() {
                self.choose(None);
            }
        }
    }

    /// Stops monitoring each task that `nr` means, or meant, to the current task, and drops their
    /// histories. Fails with `ENOENT` if there is none.
    ///
    /// Context: may sleep.
    fn remove(&self, nr: i32) -> Result {
        let namespace = own_namespace()?;
        let mut control = self.control.lock();
        let (mut from, mut found) = (0, false);
        while let Some((number, pid)) = control.find(namespace, nr, from) {
            self.forget(&mut control, number, &pid);
            from = number.saturating_add(1);
            found = true;
        }
        if found {
            Ok(())
        } else {
            Err(ENOENT)
        }
    }

    /// Lets the files show the tasks alone that `nr` means, or meant, to the current task. Fails with
    /// `ENOENT` if there is none.
    ///
    /// Context: may sleep.
    fn print(&self, nr: i32) -> Result {
        let namespace = own_namespace()?;
        let control = self.control.lock();
        let (_, pid) = control.find(namespace, nr, 0).ok_or(ENOENT)?;
        self.choose(Some(Choice::new(namespace, nr, pid)));
        Ok(())
    }

    /// Lets the files show all tasks.
    fn print_all(&self) {
        let _control = self.control.lock();
        self.choose(None);
    }

    fn choose(&self, choice: Option<Choice>) {
        let former = core::mem::replace(&mut self.set().choice, choice);
        // Not under the lock: it may be the last to hold a PID, and with that a namespace.
        drop(former);
    }

    /// Drops all samples, and forgets the tasks that exited.
    ///
    /// Context: may sleep.
    fn clear(&self) {
        let mut control = self.control.lock();
        let mut next = Some(0);
        while let Some(from) = next {
            let (mut exited, mut blocks) = (None, None);
            // One at a time, as there may be much to drop of each.
            next = self.set().visit(from, |number, task| {
                if task.is_living() {
                    blocks = Some(task.history.clear());
                } else {
                    exited = Some((number, task.pid.clone()));
                }
                false
            });
            if let Some(blocks) = blocks {
                drain(blocks);
            }
            if let Some((number, pid)) = exited {
                self.forget(&mut control, number, &pid);
            }
        }
    }

    /// Goes on sampling, on a new grid. Context: may sleep.
    pub(crate) fn start(&self) {
        let control = self.control.lock();
        self.set().start();
        self.tell_sampler(&control);
    }

    /// Stops sampling. When this returns, there are no samples any more but the first of those tasks
    /// that are added. Context: may sleep.
    pub(crate) fn stop(&self) {
        let control = self.control.lock();
        self.set().stop();
        self.tell_sampler(&control);
    }

    /// Whether tasks are sampled.
    pub(crate) fn is_sampling(&self) -> bool {
        self.set().is_sampling()
    }

    /// Begins a new grid, with a period of `period_us` microseconds.
    ///
    /// Context: may sleep.
    pub(crate) fn set_period(&self, period_us: NonZeroU32) {
        let control = self.control.lock();
        self.set().set_period(period_us);
        self.tell_sampler(&control);
    }

    /// Keeps, and shows, `max_samples` of each task from now on.
    ///
    /// Context: may sleep.
    pub(crate) fn set_max_samples(&self, max_samples: u32) {
        let max_samples = max_samples.into();
        let _control = self.control.lock();
        if max_samples < self.set().max_samples() {
            // First, so that the new limit finds not much to do with the next sample.
            self.trim(max_samples);
        }
        self.set().set_max_samples(max_samples);
        // What was taken meanwhile goes, too, of tasks without a next sample.
        self.trim(max_samples);
    }

    /// Evicts what is more than `max_samples` of each task, a bounded piece at a time.
    fn trim(&self, max_samples: u64) {
        let mut next = Some(0);
        while let Some(from) = next {
            let (mut blocks, mut again) = (0, None);
            next = self.set().visit(from, |number, task| {
                let taken = task.history.trim(max_samples);
                if taken == TRIM {
                    again = Some(number);
                }
                blocks += taken;
                blocks < TRIM
            });
            next = again.or(next);
            might_sleep();
        }
    }

    /// Bounds the memory of all blocks to `max_mib` MiB from now on.
    ///
    /// Context: may sleep.
    pub(crate) fn set_max_mib(&self, max_mib: u32) {
        self.set()
            .set_max_blocks(max_blocks(max_mib, self.block_size));
        while self.set().keep_max_blocks(&self.pool) {
            might_sleep();
        }
    }

    /// Makes the pool keep back `reserve` blocks. Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn set_reserve(&self, reserve: u32) -> Result {
        self.pool.resize(reserve)
    }

    /// Makes `sampler` the thread that is woken up when there is news; `None` when it ends.
    ///
    /// Context: may sleep.
    pub(crate) fn set_sampler(&self, sampler: Option<ARef<Task>>) {
        self.control.lock().sampler = sampler;
    }

    fn tell_sampler(&self, control: &Control) {
        self.news.fetch_add(1, Release);
        // The set was locked for what is new. If that was before the thread's next look at it, it sees that;
        // if it was behind it, we see that it does not rest any more.
        if let (Some(sampler), false) = (&control.sampler, self.resting.load(Relaxed)) {
            sampler.wake_up();
        }
    }

    /// Whether news is not to wake the sampling thread up. To be called by that alone.
    pub(crate) fn set_resting(&self, resting: bool) {
        self.resting.store(resting, Relaxed);
    }

    /// How often there was news for the sampling thread.
    pub(crate) fn news(&self) -> u32 {
        self.news.load(Acquire)
    }

    /// What followers wait for: it is notified when there are new samples.
    pub(crate) fn samples(&self) -> &PollCondVar {
        &self.samples
    }

    /// Counts one more follower.
    ///
    /// # Errors
    ///
    /// - `ENFILE`: there are [`MAX_FOLLOWERS`] already.
    pub(crate) fn follow(&self) -> Result {
        // Relaxed: each addition sees those before it, and no other data depends on the count.
        if self.followers.fetch_add(1, Relaxed) >= MAX_FOLLOWERS {
            self.unfollow();
            return Err(ENFILE);
        }
        Ok(())
    }

    /// Counts one follower less.
    pub(crate) fn unfollow(&self) {
        self.followers.fetch_sub(1, Relaxed);
    }

    /// Notes that the places of a follower take `now` bytes instead of `before`.
    pub(crate) fn resize_follower(&self, before: usize, now: usize) {
        // A difference below 0 wraps, and so does its addition. Relaxed: this is only shown.
        self.follower_bytes
            .fetch_add(now.wrapping_sub(before), Relaxed);
    }

    /// Returns what was done since the module was loaded, and what is held now. Goes through all tasks.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn activity(&self) -> Activity {
        // No task comes or goes meanwhile. So the counts add up, although more samples are taken.
        let control = self.control.lock();
        let mut totals = self.set().removed();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.set().count(from, &mut totals);
            might_sleep();
        }
        let set = self.set();
        Activity {
            rounds: set.rounds().done,
            rounds_missed: set.rounds().missed,
            tasks: set.len(),
            living: set.living(),
            totals,
            blocks: self.pool.allocated(),
            block_size: self.block_size,
            table_bytes: set.table_bytes().saturating_add(control.bytes()),
            followers: self.followers.load(Relaxed).min(MAX_FOLLOWERS),
            follower_bytes: self.follower_bytes.load(Relaxed),
            runtime: control.sampler.as_deref().map_or(0, runtime),
            sampling: set.is_sampling(),
        }
    }

    /// Notifies the followers of samples that were recorded. Context: any but interrupts; never sleeps.
    ///
    /// A follower that is not counted here yet will lock the set behind us, before it waits, and see them.
    pub(crate) fn announce(&self) {
        if self.followers.load(Relaxed) > 0 {
            self.samples.notify_all();
        }
    }

    /// Looks at what is to be done behind instant `sampled`, and begins it, if `may_begin` says so of
    /// the time (CLOCK_MONOTONIC, in nanoseconds); else returns nothing. `drops` must be
    /// empty, and is empty on return.
    ///
    /// Context: any but interrupts, with no spinlock held; never sleeps.
    pub(crate) fn begin_round(
        &self,
        sampled: u64,
        drops: &mut DropBatch,
        may_begin: impl FnOnce(u64) -> bool,
    ) -> Option<Round> {
        let mut set = self.set();
        let schedule = set.schedule(sampled);
        let now = match &schedule {
            Some(schedule) => schedule.now,
            None => monotonic_ns(),
        };
        let round = may_begin(now).then(|| {
            let due = schedule.as_ref().and_then(|schedule| schedule.due);
            let more = due.and_then(|due| set.sample_first_batch(due, now, &self.pool, drops));
            Round { schedule, more }
        });
        drop(set);
        drops.clear();
        round
    }

    /// Samples living tasks at `instant`, a bounded number of them from number `from` on. Returns
    /// the number to go on with, if there are more. `drops` must be empty, and is empty on
    /// return.
    ///
    /// Context: any but interrupts, with no spinlock held; never sleeps.
    pub(crate) fn continue_round(
        &self,
        from: u64,
        instant: u64,
        drops: &mut DropBatch,
    ) -> Option<u64> {
        let next = self.set().sample_batch(from, instant, &self.pool, drops);
        drops.clear();
        next
    }
}

#[pinned_drop]
impl PinnedDrop for Monitor {
    /// Context: may sleep.
    fn drop(self: Pin<&mut Self>) {
        // One by one, letting others run meanwhile: dropping the set would do so in one piece.
        loop {
            let mut set = self.set.lock();
            let removed = set.last_number().and_then(|number| set.remove(number));
            drop(set);
            match removed {
                Some(task) => task.history.drain(),
                None => break,
            }
            might_sleep();
        }
    }
}

/// How many blocks of `block_size` bytes `max_mib` MiB are.
fn max_blocks(max_mib: u32, block_size: usize) -> usize {
    // CAST: To a wider type.
    let bytes = (max_mib as usize).saturating_mul(1 << 20);
    bytes.checked_div(block_size).unwrap_or(0)
}

/// The PID namespace of the current task. Fails with `ENOENT` if that has none, since it exits.
fn own_namespace() -> Result<NamespaceId> {
    Ok(current!().active_pid_ns().ok_or(ENOENT)?.into())
}

#[kunit_tests(taskmonitor_monitor)]
mod tests {
    use super::*;

    use crate::testing::{
        fill,
        monitor,
        INIT,
        KTHREADD,
        NOBODY, //
    };

    fn own() -> i32 {
        current!().pid()
    }

    fn taken(monitor: &Monitor, number: u64) -> Option<u64> {
        let status = monitor.set().status(number);
        status.map(|status| status.counts.taken)
    }

    #[test]
    fn max_mib_is_a_number_of_blocks() {
        assert_eq!(max_blocks(1, 1024), 1024);
        assert_eq!(max_blocks(3, 1 << 20), 3);
        // Rounded down.
        assert_eq!(max_blocks(1, 1000), 1048);
        assert_eq!(max_blocks(u32::MAX, 1), (u32::MAX as usize) << 20);
        assert_eq!(max_blocks(1, 0), 0);
    }

    #[test]
    fn a_task_is_added_once() -> Result {
        let monitor = monitor()?;
        assert_eq!(monitor.command(Command::Add(KTHREADD)), Ok(()));
        assert_eq!(monitor.command(Command::Add(KTHREADD)), Err(EEXIST));
        assert_eq!(monitor.set().len(), 1);
        assert_eq!(taken(&monitor, 0), Some(1));
        Ok(())
    }

    #[test]
    fn a_task_that_is_not_there_is_not_added() -> Result {
        let monitor = monitor()?;
        assert_eq!(monitor.command(Command::Add(NOBODY)), Err(ESRCH));
        assert_eq!(monitor.command(Command::Remove(NOBODY)), Err(ENOENT));
        assert_eq!(monitor.set().len(), 0);
        Ok(())
    }

    #[test]
    fn a_task_that_is_removed_can_be_added_again() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        assert_eq!(monitor.command(Command::Remove(INIT)), Err(ENOENT));
        assert_eq!(monitor.command(Command::Remove(KTHREADD)), Ok(()));
        assert_eq!(monitor.command(Command::Remove(KTHREADD)), Err(ENOENT));
        assert_eq!(monitor.set().len(), 0);
        assert_eq!(monitor.pool.allocated(), 0);
        assert_eq!(monitor.command(Command::Add(KTHREADD)), Ok(()));
        // With a new number.
        assert_eq!(monitor.set().last_number(), Some(1));
        Ok(())
    }

    #[test]
    fn there_are_no_more_than_max_tasks() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        monitor.command(Command::Add(own()))?;
        // The limit is three, and 3 is one more kernel thread.
        assert_eq!(monitor.command(Command::Add(3)), Err(ENOSPC));
        assert_eq!(monitor.command(Command::Add(INIT)), Err(EEXIST));
        monitor.command(Command::Remove(INIT))?;
        assert_eq!(monitor.command(Command::Add(3)), Ok(()));
        Ok(())
    }

    #[test]
    fn print_chooses_what_is_monitored() -> Result {
        let monitor = monitor()?;
        let chosen = || monitor.set().choice.as_ref().map(|choice| choice.nr);
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        assert_eq!(chosen(), None);
        assert_eq!(monitor.command(Command::Print(INIT)), Ok(()));
        assert_eq!(chosen(), Some(INIT));
        // The choice stays as it was.
        assert_eq!(monitor.command(Command::Print(NOBODY)), Err(ENOENT));
        assert_eq!(chosen(), Some(INIT));
        assert_eq!(monitor.command(Command::PrintAll), Ok(()));
        assert_eq!(chosen(), None);
        Ok(())
    }

    #[test]
    fn a_choice_goes_with_its_last_history() -> Result {
        let monitor = monitor()?;
        let chosen = || monitor.set().choice.as_ref().map(|choice| choice.nr);
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        monitor.command(Command::Print(INIT))?;
        monitor.command(Command::Remove(KTHREADD))?;
        assert_eq!(chosen(), Some(INIT));
        monitor.command(Command::Remove(INIT))?;
        assert_eq!(chosen(), None);
        Ok(())
    }

    #[test]
    fn clear_keeps_the_living() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        for instant in 1..40 {
            monitor.sample_batch(0, instant);
        }
        assert_eq!(monitor.command(Command::Clear), Ok(()));
        assert_eq!(monitor.set().len(), 2);
        for number in 0..2 {
            let status = monitor.set().status(number).ok_or(ENOENT)?;
            assert_eq!((status.counts.samples, status.counts.evicted), (0, 40));
        }
        // Each task's newest block.
        assert_eq!(monitor.pool.allocated(), 2);
        Ok(())
    }

    #[test]
    fn a_lower_max_samples_evicts_at_once() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        for instant in 1..40 {
            monitor.sample_batch(0, instant);
        }
        monitor.set_max_samples(5);
        let counts = monitor.set().status(0).ok_or(ENOENT)?.counts;
        assert_eq!((counts.samples, counts.evicted), (5, 35));
        Ok(())
    }

    #[test]
    fn a_lower_max_mib_evicts_at_once() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        let (_, ends) = fill(&monitor, 1, 3)?;
        assert_eq!(monitor.pool.allocated(), 3);
        monitor.set_max_mib(0);
        assert_eq!(monitor.pool.allocated(), 1);
        let counts = monitor.set().status(0).ok_or(ENOENT)?.counts;
        assert_eq!(counts.evicted, ends[0][1]);
        assert_eq!(counts.samples, counts.taken - counts.evicted);
        Ok(())
    }

    #[test]
    fn stop_and_start_may_be_repeated() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        assert!(monitor.is_sampling());
        assert_eq!(monitor.command(Command::Stop), Ok(()));
        assert_eq!(monitor.command(Command::Stop), Ok(()));
        assert!(!monitor.is_sampling());
        assert_eq!(monitor.sample_batch(0, 5), None);
        assert_eq!(taken(&monitor, 0), Some(1));
        assert_eq!(monitor.command(Command::Start), Ok(()));
        assert_eq!(monitor.command(Command::Start), Ok(()));
        assert!(monitor.is_sampling());
        monitor.sample_batch(0, 1);
        assert_eq!(taken(&monitor, 0), Some(2));
        Ok(())
    }

    #[test]
    fn the_sampler_is_told_of_what_changes() -> Result {
        let monitor = monitor()?;
        let before = monitor.news();
        monitor.command(Command::Add(KTHREADD))?;
        assert_eq!(monitor.news(), before + 1);
        monitor.command(Command::Stop)?;
        monitor.command(Command::Start)?;
        assert_eq!(monitor.news(), before + 3);
        monitor.set_period(NonZeroU32::MAX);
        assert_eq!(monitor.news(), before + 4);
        Ok(())
    }

    #[test]
    fn a_monitor_that_goes_gives_all_back() -> Result {
        let monitor = monitor()?;
        let pool = monitor.pool.clone();
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        fill(&monitor, 2, 3)?;
        assert_eq!(pool.allocated(), 6);
        drop(monitor);
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }
}
