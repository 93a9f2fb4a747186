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
    ffi::c_ulong,
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
    stats::{
        Rounds,
        Totals, //
    },
    table::{
        Room,
        Table,
        SLOTS, //
    },
    text::Line,
    wrappers::{
        mempool::Pool,
        mm::{
            DropBatch,
            Memory, //
        },
        pid::{
            NamespaceId,
            Pid, //
        },
        shrinker::Scanned,
        slab::rbtree_node_size,
        task::{
            own_switches,
            Comm,
            Mark,
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

/// Tasks that have not run, and are sampled by one look at the clock: far less than 10 us of them. One that has
/// run counts twice.
const TASKS_A_CLOCK: usize = 16;

/// How often a task is read at most: with PREEMPT_RT more than once, if the thread that reads it is
/// preempted each time.
const READINGS: usize = if cfg!(CONFIG_PREEMPT_RT) { 3 } else { 1 };

/// What it costs more to begin a block, or to evict one: so many tasks.
const TASKS_A_BLOCK: usize = 4;

/// Gives samples their times, while the set is locked: each a later one than the one before.
///
/// With PREEMPT_RT (`PREEMPTIBLE`), the lock does not keep its holder from being preempted, for any time. So
/// the clock is read again after a preemption; and a task that was being read then is read again.
struct Clock<const PREEMPTIBLE: bool> {
    /// The time of the newest sample.
    time: u64,
    /// How often the current task had left its CPU when the clock was read.
    switches: c_ulong,
}

/// The one for this kernel.
type SampleClock = Clock<{ cfg!(CONFIG_PREEMPT_RT) }>;

impl<const PREEMPTIBLE: bool> Clock<PREEMPTIBLE> {
    /// A clock that was not read yet; the newest sample is of `time`.
    fn new(time: u64) -> Self {
        Self { time, switches: 0 }
    }

    /// Goes on to the time of the next sample. (This does not wrap: it is a time.)
    #[inline(always)]
    fn advance(&mut self) {
        self.time = self.time.wrapping_add(1);
    }

    /// Reads the clock.
    #[inline(always)]
    fn read(&mut self) {
        if PREEMPTIBLE {
            self.switches = own_switches();
        }
        self.time = self.time.max(timekeeping::boottime_ns());
    }

    /// Whether the current task has left its CPU since the clock was read.
    #[inline(always)]
    fn is_outdated(&self) -> bool {
        PREEMPTIBLE && own_switches() != self.switches
    }

    /// Calls `take`, which reads a task at this time. If the current task was preempted meanwhile, reads
    /// the clock again and calls it again: `most` times in all. Returns how often, too.
    #[inline(always)]
    fn at_its_time<T>(&mut self, most: usize, mut take: impl FnMut() -> T) -> (T, usize) {
        let mut taken = take();
        for readings in 1..most {
            if !self.is_outdated() {
                return (taken, readings);
            }
            self.read();
            taken = take();
        }
        (taken, most)
    }
}

/// What is sampled: the task itself, never just its number.
pub(crate) enum Subject {
    /// A PID that leads a thread group stands for the whole process.
    Process(Process),
    /// Any other TID stands for that thread alone.
    Thread(Thread),
}

impl Life {
    /// Returns what is sampled, to be read now, if the task is living.
    ///
    /// From now on there is no mark: it belongs to one task, and to the reading that the newest sample
    /// shows. A reading may turn to another task, and may not be recorded.
    #[inline(always)]
    fn begin_reading(&mut self) -> Option<&mut Subject> {
        match self {
            Self::Living { subject, mark, .. } => {
                *mark = None;
                Some(subject)
            }
            Self::Exited { .. } => None,
        }
    }

    /// What alone may have changed of a living task since it was sampled last, if it is known that it has
    /// not run.
    #[inline]
    fn read_idle(&self) -> Option<Memory> {
        match self {
            Self::Living {
                subject,
                mark: Some(mark),
                ..
            } => subject.read_idle(mark),
            _ => None,
        }
    }
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

    /// Reads it at once, if it is what most are: see [`Process::read_one`].
    #[inline(always)]
    fn read_one(&self) -> Option<Reading> {
        match self {
            Self::Process(process) => process.read_one(),
            Self::Thread(_) => None,
        }
    }

    fn read(&mut self, drops: &mut DropBatch) -> Reading {
        match self {
            Self::Process(process) => process.read(drops),
            Self::Thread(thread) => thread.read(drops),
        }
    }

    /// Lets go what is expensive to drop. (What else it holds is freed by RCU, or held by others.)
    fn release(&mut self, drops: &mut DropBatch) {
        match self {
            Self::Process(process) => process.release_mm(drops),
            Self::Thread(thread) => thread.release_mm(drops),
        }
    }

    #[inline]
    fn read_idle(&self, mark: &Mark) -> Option<Memory> {
        match self {
            Self::Process(process) => process.read_idle(mark),
            Self::Thread(thread) => thread.read_idle(mark),
        }
    }

    fn comm(&self) -> Comm {
        match self {
            Self::Process(process) => process.comm(),
            Self::Thread(thread) => thread.comm(),
        }
    }

    fn group(&self) -> Group {
        match self {
            Self::Process(_) => Group::Own,
            Self::Thread(thread) => thread.group().cloned().map_or(Group::Gone, Group::Process),
        }
    }
}

/// The process that a task is, or belongs to.
#[derive(Clone)]
pub(crate) enum Group {
    /// The task is a process itself.
    Own,
    /// The task is a thread of the process with this PID.
    Process(ARef<Pid>),
    /// The task is a thread of a process that had been reaped before the thread was added.
    Gone,
}

/// What is known of a task beside its history.
enum Life {
    Living {
        subject: Subject,
        /// Of the reading that the newest sample shows.
        mark: Option<Mark>,
        /// For [`Set::exits`].
        exit: RBTreeNodeReservation<u64, u64>,
    },
    /// Its last sample, that of its exit, is recorded. The task is let go; its PID is still held, for
    /// the name's sake.
    Exited { comm: Comm, group: Group },
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

// A chunk of them is one object of 4 KiB of the slab allocator.
const _: () = assert!(mem::size_of::<[Option<Monitored>; SLOTS]>() <= 4096);

/// The memory that a task needs in the set.
pub(crate) struct Reservation {
    number: u64,
    room: Option<Room<Monitored>>,
    exit: RBTreeNodeReservation<u64, u64>,
    offer: Offer,
}

impl Reservation {
    /// What a task takes that is to have `number`; `needs_room` is what [`Set::needs_room`] says.
    ///
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn new(number: u64, needs_room: bool) -> Result<Self> {
        Ok(Self {
            number,
            room: if needs_room { Some(Room::new()?) } else { None },
            exit: RBTreeNodeReservation::new(GFP_KERNEL)?,
            offer: Offer::new(number)?,
        })
    }
}

/// What a sample was like that was just taken.
struct Sampled {
    /// How many threads were read, in all readings.
    threads: usize,
    /// Blocks came into the history, or left it.
    blocks_changed: bool,
    /// It is the last one of the task: the memory to note that.
    exit: Option<RBTreeNodeReservation<u64, u64>>,
}

impl Monitored {
    /// Samples a task that has not run since it was sampled last. Returns whether blocks may have come or
    /// gone by that; `None` if nothing is done, since it may have run.
    #[inline]
    fn sample_idle(
        &mut self,
        instant: u64,
        time: u64,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Option<bool> {
        let memory = self.life.read_idle()?;
        self.seen = instant;
        // (It joined before: this does not wrap.)
        let seq = instant.wrapping_sub(self.joined);
        self.history
            .push_again(seq, time, memory, max_samples)
            .or_else(|| self.sample_idle_changed(instant, time, max_samples, pool))
    }

    /// As [`Self::sample_idle`], of a task whose memory has changed, or whose sample takes more than a few bytes.
    #[inline(never)]
    fn sample_idle_changed(
        &mut self,
        instant: u64,
        time: u64,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Option<bool> {
        // (Again: that costs the others nothing.)
        let memory = self.life.read_idle()?;
        let sample = Sample {
            seq: instant.wrapping_sub(self.joined),
            time,
            rss: memory.rss,
            mm_users: memory.mm_users,
            ..*self.history.last()
        };
        // Without memory for it, this instant is missed.
        Some(
            self.history
                .push_any(pool, sample, max_samples)
                .unwrap_or(true),
        )
    }

    /// Reads the task and records that as a sample, if it is what most are: see [`Process::read_one`].
    /// Returns whether blocks came into the history, or left it; `None` if nothing is done.
    #[inline(never)]
    fn sample_one(
        &mut self,
        instant: u64,
        clock: &mut SampleClock,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Option<Result<bool>> {
        let subject = self.life.begin_reading()?;
        let (reading, _) = clock.at_its_time(READINGS, || subject.read_one());
        let reading = reading?;
        Some(self.record::<true>(reading, instant, clock.time, max_samples, pool))
    }

    /// Reads the task, whatever it is, and records that as a sample.
    #[inline(never)]
    fn sample_any(
        &mut self,
        instant: u64,
        clock: &mut SampleClock,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
        drops: &mut DropBatch,
    ) -> Result<Sampled> {
        let subject = self.life.begin_reading().ok_or(ESRCH)?;
        let (reading, readings) = clock.at_its_time(READINGS, || subject.read(drops));
        let (threads, ended) = (reading.threads.saturating_mul(readings), reading.ended);
        let blocks_changed =
            self.record::<false>(reading, instant, clock.time, max_samples, pool)?;
        if !ended {
            return Ok(Sampled {
                threads,
                blocks_changed,
                exit: None,
            });
        }

        let Life::Living { subject, .. } = &mut self.life else {
            return Err(ESRCH);
        };
        self.threads = 0;
        self.history.finish();
        let (comm, group) = (subject.comm(), subject.group());
        subject.release(drops);
        let exit = match mem::replace(&mut self.life, Life::Exited { comm, group }) {
            Life::Living { exit, .. } => Some(exit),
            Life::Exited { .. } => None,
        };
        Ok(Sampled {
            threads,
            blocks_changed: true,
            exit,
        })
    }

    /// Records what was read as a sample. `HAS_RUN`: in all likelihood it has run since the last one.
    /// Returns whether blocks came into the history, or left it.
    #[inline(always)]
    fn record<const HAS_RUN: bool>(
        &mut self,
        reading: Reading,
        instant: u64,
        time: u64,
        max_samples: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Result<bool> {
        let Life::Living { mark, .. } = &mut self.life else {
            return Err(ESRCH);
        };
        // Without memory for the sample, this instant is missed. (An exit is recorded at a later one.)
        self.seen = instant;
        let last = self.history.last();
        let (usr, sys) = CpuTime::new(last.usr, last.sys).update(&reading.usage);
        let (memory, state) = match (reading.ended, reading.state) {
            // (A thread that has taken over its process by an exec has an address space. But it goes on
            // under another PID.)
            (true, _) => (Memory::default(), b'X'),
            // Being reaped, but still on its CPU: `X` is for the last sample alone.
            (false, b'X') => (reading.memory, b'Z'),
            (false, state) => (reading.memory, state),
        };
        let sample = Sample {
            seq: instant.wrapping_sub(self.joined),
            time,
            usr,
            sys,
            rss: memory.rss,
            minflt: reading.usage.min_flt,
            majflt: reading.usage.maj_flt,
            mm_users: memory.mm_users,
            state,
        };
        let blocks_changed = if HAS_RUN {
            self.history.push(pool, sample, max_samples)?
        } else {
            self.history.push_any(pool, sample, max_samples)?
        };
        *mark = reading.mark;
        self.threads = reading.threads;
        Ok(blocks_changed)
    }

    /// Whether it has ended by now, recorded or not; and how many threads were looked at for that.
    pub(crate) fn has_ended(&mut self, drops: &mut DropBatch) -> (bool, usize) {
        match self.life.begin_reading() {
            Some(subject) => {
                let reading = subject.read(drops);
                (reading.ended, reading.threads)
            }
            None => (true, 0),
        }
    }

    /// When its newest sample was taken, if that is kept.
    pub(crate) fn last_time(&self) -> Option<u64> {
        if self.history.is_empty() {
            return None;
        }
        Some(self.history.last().time)
    }

    /// Whether there will be more samples of it.
    pub(crate) fn is_living(&self) -> bool {
        matches!(self.life, Life::Living { .. })
    }

    /// The number of instants without a sample. The last instant that is over is `over`.
    fn missed(&self, over: u64) -> u64 {
        let seen = if self.is_living() {
            self.seen.max(over)
        } else {
            self.seen
        };
        let instants = seen.saturating_sub(self.joined).saturating_add(1);
        instants.saturating_sub(self.history.counts().taken)
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
    /// When the one behind that is, or the next one.
    pub(crate) next: u64,
    /// From there to what follows.
    pub(crate) period: u64,
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
    pub(crate) group: Group,
    pub(crate) comm: Comm,
}

impl Status {
    /// Writes this line, for a task that the reader knows as `pid`, of a process that it knows as `tgid`.
    pub(crate) fn line(&self, pid: i32, tgid: i32, line: &mut Line) -> Result {
        let (newest, counts) = (&self.newest, &self.counts);
        line.text("pid ").signed(pid);
        line.text(" start ").number(self.start);
        line.text(" state ").letter(newest.state);
        // CAST: To a type as wide.
        line.text(" threads ").number(self.threads as u64);
        line.text(" samples ").number(counts.samples);
        line.text(" taken ").number(counts.taken);
        line.text(" evicted ").number(counts.evicted);
        line.text(" reclaimed ").number(counts.reclaimed);
        line.text(" missed ").number(self.missed);
        line.text(" usr ").number(newest.usr);
        line.text(" sys ").number(newest.sys);
        line.text(" time ").number(newest.time);
        line.text(" rss ").number(newest.rss_bytes());
        line.text(" mm_users ").number(newest.mm_users.into());
        line.text(" tgid ").signed(tgid);
        line.text(" comm ").escaped(self.comm.bytes());
        line.text("\n").check()
    }
}

/// The tasks, and when they are sampled.
pub(crate) struct Set {
    /// By number, which counts up: in the order in which they were added.
    tasks: Table<Monitored>,
    /// How many of them have not exited.
    living: usize,
    /// Those that have exited, by when that was recorded.
    exits: RBTree<u64, u64>,
    pub(crate) offers: Offers,
    /// The time that the newest sample of all bears, or a later one; later samples bear later times.
    last_time: u64,
    /// The last instant of which anything was sampled, and the time that no sample of those before it is later than. (By
    /// the clock: a task is never added at an instant before this one.)
    instant: u64,
    earlier: u64,
    grid: Grid,
    period_us: NonZeroU32,
    /// While stopped: the number of the last instant there was.
    stopped: Option<u64>,
    /// The last instant that is over: tasks that were not sampled at it have missed it.
    over: u64,
    max_samples: u64,
    max_blocks: usize,
    rounds: Rounds,
    /// The counts of the tasks that were removed.
    removed: Totals,
    pub(crate) choice: Option<Choice>,
}

impl Set {
    /// Makes an empty set, whose grid begins now.
    pub(crate) fn new(settings: &Settings, max_blocks: usize) -> Self {
        Self {
            tasks: Table::new(),
            living: 0,
            exits: RBTree::new(),
            offers: Offers::new(),
            last_time: 0,
            instant: 0,
            earlier: 0,
            grid: Grid::new(timekeeping::monotonic_ns(), settings.period(), 0),
            period_us: settings.period(),
            stopped: (!settings.sampling).then_some(0),
            over: 0,
            max_samples: settings.max_samples.into(),
            max_blocks,
            rounds: Rounds::new(),
            removed: Totals::default(),
            choice: None,
        }
    }

    /// How many tasks there are, those that have exited included.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// How many of them have not exited.
    pub(crate) fn living(&self) -> usize {
        self.living
    }

    /// The rounds since the module was loaded.
    pub(crate) fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// The counts of the tasks that were removed.
    pub(crate) fn removed(&self) -> Totals {
        self.removed
    }

    /// The bytes that the allocator set aside for the tasks, without their histories.
    pub(crate) fn table_bytes(&self) -> usize {
        let task = rbtree_node_size::<u64, u64>().saturating_add(rbtree_node_size::<u64, ()>());
        self.tasks
            .bytes()
            .saturating_add(self.tasks.len().saturating_mul(task))
    }

    /// Every sample that is taken from now on bears a later time.
    pub(crate) fn last_time(&self) -> u64 {
        self.last_time
    }

    /// Of each task, no sample but the newest one is later than that.
    pub(crate) fn earlier(&self) -> u64 {
        self.earlier
    }

    /// The number that the newest task has, if there is one.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.tasks.last()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Monitored> {
        self.tasks.get(number)
    }

    /// The last instant that there was.
    fn last_instant(&self) -> u64 {
        self.stopped
            .unwrap_or_else(|| self.grid.last_before(timekeeping::monotonic_ns()))
    }

    /// Whether memory is needed for the task that is to have `number`.
    pub(crate) fn needs_room(&self, number: u64) -> bool {
        self.tasks.needs_room(number)
    }

    /// Puts a task in, and takes its first sample. What is to be dropped when the lock is released goes
    /// to `drops`.
    ///
    /// Evicts blocks of others, a bounded number of them, if there are as many as `max_mib` allows.
    ///
    /// # Errors
    ///
    /// - `ENOSPC`: there still are.
    /// - `ENOMEM`: there is no memory for the first sample.
    pub(crate) fn add(
        &mut self,
        pid: &ARef<Pid>,
        subject: Subject,
        reservation: Reservation,
        pool: &Arc<Pool<Block>>,
        drops: &mut DropBatch,
    ) -> Result {
        let instant = self.last_instant();
        let Reservation {
            number,
            room,
            exit,
            offer,
        } = reservation;
        if room.is_none() && self.tasks.needs_room(number) {
            return Err(ENOMEM);
        }
        self.make_block_room(pool);
        if pool.allocated() >= self.max_blocks {
            return Err(ENOSPC);
        }
        let mut task = Monitored {
            pid: pid.clone(),
            start: subject.start(),
            joined: instant,
            seen: instant,
            threads: 0,
            life: Life::Living {
                subject,
                mark: None,
                exit,
            },
            history: History::new(),
            offer,
        };
        let mut clock = SampleClock::new(self.last_time);
        clock.advance();
        clock.read();
        let sampled = task.sample_any(instant, &mut clock, self.max_samples, pool, drops);
        self.last_time = clock.time;
        if let (Err(_), Life::Living { subject, .. }) = (&sampled, &mut task.life) {
            subject.release(drops);
        }
        let sampled = sampled?;
        if self.living == 0 {
            // No task has missed the instants until then. The first sample is that of this one.
            self.rounds.skip_to(instant);
        }
        match sampled.exit {
            None => self.living = self.living.saturating_add(1),
            Some(node) => drop(self.exits.insert(node.into_node(clock.time, number))),
        }
        self.offers
            .update(number, &mut task.offer, task.history.offered());
        // Cannot fail: there is room.
        let _ = self.tasks.insert(number, task, room);
        self.keep_max_blocks(pool);
        Ok(())
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Monitored> {
        let mut task = self.tasks.remove(number)?;
        self.offers.update(number, &mut task.offer, 0);
        self.removed
            .remove(&task.history.counts(), task.missed(self.over));
        match task.life {
            Life::Living { .. } => self.living = self.living.saturating_sub(1),
            Life::Exited { .. } => drop(self.exits.remove_node(&task.history.last().time)),
        }
        Some(task)
    }

    /// The task that exited longest ago.
    pub(crate) fn oldest_exit(&self) -> Option<(u64, ARef<Pid>)> {
        let number = *self.exits.cursor_front()?.current().1;
        Some((number, self.tasks.get(number)?.pid.clone()))
    }

    /// Calls `f` with up to [`BATCH`] tasks, from number `from` on, until it returns false. Returns
    /// the number to go on with, if there may be more.
    pub(crate) fn visit(
        &mut self,
        from: u64,
        mut f: impl FnMut(u64, &mut Monitored) -> bool,
    ) -> Option<u64> {
        let mut visited = 0;
        self.tasks.walk(from, |number, task| {
            let go_on = f(number, task);
            self.offers
                .update(number, &mut task.offer, task.history.offered());
            visited += 1;
            go_on && visited < BATCH
        })
    }

    /// Samples up to [`BATCH`] living tasks, from number `from` on. Returns the number to go on with,
    /// if there are more. What is to be dropped when the lock is released goes to `drops`.
    pub(crate) fn sample_batch(
        &mut self,
        from: u64,
        instant: u64,
        pool: &Arc<Pool<Block>>,
        drops: &mut DropBatch,
    ) -> Option<u64> {
        self.sample_batch_at(from, instant, 0, pool, drops)
    }

    /// As [`Self::sample_batch`], of what is due from the beginning on, just behind
    /// [`Self::schedule`] and without the clock being read again.
    pub(crate) fn sample_first_batch(
        &mut self,
        instant: u64,
        now: u64,
        pool: &Arc<Pool<Block>>,
        drops: &mut DropBatch,
    ) -> Option<u64> {
        if cfg!(CONFIG_PREEMPT_RT) {
            // Whether the thread was preempted since `now` is not known.
            return self.sample_batch(0, instant, pool, drops);
        }
        let clock = timekeeping::boottime_of(now);
        self.last_time = self.last_time.max(clock.saturating_sub(1));
        self.sample_batch_at(0, instant, TASKS_A_CLOCK, pool, drops)
    }

    /// As [`Self::sample_batch`]; `outdated` is the cost at which the clock is to be read.
    #[inline(never)]
    fn sample_batch_at(
        &mut self,
        from: u64,
        instant: u64,
        mut outdated: usize,
        pool: &Arc<Pool<Block>>,
        drops: &mut DropBatch,
    ) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        // What was before is over, for those too that were not sampled then.
        self.over = self.over.max(instant.saturating_sub(1));
        if instant > self.instant {
            self.instant = instant;
            self.earlier = self.last_time;
            self.rounds.begin(instant);
        }
        let mut cost = 0;
        let mut clock = SampleClock::new(self.last_time);
        let next = self.tasks.walk(from, |number, task| {
            // A task that was added at this instant has its sample of it.
            if task.seen < instant && task.is_living() {
                // Later than that of any sample yet.
                clock.advance();
                if cost >= outdated || clock.is_outdated() {
                    clock.read();
                    outdated = cost.saturating_add(TASKS_A_CLOCK);
                }
                let idle = task.sample_idle(instant, clock.time, self.max_samples, pool);
                let mut blocks_changed = idle.unwrap_or(true);
                if idle.is_none() {
                    outdated = outdated.saturating_sub(1);
                    let sampled = task.sample_one(instant, &mut clock, self.max_samples, pool);
                    if let Some(sampled) = sampled {
                        blocks_changed = sampled.unwrap_or(true);
                    } else {
                        let sampled =
                            task.sample_any(instant, &mut clock, self.max_samples, pool, drops);
                        if let Ok(sampled) = sampled {
                            cost += sampled.threads / THREADS_A_TASK;
                            outdated = outdated.saturating_sub(sampled.threads / THREADS_A_TASK);
                            blocks_changed = sampled.blocks_changed;
                            if let Some(node) = sampled.exit {
                                self.living = self.living.saturating_sub(1);
                                self.exits.insert(node.into_node(clock.time, number));
                            }
                        }
                        if !drops.has_room(READINGS) {
                            // To be dropped before there are more.
                            cost = BATCH;
                        }
                    }
                }
                if blocks_changed {
                    cost += TASKS_A_BLOCK;
                    self.offers
                        .update(number, &mut task.offer, task.history.offered());
                    if pool.allocated() > self.max_blocks && self.offers.blocks() > 0 {
                        // To be evicted before there are more.
                        cost = BATCH;
                    }
                }
            }
            cost += 1;
            cost < BATCH
        });
        self.last_time = clock.time;
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
            let Some(task) = self.tasks.get_mut(number) else {
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
        self.evict_down_to(self.max_blocks, pool)
    }

    /// Evicts what is too much for one more block to fit into `max_mib`: some blocks at most. Returns
    /// whether there is more to be done.
    pub(crate) fn make_block_room(&mut self, pool: &Pool<Block>) -> bool {
        self.evict_down_to(self.max_blocks.saturating_sub(1), pool)
    }

    /// Evicts what is more than `max_blocks`: some blocks at most. Returns whether there is more to be
    /// done.
    fn evict_down_to(&mut self, max_blocks: usize, pool: &Pool<Block>) -> bool {
        let excess = pool.allocated().saturating_sub(max_blocks);
        if excess == 0 {
            return false;
        }
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
            next: self.grid.time_of(due.max(sampled).saturating_add(1)),
            period: self.grid.period(),
        })
    }

    pub(crate) fn is_sampling(&self) -> bool {
        self.stopped.is_none()
    }

    /// Begins a new grid, which goes on counting behind the last instant.
    fn restart(&mut self) {
        let last = self.last_instant();
        self.end_instants(last);
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
        self.end_instants(last);
        self.stopped = Some(last);
    }

    /// There is no round any more of the instants up to `last`.
    fn end_instants(&mut self, last: u64) {
        self.over = self.over.max(last);
        if self.living > 0 {
            self.rounds.miss_to(last);
        }
    }

    /// Adds the counts of up to [`BATCH`] tasks to `totals`, from number `from` on. Returns the number to go
    /// on with, if there may be more.
    pub(crate) fn count(&mut self, from: u64, totals: &mut Totals) -> Option<u64> {
        let (mut counted, over) = (0, self.over);
        self.tasks.walk(from, |_, task| {
            totals.add(&task.history.counts(), task.missed(over));
            counted += 1;
            counted < BATCH
        })
    }

    /// What there is to say of the first task from number `from` on.
    pub(crate) fn status(&self, from: u64) -> Option<Status> {
        let (number, task) = self.tasks.first_from(from)?;
        let (comm, group) = match &task.life {
            Life::Living { subject, .. } => (subject.comm(), subject.group()),
            Life::Exited { comm, group } => (*comm, group.clone()),
        };
        let counts = task.history.counts();
        Some(Status {
            number,
            pid: task.pid.clone(),
            start: task.start,
            threads: task.threads,
            counts,
            missed: task.missed(self.over),
            newest: *task.history.last(),
            group,
            comm,
        })
    }
}

#[kunit_tests(taskmonitor_set)]
mod tests {
    use super::*;

    use kernel::time::{
        delay::fsleep,
        Delta, //
    };

    use crate::testing::{
        extreme,
        pool,
        settings,
        INIT,
        KTHREADD, //
    };

    /// Sleeps during the first readings of a task. Returns how often it was read, and whether its time is
    /// later than the last sleep.
    fn readings<const PREEMPTIBLE: bool>(sleeps: usize) -> (usize, bool) {
        let mut clock = Clock::<PREEMPTIBLE>::new(0);
        clock.read();
        let (mut readings, mut woken) = (0, 0);
        let (_, counted) = clock.at_its_time(3, || {
            readings += 1;
            if readings <= sleeps {
                fsleep(Delta::from_millis(1));
                woken = timekeeping::boottime_ns();
            }
        });
        (readings, counted == readings && clock.time >= woken)
    }

    #[test]
    fn a_reading_that_was_interrupted_is_repeated() {
        // (The test may be preempted, too.)
        let (count, is_later) = readings::<true>(1);
        assert!((2..=3).contains(&count) && is_later);
        assert_eq!(readings::<true>(2), (3, true));
        // Not for good.
        assert_eq!(readings::<true>(100).0, 3);
        // Where the lock prevents it, it is not looked for.
        assert_eq!(readings::<false>(1), (1, false));
    }

    #[test]
    fn after_an_interruption_the_clock_is_outdated() {
        let (mut real_time, mut other) = (Clock::<true>::new(0), Clock::<false>::new(0));
        real_time.read();
        other.read();
        let before = real_time.time;
        fsleep(Delta::from_millis(1));
        assert!(real_time.is_outdated() && !other.is_outdated());
        real_time.read();
        assert!(real_time.time > before);
        // Times only grow, whatever the clock says.
        let mut late = Clock::<true>::new(u64::MAX - 7);
        late.advance();
        late.read();
        assert_eq!(late.time, u64::MAX - 6);
    }

    /// A set that keeps up to 100 samples of a task, and as many blocks as there may be.
    fn new() -> Set {
        Set::new(&settings(), usize::MAX)
    }

    fn add(set: &mut Set, number: u64, nr: i32, pool: &Arc<Pool<Block>>) -> Result {
        let pid = Pid::find(nr).ok_or(ESRCH)?;
        let subject = Subject::of(&pid).ok_or(ESRCH)?;
        let needs_room = set.needs_room(number);
        let reservation = Reservation::new(number, needs_room)?;
        set.add(&pid, subject, reservation, pool, &mut DropBatch::new())
    }

    /// A set of `count` tasks, which are all the same one: the set does not mind.
    fn of_many(count: u64, pool: &Arc<Pool<Block>>) -> Result<Set> {
        let mut set = new();
        for number in 0..count {
            add(&mut set, number, KTHREADD, pool)?;
        }
        Ok(set)
    }

    /// Samples tasks at `instant`, from number `from` on.
    fn sample_batch(
        set: &mut Set,
        from: u64,
        instant: u64,
        pool: &Arc<Pool<Block>>,
    ) -> Option<u64> {
        set.sample_batch(from, instant, pool, &mut DropBatch::new())
    }

    /// Samples all tasks at `instant`.
    fn sample(set: &mut Set, instant: u64, pool: &Arc<Pool<Block>>) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = sample_batch(set, from, instant, pool);
        }
    }

    /// Samples the first `tasks` tasks, until each has `blocks` blocks. Returns how many samples each has then,
    /// and for each the number that follows the last sample of each block.
    fn fill(
        set: &mut Set,
        tasks: u64,
        blocks: usize,
        pool: &Arc<Pool<Block>>,
    ) -> Result<(u64, KVec<[u64; 4]>)> {
        set.set_max_samples(1 << 24);
        // (More than it ever takes.)
        for instant in 1..10_000 {
            sample(set, instant, pool);
            let (mut ends, mut full) = (KVec::new(), true);
            for number in 0..tasks {
                let (count, of_task) = set.get(number).ok_or(ENOENT)?.history.ends();
                ends.push(of_task, GFP_KERNEL)?;
                full &= count == blocks;
            }
            if full {
                return Ok((instant + 1, ends));
            }
        }
        Err(ETIMEDOUT)
    }

    /// Samples, taken, evicted, reclaimed, missed of the task `number`.
    fn counts(set: &Set, number: u64) -> Option<(u64, u64, u64, u64, u64)> {
        let status = set
            .status(number)
            .filter(|status| status.number == number)?;
        let counts = status.counts;
        Some((
            counts.samples,
            counts.taken,
            counts.evicted,
            counts.reclaimed,
            status.missed,
        ))
    }

    fn seq(set: &Set, number: u64) -> Option<u64> {
        set.status(number).map(|status| status.newest.seq)
    }

    #[test]
    fn an_empty_set_has_nothing() {
        let mut set = new();
        assert_eq!((set.len(), set.last_number()), (0, None));
        assert!(set.status(0).is_none());
        assert!(set.schedule(0).is_none());
        assert!(set.oldest_exit().is_none());
        assert!(set.remove(0).is_none());
        assert_eq!(set.visit(0, |_, _| true), None);
        assert_eq!(set.give_back(9, Cause::Reclaim).scanned, 0);
    }

    #[test]
    fn a_task_that_is_added_has_its_first_sample() -> Result {
        let pool = pool()?;
        let mut set = new();
        add(&mut set, 5, KTHREADD, &pool)?;
        assert_eq!((set.len(), set.last_number()), (1, Some(5)));
        assert_eq!(counts(&set, 5), Some((1, 1, 0, 0, 0)));
        let status = set.status(0).ok_or(ENOENT)?;
        assert_eq!(status.number, 5);
        assert_eq!(status.newest.seq, 0);
        assert_eq!(status.newest.time, set.last_time());
        assert_eq!(status.threads, 1);
        assert_eq!(status.comm.bytes(), b"kthreadd");
        assert!(set.status(6).is_none());
        Ok(())
    }

    /// A mark is of the reading that the newest sample shows, not of another.
    #[test]
    fn a_mark_goes_with_the_next_reading() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        let drops = &mut DropBatch::new();
        // The task may be busy for a moment: it starts the threads of unit tests.
        for instant in 1..1_000_000 {
            sample(&mut set, instant, &pool);
            let task = set.tasks.get_mut(0).ok_or(ENOENT)?;
            if task.life.read_idle().is_some() {
                break;
            }
        }
        let task = set.tasks.get_mut(0).ok_or(ENOENT)?;
        assert!(task.life.read_idle().is_some());
        assert_eq!(task.has_ended(drops), (false, 1));
        assert!(task.life.read_idle().is_none());
        Ok(())
    }

    #[test]
    fn instants_between_two_samples_are_missed() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        sample(&mut set, 1, &pool);
        assert_eq!(counts(&set, 0), Some((2, 2, 0, 0, 0)));
        sample(&mut set, 5, &pool);
        assert_eq!(seq(&set, 0), Some(5));
        // 2, 3 and 4.
        assert_eq!(counts(&set, 0), Some((3, 3, 0, 0, 3)));
        Ok(())
    }

    #[test]
    fn an_instant_is_sampled_once() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        sample(&mut set, 0, &pool);
        assert_eq!(counts(&set, 0), Some((1, 1, 0, 0, 0)));
        sample(&mut set, 3, &pool);
        sample(&mut set, 3, &pool);
        sample(&mut set, 2, &pool);
        assert_eq!(seq(&set, 0), Some(3));
        assert_eq!(counts(&set, 0), Some((2, 2, 0, 0, 2)));
        Ok(())
    }

    #[test]
    fn times_increase_from_sample_to_sample() -> Result {
        let pool = pool()?;
        let mut set = of_many(3, &pool)?;
        let mut last = 0;
        for instant in 1..50 {
            sample(&mut set, instant, &pool);
            for number in 0..3 {
                let time = set.status(number).ok_or(ENOENT)?.newest.time;
                assert!(time > last);
                last = time;
            }
            assert_eq!(last, set.last_time());
        }
        Ok(())
    }

    #[test]
    fn sampling_goes_in_batches_of_64() -> Result {
        let pool = pool()?;
        let mut set = of_many(70, &pool)?;
        assert_eq!(sample_batch(&mut set, 0, 1, &pool), Some(64));
        assert_eq!((seq(&set, 63), seq(&set, 64)), (Some(1), Some(0)));
        assert_eq!(sample_batch(&mut set, 64, 1, &pool), None);
        for number in 0..70 {
            assert_eq!(counts(&set, number), Some((2, 2, 0, 0, 0)));
        }
        Ok(())
    }

    #[test]
    fn visiting_goes_in_batches_of_64() -> Result {
        let pool = pool()?;
        let mut set = of_many(70, &pool)?;
        let mut visited = 0;
        let next = set.visit(0, |number, _| {
            visited += u64::from(number == visited);
            true
        });
        assert_eq!((visited, next), (64, Some(64)));
        assert_eq!(set.visit(64, |_, _| true), None);
        // Whoever wants no more is told where to go on.
        assert_eq!(set.visit(0, |number, _| number < 3), Some(4));
        Ok(())
    }

    #[test]
    fn the_newest_100_samples_are_kept() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        for instant in 1..=120 {
            sample(&mut set, instant, &pool);
        }
        assert_eq!(counts(&set, 0), Some((100, 121, 21, 0, 0)));
        set.set_max_samples(10);
        sample(&mut set, 121, &pool);
        assert_eq!(counts(&set, 0), Some((10, 122, 112, 0, 0)));
        Ok(())
    }

    #[test]
    fn tasks_take_turns_in_giving_blocks_back() -> Result {
        let pool = pool()?;
        let mut set = of_many(3, &pool)?;
        let (taken, ends) = fill(&mut set, 3, 3, &pool)?;
        assert_eq!(set.offers.blocks(), 6);
        for blocks in 0..2 {
            let done = set.give_back(3, Cause::Reclaim);
            assert_eq!((done.scanned, done.freed), (3, 3));
            for (number, ends) in (0..).zip(&ends) {
                let gone = ends[blocks];
                let expected = (taken - gone, taken, 0, gone, 0);
                assert_eq!(counts(&set, number), Some(expected));
            }
        }
        assert_eq!(set.give_back(100, Cause::Reclaim).scanned, 0);
        assert_eq!(pool.allocated(), 3);
        Ok(())
    }

    #[test]
    fn max_blocks_is_kept_by_eviction() -> Result {
        let pool = pool()?;
        let mut set = of_many(3, &pool)?;
        let (taken, ends) = fill(&mut set, 3, 3, &pool)?;
        assert_eq!(pool.allocated(), 9);
        set.set_max_blocks(6);
        assert!(!set.keep_max_blocks(&pool));
        for (number, ends) in (0..).zip(&ends) {
            let expected = (taken - ends[0], taken, ends[0], 0, 0);
            assert_eq!(counts(&set, number), Some(expected));
        }
        for instant in taken..5 * taken {
            sample(&mut set, instant, &pool);
            assert!(pool.allocated() <= 6);
        }
        // Less than each task's newest it cannot be.
        set.set_max_blocks(0);
        assert!(!set.keep_max_blocks(&pool));
        assert_eq!(pool.allocated(), 3);
        Ok(())
    }

    #[test]
    fn a_task_whose_first_block_does_not_fit_is_not_added() -> Result {
        let pool = pool()?;
        let mut set = of_many(3, &pool)?;
        set.set_max_blocks(3);
        assert_eq!(add(&mut set, 3, KTHREADD, &pool), Err(ENOSPC));
        assert_eq!((set.len(), set.living(), pool.allocated()), (3, 3, 3));
        // Those that are there already go on, with the same number of blocks.
        fill(&mut set, 3, 1, &pool)?;
        for instant in 10..2000 {
            sample(&mut set, instant, &pool);
            assert_eq!(pool.allocated(), 3);
        }
        drop(set.remove(1));
        add(&mut set, 3, KTHREADD, &pool)?;
        assert_eq!(add(&mut set, 4, KTHREADD, &pool), Err(ENOSPC));
        // Even if there are more, because the limit was higher.
        set.set_max_blocks(1);
        assert_eq!(add(&mut set, 4, KTHREADD, &pool), Err(ENOSPC));
        assert_eq!(pool.allocated(), 3);
        Ok(())
    }

    #[test]
    fn older_blocks_make_room_for_a_task() -> Result {
        let pool = pool()?;
        let mut set = of_many(2, &pool)?;
        let (taken, ends) = fill(&mut set, 2, 2, &pool)?;
        set.set_max_blocks(4);
        add(&mut set, 2, KTHREADD, &pool)?;
        let gone = ends[1][0];
        assert_eq!(counts(&set, 0), Some((taken, taken, 0, 0, 0)));
        assert_eq!(counts(&set, 1), Some((taken - gone, taken, gone, 0, 0)));
        add(&mut set, 3, KTHREADD, &pool)?;
        assert_eq!(add(&mut set, 4, KTHREADD, &pool), Err(ENOSPC));
        assert_eq!((set.len(), pool.allocated()), (4, 4));
        Ok(())
    }

    #[test]
    fn the_counts_of_a_task_outlive_it() -> Result {
        let pool = pool()?;
        let mut set = of_many(2, &pool)?;
        for instant in 1..=120 {
            sample(&mut set, instant, &pool);
        }
        sample(&mut set, 123, &pool);
        let sum = |set: &mut Set| {
            let mut totals = set.removed();
            assert_eq!(set.count(0, &mut totals), None);
            totals
        };
        let both = sum(&mut set);
        // 122 each, of which 100 are kept; 121 and 122 were missed.
        assert_eq!((both.samples, both.taken, both.removed), (200, 244, 0));
        assert_eq!((both.evicted, both.missed), (44, 4));
        drop(set.remove(0));
        let left = sum(&mut set);
        assert_eq!((left.samples, left.removed), (100, 100));
        assert_eq!((left.taken, left.evicted, left.missed), (244, 44, 4));
        assert_eq!((set.rounds().done, set.rounds().missed), (121, 2));
        Ok(())
    }

    #[test]
    fn the_table_takes_memory_as_long_as_there_are_tasks() -> Result {
        let pool = pool()?;
        let mut set = of_many(30, &pool)?;
        let bytes = set.table_bytes();
        assert!((300 * 30..600 * 30).contains(&bytes));
        for number in 0..30 {
            drop(set.remove(number));
        }
        assert_eq!(set.table_bytes(), 0);
        Ok(())
    }

    #[test]
    fn a_task_that_is_removed_offers_nothing() -> Result {
        let pool = pool()?;
        let mut set = of_many(2, &pool)?;
        fill(&mut set, 2, 3, &pool)?;
        assert_eq!(set.offers.blocks(), 4);
        let removed = set.remove(0);
        assert_eq!((set.len(), set.offers.blocks()), (1, 2));
        assert!(set.get(0).is_none() && set.get(1).is_some());
        // Its history goes with it, not with the set.
        assert_eq!(pool.allocated(), 6);
        drop(removed);
        assert_eq!(pool.allocated(), 3);
        assert!(set.remove(0).is_none());
        assert_eq!(set.give_back(100, Cause::Reclaim).scanned, 2);
        Ok(())
    }

    #[test]
    fn there_are_no_instants_while_stopped() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        set.stop();
        assert!(!set.is_sampling());
        assert!(set.schedule(0).is_none());
        assert_eq!(sample_batch(&mut set, 0, 7, &pool), None);
        assert_eq!(counts(&set, 0), Some((1, 1, 0, 0, 0)));
        // A task that is added has its sample all the same.
        add(&mut set, 1, KTHREADD, &pool)?;
        assert_eq!(counts(&set, 1), Some((1, 1, 0, 0, 0)));
        // Twice is no error, and counts nothing.
        set.stop();
        assert_eq!(counts(&set, 0), Some((1, 1, 0, 0, 0)));
        Ok(())
    }

    #[test]
    fn a_new_grid_counts_on() -> Result {
        let pool = pool()?;
        let mut set = of_many(1, &pool)?;
        set.stop();
        set.start();
        assert!(set.is_sampling());
        let schedule = set.schedule(0).ok_or(ENOENT)?;
        // It begins now, with instant 1.
        assert_eq!(schedule.due, Some(1));
        assert!(schedule.next > schedule.now);
        sample(&mut set, 1, &pool);
        assert_eq!(counts(&set, 0), Some((2, 2, 0, 0, 0)));
        assert_eq!(set.schedule(1).ok_or(ENOENT)?.due, None);
        // One that goes on is left alone.
        set.start();
        assert_eq!(set.schedule(1).ok_or(ENOENT)?.due, None);
        // Another period, another grid.
        set.set_period(NonZeroU32::MAX);
        assert_eq!(set.schedule(1).ok_or(ENOENT)?.due, Some(2));
        Ok(())
    }

    #[test]
    fn an_instant_is_over_for_those_who_missed_it() -> Result {
        let pool = pool()?;
        let mut set = of_many(70, &pool)?;
        assert_eq!(sample_batch(&mut set, 0, 3, &pool), Some(64));
        // Those that were not sampled yet have missed 1 and 2 as well, but 3 not yet.
        assert_eq!(counts(&set, 63), Some((2, 2, 0, 0, 2)));
        assert_eq!(counts(&set, 64), Some((1, 1, 0, 0, 2)));
        set.stop();
        // (By the clock, instant 0 is the last one there was.)
        assert_eq!(counts(&set, 64), Some((1, 1, 0, 0, 2)));
        Ok(())
    }

    #[test]
    fn the_next_instant_is_a_period_away() -> Result {
        let pool = pool()?;
        let set = of_many(1, &pool)?;
        let schedule = set.schedule(0).ok_or(ENOENT)?;
        assert_eq!(schedule.due, None);
        let period = 3_600_000_000_000;
        assert!(schedule.next > schedule.now && schedule.next - schedule.now <= period);
        let later = set.schedule(1).ok_or(ENOENT)?;
        assert_eq!(later.next - schedule.next, period);
        Ok(())
    }

    #[test]
    fn a_choice_is_a_number_in_a_namespace() -> Result {
        let (pid, other) = (
            Pid::find(KTHREADD).ok_or(ESRCH)?,
            Pid::find(INIT).ok_or(ESRCH)?,
        );
        let (namespace, nr) = pid.numbers().next().ok_or(ENOENT)?;
        assert_eq!(nr, KTHREADD);
        let choice = Choice::new(namespace, nr, pid.clone());
        assert!(choice.is(&pid));
        assert!(!choice.is(&other));
        Ok(())
    }

    fn status(counts: Counts, newest: Sample, comm: Comm) -> Result<Status> {
        Ok(Status {
            number: 0,
            pid: Pid::find(INIT).ok_or(ESRCH)?,
            start: 9_876_543_210,
            threads: 1,
            counts,
            missed: 2,
            newest,
            group: Group::Own,
            comm,
        })
    }

    #[test]
    fn a_line_is_as_the_contract_says() -> Result {
        let counts = Counts {
            samples: 3600,
            taken: 5000,
            evicted: 1400,
            reclaimed: 0,
        };
        let newest = Sample {
            time: 12_345_678_901,
            usr: 4_000_000,
            rss: 256,
            mm_users: 1,
            state: b'S',
            ..Sample::default()
        };
        let status = status(counts, newest, Comm(*b"bash\0\0\0\0\0\0\0\0\0\0\0\0"))?;
        let mut line = Line::new();
        assert!(status.line(267, 267, &mut line).is_ok());
        let expected = "pid 267 start 9876543210 state S threads 1 samples 3600 taken 5000 \
                        evicted 1400 reclaimed 0 missed 2 usr 4000000 sys 0 time 12345678901 \
                        rss 1048576 mm_users 1 tgid 267 comm bash\n";
        assert_eq!(line.bytes(), expected.as_bytes());
        Ok(())
    }

    #[test]
    fn the_longest_line_fits() -> Result {
        let counts = Counts {
            samples: u64::MAX,
            taken: u64::MAX,
            evicted: u64::MAX,
            reclaimed: u64::MAX,
        };
        let status = Status {
            start: u64::MAX,
            threads: usize::MAX,
            missed: u64::MAX,
            // One more byte than a name has.
            ..status(counts, extreme(), Comm([0xff; 16]))?
        };
        let mut line = Line::new();
        assert!(status.line(i32::MIN, i32::MIN, &mut line).is_ok());
        let expected = "pid -2147483648 start 18446744073709551615 state X \
                        threads 18446744073709551615 samples 18446744073709551615 \
                        taken 18446744073709551615 evicted 18446744073709551615 \
                        reclaimed 18446744073709551615 missed 18446744073709551615 \
                        usr 18446744073709551615 sys 18446744073709551615 \
                        time 18446744073709551615 rss 18446744073709547520 \
                        mm_users 4294967295 tgid -2147483648 comm \
                        \\377\\377\\377\\377\\377\\377\\377\\377\
                        \\377\\377\\377\\377\\377\\377\\377\\377\n";
        assert_eq!(line.bytes(), expected.as_bytes());
        Ok(())
    }
}
