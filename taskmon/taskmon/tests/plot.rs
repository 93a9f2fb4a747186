// SPDX-License-Identifier: GPL-2.0-only

//! `plot`, over a recorded history and over a recording. (What the pictures look like, the program's own tests know.)

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::fs;
use std::fs::File;
use std::path::Path;

use common::System;
use common::golden;
use roxmltree::Document;
use taskmonitor::Sample;
use taskmonitor_recording::Head;
use taskmonitor_recording::Writer;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Two tasks over 30 s, one of which has a gap and exits.
fn history() -> String {
    let ms = 1_000_000_u64;
    let mut history = String::new();
    for second in 0..30_u64 {
        for (pid, usr, rss) in [(267_u64, 80 * second, 20 + second), (300, 3 * second, 300)] {
            if pid == 267 && ((12..20).contains(&second) || second > 25) {
                continue;
            }
            let (rss, users, state) = if (pid, second) == (267, 25) { (0, 0, 'X') } else { (rss << 20, 1, 'R') };
            history += &format!(
                "pid {pid} usr {} sys {} time {} rss {rss} minflt {} majflt {} mm_users {users} state {state} \
                 seq {second} start {pid}\n",
                10 * usr * ms,
                usr * ms,
                100_000 * ms + second * 1000 * ms + pid,
                100 * second,
                second / 9,
            );
        }
    }
    history
}

fn recorded() -> System {
    let system = System::new();
    system.write("sys/kernel/debug/taskmonitor_follow", &history());
    let task = |pid: u64, comm: &str| {
        format!(
            "pid {pid} start {pid} state R threads 1 samples 9 taken 9 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 time 9 \
             rss 4096 mm_users 1 comm {comm}\n"
        )
    };
    system.write("sys/kernel/debug/taskmonitor_tasks", &(task(267, "busy <&>") + &task(300, "idle")));
    system
}

/// The texts of a picture, which must be one.
#[track_caller]
fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts = document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.filter_map(|node| node.text().map(str::to_owned)).collect()
}

#[track_caller]
fn fails(system: &System, args: &[&str], status: i32, why: &str) {
    let (out, err, ended) = system.said(args);
    assert_eq!((out.as_str(), ended), ("", status), "{err}");
    assert!(err.contains(why), "{err}");
}

#[test]
fn a_picture_in_a_file_and_on_stdout() {
    let system = recorded();
    let file = system.path("picture.svg");
    let path = file.to_str().unwrap();
    assert_eq!(system.said(&["plot", "-o", path]), (String::new(), String::new(), 0));
    let svg = fs::read_to_string(&file).unwrap();
    assert_eq!(system.said(&["plot", "-o", "-"]).0, svg);
    let said = texts(&svg);
    for text in ["2 tasks", "busy <&>", "267", "idle", "300", "2026-11-27 UTC", "samples missing", "exit"] {
        assert!(said.contains(&text.to_owned()), "{text}: {said:?}");
    }
    // There is nothing but the picture afterwards.
    let names = |folder: &Path| {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert!(!names(system.path("").as_path()).iter().any(|name| name.starts_with(".taskmon")));
    let one = texts(&system.said(&["plot", "--name", "idle", "-o", "-", "--title", "What it does"]).0);
    assert!(
        one.contains(&"What it does".to_owned())
            && one.iter().any(|text| text.starts_with("idle, PID 300 · 29.0 s · ")),
        "{one:?}"
    );
    let later = texts(&system.said(&["plot", "300", "-o", "-", "--since", "1795795310", "--until", "1795795320"]).0);
    assert!(later.iter().any(|text| text.starts_with("10.0 s · 10 samples")), "{later:?}");
    let wide = system.said(&["plot", "-o", "-", "--width", "1200", "--height", "900"]).0;
    assert!(wide.contains("viewBox=\"0 0 1200 900\""));
}

#[test]
fn for_a_terminal() {
    let system = recorded();
    let plot = |locale: &str, args: &[&str]| {
        let output = system.taskmon().args(["plot", "--ascii"]).args(args).env("LC_ALL", locale).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // (Colours are for a terminal, which this is not.)
    golden("plot.txt", &plot("C", &[]));
    golden("plot.utf8.txt", &plot("C.UTF-8", &["--width", "60", "267"]));
    assert!(plot("C", &["--width", "40"]).lines().all(|line| line.len() <= 40));
    let file = system.path("picture.txt");
    assert_eq!(plot("C", &["-o", file.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(file).unwrap(), plot("C", &[]));
}

#[test]
fn of_a_recording() {
    let system = recorded();
    let file = system.path("recording");
    let head = Head { booted: 1_795_795_200_000_000_000, began: 100_000_000_000, ..Head::default() };
    let mut writer = Writer::new(File::create(&file).unwrap(), head).unwrap();
    let samples: Vec<Sample> = history().lines().map(|line| Sample::parse(line.as_bytes()).unwrap()).collect();
    writer.name(samples[0].id(), b"busy <&>").unwrap();
    writer.name(samples[1].id(), b"idle").unwrap();
    samples.iter().for_each(|sample| writer.sample(sample).unwrap());
    writer.flush().unwrap();
    drop(writer);
    // Without the module, and at the times at which it was made.
    let away = System::new();
    fs::remove_dir_all(away.path("sys")).unwrap();
    let path = file.to_str().unwrap();
    for args in [vec!["-o", "-"], vec!["300", "-o", "-"], vec!["--name", "/usy/", "--ascii"]] {
        let drawn = away.said(&[vec!["plot", "-i", path], args.clone()].concat());
        assert_eq!(drawn, system.said(&[vec!["plot"], args].concat()));
        assert_eq!(drawn.2, 0);
    }
    fails(&away, &["plot", "-i", path, "--name", "none", "-o", "-"], 1, "matches --name none");
    fails(&away, &["plot", "-i", path, "--user", "root", "-o", "-"], 1, "which has only PIDs and names of tasks");
}

#[test]
fn many_tasks_are_read_twice() {
    let system = System::new();
    let (mut history, mut tasks) = (String::new(), String::new());
    for second in 0..5_u64 {
        for pid in 1..=200_u64 {
            // Those that use most come last.
            let usr = if pid > 195 { 900 } else { 1 } * second * 1_000_000;
            history += &format!(
                "pid {pid} usr {usr} sys 0 time {} rss 4096 minflt 0 majflt 0 mm_users 1 state S seq {second} start 1\n",
                (second + 9) * 1_000_000_000 + pid
            );
        }
    }
    for pid in 1..=200 {
        tasks += &format!(
            "pid {pid} start 1 state S threads 1 samples 5 taken 5 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 time 9 rss 0 \
             mm_users 1 comm task-{pid}\n"
        );
    }
    system.write("sys/kernel/debug/taskmonitor_follow", &history);
    system.write("sys/kernel/debug/taskmonitor_tasks", &tasks);
    let said = texts(&system.said(&["plot", "-o", "-"]).0);
    for pid in 196..=200 {
        assert!(said.contains(&format!("task-{pid}")), "{pid}: {said:?}");
    }
    assert!(said.contains(&"193 others".to_owned()), "{said:?}");
}

#[test]
fn mistakes_and_failures() {
    let system = recorded();
    fails(&system, &["plot"], 2, "--output");
    fails(&system, &["plot", "-o", "-", "--width", "100"], 2, "480 pixels");
    fails(&system, &["plot", "--ascii", "--height", "100"], 2, "--height");
    fails(
        &system,
        &["plot", "-o", "-", "--height", "100"],
        1,
        "--height is too small for this many tasks and panels: use ",
    );
    fails(&system, &["plot", "7", "-o", "-"], 1, "no monitored task matches PID 7");
    let file = system.path("picture.svg");
    let path = file.to_str().unwrap();
    system.write("picture.svg", "the one before");
    fails(
        &system,
        &["plot", "-o", path, "--since", "2030-01-01T00:00:00Z"],
        1,
        "nothing to draw: no samples of these tasks in this time range",
    );
    fails(&system, &["plot", "-o", path, "7"], 1, "no monitored task");
    assert_eq!(system.read("picture.svg"), "the one before");
    fails(&system, &["plot", "-o", system.path("none/picture.svg").to_str().unwrap()], 1, "cannot write ");
    fails(&system, &["plot", "-o", system.path("sys").to_str().unwrap()], 1, "cannot write ");
    fails(&system, &["plot", "-o", "/dev/full"], 1, "cannot write /dev/full: No space left");
    fails(&system, &["plot", "-i", path, "-o", "-"], 1, "picture.svg");
}

/// Who reads a pipe gets all of the picture, in one piece.
#[test]
fn into_a_pipe() {
    let system = recorded();
    let path = system.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = std::process::Command::new("cat").arg(&path).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let plot = system.taskmon().args(["plot", "-o", path.to_str().unwrap()]).timeout(LIMIT).output().unwrap();
    assert!(plot.status.success(), "{plot:?}");
    let read = reader.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8(read).unwrap(), system.said(&["plot", "-o", "-"]).0);
}

/// On a disk that is full, the picture that was there stays.
#[test]
fn a_limit_on_files() {
    let system = recorded();
    system.write("picture.svg", "the one before");
    let path = system.path("picture.svg");
    let taskmon = env!("CARGO_BIN_EXE_taskmon");
    // (In blocks of 512 or 1024 bytes; a picture has more. The signal is ignored, so that the write fails.)
    let script = format!(
        "trap '' XFSZ; ulimit -f 2; exec {taskmon} --root {} --booted {} plot -o {}",
        system.path("").display(),
        common::BOOTED,
        path.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write "), "{output:?}");
    assert_eq!(system.read("picture.svg"), "the one before");
    let left = fs::read_dir(system.path(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0);
}
