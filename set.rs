// SPDX-License-Identifier: GPL-2.0

//! The set of monitored tasks: what is sampled, and what is kept of it.
//!
//! All of it is protected by one spinlock. What is done under one hold of it is bounded, whatever the
//! number of tasks and the length of their histories; a process's own walk over its threads is the
//! exception.

use core::{
    mem,
    num::NonZeroU32, //
};

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        Arc, //
    },
};

use crate::{
    cputime::CpuTime,
    grid::Grid,
    params::Settings,
    sample::{
        Block,
        Cause,
        Counts,
        History,
        Sample, //
    },
    shrinker::{
        Offer,
        Offers, //
    },
    wrappers::{
        mempool::Pool,
        pid::{
            NamespaceId,
            Pid, //
        },
        shrinker::Scanned,
        task::{
            Comm,
            Process,
            Reading,
            Thread, //
        },
        timekeeping, //
    },
};

/// Most tasks that are sampled, or gone past, and most blocks that are given back under one hold of
/// the lock. Fewer tasks, if they have many threads.
pub(crate) const BATCH: usize = 64;

/// Threads of a process that are read for what another task costs.
pub(crate) const THREADS_A_TASK: usize = 8;

/// What is sampled: the task itself, never just its number.
pub(crate) enum Subject {
    /// A PID that leads a thread group stands for the whole process.
    Process(Process),
    /// Any other TID stands for that thread alone.
    Thread(Thread),
}

impl Subject {
    /// The task that `pid` stands for now.
    pub(crate) fn of(pid: &ARef<Pid>) -> Option<Self> {
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

    fn comm(&self) -> Comm {
        match self {
            Self::Process(process) => process.comm(),
            Self::Thread(thread) => thread.comm(),
        }
    }
}

/// What is known of a task beside its history.
enum Life {
    Living {
        subject: Subject,
        cputime: CpuTime,
        /// For [`Set::exits`].
        exit: RBTreeNodeReservation<u64, u64>,
    },
    /// Its last sample, that of its exit, is recorded. The task is let go; its PID is still held, for
    /// the name's sake.
    Exited {
        usr: u64,
        sys: u64,
        time: u64,
        comm: Comm,
    },
}

/// A monitored task.
pub(crate) struct Monitored {
    pub(crate) pid: ARef<Pid>,
    pub(crate) start: u64,
    /// The instant (of the grid) that counts as this history's instant 0.
    joined: u64,
    /// The last instant at which it was sampled, or should have been.
    seen: u64,
    /// How many threads it had then.
    threads: usize,
    life: Life,
    pub(crate) history: History,
    offer: Offer,
}

/// The memory that a task needs in the set.
pub(crate) struct Reservation {
    number: u64,
    task: RBTreeNodeReservation<u64, Monitored>,
    exit: RBTreeNodeReservation<u64, u64>,
    offer: Offer,
}

impl Reservation {
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn new(number: u64) -> Result<Self> {
        Ok(Self {
            number,
            task: RBTreeNodeReservation::new(GFP_KERNEL)?,
            exit: RBTreeNodeReservation::new(GFP_KERNEL)?,
            offer: Offer::new(number)?,
        })
    }
}

/// What a sample was like that was just taken.
struct Sampled {
    threads: usize,
    /// It is the last one of the task: the memory to note that.
    exit: Option<RBTreeNodeReservation<u64, u64>>,
}

impl Monitored {
    /// Reads the task and records that as a sample.
    fn sample(
        &mut self,
        instant: u64,
        time: u64,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Result<Sampled> {
        let Life::Living {
            subject, cputime, ..
        } = &mut self.life
        else {
            return Err(ESRCH);
        };
        // Without memory for the sample, this instant is missed. (An exit is recorded at a later one.)
        self.seen = instant;
        let reading = subject.read();
        let mut adjusted = *cputime;
        let (usr, sys) = adjusted.update(&reading.usage);
        let mut sample = Sample {
            seq: instant.saturating_sub(self.joined),
            time,
            usr,
            sys,
            rss: reading.rss,
            minflt: reading.usage.min_flt,
            majflt: reading.usage.maj_flt,
            mm_users: reading.mm_users,
            state: match reading.state {
                // Being reaped, but still on its CPU: `X` is for the last sample alone.
                b'X' => b'Z',
                state => state,
            },
        };
        if reading.ended {
            // (A thread that has taken over its process by an exec has an address space. But it goes
            // on under another PID.)
            sample = Sample {
                rss: 0,
                mm_users: 0,
                state: b'X',
                ..sample
            };
        }
        self.history.push(pool, &sample, max_samples)?;
        *cputime = adjusted;
        self.threads = reading.threads;
        if !reading.ended {
            return Ok(Sampled {
                threads: reading.threads,
                exit: None,
            });
        }

        self.threads = 0;
        self.history.finish();
        let comm = subject.comm();
        let exited = Life::Exited {
            usr,
            sys,
            time,
            comm,
        };
        let exit = match mem::replace(&mut self.life, exited) {
            Life::Living { exit, .. } => Some(exit),
            Life::Exited { .. } => None,
        };
        Ok(Sampled {
            threads: reading.threads,
            exit,
        })
    }

    /// Whether it has ended by now, recorded or not; and how many threads were looked at for that.
    pub(crate) fn has_ended(&self) -> (bool, usize) {
        match &self.life {
            Life::Living { subject, .. } => {
                let reading = subject.read();
                (reading.ended, reading.threads)
            }
            Life::Exited { .. } => (true, 0),
        }
    }

    /// Whether there will be more samples of it.
    pub(crate) fn is_living(&self) -> bool {
        matches!(self.life, Life::Living { .. })
    }
}

/// What `print` chose: a number in one PID namespace.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) namespace: NamespaceId,
    pub(crate) nr: i32,
    /// Keeps the namespace from being mistaken for another.
    _pid: ARef<Pid>,
}

impl Choice {
    /// `pid` is one that has the number `nr` in `namespace`.
    pub(crate) fn new(namespace: NamespaceId, nr: i32, pid: ARef<Pid>) -> Self {
        Self {
            namespace,
            nr,
            _pid: pid,
        }
    }

    /// Whether `pid` is, or was, what was chosen.
    pub(crate) fn is(&self, pid: &Pid) -> bool {
        pid.numbers()
            .any(|number| number == (self.namespace, self.nr))
    }
}

/// When to sample. Times are of CLOCK_MONOTONIC, in nanoseconds.
pub(crate) struct Schedule {
    pub(crate) now: u64,
    /// The instant that is to be sampled now, if there is one.
    pub(crate) due: Option<u64>,
    /// When the next one is.
    pub(crate) next: u64,
}

/// A line of the tasks file.
pub(crate) struct Status {
    pub(crate) number: u64,
    pub(crate) pid: ARef<Pid>,
    pub(crate) start: u64,
    pub(crate) threads: usize,
    pub(crate) counts: Counts,
    /// Instants without a sample.
    pub(crate) missed: u64,
    /// The newest sample's values.
    pub(crate) newest: Sample,
    pub(crate) comm: Comm,
}

/// The tasks, and when they are sampled.
pub(crate) struct Set {
    /// By number, which counts up: in the order in which they were added.
    tasks: RBTree<u64, Monitored>,
    /// How many there are, and how many of them have not exited.
    len: usize,
    living: usize,
    /// Those that have exited, by when that was recorded.
    exits: RBTree<u64, u64>,
    pub(crate) offers: Offers,
    /// The time that the newest sample of all bears; later ones bear later times.
    last_time: u64,
    grid: Grid,
    period_us: NonZeroU32,
    /// While stopped: the number of the last instant there was.
    stopped: Option<u64>,
    /// The last instant that is over: tasks that were not sampled at it have missed it.
    over: u64,
    max_samples: u64,
    max_blocks: usize,
    pub(crate) choice: Option<Choice>,
}

impl Set {
    /// Makes an empty set, whose grid begins now.
    pub(crate) fn new(settings: &Settings, max_blocks: usize) -> Self {
        Self {
            tasks: RBTree::new(),
            len: 0,
            living: 0,
            exits: RBTree::new(),
            offers: Offers::new(),
            last_time: 0,
            grid: Grid::new(timekeeping::monotonic_ns(), settings.period(), 0),
            period_us: settings.period(),
            stopped: (!settings.sampling).then_some(0),
            over: 0,
            max_samples: settings.max_samples.into(),
            max_blocks,
            choice: None,
        }
    }

    /// How many tasks there are, those that have exited included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Every sample that is taken from now on bears a later time.
    pub(crate) fn last_time(&self) -> u64 {
        self.last_time
    }

    /// The number that the newest task has, if there is one.
    pub(crate) fn last_number(&self) -> Option<u64> {
        Some(*self.tasks.cursor_back()?.current().0)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Monitored> {
        self.tasks.get(&number)
    }

    /// The time for a sample that is taken now, later than that of any sample yet.
    fn stamp(last_time: &mut u64) -> u64 {
        *last_time = timekeeping::boottime_ns().max(last_time.saturating_add(1));
        *last_time
    }

    /// The last instant that there was.
    fn last_instant(&self) -> u64 {
        self.stopped
            .unwrap_or_else(|| self.grid.last_before(timekeeping::monotonic_ns()))
    }

    /// Puts a task in, and takes its first sample.
    pub(crate) fn add(
        &mut self,
        pid: &ARef<Pid>,
        subject: Subject,
        reservation: Reservation,
        pool: &Arc<Pool<Block>>,
    ) -> Result {
        let instant = self.last_instant();
        let Reservation {
            number,
            task: node,
            exit,
            offer,
        } = reservation;
        let mut task = Monitored {
            pid: pid.clone(),
            start: subject.start(),
            joined: instant,
            seen: instant,
            threads: 0,
            life: Life::Living {
                subject,
                cputime: CpuTime::default(),
                exit,
            },
            history: History::new(),
            offer,
        };
        let time = Self::stamp(&mut self.last_time);
        let sampled = task.sample(instant, time, self.max_samples, pool)?;
        self.len = self.len.saturating_add(1);
        match sampled.exit {
            None => self.living = self.living.saturating_add(1),
            Some(node) => drop(self.exits.insert(node.into_node(time, number))),
        }
        self.offers
            .update(number, &mut task.offer, task.history.offered());
        self.tasks.insert(node.into_node(number, task));
        self.keep_max_blocks(pool);
        Ok(())
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Monitored> {
        let (_, mut task) = self.tasks.remove_node(&number)?.to_key_value();
        self.offers.update(number, &mut task.offer, 0);
        self.len = self.len.saturating_sub(1);
        match task.life {
            Life::Living { .. } => self.living = self.living.saturating_sub(1),
            Life::Exited { time, .. } => drop(self.exits.remove_node(&time)),
        }
        Some(task)
    }

    /// The task that exited longest ago.
    pub(crate) fn oldest_exit(&self) -> Option<(u64, ARef<Pid>)> {
        let number = *self.exits.cursor_front()?.current().1;
        Some((number, self.tasks.get(&number)?.pid.clone()))
    }

    /// Calls `f` with up to [`BATCH`] tasks, from number `from` on, until it returns false. Returns
    /// the number to go on with, if there may be more.
    pub(crate) fn visit(
        &mut self,
        from: u64,
        mut f: impl FnMut(u64, &mut Monitored) -> bool,
    ) -> Option<u64> {
        let mut cursor = self.tasks.cursor_lower_bound_mut(&from);
        for _ in 0..BATCH {
            let mut here = cursor?;
            let (&number, task) = here.current_mut();
            let go_on = f(number, task);
            self.offers
                .update(number, &mut task.offer, task.history.offered());
            if !go_on {
                return Some(number.saturating_add(1));
            }
            cursor = here.move_next();
        }
        cursor.map(|here| *here.current().0)
    }

    /// Samples up to [`BATCH`] living tasks, from number `from` on. Returns the number to go on with,
    /// if there are more.
    pub(crate) fn sample_batch(
        &mut self,
        from: u64,
        instant: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        // What was before is over, for those too that were not sampled then.
        self.over = self.over.max(instant.saturating_sub(1));
        let mut cursor = self.tasks.cursor_lower_bound_mut(&from);
        let mut cost = 0;
        while cost < BATCH {
            let Some(mut here) = cursor else {
                break;
            };
            let (&number, task) = here.current_mut();
            cost += 1;
            // A task that was added at this instant has its sample of it.
            if task.is_living() && task.seen < instant {
                let time = Self::stamp(&mut self.last_time);
                if let Ok(sampled) = task.sample(instant, time, self.max_samples, pool) {
                    cost += sampled.threads / THREADS_A_TASK;
                    if let Some(node) = sampled.exit {
                        self.living = self.living.saturating_sub(1);
                        self.exits.insert(node.into_node(time, number));
                    }
                }
                self.offers
                    .update(number, &mut task.offer, task.history.offered());
            }
            cursor = here.move_next();
            if pool.allocated() > self.max_blocks && self.offers.blocks() > 0 {
                break;
            }
        }
        let next = cursor.map(|here| *here.current().0);
        self.keep_max_blocks(pool);
        next
    }

    /// Gives up to `most` blocks back, each of the task whose turn it is.
    pub(crate) fn give_back(&mut self, most: usize, cause: Cause) -> Scanned {
        let mut done = Scanned::default();
        while done.scanned < most {
            let Some(number) = self.offers.turn() else {
                break;
            };
            let Some(task) = self.tasks.get_mut(&number) else {
                break;
            };
            let block = task.history.give_back(cause);
            self.offers
                .update(number, &mut task.offer, task.history.offered());
            done.scanned += 1;
            done.freed += usize::from(block.is_some_and(|block| block.put()));
        }
        done
    }

    /// Evicts what is more than `max_mib`: some blocks at most. Returns whether there is more to be
    /// done.
    pub(crate) fn keep_max_blocks(&mut self, pool: &Pool<Block>) -> bool {
        let excess = pool.allocated().saturating_sub(self.max_blocks);
        let most = excess.min(BATCH);
        self.give_back(most, Cause::Eviction).scanned == BATCH
    }

    pub(crate) fn set_max_blocks(&mut self, max_blocks: usize) {
        self.max_blocks = max_blocks;
    }

    pub(crate) fn max_samples(&self) -> u64 {
        self.max_samples
    }

    pub(crate) fn set_max_samples(&mut self, max_samples: u64) {
        self.max_samples = max_samples;
    }

    /// What is to be done behind instant `sampled`; nothing without living tasks, or while stopped.
    ///
    /// The clock is read under the lock, so that a new grid counts on behind what is due here.
    pub(crate) fn schedule(&self, sampled: u64) -> Option<Schedule> {
        if self.living == 0 || self.stopped.is_some() {
            return None;
        }
        let now = timekeeping::monotonic_ns();
        let due = self.grid.last_before(now);
        Some(Schedule {
            now,
            due: (due > sampled).then_some(due),
            next: self.grid.time_of(sampled.saturating_add(1)),
        })
    }

    pub(crate) fn is_sampling(&self) -> bool {
        self.stopped.is_none()
    }

    /// Begins a new grid, which goes on counting behind the last instant.
    fn restart(&mut self) {
        let last = self.last_instant();
        self.over = self.over.max(last);
        let now = timekeeping::monotonic_ns();
        self.grid = Grid::new(now, self.period_us, last.saturating_add(1));
        self.stopped = None;
    }

    /// Makes `period_us` microseconds the period, on a new grid from now on.
    pub(crate) fn set_period(&mut self, period_us: NonZeroU32) {
        self.period_us = period_us;
        if self.is_sampling() {
            self.restart();
        }
    }

    /// Goes on sampling, on a new grid.
    pub(crate) fn start(&mut self) {
        if !self.is_sampling() {
            self.restart();
        }
    }

    /// From now on there are no instants.
    pub(crate) fn stop(&mut self) {
        let last = self.last_instant();
        self.over = self.over.max(last);
        self.stopped = Some(last);
    }

    /// What there is to say of the first task from number `from` on.
    pub(crate) fn status(&self, from: u64) -> Option<Status> {
        let cursor = self.tasks.cursor_lower_bound(&from)?;
        let (&number, task) = cursor.current();
        let (newest, comm, seen) = match &task.life {
            Life::Living { subject, .. } => {
                let newest = task.history.last().unwrap_or_default();
                (newest, subject.comm(), task.seen.max(self.over))
            }
            Life::Exited {
                usr,
                sys,
                time,
                comm,
            } => {
                let newest = Sample {
                    usr: *usr,
                    sys: *sys,
                    time: *time,
                    state: b'X',
                    ..Sample::default()
                };
                (newest, *comm, task.seen)
            }
        };
        let counts = task.history.counts();
        let instants = seen.saturating_sub(task.joined).saturating_add(1);
        Some(Status {
            number,
            pid: task.pid.clone(),
            start: task.start,
            threads: task.threads,
            counts,
            missed: instants.saturating_sub(counts.taken),
            newest,
            comm,
        })
    }
}
