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

/// The newest samples of the tasks that `print` chose, at most `most` of them: with the task's number
/// (as the current task knows it) and beginning, and the newest last.
///
/// Context: may sleep. Errors: `ENOMEM`. Costs a walk over the tasks.
pub(crate) fn newest(monitor: &Monitor, most: usize) -> Result<KVec<(Sample, i32, u64)>> {
    let set = monitor.set();
    let (until, choice) = (set.last_time(), set.choice.clone());
    drop(set);
    let mut heap = Heap::new();
    heap.make_room(most)?;

    let mut next = Some(0);
    while let Some(from) = next {
        // Work that is bounded, whatever was sampled meanwhile.
        let bound = 4 * most;
        let mut left = bound;
        next = monitor.set().visit(from, |_, task| {
            if choice.as_ref().is_some_and(|choice| !choice.is(&task.pid)) {
                return true;
            }
            let later = |sample: &Sample| sample.time > until;
            for sample in task.history.newest_first().take(bound).skip_while(later) {
                if heap.len() >= most {
                    if heap
                        .first()
                        .is_some_and(|(oldest, _)| *oldest > sample.time)
                    {
                        break;
                    }
                    heap.pop();
                }
                // There is room.
                let _ = heap.push(sample.time, (sample, seen_number(&task.pid), task.start));
                left = left.saturating_sub(1);
            }
            left > 0
        });
    }

    let mut samples = KVec::with_capacity(heap.len(), GFP_KERNEL)?;
    while let Some((_, sample)) = heap.pop() {
        samples.push_within_capacity(sample).map_err(|_| ENOMEM)?;
    }
    Ok(samples)
}
