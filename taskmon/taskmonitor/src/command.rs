// SPDX-License-Identifier: GPL-2.0-only

//! Commands of the module.

use std::fmt;

/// A command to the module.
///
/// [`Display`](fmt::Display) gives the line that the module reads, without the newline. There is no
/// variant for `print`, because it would change the output for other readers of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Starts monitoring the task with this PID in the PID namespace of the caller.
    Add(u32),
    /// Stops monitoring this PID and drops the histories of all tasks that had it.
    Remove(u32),
    /// Drops all samples. Living tasks stay monitored; exited tasks are removed.
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
