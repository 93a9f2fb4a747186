// SPDX-License-Identifier: GPL-2.0

//! Lines of text.

use kernel::{
    fmt,
    prelude::*, //
};

/// The longest line that any file shows, in bytes: a task's, whose counts have 20 digits each at
/// most, and whose name four bytes for each of 15.
const MAX_LINE: usize = 512;

/// The two digits of each number below 100.
const DIGITS: [[u8; 2]; 100] = {
    let mut digits = [[0; 2]; 100];
    let mut number = 0;
    while number < digits.len() {
        // CAST: A digit.
        digits[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    digits
};

/// Powers of ten, by their exponents: all that fit.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = 10 * powers[exponent - 1];
        exponent += 1;
    }
    powers
};

/// How many digits a number has that is not 0. (`ilog10()` takes twice as long.)
#[inline]
fn digits(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    // Bits by log2(10), rounded down: the number of digits, or one less. CAST: 19 at most.
    let few = ((bits * 1233) >> 12) as usize;
    let more = POWERS.get(few).is_some_and(|power| number >= *power);
    few + usize::from(more)
}

/// A line that is being made.
///
/// It is put together by hand: `fmt` takes several times as many instructions, and reading a history is
/// little else than that.
pub(crate) struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    /// Something did not fit.
    overflow: bool,
}

impl Line {
    /// Makes an empty line.
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; MAX_LINE],
            len: 0,
            overflow: false,
        }
    }

    /// Empties the line.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.overflow = false;
    }

    /// What was written so far.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Fails with `EINVAL` if something did not fit; of that, nothing was written.
    #[inline]
    pub(crate) fn check(&self) -> Result {
        if self.overflow {
            Err(EINVAL)
        } else {
            Ok(())
        }
    }

    /// The next `len` bytes, to be written; none if there are not so many.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len.wrapping_add(len);
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                self.len = end;
                room
            }
            None => {
                self.overflow = true;
                &mut []
            }
        }
    }

    /// Writes `text`.
    #[inline(always)]
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        // (Of the same length, or empty.)
        for (to, from) in self.room(text.len()).iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self
    }

    /// Writes a number.
    #[inline]
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        // Most counts of a line are 0 or 1: they need not be measured.
        if number < 10 {
            // CAST: A digit.
            return self.letter(b'0' | number as u8);
        }
        let mut rest = number;
        let mut pairs = self.room(digits(number)).rchunks_exact_mut(2);
        for pair in &mut pairs {
            // CAST: Less than 100.
            if let Some(digits) = DIGITS.get((rest % 100) as usize) {
                pair.copy_from_slice(digits);
            }
            rest /= 100;
        }
        if let [first] = pairs.into_remainder() {
            // CAST: A digit.
            *first = b'0' | rest as u8;
        }
        self
    }

    /// Writes a number that may be negative.
    pub(crate) fn signed(&mut self, number: i32) -> &mut Self {
        if number < 0 {
            self.text("-");
        }
        self.number(number.unsigned_abs().into())
    }

    /// Writes one letter, of ASCII.
    #[inline]
    pub(crate) fn letter(&mut self, letter: u8) -> &mut Self {
        if let [to] = self.room(1) {
            *to = letter;
        }
        self
    }

    /// Writes bytes that may be anything such that they can neither end a line nor command a terminal:
    /// everything but printable ASCII, and the backslash, as `\ooo`.
    pub(crate) fn escaped(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            match *byte {
                b' '..=b'~' if *byte != b'\\' => {
                    self.letter(*byte);
                }
                byte => {
                    if let [backslash, high, middle, low] = self.room(4) {
                        *backslash = b'\\';
                        *high = b'0' | byte >> 6;
                        *middle = b'0' | byte >> 3 & 7;
                        *low = b'0' | byte & 7;
                    }
                }
            }
        }
        self
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = self.len;
        self.text(text);
        if self.len.wrapping_sub(len) == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[kernel::macros::kunit_tests(taskmonitor_text)]
mod tests {
    use super::*;

    use kernel::fmt::Write as _;

    use crate::testing::Random;

    /// 64 bytes.
    const PART: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_line_is_what_was_written() {
        let mut line = Line::new();
        assert_eq!(line.bytes(), b"");
        assert!(line.write_str("pid ").is_ok());
        assert!(line.write_fmt(fmt!("{} {}\n", 267, 'S')).is_ok());
        assert!(line.write_str("").is_ok());
        assert_eq!(line.bytes(), b"pid 267 S\n");
    }

    #[test]
    fn a_line_has_up_to_512_bytes() {
        let mut line = Line::new();
        for _ in 0..8 {
            assert!(line.write_str(PART).is_ok());
        }
        assert_eq!(line.bytes().len(), 512);
        assert!(line.bytes().chunks(64).all(|part| part == PART.as_bytes()));
        assert!(line.write_str("").is_ok());
        assert!(line.write_str("x").is_err());
        assert!(line.write_str(PART).is_err());
        assert_eq!(line.bytes().len(), 512);
    }

    #[test]
    fn of_what_does_not_fit_nothing_is_written() {
        let mut line = Line::new();
        for _ in 0..7 {
            assert!(line.write_str(PART).is_ok());
        }
        assert!(line.write_str("abc").is_ok());
        assert!(line.write_str(PART).is_err());
        assert_eq!(line.bytes().len(), 451);
        // What fits still does.
        assert!(line.write_str("defg").is_ok());
        assert!(line.bytes().ends_with(b"efabcdefg"));
    }

    #[test]
    fn numbers_have_their_digits() {
        let mut number: u64 = 0;
        // 0, 1, 9, 10, 99, 100, ... and the numbers around.
        for _ in 0..=20 {
            for number in number.saturating_sub(2)..=number.saturating_add(2) {
                let (mut line, mut expected) = (Line::new(), Line::new());
                line.text("a ").number(number).text(" b");
                assert!(expected.write_fmt(fmt!("a {number} b")).is_ok());
                assert_eq!(line.bytes(), expected.bytes());
            }
            number = number.saturating_mul(10).max(1);
        }
    }

    #[test]
    fn any_number_is_as_by_fmt() {
        let mut random = Random::new();
        for _ in 0..10_000 {
            let number = random.any_size();
            // CAST: Any number will do.
            let signed = number as i32;
            let (mut line, mut expected) = (Line::new(), Line::new());
            line.number(number).letter(b' ').signed(signed);
            assert!(expected.write_fmt(fmt!("{number} {signed}")).is_ok());
            assert_eq!(line.bytes(), expected.bytes());
        }
        let mut line = Line::new();
        line.signed(i32::MIN).text(" ").signed(i32::MAX);
        assert_eq!(line.bytes(), b"-2147483648 2147483647");
    }

    #[test]
    fn what_did_not_fit_is_told() {
        let mut line = Line::new();
        for _ in 0..7 {
            line.text(PART);
        }
        line.text(PART.get(..62).unwrap_or_default());
        assert!(line.check().is_ok());
        line.number(123);
        assert!(line.check().is_err());
        line.escaped(b"\n").number(45).letter(b'x');
        assert!(line.check().is_err());
        // What fits still does.
        assert!(line.bytes().ends_with(b"bcd45"));
        assert_eq!(line.bytes().len(), 512);
        line.clear();
        assert!(line.check().is_ok() && line.bytes().is_empty());
    }

    #[test]
    fn names_are_readable() {
        let mut line = Line::new();
        line.escaped(b"a b\n\\\x1b[1m\0\xff~");
        assert_eq!(line.bytes(), br"a b\012\134\033[1m\000\377~");
    }

    #[test]
    fn each_byte_is_itself_or_three_octal_digits() {
        for byte in 0..=u8::MAX {
            let mut line = Line::new();
            line.escaped(&[byte]);
            let (high, middle, low) = (byte / 64, byte / 8 % 8, byte % 8);
            let octal = [b'\\', b'0' + high, b'0' + middle, b'0' + low];
            if (0x20..0x7f).contains(&byte) && byte != 0x5c {
                assert_eq!(line.bytes(), [byte]);
            } else {
                assert_eq!(line.bytes(), octal);
            }
        }
    }
}
