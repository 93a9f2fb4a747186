// SPDX-License-Identifier: GPL-2.0

//! Samples, and the history that a task has of them.
//!
//! A history is a queue of blocks, oldest first; the newest block is the one that is appended to. A
//! block is counted by reference: the history has one reference on it, each reader that stands on
//! it another. So a block may leave the history while a reader goes on with it, and samples, once
//! published, never change.

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

use crate::wrappers::{
    append, mempool,
    mempool::{
        Pool,
        Queue,
        Ref,
        UniqueRef, //
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
    pub(crate) fn line(&self, pid: i32, start: u64, line: &mut impl fmt::Write) -> fmt::Result {
        writeln!(
            line,
            "pid {pid} usr {} sys {} time {} rss {} minflt {} majflt {} mm_users {} state {} \
             seq {} start {start}",
            self.usr,
            self.sys,
            self.time,
            self.rss_bytes(),
            self.minflt,
            self.majflt,
            self.mm_users,
            char::from(self.state),
            self.seq,
        )
    }
}

/// Most blocks that a history takes out at once when it has become too long.
pub(crate) const TRIM: usize = 64;

/// The samples that are kept of a task.
pub(crate) struct History {
    /// The blocks that are not appended to any more, oldest first.
    full: Queue<Block>,
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
            newest: None,
            spare: None,
            taken: 0,
            gone: 0,
            reclaimed: 0,
        }
    }

    /// Records `sample`, and evicts what is more than `max_samples`. Fails with `ENOMEM` if there is
    /// no block for it.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn push(
        &mut self,
        pool: &Arc<Pool<Block>>,
        sample: &Sample,
        max_samples: u64,
    ) -> Result {
        if self.append(sample).is_err() {
            let block = self.take_block(pool).ok_or(ENOMEM)?;
            let header = Header {
                number: self.taken,
                seq: sample.seq,
            };
            if let Some(full) = self.newest.replace(append::Appender::new(block, header)) {
                // Cannot fail: the block was in no queue while it was appended to.
                let _ = self.full.push_back(full.finish());
            }
            self.append(sample)?;
        }
        self.taken = self.taken.saturating_add(1);
        self.trim(max_samples);
        Ok(())
    }

    fn append(&mut self, sample: &Sample) -> Result {
        let newest = self.newest.as_mut().ok_or(ENOSPC)?;
        let record = Record::new(sample, newest.block().header()).ok_or(ENOSPC)?;
        newest.push(record)
    }

    /// Evicts what is more than `max_samples`, but takes [`TRIM`] blocks out at most. Returns how many
    /// it took: if so many, there may be more to be done.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn trim(&mut self, max_samples: u64) -> usize {
        let gone = self.gone.max(self.taken.saturating_sub(max_samples));
        for taken in 0..TRIM {
            let end = self.full.front().map(|oldest| end_of(oldest));
            if end.is_none_or(|end| end > gone) {
                self.gone = gone;
                return taken;
            }
            let oldest = self.full.pop_front();
            self.gone = self.gone.max(end.unwrap_or(0));
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
        let oldest = self.full.pop_front()?;
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
        if let Some(block) = pool.alloc(Block::empty()) {
            return Some(block);
        }
        // Nothing is given up unless that frees one. Readers get at blocks under the lock that our
        // caller holds, so what no reader holds now stays so.
        let newest = self.newest.as_ref().map(|newest| newest.block());
        if !self.full.iter().any(Ref::is_unique) && !newest.is_some_and(Ref::is_unique) {
            return None;
        }
        while let Some(oldest) = self.full.pop_front() {
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
            // Cannot fail: the block was in no queue while it was appended to.
            let _ = self.full.push_back(last.finish());
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
        let block = self.newest.as_ref()?.block();
        let record = block.get(block.len().checked_sub(1)?)?;
        Some(record.sample(block.header()))
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
            Err(_) => self
                .oldest()
                .filter(|oldest| oldest.block.header().number > place.block.header().number),
        }
    }

    /// Moves `place` to the first sample at or behind it that is kept; false, if there is none (yet).
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
        self.behind(place).map(|behind| *place = behind).is_some()
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
