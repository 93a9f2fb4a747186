// SPDX-License-Identifier: GPL-2.0-only

//! Errors.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::Command;
use crate::Root;

/// Why a line of the module could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// A key without a value, or a value without a key.
    #[error("key without value")]
    Odd,
    /// A required key is missing.
    #[error("missing key \"{0}\"")]
    Missing(&'static str),
    /// A key occurs twice.
    #[error("duplicate key \"{0}\"")]
    Repeated(&'static str),
    /// The value of a key is invalid.
    #[error("invalid value for \"{0}\"")]
    Value(&'static str),
    /// The line is longer than any line of the module.
    #[error("line too long")]
    Endless,
}

/// Why the module refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// ESRCH: no task has this PID.
    #[error("no such task")]
    NoSuchTask,
    /// EEXIST: the task is already monitored.
    #[error("already monitored")]
    Monitored,
    /// ENOENT: no monitored task has this PID.
    #[error("not monitored")]
    NotMonitored,
    /// ENOSPC: `max_tasks` living tasks are already monitored.
    #[error("the limit max_tasks is reached")]
    TooMany,
    /// ENOMEM: the kernel is out of memory.
    #[error("the kernel is out of memory")]
    NoMemory,
    /// EINVAL: unknown command, or PID out of range.
    #[error("invalid command or PID")]
    Invalid,
}

impl Reason {
    fn of(error: &io::Error) -> Option<Self> {
        use nix::errno::Errno;
        Some(match Errno::from_raw(error.raw_os_error()?) {
            Errno::ESRCH => Self::NoSuchTask,
            Errno::EEXIST => Self::Monitored,
            Errno::ENOENT => Self::NotMonitored,
            Errno::ENOSPC => Self::TooMany,
            Errno::ENOMEM => Self::NoMemory,
            Errno::EINVAL => Self::Invalid,
            _ => return None,
        })
    }
}

/// An error of this crate.
///
/// [`Display`](std::fmt::Display) says in one line what failed and, if there is one, how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module is not loaded.
    #[error("the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor")]
    NotLoaded,
    /// debugfs is not mounted.
    #[error("debugfs is not mounted on {}; as root: mount -t debugfs none {}", .0.display(), .0.display())]
    NotMounted(PathBuf),
    /// The module has no files in debugfs, because debugfs is disabled.
    #[error("{} does not exist: debugfs is disabled; boot without debugfs=off", .0.display())]
    DebugfsOff(PathBuf),
    /// EACCES: the caller may not access the file.
    #[error("cannot access {}: permission denied; run this command as root", .0.display())]
    Permission(PathBuf),
    /// EPERM: kernel lockdown or a container denies access to the file, even for root.
    #[error("cannot access {}: operation not permitted, even for root; to find out why: taskmon doctor", .0.display())]
    LockedDown(PathBuf),
    /// The module refused a command.
    #[error("the module refused the command \"{command}\": {reason}")]
    Refused {
        /// The command.
        command: Command,
        /// Why.
        reason: Reason,
    },
    /// A line of a file of the module could not be parsed.
    #[error("cannot parse {}: {line_error}: \"{}\"", path.display(), line.escape_ascii())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, cut to 200 bytes.
        line: Vec<u8>,
        /// Why it could not be parsed.
        line_error: LineError,
    },
    /// A module parameter has an invalid value, or the module refused a new one.
    #[error("invalid value {value:?} for {}", path.display())]
    Parameter {
        /// The file.
        path: PathBuf,
        /// The value that was read or written.
        value: String,
    },
    /// Another I/O error.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl Error {
    /// What `source`, met at `path`, means.
    pub(crate) fn io(root: &Root, path: &Path, source: io::Error) -> Self {
        use nix::errno::Errno;
        let errno = source.raw_os_error().map(Errno::from_raw);
        let path = path.to_path_buf();
        match errno {
            Some(Errno::ENOENT | Errno::ENODEV) if !root.module().exists() => Self::NotLoaded,
            // Whoever may not enter debugfs cannot know more than whether the module is there.
            Some(Errno::EACCES) if !root.module().exists() => Self::NotLoaded,
            Some(Errno::ENOENT) if path.starts_with(root.debugfs()) => match mounted(root) {
                Some(false) => Self::NotMounted(root.debugfs()),
                _ => Self::DebugfsOff(path),
            },
            Some(Errno::EACCES) => Self::Permission(path),
            Some(Errno::EPERM) => Self::LockedDown(path),
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn line(path: &Path, line: &[u8], line_error: LineError) -> Self {
        let line = line.get(..line.len().min(200)).unwrap_or_default().to_vec();
        Self::Line { path: path.to_path_buf(), line, line_error }
    }

    /// What `source`, the answer to `command`, means.
    pub(crate) fn refused(root: &Root, command: Command, source: io::Error) -> Self {
        match Reason::of(&source) {
            Some(reason) => Self::Refused { command, reason },
            None => Self::io(root, &root.sysfs(), source),
        }
    }

    /// Returns why the module refused a command, or `None` for another error.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// Whether a debugfs is mounted where it should be, if that can be known.
fn mounted(root: &Root) -> Option<bool> {
    let folder = root.debugfs();
    let mounts = std::fs::read_to_string(root.join("proc/self/mounts")).ok()?;
    // The paths in there are those of the system, whatever the root is.
    Some(mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next().is_some_and(|path| folder.ends_with(path.trim_start_matches('/')))
            && matches!(fields.next(), Some("debugfs"))
    }))
}
