// SPDX-License-Identifier: GPL-2.0

//! Commands that are written to the module's files.

use kernel::prelude::*;

/// The longest line that can be a command, in bytes.
pub(crate) const MAX_LINE: usize = 64;

/// A command: one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `PID`: start monitoring that task.
    Add(i32),
    /// `-PID`: stop monitoring it, and drop its history.
    Remove(i32),
}

impl Command {
    /// Parses a line without its newline. Blanks around the command do not matter; anything that is
    /// not exactly a command is `EINVAL`.
    pub(crate) fn parse(line: &[u8]) -> Result<Self> {
        if line.len() > MAX_LINE {
            return Err(EINVAL);
        }
        match line.trim_ascii() {
            [b'-', pid @ ..] => parse_pid(pid).map(Self::Remove),
            pid => parse_pid(pid).map(Self::Add),
        }
    }
}

/// Parses a PID as `/proc` writes it: a decimal number from 1 on, without a sign or leading zeros.
pub(crate) fn parse_pid(digits: &[u8]) -> Result<i32> {
    if digits.first() == Some(&b'0') {
        return Err(EINVAL);
    }
    let mut pid: i32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(EINVAL);
        }
        pid = pid
            .checked_mul(10)
            .and_then(|pid| pid.checked_add(i32::from(digit - b'0')))
            .ok_or(EINVAL)?;
    }
    if pid == 0 {
        return Err(EINVAL);
    }
    Ok(pid)
}
