// SPDX-License-Identifier: GPL-2.0

//! 128-bit intermediate results, for which the kernel has no compiler runtime.
//!
//! C header: [`include/linux/math64.h`](srctree/include/linux/math64.h)

/// Returns `a * b / divisor`, rounded down, with a product of 128 bits; `u64::MAX` if the result does
/// not fit, or if `divisor` is 0.
///
/// Context: any. Does what `mul_u64_u64_div_u64()` does on x86-64.
#[cfg(target_arch = "x86_64")]
pub(crate) fn mul_u64_u64_div_u64(a: u64, b: u64, divisor: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // CAST: The two halves of the product.
    let (high, low) = ((product >> 64) as u64, product as u64);
    if high >= divisor {
        return u64::MAX;
    }
    let quotient: u64;

    // SAFETY: `div` faults if the quotient does not fit into 64 bits, which is so if and only if
    // `high >= divisor`: excluded above. It touches no memory.
    unsafe {
        core::arch::asm!(
            "div {}",
            in(reg) divisor,
            inlateout("rax") low => quotient,
            inlateout("rdx") high => _,
            options(pure, nomem, nostack),
        );
    }
    quotient
}
