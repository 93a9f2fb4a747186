// SPDX-License-Identifier: GPL-2.0

//! How much memory the machine has, and an address space takes.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use kernel::{
    bindings,
    mm::Mm, //
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
