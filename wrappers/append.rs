// SPDX-License-Identifier: GPL-2.0

//! Blocks of records that are appended by one, and read by many without a lock.
//!
//! A [`Block`] is a pool object. Whoever has it for itself can become its [`Appender`], of which there
//! is at most one; from then on others may hold references and read what was published. A record
//! never changes once it is, until the last reference but one is gone and the block starts anew.

use core::{
    cell::UnsafeCell,
    convert::Infallible,
    mem::MaybeUninit, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic, //
    },
};

use super::{
    barrier::store_release,
    mempool, //
};

/// Up to `N` records of type `T`, and a header that tells what they have in common.
///
/// # Invariants
///
/// - The first `len` records are initialised, and nobody writes to them.
/// - The others are written by the block's only [`Appender`], if there is one.
pub(crate) struct Block<H, T, const N: usize> {
    header: H,
    len: Atomic<u32>,
    records: UnsafeCell<[MaybeUninit<T>; N]>,
}

// SAFETY: A block can be moved to another thread if what it holds can.
unsafe impl<H: Send, T: Send, const N: usize> Send for Block<H, T, N> {}

// SAFETY: Shared, a block gives the header and those records that nobody writes to any more. The
// records behind them are touched by its only appender.
unsafe impl<H: Sync, T: Send + Sync, const N: usize> Sync for Block<H, T, N> {}

impl<H: Default, T: Copy, const N: usize> Block<H, T, N> {
    /// How many records fit.
    pub(crate) const CAPACITY: usize = N;

    /// Initialises an empty block in place.
    pub(crate) fn empty() -> impl Init<Self, Infallible> {
        let init = |slot: *mut Self| {
            // SAFETY: `slot` is valid for writes, as the contract of `init_from_closure` says. The
            // records may stay uninitialised.
            unsafe {
                (&raw mut (*slot).header).write(H::default());
                // INVARIANT: No record is published.
                (&raw mut (*slot).len).write(Atomic::new(0));
            }
            Ok(())
        };

        // SAFETY: The closure initialises all that must be, never fails, and the block may be moved.
        unsafe { pin_init::init_from_closure(init) }
    }

    /// What the records have in common.
    pub(crate) fn header(&self) -> &H {
        &self.header
    }

    /// How many records are published.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire) as usize
    }

    /// Returns a copy of record `index`, if it is published.
    pub(crate) fn get(&self, index: usize) -> Option<T> {
        if index >= self.len() || index >= N {
            return None;
        }

        // SAFETY: In bounds, and published: by the type invariant it is initialised and does not
        // change. `len()` acquired what the appender wrote before. No reference to the whole array
        // is made, whose other records may be written to meanwhile.
        Some(unsafe { *self.records.get().cast::<T>().add(index) })
    }
}

/// The only one who appends to a [`Block`].
///
/// # Invariants
///
/// - No other appender of the same block exists.
/// - `len` is the block's.
pub(crate) struct Appender<H, T, const N: usize> {
    block: mempool::Ref<Block<H, T, N>>,
    len: u32,
}

impl<H: Default, T: Copy, const N: usize> Appender<H, T, N> {
    /// Starts a block (anew), with a header of its own and no records.
    pub(crate) fn new(mut block: mempool::UniqueRef<Block<H, T, N>>, header: H) -> Self {
        block.header = header;
        // INVARIANT (of the block): No record is published.
        block.len = Atomic::new(0);

        // INVARIANT: An appender holds a reference, and there was no other, so it has none.
        Self {
            block: block.share(),
            len: 0,
        }
    }

    /// The block that this appends to, to be read.
    #[inline]
    pub(crate) fn block(&self) -> &mempool::Ref<Block<H, T, N>> {
        &self.block
    }

    /// The record that was appended last.
    #[inline]
    pub(crate) fn last(&self) -> Option<T> {
        let index = (self.len as usize).checked_sub(1)?;

        // SAFETY: In bounds, initialised, and nobody writes to it: by the type invariants it is one of
        // the first `len` records of the block.
        Some(unsafe { *self.block.records.get().cast::<T>().add(index) })
    }

    /// Appends and publishes `record`; fails with `ENOSPC` if the block is full.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn push(&mut self, record: T) -> Result {
        let index = self.len as usize;
        if index >= N {
            return Err(ENOSPC);
        }

        // SAFETY: In bounds, and not published yet: nobody else touches this record, since this is
        // the only appender, borrowed exclusively.
        unsafe {
            self.block
                .records
                .get()
                .cast::<T>()
                .add(index)
                .write(record)
        };
        // INVARIANT: Initialised above, and never written again. (It was below `N`, which is far below
        // 2^32: a block is one slab object.)
        self.len = self.len.wrapping_add(1);
        store_release(&self.block.len, self.len);
        Ok(())
    }

    /// Ends appending.
    pub(crate) fn finish(self) -> mempool::Ref<Block<H, T, N>> {
        self.block
    }
}

#[kunit_tests(taskmonitor_append)]
mod tests {
    use super::*;

    use kernel::sync::Arc;

    use crate::wrappers::slab;

    type Small = Block<u8, u64, 3>;

    fn pool() -> Result<Arc<mempool::Pool<Small>>> {
        let cache = slab::Cache::new(c"taskmonitor_test", slab::Flags::NO_MERGE)?;
        mempool::Pool::new(cache, 1)
    }

    #[test]
    fn a_block_shows_what_was_appended() -> Result {
        let pool = pool()?;
        let block = pool.alloc(Small::empty()).ok_or(ENOMEM)?;
        assert_eq!((block.len(), block.get(0)), (0, None));
        let mut appender = Appender::new(block, 7);
        let reader = appender.block().clone();
        assert_eq!(appender.last(), None);
        for count in 1..=3 {
            let value = 100 + count as u64;
            assert_eq!(appender.push(value), Ok(()));
            assert_eq!(reader.len(), count);
            assert_eq!(reader.get(count - 1), Some(value));
            assert_eq!(reader.get(count), None);
            assert_eq!(appender.last(), Some(value));
        }
        assert_eq!(*reader.header(), 7);
        assert_eq!(reader.get(usize::MAX), None);
        Ok(())
    }

    #[test]
    fn a_full_block_takes_no_more() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        for value in 0..3 {
            assert_eq!(appender.push(value), Ok(()));
        }
        assert_eq!(appender.push(3), Err(ENOSPC));
        let block = appender.finish();
        assert_eq!((block.len(), block.get(2)), (3, Some(2)));
        Ok(())
    }

    #[test]
    fn a_block_starts_anew() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        appender.push(1)?;
        let Ok(unique) = appender.finish().try_into_unique() else {
            return Err(EBUSY);
        };
        let mut appender = Appender::new(unique, 8);
        let block = appender.block().clone();
        assert_eq!((*block.header(), block.len(), block.get(0)), (8, 0, None));
        appender.push(2)?;
        assert_eq!(block.get(0), Some(2));
        Ok(())
    }
}
