// SPDX-License-Identifier: GPL-2.0-only

//! What the module takes.

use std::fmt;

/// A command. [`Display`](fmt::Display) gives its line, without the newline. There is none for `print`: what others see
/// when they read is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Starts monitoring the task that has this PID in the namespace of the caller.
    Add(u32),
    /// Stops monitoring it, and drops what was recorded of all tasks that had this PID.
    Remove(u32),
    /// Drops all samples, keeps the living tasks, forgets the exited ones.
    Clear,
    /// Starts sampling.
    Start,
    /// Stops sampling.
    Stop,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(pid) => write!(f, "{pid}"),
            Self::Remove(pid) => write!(f, "-{pid}"),
            Self::Clear => f.write_str("clear"),
            Self::Start => f.write_str("start"),
            Self::Stop => f.write_str("stop"),
        }
    }
}
