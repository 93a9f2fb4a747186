// SPDX-License-Identifier: GPL-2.0-only

//! Chunks of lines, "key value".

use std::fmt::Display;
use std::time::Duration;

use taskmonitor::Id;

use crate::End;
use crate::Exec;
use crate::Head;
use crate::Why;

/// No value is longer: a command may have any length.
const LONGEST_VALUE: usize = 4096;

/// Appends a line. What is not printable ASCII, and the backslash, is `\xNN`.
fn line(text: &mut Vec<u8>, key: &str, value: impl Display) {
    text.extend_from_slice(key.as_bytes());
    text.push(b' ');
    for &byte in value.to_string().as_bytes().iter().take(LONGEST_VALUE) {
        match byte {
            b' '..=b'~' if byte != b'\\' => text.push(byte),
            _ => text.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    text.push(b'\n');
}

/// The pairs of a text.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&str, String)> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let (key, value) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Some((key, plain(value)))
    })
}

/// What `\xNN` stands for. A backslash without two digits stands for itself.
fn plain(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if let (b'\\', [b'x', high, low, behind @ ..]) = (first, behind) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                bytes.push(((high << 4) | low) as u8);
                rest = behind;
                continue;
            }
        }
        bytes.push(first);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Head {
    pub(crate) fn to_text(&self) -> Vec<u8> {
        let Self { booted, began, suspended, period, module, taskmon, kernel, command, exec } = self;
        let mut text = Vec::new();
        line(&mut text, "booted", booted);
        line(&mut text, "began", began);
        if *suspended > 0 {
            line(&mut text, "suspended", suspended);
        }
        line(&mut text, "period", period.as_nanos());
        line(&mut text, "module", module);
        line(&mut text, "taskmon", taskmon);
        line(&mut text, "kernel", kernel);
        if let Some(command) = command {
            line(&mut text, "command", command);
        }
        if let Some(Exec { id, time, seq }) = exec {
            line(&mut text, "exec", format_args!("{} {} {time} {seq}", id.pid, id.start));
        }
        text
    }

    /// What cannot be read is as if it were not there. Says whether all could be.
    pub(crate) fn of_text(text: &[u8]) -> (Self, bool) {
        let mut head = Self::default();
        let mut all = is_pairs(text);
        for (key, value) in pairs(text) {
            all &= match key {
                "booted" => take(&mut head.booted, value.parse().ok()),
                "began" => take(&mut head.began, value.parse().ok()),
                "suspended" => take(&mut head.suspended, value.parse().ok()),
                "period" => take(&mut head.period, value.parse().ok().map(Duration::from_nanos)),
                "module" => take(&mut head.module, Some(value)),
                "taskmon" => take(&mut head.taskmon, Some(value)),
                "kernel" => take(&mut head.kernel, Some(value)),
                "command" => take(&mut head.command, Some(Some(value))),
                "exec" => {
                    head.exec = exec(&value);
                    head.exec.is_some() && value.split(' ').count() == 4
                }
                _ => false,
            }
        }
        (head, all)
    }
}

/// Whether nothing is in `text` but pairs.
fn is_pairs(text: &[u8]) -> bool {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
    lines == pairs(text).count()
}

/// Puts `value` in its place, or what is there by default. Says whether there is one.
fn take<T: Default>(to: &mut T, value: Option<T>) -> bool {
    let some = value.is_some();
    *to = value.unwrap_or_default();
    some
}

/// PID, start, time and seq, and whatever later versions may add.
fn exec(text: &str) -> Option<Exec> {
    let mut words = text.split(' ');
    let pid = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse().ok();
    Some(Exec { id: Id { pid, start: number()? }, time: number()?, seq: number()? })
}

impl End {
    pub(crate) fn to_text(self) -> Vec<u8> {
        let mut text = Vec::new();
        line(&mut text, "why", self.why.word());
        line(&mut text, "time", self.time);
        if let Some(status) = self.status {
            line(&mut text, "status", status);
        }
        if let Some(peak) = self.peak {
            line(&mut text, "peak", peak);
        }
        text
    }

    /// What cannot be read is as if it were not there. Says whether all could be.
    pub(crate) fn of_text(text: &[u8]) -> (Self, bool) {
        let mut end = Self { why: Why::Other, time: 0, status: None, peak: None };
        let mut all = is_pairs(text);
        for (key, value) in pairs(text) {
            all &= match key {
                "why" => {
                    end.why = Why::of(&value);
                    end.why.word() == value
                }
                "time" => take(&mut end.time, value.parse().ok()),
                "status" => take(&mut end.status, value.parse().ok().map(Some)),
                "peak" => take(&mut end.peak, value.parse().ok().map(Some)),
                _ => false,
            }
        }
        (end, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = Head {
            booted: -5,
            began: u64::MAX,
            suspended: 7,
            period: Duration::from_micros(100),
            module: String::new(),
            taskmon: "0.1.0".to_owned(),
            kernel: "6.12".to_owned(),
            command: Some("a \\x41 \"b\"\nended 7\u{1b}[31m \u{202e}ü\\".to_owned()),
            exec: Some(Exec { id: Id { pid: 7, start: u64::MAX }, time: 0, seq: 3 }),
        };
        let text = head.to_text();
        assert!(text.iter().all(|&b| b == b'\n' || (b' '..=b'~').contains(&b)));
        assert_eq!(Head::of_text(&text), (head.clone(), true));
        let long = Head { command: Some("\0".repeat(1 << 20)), ..head };
        assert!(long.to_text().len() < crate::LONGEST);
    }

    #[test]
    fn what_later_versions_may_have() {
        let text = b"later 1 2 3\nbooted 7\nperiod soon\n\nodd\nmodule \\x4 \\xg1 \\\n\xff\xff 1\ncommand ";
        let head =
            Head { booted: 7, module: "\\x4 \\xg1 \\".to_owned(), command: Some(String::new()), ..Head::default() };
        assert_eq!(Head::of_text(text), (head, false));
        let end = End { why: Why::Other, time: 3, status: None, peak: None };
        assert_eq!(End::of_text(b"why bored\ntime 3\nstatus 1000\nlater x"), (end, false));
        for text in ["later 1\n", "booted 7 8\n", "odd\n", "period soon\n", "exec 7 5 8\n", "exec 7 5 8 0 9\n"] {
            assert!(!Head::of_text(text.as_bytes()).1, "{text}");
        }
        for text in ["why bored\n", "time\n", "status 256\n", "peak x\n", "later 1\n"] {
            assert!(!End::of_text(text.as_bytes()).1, "{text}");
        }
        assert!(Head::of_text(b"").1 && Head::of_text(b"exec 7 5 8 0\n").1 && End::of_text(b"why failed\n").1);
    }

    #[test]
    fn beginnings() {
        let exec = |text: &str| Head::of_text(text.as_bytes()).0.exec;
        let expected = Some(Exec { id: Id { pid: 7, start: 5 }, time: 8, seq: 0 });
        assert_eq!((exec("exec 7 5 8 0\n"), exec("exec 7 5 8 0 later x\n")), (expected, expected));
        assert_eq!((exec("exec 7 5 8\n"), exec("exec -7 5 8 0\n"), exec("exec\n")), (None, None, None));
    }

    #[test]
    fn ends() {
        for why in Why::ALL {
            for status in [None, Some(0), Some(137)] {
                for peak in [None, Some(0), Some(u64::MAX)] {
                    let end = End { why, time: 12, status, peak };
                    assert_eq!(End::of_text(&end.to_text()), (end, true));
                }
            }
        }
    }
}
