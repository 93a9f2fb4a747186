// SPDX-License-Identifier: GPL-2.0

//! Lines of text.

use kernel::fmt;

/// The longest line that any file shows, in bytes: a task's, whose counts have 20 digits each at
/// most, and whose name four bytes for each of 15.
const MAX_LINE: usize = 512;

/// A line that is being made.
pub(crate) struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
}

impl Line {
    /// Makes an empty line.
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; MAX_LINE],
            len: 0,
        }
    }

    /// What was written so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.len = end;
        Ok(())
    }
}

/// Bytes that may be anything, shown so that they can neither end a line nor command a terminal:
/// everything but printable ASCII, and the backslash, as `\ooo`.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match *byte {
                b'\\' => f.write_str("\\134")?,
                byte @ b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                byte => write!(f, "\\{byte:03o}")?,
            }
        }
        Ok(())
    }
}

#[kernel::macros::kunit_tests(taskmonitor_text)]
mod tests {
    use super::*;

    use kernel::{
        fmt::Write as _,
        prelude::fmt, //
    };

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
    fn names_are_readable() {
        let mut line = Line::new();
        let name = Escaped(b"a b\n\\\x1b[1m\0\xff~");
        assert!(line.write_fmt(fmt!("{name}")).is_ok());
        assert_eq!(line.bytes(), br"a b\012\134\033[1m\000\377~");
    }

    #[test]
    fn each_byte_is_itself_or_three_octal_digits() {
        for byte in 0..=u8::MAX {
            let mut line = Line::new();
            assert!(line.write_fmt(fmt!("{}", Escaped(&[byte]))).is_ok());
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
