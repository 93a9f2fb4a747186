// SPDX-License-Identifier: GPL-2.0

//! How much memory the machine has, and an address space takes.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use kernel::{
    bindings,
    mm::Mm,
    sync::aref::ARef, //
};

/// Pages of memory that the kernel manages. Wraps `totalram_pages()`.
///
/// Context: any.
pub(crate) fn total_pages() -> u64 {
    // SAFETY: A counter of the kernel's, which may change meanwhile.
    let pages = unsafe { (&raw const bindings::_totalram_pages.counter).read_volatile() };
    // CAST: Never negative.
    pages as u64
}

/// What is seen of an address space.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident pages.
    pub(crate) rss: u64,
    /// Users of it (`mm_users`).
    pub(crate) mm_users: u32,
}

/// Looks at an address space: its pages are counted as in `/proc/PID/stat` (`get_mm_rss()`).
///
/// Each of the three counters lacks what the processors have not added to it yet, less than
/// `percpu_counter_batch` pages each. `__percpu_counter_sum()` would add that up, under the counter's
/// lock, with interrupts off, and at a cost that grows with the number of processors.
///
/// Context: any; takes no lock.
#[inline(always)]
pub(crate) fn usage(mm: &Mm) -> Memory {
    // SAFETY: `mm` is valid. Counters, which may change meanwhile.
    unsafe {
        let mm = &raw const (*mm.as_raw()).__bindgen_anon_1;
        let count =
            |member: u32| (&raw const (*mm).rss_stat[member as usize].count).read_volatile();
        let (file, anon, shmem) = (
            count(bindings::MM_FILEPAGES),
            count(bindings::MM_ANONPAGES),
            count(bindings::MM_SHMEMPAGES),
        );
        // What percpu_counter_read_positive() returns of each. They are hardly ever negative.
        let pages = if file | anon | shmem >= 0 {
            file.wrapping_add(anon).wrapping_add(shmem)
        } else {
            file.max(0)
                .wrapping_add(anon.max(0))
                .wrapping_add(shmem.max(0))
        };
        Memory {
            // CAST: Not negative.
            rss: pages as u64,
            // CAST: A count, never negative.
            mm_users: (&raw const (*mm).mm_users.counter).read_volatile() as u32,
        }
    }
}

/// Address spaces that were let go under a spinlock, to be dropped when it is released.
///
/// The last `mmdrop()` of an address space frees it: `__mmdrop()` frees the page table, and sums up
/// four counters over all processors, with interrupts off. Those who wait for the spinlock should not
/// have to wait for that.
pub(crate) struct DropBatch {
    mms: [Option<ARef<Mm>>; Self::CAPACITY],
    len: usize,
}

impl DropBatch {
    /// The most that it holds. It is on the stack of the sampling thread.
    const CAPACITY: usize = 64;

    /// The most that reading a task lets go: the address spaces of its former leader, of its leader, and
    /// of another thread.
    const PER_READING: usize = 3;

    pub(crate) fn new() -> Self {
        Self {
            mms: [const { None }; Self::CAPACITY],
            len: 0,
        }
    }

    /// Puts `mm` in. If there is no room, drops it at once.
    ///
    /// Context: any.
    pub(crate) fn push(&mut self, mm: ARef<Mm>) {
        if let Some(place) = self.mms.get_mut(self.len) {
            *place = Some(mm);
            self.len = self.len.wrapping_add(1);
        }
    }

    /// True while there is room for what so many more readings of tasks let go.
    #[inline]
    pub(crate) fn has_room(&self, readings: usize) -> bool {
        let free = Self::CAPACITY.saturating_sub(self.len);
        free >= readings.saturating_mul(Self::PER_READING)
    }

    /// How many it holds. For unit tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Drops what is in it.
    ///
    /// Context: any, but with no spinlock held.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if self.len > 0 {
            self.clear_some();
        }
    }

    #[cold]
    fn clear_some(&mut self) {
        for place in self.mms.iter_mut().take(self.len) {
            *place = None;
        }
        self.len = 0;
    }
}
