// SPDX-License-Identifier: GPL-2.0

//! 128-bit intermediate results, for which the kernel has no compiler runtime.
//!
//! C header: [`include/linux/math64.h`](srctree/include/linux/math64.h)

/// Returns `a * b / divisor`, rounded down, with a product of 128 bits; `u64::MAX` if the result does
/// not fit, or if `divisor` is 0.
///
/// Context: any. Wraps `mul_u64_u64_div_u64()`. On x86-64 that is an inline function, which Rust code
/// cannot call; the same instruction is used here.
pub(crate) fn mul_u64_u64_div_u64(a: u64, b: u64, divisor: u64) -> u64 {
    // A product of two numbers of 64 bits fits. (The overflow check of `*` might call the compiler
    // runtime.)
    let product = u128::from(a).wrapping_mul(u128::from(b));
    // CAST: The upper half of the product.
    let high = (product >> 64) as u64;
    // So the quotient fits from here on, and the divisor is not 0. What a CPU does otherwise differs:
    // x86-64 traps, arm64 gives 0.
    if high >= divisor {
        return u64::MAX;
    }

    #[cfg(target_arch = "x86_64")]
    {
        // CAST: The lower half of the product.
        let low = product as u64;
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

    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: A function of its arguments alone. It divides by 0 if `divisor` is 0: excluded above.
    unsafe {
        kernel::bindings::mul_u64_add_u64_div_u64(a, b, 0, divisor)
    }
}

#[kernel::macros::kunit_tests(taskmonitor_math)]
mod tests {
    use super::mul_u64_u64_div_u64 as scale;

    use crate::testing::Random;

    /// Whether the result is the one of which the definition of a quotient holds.
    fn is_right(a: u64, b: u64, divisor: u64) -> bool {
        let product = u128::from(a).wrapping_mul(u128::from(b));
        let divisor = u128::from(divisor);
        let quotient = scale(a, b, divisor as u64);
        if product >= divisor << 64 {
            return quotient == u64::MAX;
        }
        let multiple = u128::from(quotient).wrapping_mul(divisor);
        multiple <= product && product - multiple < divisor
    }

    #[test]
    fn small_numbers() {
        assert_eq!(scale(6, 7, 2), 21);
        assert_eq!(scale(10, 10, 3), 33);
        assert_eq!(scale(2, 1, 3), 0);
        assert_eq!(scale(0, u64::MAX, 1), 0);
        assert_eq!(scale(u64::MAX, 0, u64::MAX), 0);
    }

    #[test]
    fn products_beyond_64_bits() {
        assert_eq!(scale(1 << 40, 1 << 40, 1 << 30), 1 << 50);
        assert_eq!(scale(1 << 32, 1 << 32, 2), 1 << 63);
        assert_eq!(scale(u64::MAX, 2, 3), 12_297_829_382_473_034_410);
        assert_eq!(scale(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(
            scale(1_000_000_000_000_000_000, 10_000_000_000, 1_000_000_000_000),
            10_000_000_000_000_000
        );
        // (2^64 - 1) * (2^64 - 2) / (2^64 - 1), and one less to be divided by.
        assert_eq!(scale(u64::MAX, u64::MAX - 1, u64::MAX), u64::MAX - 1);
        assert_eq!(scale(u64::MAX, u64::MAX - 2, u64::MAX - 1), u64::MAX - 2);
    }

    #[test]
    fn what_does_not_fit_is_the_largest() {
        assert_eq!(scale(1 << 32, 1 << 32, 1), u64::MAX);
        assert_eq!(scale(u64::MAX, 2, 1), u64::MAX);
        assert_eq!(scale(u64::MAX, u64::MAX, u64::MAX - 1), u64::MAX);
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(scale(0, 0, 0), u64::MAX);
        assert_eq!(scale(1, 1, 0), u64::MAX);
        assert_eq!(scale(u64::MAX, u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn many_numbers_of_all_sizes() {
        let mut random = Random::new();
        for _ in 0..50_000 {
            let (a, b, divisor) = (random.any_size(), random.any_size(), random.any_size());
            assert!(is_right(a, b, divisor));
            assert!(is_right(a, b, a.max(b)));
            assert!(is_right(a, b, a.wrapping_add(1)));
        }
    }
}
