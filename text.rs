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
