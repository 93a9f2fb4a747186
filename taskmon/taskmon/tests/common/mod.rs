// SPDX-License-Identifier: GPL-2.0-only

//! A folder that looks like a system on which the module is loaded, and the program at work on it.

#![allow(dead_code, missing_docs)]

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::TempDir;

/// 2026-11-27T16:00:00Z.
pub const BOOTED: &str = "1795795200000000000";

pub struct System {
    folder: TempDir,
}

impl System {
    /// One with the module, which monitors nothing yet.
    pub fn new() -> Self {
        let system = Self { folder: tempfile::tempdir().unwrap() };
        system.write("proc/self/mounts", "debugfs /sys/kernel/debug debugfs rw 0 0\n");
        system.write("sys/module/taskmonitor/version", "0.1\n");
        system.write("sys/module/taskmonitor/parameters/period_us", "1000000\n");
        system.write("sys/module/taskmonitor/parameters/sampling", "Y\n");
        system.write("sys/kernel/taskmonitor", "");
        system.write("sys/kernel/debug/taskmonitor_follow", "");
        system.write("sys/kernel/debug/taskmonitor_tasks", "");
        system
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn append(&self, path: &str, text: &str) {
        OpenOptions::new().append(true).open(self.path(path)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// A process in /proc.
    pub fn process(&self, pid: u32, parent: u32, comm: &str, group: &str) {
        let zeros = ["0"; 45].join(" ");
        self.write(&format!("proc/{pid}/stat"), &format!("{pid} ({comm}) S {parent} {pid} {pid} {zeros}\n"));
        self.write(&format!("proc/{pid}/cgroup"), &format!("0::{group}\n"));
    }

    /// taskmon on this system.
    pub fn taskmon(&self) -> Command {
        let mut command = Command::cargo_bin("taskmon").unwrap();
        command.arg("--root").arg(self.folder.path()).args(["--booted", BOOTED]);
        command
    }

    /// What `taskmon ARGS` does: stdout, stderr and the exit status.
    pub fn said(&self, args: &[&str]) -> (String, String, i32) {
        let output = self.taskmon().args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }
}

/// Compares `text` with the file `name` in tests/golden, or writes it there if GOLDEN=write is in the environment.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} is not what is said now:\n{text}", path.display());
}
