// SPDX-License-Identifier: GPL-2.0-only

//! Which tasks are threads of other tasks. What is counted for a thread is part of what is counted for its process, so a sum
//! of both would count it twice. Nothing here reads or writes anything.

use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use taskmonitor::Id;

use crate::output::many;

/// A process, and when it exited if it has.
#[derive(Clone, Copy, Debug)]
struct Process {
    id: Id,
    exited: Option<u64>,
}

impl Process {
    /// Whether `thread`, of a process with the same PID, is a thread of this one: a PID is given to another process only
    /// after the process before it has exited.
    fn has(&self, thread: Id) -> bool {
        self.id.start <= thread.start && self.exited.is_none_or(|exited| exited >= thread.start)
    }
}

/// The processes that have a thread among the same tasks. Takes no memory while there is no thread.
#[derive(Debug, Default)]
pub struct Processes(FxHashMap<u32, Vec<Process>>);

impl Processes {
    /// Those of `tasks`. Each task has its identity, the PID of its process if it is a thread, and the time of its last
    /// sample if it has exited.
    pub fn new(tasks: impl Iterator<Item = (Id, Option<u32>, Option<u64>)> + Clone) -> Self {
        let wanted: FxHashSet<u32> = tasks.clone().filter_map(|(_, process, _)| process).collect();
        let mut this = Self(wanted.into_iter().map(|pid| (pid, Vec::new())).collect());
        if !this.0.is_empty() {
            tasks.filter(|(_, process, _)| process.is_none()).for_each(|(id, _, exited)| this.saw(id, exited));
        }
        this
    }

    /// Looks for the process with this PID from now on. Returns true if it did not before: the caller must then pass the
    /// tasks that were there already.
    pub fn want(&mut self, pid: u32) -> bool {
        let new = !self.0.contains_key(&pid);
        if new {
            self.0.insert(pid, Vec::new());
        }
        new
    }

    /// Takes a process.
    pub fn saw(&mut self, id: Id, exited: Option<u64>) {
        let Some(processes) = self.0.get_mut(&id.pid) else { return };
        match processes.iter_mut().find(|process| process.id == id) {
            Some(process) => process.exited = exited,
            None => processes.push(Process { id, exited }),
        }
    }

    /// The process of `thread`, which has the PID `process`, if it is among the tasks.
    pub fn of(&self, thread: Id, process: Option<u32>) -> Option<Id> {
        let processes = self.0.get(&process?)?;
        processes.iter().find(|process| process.has(thread)).map(|process| process.id)
    }
}

/// What is said of `count` threads that no sum has.
pub fn remark(count: u64) -> String {
    if count == 1 {
        "1 thread is counted as part of its process".to_owned()
    } else {
        format!("{} are counted as part of their processes", many(count, "thread"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pid: u32, start: u64) -> Id {
        Id { pid, start }
    }

    #[test]
    fn a_thread_belongs_to_a_process_of_its_time() {
        // Two processes that had the PID one after the other; a thread of each; one whose process is not there.
        let tasks = [
            (id(7, 10), None, Some(50)),
            (id(8, 20), Some(7), Some(40)),
            (id(7, 60), None, None),
            (id(9, 60), Some(7), None),
            (id(10, 55), Some(7), None),
            (id(11, 5), Some(1), None),
        ];
        let processes = Processes::new(tasks.into_iter());
        let of = |(thread, process, _): (Id, Option<u32>, Option<u64>)| processes.of(thread, process);
        assert_eq!(tasks.map(of), [None, Some(id(7, 10)), None, Some(id(7, 60)), None, None]);
        assert!(Processes::new(tasks.into_iter().filter(|(_, process, _)| process.is_none())).0.is_empty());
    }

    #[test]
    fn a_process_that_comes_later() {
        let mut processes = Processes::default();
        processes.saw(id(7, 1), None);
        assert!(processes.want(7) && !processes.want(7));
        assert_eq!(processes.of(id(8, 2), Some(7)), None);
        processes.saw(id(7, 1), None);
        assert_eq!(processes.of(id(8, 2), Some(7)), Some(id(7, 1)));
        processes.saw(id(7, 1), Some(5));
        assert_eq!(processes.of(id(8, 2), Some(7)), Some(id(7, 1)));
        assert_eq!(processes.of(id(8, 6), Some(7)), None);
    }
}
