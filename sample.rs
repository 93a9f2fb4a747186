// SPDX-License-Identifier: GPL-2.0

//! Samples, and the history that a task has of them.
//!
//! A history is a queue of blocks, oldest first; the newest block is the one that is appended to. A
//! block is counted by reference: the history has one reference on it, each reader that stands on
//! it another. So a block may leave the history while a reader goes on with it, and samples, once
//! published, never change.

pub(crate) use codec::Sample;

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

use crate::{
    codec,
    codec::{
        Codec,
        ROOM, //
    },
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

/// What the samples of a block have in common.
#[derive(Default)]
pub(crate) struct Header {
    /// How many samples the history had taken before this block's first.
    number: u64,
}

/// Bytes of samples in a block: what makes it, with all that counts and links it, an object of 1 KiB.
const BLOCK_BYTES: usize = 972;

/// A block of samples.
pub(crate) type Block = append::Block<Header, BLOCK_BYTES>;

/// What the allocator sees of a block.
pub(crate) type Object = mempool::Object<Block>;

/// Bytes of a block.
pub(crate) const BLOCK_SIZE: usize = core::mem::size_of::<Object>();

/// The fewest and the most samples that a full block can hold.
pub(crate) const BLOCK_SAMPLES: (usize, usize) = (
    Block::CAPACITY / codec::MOST,
    Block::CAPACITY / codec::LEAST,
);

const _: () = assert!(BLOCK_SIZE == 1024);

// Any sample fits into any slot, and into an empty block: so what the codec has packed is published.
const _: () = assert!(codec::MOST <= ROOM && ROOM <= Block::CAPACITY);

impl Sample {
    /// Resident memory, in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        // CAST: A page has 4 to 64 KiB.
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
    newest: Option<append::Appender<Header, BLOCK_BYTES>>,
    /// Knows the last sample, also when its block is gone.
    codec: Codec,
    /// A block whose samples are all evicted, kept to become the newest: with it, a full history allocates nothing,
    /// as long as its blocks hold about as many samples each.
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
            codec: Codec::new(),
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
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: Sample,
        max_samples: u64,
    ) -> Result<bool> {
        if let Some(mut slot) = self.newest.as_mut().and_then(|newest| newest.slot()) {
            if let Some(len) = self.codec.pack_ran(&sample, slot.bytes()) {
                slot.publish(len);
                return Ok(self.appended(max_samples));
            }
        }
        self.push_other(pool, sample.copy(), max_samples)
    }

    /// As [`Self::push`], in any form.
    #[inline(never)]
    fn push_other(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: Sample,
        max_samples: u64,
    ) -> Result<bool> {
        match self.newest.as_mut().and_then(|newest| newest.slot()) {
            Some(mut slot) => {
                let len = self.codec.pack(&sample, slot.bytes());
                slot.publish(len);
                Ok(self.appended(max_samples))
            }
            None => self.push_last(pool, sample, max_samples),
        }
    }

    /// As [`Self::push`], of a sample that may be the last one once more.
    #[inline(never)]
    pub(crate) fn push_any(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: Sample,
        max_samples: u64,
    ) -> Result<bool> {
        let last = self.codec.last();
        if sample.usr == last.usr
            && sample.sys == last.sys
            && sample.minflt == last.minflt
            && sample.majflt == last.majflt
            && sample.state == last.state
        {
            let memory = Memory {
                rss: sample.rss,
                mm_users: sample.mm_users,
            };
            if let Some(evicted) = self.push_again(sample.seq, sample.time, memory, max_samples) {
                return Ok(evicted);
            }
        }
        self.push(pool, sample, max_samples)
    }

    /// As [`Self::push`], at the end of a block, or in a new one.
    #[inline(never)]
    fn push_last(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: Sample,
        max_samples: u64,
    ) -> Result<bool> {
        if self.pack_last(self.codec, &sample) {
            return Ok(self.appended(max_samples));
        }
        let block = self.take_block(pool).ok_or(ENOMEM)?;
        let header = Header { number: self.taken };
        let newest = append::Appender::new(block, header);
        if let Some(full) = self.newest.replace(newest) {
            self.push_full(full.finish());
        }
        // There is room.
        if !self.pack_last(Codec::new(), &sample) {
            return Err(ENOSPC);
        }
        self.appended(max_samples);
        Ok(true)
    }

    /// Appends `sample` to the newest block, if it fits, packed by `codec`, which then goes on.
    fn pack_last(&mut self, mut codec: Codec, sample: &Sample) -> bool {
        let mut room = [0; ROOM];
        let len = codec.pack(sample, &mut room);
        let newest = self.newest.as_mut().zip(room.get(..len));
        let done = newest.is_some_and(|(newest, bytes)| newest.append_bytes(bytes));
        if done {
            self.codec = codec;
        }
        done
    }

    /// Records the last sample once more, at the next instant, if that takes no more than a few bytes of the
    /// newest block. Returns whether blocks left the history by that; `None` if nothing is done.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline(always)]
    pub(crate) fn push_again(
        &mut self,
        seq: u64,
        time: u64,
        memory: Memory,
        max_samples: u64,
    ) -> Option<bool> {
        let last = self.codec.last();
        if memory.rss != last.rss
            || memory.mm_users != last.mm_users
            || seq != last.seq.wrapping_add(1)
        {
            return None;
        }
        let mut slot = self.newest.as_mut()?.slot()?;
        let len = self.codec.pack_again(time, slot.bytes());
        slot.publish(len).then(|| self.appended(max_samples))
    }

    /// Counts a sample that was appended, and evicts what is more than `max_samples`. Returns whether blocks
    /// left the history by that.
    #[inline(always)]
    fn appended(&mut self, max_samples: u64) -> bool {
        // Does not wrap: nobody takes 2^64 samples.
        self.taken = self.taken.wrapping_add(1);
        let gone = self.gone.max(self.taken.saturating_sub(max_samples));
        let evict = gone >= self.oldest_end;
        if evict {
            self.trim(max_samples);
        } else {
            self.gone = gone;
        }
        evict
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

    /// Whether no sample is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.gone == self.taken
    }

    /// How many blocks there are, and the numbers that follow the last samples of the oldest four. For unit tests.
    ///
    /// Context: any.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn ends(&self) -> (usize, [u64; 4]) {
        let newest = self.newest.as_ref().map(|newest| newest.block());
        let mut ends = [0; 4];
        for (end, block) in ends
            .iter_mut()
            .zip(Iterator::chain(self.full.iter(), newest))
        {
            *end = end_of(block);
        }
        (self.full.len() + usize::from(newest.is_some()), ends)
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

    /// What is kept of the newest block, or of the one before that of `behind`; `None` if there is none, or
    /// if `behind` has left the history (as all before it has, then).
    ///
    /// Context: any.
    pub(crate) fn back(&self, behind: Option<&Stretch>) -> Option<Stretch> {
        let newest = self.newest.as_ref().map(|newest| newest.block());
        let block = match behind {
            None => newest.cloned().or_else(|| self.full.back()),
            Some(behind) if newest.is_some_and(|newest| newest.ptr_eq(&behind.block)) => {
                self.full.back()
            }
            Some(behind) => self.full.prev_of(&behind.block).ok().flatten(),
        }?;
        let skip = self.gone.saturating_sub(block.header().number);
        Some(Stretch {
            block,
            skip: usize::try_from(skip).unwrap_or(usize::MAX),
        })
    }

    /// The sample that was recorded last, be it kept or not. (Before any was: one of nothing.)
    #[inline]
    pub(crate) fn last(&self) -> &Sample {
        self.codec.last()
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
            if place.is_taken() {
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
        let newest = self.newest.as_ref()?;
        let (count, bytes) = newest.block().published();
        Some(Place {
            block: newest.block().clone(),
            index: count,
            unpacked: Unpacked {
                count,
                bytes: bytes.len(),
                codec: self.codec,
            },
        })
    }

    fn place_on(&self, block: &Ref<Block>) -> Option<Place> {
        let skip = self.gone.saturating_sub(block.header().number);
        let place = Place {
            block: block.clone(),
            index: usize::try_from(skip).ok()?,
            unpacked: Unpacked::new(),
        };
        place.is_taken().then_some(place)
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

/// How far a block is unpacked.
struct Unpacked {
    /// So many samples,
    count: usize,
    /// which take so many bytes.
    bytes: usize,
    codec: Codec,
}

impl Unpacked {
    /// At the beginning of a block.
    fn new() -> Self {
        Self {
            count: 0,
            bytes: 0,
            codec: Codec::new(),
        }
    }

    /// Unpacks the next sample of `block`, if there is one (yet).
    #[inline]
    fn next(&mut self, block: &Block) -> Option<&Sample> {
        let (count, bytes) = block.published();
        if self.count >= count {
            return None;
        }
        let len = self.codec.unpack(bytes.get(self.bytes..)?)?;
        self.count = self.count.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(len);
        Some(self.codec.last())
    }
}

/// The samples of one block that are kept. Holds the block, not the history.
pub(crate) struct Stretch {
    block: Ref<Block>,
    /// So many samples at the beginning are kept no more.
    skip: usize,
}

impl Stretch {
    /// Calls `f` with the samples that were taken `until` then, the newest first, as many as `room` has room for, until
    /// it returns false. Returns whether it never did.
    ///
    /// Context: any; takes the time of unpacking the block, but no lock.
    pub(crate) fn newest_first(
        &self,
        until: u64,
        room: &mut [Sample],
        f: impl FnMut(&Sample) -> bool,
    ) -> bool {
        let mut end = self.block.len();
        let earlier = self.unpack(until, end, room);
        if earlier < end {
            // The newest are others, then.
            end = earlier;
            self.unpack(until, end, room);
        }
        let len = end.saturating_sub(self.first(end, room));
        let samples = room.get(..len).unwrap_or_default();
        samples.iter().rev().all(f)
    }

    /// The first of those before `end`, as many as there is room for.
    fn first(&self, end: usize, room: &[Sample]) -> usize {
        self.skip.max(end.saturating_sub(room.len()))
    }

    /// Unpacks these. Returns how many samples of the block are before `end` and not later than `until`.
    fn unpack(&self, until: u64, end: usize, room: &mut [Sample]) -> usize {
        let first = self.first(end, room);
        let (_, mut bytes) = self.block.published();
        let (mut codec, mut index) = (Codec::new(), 0);
        while index < end {
            match codec.unpack(bytes).and_then(|len| bytes.get(len..)) {
                Some(rest) if codec.last().time <= until => bytes = rest,
                _ => break,
            }
            let place = index.checked_sub(first).and_then(|at| room.get_mut(at));
            if let Some(place) = place {
                *place = *codec.last();
            }
            index += 1;
        }
        index
    }
}

/// Where a reader stands in a history. Holds the block, not the history.
pub(crate) struct Place {
    block: Ref<Block>,
    /// The number of the sample here, counted in its block.
    index: usize,
    /// At most this one, and those before it.
    unpacked: Unpacked,
}

impl Place {
    /// Whether there is a sample here.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.index < self.block.len()
    }

    /// The sample here. (Those before it in its block are unpacked first, if they were not.)
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn sample(&mut self) -> Option<&Sample> {
        if !self.is_taken() {
            return None;
        }
        while self.unpacked.count <= self.index {
            self.unpacked.next(&self.block)?;
        }
        Some(self.unpacked.codec.last())
    }

    /// Moves on by one sample of the same block; there need not be one yet.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.index = self.index.saturating_add(1);
    }

    /// How many references there are on the block. For unit tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn references(&self) -> i32 {
        self.block.references()
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

    /// The sample of an instant: told from others by its number, and so different from its neighbours that a
    /// block holds 17 of them.
    fn sample(seq: u64) -> Sample {
        // Far from 0, and from each other.
        let far = if seq % 2 == 0 { 1 << 57 } else { 1 << 62 };
        Sample {
            seq,
            time: far,
            usr: far,
            sys: far,
            rss: far,
            minflt: far,
            majflt: far,
            mm_users: if seq % 2 == 0 { 1 << 20 } else { 1 << 30 },
            state: 0,
        }
    }

    #[test]
    fn the_newest_are_those_until_then() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        for seq in 0..100 {
            history.push(&pool, sleeping(seq), 90)?;
        }
        let stretch = history.back(None).ok_or(ENOENT)?;
        assert!(gives(&stretch, u64::MAX, 200)?
            .into_iter()
            .eq((10..100).rev()));
        // They are all in one block.
        assert!(history.back(Some(&stretch)).is_none());
        assert_eq!(gives(&stretch, u64::MAX, 3)?[..], [99, 98, 97]);
        assert_eq!(gives(&stretch, sleeping(50).time, 3)?[..], [50, 49, 48]);
        assert_eq!(gives(&stretch, sleeping(11).time, 3)?[..], [11, 10]);
        // What is gone is not given, and who has no room is given none.
        for (seq, most) in [(9, 3), (0, 200), (50, 0)] {
            assert_eq!(gives(&stretch, sleeping(seq).time, most)?.len(), 0);
        }
        assert_eq!(gives(&stretch, 0, 3)?.len(), 0);
        Ok(())
    }

    /// As [`sample`], so like its neighbours that 3 bytes are enough for each but the first of a block.
    fn sleeping(seq: u64) -> Sample {
        Sample {
            seq,
            time: 1_000_000_000 * (seq + 1) + 1_000_000 * (seq % 2),
            usr: 12_345_678,
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
            history.push(pool, sample(seq), max)?;
        }
        Ok(())
    }

    /// Goes on to the next sample, as a reader of the whole history does.
    fn next(history: &History, mut place: Place) -> Option<Place> {
        place.advance();
        if place.is_taken() {
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
            let Some(mut here) = place else {
                return false;
            };
            if here.sample().is_none_or(|sample| sample.seq != seq) {
                return false;
            }
            place = next(history, here);
        }
        place.is_none()
    }

    /// Whether these samples are kept, whichever way one looks for them, and no others.
    fn shows(history: &History, seqs: Range<u64>) -> bool {
        let (_, most) = BLOCK_SAMPLES;
        let Ok(mut room) = KVec::from_elem(Sample::default(), most, GFP_KERNEL) else {
            return false;
        };
        let mut seen = KVec::new();
        let mut back = history.back(None);
        while let Some(stretch) = back {
            stretch.newest_first(u64::MAX, &mut room, |sample| {
                seen.push(sample.seq, GFP_KERNEL).is_ok()
            });
            back = history.back(Some(&stretch));
        }
        sees(history, history.oldest(), seqs.clone()) && seen.iter().copied().eq(seqs.rev())
    }

    /// What a stretch gives of samples until then, if there is room for so many.
    fn gives(stretch: &Stretch, until: u64, most: usize) -> Result<KVec<u64>> {
        let mut room = KVec::from_elem(Sample::default(), most, GFP_KERNEL)?;
        let mut seqs = KVec::new();
        assert!(stretch.newest_first(until, &mut room, |sample| {
            seqs.push(sample.seq, GFP_KERNEL).is_ok()
        }));
        Ok(seqs)
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
    fn seq(place: &mut Place) -> Option<u64> {
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

    #[test]
    fn a_new_history_has_nothing() {
        let mut history = History::new();
        assert_eq!(counts(&history), (0, 0, 0, 0));
        assert!(shows(&history, 0..0));
        assert!(history.oldest().is_none());
        assert!(history.end().is_none());
        assert!(*history.last() == *Codec::new().last());
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
                history.push(&pool, sample(number), limit)?;
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
                history.push(&pool, sample(number), limit)?;
                assert!(pool.allocated() <= limit.div_ceil(17) as usize + 1);
            }
        }
        Ok(())
    }

    #[test]
    fn a_lower_limit_takes_effect_with_the_next_push() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 100, ALL)?;
        history.push(&pool, sample(100), 20)?;
        assert_eq!(counts(&history), (20, 101, 81, 0));
        assert!(shows(&history, 81..101));
        // A higher one brings nothing back.
        history.push(&pool, sample(101), 50)?;
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
        let mut place = place(&history, 3)?;
        let block = history.give_back(Cause::Reclaim);
        assert!(!block.is_some_and(Ref::put));
        assert_eq!(pool.allocated(), 2);
        assert_eq!(seq(&mut place), Some(3));
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
            assert_eq!(seq(&mut place), Some(expected));
            place.advance();
        }
        assert_eq!(seq(&mut place), None);
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
        assert_eq!(history.last().seq, 59);
        history.push(&pool, sample(60), ALL)?;
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
    fn each_reader_has_a_reference_and_the_history_one() -> Result {
        let pool = pool()?;
        let mut history = history(&pool, 20, ALL)?;
        let one = place(&history, 0)?;
        assert_eq!(one.references(), 2);
        let other = place(&history, 5)?;
        assert_eq!(one.references(), 3);
        // As much for the block that is appended to.
        assert_eq!(place(&history, 18)?.references(), 2);
        // The history gives its own up, and the readers keep theirs.
        history.trim(2);
        assert_eq!(one.references(), 2);
        drop(one);
        assert_eq!(other.references(), 1);
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
            assert_eq!(seq(&mut place), Some(expected));
            place.advance();
        }
        assert_eq!(seq(&mut place), None);
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
        history.push(&pool, sample(17), ALL)?;
        assert!(history
            .behind(&place)
            .is_some_and(|mut place| seq(&mut place) == Some(17)));
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
            history.push(&pool, sample(number), ALL)?;
            assert!(history.go_on(&mut place));
            assert_eq!(seq(&mut place), Some(number));
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
        assert_eq!(seq(&mut early), Some(20));
        assert!(history.go_on(&mut late));
        assert_eq!(seq(&mut late), Some(20));
        assert!(history.go_on(&mut later));
        assert_eq!(seq(&mut later), Some(30));
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
        assert_eq!(seq(&mut early), None);
        assert!(!history.go_on(&mut late));
        assert_eq!(seq(&mut late), None);
        history.push(&pool, sample(60), ALL)?;
        assert!(history.go_on(&mut early));
        assert_eq!(seq(&mut early), Some(60));
        assert!(history.go_on(&mut late));
        assert_eq!(seq(&mut late), Some(60));
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
        history.push(&pool, sample(40), ALL)?;
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
            rss: u64::MAX - 6,
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
            history.push(&pool, sample, ALL)?;
            assert!(*history.last() == sample);
            let mut place = history.end().ok_or(ENOENT)?;
            place.index -= 1;
            place.unpacked = Unpacked::new();
            assert!(place.sample().is_some_and(|here| *here == sample));
        }
        assert_eq!(history.counts().samples, 4);
        Ok(())
    }

    #[test]
    fn instants_may_be_far_from_each_other() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        let instants = [5, 7, 5 + u64::from(u32::MAX), 1 << 50, u64::MAX - 1];
        for instant in instants {
            history.push(&pool, sample(instant), ALL)?;
        }
        assert_eq!(pool.allocated(), 1);
        assert!(sees(&history, history.oldest(), instants));
        // Numbers of samples are not those of instants.
        assert_eq!(counts(&history), (5, 5, 0, 0));
        Ok(())
    }

    #[test]
    fn a_block_holds_hundreds_of_samples_of_a_sleeper() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        let mut count = 0;
        while pool.allocated() < 3 {
            history.push(&pool, sleeping(count), ALL)?;
            count += 1;
        }
        // But for the first ones, which tell the period as well.
        let (_, most) = BLOCK_SAMPLES;
        let least = 2 * (most as u64 - 20);
        assert!((least..2 * most as u64).contains(&count));
        let mut place = history.oldest();
        for number in 0..count {
            let Some(mut here) = place else {
                return Err(ENOENT);
            };
            assert!(here
                .sample()
                .is_some_and(|sample| *sample == sleeping(number)));
            place = next(&history, here);
        }
        assert!(place.is_none());
        // Also when some of them are gone that must be unpacked for it.
        let gone = count / 3;
        assert_eq!(history.trim(count - gone), 0);
        assert!(shows(&history, gone..count));
        Ok(())
    }

    #[test]
    fn a_sleeper_is_packed_as_any_other() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        let memory = |rss, mm_users| Memory { rss, mm_users };
        history.push(&pool, sleeping(0), ALL)?;
        let none = memory(0, 0);
        // Another instant than the next, other memory, too late.
        for (seq, late, memory) in [
            (2, 0, none),
            (1, 0, memory(1, 0)),
            (1, 0, memory(0, 1)),
            (1, 1 << 40, none),
        ] {
            let time = sleeping(seq).time + late;
            assert_eq!(history.push_again(seq, time, memory, ALL), None);
        }
        let mut count = 1;
        while history
            .push_again(count, sleeping(count).time, none, ALL)
            .is_some()
        {
            count += 1;
        }
        // It did nothing when there was no room.
        assert_eq!(counts(&history), (count, count, 0, 0));
        assert_eq!(history.last().seq, count - 1);
        history.push(&pool, sleeping(count), ALL)?;
        for number in 0..=count {
            let mut place = place(&history, number)?;
            assert!(place
                .sample()
                .is_some_and(|sample| *sample == sleeping(number)));
        }
        Ok(())
    }

    #[test]
    fn sleepers_evict_as_others_do() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        history.push(&pool, sleeping(0), 10)?;
        for seq in 1..2000 {
            let memory = Memory::default();
            let evicted = match history.push_again(seq, sleeping(seq).time, memory, 10) {
                Some(evicted) => evicted,
                None => history.push(&pool, sleeping(seq), 10)?,
            };
            let kept = 10.min(seq + 1);
            assert_eq!(counts(&history), (kept, seq + 1, seq + 1 - kept, 0));
            assert!(pool.allocated() <= 2);
            assert!(evicted || history.full.len() <= 1);
        }
        Ok(())
    }

    #[test]
    fn whoever_begins_at_the_end_sees_what_comes() -> Result {
        let pool = pool()?;
        let mut history = History::new();
        for seq in 0..100 {
            history.push(&pool, sleeping(seq), ALL)?;
        }
        let mut place = history.end().ok_or(ENOENT)?;
        assert!(place.sample().is_none());
        history.push(&pool, sleeping(100), ALL)?;
        assert!(place
            .sample()
            .is_some_and(|sample| *sample == sleeping(100)));
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
                    history.push(&pool, sample(taken), 20 + random.below(60))?;
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
