// SPDX-License-Identifier: GPL-2.0-only

//! Recordings: files of samples of the kernel module taskmonitor. They stay readable if they are
//! truncated at any byte or damaged.
//!
//! [`Writer`] writes a recording, [`Reader`] reads one. A program that must handle a full file
//! system uses [`Encoder`], which makes [`Chunk`]s, and writes them itself with [`seal`].
//!
//! # The format, version 1
//!
//! All fixed-size numbers are little-endian. A *varint* stores a number 7 bits per byte, least
//! significant bits first; the highest bit of a byte is set if another byte follows. A *signed*
//! varint is the varint of the zigzag code `(n << 1) ^ (n >> 63)`.
//!
//! A file starts with the 8 bytes `8b 54 4d 52 45 43 0d 0a` (`.TMREC..`) and the format version as
//! a `u32`. Chunks follow:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | marker `f5 54 4d 00`, by which a reader finds the next chunk after damage |
//! | 1 | kind |
//! | 4 | number: chunks are numbered from 0, and again from 0 after 2^32 - 1 |
//! | 4 | length of the payload, at most 65536 |
//! | | payload |
//! | 4 | CRC-32 (as in zlib) of everything before it except the marker |
//!
//! A chunk is valid if it is complete and its checksum matches. A reader skips everything else up
//! to the next valid chunk. It also skips chunks of unknown kinds, and it rejects files with a
//! greater version. [`Reader::understood`] says whether there was anything of the kind.
//!
//! | kind | payload |
//! | --- | --- |
//! | 1, head | lines of text: key, space, value. Control characters, backslashes and non-ASCII bytes of the value are `\xNN`. See [`Head`]. Readers skip unknown keys. The head is repeated before each fresh chunk of samples |
//! | 2, names | for each name: PID, start (varints), length (1 byte), name. A later name of a task replaces the earlier one |
//! | 3, samples | see below |
//! | 4, lost | for each entry: PID, start, count, seq of the first sample after the lost ones, whether it exists or not (varints), reason (1 byte: 0 unknown, 1 missed, 2 evicted, 3 reclaimed, 4 evicted or reclaimed, 5 no space for the recording). May come long after that sample |
//! | 5, counts | for each task: PID, start, taken, missed, evicted, reclaimed (varints): the module's own counts when the recording ended |
//! | 6, end | lines of text as in the head: why the recording ended. See [`End`] |
//! | 7, clock | for each entry: since, at (varints), booted (signed varint), suspended (varint): the clock was set, or the system was suspended. See [`Anchor`]. Comes before the first sample to which it applies. Readers that are older than this kind skip it |
//! | 8, threads | for each task that is a thread: PID, start, PID of its process (varints). May come before or after its name |
//!
//! ## Samples
//!
//! The lowest bit of the first byte of the payload is set if the chunk is *fresh*: it can be
//! decoded without earlier chunks. Any other chunk of samples continues the previous chunk of
//! samples. A reader that has missed a chunk, of any kind, skips chunks of samples up to the next
//! fresh one. Tasks are numbered from 0 in the order of their first sample since the last fresh
//! chunk; there are at most 1048576 of them. A sample consists of:
//!
//! 1. the number of its task minus the number of the previous sample's task minus 1 (signed
//!    varint). For the first sample of a fresh chunk, it is the number itself. A number that equals
//!    the count of tasks so far adds a new task, and its PID and start (varints) follow;
//! 2. a byte of flags: one bit for each field that differs from its prediction;
//! 3. its time minus the predicted time (signed varint);
//! 4. for each of seq, usr, sys, rss, minflt, majflt, mm_users whose flag (1, 2, 4, ... 64) is set:
//!    its value minus the predicted value (signed varint, modulo 2^64). With flag 128, the letter of
//!    the state (1 byte).
//!
//! The prediction of seq is one more than in the last sample of the task. All other fields are
//! predicted to be as in the last sample of the task. For a new task, the predictions are 0 and the
//! state `S`. The predicted time is the time of the previous sample if that sample's task has a
//! lower number, because both samples are then of the same round. Otherwise, it is the time of the
//! task's last sample plus the time between its last two samples. For the first sample of a fresh
//! chunk, it is the start of the task.

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

/// The format version that is written, and the greatest version that is read.
pub const VERSION: u32 = 1;

/// The head of a recording: properties of the whole recording. The key of each field is in
/// parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Boot time of the system in nanoseconds since 1970 (`booted`): converts CLOCK_BOOTTIME to the
    /// time of day.
    pub booted: i64,
    /// Start of the recording (`began`): CLOCK_BOOTTIME in nanoseconds.
    pub began: u64,
    /// Time for which the system had been suspended since boot at the start of the recording (`suspended`, in nanoseconds): CLOCK_BOOTTIME
    /// minus CLOCK_MONOTONIC.
    pub suspended: u64,
    /// The module's period at the start of the recording (`period`, in nanoseconds).
    pub period: Duration,
    /// Version of the module (`module`).
    pub module: String,
    /// Version of the program that wrote the recording (`taskmon`).
    pub taskmon: String,
    /// Kernel release (`kernel`).
    pub kernel: String,
    /// The command that was run and recorded, if any (`command`).
    pub command: Option<String>,
    /// How that command began (`exec`). The first head of a file does not have it, because it is written before; it is repeated with
    /// it before the first sample.
    pub exec: Option<Exec>,
}

/// The clocks of a system, compared with CLOCK_BOOTTIME, as they were found at one time.
///
/// A recording contains one for each time at which the recorder found that the clock had been set, or that the system had been
/// suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// CLOCK_BOOTTIME in nanoseconds of the look before, at which neither had happened. This anchor applies to later samples.
    pub since: u64,
    /// CLOCK_BOOTTIME in nanoseconds at which this was found.
    pub at: u64,
    /// CLOCK_REALTIME minus CLOCK_BOOTTIME, as [`Head::booted`].
    pub booted: i64,
    /// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, as [`Head::suspended`].
    pub suspended: u64,
}

impl Head {
    /// Returns the clocks at the start of the recording.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        Anchor { since: 0, at: self.began, booted: self.booted, suspended: self.suspended }
    }
}

/// How a command that was recorded began: a process executed it.
///
/// The counters of its samples (user and system CPU time, page faults) begin with 0 at that time: what the process had used before
/// is not in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The task.
    pub id: Id,
    /// When it called the execve() that succeeded: CLOCK_BOOTTIME in nanoseconds.
    pub time: u64,
    /// The [`seq`](Sample::seq) of the last sample before that, which is not recorded.
    pub seq: u64,
}

impl Exec {
    /// Returns what would have been sampled at that time, in the counters of the recorded samples. Its memory is unknown, and so 0.
    #[must_use]
    pub fn beginning(&self) -> Option<Sample> {
        sample::beginning(self)
    }
}

/// Why samples are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Unknown.
    Unknown,
    /// The module could not take them.
    Missed,
    /// The module dropped them for newer ones before they were read.
    Evicted,
    /// The module gave them back under memory pressure before they were read.
    Reclaimed,
    /// Evicted or reclaimed; which of the two is unknown.
    EvictedOrReclaimed,
    /// There was no space to record them.
    NoSpace,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Missed, Self::Evicted, Self::Reclaimed, Self::EvictedOrReclaimed, Self::NoSpace, Self::Unknown];

    /// Returns the reason as a word.
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

    /// Unknown codes, from later versions, give `Unknown`.
    fn of(code: u8) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Unknown)
    }
}

/// Samples that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The task.
    pub id: Id,
    /// Number of missing samples.
    pub count: u64,
    /// The [`seq`](Sample::seq) of the first sample after them, or the seq that it would have had.
    pub before: u64,
    /// Why they are missing.
    pub reason: Reason,
}

/// The module's own counts of a task when the recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The task.
    pub id: Id,
    /// Number of samples taken.
    pub taken: u64,
    /// Number of rounds in which no sample could be taken.
    pub missed: u64,
    /// Number of samples evicted, before or after they were recorded.
    pub evicted: u64,
    /// Number of samples reclaimed, before or after they were recorded.
    pub reclaimed: u64,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It was stopped, for example by a signal (`stopped`).
    Stopped,
    /// It reached its maximum duration (`duration`).
    Duration,
    /// It reached its maximum size (`max-size`).
    MaxSize,
    /// The recorded command ended (`command`).
    Command,
    /// All selected tasks had exited or were removed (`gone`).
    Gone,
    /// An error ended it (`failed`).
    Failed,
    /// Another reason, from a later version.
    Other,
}

impl Why {
    const ALL: [Self; 7] =
        [Self::Stopped, Self::Duration, Self::MaxSize, Self::Command, Self::Gone, Self::Failed, Self::Other];

    /// Returns the reason as a word.
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
    /// Why the recording ended (`why`).
    pub why: Why,
    /// When it ended (`time`): CLOCK_BOOTTIME in nanoseconds.
    pub time: u64,
    /// Exit status of the recorded command, or 128+N if signal N ended it (`status`).
    pub status: Option<u8>,
    /// The most memory that was resident at once in the process of the recorded command, or in a child that it has waited for, by the
    /// kernel's own count, in bytes (`peak`). `None` if it is unknown.
    pub peak: Option<u64>,
}

/// An item of a recording, as [`Reader::next`] returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The name of a task, valid for the samples that follow.
    Name {
        /// The task.
        id: Id,
        /// The name: at most 255 bytes, in any encoding.
        name: Vec<u8>,
    },
    /// A task is a single thread: what is counted for it is part of what is counted for its process.
    Thread {
        /// The thread.
        id: Id,
        /// The PID of its process.
        process: u32,
    },
    /// A sample.
    Sample(Sample),
    /// Samples that are missing.
    Lost(Lost),
    /// The module's counts of a task.
    Counts(Counts),
    /// The clock was set, or the system was suspended.
    Clock(Anchor),
    /// The end of the recording.
    End(End),
}
