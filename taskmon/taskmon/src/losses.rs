// SPDX-License-Identifier: GPL-2.0-only

//! Why samples are missing: what is not between those that were read, against the module's own counts. Nothing here reads or writes
//! anything.
//!
//! The module's counts of a task belong to one instant: taken + missed are the instants until then. Between two looks at them,
//! as many instants were missed as `missed` has grown by; once all samples up to the later look have been read, all
//! else that is missing was there and went before it was read. When it went is not known, only that it did before the look
//! that came after the reading: what `evicted` and `reclaimed` have grown by until then says which of the two it was, unless both
//! have.

use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::Task;
use taskmonitor_recording::Lost;
use taskmonitor_recording::Reason;

/// The module's counts of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    instants: u64,
    missed: u64,
    evicted: u64,
    reclaimed: u64,
    // Of the newest sample.
    time: u64,
    // In memory.
    held: u64,
}

impl Mark {
    /// Whether these have gone back from `earlier` ones: they are of another history of the task.
    pub fn went_back_from(&self, earlier: &Self) -> bool {
        self.instants < earlier.instants
    }

    /// Whether nothing is left to be read.
    pub fn holds_none(&self) -> bool {
        self.held == 0
    }

    /// Those in `task`.
    pub fn of(task: &Task) -> Self {
        let &Task { samples: held, taken, missed, evicted, reclaimed, time, .. } = task;
        Self { instants: taken.saturating_add(missed), missed, evicted, reclaimed, time, held }
    }

    /// How many samples had gone.
    fn gone(&self) -> u64 {
        self.evicted.saturating_add(self.reclaimed)
    }
}

/// Missing samples.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    count: u64,
    // The sample behind them.
    before: u64,
}

impl Gap {
    fn add(&mut self, count: u64, before: u64) {
        if count > 0 {
            self.count = self.count.saturating_add(count);
            self.before = before;
        }
    }
}

/// Where the recording of a task begins.
#[derive(Clone, Copy, Debug)]
enum Begin {
    /// With the oldest sample that there is; these were the counts just before that was read.
    Oldest(Mark),
    /// That is behind us.
    Done,
}

/// What is known of the gaps in one task's samples.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    begin: Begin,
    next: u64,
    // The last sample that was taken, and when that was.
    last: Option<u64>,
    time: Option<u64>,
    // All instants before it are accounted for.
    base: Mark,
    // Missing from `base` to `pending`, or, without that, to `next`.
    open: Gap,
    // A later look, up to which not all has been read.
    pending: Option<Mark>,
    // Missing behind it.
    later: Gap,
}

impl Account {
    /// Of a task all of whose samples are to be read.
    pub fn whole() -> Self {
        Self {
            begin: Begin::Done,
            next: 0,
            last: None,
            time: None,
            base: Mark::default(),
            open: Gap::default(),
            pending: None,
            later: Gap::default(),
        }
    }

    /// Of one that is read from its oldest sample on. What went before does not count.
    pub fn oldest(mark: Mark) -> Self {
        Self { begin: Begin::Oldest(mark), ..Self::whole() }
    }

    /// Of one that is read from now on.
    pub fn new(mark: Mark) -> Self {
        Self { next: mark.instants, base: mark, ..Self::whole() }
    }

    /// Takes the next sample, which [is not anew](Self::is_anew). Says whether some are missing before it.
    pub fn sample(&mut self, sample: &Sample) -> bool {
        let seq = sample.seq;
        if let Begin::Oldest(mark) = std::mem::replace(&mut self.begin, Begin::Done) {
            self.begin_with(mark, seq);
        }
        let from = self.next.max(self.base.instants);
        let until = self.pending.map_or(seq, |mark| mark.instants.clamp(from.min(seq), seq));
        self.open.add(until.saturating_sub(from), seq);
        self.later.add(seq.saturating_sub(until.max(from)), seq);
        self.next = self.next.max(seq.saturating_add(1));
        (self.last, self.time) = (Some(seq), Some(sample.time));
        from < seq
    }

    /// Whether the sample `seq` is not of the history that was read so far: the task was removed and added again.
    pub fn is_anew(&self, seq: u64) -> bool {
        self.last.is_some_and(|last| seq <= last)
    }

    /// The task was removed, when the module's counts had been `mark`, and added again: all of its samples are to be read.
    pub fn begin_anew(&mut self, id: Id, mark: Option<Mark>, lost: &mut Vec<Lost>) {
        self.finish_without_the_rest(id, mark, lost);
        *self = Self::whole();
    }

    /// The sample `seq` is the oldest that there was when the counts were `mark`.
    fn begin_with(&mut self, mark: Mark, seq: u64) {
        self.base = if mark.missed == 0 {
            // Just those that had gone are before the first that was there.
            Mark { instants: mark.gone().min(seq), ..mark }
        } else if seq >= mark.instants {
            mark
        } else {
            // Before it, whatever had not gone was missed.
            Mark { instants: seq, missed: seq.saturating_sub(mark.gone()).min(mark.missed), ..mark }
        };
        self.next = self.base.instants;
    }

    /// Takes what the module counts now, after all that has been read.
    pub fn look(&mut self, id: Id, mark: Mark, lost: &mut Vec<Lost>) {
        if matches!(self.begin, Begin::Oldest(_)) {
            return;
        }
        let mark = self.without_the_rest(mark);
        if let Some(pending) = self.pending.filter(|pending| self.next >= pending.instants) {
            self.settle(id, pending, mark, lost);
        }
        if self.next >= mark.instants {
            self.settle(id, mark, mark, lost);
        } else if self.pending.is_none() {
            self.pending = Some(mark);
        }
    }

    /// If the newest sample has been read, all instants behind it were missed, and are left for another time.
    fn without_the_rest(&self, mark: Mark) -> Mark {
        if self.time != Some(mark.time) {
            return mark;
        }
        let behind = mark.instants.saturating_sub(self.next);
        Mark { instants: mark.instants - behind, missed: mark.missed.saturating_sub(behind), ..mark }
    }

    /// Whether all samples have been read that there were when the counts were `mark`.
    pub fn has_read(&self, mark: Mark) -> bool {
        mark.held == 0 || self.without_the_rest(mark).instants <= self.next
    }

    /// Nothing more comes, and what of the samples up to `mark` has not been read is no more.
    pub fn finish_without_the_rest(&mut self, id: Id, mark: Option<Mark>, lost: &mut Vec<Lost>) {
        // (What came behind the last look is counted nowhere.)
        let Some(mark) = mark.filter(|mark| mark.instants >= self.next) else {
            self.finish(id, None, lost);
            return;
        };
        if let Begin::Oldest(first) = std::mem::replace(&mut self.begin, Begin::Done) {
            // (What was missed by then is taken for older than the samples that there were.)
            self.base = Mark { instants: first.gone().saturating_add(first.missed), ..first };
            self.next = self.base.instants;
        }
        let mark = self.without_the_rest(mark);
        let mut gap = self.open;
        gap.add(self.later.count, self.later.before);
        let rest = mark.instants.saturating_sub(self.next.max(self.base.instants));
        gap.add(rest, mark.instants);
        let missed = mark.missed.saturating_sub(self.base.missed).min(gap.count);
        // The newest of the rest were still there then, whatever became of them.
        let gone = (gap.count - missed).saturating_sub(mark.held.min(rest));
        self.tell(id, gap, missed, gone, mark, lost);
        self.end();
    }

    /// Whether all that is missing is accounted for.
    pub fn settled(&self) -> bool {
        self.open.count == 0 && self.later.count == 0
    }

    /// All up to `until` has been read, and the counts are `now`.
    fn settle(&mut self, id: Id, until: Mark, now: Mark, lost: &mut Vec<Lost>) {
        let missed = until.missed.saturating_sub(self.base.missed).min(self.open.count);
        self.tell(id, self.open, missed, self.open.count - missed, now, lost);
        self.base = until;
        self.open = std::mem::take(&mut self.later);
        self.pending = None;
    }

    /// Of what is missing in `gap`, so much was `missed`, and so much has `gone` by `now`.
    fn tell(&self, id: Id, gap: Gap, missed: u64, gone: u64, now: Mark, lost: &mut Vec<Lost>) {
        let most_evicted = now.evicted.saturating_sub(self.base.evicted);
        let most_reclaimed = now.reclaimed.saturating_sub(self.base.reclaimed);
        let known = gone.min(most_evicted.saturating_add(most_reclaimed));
        let evicted = known.saturating_sub(most_reclaimed);
        let reclaimed = known.saturating_sub(most_evicted);
        let either = known.saturating_sub(evicted).saturating_sub(reclaimed);
        let unknown = gap.count.saturating_sub(missed).saturating_sub(known);
        let all = [
            (missed, Reason::Missed),
            (evicted, Reason::Evicted),
            (reclaimed, Reason::Reclaimed),
            (either, Reason::EvictedOrReclaimed),
            (unknown, Reason::Unknown),
        ];
        let all = all.into_iter().filter(|&(count, _)| count > 0);
        lost.extend(all.map(|(count, reason)| Lost { id, count, before: gap.before, reason }));
    }

    /// Nothing more comes. `mark` is what the module counted last, if it still knows the task.
    pub fn finish(&mut self, id: Id, mark: Option<Mark>, lost: &mut Vec<Lost>) {
        let mut gap = self.open;
        gap.add(self.later.count, self.later.before);
        match mark {
            Some(mark) => {
                let mark = self.without_the_rest(mark);
                // Of the instants behind the last sample, nobody knows how many were missed.
                let behind = mark.instants.saturating_sub(self.next);
                let most = mark.missed.saturating_sub(self.base.missed);
                let missed = most.saturating_sub(behind).min(gap.count);
                self.tell(id, gap, missed, gap.count.saturating_sub(most), mark, lost);
            }
            None => self.tell(id, gap, 0, 0, self.base, lost),
        }
        self.end();
    }

    fn end(&mut self) {
        (self.open, self.later, self.pending) = (Gap::default(), Gap::default(), None);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const ID: Id = Id { pid: 7, start: 9 };

    fn sum(lost: &[Lost], reason: Reason) -> u64 {
        lost.iter().filter(|lost| lost.reason == reason).map(|lost| lost.count).sum()
    }

    fn sample(seq: u64) -> Sample {
        let line = format!(
            "pid 7 usr 0 sys 0 time {} rss 0 minflt 0 majflt 0 mm_users 1 state S seq {seq} start 9",
            seq + 100
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn mark(instants: u64, missed: u64, evicted: u64, reclaimed: u64) -> Mark {
        Mark { instants, missed, evicted, reclaimed, time: 0, held: 1 }
    }

    #[test]
    fn one_reason() {
        let mut lost = Vec::new();
        let mut account = Account::whole();
        assert!(!account.sample(&sample(0)));
        assert!(account.sample(&sample(5)));
        account.look(ID, mark(6, 1, 3, 0), &mut lost);
        assert_eq!(
            lost,
            [
                Lost { id: ID, count: 1, before: 5, reason: Reason::Missed },
                Lost { id: ID, count: 3, before: 5, reason: Reason::Evicted },
            ]
        );
        lost.clear();
        // Later evictions of what has been read say nothing.
        account.sample(&sample(6));
        account.look(ID, mark(7, 1, 6, 0), &mut lost);
        account.sample(&sample(9));
        account.look(ID, mark(10, 1, 6, 2), &mut lost);
        assert_eq!(lost, [Lost { id: ID, count: 2, before: 9, reason: Reason::Reclaimed }]);
        lost.clear();
        account.sample(&sample(20));
        account.look(ID, mark(21, 1, 10, 8), &mut lost);
        assert_eq!((sum(&lost, Reason::Evicted), sum(&lost, Reason::Reclaimed)), (4, 6));
        lost.clear();
        account.sample(&sample(23));
        account.look(ID, mark(24, 1, 20, 18), &mut lost);
        assert_eq!(sum(&lost, Reason::EvictedOrReclaimed), 2);
    }

    #[test]
    fn what_was_before() {
        let first = |account: Account, seq| {
            let mut account = account;
            let mut lost = Vec::new();
            let gap = account.sample(&sample(seq));
            account.look(ID, mark(seq + 1, 10, 100, 0), &mut lost);
            (gap, lost.iter().map(|l| (l.count, l.reason)).collect::<Vec<_>>())
        };
        assert_eq!(first(Account::oldest(mark(200, 10, 50, 0)), 60), (false, vec![]));
        assert_eq!(first(Account::oldest(mark(200, 0, 50, 0)), 55), (true, vec![(5, Reason::Missed)]));
        assert_eq!(first(Account::oldest(mark(200, 10, 50, 0)), 203), (true, vec![(3, Reason::Evicted)]));
        assert_eq!(first(Account::new(mark(200, 10, 50, 0)), 202), (true, vec![(2, Reason::Evicted)]));
        // It was taken between the skipping and the look.
        assert_eq!(first(Account::new(mark(200, 10, 50, 0)), 198), (false, vec![]));
    }

    #[test]
    fn at_the_end() {
        let finished = |now| {
            let mut account = Account::whole();
            let mut lost = Vec::new();
            account.sample(&sample(4));
            account.finish(ID, now, &mut lost);
            assert!(account.settled());
            lost.iter().map(|l| (l.count, l.reason)).collect::<Vec<_>>()
        };
        assert_eq!(finished(None), [(4, Reason::Unknown)]);
        assert_eq!(finished(Some(mark(5, 4, 9, 9))), [(4, Reason::Missed)]);
        // None of the instants behind it has a sample.
        let newest = Mark { time: 104, ..mark(7, 3, 9, 0) };
        assert_eq!(finished(Some(newest)), [(1, Reason::Missed), (3, Reason::Evicted)]);
        assert_eq!(finished(Some(mark(5, 1, 9, 0))), [(1, Reason::Missed), (3, Reason::Evicted)]);
        // One or two of three behind it were missed.
        assert_eq!(
            finished(Some(mark(7, 3, 9, 0))),
            [(1, Reason::Missed), (1, Reason::Evicted), (2, Reason::Unknown)]
        );
    }

    #[test]
    fn begun_again() {
        let mut lost = Vec::new();
        let mut account = Account::whole();
        account.sample(&sample(4));
        assert!(account.is_anew(1) && account.is_anew(4) && !account.is_anew(5));
        account.begin_anew(ID, None, &mut lost);
        assert!(!account.is_anew(1));
        account.sample(&sample(1));
        assert_eq!(lost, [Lost { id: ID, count: 4, before: 4, reason: Reason::Unknown }]);
        account.look(ID, mark(2, 1, 0, 0), &mut lost);
        assert_eq!(lost[1], Lost { id: ID, count: 1, before: 1, reason: Reason::Missed });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A module that loses samples at any time, a reader that lags behind, and looks in between.
        #[test]
        fn nothing_is_lost_uncounted(steps in prop::collection::vec(0..9_u8, 0..300), begun in prop_oneof![Just(0), 0..50_usize], behind in 0..5_u64, gone: bool) {
            let mut kept: VecDeque<u64> = VecDeque::new();
            let mut now = Mark::default();
            let mut read = 0_u64;
            // What went before it was read.
            let (mut missed, mut evicted, mut reclaimed) = (0, 0, 0);
            let mut account = Account::whole();
            let mut lost = Vec::new();
            // Whether it is known what was missed before the oldest sample.
            let mut whole = true;
            for (i, step) in steps.into_iter().enumerate() {
                if i == begun {
                    // Only now does somebody come to read.
                    account = Account::oldest(now);
                    whole = now.missed == 0;
                    (missed, evicted, reclaimed) = (0, 0, 0);
                    // What was missed before the oldest sample is of no interest.
                    let oldest = kept.front().copied().unwrap_or(now.instants);
                    missed += (oldest..now.instants).filter(|seq| !kept.contains(seq)).count() as u64;
                    read = oldest;
                }
                match step {
                    0..=2 => {
                        kept.push_back(now.instants);
                        now.time = now.instants + 100;
                        now.instants += 1;
                    }
                    3 => {
                        now.instants += 1;
                        now.missed += 1;
                        missed += 1;
                    }
                    4 | 5 => {
                        if let Some(seq) = kept.pop_front() {
                            let unread = u64::from(seq >= read);
                            if step == 4 {
                                now.evicted += 1;
                                evicted += unread;
                            } else {
                                now.reclaimed += 1;
                                reclaimed += unread;
                            }
                        }
                    }
                    6 | 7 if i >= begun => {
                        if let Some(&seq) = kept.iter().find(|&&seq| seq >= read) {
                            account.sample(&sample(seq));
                            read = seq + 1;
                        }
                    }
                    8 if i >= begun => account.look(ID, now, &mut lost),
                    _ => {}
                }
            }
            prop_assume!(read > 0);
            // In the end there is one more, ...
            kept.push_back(now.instants);
            now.time = now.instants + 100;
            now.instants += 1;
            now.instants += behind;
            now.missed += behind;
            if gone {
                // ... and all goes before it is read. (Nobody knows of those behind whether they were taken, but how many were.)
                evicted += kept.iter().filter(|&&seq| seq >= read).count() as u64;
                now.evicted += kept.len() as u64;
                missed += behind;
                now.held = 0;
                account.finish_without_the_rest(ID, Some(now), &mut lost);
            } else {
                // ... and all is read. What is missed behind it does not hide why others are missing.
                for &seq in kept.iter().filter(|&&seq| seq >= read) {
                    account.sample(&sample(seq));
                }
                account.look(ID, now, &mut lost);
            }
            prop_assert!(account.settled());
            let total: u64 = lost.iter().map(|lost| lost.count).sum();
            if whole {
                prop_assert_eq!(total, missed + evicted + reclaimed);
                prop_assert_eq!(sum(&lost, Reason::Missed), missed);
            }
            prop_assert_eq!(sum(&lost, Reason::Unknown), 0);
            if whole {
                prop_assert!(sum(&lost, Reason::Evicted) <= evicted && sum(&lost, Reason::Reclaimed) <= reclaimed);
            }
        }
    }
}
