// SPDX-License-Identifier: GPL-2.0

//! The set of monitored tasks.
//!
//! Two locks, taken in this order: `control` (a mutex) serialises what changes the set, and is held
//! while memory for that is allocated; `set` (a spinlock) protects the tasks and their histories,
//! and is held for a bounded piece of work at a time, during which nothing sleeps.

use core::num::NonZeroU32;

use kernel::{
    current,
    new_mutex,
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
    task::Task, //
};

use crate::{
    cputime::CpuTime,
    grid::Grid,
    sample::{
        Block,
        History,
        Place,
        Sample, //
    },
    wrappers::{
        mempool::Pool,
        pid::{
            NamespaceId,
            Pid, //
        },
        task::{
            Process,
            Reading,
            Thread, //
        },
        timekeeping, //
    },
};

/// Most samples that are kept of each task.
pub(crate) const MAX_SAMPLES: u64 = 3600;

/// Most tasks that are monitored at once.
pub(crate) const MAX_TASKS: usize = 16384;

/// Most tasks that are sampled, or gone past, under one hold of the lock. Fewer, if they have many
/// threads.
const BATCH: usize = 64;

/// Threads of a process that are read for what another task costs.
const THREADS_A_TASK: usize = 8;

/// What is sampled: the task itself, never just its number.
enum Subject {
    /// A PID that leads a thread group stands for the whole process.
    Process(Process),
    /// Any other TID stands for that thread alone.
    Thread(Thread),
}

impl Subject {
    fn of(pid: &ARef<Pid>) -> Option<Self> {
        Process::of(pid)
            .map(Self::Process)
            .or_else(|| Thread::of(pid).map(Self::Thread))
    }

    fn start(&self) -> u64 {
        match self {
            Self::Process(process) => process.start(),
            Self::Thread(thread) => thread.start(),
        }
    }

    fn read(&self) -> Reading {
        match self {
            Self::Process(process) => process.read(),
            Self::Thread(thread) => thread.read(),
        }
    }
}

/// A monitored task.
struct Monitored {
    pid: ARef<Pid>,
    start: u64,
    /// `None` once its last sample, that of its exit, is recorded: then only `pid` is held, for the
    /// name's sake.
    subject: Option<Subject>,
    cputime: CpuTime,
    /// The instant (of the grid) that counts as this history's instant 0.
    joined: u64,
    /// The last instant that was sampled.
    sampled: u64,
    /// When its exit was recorded.
    exited: u64,
    history: History,
}

impl Monitored {
    /// Reads the task and records that as a sample. Returns what was read.
    fn sample(&mut self, instant: u64, time: u64, pool: &Arc<Pool<Block>>) -> Result<Reading> {
        let reading = self.subject.as_ref().ok_or(ESRCH)?.read();
        let mut cputime = self.cputime;
        let (usr, sys) = cputime.update(&reading.usage);
        let sample = Sample {
            seq: instant.saturating_sub(self.joined),
            time,
            usr,
            sys,
            rss: reading.rss,
            minflt: reading.usage.min_flt,
            majflt: reading.usage.maj_flt,
            mm_users: reading.mm_users,
            state: match reading.state {
                _ if reading.ended => b'X',
                // Being reaped, but still on its CPU: `X` is for the last sample alone.
                b'X' => b'Z',
                state => state,
            },
        };

        // Without memory for it the instant is missed, and the exit is recorded at a later one.
        self.history.push(pool, &sample, MAX_SAMPLES)?;
        self.cputime = cputime;
        self.sampled = instant;
        if reading.ended {
            self.subject = None;
            self.exited = time;
            self.history.finish();
        }
        Ok(reading)
    }
}

/// A task that has exited, and when that was recorded.
struct Exit {
    time: u64,
    number: u64,
    pid: ARef<Pid>,
}

/// The time for a sample that is taken now, later than that of any sample yet.
fn stamp(last: &mut u64) -> u64 {
    *last = timekeeping::boottime_ns().max(last.saturating_add(1));
    *last
}

/// The tasks, and when they are sampled. Protected by a spinlock.
struct Set {
    /// By number, which counts up: in the order in which they were added.
    tasks: RBTree<u64, Monitored>,
    /// How many there are, and how many of them have not exited.
    len: usize,
    living: usize,
    /// The time that the newest sample of all bears; later ones bear later times.
    last_time: u64,
    grid: Grid,
}

impl Set {
    /// Samples up to [`BATCH`] living tasks, from number `from` on. Returns the number to go on with.
    fn sample_batch(&mut self, from: u64, instant: u64, pool: &Arc<Pool<Block>>) -> Option<u64> {
        let mut cursor = self.tasks.cursor_lower_bound_mut(&from);
        let mut cost = 0;
        while cost < BATCH {
            let mut here = cursor?;
            let (_, task) = here.current_mut();
            cost += 1;
            // A task that was added at this instant has its sample of it.
            if task.subject.is_some() && task.sampled < instant {
                // A sample that finds no memory shows as a gap in `seq`.
                if let Ok(reading) = task.sample(instant, stamp(&mut self.last_time), pool) {
                    self.living = self.living.saturating_sub(usize::from(reading.ended));
                    cost += reading.threads / THREADS_A_TASK;
                }
            }
            cursor = here.move_next();
        }
        cursor.map(|here| *here.current().0)
    }

    /// Goes through up to [`BATCH`] tasks, from number `from` on, for one that exited before `best`
    /// did. Returns the number to go on with.
    fn oldest_exit(&mut self, from: u64, best: &mut Option<Exit>) -> Option<u64> {
        let mut cursor = self.tasks.cursor_lower_bound_mut(&from);
        for _ in 0..BATCH {
            let here = cursor?;
            let (&number, task) = here.current();
            let earlier = best.as_ref().is_none_or(|best| task.exited < best.time);
            if task.subject.is_none() && earlier {
                *best = Some(Exit {
                    time: task.exited,
                    number,
                    pid: task.pid.clone(),
                });
            }
            cursor = here.move_next();
        }
        cursor.map(|here| *here.current().0)
    }

    fn remove(&mut self, number: u64) -> Option<impl Sized> {
        let node = self.tasks.remove_node(&number)?;
        let (number, task) = node.to_key_value();
        self.len = self.len.saturating_sub(1);
        if task.subject.is_some() {
            self.living = self.living.saturating_sub(1);
        }
        Some((number, task))
    }
}

/// What a task is found by: a number in one of the PID namespaces that know it, and its number in
/// the set, since a history outlives the task, and its PID may be given to another.
type Key = (NamespaceId, i32, u64);

/// What the changing of the set needs. Protected by a mutex.
struct Control {
    index: RBTree<Key, ARef<Pid>>,
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
        }
        Ok(())
    }

    fn remove(&mut self, pid: &Pid, number: u64) {
        for (namespace, nr) in pid.numbers() {
            self.index.remove(&(namespace, nr, number));
        }
    }
}

/// The monitor: tasks, their histories, and where the memory for those comes from.
#[pin_data]
pub(crate) struct Monitor {
    #[pin]
    control: Mutex<Control>,
    #[pin]
    set: SpinLock<Set>,
    /// Counts what the sampling thread must look at before it sleeps on.
    news: Atomic<u32>,
    // Behind the set, whose blocks go back to it.
    pool: Arc<Pool<Block>>,
}

impl Monitor {
    /// Makes a monitor without tasks, whose grid begins now.
    pub(crate) fn new(pool: Arc<Pool<Block>>, period_us: NonZeroU32) -> impl PinInit<Self> {
        let set = Set {
            tasks: RBTree::new(),
            len: 0,
            living: 0,
            last_time: 0,
            grid: Grid::new(timekeeping::monotonic_ns(), period_us),
        };
        let control = Control {
            index: RBTree::new(),
            next: 0,
            sampler: None,
        };
        pin_init!(Self {
            control <- new_mutex!(control, "taskmonitor::control"),
            set <- new_spinlock!(set, "taskmonitor::set"),
            news: Atomic::new(0),
            pool,
        })
    }

    /// Starts monitoring the task that `nr` means to the current task.
    ///
    /// Errors: `ESRCH` (no such task), `EEXIST` (that very task is monitored already), `ENOSPC` (as
    /// many living tasks as can be are monitored), `ENOMEM`.
    ///
    /// Context: may sleep.
    pub(crate) fn add(&self, nr: i32) -> Result {
        let pid = Pid::find(nr).ok_or(ESRCH)?;
        let subject = Subject::of(&pid).ok_or(ESRCH)?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
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
        control.insert(&pid, number)?;

        let mut set = self.set.lock();
        let instant = set.grid.last_before(timekeeping::monotonic_ns());
        let mut task = Monitored {
            pid: pid.clone(),
            start: subject.start(),
            subject: Some(subject),
            cputime: CpuTime::default(),
            joined: instant,
            sampled: instant,
            exited: 0,
            history: History::new(),
        };
        let time = stamp(&mut set.last_time);
        match task.sample(instant, time, &self.pool) {
            Ok(reading) => {
                set.tasks.insert(node.into_node(number, task));
                set.len = set.len.saturating_add(1);
                set.living = set.living.saturating_add(usize::from(!reading.ended));
            }
            Err(error) => {
                drop(set);
                control.remove(&pid, number);
                return Err(error);
            }
        }
        drop(set);
        control.next = number.saturating_add(1);
        if let Some(exit) = room {
            self.forget(&mut control, exit.number, &exit.pid);
        }
        self.tell_sampler(&control);
        Ok(())
    }

    /// What must go for one more task to be monitored: nothing, or at the limit the history of the
    /// task that exited longest ago. Fails with `ENOSPC` if all are living.
    ///
    /// To be called with `control` locked, so that no task comes or goes meanwhile; one that exits
    /// meanwhile does so later than any that has.
    fn room(&self) -> Result<Option<Exit>> {
        if self.len() < MAX_TASKS {
            return Ok(None);
        }
        let (mut next, mut best) = (Some(0), None);
        while let Some(from) = next {
            next = self.set.lock().oldest_exit(from, &mut best);
        }
        best.map(Some).ok_or(ENOSPC)
    }

    /// Removes a task and drops its history.
    fn forget(&self, control: &mut Control, number: u64, pid: &Pid) {
        control.remove(pid, number);
        let removed = self.set.lock().remove(number);
        // Not under the lock: a history has many blocks.
        drop(removed);
    }

    /// Stops monitoring each task that `nr` means, or meant, to the current task, and drops their
    /// histories. Fails with `ENOENT` if there is none.
    ///
    /// Context: may sleep.
    pub(crate) fn remove(&self, nr: i32) -> Result {
        let namespace = current!().active_pid_ns().ok_or(ENOENT)?.into();
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

    /// Begins a new grid, with a period of `period_us` microseconds.
    ///
    /// Context: may sleep.
    pub(crate) fn set_period(&self, period_us: NonZeroU32) {
        let control = self.control.lock();
        let mut set = self.set.lock();
        set.grid = set.grid.restart(timekeeping::monotonic_ns(), period_us);
        drop(set);
        self.tell_sampler(&control);
    }

    /// Makes `sampler` the thread that is woken up when there is news; `None` when it ends.
    ///
    /// Context: may sleep.
    pub(crate) fn set_sampler(&self, sampler: Option<ARef<Task>>) {
        self.control.lock().sampler = sampler;
    }

    fn tell_sampler(&self, control: &Control) {
        self.news.fetch_add(1, Release);
        if let Some(sampler) = &control.sampler {
            sampler.wake_up();
        }
    }

    /// How many tasks are monitored, those that have exited included.
    fn len(&self) -> usize {
        self.set.lock().len
    }

    /// How often there was news for the sampling thread.
    pub(crate) fn news(&self) -> u32 {
        self.news.load(Acquire)
    }

    /// The grid, if there are living tasks to be sampled on it.
    pub(crate) fn grid(&self) -> Option<Grid> {
        let set = self.set.lock();
        (set.living > 0).then_some(set.grid)
    }

    /// Samples living tasks at `instant`, a bounded number of them from number `from` on. Returns
    /// the number to go on with, if there are more.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn sample_batch(&self, from: u64, instant: u64) -> Option<u64> {
        self.set.lock().sample_batch(from, instant, &self.pool)
    }
}

/// A reader's way through all histories: the samples that were taken before it began.
///
/// Between two calls it holds no lock, only the block on which it stands. Going on costs the same
/// wherever it is.
pub(crate) struct Cursor {
    monitor: Arc<Monitor>,
    /// Samples that bear a later time are not shown.
    until: u64,
    /// The task it is at.
    number: u64,
    task: Option<(ARef<Pid>, u64)>,
    place: Option<Place>,
}

impl Cursor {
    pub(crate) fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            until: 0,
            number: 0,
            task: None,
            place: None,
        }
    }

    /// Shows what was taken until now from here on.
    pub(crate) fn renew(&mut self) {
        self.until = self.monitor.set.lock().last_time;
    }

    /// Goes to the first sample of all; false if there is none.
    pub(crate) fn rewind(&mut self) -> bool {
        self.find(0)
    }

    /// Goes on to the next sample; false if there is none.
    pub(crate) fn advance(&mut self) -> bool {
        if let Some(place) = &mut self.place {
            place.advance();
            if self.sample().is_some() {
                return true;
            }
        }
        let behind = match &self.place {
            None => return false,
            Some(place) => {
                let set = self.monitor.set.lock();
                let task = set.tasks.get(&self.number);
                task.and_then(|task| task.history.behind(place))
            }
        };
        self.place = behind;
        self.sample().is_some() || self.find(self.number.saturating_add(1))
    }

    /// Goes to the first sample of the first task from number `from` on that has one to show.
    fn find(&mut self, mut from: u64) -> bool {
        loop {
            let mut set = self.monitor.set.lock();
            let mut cursor = set.tasks.cursor_lower_bound_mut(&from);
            for _ in 0..BATCH {
                let Some(here) = cursor else {
                    drop(set);
                    self.place = None;
                    return false;
                };
                let (&number, task) = here.current();
                let oldest = task.history.oldest();
                if shown(&oldest, self.until).is_some() {
                    let name = (task.pid.clone(), task.start);
                    drop(set);
                    self.place = oldest;
                    self.number = number;
                    self.task = Some(name);
                    return true;
                }
                from = number.saturating_add(1);
                cursor = here.move_next();
            }
        }
    }

    /// The sample it is at.
    pub(crate) fn sample(&self) -> Option<Sample> {
        shown(&self.place, self.until)
    }

    /// The task it is at: the number by which the current task knows it (0 if by none), and when it
    /// began.
    pub(crate) fn task(&self) -> Option<(i32, u64)> {
        let (pid, start) = self.task.as_ref()?;
        let number = current!()
            .active_pid_ns()
            .map_or(0, |namespace| pid.number_in(namespace));
        Some((number, *start))
    }
}

/// The sample at `place`, if it was taken `until` then.
fn shown(place: &Option<Place>, until: u64) -> Option<Sample> {
    place
        .as_ref()?
        .sample()
        .filter(|sample| sample.time <= until)
}
