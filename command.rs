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
    /// `print PID`: show that number alone.
    Print(i32),
    /// `print all`: show all tasks again.
    PrintAll,
    /// `clear`: drop all samples, and forget the tasks that exited.
    Clear,
    /// `start`: start sampling.
    Start,
    /// `stop`: stop sampling.
    Stop,
}

impl Command {
    /// Parses a line without its newline. Blanks around the command, and more than one inside it, do
    /// not matter; anything that is not exactly a command is `EINVAL`.
    pub(crate) fn parse(line: &[u8]) -> Result<Self> {
        if line.len() > MAX_LINE {
            return Err(EINVAL);
        }
        let line = line.trim_ascii();
        match line {
            b"clear" => return Ok(Self::Clear),
            b"start" => return Ok(Self::Start),
            b"stop" => return Ok(Self::Stop),
            _ => (),
        }
        if let Some(pid) = line.strip_prefix(b"-") {
            return parse_pid(pid).map(Self::Remove);
        }
        let Some(choice) = line.strip_prefix(b"print") else {
            return parse_pid(line).map(Self::Add);
        };
        match choice.trim_ascii_start() {
            word if word.len() == choice.len() => Err(EINVAL),
            b"all" => Ok(Self::PrintAll),
            pid => parse_pid(pid).map(Self::Print),
        }
    }
}

/// Goes through the whole lines that `text` begins with: each with the bytes that it takes, newline
/// included.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    text.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| Some((line.strip_suffix(b"\n")?, line.len())))
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
