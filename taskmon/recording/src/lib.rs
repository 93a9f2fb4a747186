// SPDX-License-Identifier: GPL-2.0-only

//! Recordings: files of what the kernel module taskmonitor has sampled, which survive being cut off at any byte, and damage.
//!
//! [`Writer`] makes one, [`Reader`] reads it. Whoever writes where there may be no room any more has [`Encoder`], which makes
//! [`Chunk`]s, and [`seal`]s them himself.
//!
//! # The format, version 1
//!
//! All numbers of fixed size are little-endian. A *varint* has 7 bits of a number in each byte, the lowest first; the highest
//! bit of a byte says that another one follows. A *signed* varint is that of `(n << 1) ^ (n >> 63)`.
//!
//! A file begins with the 8 bytes `8b 54 4d 52 45 43 0d 0a` (`.TMREC..`) and its version as a `u32`. Then there are chunks:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | the marker `f5 54 4d 00`, by which a reader finds the next chunk behind damage |
//! | 1 | the kind |
//! | 4 | the number: chunks count from 0, and start again there behind 2^32 - 1 |
//! | 4 | the length of the payload, at most 65536 |
//! | | the payload |
//! | 4 | the CRC-32 (as in zlib) of all of that but the marker |
//!
//! A chunk counts only if it is whole and its checksum is right; what is not is skipped, up to the next that counts. Of a
//! kind that a reader does not know, it skips the chunk. A file of a greater version it refuses.
//!
//! | kind | payload |
//! | --- | --- |
//! | 1, head | lines of text: a key, a blank, a value in which control characters, the backslash and all that is not ASCII are `\xNN`. See [`Head`]. Keys that are not known are skipped. Repeated before each fresh chunk of samples |
//! | 2, names | for each: PID, start (varints), length (1 byte), name. A later name of the same task replaces the earlier one |
//! | 3, samples | see below |
//! | 4, lost | for each: PID, start, count, seq of the first sample behind them, there or not (varints), reason (1 byte: 0 unknown, 1 missed, 2 evicted, 3 reclaimed, 4 one of these two, 5 no room for the recording). May come long after that sample |
//! | 5, counts | for each task: PID, start, taken, missed, evicted, reclaimed (varints): the module's own counts when the recording ended |
//! | 6, end | lines of text as in the head: why the recording ended. See [`End`] |
//!
//! ## Samples
//!
//! The payload begins with a byte whose lowest bit says that the chunk is *fresh*: nothing before it is needed to read it.
//! Any other goes on from the chunk of samples before it. A reader that has missed a chunk, of whatever kind, skips
//! chunks of samples until a fresh one. Tasks are numbered from 0 in the order in which the samples since the last fresh
//! chunk have brought them, up to 1048576 of them. A sample is:
//!
//! 1. its task's number minus that of the sample before minus 1 (a signed varint; before the first in a fresh chunk: minus 0);
//!    a number that is the count of those before is a new task, whose PID and start (varints) follow;
//! 2. a byte of flags: what is not as predicted;
//! 3. its time minus the predicted time (a signed varint);
//! 4. of each of seq, usr, sys, rss, minflt, majflt, mm_users whose flag (1, 2, 4, ... 64) is set: its value minus the predicted one
//!    (a signed varint, modulo 2^64); with flag 128 the letter of the state (1 byte).
//!
//! Predicted are for seq one more than in the task's last sample, for the others what they were there. Of a new task, 0 and
//! the state `S`. The predicted time is that of the sample before, if its task has a lower number (it is of the same round then);
//! else that of the task's last sample, and once more the time between its last two; of a new task with no
//! sample before, its start.

#![warn(unreachable_pub)]

mod bytes;
mod chunk;
mod encode;
mod error;
mod reader;
mod sample;
mod text;
mod writer;

use std::time::Duration;

pub use chunk::Chunk;
pub use chunk::LONGEST;
pub use chunk::Tally;
pub use chunk::beginning;
pub use chunk::is_recording;
pub use chunk::seal;
pub use encode::Encoder;
pub use error::Error;
pub use reader::Damage;
pub use reader::Reader;
pub use writer::Writer;

use taskmonitor::Id;
use taskmonitor::Sample;

/// The version of the format that is written, and the greatest that is read.
pub const VERSION: u32 = 1;

/// What is known of a recording as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Nanoseconds since 1970 at which the system was booted (`booted`): what makes the time of day of CLOCK_BOOTTIME.
    pub booted: i64,
    /// CLOCK_BOOTTIME at which the recording began (`began`), in nanoseconds.
    pub began: u64,
    /// The module's period then (`period`), in nanoseconds.
    pub period: Duration,
    /// The version of the module (`module`).
    pub module: String,
    /// The version of the program that recorded (`taskmon`).
    pub taskmon: String,
    /// The release of the kernel (`kernel`).
    pub kernel: String,
    /// The command that was run and recorded (`command`), if there was one.
    pub command: Option<String>,
}

/// Why samples are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody knows.
    Unknown,
    /// They could not be taken.
    Missed,
    /// They made room for newer ones before they were read.
    Evicted,
    /// They were given back when memory was short, before they were read.
    Reclaimed,
    /// One of these two.
    EvictedOrReclaimed,
    /// There was no room to record them.
    NoSpace,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Missed, Self::Evicted, Self::Reclaimed, Self::EvictedOrReclaimed, Self::NoSpace, Self::Unknown];

    /// A word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missed => "missed",
            Self::Evicted => "evicted",
            Self::Reclaimed => "reclaimed",
            Self::EvictedOrReclaimed => "evicted-or-reclaimed",
            Self::NoSpace => "no-space",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Missed => 1,
            Self::Evicted => 2,
            Self::Reclaimed => 3,
            Self::EvictedOrReclaimed => 4,
            Self::NoSpace => 5,
        }
    }

    /// A later version may know more of them.
    fn of(code: u8) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Unknown)
    }
}

/// Samples that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of which task.
    pub id: Id,
    /// How many.
    pub count: u64,
    /// The [`seq`](Sample::seq) of the first sample behind them, or the one it would have had.
    pub before: u64,
    /// Why.
    pub reason: Reason,
}

/// The module's own counts of a task when the recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The task.
    pub id: Id,
    /// Samples ever taken.
    pub taken: u64,
    /// Instants at which none could be.
    pub missed: u64,
    /// Samples that made room for newer ones, be it before or after they were recorded.
    pub evicted: u64,
    /// Samples that were given back when memory was short, be it before or after they were recorded.
    pub reclaimed: u64,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Somebody stopped it (`stopped`).
    Stopped,
    /// It was to last no longer (`duration`).
    Duration,
    /// It was to become no larger (`max-size`).
    MaxSize,
    /// The command that it recorded ended (`command`).
    Command,
    /// All tasks that it was to record had exited, or were removed (`gone`).
    Gone,
    /// No samples could be read any more (`failed`).
    Failed,
    /// For a reason that is not known here.
    Other,
}

impl Why {
    const ALL: [Self; 7] =
        [Self::Stopped, Self::Duration, Self::MaxSize, Self::Command, Self::Gone, Self::Failed, Self::Other];

    /// A word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Duration => "duration",
            Self::MaxSize => "max-size",
            Self::Command => "command",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }

    fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|why| why.word() == word).unwrap_or(Self::Other)
    }
}

/// The end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why (`why`).
    pub why: Why,
    /// CLOCK_BOOTTIME (`time`), in nanoseconds.
    pub time: u64,
    /// The exit status of the command, or 128+N if signal N ended it (`status`).
    pub status: Option<u8>,
}

/// What is in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The name of a task, from here on.
    Name {
        /// The task.
        id: Id,
        /// Its name, at most 255 bytes in any encoding.
        name: Vec<u8>,
    },
    /// A sample.
    Sample(Sample),
    /// Samples that are missing.
    Lost(Lost),
    /// The module's counts of a task.
    Counts(Counts),
    /// The end.
    End(End),
}
