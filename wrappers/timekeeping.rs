// SPDX-License-Identifier: GPL-2.0

//! The kernel's clocks, in nanoseconds.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use kernel::bindings;

/// `CLOCK_MONOTONIC`: what timers run on; stands still while the machine is suspended.
///
/// Context: any but NMI. Wraps `ktime_get()`.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: Can be called in any context but NMI.
    let now = unsafe { bindings::ktime_get() };
    // CAST: The clock counts from the boot on and is never negative.
    now as u64
}

/// What `CLOCK_BOOTTIME` says when `CLOCK_MONOTONIC` says `monotonic`, which must be about now.
///
/// Context: any. Wraps `ktime_mono_to_any()`.
pub(crate) fn boottime_of(monotonic: u64) -> u64 {
    // CAST: The clocks count from the boot on and are never negative, nor that late.
    // SAFETY: Can be called in any context.
    unsafe {
        bindings::ktime_mono_to_any(monotonic as i64, bindings::tk_offsets_TK_OFFS_BOOT) as u64
    }
}

/// `CLOCK_BOOTTIME`: goes on while the machine is suspended.
///
/// Context: any but NMI. Wraps `ktime_get_boottime()`.
pub(crate) fn boottime_ns() -> u64 {
    // SAFETY: Can be called in any context but NMI.
    let now = unsafe { bindings::ktime_get_with_offset(bindings::tk_offsets_TK_OFFS_BOOT) };
    // CAST: As above.
    now as u64
}

/// The scheduler's clock, which counts from about the boot on, as read on this processor. Those of two
/// processors may differ where their counters are not synchronized.
///
/// Context: any. Wraps `sched_clock()`.
#[cfg(CONFIG_VIRT_CPU_ACCOUNTING_GEN)]
pub(crate) fn sched_clock() -> u64 {
    // No header that the bindings are made of declares it.
    extern "C" {
        #[link_name = "sched_clock"]
        fn c_sched_clock() -> u64;
    }

    // SAFETY: Can be called in any context; it is exported.
    unsafe { c_sched_clock() }
}
