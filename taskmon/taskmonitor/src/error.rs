// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::Command;
use crate::Root;

/// Why a line is none of the module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// A key without a value, or a value without a key.
    #[error("a key without a value")]
    Odd,
    /// A key that every line has is not there.
    #[error("no key \"{0}\"")]
    Missing(&'static str),
    /// A key is there twice.
    #[error("two keys \"{0}\"")]
    Repeated(&'static str),
    /// The value of a key is not what it can be.
    #[error("a value of \"{0}\" that is none")]
    Value(&'static str),
    /// A line without an end.
    #[error("no end of the line")]
    Endless,
}

/// Why the module refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// ESRCH.
    #[error("there is no such task")]
    NoSuchTask,
    /// EEXIST.
    #[error("it is monitored already")]
    Monitored,
    /// ENOENT.
    #[error("it is not monitored")]
    NotMonitored,
    /// ENOSPC.
    #[error("as many tasks as max_tasks allows are monitored")]
    TooMany,
    /// ENOMEM.
    #[error("the kernel is out of memory")]
    NoMemory,
    /// EINVAL: the module does not know the command, or no PID can be so large.
    #[error("the module does not take it")]
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

/// What can go wrong. Each [`Display`](std::fmt::Display) says in one sentence what, and what mends it if anything does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module is not loaded.
    #[error("the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor")]
    NotLoaded,
    /// debugfs is not mounted.
    #[error("debugfs is not mounted on {}; as root: mount -t debugfs none {}", .0.display(), .0.display())]
    NotMounted(PathBuf),
    /// The module has no files in debugfs.
    #[error("there is no {}: this kernel has debugfs switched off; boot without debugfs=off", .0.display())]
    DebugfsOff(PathBuf),
    /// No rights.
    #[error("no permission for {}; run this as root", .0.display())]
    Permission(PathBuf),
    /// The kernel is locked down.
    #[error("the kernel refuses {} even to root; taskmon doctor says whether that is lockdown or a container", .0.display())]
    LockedDown(PathBuf),
    /// The module refused a command.
    #[error("\"{command}\": {reason}")]
    Refused {
        /// The command.
        command: Command,
        /// Why.
        reason: Reason,
    },
    /// A line that the module does not write.
    #[error("{}: {line_error}: \"{}\"", path.display(), line.escape_ascii())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, or its beginning.
        line: Vec<u8>,
        /// What is wrong with it.
        line_error: LineError,
    },
    /// A parameter that cannot be read or written.
    #[error("{}: no value of a parameter: {value:?}", path.display())]
    Parameter {
        /// The file.
        path: PathBuf,
        /// What it holds, or should.
        value: String,
    },
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
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

    /// Why the module refused a command, if that is what went wrong.
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
