// SPDX-License-Identifier: GPL-2.0

//! Readers: ways through what is recorded.
//!
//! None of them holds a lock between two calls. A reader that goes through samples holds the block
//! on which it stands, which keeps its samples though they may be evicted, and it may leave the
//! history, meanwhile: the reader finishes it, and goes on with what is left behind it.

use kernel::{
    current,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::might_sleep, //
};

use crate::{
    heap::Heap,
    monitor::Monitor,
    sample::{
        Place,
        Sample, //
    },
    set::{
        Choice,
        Monitored,
        Status, //
    },
    wrappers::pid::Pid,
};

/// Whose samples these are: what a line begins and ends with.
#[derive(Clone)]
pub(crate) struct Name {
    pid: ARef<Pid>,
    start: u64,
}

impl Name {
    pub(crate) fn of(task: &Monitored) -> Self {
        Self {
            pid: task.pid.clone(),
            start: task.start,
        }
    }

    /// The number by which the current task knows it, 0 if by none; and when it began.
    pub(crate) fn seen(&self) -> (i32, u64) {
        (seen_number(&self.pid), self.start)
    }
}

/// The number by which the current task knows `pid`; 0 if by none.
pub(crate) fn seen_number(pid: &Pid) -> i32 {
    current!()
        .active_pid_ns()
        .map_or(0, |namespace| pid.number_in(namespace))
}

/// A way through all histories that `print` chose, task by task: the samples that were taken before
/// it began.
///
/// Going on costs the same wherever it is.
pub(crate) struct Cursor {
    monitor: Arc<Monitor>,
    choice: Option<Choice>,
    /// Samples that bear a later time are not shown.
    until: u64,
    /// The task it is at.
    number: u64,
    name: Option<Name>,
    place: Option<Place>,
}

impl Cursor {
    pub(crate) fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            choice: None,
            until: 0,
            number: 0,
            name: None,
            place: None,
        }
    }

    /// From here on shows what was taken, and is chosen, until now.
    pub(crate) fn renew(&mut self) {
        let set = self.monitor.set();
        let (until, choice) = (set.last_time(), set.choice.clone());
        drop(set);
        self.until = until;
        self.choice = choice;
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
                let set = self.monitor.set();
                let task = set.get(self.number);
                task.and_then(|task| task.history.behind(place))
            }
        };
        self.place = behind;
        self.sample().is_some() || self.find(self.number.saturating_add(1))
    }

    /// Goes to the first sample of the first task from number `from` on that has one to show.
    fn find(&mut self, from: u64) -> bool {
        let mut next = Some(from);
        while let Some(from) = next {
            let (choice, mut found) = (&self.choice, None);
            let more = self.monitor.set().visit(from, |number, task| {
                if choice.as_ref().is_none_or(|choice| choice.is(&task.pid)) {
                    let oldest = task.history.oldest();
                    found = oldest.map(|oldest| (number, Name::of(task), oldest));
                }
                found.is_none()
            });
            next = more;
            might_sleep();
            if let Some((number, name, oldest)) = found {
                self.number = number;
                self.name = Some(name);
                self.place = Some(oldest);
                // (Unpacked under no lock.)
                if self.sample().is_some() {
                    return true;
                }
            }
        }
        self.place = None;
        false
    }

    /// The sample it is at.
    fn sample(&mut self) -> Option<&Sample> {
        let until = self.until;
        let sample = self.place.as_mut()?.sample();
        sample.filter(|sample| sample.time <= until)
    }

    /// The sample it is at, and whose it is.
    pub(crate) fn current(&mut self) -> Option<(&Sample, &Name)> {
        let until = self.until;
        let sample = self.place.as_mut()?.sample()?;
        let name = self.name.as_ref()?;
        (sample.time <= until).then_some((sample, name))
    }
}

/// A way through the tasks that were there when it began.
pub(crate) struct Tasks {
    monitor: Arc<Monitor>,
    /// The number of the last task to be shown.
    until: u64,
    current: Option<Status>,
}

impl Tasks {
    pub(crate) fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            until: 0,
            current: None,
        }
    }

    /// Goes to the first task; false if there is none.
    pub(crate) fn rewind(&mut self) -> bool {
        self.until = self.monitor.set().last_number().unwrap_or(0);
        self.find(0)
    }

    /// Goes on to the next task; false if there is none.
    pub(crate) fn advance(&mut self) -> bool {
        match &self.current {
            None => false,
            Some(status) => self.find(status.number.saturating_add(1)),
        }
    }

    fn find(&mut self, from: u64) -> bool {
        let status = self.monitor.set().status(from);
        self.current = status.filter(|status| status.number <= self.until);
        self.current.is_some()
    }

    /// What there is to say of the task it is at.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.current.as_ref()
    }
}

/// Samples, as many as there is room for: when there are more, the newest ones.
struct Newest {
    samples: KVVec<(Sample, i32, u64)>,
    /// Their times, and places.
    times: Heap<usize>,
}

impl Newest {
    /// Room for `most`, which may take more than a page. Context: may sleep. Errors: `ENOMEM`.
    fn new(most: usize) -> Result<Self> {
        let mut times = Heap::new();
        times.make_room(most)?;
        Ok(Self {
            samples: KVVec::with_capacity(most, GFP_KERNEL)?,
            times,
        })
    }

    /// Whether one of that time would be put in.
    fn wants(&self, time: u64) -> bool {
        let is_full = self.samples.len() == self.samples.capacity();
        !is_full || self.times.first().is_some_and(|first| first.0 < time)
    }

    /// Puts a sample in if it is wanted, and returns whether it was.
    fn keep(&mut self, sample: &Sample, (pid, start): (i32, u64)) -> bool {
        if !self.wants(sample.time) {
            return false;
        }
        let item = (*sample, pid, start);
        let place = self.samples.len();
        if self.samples.push_within_capacity(item).is_ok() {
            return self.times.push(sample.time, place).is_ok();
        }
        let oldest = self.times.first().map(|first| first.1);
        if let Some(oldest) = oldest.and_then(|place| self.samples.get_mut(place)) {
            *oldest = item;
            self.times.rekey(sample.time);
        }
        true
    }

    /// All of them, the newest last.
    fn sorted(mut self) -> Result<KVVec<(Sample, i32, u64)>> {
        let mut sorted = KVVec::with_capacity(self.times.len(), GFP_KERNEL)?;
        while let Some((_, place)) = self.times.pop() {
            if let Some(item) = self.samples.get(place) {
                sorted.push_within_capacity(*item).map_err(|_| ENOMEM)?;
            }
        }
        Ok(sorted)
    }
}

/// Goes through the samples of a task that were taken `until` then, the newest first, until `f` returns false. It must,
/// behind as many as there is `room` for: of a block that has more, the others are left out.
///
/// Context: may sleep.
fn newest_first(
    monitor: &Monitor,
    number: u64,
    until: u64,
    room: &mut [Sample],
    mut f: impl FnMut(&Sample) -> bool,
) {
    let mut behind = None;
    loop {
        let set = monitor.set();
        let task = set.get(number);
        let back = task.and_then(|task| task.history.back(behind.as_ref()));
        drop(set);
        match back {
            Some(stretch) if stretch.newest_first(until, room, &mut f) => behind = Some(stretch),
            _ => return,
        }
        might_sleep();
    }
}

/// The newest samples of the tasks that `print` chose, at most `most` of them: with the task's number
/// (as the current task knows it) and beginning, and the newest last.
///
/// Context: may sleep. Errors: `ENOMEM`. Costs a walk over the tasks; and unpacking the newest block or two of those that
/// have more than one sample to show, and of those that are sampled meanwhile.
pub(crate) fn newest(monitor: &Monitor, most: usize) -> Result<KVVec<(Sample, i32, u64)>> {
    let until = monitor.set().last_time();
    let samples = newest_until(monitor, most, until)?;
    if !samples.is_empty() {
        return Ok(samples);
    }
    // There are none; or each task evicted all that it had by then before the walk reached it, as may be when there are
    // thousands of them that keep a few samples each. Then the newest of each, whenever it was taken.
    newest_until(monitor, most, u64::MAX)
}

/// As [`newest()`], without the samples that were taken later than `until`.
fn newest_until(monitor: &Monitor, most: usize, until: u64) -> Result<KVVec<(Sample, i32, u64)>> {
    let set = monitor.set();
    let earlier = set.earlier();
    let choice = set.choice.clone();
    drop(set);

    // The samples of a block, while it is looked at. (`most` of one task are all there is to show: an older one is not
    // wanted any more.)
    let mut room = KVVec::from_elem(Sample::default(), most, GFP_KERNEL)?;
    // The tasks whose newest sample is one of the newest: the others have none to show.
    let mut tasks = Heap::new();
    tasks.make_room(most)?;
    let mut next = Some(0);
    while let Some(from) = next {
        let mut meanwhile = None;
        next = monitor.set().visit(from, |number, task| {
            if choice.as_ref().is_none_or(|choice| choice.is(&task.pid)) {
                match task.last_time() {
                    Some(time) if time > until => meanwhile = Some(number),
                    Some(time) => {
                        tasks.keep_largest(most, time, number);
                    }
                    None => {}
                }
            }
            meanwhile.is_none()
        });
        if let Some(number) = meanwhile {
            newest_first(monitor, number, until, &mut room, |sample| {
                tasks.keep_largest(most, sample.time, number);
                false
            });
        }
    }

    let mut samples = Newest::new(most)?;
    // Tasks, and which of their samples is there already.
    let mut more = KVVec::with_capacity(most, GFP_KERNEL)?;
    while let Some((_, number)) = tasks.pop() {
        let set = monitor.set();
        let Some(task) = set.get(number) else {
            continue;
        };
        let name = (seen_number(&task.pid), task.start);
        let known = task.last_time().filter(|time| *time <= until);
        if known.is_some() {
            samples.keep(task.history.last(), name);
        }
        drop(set);
        more.push((number, name, known), GFP_KERNEL)?;
    }
    for (number, name, known) in more {
        if known.is_some() && !samples.wants(earlier) {
            // All that it has else are earlier ones.
            continue;
        }
        newest_first(monitor, number, until, &mut room, |sample| {
            known == Some(sample.time) || samples.keep(sample, name)
        });
    }
    samples.sorted()
}

#[kunit_tests(taskmonitor_reader)]
mod tests {
    use super::*;

    use crate::{
        command::Command,
        sample::Cause,
        testing::{
            fill,
            monitor,
            INIT,
            KTHREADD, //
        },
    };

    /// A monitor of two tasks, each sampled at the instants from 0 up to `last`.
    fn sampled(last: u64) -> Result<Arc<Monitor>> {
        let monitor = monitor()?;
        monitor.command(Command::Add(KTHREADD))?;
        monitor.command(Command::Add(INIT))?;
        sample(&monitor, 1, last);
        Ok(monitor)
    }

    fn sample(monitor: &Monitor, first: u64, last: u64) {
        for instant in first..=last {
            monitor.sample_batch(0, instant);
        }
    }

    /// A cursor, as a read from the beginning makes it.
    fn cursor(monitor: &Arc<Monitor>) -> Cursor {
        let mut cursor = Cursor::new(monitor.clone());
        cursor.renew();
        cursor.rewind();
        cursor
    }

    /// Where it is: PID and number of the instant.
    fn at(cursor: &mut Cursor) -> Option<(i32, u64)> {
        let (sample, name) = cursor.current()?;
        Some((name.seen().0, sample.seq))
    }

    /// Whether the cursor goes through these instants of this task, and then goes on to another one,
    /// or to none.
    fn goes_through(cursor: &mut Cursor, nr: i32, seqs: impl IntoIterator<Item = u64>) -> bool {
        for seq in seqs {
            if at(cursor) != Some((nr, seq)) {
                return false;
            }
            let more = cursor.advance();
            if more != cursor.current().is_some() {
                return false;
            }
        }
        at(cursor).is_none_or(|(other, _)| other != nr)
    }

    #[test]
    fn without_tasks_there_is_nothing() -> Result {
        let monitor = monitor()?;
        let mut cursor = cursor(&monitor);
        assert!(at(&mut cursor).is_none());
        assert!(!cursor.rewind());
        assert!(!cursor.advance());
        assert!(!Tasks::new(monitor.clone()).rewind());
        assert_eq!(newest(&monitor, 10)?.len(), 0);
        Ok(())
    }

    #[test]
    fn tasks_are_read_as_added_and_samples_as_taken() -> Result {
        let monitor = sampled(40)?;
        let mut cursor = cursor(&monitor);
        assert!(goes_through(&mut cursor, KTHREADD, 0..=40));
        assert!(goes_through(&mut cursor, INIT, 0..=40));
        assert_eq!(at(&mut cursor), None);
        assert!(!cursor.advance());
        // And once more from the beginning.
        assert!(cursor.rewind());
        assert!(goes_through(&mut cursor, KTHREADD, 0..=40));
        Ok(())
    }

    #[test]
    fn just_before_it_is_printed_a_block_has_two_references() -> Result {
        let monitor = sampled(3)?;
        let references = |cursor: &Cursor| cursor.place.as_ref().map(Place::references);
        let mut one = cursor(&monitor);
        assert_eq!(at(&mut one), Some((KTHREADD, 0)));
        assert_eq!(references(&one), Some(2));
        let mut other = cursor(&monitor);
        assert_eq!(at(&mut other), Some((KTHREADD, 0)));
        assert_eq!(references(&one), Some(3));
        drop(other);
        // The history goes, and takes its reference with it.
        monitor.command(Command::Remove(KTHREADD))?;
        assert_eq!(references(&one), Some(1));
        assert_eq!(at(&mut one), Some((KTHREADD, 0)));
        Ok(())
    }

    #[test]
    fn what_comes_later_is_not_read() -> Result {
        let monitor = sampled(20)?;
        let mut cursor = cursor(&monitor);
        sample(&monitor, 21, 60);
        monitor.command(Command::Add(current!().pid()))?;
        assert!(goes_through(&mut cursor, KTHREADD, 0..=20));
        assert!(goes_through(&mut cursor, INIT, 0..=20));
        assert_eq!(at(&mut cursor), None);
        cursor.renew();
        assert!(cursor.rewind());
        assert!(goes_through(&mut cursor, KTHREADD, 0..=60));
        Ok(())
    }

    #[test]
    fn print_chooses_whose_samples_are_read() -> Result {
        let monitor = sampled(20)?;
        monitor.command(Command::Print(INIT))?;
        let mut cursor = cursor(&monitor);
        // The choice counts that was made before.
        monitor.command(Command::Print(KTHREADD))?;
        assert!(goes_through(&mut cursor, INIT, 0..=20));
        assert_eq!(at(&mut cursor), None);
        Ok(())
    }

    #[test]
    fn what_is_reclaimed_meanwhile_is_not_read() -> Result {
        let monitor = sampled(0)?;
        let (last, ends) = fill(&monitor, 2, 4)?;
        let mut cursor = cursor(&monitor);
        // Four of the six blocks that are offered: two of each.
        assert_eq!(monitor.set().give_back(4, Cause::Reclaim).scanned, 4);
        let kept = Iterator::chain(0..ends[0][0], ends[0][1]..=last);
        assert!(goes_through(&mut cursor, KTHREADD, kept));
        assert!(goes_through(&mut cursor, INIT, ends[1][1]..=last));
        assert_eq!(at(&mut cursor), None);
        Ok(())
    }

    #[test]
    fn a_task_that_is_removed_ends_with_its_block() -> Result {
        let monitor = sampled(0)?;
        let (last, ends) = fill(&monitor, 2, 2)?;
        let mut cursor = cursor(&monitor);
        monitor.command(Command::Remove(KTHREADD))?;
        assert!(goes_through(&mut cursor, KTHREADD, 0..ends[0][0]));
        assert!(goes_through(&mut cursor, INIT, 0..=last));
        assert_eq!(at(&mut cursor), None);
        Ok(())
    }

    #[test]
    fn tasks_without_samples_are_gone_past() -> Result {
        let monitor = sampled(40)?;
        monitor.command(Command::Clear)?;
        assert_eq!(at(&mut cursor(&monitor)), None);
        monitor.command(Command::Remove(INIT))?;
        monitor.command(Command::Add(INIT))?;
        let mut cursor = cursor(&monitor);
        assert!(goes_through(&mut cursor, INIT, 0..1));
        assert_eq!(at(&mut cursor), None);
        Ok(())
    }

    /// PIDs and numbers of the instants.
    fn is_newest(monitor: &Monitor, most: usize, expected: &[(i32, u64)]) -> bool {
        let Ok(samples) = newest(monitor, most) else {
            return false;
        };
        let times = samples.iter().map(|(sample, ..)| sample.time);
        times.is_sorted()
            && samples
                .iter()
                .map(|(sample, nr, _)| (*nr, sample.seq))
                .eq(expected.iter().copied())
    }

    #[test]
    fn the_newest_are_merged_by_time() -> Result {
        const A: i32 = KTHREADD;
        const B: i32 = INIT;

        let monitor = sampled(20)?;
        assert!(is_newest(&monitor, 1, &[(B, 20)]));
        assert!(is_newest(
            &monitor,
            5,
            &[(B, 18), (A, 19), (B, 19), (A, 20), (B, 20)]
        ));
        monitor.command(Command::Print(A))?;
        assert!(is_newest(&monitor, 3, &[(A, 18), (A, 19), (A, 20)]));
        monitor.command(Command::Clear)?;
        assert!(is_newest(&monitor, 3, &[]));
        sample(&monitor, 21, 21);
        assert!(is_newest(&monitor, 3, &[(A, 21)]));
        Ok(())
    }

    #[test]
    fn tasks_are_those_that_were_there() -> Result {
        let monitor = sampled(1)?;
        let mut tasks = Tasks::new(monitor.clone());
        assert!(tasks.status().is_none());
        assert!(tasks.rewind());
        monitor.command(Command::Add(current!().pid()))?;
        assert_eq!(tasks.status().map(|status| status.number), Some(0));
        assert!(tasks.advance());
        assert_eq!(tasks.status().map(|status| status.number), Some(1));
        assert!(!tasks.advance());
        assert!(tasks.status().is_none());
        assert!(!tasks.advance());
        // One that goes is gone past.
        monitor.command(Command::Remove(INIT))?;
        assert!(tasks.rewind());
        assert!(tasks.advance());
        assert_eq!(tasks.status().map(|status| status.number), Some(2));
        Ok(())
    }
}
