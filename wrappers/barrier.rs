// SPDX-License-Identifier: GPL-2.0

//! Memory barriers, without a call where they are no instruction.
//!
//! The helpers of the `kernel` crate are functions. On x86, where loads are not reordered with loads nor
//! stores with stores, a barrier between them is one for the compiler alone, and the call would cost more
//! than what is done around it. (KCSAN wants to know of each: there, the helpers are called.)
//!
//! C header: [`include/asm-generic/barrier.h`](srctree/include/asm-generic/barrier.h)

use kernel::sync::atomic::Atomic;

#[cfg(not(all(CONFIG_X86_64, not(CONFIG_KCSAN))))]
use kernel::{
    bindings,
    sync::atomic::Release, //
};

/// As `barrier()`.
#[cfg(all(CONFIG_X86_64, not(CONFIG_KCSAN)))]
#[inline(always)]
fn barrier() {
    // SAFETY: No instruction. It is taken to access all memory.
    unsafe { core::arch::asm!("") };
}

/// Orders what is read before against what is read behind, as `smp_rmb()`.
#[inline(always)]
pub(crate) fn smp_rmb() {
    #[cfg(all(CONFIG_X86_64, not(CONFIG_KCSAN)))]
    barrier();

    #[cfg(not(all(CONFIG_X86_64, not(CONFIG_KCSAN))))]
    // SAFETY: Always safe to call.
    unsafe {
        bindings::smp_rmb()
    };
}

/// Stores `value` behind all that was read and written before, as `smp_store_release()`.
#[inline(always)]
pub(crate) fn store_release(atomic: &Atomic<u32>, value: u32) {
    #[cfg(all(CONFIG_X86_64, not(CONFIG_KCSAN)))]
    {
        barrier();
        // SAFETY: Valid, and aligned. One store, as by `WRITE_ONCE()`.
        unsafe { atomic.as_ptr().write_volatile(value) };
    }

    #[cfg(not(all(CONFIG_X86_64, not(CONFIG_KCSAN))))]
    atomic.store(value, Release);
}
