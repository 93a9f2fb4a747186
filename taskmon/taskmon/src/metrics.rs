// SPDX-License-Identifier: GPL-2.0-only

//! From tasks to groups of them, whose counters never go back although tasks come and go. Nothing here reads or writes
//! anything.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::Task;

use crate::threads::Processes;

/// So long, in nanoseconds, a group is given after its last task has ended. Whoever collects once a minute must see it twice,
/// first with zeros and then with the increase, and so must the second of two who collect.
pub const LINGER: u64 = 180_000_000_000;

/// What is counted, of a task or of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// User CPU time in nanoseconds.
    pub usr: u64,
    /// System CPU time in nanoseconds.
    pub sys: u64,
    /// Page faults that needed no I/O.
    pub minflt: u64,
    /// Page faults that needed I/O.
    pub majflt: u64,
    /// Samples that were recorded.
    pub taken: u64,
    /// Instants at which none could be recorded.
    pub missed: u64,
    /// Samples that made room for others.
    pub evicted: u64,
    /// Samples that were given back when memory was short.
    pub reclaimed: u64,
}

/// What a series is named by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name of the tasks.
    pub name: String,
    /// Their PID, where each has series of its own. Two tasks that have had the same PID one after the other share them.
    pub pid: Option<u32>,
    /// The PID of their process, where each task has series of its own and this is a thread: its values are part of those of
    /// its process.
    pub process: Option<u32>,
}

/// What is given of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// What its tasks have added since this began to watch them.
    pub counters: Counters,
    /// Its living tasks.
    pub tasks: u64,
    /// Their threads.
    pub threads: u64,
    /// Their resident memory in bytes.
    pub rss: u64,
    // When it last had a living task, or one that added something.
    alive: u64,
    // The update that it came with.
    born: u64,
}

impl Group {
    /// What its counters are for a collector that saw the update `seen` last. One that has not seen the group yet must see zeros
    /// first: a counter that comes with a value has not increased, as far as it can tell.
    pub fn counters_after(&self, seen: u64) -> Counters {
        if self.born > seen { Counters::default() } else { self.counters }
    }
}

/// What was last known of a task. A counter that is less than that has been told late: it adds nothing, until it is more.
#[derive(Debug)]
struct Track {
    key: Key,
    last: Counters,
    // Whether the faults in `last` are known. They are in samples only, and the first may come later than the task.
    faults: bool,
    // Whether it is known to have exited.
    ended: bool,
    // Whether it is a thread whose process counts for it.
    part: bool,
}

impl Track {
    fn faults(&mut self, sample: &Sample, to: &mut Counters) {
        if !std::mem::replace(&mut self.faults, true) {
            self.last.minflt = sample.minflt;
            self.last.majflt = sample.majflt;
        }
        add(&mut self.last.minflt, sample.minflt, &mut to.minflt);
        add(&mut self.last.majflt, sample.majflt, &mut to.majflt);
    }

    fn times(&mut self, usr: u64, sys: u64, to: &mut Counters) {
        add(&mut self.last.usr, usr, &mut to.usr);
        add(&mut self.last.sys, sys, &mut to.sys);
    }

    fn samples(&mut self, task: &Task, to: &mut Counters) {
        let &Task { taken, missed, evicted, reclaimed, .. } = task;
        // The task was removed and added again, and has a new history.
        if taken < self.last.taken {
            self.last = Counters { taken: 0, missed: 0, evicted: 0, reclaimed: 0, ..self.last };
        }
        add(&mut self.last.taken, taken, &mut to.taken);
        add(&mut self.last.missed, missed, &mut to.missed);
        add(&mut self.last.evicted, evicted, &mut to.evicted);
        add(&mut self.last.reclaimed, reclaimed, &mut to.reclaimed);
    }
}

/// Adds to `total` by how much `now` is more than `last`.
fn add(last: &mut u64, now: u64, total: &mut u64) {
    *total = total.saturating_add(now.saturating_sub(*last));
    *last = now.max(*last);
}

/// The groups.
#[derive(Debug)]
pub struct Groups {
    by_pid: bool,
    // When the tasks were last looked at, and how often they were.
    looked: Option<u64>,
    updates: u64,
    tracks: HashMap<Id, Track>,
    groups: BTreeMap<Key, Group>,
    // The newest sample of each task that has new ones.
    newest: HashMap<Id, Sample>,
}

impl Groups {
    /// Groups by name; with `by_pid`, by name and PID.
    pub fn new(by_pid: bool) -> Self {
        Self {
            by_pid,
            looked: None,
            updates: 0,
            tracks: HashMap::new(),
            groups: BTreeMap::new(),
            newest: HashMap::new(),
        }
    }

    /// Takes a new sample. It counts from the next `update` on.
    pub fn sample(&mut self, sample: Sample) {
        self.newest.insert(sample.id(), sample);
    }

    /// Takes what all monitored tasks are at `now`, in nanoseconds since boot.
    ///
    /// A task that began since the last time counts in full. Of another that is seen for the first time only what it
    /// adds from here on does: what it had before was not now. So all counters begin with 0, with the first call, too:
    /// whoever is started anew cannot know what tasks that have ended since had added, and a counter that goes on with
    /// less looks like one that began anew, with all that it has.
    ///
    /// A thread whose process is monitored, too, adds nothing to its group: all that it does is done by its process. (With
    /// series for each task, nothing is added up.)
    pub fn update(&mut self, tasks: &[Task], now: u64) {
        self.updates += 1;
        for group in self.groups.values_mut() {
            *group = Group { counters: group.counters, alive: group.alive, born: group.born, ..Group::default() };
        }
        let parts = self.parts(tasks);
        let mut seen = HashSet::with_capacity(tasks.len());
        for task in tasks {
            let id = task.id();
            seen.insert(id);
            self.task(task, id, parts.get(&id).copied().unwrap_or_default(), now);
        }
        // What is not monitored any more may have left a last sample.
        let gone: Vec<Id> = self.tracks.keys().filter(|id| !seen.contains(id)).copied().collect();
        for id in gone {
            if let Some((mut track, sample)) = self.tracks.remove(&id).zip(self.newest.remove(&id)) {
                let mut more = Counters::default();
                track.faults(&sample, &mut more);
                track.times(sample.usr, sample.sys, &mut more);
                if !track.part {
                    self.count(&track.key, more, (!track.ended).then_some(now));
                }
            }
        }
        self.newest.clear();
        self.groups.retain(|_, group| now.saturating_sub(group.alive) < LINGER);
        self.looked = Some(now);
    }

    /// The threads that are not counted, as their processes are.
    fn parts(&self, tasks: &[Task]) -> HashMap<Id, Part> {
        if self.by_pid || tasks.iter().all(|task| task.process().is_none()) {
            return HashMap::new();
        }
        let one = |task: &Task| (task.id(), task.process(), task.state.exited().then_some(task.time));
        let now = Processes::new(tasks.iter().map(one));
        // Those that were there before count until now, if they are there no more, too. (Which of them were processes does not
        // matter: no other task has the PID of one.)
        let exits: HashMap<Id, u64> =
            tasks.iter().filter(|task| task.state.exited()).map(|task| (task.id(), task.time)).collect();
        let mut before = Processes::default();
        for pid in tasks.iter().filter_map(Task::process) {
            before.want(pid);
        }
        self.tracks.keys().for_each(|&id| before.saw(id, exits.get(&id).copied()));
        let new = |id: Id| self.looked.is_some_and(|looked| id.start >= looked);
        let part = |task: &Task| {
            let process = now.of(task.id(), task.process());
            let counted = before.of(task.id(), task.process()).is_some() || process.is_some_and(new);
            Part { increase: counted, present: process.is_some() }
        };
        tasks.iter().filter(|task| task.process().is_some()).map(|task| (task.id(), part(task))).collect()
    }

    fn task(&mut self, task: &Task, id: Id, part: Part, now: u64) {
        let by_pid = self.by_pid;
        let key =
            Key { name: task.name(), pid: by_pid.then_some(task.pid), process: task.process().filter(|_| by_pid) };
        let looked = self.looked;
        let track = self.tracks.entry(id).or_insert_with(|| match looked {
            Some(looked) if task.start >= looked => {
                Track { key: key.clone(), last: Counters::default(), faults: true, ended: false, part: false }
            }
            looked => {
                let &Task { usr, sys, taken, missed, evicted, reclaimed, .. } = task;
                let history = Counters { taken, missed, evicted, reclaimed, ..Counters::default() };
                // A history that was not there the last time is new, however old the task is.
                let history = if looked.is_none() { history } else { Counters::default() };
                let last = Counters { usr, sys, ..history };
                Track { key: key.clone(), last, faults: false, ended: false, part: false }
            }
        });
        // It may have another name than the last time, by an exec.
        if track.key != key {
            track.key.clone_from(&key);
        }
        let mut more = Counters::default();
        if let Some(sample) = self.newest.get(&id) {
            track.faults(sample, &mut more);
        }
        track.times(task.usr, task.sys, &mut more);
        track.samples(task, &mut more);
        track.part = part.present;
        if part.increase {
            more = Counters::default();
        }
        if task.state.exited() {
            let ended = std::mem::replace(&mut track.ended, true);
            self.count(&key, more, (!ended).then_some(now));
            return;
        }
        if part.present {
            self.count(&key, more, Some(now));
            return;
        }
        let group = self.group(key);
        group.alive = now;
        group.counters = sum(group.counters, more);
        group.tasks += 1;
        group.threads = group.threads.saturating_add(task.threads.into());
        group.rss = group.rss.saturating_add(task.rss);
    }

    /// Counts what a task without life has added, and has its group last from `ended` on, if it has just ended. If it has
    /// added nothing, it is no reason for a group to be there, nor is what becomes of its samples later.
    fn count(&mut self, key: &Key, more: Counters, ended: Option<u64>) {
        if let Some(now) = ended.filter(|_| more != Counters::default()) {
            self.group(key.clone()).alive = now;
        }
        if let Some(group) = self.groups.get_mut(key) {
            group.counters = sum(group.counters, more);
        }
    }

    /// The group with this key, a new one if there is none.
    fn group(&mut self, key: Key) -> &mut Group {
        let born = self.updates;
        self.groups.entry(key).or_insert_with(|| Group { born, ..Group::default() })
    }

    /// Whether each task has a group of its own.
    pub fn by_pid(&self) -> bool {
        self.by_pid
    }

    /// How often the tasks were looked at.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The groups, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Group)> {
        self.groups.iter()
    }
}

/// Whether a thread is counted by its process: what it has added since the last time, and what it is now.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    increase: bool,
    present: bool,
}

fn sum(a: Counters, b: Counters) -> Counters {
    Counters {
        usr: a.usr.saturating_add(b.usr),
        sys: a.sys.saturating_add(b.sys),
        minflt: a.minflt.saturating_add(b.minflt),
        majflt: a.majflt.saturating_add(b.majflt),
        taken: a.taken.saturating_add(b.taken),
        missed: a.missed.saturating_add(b.missed),
        evicted: a.evicted.saturating_add(b.evicted),
        reclaimed: a.reclaimed.saturating_add(b.reclaimed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn task(pid: u32, start: u64, state: char, usr: u64, name: &str) -> Task {
        let line = format!(
            "pid {pid} start {start} state {state} threads 2 samples 1 taken {taken} evicted 3 reclaimed 2 missed 1 \
             usr {usr} sys 7 time 5 rss 4096 mm_users 1 comm {name}",
            taken = usr / 10 + 6,
        );
        Task::parse(line.as_bytes()).unwrap()
    }

    fn sample(pid: u32, start: u64, state: char, usr: u64, minflt: u64) -> Sample {
        let line = format!(
            "pid {pid} usr {usr} sys 7 time 5 rss 0 minflt {minflt} majflt 0 mm_users 0 state {state} seq 1 start {start}"
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn group(groups: &Groups, name: &str) -> Option<Group> {
        let mut found = groups.iter().filter(|(key, _)| key.name == name);
        let group = found.next().map(|(_, &group)| group);
        assert!(found.next().is_none(), "two groups of {name}");
        group
    }

    fn usr(groups: &Groups, name: &str) -> Option<u64> {
        group(groups, name).map(|group| group.counters.usr)
    }

    #[test]
    fn a_group_is_the_sum_of_its_tasks() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "a"), task(2, 1, 'R', 50, "a"), task(3, 1, 'S', 9, "b")], 1000);
        let a = group(&groups, "a").unwrap();
        assert_eq!((a.tasks, a.threads, a.rss, a.counters), (2, 4, 8192, Counters::default()));
        groups.update(&[task(1, 1, 'S', 110, "a"), task(2, 1, 'R', 70, "a"), task(3, 1, 'S', 9, "b")], 2000);
        assert_eq!(usr(&groups, "a"), Some(30));
        assert_eq!(group(&groups, "a").unwrap().counters.taken, 3);
        assert_eq!(group(&groups, "b").unwrap().counters, Counters::default());
    }

    fn thread(pid: u32, start: u64, state: char, usr: u64, name: &str, tgid: u32) -> Task {
        Task { tgid: Some(tgid), threads: 1, ..task(pid, start, state, usr, name) }
    }

    #[test]
    fn a_thread_of_a_monitored_process_adds_nothing() {
        let process = |usr, state| Task { tgid: Some(1), ..task(1, 1, state, usr, "app") };
        let mut groups = Groups::new(false);
        // One has the name of its process, one has another, one is of a process that is not monitored.
        let tasks = |usr: u64, state: char| {
            vec![
                thread(2, 2, state, usr, "app", 1),
                process(3 * usr, state),
                thread(3, 2, state, usr, "worker", 1),
                thread(5, 2, state, usr, "other", 4),
            ]
        };
        groups.update(&tasks(100, 'S'), 1000);
        groups.update(&tasks(110, 'S'), 2000);
        let app = group(&groups, "app").unwrap();
        assert_eq!((app.tasks, app.threads, app.rss, app.counters.usr, app.counters.taken), (1, 2, 4096, 30, 3));
        assert_eq!(group(&groups, "worker"), None);
        assert_eq!((usr(&groups, "other"), group(&groups, "other").unwrap().tasks), (Some(10), 1));
        // Faults are in samples.
        for (pid, minflt) in [(2, 5), (1, 20), (2, 9), (1, 27)] {
            let start = if pid == 1 { 1 } else { 2 };
            groups.sample(sample(pid, start, 'S', 110, minflt));
            groups.update(&tasks(110, 'S'), 2500);
        }
        assert_eq!(group(&groups, "app").unwrap().counters.minflt, 7);
        // A thread that ends, or is removed, adds nothing either, nor does one that is left when all have exited.
        let mut ended = tasks(120, 'S');
        ended[2] = thread(3, 2, 'X', 115, "worker", 1);
        groups.update(&ended, 3000);
        groups.sample(sample(2, 2, 'X', 125, 0));
        groups.update(&[process(400, 'X'), thread(3, 2, 'X', 115, "worker", 1)], 4000);
        assert_eq!((usr(&groups, "app"), group(&groups, "worker")), (Some(100), None));
        assert_eq!(group(&groups, "app").unwrap().tasks, 0);
    }

    #[test]
    fn a_short_life_with_a_thread_counts_once() {
        let mut groups = Groups::new(false);
        groups.update(&[], 1000);
        let process = Task { tgid: Some(1), time: 1900, ..task(1, 1500, 'X', 300, "app") };
        // Even if no look found either of them alive.
        groups.update(&[thread(2, 1600, 'X', 100, "app", 1), process], 2000);
        assert_eq!(usr(&groups, "app"), Some(300));
    }

    #[test]
    fn a_process_that_joins_its_thread_and_leaves_it() {
        let mut groups = Groups::new(false);
        let process = |usr| Task { tgid: Some(1), ..task(1, 1, 'S', usr, "app") };
        let thread = |usr| thread(2, 2, 'S', usr, "app", 1);
        groups.update(&[thread(100)], 1000);
        groups.update(&[thread(110)], 2000);
        assert_eq!((usr(&groups, "app"), group(&groups, "app").unwrap().tasks), (Some(10), 1));
        // From here on the process counts; what its thread did until now is not in that.
        groups.update(&[thread(120), process(900)], 3000);
        assert_eq!((usr(&groups, "app"), group(&groups, "app").unwrap().tasks), (Some(20), 1));
        groups.update(&[thread(130), process(930)], 4000);
        assert_eq!(usr(&groups, "app"), Some(50));
        // It is removed: its thread stands for itself again, but for what both may have done meanwhile.
        groups.update(&[thread(140)], 5000);
        assert_eq!((usr(&groups, "app"), group(&groups, "app").unwrap().tasks), (Some(50), 1));
        groups.update(&[thread(150)], 6000);
        assert_eq!(usr(&groups, "app"), Some(60));
    }

    #[test]
    fn series_of_each_task_tell_threads_from_processes() {
        let mut groups = Groups::new(true);
        let tasks =
            |usr| [thread(2, 2, 'S', usr, "app", 1), Task { tgid: Some(1), ..task(1, 1, 'S', 2 * usr, "app") }];
        groups.update(&tasks(10), 1000);
        groups.update(&tasks(15), 2000);
        let found: Vec<_> =
            groups.iter().map(|(key, group)| (key.pid, key.process, group.counters.usr, group.tasks)).collect();
        assert_eq!(found, [(Some(1), None, 10, 1), (Some(2), Some(1), 5, 1)]);
    }

    #[test]
    fn who_has_not_seen_a_group_sees_zeros_first() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "old")], 1000);
        let first = groups.updates();
        groups.update(&[task(1, 1, 'S', 130, "old"), task(2, 1500, 'X', 3, "job")], 2000);
        let second = groups.updates();
        let usr_after = |groups: &Groups, name: &str, seen| group(groups, name).unwrap().counters_after(seen).usr;
        assert_eq!((usr_after(&groups, "old", first), usr_after(&groups, "job", first)), (30, 0));
        assert_eq!(usr_after(&groups, "job", second), 3);
        // A name that comes back after its group has ended begins with zeros once more.
        groups.update(&[], 2000 + LINGER);
        groups.update(&[task(3, 3000 + LINGER, 'S', 5, "job")], 4000 + LINGER);
        assert_eq!((usr_after(&groups, "job", second), usr_after(&groups, "job", groups.updates())), (0, 5));
    }

    #[test]
    fn a_new_task_counts_in_full_and_an_old_one_from_here_on() {
        let mut groups = Groups::new(false);
        groups.update(&[], 1000);
        groups.update(&[task(1, 1000, 'S', 100, "new"), task(2, 999, 'S', 5_000_000, "old")], 2000);
        let new = group(&groups, "new").unwrap().counters;
        assert_eq!((new.usr, new.sys, new.taken, new.evicted, new.missed), (100, 7, 16, 3, 1));
        // The history of the old task is new, too.
        let old = group(&groups, "old").unwrap().counters;
        assert_eq!((old.usr, old.sys, old.taken, old.reclaimed), (0, 0, 500_006, 2));
        groups.update(&[task(1, 1000, 'S', 101, "new"), task(2, 999, 'S', 5_000_010, "old")], 3000);
        assert_eq!((usr(&groups, "new"), usr(&groups, "old")), (Some(101), Some(10)));
    }

    #[test]
    fn the_last_increase_counts_and_then_the_series_ends() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "a")], 1000);
        groups.update(&[task(1, 1, 'X', 130, "a")], 2000);
        let a = group(&groups, "a").unwrap();
        assert_eq!((a.counters.usr, a.tasks, a.threads, a.rss), (30, 0, 0, 0));
        // However long the task that has exited is listed.
        groups.update(&[task(1, 1, 'X', 130, "a")], 2000 + LINGER - 1);
        assert_eq!(usr(&groups, "a"), Some(30));
        // Its samples are given back then; faults are told of late.
        let mut later = task(1, 1, 'X', 130, "a");
        later.reclaimed += 1;
        groups.sample(sample(1, 1, 'X', 130, 1));
        groups.update(&[later.clone()], 2000 + LINGER);
        assert_eq!(group(&groups, "a"), None);
        later.reclaimed += 1;
        groups.update(&[later], 2000 + LINGER + 1);
        assert_eq!(group(&groups, "a"), None, "what has ended does not come back");
    }

    #[test]
    fn a_group_that_lingers_goes_on() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "a")], 1000);
        groups.update(&[task(1, 1, 'X', 130, "a")], 2000);
        groups.update(&[task(2, 2500, 'S', 10, "a")], 3000);
        assert_eq!((usr(&groups, "a"), group(&groups, "a").unwrap().tasks), (Some(40), 1));
    }

    #[test]
    fn a_short_life_between_two_looks() {
        let mut groups = Groups::new(false);
        groups.update(&[], 1000);
        groups.sample(sample(1, 1500, 'X', 100, 55));
        groups.update(&[task(1, 1500, 'X', 100, "short")], 2000);
        let short = group(&groups, "short").unwrap();
        assert_eq!((short.counters.usr, short.counters.minflt, short.tasks), (100, 55, 0));
    }

    #[test]
    fn who_had_ended_before_this_began_has_no_group() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'X', 100, "a")], 1000);
        groups.update(&[task(1, 1, 'X', 100, "a")], 2000);
        assert_eq!(groups.iter().count(), 0);
    }

    #[test]
    fn a_task_that_is_removed_takes_nothing_back() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "a"), task(2, 1, 'S', 100, "a")], 1000);
        groups.update(&[task(1, 1, 'S', 150, "a"), task(2, 1, 'S', 100, "a")], 2000);
        groups.update(&[task(2, 1, 'S', 100, "a")], 3000);
        assert_eq!((usr(&groups, "a"), group(&groups, "a").unwrap().tasks), (Some(50), 1));
        // If it was not too late to read a last sample, that counts.
        groups.sample(sample(2, 1, 'X', 120, 10));
        groups.update(&[], 4000);
        assert_eq!((usr(&groups, "a"), group(&groups, "a").unwrap().tasks), (Some(70), 0));
        assert!(groups.tracks.is_empty() && groups.newest.is_empty());
    }

    #[test]
    fn a_task_that_is_removed_and_added_again() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 1000, "a")], 1000);
        // Without a look in between: the same task has fewer samples than before.
        let mut again = task(1, 1, 'S', 1010, "a");
        (again.taken, again.missed, again.evicted, again.reclaimed) = (5, 0, 4, 0);
        groups.update(&[again.clone()], 2000);
        let a = group(&groups, "a").unwrap().counters;
        assert_eq!((a.usr, a.taken, a.missed, a.evicted, a.reclaimed), (10, 5, 0, 4, 0));
        // With one.
        groups.update(&[], 3000);
        groups.update(&[again], 4000);
        let a = group(&groups, "a").unwrap().counters;
        assert_eq!((a.usr, a.taken, a.evicted), (10, 10, 8));
    }

    #[test]
    fn an_exec_changes_the_group_without_a_leap() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 1_000_000, "sh"), task(2, 1, 'S', 5, "sh")], 1000);
        groups.update(&[task(1, 1, 'S', 1_000_100, "make"), task(2, 1, 'S', 6, "sh")], 2000);
        assert_eq!((usr(&groups, "sh"), usr(&groups, "make")), (Some(1), Some(100)));
        assert_eq!(group(&groups, "sh").unwrap().tasks, 1);
        groups.update(&[task(1, 1, 'S', 1_000_200, "sh"), task(2, 1, 'S', 6, "sh")], 3000);
        assert_eq!((usr(&groups, "sh"), usr(&groups, "make")), (Some(101), Some(100)));
        assert_eq!(group(&groups, "make").unwrap().tasks, 0);
    }

    #[test]
    fn counters_never_go_back() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 100, "a")], 1000);
        groups.update(&[task(1, 1, 'S', 200, "a")], 2000);
        groups.update(&[task(1, 1, 'S', 50, "a")], 3000);
        assert_eq!(usr(&groups, "a"), Some(100));
        groups.update(&[task(1, 1, 'S', 210, "a")], 4000);
        assert_eq!(usr(&groups, "a"), Some(110));
        // A sample that is older than what is known of the task.
        groups.sample(sample(1, 1, 'S', 205, 0));
        groups.update(&[], 5000);
        assert_eq!(usr(&groups, "a"), Some(110));
    }

    #[test]
    fn no_counter_overflows() {
        let mut groups = Groups::new(false);
        groups.update(&[], 0);
        groups.update(&[task(1, 1, 'S', u64::MAX, "a"), task(2, 1, 'S', u64::MAX, "a")], 1000);
        let a = group(&groups, "a").unwrap().counters;
        assert_eq!((a.usr, a.sys), (u64::MAX, 14));
        groups.update(&[], u64::MAX);
        assert_eq!(groups.iter().count(), 0);
    }

    #[test]
    fn faults_are_known_from_the_first_sample_on() {
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 'S', 0, "a")], 1000);
        groups.update(&[task(1, 1, 'S', 0, "a")], 2000);
        let faults = |groups: &Groups| group(groups, "a").unwrap().counters.minflt;
        for (minflt, total) in [(1_000_000, 0), (1_000_003, 3), (1_000_001, 3), (1_000_004, 4)] {
            groups.sample(sample(1, 1, 'S', 0, minflt));
            groups.update(&[task(1, 1, 'S', 0, "a")], 3000);
            assert_eq!(faults(&groups), total);
        }
        // Of several samples the last is what counts.
        groups.sample(sample(1, 1, 'S', 0, 1_000_005));
        groups.sample(sample(1, 1, 'S', 0, 1_000_014));
        // One of a task that is not listed, as it came and went in between, is nobody's.
        groups.sample(sample(9, 3500, 'X', 0, 77));
        groups.update(&[task(1, 1, 'S', 0, "a")], 4000);
        assert_eq!((faults(&groups), groups.iter().count(), groups.newest.len()), (14, 1, 0));
    }

    #[test]
    fn two_histories_of_one_pid_share_their_series() {
        let mut groups = Groups::new(true);
        groups.update(&[task(7, 1, 'S', 100, "a"), task(8, 1, 'S', 100, "a")], 1000);
        groups.update(&[task(7, 1, 'X', 130, "a"), task(8, 1, 'S', 100, "a"), task(7, 1500, 'S', 20, "a")], 2000);
        let found: Vec<(Option<u32>, u64, u64)> =
            groups.iter().map(|(key, group)| (key.pid, group.counters.usr, group.tasks)).collect();
        assert_eq!(found, [(Some(7), 50, 1), (Some(8), 0, 1)]);
    }

    #[test]
    fn thousands_of_tasks_come_and_go() {
        let mut groups = Groups::new(false);
        let (mut before, mut expected) = (0, 0_u64);
        groups.update(&[], 1);
        // Each lives for four looks, and adds 10 at each; at each look a thousand begin.
        for round in 0..50_u64 {
            let now = (round + 2) * 1_000_000;
            let mut tasks = Vec::new();
            for (age, born) in (round.saturating_sub(3)..=round).rev().enumerate() {
                let age = age as u64;
                for i in 0..1000 {
                    let state = if age == 3 { 'X' } else { 'S' };
                    let pid = (i * 4 + born % 4 + 1) as u32;
                    tasks.push(task(pid, (born + 1) * 1_000_000 + i, state, 10 * (age + 1), &format!("n{}", i % 10)));
                    expected += 10;
                }
            }
            groups.update(&tasks, now);
            let total: u64 = groups.iter().map(|(_, group)| group.counters.usr).sum();
            assert_eq!(total, expected, "in round {round}");
            assert!(total >= before);
            before = total;
            assert_eq!((groups.iter().count(), groups.tracks.len()), (10, tasks.len()));
        }
    }
}
