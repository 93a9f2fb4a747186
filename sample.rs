// SPDX-License-Identifier: GPL-2.0

//! Samples, and the history that a task has of them.
//!
//! A history is a queue of blocks, oldest first; the newest block is the one that is appended to. A
//! block is counted by reference: the history has one reference on it, each reader that stands on
//! it another. So a block may leave the history while a reader goes on with it, and samples, once
//! published, never change.

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

use crate::{
    text::Line,
    wrappers::{
        append, mempool,
        mempool::{
            Pool,
            Queue,
            Ref,
            UniqueRef, //
        },
        mm::Memory,
    },
};

/// One sample: what was seen of a task at one instant. The README tells what users may rely on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Number of the instant in this history.
    pub(crate) seq: u64,
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub(crate) time: u64,
    /// User time, in nanoseconds.
    pub(crate) usr: u64,
    /// System time, in nanoseconds.
    pub(crate) sys: u64,
    /// Resident memory, in pages.
    pub(crate) rss: u64,
    /// Page faults without I/O.
    pub(crate) minflt: u64,
    /// Page faults with I/O.
    pub(crate) majflt: u64,
    /// Users of the address space.
    pub(crate) mm_users: u32,
    /// Letter of the state.
    pub(crate) state: u8,
}

/// A sample as it is stored: 56 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    time: u64,
    usr: u64,
    sys: u64,
    minflt: u64,
    majflt: u64,
    /// Pages in the upper 56 bits, which count more memory than a 64-bit machine can address; the
    /// state's letter in the lower 8.
    rss_and_state: u64,
    /// Counted from the block's first sample.
    seq: u32,
    mm_users: u32,
}

/// What the samples of a block have in common.
#[derive(Default)]
pub(crate) struct Header {
    /// How many samples the history had taken before this block's first.
    number: u64,
    /// `seq` of the block's first sample.
    seq: u64,
}

/// Samples in a block: what makes it, with all that counts and links it, an object of almost 1 KiB.
const BLOCK_SAMPLES: usize = 17;

/// A block of samples.
pub(crate) type Block = append::Block<Header, Record, BLOCK_SAMPLES>;

/// What the allocator sees of a block.
pub(crate) type Object = mempool::Object<Block>;

/// Bytes of a sample and of a block, and samples that a block holds, for the kernel log.
pub(crate) const SIZES: (usize, usize, usize) = (
    core::mem::size_of::<Record>(),
    core::mem::size_of::<Object>(),
    Block::CAPACITY,
);

const _: () = assert!(SIZES.0 <= 56 && SIZES.1 <= 1024);

impl Record {
    /// `None` if `sample` lies too far behind the beginning of its block.
    #[inline]
    fn new(sample: &Sample, header: &Header) -> Option<Self> {
        Some(Self {
            time: sample.time,
            usr: sample.usr,
            sys: sample.sys,
            minflt: sample.minflt,
            majflt: sample.majflt,
            rss_and_state: sample.rss << 8 | u64::from(sample.state),
            seq: u32::try_from(sample.seq.checked_sub(header.seq)?).ok()?,
            mm_users: sample.mm_users,
        })
    }

    fn sample(&self, header: &Header) -> Sample {
        Sample {
            seq: header.seq.saturating_add(u64::from(self.seq)),
            time: self.time,
            usr: self.usr,
            sys: self.sys,
            rss: self.rss_and_state >> 8,
            minflt: self.minflt,
            majflt: self.majflt,
            mm_users: self.mm_users,
            // CAST: The lower 8 bits.
            state: self.rss_and_state as u8,
        }
    }
}

impl Sample {
    /// Resident memory, in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        // CAST: A page has 4 KiB.
        self.rss.wrapping_mul(PAGE_SIZE as u64)
    }

    /// Writes the line of this sample, for a task that the reader knows as `pid` and that began at
    /// `start`.
    pub(crate) fn line(&self, pid: i32, start: u64, line: &mut Line) -> Result {
        line.text("pid ").signed(pid);
        line.text(" usr ").number(self.usr);
        line.text(" sys ").number(self.sys);
        line.text(" time ").number(self.time);
        line.text(" rss ").number(self.rss_bytes());
        line.text(" minflt ").number(self.minflt);
        line.text(" majflt ").number(self.majflt);
        line.text(" mm_users ").number(self.mm_users.into());
        line.text(" state ").letter(self.state);
        line.text(" seq ").number(self.seq);
        line.text(" start ").number(start);
        line.text("\n").check()
    }
}

/// Most blocks that a history takes out at once when it has become too long.
pub(crate) const TRIM: usize = 64;

/// The samples that are kept of a task.
pub(crate) struct History {
    /// The blocks that are not appended to any more, oldest first.
    full: Queue<Block>,
    /// What the oldest of them ends with; without any, more than any number.
    oldest_end: u64,
    /// The block that samples are appended to; none in a history that is finished.
    newest: Option<append::Appender<Header, Record, BLOCK_SAMPLES>>,
    /// A block whose samples are all evicted, kept to become the newest: with it, a full history
    /// allocates nothing.
    spare: Option<UniqueRef<Block>>,
    /// How many samples were ever recorded.
    taken: u64,
    /// How many of them, counted from the first, are kept no more; less than what the oldest block
    /// ends with.
    gone: u64,
    /// How many of those that are gone went to the shrinker.
    reclaimed: u64,
}

/// What became of the samples of one task. `taken` is the sum of the others.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// In memory now.
    pub(crate) samples: u64,
    /// Ever recorded.
    pub(crate) taken: u64,
    /// Gone to make room.
    pub(crate) evicted: u64,
    /// Gone to the shrinker.
    pub(crate) reclaimed: u64,
}

/// Why a history gives a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// To make room for other samples.
    Eviction,
    /// Because the system is short of memory.
    Reclaim,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            full: Queue::new(),
            oldest_end: u64::MAX,
            newest: None,
            spare: None,
            taken: 0,
            gone: 0,
            reclaimed: 0,
        }
    }

    /// Records `sample`, and evicts what is more than `max_samples`. Returns whether blocks came into the
    /// history, or left it. Fails with `ENOMEM` if there is no block for it.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline]
    pub(crate) fn push(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: &Sample,
        max_samples: u64,
    ) -> Result<bool> {
        match self.append(sample, max_samples) {
            Some(evicted) => Ok(evicted),
            None => self.begin_block(pool, *sample, max_samples).map(|()| true),
        }
    }

    /// Records `sample` in the newest block, and evicts what is more than `max_samples`. Returns whether
    /// blocks left the history by that; `None` if it does not fit, and nothing is done.
    #[inline]
    fn append(&mut self, sample: &Sample, max_samples: u64) -> Option<bool> {
        let header = self.newest.as_ref()?.block().header();
        let record = Record::new(sample, header)?;
        self.append_record(record, max_samples)
    }

    /// As [`Self::append`], with the newest sample once more, but for what may change while a task does not
    /// run.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline]
    pub(crate) fn append_again(
        &mut self,
        seq: u64,
        time: u64,
        memory: Memory,
        max_samples: u64,
    ) -> Option<bool> {
        let newest = self.newest.as_ref()?;
        let last = newest.last()?;
        let seq = seq.wrapping_sub(newest.block().header().seq);
        let record = Record {
            time,
            rss_and_state: memory.rss << 8 | last.rss_and_state & 0xff,
            seq: u32::try_from(seq).ok()?,
            mm_users: memory.mm_users,
            ..last
        };
        self.append_record(record, max_samples)
    }

    #[inline]
    fn append_record(&mut self, record: Record, max_samples: u64) -> Option<bool> {
        self.newest.as_mut()?.push(record).ok()?;
        // Does not wrap: nobody takes 2^64 samples.
        self.taken = self.taken.wrapping_add(1);
        let gone = self.gone.max(self.taken.saturating_sub(max_samples));
        let evict = gone >= self.oldest_end;
        if evict {
            self.trim(max_samples);
        } else {
            self.gone = gone;
        }
        Some(evict)
    }

    /// Records `sample` in a new block.
    #[inline(never)]
    fn begin_block(&mut self, pool: &Arc<Pool<Block>>, sample: Sample, max_samples: u64) -> Result {
        let block = self.take_block(pool).ok_or(ENOMEM)?;
        let header = Header {
            number: self.taken,
            seq: sample.seq,
        };
        if let Some(full) = self.newest.replace(append::Appender::new(block, header)) {
            self.push_full(full.finish());
        }
        // There is room.
        self.append(&sample, max_samples).map(drop).ok_or(ENOSPC)
    }

    /// Puts a block behind the full ones.
    fn push_full(&mut self, block: Ref<Block>) {
        self.oldest_end = self.oldest_end.min(end_of(&block));
        // Cannot fail: the block was in no queue while it was appended to.
        let _ = self.full.push_back(block);
    }

    /// Takes the oldest full block out.
    fn pop_full(&mut self) -> Option<Ref<Block>> {
        let oldest = self.full.pop_front();
        self.oldest_end = self.full.front().map_or(u64::MAX, |block| end_of(block));
        oldest
    }

    /// Evicts what is more than `max_samples`, but takes [`TRIM`] blocks out at most. Returns how many
    /// it took: if so many, there may be more to be done.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline(never)]
    pub(crate) fn trim(&mut self, max_samples: u64) -> usize {
        let gone = self.gone.max(self.taken.saturating_sub(max_samples));
        for taken in 0..TRIM {
            if self.oldest_end > gone {
                self.gone = gone;
                return taken;
            }
            self.gone = self.gone.max(self.oldest_end);
            let oldest = self.pop_full();
            if self.spare.is_none() && self.newest.is_some() {
                // One that a reader holds goes back to the pool when the reader leaves it.
                self.spare = oldest.and_then(|block| block.try_into_unique().ok());
            }
        }
        TRIM
    }

    /// Evicts all samples. Returns the blocks they are in, but for the newest, which is appended to.
    ///
    /// Context: any; takes the same time for any history.
    pub(crate) fn clear(&mut self) -> Queue<Block> {
        self.gone = self.taken;
        self.oldest_end = u64::MAX;
        core::mem::replace(&mut self.full, Queue::new())
    }

    /// How many blocks [`Self::give_back`] has to give: all but the newest of a living task.
    pub(crate) fn offered(&self) -> usize {
        self.full
            .len()
            .saturating_add(usize::from(self.spare.is_some()))
    }

    /// Gives up a block: a spare one, else the one with the oldest samples.
    ///
    /// Context: any; takes the same time for any history.
    pub(crate) fn give_back(&mut self, cause: Cause) -> Option<Ref<Block>> {
        if let Some(spare) = self.spare.take() {
            return Some(spare.share());
        }
        let oldest = self.pop_full()?;
        let lost = end_of(&oldest).saturating_sub(self.gone);
        self.gone = self.gone.saturating_add(lost);
        if cause == Cause::Reclaim {
            self.reclaimed = self.reclaimed.saturating_add(lost);
        }
        Some(oldest)
    }

    /// What became of the samples.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            samples: self.taken.saturating_sub(self.gone),
            taken: self.taken,
            evicted: self.gone.saturating_sub(self.reclaimed),
            reclaimed: self.reclaimed,
        }
    }

    /// Finds a block to go on with: the spare one, one from the pool, or, when memory is short, the
    /// oldest of this history that no reader holds.
    fn take_block(&mut self, pool: &Arc<Pool<Block>>) -> Option<UniqueRef<Block>> {
        if let Some(block) = self.spare.take() {
            return Some(block);
        }
        pool.alloc(Block::empty()).or_else(|| self.take_own_block())
    }

    /// Takes the oldest block that no reader holds, with all that is older; `None`, and nothing is
    /// lost, if there is no such block.
    fn take_own_block(&mut self) -> Option<UniqueRef<Block>> {
        // Nothing is given up unless that frees one. Readers get at blocks under the lock that our
        // caller holds, so what no reader holds now stays so.
        let newest = self.newest.as_ref().map(|newest| newest.block());
        if !self.full.iter().any(Ref::is_unique) && !newest.is_some_and(Ref::is_unique) {
            return None;
        }
        while let Some(oldest) = self.pop_full() {
            self.gone = self.gone.max(end_of(&oldest));
            if let Ok(block) = oldest.try_into_unique() {
                return Some(block);
            }
        }
        let last = self.newest.take()?.finish();
        self.gone = self.gone.max(end_of(&last));
        last.try_into_unique().ok()
    }

    /// Ends the history: nothing will be recorded any more.
    pub(crate) fn finish(&mut self) {
        self.spare = None;
        if let Some(last) = self.newest.take() {
            self.push_full(last.finish());
        }
    }

    /// Gives all blocks back, as dropping the history does, and lets others run meanwhile.
    ///
    /// Context: may sleep.
    pub(crate) fn drain(mut self) {
        drain(self.clear());
    }

    /// Goes through the samples, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = Sample> + '_ {
        let newest = self.newest.iter().map(|newest| &**newest.block());
        // Not as a method: `pin_init` has one of this name for everything.
        Iterator::chain(newest, self.full.iter_back()).flat_map(|block| {
            let skip = self.gone.saturating_sub(block.header().number);
            let from = usize::try_from(skip).unwrap_or(usize::MAX);
            let kept = from..block.len();
            kept.rev()
                .filter_map(|index| Some(block.get(index)?.sample(block.header())))
        })
    }

    /// The sample that was recorded last, if its block is there. (All others may be gone.)
    pub(crate) fn last(&self) -> Option<Sample> {
        let newest = self.newest.as_ref()?;
        Some(newest.last()?.sample(newest.block().header()))
    }

    /// The place of the oldest sample that is kept.
    pub(crate) fn oldest(&self) -> Option<Place> {
        self.full
            .front()
            .or(self.newest.as_ref().map(|newest| newest.block()))
            .and_then(|block| self.place_on(block))
    }

    /// The place behind the last sample of the block that `place` is on. If the block has left the
    /// history meanwhile, that is the oldest sample that is left.
    pub(crate) fn behind(&self, place: &Place) -> Option<Place> {
        let newest = self.newest.as_ref().map(|newest| newest.block());
        if newest.is_some_and(|newest| newest.ptr_eq(&place.block)) {
            return None;
        }
        match self.full.next_of(&place.block) {
            Ok(next) => next.or(newest).and_then(|block| self.place_on(block)),
            // It left. Blocks leave at the oldest end, so what is left is newer than it.
            Err(_) => self.oldest(),
        }
    }

    /// Moves `place` to the first sample at or behind it that is kept. If there is none (yet), returns
    /// false, and there is no sample at `place`.
    pub(crate) fn go_on(&self, place: &mut Place) -> bool {
        let newest = self.newest.as_ref().map(|newest| newest.block());
        let is_newest = newest.is_some_and(|newest| newest.ptr_eq(&place.block));
        if is_newest || self.full.next_of(&place.block).is_ok() {
            let gone = self.gone.saturating_sub(place.block.header().number);
            place.index = place.index.max(usize::try_from(gone).unwrap_or(usize::MAX));
            if place.sample().is_some() {
                return true;
            }
        }
        match self.behind(place) {
            Some(behind) => {
                *place = behind;
                true
            }
            None => {
                // A block that left still holds what is gone.
                place.index = place.index.max(place.block.len());
                false
            }
        }
    }

    /// The place behind the newest sample, where the next one will be, unless it begins a block.
    pub(crate) fn end(&self) -> Option<Place> {
        let block = self.newest.as_ref()?.block();
        Some(Place {
            block: block.clone(),
            index: block.len(),
        })
    }

    fn place_on(&self, block: &Ref<Block>) -> Option<Place> {
        let skip = self.gone.saturating_sub(block.header().number);
        let place = Place {
            block: block.clone(),
            index: usize::try_from(skip).ok()?,
        };
        place.sample().is_some().then_some(place)
    }
}

/// Gives blocks back, and lets others run meanwhile. Context: may sleep.
pub(crate) fn drain(mut blocks: Queue<Block>) {
    let mut count: usize = 0;
    while blocks.pop_front().is_some() {
        count = count.wrapping_add(1);
        if count % TRIM == 0 {
            might_sleep();
        }
    }
}

/// The number that follows that of the last sample of `block`.
fn end_of(block: &Block) -> u64 {
    // CAST: A block holds few samples.
    block.header().number.saturating_add(block.len() as u64)
}

/// Where a reader stands in a history. Holds the block, not the history.
pub(crate) struct Place {
    block: Ref<Block>,
    index: usize,
}

impl Place {
    /// The sample here.
    ///
    /// Context: any; takes no lock.
    pub(crate) fn sample(&self) -> Option<Sample> {
        let record = self.block.get(self.index)?;
        Some(record.sample(self.block.header()))
    }

    /// Moves on by one sample of the same block; there need not be one yet.
    pub(crate) fn advance(&mut self) {
        self.index = self.index.saturating_add(1);
    }
}

#[kunit_tests(taskmonitor_sample)]
mod tests {
    use super::*;

    use core::ops::Range;

    use crate::testing::{
        extreme,
        pool,
        Random, //
    };

    /// More than any history here gets.
    const ALL: u64 = 1 << 40;

    /// The sample of an instant: told from others by its number.
    fn sample(seq: u64) -> Sample {
        Sample {
            seq,
            ..Sample::default()
        }
    }

    /// A history of which `count` samples were taken, of which `max_samples` are kept.
    fn history(pool: &Arc<Pool<Block>>, count: u64, max_samples: u64) -> Result<History> {
        let mut history = History::new();
        push(&mut history, pool, 0..count, max_samples)?;
        Ok(history)
    }

    fn push(history: &mut History, pool: &Arc<Pool<Block>>, seqs: Range<u64>, max: u64) -> Result {
        for seq in seqs {
            history.push(pool, &sample(seq), max)?;
        }
        Ok(())
    }

    /// Goes on to the next sample, as a reader of the whole history does.
    fn next(history: &History, mut place: Place) -> Option<Place> {
        place.advance();
        if place.sample().is_some() {
            return Some(place);
        }
        history.behind(&place)
    }

    /// Whether a reader at `place` sees these samples from there on, and no others.
    fn sees(
        history: &History,
        mut place: Option<Place>,
        seqs: impl IntoIterator<Item = u64>,
    ) -> bool {
        for seq in seqs {
            let Some(here) = place else {
                return false;
            };
            if here.sample().is_none_or(|sample| sample.seq != seq) {
                return false;
            }
            place = next(history, here);
        }
        place.is_none()
    }

    /// Whether these samples are kept, in both directions, and no others.
    fn shows(history: &History, seqs: Range<u64>) -> bool {
        let back = history.newest_first().map(|sample| sample.seq);
        sees(history, history.oldest(), seqs.clone()) && back.eq(seqs.rev())
    }

    /// Samples, taken, evicted, reclaimed.
    fn counts(history: &History) -> (u64, u64, u64, u64) {
        let counts = history.counts();
        (
            counts.samples,
            counts.taken,
            counts.evicted,
            counts.reclaimed,
        )
    }

    /// The number of the instant at `place`.
    fn seq(place: &Place) -> Option<u64> {
        place.sample().map(|sample| sample.seq)
    }

    /// A place some samples behind the oldest one.
    fn place(history: &History, behind: u64) -> Result<Place> {
        let mut place = history.oldest().ok_or(ENOENT)?;
        for _ in 0..behind {
            place = next(history, place).ok_or(ENOENT)?;
        }
        Ok(place)
    }

    fn fields(sample: &Sample) -> ([u64; 7], u32, u8) {
        let Sample {
            seq,
            time,
            usr,
            sys,
            rss,
            minflt,
            majflt,
            mm_users,
            state,
        } = *sample;
        ([seq, time, usr, sys, rss, minflt, majflt], mm_users, state)
    }

    #[test]
    fn a_new_history_has_nothing() {
        let mut history = History::new();
        assert_eq!(counts(&history), (0, 0, 0, 0));
        assert!(shows(&history, 0..0));
        assert!(history.oldest().is_none());
        assert!(history.end().is_none());
        assert!(history.last().is_none());
        assert_eq!(history.offered(), 0);
        assert!(history.give_back(Cause::Reclaim).is_none());
        assert_eq!(history.trim(0), 0);
        assert_eq!(history.clear().len(), 0);
        history.finish();
        assert_eq!(history.offered(), 0);
        history.drain();
    }

    #[test]
    fn a_block_holds_17_samples() -> Result {
        let pool = pool()?;
        for (samples, blocks) in [
            (1, 1),
            (16, 1),
            (17, 1),
            (18, 2),
            (34, 2),
            (35, 3),
            (100, 6),
        ] {
            let history = history(&pool, samples, ALL)?;
            assert_eq!(pool.allocated(), blocks);
            assert_eq!(history.offered(), blocks - 1);
            assert!(shows(&history, 0..samples));
            history.drain();
            assert_eq!(pool.allocated(), 0);
        }
        Ok(())
    }

    #[test]
    fn max_samples_is_exact_after_each_push() -> Result {
        let pool = pool()?;
        for limit in [1, 2, 16, 17, 18, 33, 34, 35, 51, 52, 100] {
            let mut history = History::new();
            for number in 0..150 {
                history.push(&pool, &sample(number), limit)?;
                let taken = number + 1;
                let kept = taken.min(limit);
                assert_eq!(counts(&history), (kept, taken, taken - kept, 0));
                assert!(shows(&history, taken - kept..taken));
            }
        }
        Ok(())
    }

    #[test]
    fn memory_is_rounded_up_by_a_block_at_most() -> Result {
        let pool = pool()?;
        for limit in [1, 2, 16, 17, 18, 34, 35, 36] {
            let mut history = History::new();
            for number in 0..150 {
                history.push(&pool, &sample(number), limit)?;
                assert!(pool.allocated() <= limit.div_ceil(17) as usize + 1);
            }
        }
        Ok(())
    }

    #[test]
    fn a_lower_limit_takes_effect_with_the_next_push() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 100, ALL)?;
        history.push(&pool, &sample(100), 20)?;
        assert_eq!(counts(&history), (20, 101, 81, 0));
        assert!(shows(&history, 81..101));
        // A higher one brings nothing back.
        history.push(&pool, &sample(101), 50)?;
        assert!(shows(&history, 81..102));
        Ok(())
    }

    #[test]
    fn trimming_takes_64_blocks_at_most() -> Result {
        let pool = pool()?;
        // 70 blocks.
        let mut history = history(&pool, 1190, ALL)?;
        assert_eq!(history.trim(1190), 0);
        assert_eq!(history.trim(1), 64);
        assert_eq!(counts(&history), (102, 1190, 1088, 0));
        assert!(shows(&history, 1088..1190));
        assert_eq!(history.trim(1), 5);
        assert_eq!(counts(&history), (1, 1190, 1189, 0));
        assert!(shows(&history, 1189..1190));
        assert_eq!(history.trim(1), 0);
        Ok(())
    }

    #[test]
    fn trimming_begins_inside_a_block() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 40, ALL)?;
        assert_eq!(history.trim(35), 0);
        assert!(shows(&history, 5..40));
        assert_eq!(history.trim(20), 1);
        assert!(shows(&history, 20..40));
        assert_eq!(history.trim(0), 1);
        assert!(shows(&history, 0..0));
        assert_eq!(counts(&history), (0, 40, 40, 0));
        Ok(())
    }

    #[test]
    fn blocks_are_given_back_oldest_first() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        assert_eq!(history.offered(), 3);
        assert!(history.give_back(Cause::Eviction).is_some());
        assert_eq!(counts(&history), (43, 60, 17, 0));
        assert!(history.give_back(Cause::Reclaim).is_some());
        assert_eq!(counts(&history), (26, 60, 17, 17));
        assert!(shows(&history, 34..60));
        assert_eq!(history.offered(), 1);
        assert!(history.give_back(Cause::Reclaim).is_some());
        // The newest stays.
        assert!(history.give_back(Cause::Reclaim).is_none());
        assert_eq!(counts(&history), (9, 60, 17, 34));
        assert!(shows(&history, 51..60));
        assert_eq!(pool.allocated(), 1);
        Ok(())
    }

    #[test]
    fn what_was_evicted_is_not_reclaimed_too() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 40, 35)?;
        assert_eq!(counts(&history), (35, 40, 5, 0));
        assert!(history.give_back(Cause::Reclaim).is_some());
        assert_eq!(counts(&history), (23, 40, 5, 12));
        assert!(shows(&history, 17..40));
        Ok(())
    }

    #[test]
    fn a_spare_block_is_given_back_first() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 51, 34)?;
        // Two blocks of samples; the third one's are all evicted.
        assert_eq!(pool.allocated(), 3);
        assert_eq!(history.offered(), 2);
        assert!(history.give_back(Cause::Reclaim).is_some_and(Ref::put));
        assert_eq!(counts(&history), (34, 51, 17, 0));
        assert_eq!(history.offered(), 1);
        assert!(history.give_back(Cause::Reclaim).is_some_and(Ref::put));
        assert_eq!(counts(&history), (17, 51, 17, 17));
        assert!(history.give_back(Cause::Reclaim).is_none());
        Ok(())
    }

    #[test]
    fn a_spare_block_is_used_before_a_new_one() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 17, 17)?;
        push(&mut history, &pool, 17..34, 17)?;
        assert_eq!(pool.allocated(), 2);
        push(&mut history, &pool, 34..1000, 17)?;
        assert_eq!(pool.allocated(), 2);
        assert!(shows(&history, 983..1000));
        Ok(())
    }

    #[test]
    fn a_block_that_a_reader_holds_is_no_memory_yet() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 18, ALL)?;
        let place = place(&history, 3)?;
        let block = history.give_back(Cause::Reclaim);
        assert!(!block.is_some_and(Ref::put));
        assert_eq!(pool.allocated(), 2);
        assert_eq!(seq(&place), Some(3));
        drop(place);
        assert_eq!(pool.allocated(), 1);
        Ok(())
    }

    #[test]
    fn a_block_that_a_reader_holds_is_not_used_anew() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 17, 17)?;
        let mut place = place(&history, 0)?;
        push(&mut history, &pool, 17..34, 17)?;
        assert_eq!(history.offered(), 0);
        push(&mut history, &pool, 34..200, 17)?;
        for expected in 0..17 {
            assert_eq!(seq(&place), Some(expected));
            place.advance();
        }
        assert_eq!(seq(&place), None);
        assert!(shows(&history, 183..200));
        Ok(())
    }

    #[test]
    fn clearing_keeps_the_newest_block_alone() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let blocks = history.clear();
        assert_eq!(blocks.len(), 3);
        drain(blocks);
        assert_eq!(pool.allocated(), 1);
        assert_eq!(counts(&history), (0, 60, 60, 0));
        assert!(shows(&history, 0..0));
        // The present state stays known.
        assert_eq!(history.last().map(|sample| sample.seq), Some(59));
        history.push(&pool, &sample(60), ALL)?;
        assert!(shows(&history, 60..61));
        push(&mut history, &pool, 61..90, ALL)?;
        assert!(shows(&history, 60..90));
        assert_eq!(counts(&history), (30, 90, 60, 0));
        Ok(())
    }

    #[test]
    fn a_finished_history_gives_all_back() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 51, 34)?;
        history.finish();
        // The spare block went.
        assert_eq!(pool.allocated(), 2);
        assert!(shows(&history, 17..51));
        assert!(history.end().is_none());
        assert_eq!(history.offered(), 2);
        assert!(history.give_back(Cause::Reclaim).is_some());
        assert!(shows(&history, 34..51));
        assert!(history.give_back(Cause::Reclaim).is_some());
        assert!(history.give_back(Cause::Reclaim).is_none());
        assert_eq!(counts(&history), (0, 51, 17, 34));
        assert!(shows(&history, 0..0));
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }

    #[test]
    fn a_finished_history_can_be_trimmed() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 40, ALL)?;
        history.finish();
        assert_eq!(history.trim(10), 1);
        assert!(shows(&history, 30..40));
        assert_eq!(history.trim(6), 1);
        assert!(shows(&history, 34..40));
        // No block is kept for samples that will not come.
        assert_eq!(pool.allocated(), 1);
        Ok(())
    }

    #[test]
    fn a_reader_goes_on_behind_blocks_that_left() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let place = place(&history, 5)?;
        drop(history.give_back(Cause::Reclaim));
        drop(history.give_back(Cause::Eviction));
        // It finishes the block on which it stands.
        assert!(sees(&history, Some(place), Iterator::chain(5..17, 34..60)));
        Ok(())
    }

    #[test]
    fn a_reader_goes_on_behind_what_was_trimmed() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let place = place(&history, 16)?;
        assert_eq!(history.trim(20), 2);
        assert!(sees(&history, Some(place), Iterator::chain(16..17, 40..60)));
        Ok(())
    }

    #[test]
    fn a_reader_ends_when_all_is_cleared() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let (early, late) = (place(&history, 5)?, place(&history, 55)?);
        drain(history.clear());
        assert!(sees(&history, Some(early), 5..17));
        assert!(sees(&history, Some(late), 55..60));
        Ok(())
    }

    #[test]
    fn a_reader_goes_through_a_history_that_ends() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let (early, late) = (place(&history, 40)?, place(&history, 55)?);
        history.finish();
        assert!(sees(&history, Some(early), 40..60));
        assert!(sees(&history, Some(late), 55..60));
        Ok(())
    }

    #[test]
    fn a_reader_keeps_its_block_when_the_history_goes() -> Result {
        let pool = pool()?;
        let history = history(&pool, 60, ALL)?;
        let mut place = place(&history, 30)?;
        history.drain();
        assert_eq!(pool.allocated(), 1);
        for expected in 30..34 {
            assert_eq!(seq(&place), Some(expected));
            place.advance();
        }
        assert_eq!(seq(&place), None);
        drop(place);
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }

    #[test]
    fn behind_the_newest_block_there_is_nothing_yet() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 17, ALL)?;
        let place = place(&history, 16)?;
        assert!(history.behind(&place).is_none());
        history.push(&pool, &sample(17), ALL)?;
        assert!(history
            .behind(&place)
            .is_some_and(|place| seq(&place) == Some(17)));
        Ok(())
    }

    #[test]
    fn a_follower_waits_for_what_comes() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let mut place = history.end().ok_or(ENOENT)?;
        // Over the end of a block, too.
        for number in 60..80 {
            assert!(!history.go_on(&mut place));
            assert!(!history.go_on(&mut place));
            history.push(&pool, &sample(number), ALL)?;
            assert!(history.go_on(&mut place));
            assert_eq!(seq(&place), Some(number));
            place.advance();
        }
        assert!(!history.go_on(&mut place));
        Ok(())
    }

    #[test]
    fn a_follower_skips_what_is_gone() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let (mut early, mut late) = (place(&history, 0)?, place(&history, 18)?);
        let mut later = place(&history, 30)?;
        history.trim(40);
        // In a block that left, in one of which some are left, and behind that.
        assert!(history.go_on(&mut early));
        assert_eq!(seq(&early), Some(20));
        assert!(history.go_on(&mut late));
        assert_eq!(seq(&late), Some(20));
        assert!(history.go_on(&mut later));
        assert_eq!(seq(&later), Some(30));
        Ok(())
    }

    #[test]
    fn a_follower_goes_on_after_a_clear() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let (mut early, mut late) = (place(&history, 5)?, place(&history, 55)?);
        drain(history.clear());
        // There is nothing, not even in the block that left.
        assert!(!history.go_on(&mut early));
        assert_eq!(seq(&early), None);
        assert!(!history.go_on(&mut late));
        assert_eq!(seq(&late), None);
        history.push(&pool, &sample(60), ALL)?;
        assert!(history.go_on(&mut early));
        assert_eq!(seq(&early), Some(60));
        assert!(history.go_on(&mut late));
        assert_eq!(seq(&late), Some(60));
        Ok(())
    }

    #[test]
    fn without_memory_the_oldest_block_makes_room() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        assert!(history.take_own_block().is_some());
        assert_eq!(counts(&history), (43, 60, 17, 0));
        assert!(shows(&history, 17..60));
        Ok(())
    }

    #[test]
    fn without_memory_a_block_that_is_read_makes_no_room() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 60, ALL)?;
        let reader = place(&history, 0)?;
        assert!(history.take_own_block().is_some());
        // The second block was taken, and the first one left before it.
        assert_eq!(counts(&history), (26, 60, 34, 0));
        assert!(sees(&history, Some(reader), Iterator::chain(0..17, 34..60)));
        Ok(())
    }

    #[test]
    fn without_memory_the_newest_block_makes_room_at_last() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 40, ALL)?;
        let readers = (place(&history, 0)?, place(&history, 20)?);
        assert!(history.take_own_block().is_some());
        assert_eq!(counts(&history), (0, 40, 40, 0));
        assert!(shows(&history, 0..0));
        drop(readers);
        history.push(&pool, &sample(40), ALL)?;
        assert_eq!(counts(&history), (1, 41, 40, 0));
        assert!(shows(&history, 40..41));
        Ok(())
    }

    #[test]
    fn without_memory_and_all_blocks_read_nothing_is_lost() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 40, ALL)?;
        let readers = (
            place(&history, 0)?,
            place(&history, 20)?,
            place(&history, 39)?,
        );
        assert!(history.take_own_block().is_none());
        assert_eq!(counts(&history), (40, 40, 0, 0));
        assert!(shows(&history, 0..40));
        drop(readers);
        Ok(())
    }

    #[test]
    fn a_sample_is_stored_as_it_is() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        let largest = Sample {
            seq: u64::MAX,
            time: u64::MAX - 1,
            usr: u64::MAX - 2,
            sys: u64::MAX - 3,
            // What there is room for: 2^68 bytes.
            rss: (1 << 56) - 1,
            minflt: u64::MAX - 4,
            majflt: u64::MAX - 5,
            mm_users: u32::MAX,
            state: u8::MAX,
        };
        for sample in [
            Sample::default(),
            largest,
            Sample {
                rss: 1 << 55,
                state: 0,
                ..largest
            },
            Sample {
                rss: 0,
                state: b'X',
                ..largest
            },
        ] {
            history.push(&pool, &sample, ALL)?;
            assert!(history
                .last()
                .is_some_and(|last| fields(&last) == fields(&sample)));
        }
        assert_eq!(history.counts().samples, 4);
        Ok(())
    }

    #[test]
    fn a_far_instant_begins_a_block() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        let far = 5 + u64::from(u32::MAX);
        let instants = [5, far, far + 1, far + 2, u64::MAX, 3];
        for (instant, blocks) in instants.into_iter().zip([1, 1, 2, 2, 3, 4]) {
            history.push(&pool, &sample(instant), ALL)?;
            assert_eq!(pool.allocated(), blocks);
        }
        assert!(sees(&history, history.oldest(), instants));
        // Numbers of samples are not those of instants.
        assert!(history.give_back(Cause::Reclaim).is_some());
        assert_eq!(counts(&history), (4, 6, 0, 2));
        Ok(())
    }

    #[test]
    fn a_line_is_as_the_contract_says() {
        let sample = Sample {
            seq: 17,
            time: 12_345_678_901,
            usr: 4_000_000,
            sys: 0,
            rss: 256,
            minflt: 120,
            majflt: 0,
            mm_users: 1,
            state: b'S',
        };
        let mut line = Line::new();
        assert!(sample.line(267, 9_876_543_210, &mut line).is_ok());
        let expected = "pid 267 usr 4000000 sys 0 time 12345678901 rss 1048576 minflt 120 \
                        majflt 0 mm_users 1 state S seq 17 start 9876543210\n";
        assert_eq!(line.bytes(), expected.as_bytes());
    }

    #[test]
    fn the_longest_line_fits() {
        let mut line = Line::new();
        assert!(extreme().line(i32::MIN, u64::MAX, &mut line).is_ok());
        // 2^68 - 2^12 bytes, of which 64 bits are shown.
        let expected = "pid -2147483648 usr 18446744073709551615 sys 18446744073709551615 \
                        time 18446744073709551615 rss 18446744073709547520 \
                        minflt 18446744073709551615 majflt 18446744073709551615 \
                        mm_users 4294967295 state X seq 18446744073709551615 \
                        start 18446744073709551615\n";
        assert_eq!(line.bytes(), expected.as_bytes());
    }

    /// Whatever happens to a history: the counts add up, the newest samples are what is kept, no
    /// block is lost, and each follower sees the next sample that is kept.
    #[test]
    fn nothing_gets_lost_uncounted() -> Result {
        let mut random = Random::new();
        let pool = pool()?;
        let mut history = History::new();
        // Where each follower stands, and the next sample that it has not seen.
        let mut followers: [(Option<Place>, u64); 4] = [const { (None, 0) }; 4];
        let mut taken = 0;
        for _ in 0..4000 {
            match random.below(20) {
                0 => drop(history.give_back(Cause::Reclaim)),
                1 => drop(history.give_back(Cause::Eviction)),
                2 => drop(history.trim(random.below(80))),
                3 if random.below(10) == 0 => drain(history.clear()),
                4 => drop(history.take_own_block()),
                _ => {
                    history.push(&pool, &sample(taken), 20 + random.below(60))?;
                    taken += 1;
                }
            }
            let counts = history.counts();
            assert_eq!(counts.taken, taken);
            assert_eq!(counts.samples + counts.evicted + counts.reclaimed, taken);
            let gone = taken - counts.samples;
            assert!(shows(&history, gone..taken));

            for (place, next) in followers.iter_mut() {
                if random.below(8) != 0 {
                    continue;
                }
                if place.is_none() {
                    *place = history.oldest();
                }
                let Some(place) = place else {
                    continue;
                };
                let expected = gone.max(*next);
                if expected == taken {
                    assert!(!history.go_on(place));
                    assert_eq!(seq(place), None);
                } else {
                    assert!(history.go_on(place));
                    assert_eq!(seq(place), Some(expected));
                    *next = expected + 1;
                    place.advance();
                }
            }
        }
        drop(followers);
        let newest = usize::from(history.newest.is_some());
        assert_eq!(pool.allocated(), history.offered() + newest);
        history.drain();
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }
}
