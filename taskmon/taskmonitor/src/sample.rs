// SPDX-License-Identifier: GPL-2.0-only

//! Samples and their lines.

use std::fmt;

use crate::LineError;
use crate::line::Pairs;
use crate::line::given;
use crate::line::once;

/// Identifies a task permanently: the kernel reuses PIDs, but not together with the same start
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The PID in the PID namespace of the process that opened the file; 0 if the task has none
    /// there.
    pub pid: u32,
    /// Start time of the task: CLOCK_BOOTTIME in nanoseconds.
    pub start: u64,
}

/// The state of a task: the letter in `/proc/PID/stat`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct State(u8);

impl State {
    /// The state in the last sample of a task that has exited.
    pub const EXITED: Self = Self(b'X');

    /// Returns the state with this letter, or `None` if it is not an ASCII letter.
    ///
    /// Every ASCII letter is accepted, because later kernels may have more states.
    #[must_use]
    pub fn new(letter: char) -> Option<Self> {
        u8::try_from(letter).ok().filter(u8::is_ascii_alphabetic).map(Self)
    }

    fn parse(value: &[u8]) -> Result<Self, LineError> {
        match value {
            &[letter] => Self::new(letter.into()).ok_or(LineError::Value("state")),
            _ => Err(LineError::Value("state")),
        }
    }

    pub(crate) fn take(pairs: &mut Pairs<'_>) -> Result<Self, LineError> {
        Self::parse(pairs.value()?)
    }

    /// Returns whether the task has exited.
    #[must_use]
    pub fn exited(self) -> bool {
        self == Self::EXITED
    }

    /// Returns the letter.
    #[must_use]
    pub fn letter(self) -> char {
        char::from(self.0)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&[self.0]).unwrap_or("?"))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The values of one task at one time.
///
/// [`Display`](fmt::Display) gives the line of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The PID in the PID namespace of the reader; 0 if the task has none there.
    pub pid: u32,
    /// User CPU time since the task started, in nanoseconds. Never decreases.
    pub usr: u64,
    /// System CPU time since the task started, in nanoseconds. Never decreases.
    pub sys: u64,
    /// Time of the sample: CLOCK_BOOTTIME in nanoseconds. Strictly increasing within a task.
    pub time: u64,
    /// Resident memory in bytes; 0 if the task has no address space.
    pub rss: u64,
    /// Page faults without I/O since the task started.
    pub minflt: u64,
    /// Page faults with I/O since the task started.
    pub majflt: u64,
    /// Number of users of the address space; 0 if the task has none.
    pub mm_users: u32,
    /// The state.
    pub state: State,
    /// Number of the round in the history of this task, from 0. Missed rounds leave gaps.
    pub seq: u64,
    /// Start time of the task: CLOCK_BOOTTIME in nanoseconds.
    pub start: u64,
}

impl Sample {
    /// Parses a line, with or without its newline.
    ///
    /// Unknown keys are skipped, because later versions of the module may add keys.
    ///
    /// # Errors
    ///
    /// Fails if a key is missing, duplicated or without a value, or if a value is invalid.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let mut pairs = Pairs::new(line.strip_suffix(b"\n").unwrap_or(line));
        let (mut pid, mut usr, mut sys, mut time, mut rss) = (None, None, None, None, None);
        let (mut minflt, mut majflt, mut mm_users) = (None, None, None);
        let (mut state, mut seq, mut start) = (None, None, None);
        while let Some(key) = pairs.key() {
            match key {
                b"pid" => once(&mut pid, "pid", pairs.small("pid")?)?,
                b"usr" => once(&mut usr, "usr", pairs.number("usr")?)?,
                b"sys" => once(&mut sys, "sys", pairs.number("sys")?)?,
                b"time" => once(&mut time, "time", pairs.number("time")?)?,
                b"rss" => once(&mut rss, "rss", pairs.number("rss")?)?,
                b"minflt" => once(&mut minflt, "minflt", pairs.number("minflt")?)?,
                b"majflt" => once(&mut majflt, "majflt", pairs.number("majflt")?)?,
                b"mm_users" => once(&mut mm_users, "mm_users", pairs.small("mm_users")?)?,
                b"state" => once(&mut state, "state", State::take(&mut pairs)?)?,
                b"seq" => once(&mut seq, "seq", pairs.number("seq")?)?,
                b"start" => once(&mut start, "start", pairs.number("start")?)?,
                b"" => return Err(LineError::Odd),
                _ => {
                    pairs.value()?;
                }
            }
        }
        Ok(Self {
            pid: given(pid, "pid")?,
            usr: given(usr, "usr")?,
            sys: given(sys, "sys")?,
            time: given(time, "time")?,
            rss: given(rss, "rss")?,
            minflt: given(minflt, "minflt")?,
            majflt: given(majflt, "majflt")?,
            mm_users: given(mm_users, "mm_users")?,
            state: given(state, "state")?,
            seq: given(seq, "seq")?,
            start: given(start, "start")?,
        })
    }

    /// Returns the permanent identity of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        Id { pid: self.pid, start: self.start }
    }

    /// Returns user plus system CPU time in nanoseconds: the run time as the scheduler counts it.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        self.usr.saturating_add(self.sys)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, usr, sys, time, rss, minflt, majflt, mm_users, state, seq, start } = self;
        write!(
            f,
            "pid {pid} usr {usr} sys {sys} time {time} rss {rss} minflt {minflt} majflt {majflt} \
             mm_users {mm_users} state {state} seq {seq} start {start}"
        )
    }
}
