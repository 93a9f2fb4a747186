// SPDX-License-Identifier: GPL-2.0-only

//! Monitored tasks: lines of `taskmonitor_tasks`.

use crate::Id;
use crate::LineError;
use crate::State;
use crate::line::Pairs;
use crate::line::given;
use crate::line::once;

/// A monitored task: counts of its samples, and values of its newest sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The PID in the PID namespace of the reader; 0 if the task has none there.
    pub pid: u32,
    /// Start time of the task: CLOCK_BOOTTIME in nanoseconds.
    pub start: u64,
    /// The state in the newest sample.
    pub state: State,
    /// Number of threads that the task stands for.
    pub threads: u32,
    /// Number of samples in memory now.
    pub samples: u64,
    /// Number of samples taken since the task was added.
    pub taken: u64,
    /// Number of samples dropped because of `max_samples`, `max_mib` or `clear`.
    pub evicted: u64,
    /// Number of samples given back to the system under memory pressure.
    pub reclaimed: u64,
    /// Number of rounds in which no sample could be taken.
    pub missed: u64,
    /// User CPU time in the newest sample, in nanoseconds.
    pub usr: u64,
    /// System CPU time in the newest sample, in nanoseconds.
    pub sys: u64,
    /// CLOCK_BOOTTIME of the newest sample, in nanoseconds.
    pub time: u64,
    /// Resident memory in the newest sample, in bytes.
    pub rss: u64,
    /// Number of users of the address space in the newest sample.
    pub mm_users: u32,
    /// The PID of the process that the task is or, for a single thread, belongs to. `None` if the
    /// module is of a version that does not tell; 0 if the process has no PID in the PID namespace
    /// of the reader, or had been reaped before the thread was added.
    pub tgid: Option<u32>,
    /// Name of the task: at most 15 bytes, in any encoding.
    pub comm: Vec<u8>,
}

impl Task {
    /// Parses a line, with or without its newline. Unknown keys are skipped.
    ///
    /// # Errors
    ///
    /// Fails if a key is missing, duplicated or without a value, or if a value is invalid.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let mut pairs = Pairs::new(line.strip_suffix(b"\n").unwrap_or(line));
        let (mut pid, mut start, mut state, mut threads) = (None, None, None, None);
        let (mut samples, mut taken, mut evicted, mut reclaimed, mut missed) = (None, None, None, None, None);
        let (mut usr, mut sys, mut time, mut rss, mut mm_users) = (None, None, None, None, None);
        let (mut tgid, mut comm) = (None, None);
        while let Some(key) = pairs.key() {
            match key {
                b"pid" => once(&mut pid, "pid", pairs.small("pid")?)?,
                b"start" => once(&mut start, "start", pairs.number("start")?)?,
                b"state" => once(&mut state, "state", State::take(&mut pairs)?)?,
                b"threads" => once(&mut threads, "threads", pairs.small("threads")?)?,
                b"samples" => once(&mut samples, "samples", pairs.number("samples")?)?,
                b"taken" => once(&mut taken, "taken", pairs.number("taken")?)?,
                b"evicted" => once(&mut evicted, "evicted", pairs.number("evicted")?)?,
                b"reclaimed" => once(&mut reclaimed, "reclaimed", pairs.number("reclaimed")?)?,
                b"missed" => once(&mut missed, "missed", pairs.number("missed")?)?,
                b"usr" => once(&mut usr, "usr", pairs.number("usr")?)?,
                b"sys" => once(&mut sys, "sys", pairs.number("sys")?)?,
                b"time" => once(&mut time, "time", pairs.number("time")?)?,
                b"rss" => once(&mut rss, "rss", pairs.number("rss")?)?,
                b"mm_users" => once(&mut mm_users, "mm_users", pairs.small("mm_users")?)?,
                b"tgid" => once(&mut tgid, "tgid", pairs.small("tgid")?)?,
                // It is last, and may have blanks.
                b"comm" => comm = Some(unescape(pairs.rest())?),
                b"" => return Err(LineError::Odd),
                _ => {
                    pairs.value()?;
                }
            }
        }
        Ok(Self {
            pid: given(pid, "pid")?,
            start: given(start, "start")?,
            state: given(state, "state")?,
            threads: given(threads, "threads")?,
            samples: given(samples, "samples")?,
            taken: given(taken, "taken")?,
            evicted: given(evicted, "evicted")?,
            reclaimed: given(reclaimed, "reclaimed")?,
            missed: given(missed, "missed")?,
            usr: given(usr, "usr")?,
            sys: given(sys, "sys")?,
            time: given(time, "time")?,
            rss: given(rss, "rss")?,
            mm_users: given(mm_users, "mm_users")?,
            tgid,
            comm: given(comm, "comm")?,
        })
    }

    /// Returns the permanent identity of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        Id { pid: self.pid, start: self.start }
    }

    /// Returns the PID of the process that this thread belongs to, or `None` if the task is a process
    /// or its process is unknown.
    ///
    /// What is counted for a thread is part of what is counted for its process.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.tgid.filter(|&tgid| tgid != 0 && self.pid != 0 && tgid != self.pid)
    }

    /// Returns user plus system CPU time in nanoseconds.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        self.usr.saturating_add(self.sys)
    }

    /// Returns the name in a form that is safe to print to a terminal.
    ///
    /// A task can set its name to anything. Invalid UTF-8, control characters and characters that
    /// change the text direction are replaced by U+FFFD.
    #[must_use]
    pub fn name(&self) -> String {
        readable(&self.comm)
    }
}

/// Returns `comm` in a form that is safe to print to a terminal: see [`Task::name`].
#[must_use]
pub fn readable(comm: &[u8]) -> String {
    let plays = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let replaced = |c: char| if plays(c) { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(comm).chars().map(replaced).collect()
}

/// Turns each `\ooo` into its byte.
fn unescape(text: &[u8]) -> Result<Vec<u8>, LineError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] = behind else {
            return Err(LineError::Value("comm"));
        };
        bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
        rest = behind;
    }
    Ok(bytes)
}
