// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon doctor` over a folder that looks like a system. What it makes of each fact is tested where it is written.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;

fn doctor(root: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_taskmon")).arg("--root").arg(root).arg("doctor").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn from_nothing_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let (status, text) = doctor(folder.path());
    assert_eq!(status, Some(1));
    assert!(text.starts_with("problem  /proc/sys/kernel does not exist: "), "{text}");
    write("proc/sys/kernel/osrelease", "7.3.4\n");
    write("lib/modules/7.3.4/modules.dep", "updates/dkms/taskmonitor.ko.xz:\n");
    let (status, text) = doctor(folder.path());
    assert_eq!(status, Some(1));
    let found = "problem  the kernel module taskmonitor is not loaded\n         fix: modprobe taskmonitor\n";
    assert!(text.starts_with(found), "{text}");
    write("proc/self/mounts", "none /sys/kernel/debug debugfs rw 0 0\n");
    write("sys/module/taskmonitor/version", "0.1.0\n");
    write("sys/module/taskmonitor/parameters/period_us", "1000000\n");
    write("sys/module/taskmonitor/parameters/sampling", "N\n");
    write("sys/module/taskmonitor/parameters/max_tasks", "16384\n");
    write("sys/kernel/taskmonitor", "");
    write("sys/kernel/debug/taskmonitor_follow", "");
    write("sys/kernel/debug/taskmonitor_tasks", "");
    let (status, text) = doctor(folder.path());
    assert_eq!(status, Some(1));
    assert!(text.contains("\nproblem  sampling is stopped"), "{text}");
    write("sys/module/taskmonitor/parameters/sampling", "Y\n");
    let (status, text) = doctor(folder.path());
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("\nok       sampling is on\n") && !text.contains("problem"), "{text}");
}
