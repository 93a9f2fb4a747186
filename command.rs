// SPDX-License-Identifier: GPL-2.0

//! Commands that are written to the module's files.

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

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

/// Whether a write of `size` bytes may be a piece of a longer one, and its last line be cut off.
///
/// Programs write in pieces of 4,096 bytes, or of a multiple of that, whatever the size of a page: the
/// GNU C library in pieces of `st_blksize`, which is a page here, or of 8,192 bytes, whichever is less.
/// sysfs passes at most a page of a write, which is a multiple of 4,096, too.
pub(crate) fn is_cut(size: usize) -> bool {
    size > 0 && size % 4096 == 0
}

// So that a write that sysfs has cut off is known.
const _: () = assert!(PAGE_SIZE % 4096 == 0);

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

#[kunit_tests(taskmonitor_command)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_known() {
        assert_eq!(Command::parse(b"267"), Ok(Command::Add(267)));
        assert_eq!(Command::parse(b"-267"), Ok(Command::Remove(267)));
        assert_eq!(Command::parse(b"print 267"), Ok(Command::Print(267)));
        assert_eq!(Command::parse(b"print all"), Ok(Command::PrintAll));
        assert_eq!(Command::parse(b"clear"), Ok(Command::Clear));
        assert_eq!(Command::parse(b"start"), Ok(Command::Start));
        assert_eq!(Command::parse(b"stop"), Ok(Command::Stop));
    }

    #[test]
    fn words_are_whole_and_exact() {
        for line in [
            b"clea".as_slice(),
            b"clearx",
            b"Clear",
            b"xclear",
            b"start stop",
            b"stop;",
            b"all",
            b"clear\0",
            b"\0",
            b"cle\xffar",
            b"\xc3\xa9",
        ] {
            assert_eq!(Command::parse(line), Err(EINVAL));
        }
    }

    #[test]
    fn print_needs_a_blank_and_one_choice() {
        for line in [
            b"print".as_slice(),
            b"print ",
            b"printall",
            b"print5",
            b"print all x",
            b"print allx",
            b"print al",
            b"print 5 6",
            b"print 0",
            b"print 05",
            b"print -5",
            b"print +5",
            b"print\x0ball",
            b"print\0all",
            b"print 2147483648",
        ] {
            assert_eq!(Command::parse(line), Err(EINVAL));
        }
        assert_eq!(Command::parse(b"print \t  all"), Ok(Command::PrintAll));
        assert_eq!(Command::parse(b"print\t5"), Ok(Command::Print(5)));
    }

    #[test]
    fn nothing_is_no_command() {
        assert_eq!(Command::parse(b""), Err(EINVAL));
        assert_eq!(Command::parse(b" "), Err(EINVAL));
        assert_eq!(Command::parse(&[b' '; 64]), Err(EINVAL));
    }

    #[test]
    fn a_write_of_whole_pages_may_be_cut() {
        for size in [4096, 8192, 12288, 16384, 65536, PAGE_SIZE] {
            assert!(is_cut(size));
        }
        for size in [0, 1, 64, 4095, 4097, 8191, PAGE_SIZE - 1, PAGE_SIZE + 1] {
            assert!(!is_cut(size));
        }
    }

    /// Of all bytes, put before and behind a number, only ASCII blanks do not matter.
    #[test]
    fn blanks_around_do_not_matter() {
        for byte in 0..=u8::MAX {
            let parsed = Command::parse(&[byte, b'7', byte]);
            let expected = match byte {
                b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' => Ok(Command::Add(7)),
                b'1'..=b'9' => Ok(Command::Add(70 + 101 * i32::from(byte - b'0'))),
                _ => Err(EINVAL),
            };
            assert_eq!(parsed, expected);
        }
        assert_eq!(Command::parse(b"\t clear \r"), Ok(Command::Clear));
        assert_eq!(Command::parse(b" -7 "), Ok(Command::Remove(7)));
    }

    #[test]
    fn a_line_has_up_to_64_bytes() {
        let mut line = [b' '; 65];
        line[0] = b'7';
        assert_eq!(Command::parse(&line), Err(EINVAL));
        assert_eq!(Command::parse(&line[..64]), Ok(Command::Add(7)));
        line[0] = b' ';
        line[63] = b'7';
        assert_eq!(Command::parse(&line[..64]), Ok(Command::Add(7)));
        assert_eq!(Command::parse(&[b'1'; 64]), Err(EINVAL));
    }

    #[test]
    fn numbers_fit_into_a_pid() {
        assert_eq!(parse_pid(b"1"), Ok(1));
        assert_eq!(parse_pid(b"10"), Ok(10));
        assert_eq!(parse_pid(b"2147483647"), Ok(i32::MAX));
        for digits in [
            b"2147483648".as_slice(),
            b"2147483650",
            b"9999999999",
            // 2^32 + 1, 2^64 + 1, and 20 digits.
            b"4294967297",
            b"18446744073709551617",
            b"99999999999999999999",
        ] {
            assert_eq!(parse_pid(digits), Err(EINVAL));
            assert_eq!(Command::parse(digits), Err(EINVAL));
        }
    }

    #[test]
    fn numbers_are_digits_alone() {
        for digits in [
            b"".as_slice(),
            b"0",
            b"00",
            b"01",
            b"007",
            b"+1",
            b"-1",
            b" 1",
            b"1 ",
            b"1 2",
            b"1,2",
            b"1_000",
            b"0x10",
            b"1e3",
            b"1.0",
            b"1\0",
            b"1\xff",
            b"\xd9\xa1",
        ] {
            assert_eq!(parse_pid(digits), Err(EINVAL));
        }
    }

    #[test]
    fn a_sign_is_one_minus_before_a_pid() {
        assert_eq!(Command::parse(b"-1"), Ok(Command::Remove(1)));
        assert_eq!(
            Command::parse(b"-2147483647"),
            Ok(Command::Remove(i32::MAX))
        );
        for line in [
            b"-".as_slice(),
            b"-0",
            b"-01",
            b"--1",
            b"- 1",
            b"+1",
            b"-2147483648",
            b"-all",
            b"-clear",
        ] {
            assert_eq!(Command::parse(line), Err(EINVAL));
        }
    }

    #[test]
    fn lines_are_whole() {
        let mut whole = lines(b"clear\n\n 7 \r\nstop");
        assert_eq!(whole.next(), Some((b"clear".as_slice(), 6)));
        assert_eq!(whole.next(), Some((b"".as_slice(), 1)));
        assert_eq!(whole.next(), Some((b" 7 \r".as_slice(), 5)));
        assert_eq!(whole.next(), None);
        assert_eq!(lines(b"").next(), None);
        assert_eq!(lines(b"stop").next(), None);
        assert_eq!(lines(b"\n").next(), Some((b"".as_slice(), 1)));
        assert_eq!(lines(b"a\0b\n").next(), Some((b"a\0b".as_slice(), 4)));
    }
}
