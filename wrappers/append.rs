// SPDX-License-Identifier: GPL-2.0

//! Blocks of bytes that are appended by one, and read by many without a lock.
//!
//! A [`Block`] is a pool object. Whoever has it for itself can become its [`Appender`], of which there
//! is at most one; from then on others may hold references and read what was published: records, each
//! of some bytes. These never change, until the last reference but one is gone and the block starts anew.

use core::{
    cell::UnsafeCell,
    convert::Infallible,
    ptr::NonNull,
    slice, //
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

/// Up to `N` bytes of records, and a header that tells what the records have in common.
///
/// # Invariants
///
/// - All bytes are initialised.
/// - `published` is what [`counts`] makes of numbers of records and of bytes, the latter at most `N`.
///   Nobody writes to so many bytes from the first on.
/// - The others are used by the block's only [`Appender`] alone, if there is one.
pub(crate) struct Block<H, const N: usize> {
    header: H,
    published: Atomic<u32>,
    bytes: UnsafeCell<[u8; N]>,
}

/// How many records and bytes there are, in one number, so that both are published at once.
const fn counts(records: u32, bytes: u32) -> u32 {
    bytes << 16 | records
}

// SAFETY: A block can be moved to another thread if what it holds can.
unsafe impl<H: Send, const N: usize> Send for Block<H, N> {}

// SAFETY: Shared, a block gives the header and those bytes that nobody writes to any more. The bytes
// behind them are touched by its only appender.
unsafe impl<H: Sync, const N: usize> Sync for Block<H, N> {}

impl<H: Default, const N: usize> Block<H, N> {
    /// How many bytes fit.
    pub(crate) const CAPACITY: usize = {
        // Both numbers fit into 16 bits each, as no record is empty.
        assert!(N <= u16::MAX as usize);
        N
    };

    /// Initialises an empty block in place.
    pub(crate) fn empty() -> impl Init<Self, Infallible> {
        // (It is not evaluated unless somebody asks for it.)
        const { assert!(Self::CAPACITY == N) };
        let init = |slot: *mut Self| {
            // SAFETY: `slot` is valid for writes, as the contract of `init_from_closure` says.
            unsafe {
                (&raw mut (*slot).header).write(H::default());
                // INVARIANT: Nothing is published, and all bytes are initialised.
                (&raw mut (*slot).published).write(Atomic::new(counts(0, 0)));
                (&raw mut (*slot).bytes).write_bytes(0, 1);
            }
            Ok(())
        };

        // SAFETY: The closure initialises all fields, never fails, and the block may be moved.
        unsafe { pin_init::init_from_closure(init) }
    }

    /// What the records have in common.
    #[inline]
    pub(crate) fn header(&self) -> &H {
        &self.header
    }

    /// How many records are published.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // CAST: To a type that is wider.
        (self.published.load(Acquire) & 0xffff) as usize
    }

    /// How many records are published, and their bytes.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn published(&self) -> (usize, &[u8]) {
        let published = self.published.load(Acquire);
        let (records, bytes) = (published & 0xffff, published >> 16);

        // CAST: To a type that is wider, here and below.
        // SAFETY: By the type invariants these bytes are in bounds and initialised, and nobody writes to
        // them; the load acquired what the appender wrote before. The block starts anew by a reference to
        // it that is the only one, which this one then precludes.
        let bytes = unsafe { slice::from_raw_parts(self.bytes.get().cast(), bytes as usize) };
        (records as usize, bytes)
    }
}

/// The only one who appends to a [`Block`].
///
/// # Invariants
///
/// - No other appender of the same block exists.
/// - `published` is the block's.
pub(crate) struct Appender<H, const N: usize> {
    block: mempool::Ref<Block<H, N>>,
    published: u32,
}

impl<H: Default, const N: usize> Appender<H, N> {
    /// Starts a block (anew), with a header of its own and no records.
    pub(crate) fn new(mut block: mempool::UniqueRef<Block<H, N>>, header: H) -> Self {
        let nothing = counts(0, 0);
        block.header = header;
        // INVARIANT (of the block): Nothing is published.
        block.published = Atomic::new(nothing);

        // INVARIANT: An appender holds a reference, and there was no other, so it has none.
        Self {
            block: block.share(),
            published: nothing,
        }
    }

    /// The block that this appends to, to be read.
    #[inline]
    pub(crate) fn block(&self) -> &mempool::Ref<Block<H, N>> {
        &self.block
    }

    /// Room of `ROOM` bytes for the next record, if there is so much.
    ///
    /// Context: any.
    #[inline(always)]
    pub(crate) fn slot<const ROOM: usize>(&mut self) -> Option<Slot<'_, H, N, ROOM>> {
        let published = self.published;
        let bytes = self.room().first_chunk_mut()?;
        let bytes = NonNull::from(bytes);
        // INVARIANT: `published` was just read; the first bytes of `room()`, which nobody else uses as long as this
        // is borrowed.
        Some(Slot {
            appender: self,
            published,
            bytes,
        })
    }

    /// Appends and publishes a record of these bytes. Returns whether it was published: not if there are none,
    /// or not so much room.
    ///
    /// Context: any.
    pub(crate) fn append_bytes(&mut self, record: &[u8]) -> bool {
        let published = self.published;
        match self.room().get_mut(..record.len()) {
            Some(room) if !record.is_empty() => {
                room.copy_from_slice(record);
                // SAFETY: `published` was read above; there are so many bytes, and they are not none.
                unsafe { self.publish(published, record.len()) };
                true
            }
            _ => false,
        }
    }

    /// The bytes behind those that are published.
    #[inline(always)]
    fn room(&mut self) -> &mut [u8] {
        // CAST: To a type that is wider.
        let bytes = (self.published >> 16) as usize;
        let first = self.block.bytes.get().cast::<u8>();

        // SAFETY: By the type invariants of the block, `bytes` of its bytes are published, at most all; those
        // behind them, which are initialised, are used by its only appender alone: this one, borrowed
        // exclusively.
        unsafe { slice::from_raw_parts_mut(first.add(bytes), N.wrapping_sub(bytes)) }
    }

    /// Publishes the next `len` bytes as a record. `before` is `published`, which so need not be loaded again.
    ///
    /// # Safety
    ///
    /// `before` must be `published`, and there must be so many bytes behind those that are published, and at least one.
    #[inline(always)]
    unsafe fn publish(&mut self, before: u32, len: usize) {
        // INVARIANT: These bytes are initialised, and nobody writes to them again. There are no more bytes
        // than `CAPACITY`, and no more records than bytes: both fit into 16 bits.
        // CAST: At most `CAPACITY`, as the contract says.
        self.published = before.wrapping_add(counts(1, len as u32));
        store_release(&self.block.published, self.published);
    }

    /// Ends appending.
    pub(crate) fn finish(self) -> mempool::Ref<Block<H, N>> {
        self.block
    }
}

/// Room for a record of up to `ROOM` bytes.
///
/// # Invariants
///
/// - `published` is that of `appender`.
/// - `bytes` are the first of those behind what is published.
pub(crate) struct Slot<'a, H, const N: usize, const ROOM: usize> {
    appender: &'a mut Appender<H, N>,
    published: u32,
    bytes: NonNull<[u8; ROOM]>,
}

impl<H: Default, const N: usize, const ROOM: usize> Slot<'_, H, N, ROOM> {
    /// Where the record is written to, from the first byte on.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> &mut [u8; ROOM] {
        // SAFETY: By the type invariants, and those of the block, these bytes are initialised, and used by
        // its only appender alone, which is borrowed exclusively by this slot.
        unsafe { self.bytes.as_mut() }
    }

    /// Publishes the first `len` bytes as a record. Returns whether they were published: not if there are none,
    /// or not so many.
    #[inline(always)]
    pub(crate) fn publish(self, len: usize) -> bool {
        if len == 0 || len > ROOM {
            return false;
        }
        // SAFETY: By the type invariants, `published` is that of the appender, and there are `ROOM` bytes behind it.
        unsafe { self.appender.publish(self.published, len) };
        true
    }
}

#[kunit_tests(taskmonitor_append)]
mod tests {
    use super::*;

    use kernel::sync::Arc;

    use crate::wrappers::slab;

    type Small = Block<u8, 10>;

    fn pool() -> Result<Arc<mempool::Pool<Small>>> {
        let cache = slab::Cache::new(c"taskmonitor_test", slab::Flags::NO_MERGE)?;
        mempool::Pool::new(cache, 1)
    }

    /// Appends a record of these bytes.
    fn append<const LEN: usize>(appender: &mut Appender<u8, 10>, record: [u8; LEN]) -> bool {
        let Some(mut slot) = appender.slot() else {
            return false;
        };
        *slot.bytes() = record;
        slot.publish(LEN)
    }

    #[test]
    fn a_block_shows_what_was_appended() -> Result {
        let pool = pool()?;
        let block = pool.alloc(Small::empty()).ok_or(ENOMEM)?;
        assert_eq!((block.len(), block.published()), (0, (0, &[][..])));
        let mut appender = Appender::new(block, 7);
        let reader = appender.block().clone();
        assert!(append(&mut appender, [1, 2, 3]));
        assert_eq!(reader.published(), (1, &[1, 2, 3][..]));
        assert!(append(&mut appender, [4]));
        assert_eq!(reader.published(), (2, &[1, 2, 3, 4][..]));
        assert!(append(&mut appender, [5, 6, 7, 8, 9, 10]));
        let all = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..];
        assert_eq!(reader.published(), (3, all));
        assert_eq!(reader.len(), 3);
        assert_eq!(*reader.header(), 7);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_not_appended() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        assert!(!append(&mut appender, [1; 11]));
        assert!(append(&mut appender, [1; 8]));
        assert!(!append(&mut appender, [2; 3]));
        // Nor what is no record.
        for len in [0, 3, 1 << 16, usize::MAX] {
            let slot = appender.slot::<2>().ok_or(ENOSPC)?;
            assert!(!slot.publish(len));
        }
        assert_eq!(appender.block().published(), (1, &[1; 8][..]));
        assert!(append(&mut appender, [3; 2]));
        // And a full block takes no more.
        assert!(appender.slot::<1>().is_none());
        let block = appender.finish();
        assert_eq!(block.published(), (2, &[1, 1, 1, 1, 1, 1, 1, 1, 3, 3][..]));
        Ok(())
    }

    #[test]
    fn bytes_are_a_record() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        assert!(!appender.append_bytes(&[]));
        assert!(!appender.append_bytes(&[1; 11]));
        assert!(appender.append_bytes(&[1; 4]));
        assert!(!appender.append_bytes(&[2; 7]));
        assert!(appender.append_bytes(&[3; 6]));
        let expected = &[1, 1, 1, 1, 3, 3, 3, 3, 3, 3][..];
        assert_eq!(appender.block().published(), (2, expected));
        Ok(())
    }

    #[test]
    fn what_is_written_behind_a_record_is_not_published() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        for len in 1..=4 {
            let mut slot = appender.slot::<4>().ok_or(ENOSPC)?;
            // CAST: A small number.
            slot.bytes().fill(len as u8);
            assert!(slot.publish(len));
        }
        let expected = &[1, 2, 2, 3, 3, 3, 4, 4, 4, 4][..];
        assert_eq!(appender.block().published(), (4, expected));
        Ok(())
    }

    #[test]
    fn a_block_starts_anew() -> Result {
        let pool = pool()?;
        let mut appender = Appender::new(pool.alloc(Small::empty()).ok_or(ENOMEM)?, 7);
        assert!(append(&mut appender, [1]));
        let Ok(unique) = appender.finish().try_into_unique() else {
            return Err(EBUSY);
        };
        let mut appender = Appender::new(unique, 8);
        let block = appender.block().clone();
        assert_eq!((*block.header(), block.published()), (8, (0, &[][..])));
        assert!(append(&mut appender, [2]));
        assert_eq!(block.published(), (1, &[2][..]));
        Ok(())
    }
}
