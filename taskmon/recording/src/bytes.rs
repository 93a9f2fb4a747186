// SPDX-License-Identifier: GPL-2.0-only

//! Numbers as bytes.

/// Appends `number` as a varint.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends `value - base`, modulo 2^64, as a signed varint.
pub(crate) fn put_difference(out: &mut Vec<u8>, value: u64, base: u64) {
    let difference = value.wrapping_sub(base) as i64;
    put(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A varint. More than 64 bits are none.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // Of the tenth byte, one bit is of the number.
            if shift == 63 && byte > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A varint of at most 32 bits.
    pub(crate) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A signed varint, and `base` added to it, modulo 2^64.
    pub(crate) fn difference(&mut self, base: u64) -> Option<u64> {
        let number = self.number()?;
        Some(base.wrapping_add((number >> 1) ^ (number & 1).wrapping_neg()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
            let mut out = Vec::new();
            put(&mut out, number);
            assert_eq!(out, bytes);
        }
        for number in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut out = Vec::new();
            put(&mut out, number);
            put_difference(&mut out, number, 1000);
            put_difference(&mut out, 1000, number);
            let mut bytes = Bytes::new(&out);
            assert_eq!(bytes.number(), Some(number));
            assert_eq!(bytes.difference(1000), Some(number));
            assert_eq!(bytes.difference(number), Some(1000));
            assert_eq!(bytes.len(), 0);
        }
        for near in [999, 1000, 1001, 937, 1063] {
            let mut out = Vec::new();
            put_difference(&mut out, near, 1000);
            assert_eq!(out.len(), 1, "{near}");
        }
    }

    #[test]
    fn no_numbers() {
        for bad in [&[][..], &[0x80], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            assert_eq!(Bytes::new(bad).number(), None, "{bad:?}");
        }
        assert_eq!(Bytes::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).small(), None);
        assert_eq!(Bytes::new(&[1, 2]).take(3), None);
    }
}
