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
        let (choice, until) = (&self.choice, self.until);
        let (mut next, mut found) = (Some(from), None);
        while let Some(from) = next.filter(|_| found.is_none()) {
            next = self.monitor.set().visit(from, |number, task| {
                if choice.as_ref().is_none_or(|choice| choice.is(&task.pid)) {
                    let oldest = task.history.oldest();
                    if shown(&oldest, until).is_some() {
                        found = Some((number, Name::of(task), oldest));
                    }
                }
                found.is_none()
            });
        }
        let Some((number, name, oldest)) = found else {
            self.place = None;
            return false;
        };
        self.number = number;
        self.name = Some(name);
        self.place = oldest;
        true
    }

    /// The sample it is at.
    pub(crate) fn sample(&self) -> Option<Sample> {
        shown(&self.place, self.until)
    }

    /// The task it is at.
    pub(crate) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }
}

/// The sample at `place`, if it was taken `until` then.
fn shown(place: &Option<Place>, until: u64) -> Option<Sample> {
    place
        .as_ref()?
        .sample()
        .filter(|sample| sample.time <= until)
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

/// Samples that [`newest`] keeps under one hold of the lock, and one more task's.
const KEPT_AT_ONCE: usize = 32;

/// The newest samples of the tasks that `print` chose, at most `most` of them: with the task's number
/// (as the current task knows it) and beginning, and the newest last.
///
/// Context: may sleep. Errors: `ENOMEM`. Costs a walk over the tasks.
pub(crate) fn newest(monitor: &Monitor, most: usize) -> Result<KVec<(Sample, i32, u64)>> {
    let set = monitor.set();
    let (until, choice) = (set.last_time(), set.choice.clone());
    drop(set);
    let mut samples: KVec<(Sample, i32, u64)> = KVec::with_capacity(most, GFP_KERNEL)?;
    // Their places, the oldest first.
    let mut places = Heap::new();
    places.make_room(most)?;

    let mut next = Some(0);
    while let Some(from) = next {
        let mut left = KEPT_AT_ONCE;
        next = monitor.set().visit(from, |_, task| {
            if choice.as_ref().is_some_and(|choice| !choice.is(&task.pid)) {
                return true;
            }
            let later = |sample: &Sample| sample.time > until;
            // Bounded, whatever was sampled meanwhile.
            let some = task.history.newest_first().take(4 * most);
            for sample in some.skip_while(later) {
                let time = sample.time;
                let item = (sample, seen_number(&task.pid), task.start);
                if places.len() < most {
                    // There is room for both.
                    let _ = places.push(time, samples.len());
                    let _ = samples.push_within_capacity(item);
                } else {
                    let oldest = places.first().filter(|(oldest, _)| *oldest < time);
                    let Some(old) = oldest.and_then(|(_, place)| samples.get_mut(*place)) else {
                        break;
                    };
                    *old = item;
                    places.rekey(time);
                }
                left = left.saturating_sub(1);
            }
            left > 0
        });
    }

    let mut sorted = KVec::with_capacity(samples.len(), GFP_KERNEL)?;
    while let Some((_, place)) = places.pop() {
        let sample = samples.get(place).cloned().ok_or(EINVAL)?;
        sorted.push_within_capacity(sample).map_err(|_| ENOMEM)?;
    }
    Ok(sorted)
}

#[kunit_tests(taskmonitor_reader)]
mod tests {
    use super::*;

    use crate::{
        command::Command,
        sample::Cause,
        testing::{
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
    fn at(cursor: &Cursor) -> Option<(i32, u64)> {
        let sample = cursor.sample()?;
        Some((cursor.name()?.seen().0, sample.seq))
    }

    /// Whether the cursor goes through these instants of this task, and then goes on to another one,
    /// or to none.
    fn goes_through(cursor: &mut Cursor, nr: i32, seqs: impl IntoIterator<Item = u64>) -> bool {
        for seq in seqs {
            if at(cursor) != Some((nr, seq)) {
                return false;
            }
            let more = cursor.advance();
            if more != cursor.sample().is_some() {
                return false;
            }
        }
        at(cursor).is_none_or(|(other, _)| other != nr)
    }

    #[test]
    fn without_tasks_there_is_nothing() -> Result {
        let monitor = monitor()?;
        let mut cursor = cursor(&monitor);
        assert!(at(&cursor).is_none());
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
        assert_eq!(at(&cursor), None);
        assert!(!cursor.advance());
        // And once more from the beginning.
        assert!(cursor.rewind());
        assert!(goes_through(&mut cursor, KTHREADD, 0..=40));
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
        assert_eq!(at(&cursor), None);
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
        assert_eq!(at(&cursor), None);
        Ok(())
    }

    #[test]
    fn what_is_reclaimed_meanwhile_is_not_read() -> Result {
        let monitor = sampled(60)?;
        let mut cursor = cursor(&monitor);
        // Four of the six blocks that are offered: two of each.
        assert_eq!(monitor.set().give_back(4, Cause::Reclaim).scanned, 4);
        let kept = Iterator::chain(0..17, 34..=60);
        assert!(goes_through(&mut cursor, KTHREADD, kept));
        assert!(goes_through(&mut cursor, INIT, 34..=60));
        assert_eq!(at(&cursor), None);
        Ok(())
    }

    #[test]
    fn a_task_that_is_removed_ends_with_its_block() -> Result {
        let monitor = sampled(40)?;
        let mut cursor = cursor(&monitor);
        monitor.command(Command::Remove(KTHREADD))?;
        assert!(goes_through(&mut cursor, KTHREADD, 0..17));
        assert!(goes_through(&mut cursor, INIT, 0..=40));
        assert_eq!(at(&cursor), None);
        Ok(())
    }

    #[test]
    fn tasks_without_samples_are_gone_past() -> Result {
        let monitor = sampled(40)?;
        monitor.command(Command::Clear)?;
        assert_eq!(at(&cursor(&monitor)), None);
        monitor.command(Command::Remove(INIT))?;
        monitor.command(Command::Add(INIT))?;
        let mut cursor = cursor(&monitor);
        assert!(goes_through(&mut cursor, INIT, 0..1));
        assert_eq!(at(&cursor), None);
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
