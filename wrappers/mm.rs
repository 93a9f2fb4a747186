// SPDX-License-Identifier: GPL-2.0

//! How much memory the machine has.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use kernel::bindings;

/// Pages of memory that the kernel manages. Wraps `totalram_pages()`.
///
/// Context: any.
pub(crate) fn total_pages() -> u64 {
    // SAFETY: A counter of the kernel's, which may change meanwhile.
    let pages = unsafe { (&raw const bindings::_totalram_pages.counter).read_volatile() };
    // CAST: Never negative.
    pages as u64
}
