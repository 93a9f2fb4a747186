// SPDX-License-Identifier: GPL-2.0-only

//! Where the files are.

use std::path::Path;
use std::path::PathBuf;

/// The folder in which `sys` and `proc` lie: `/`, or another one in tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// Files of the folder `path` instead of `/`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `path` below the root.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// The folder that is there while the module is loaded.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.join("sys/module/taskmonitor")
    }

    /// The file that takes commands, also under kernel lockdown.
    #[must_use]
    pub fn sysfs(&self) -> PathBuf {
        self.join("sys/kernel/taskmonitor")
    }

    /// Where debugfs is mounted.
    #[must_use]
    pub fn debugfs(&self) -> PathBuf {
        self.join("sys/kernel/debug")
    }

    /// The file that gives samples as they come.
    #[must_use]
    pub fn follow(&self) -> PathBuf {
        self.join("sys/kernel/debug/taskmonitor_follow")
    }

    /// The file with a line for each monitored task.
    #[must_use]
    pub fn tasks(&self) -> PathBuf {
        self.join("sys/kernel/debug/taskmonitor_tasks")
    }

    /// The file of a parameter of the module.
    #[must_use]
    pub fn parameter(&self, name: &str) -> PathBuf {
        self.module().join("parameters").join(name)
    }
}
