// SPDX-License-Identifier: GPL-2.0-only

//! Paths of the module's files.

use std::path::Path;
use std::path::PathBuf;

/// The directory that contains `sys` and `proc`: `/`, or another directory in tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// Returns a root at the directory `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns `path` below the root.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Returns the directory that exists while the module is loaded.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.join("sys/module/taskmonitor")
    }

    /// Returns the sysfs file that accepts commands, also under kernel lockdown.
    #[must_use]
    pub fn sysfs(&self) -> PathBuf {
        self.join("sys/kernel/taskmonitor")
    }

    /// Returns the mount point of debugfs.
    #[must_use]
    pub fn debugfs(&self) -> PathBuf {
        self.join("sys/kernel/debug")
    }

    /// Returns the file `taskmonitor_follow`, with the samples as they are taken.
    #[must_use]
    pub fn follow(&self) -> PathBuf {
        self.join("sys/kernel/debug/taskmonitor_follow")
    }

    /// Returns the file `taskmonitor_tasks`, with one line per monitored task.
    #[must_use]
    pub fn tasks(&self) -> PathBuf {
        self.join("sys/kernel/debug/taskmonitor_tasks")
    }

    /// Returns the file of the module parameter `name`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> PathBuf {
        self.module().join("parameters").join(name)
    }
}
