// SPDX-License-Identifier: GPL-2.0

//! A reader that follows what is recorded: all tasks, the oldest instant first, on and on.
//!
//! It goes in passes. A pass shows what was taken since the one before; when that is through, the
//! reader is told so (a read returns 0), and the next pass begins. Who polls goes on to the next pass
//! without being told. For each task it keeps a place in the history, so that a pass costs a look at
//! each task, and what is new.
//!
//! A follower has no more places than there were tasks when it last looked at them, and room for about four
//! times as many at most. Its memory is charged to the memory cgroup of the task that opens, reads or polls the file.

use core::mem::size_of;

use kernel::{
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

use crate::{
    heap::Heap,
    monitor::Monitor,
    reader::Name,
    sample::{
        Place,
        Sample, //
    },
    set::Monitored,
};

/// How far it is with a task.
struct Spot {
    number: u64,
    name: Name,
    /// Where the next sample is, or will be; `None` if the last one was shown, or none was seen yet.
    place: Option<Place>,
    /// The last sample was shown: there will be no other.
    done: bool,
    /// The last look at all tasks that found this one: the others are monitored no more.
    look: u64,
}

impl Spot {
    /// A spot for a task that is new.
    fn new(number: u64, task: &Monitored) -> Self {
        Self {
            number,
            name: Name::of(task),
            place: None,
            done: false,
            look: 0,
        }
    }

    /// Goes to the next sample that `task` has for it, if there is one.
    fn go_on(&mut self, task: &Monitored) {
        match &mut self.place {
            _ if self.done => (),
            Some(place) => {
                if !task.history.go_on(place) && !task.is_living() {
                    self.place = None;
                    self.done = true;
                }
            }
            None => self.place = task.history.oldest(),
        }
    }

    fn sample(&mut self) -> Option<&Sample> {
        self.place.as_mut()?.sample()
    }
}

/// A follower.
pub(crate) struct Follower {
    monitor: Arc<Monitor>,
    /// A spot for each task, by number.
    spots: KVVec<Spot>,
    /// Those spots that this pass has something of to show, as indices, by the time of the sample.
    due: Heap<usize>,
    /// This pass shows what was taken until then.
    until: u64,
    /// The reader is still to be told that the pass is through.
    owed: bool,
    /// How far it had read when it was told so.
    told: Option<u64>,
    /// How often it looked at all tasks.
    looks: u64,
    /// The bytes for the places, as the monitor counts them.
    bytes: usize,
}

impl Follower {
    /// Makes a follower that begins with the oldest sample that there is.
    ///
    /// # Errors
    ///
    /// - `ENFILE`: there are as many followers as there may be.
    pub(crate) fn new(monitor: Arc<Monitor>) -> Result<Self> {
        monitor.follow()?;
        Ok(Self {
            monitor,
            spots: KVVec::new(),
            due: Heap::new(),
            until: 0,
            owed: false,
            told: None,
            looks: 0,
            bytes: 0,
        })
    }

    /// Goes back to the oldest sample that there is.
    pub(crate) fn rewind(&mut self) {
        self.spots.clear();
        self.due.clear();
        self.until = 0;
        self.owed = false;
        self.told = None;
    }

    /// Tells the monitor how many bytes the places take.
    fn count_bytes(&mut self) {
        let spots = self.spots.capacity().saturating_mul(size_of::<Spot>());
        let bytes = spots.saturating_add(self.due.bytes());
        self.monitor.resize_follower(self.bytes, bytes);
        self.bytes = bytes;
    }

    /// Takes up where the reader is, which has read `read` bytes. False if there is nothing to be read
    /// now, or if the reader is to be told that a pass is through.
    ///
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn resume(&mut self, read: u64) -> Result<bool> {
        if self.due.first().is_some() {
            return Ok(true);
        }
        // A read that brings the rest of a former line does not return 0, though seq_file has asked
        // here, too: then it has read more when it asks again.
        if self.owed || self.told.is_some_and(|told| told != read) {
            self.owed = false;
            self.told = Some(read);
            return Ok(false);
        }
        self.begin_pass()
    }

    /// Goes behind all that was taken until now.
    ///
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn skip(&mut self) -> Result {
        self.until = self.look(|spot, task| {
            spot.place = task.history.end();
            spot.done = spot.place.is_none();
        })?;
        self.due.clear();
        self.owed = false;
        self.told = None;
        Ok(())
    }

    /// Whether there is anything to be read. If a pass is through, the next one begins.
    pub(crate) fn is_ready(&mut self) -> bool {
        // (A read will tell of the error.)
        self.due.first().is_some() || self.begin_pass().unwrap_or(true)
    }

    /// Looks for what was taken since the last pass. False if that is nothing.
    fn begin_pass(&mut self) -> Result<bool> {
        if self.monitor.set().last_time() == self.until {
            return Ok(false);
        }
        let until = self.look(Spot::go_on)?;
        let room = self.due.make_room(self.spots.len());
        self.count_bytes();
        room?;
        self.until = until;
        for (i, spot) in self.spots.iter_mut().enumerate() {
            if let Some(sample) = spot.sample() {
                if sample.time <= until {
                    self.due.push(sample.time, i)?;
                }
                // (Part of a block was unpacked for that.)
                might_sleep();
            }
        }
        let there = self.due.first().is_some();
        if there {
            self.owed = true;
            self.told = None;
        }
        Ok(there)
    }

    /// Calls `f` with each task that is there at the beginning, and the spot for it. Drops the spots of tasks
    /// that are monitored no more. Returns the time of the last sample that was there at the beginning.
    ///
    /// After success, what [`Self::due`] says is void. After an error, nothing has changed.
    fn look(&mut self, f: impl Fn(&mut Spot, &Monitored)) -> Result<u64> {
        let set = self.monitor.set();
        let (until, tasks, last) = (set.last_time(), set.len(), set.last_number());
        drop(set);
        // Only these tasks get a spot, after the spots of tasks that are gone are dropped. So this is enough.
        let room = tasks.saturating_sub(self.spots.len());
        let reserved = self.spots.reserve(room, GFP_KERNEL_ACCOUNT);
        self.count_bytes();
        reserved?;
        self.looks = self.looks.wrapping_add(1);
        let look = self.looks;

        // Numbers count up: those of new tasks are higher than those of tasks that have a spot, and those of tasks
        // that are added meanwhile are higher than `last`.
        let known = self.spots.last().map(|spot| spot.number);
        self.look_at_known(known, look, &f);
        if self.spots.iter().any(|spot| spot.look != look) {
            self.spots.retain(|spot| spot.look == look);
        }
        let first = known.map_or(0, |known| known.saturating_add(1));
        self.look_at_new(first, last, look, &f);
        if self.spots.capacity() / 4 > self.spots.len() {
            // Many tasks are gone. If their room cannot be given back now, it will be tried again.
            let _ = self.spots.shrink_to(0, GFP_KERNEL_ACCOUNT);
            self.count_bytes();
        }
        Ok(until)
    }

    /// Calls `f` with the tasks up to number `last` that have a spot, and marks these spots with `look`.
    fn look_at_known(&mut self, last: Option<u64>, look: u64, f: impl Fn(&mut Spot, &Monitored)) {
        let spots = &mut self.spots;
        let (mut at, mut next) = (0, Some(0));
        while let Some(from) = next.filter(|from| Some(*from) <= last) {
            next = self.monitor.set().visit(from, |number, task| {
                if spots.get(at).is_some_and(|spot| spot.number < number) {
                    // Some in between are gone, maybe very many.
                    at = spots.partition_point(|spot| spot.number < number);
                }
                if let Some(spot) = spots.get_mut(at).filter(|spot| spot.number == number) {
                    spot.look = look;
                    f(spot, task);
                    at += 1;
                }
                Some(number) < last
            });
        }
    }

    /// Gives a spot to the tasks from number `first` to `last`, and calls `f` with them. There must be room.
    fn look_at_new(
        &mut self,
        first: u64,
        last: Option<u64>,
        look: u64,
        f: impl Fn(&mut Spot, &Monitored),
    ) {
        let spots = &mut self.spots;
        let mut next = Some(first);
        while let Some(from) = next.filter(|from| Some(*from) <= last) {
            next = self.monitor.set().visit(from, |number, task| {
                if Some(number) <= last {
                    let mut spot = Spot::new(number, task);
                    spot.look = look;
                    f(&mut spot, task);
                    // Cannot fail: there is room.
                    let _ = spots.push_within_capacity(spot);
                }
                Some(number) < last
            });
        }
    }

    /// Goes on to the next sample; false if the pass is through.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(spot) = self.current_mut() else {
            return false;
        };
        if let Some(place) = &mut spot.place {
            place.advance();
        }
        let mut next = spot.sample().map(|sample| sample.time);
        if next.is_none() {
            self.leave_block();
            let spot = self.current_mut();
            next = spot.and_then(|spot| Some(spot.sample()?.time));
        }
        match next {
            Some(time) if time <= self.until => self.due.rekey(time),
            _ => drop(self.due.pop()),
        }
        self.due.first().is_some()
    }

    /// Goes on behind the last sample of a block.
    fn leave_block(&mut self) {
        let monitor = self.monitor.clone();
        let Some(spot) = self.current_mut() else {
            return;
        };
        let set = monitor.set();
        let Some((task, place)) = set.get(spot.number).zip(spot.place.as_ref()) else {
            return;
        };
        if place.is_taken() {
            // Appended since. It is for the next pass.
            return;
        }
        let behind = task.history.behind(place);
        let done = behind.is_none() && !task.is_living();
        drop(set);
        if behind.is_some() || done {
            // (The former block is let go here, under no lock.)
            spot.place = behind;
            spot.done = done;
        }
    }

    fn current_mut(&mut self) -> Option<&mut Spot> {
        let index = self.due.first()?.1;
        self.spots.get_mut(index)
    }

    /// The sample it is at, and whose it is.
    pub(crate) fn current(&mut self) -> Option<(&Sample, &Name)> {
        let index = self.due.first()?.1;
        let Spot { place, name, .. } = self.spots.get_mut(index)?;
        Some((place.as_mut()?.sample()?, name))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.monitor.resize_follower(self.bytes, 0);
        self.monitor.unfollow();
    }
}

#[kunit_tests(taskmonitor_follow)]
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

    const A: i32 = KTHREADD;
    const B: i32 = INIT;

    /// A monitor of two tasks that were sampled once.
    fn two_tasks() -> Result<Arc<Monitor>> {
        let monitor = monitor()?;
        monitor.command(Command::Add(A))?;
        monitor.command(Command::Add(B))?;
        Ok(monitor)
    }

    fn sample(monitor: &Monitor, first: u64, last: u64) {
        for instant in first..=last {
            monitor.sample_batch(0, instant);
        }
    }

    /// Whether a pass shows these samples, by PID and number of the instant, and no others.
    fn shows(follower: &mut Follower, expected: impl IntoIterator<Item = (i32, u64)>) -> bool {
        let mut more = follower.current().is_some();
        for (nr, seq) in expected {
            let here = follower.current();
            let here = here.map(|(sample, name)| (name.seen().0, sample.seq));
            if here != Some((nr, seq)) || !more {
                return false;
            }
            more = follower.advance();
        }
        !more && follower.current().is_none()
    }

    #[test]
    fn without_tasks_there_is_nothing() -> Result {
        let mut follower = Follower::new(monitor()?)?;
        assert_eq!(follower.resume(1), Ok(false));
        assert_eq!(follower.resume(1), Ok(false));
        assert!(!follower.is_ready());
        assert!(!follower.advance());
        assert!(shows(&mut follower, []));
        Ok(())
    }

    #[test]
    fn instants_are_merged_and_a_pass_ends() -> Result {
        let monitor = two_tasks()?;
        sample(&monitor, 1, 2);
        let mut follower = Follower::new(monitor.clone())?;
        assert_eq!(follower.resume(1), Ok(true));
        // It takes up where it is.
        assert_eq!(follower.resume(1), Ok(true));
        assert!(shows(
            &mut follower,
            [(A, 0), (B, 0), (A, 1), (B, 1), (A, 2), (B, 2)]
        ));
        // Told once that the pass is through; there is nothing else.
        assert_eq!(follower.resume(100), Ok(false));
        assert_eq!(follower.resume(100), Ok(false));
        Ok(())
    }

    #[test]
    fn a_pass_shows_what_there_was_when_it_began() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor.clone())?;
        assert_eq!(follower.resume(1), Ok(true));
        sample(&monitor, 1, 40);
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        // The next one shows the rest, but first the reader is told.
        assert_eq!(follower.resume(100), Ok(false));
        assert_eq!(follower.resume(100), Ok(true));
        let rest = (1..=40).flat_map(|seq| [(A, seq), (B, seq)]);
        assert!(shows(&mut follower, rest));
        Ok(())
    }

    #[test]
    fn whoever_polls_goes_on_without_being_told() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor.clone())?;
        assert!(follower.is_ready());
        assert_eq!(follower.resume(1), Ok(true));
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        assert!(!follower.is_ready());
        sample(&monitor, 1, 1);
        assert!(follower.is_ready());
        assert_eq!(follower.resume(100), Ok(true));
        assert!(shows(&mut follower, [(A, 1), (B, 1)]));
        Ok(())
    }

    #[test]
    fn a_task_that_comes_is_followed_from_its_beginning() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(A))?;
        let mut follower = Follower::new(monitor.clone())?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0)]));
        monitor.command(Command::Add(B))?;
        sample(&monitor, 1, 1);
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(B, 0), (A, 1), (B, 1)]));
        Ok(())
    }

    #[test]
    fn a_task_that_goes_is_dropped() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor.clone())?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        monitor.command(Command::Remove(A))?;
        sample(&monitor, 1, 1);
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(B, 1)]));
        assert_eq!(follower.spots.len(), 1);
        // When it comes back, it is another history.
        monitor.command(Command::Add(A))?;
        sample(&monitor, 2, 2);
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0), (B, 2), (A, 2)]));
        Ok(())
    }

    /// A new task takes the place of a task that was removed: the number of places does not grow.
    #[test]
    fn there_is_a_place_for_each_task_and_no_other() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor.clone())?;
        assert_eq!(follower.bytes, 0);
        for instant in 1..50 {
            assert!(follower.is_ready());
            while follower.advance() {}
            assert_eq!((follower.spots.len(), follower.spots.capacity()), (2, 2));
            let task = if instant % 2 == 0 { A } else { B };
            monitor.command(Command::Remove(task))?;
            monitor.command(Command::Add(task))?;
            sample(&monitor, instant, instant);
        }
        assert_eq!(follower.bytes, 2 * (size_of::<Spot>() + 16));
        assert_eq!(monitor.activity().follower_bytes, follower.bytes);
        follower.rewind();
        follower.skip()?;
        assert_eq!(monitor.activity().followers, 1);
        drop(follower);
        let activity = monitor.activity();
        assert_eq!((activity.followers, activity.follower_bytes), (0, 0));
        Ok(())
    }

    #[test]
    fn followers_are_up_to_128() -> Result {
        let monitor = monitor()?;
        let mut followers = KVec::new();
        for _ in 0..128 {
            followers.push(Follower::new(monitor.clone())?, GFP_KERNEL)?;
        }
        assert!(Follower::new(monitor.clone()).is_err_and(|error| error == ENFILE));
        assert_eq!(monitor.activity().followers, 128);
        drop(followers.pop());
        drop(Follower::new(monitor)?);
        Ok(())
    }

    #[test]
    fn print_does_not_matter() -> Result {
        let monitor = two_tasks()?;
        monitor.command(Command::Print(A))?;
        let mut follower = Follower::new(monitor)?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        Ok(())
    }

    #[test]
    fn what_is_reclaimed_is_a_gap() -> Result {
        let monitor = monitor()?;
        monitor.command(Command::Add(A))?;
        let mut follower = Follower::new(monitor.clone())?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0)]));
        let (last, ends) = fill(&monitor, 1, 4)?;
        // The block on which it stands, and the next one.
        assert_eq!(monitor.set().give_back(2, Cause::Reclaim).scanned, 2);
        assert!(follower.is_ready());
        assert!(shows(
            &mut follower,
            (ends[0][1]..=last).map(|seq| (A, seq))
        ));
        Ok(())
    }

    #[test]
    fn what_is_cleared_is_a_gap() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor.clone())?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        sample(&monitor, 1, 60);
        monitor.command(Command::Clear)?;
        assert!(!follower.is_ready());
        sample(&monitor, 61, 61);
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 61), (B, 61)]));
        Ok(())
    }

    #[test]
    fn skipping_goes_behind_what_is_there() -> Result {
        let monitor = two_tasks()?;
        sample(&monitor, 1, 40);
        let mut follower = Follower::new(monitor.clone())?;
        follower.skip()?;
        assert!(!follower.is_ready());
        assert_eq!(follower.resume(1), Ok(false));
        sample(&monitor, 41, 41);
        assert!(follower.is_ready());
        // In the midst of a pass, too.
        follower.skip()?;
        assert!(shows(&mut follower, []));
        sample(&monitor, 42, 42);
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 42), (B, 42)]));
        Ok(())
    }

    #[test]
    fn rewinding_begins_anew() -> Result {
        let monitor = two_tasks()?;
        let mut follower = Follower::new(monitor)?;
        assert!(follower.is_ready());
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        follower.rewind();
        assert_eq!(follower.resume(1), Ok(true));
        assert!(shows(&mut follower, [(A, 0), (B, 0)]));
        Ok(())
    }
}
