// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon export` over a folder that looks like the module.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

use std::fs;
use std::fs::OpenOptions;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use taskmonitor::Root;
use tempfile::TempDir;

/// What is not there after so long never comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// When a task began that began after the exporter: no machine is up for so long.
const LATER: u64 = u64::MAX;

fn task(pid: u32, start: u64, state: char, usr: u64, comm: &str) -> String {
    format!(
        "pid {pid} start {start} state {state} threads 1 samples 2 taken {} evicted 0 reclaimed 0 missed 1 \
         usr {usr} sys 0 time 3 rss 4096 mm_users 1 comm {comm}\n",
        usr / 1_000_000_000,
    )
}

fn sample(pid: u32, start: u64, minflt: u64) -> String {
    format!("pid {pid} usr 0 sys 0 time 3 rss 0 minflt {minflt} majflt 0 mm_users 1 state S seq 1 start {start}\n")
}

struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        let root = fake.root();
        fs::create_dir_all(root.module().join("parameters")).unwrap();
        fs::create_dir_all(root.debugfs()).unwrap();
        fs::write(root.parameter("period_us"), "1000000\n").unwrap();
        fs::write(root.parameter("sampling"), "Y\n").unwrap();
        fs::write(root.module().join("version"), "0.1.0\n").unwrap();
        fs::write(root.follow(), sample(7, 1, 1000)).unwrap();
        fake.tasks(&[task(7, 1, 'S', 5_000_000_000, "sh")]);
        fake
    }

    fn root(&self) -> Root {
        Root::at(self.0.path())
    }

    /// Puts other tasks in the place of those that are there, in one go.
    fn tasks(&self, tasks: &[String]) {
        let new = self.0.path().join("tasks");
        fs::write(&new, tasks.concat()).unwrap();
        fs::rename(new, self.root().tasks()).unwrap();
    }

    fn samples(&self, text: &str) {
        OpenOptions::new().append(true).open(self.root().follow()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        // (Whoever started the tests may ignore signals that are for taskmon here.)
        let mut command = Command::new("env");
        command
            .args(["--default-signal", env!("CARGO_BIN_EXE_taskmon"), "--root"])
            .arg(self.0.path())
            .arg("export")
            .args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// What runs until it is stopped, or dropped.
struct Running(Child);

impl Running {
    /// Its exit status, and what it has said.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                let mut said = String::new();
                if let Some(mut stderr) = self.0.stderr.take() {
                    stderr.read_to_string(&mut said).unwrap();
                }
                return (status.code(), said);
            }
            assert!(Instant::now() < end, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The exporter, and where it listens.
fn listening(fake: &Fake, args: &[&str]) -> (Running, String, BufReader<std::process::ChildStderr>) {
    let mut args = args.to_vec();
    args.extend(["--listen", "127.0.0.1:0"]);
    let mut running = Running(fake.command(&args).spawn().unwrap());
    let mut stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("taskmon: serving http://").and_then(|l| l.strip_suffix("/metrics"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    (running, address, stderr)
}

/// Status line and head, and body.
fn http(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(address: &str) -> String {
    let (head, body) = http(address, "GET /metrics HTTP/1.1\nHost: here\n\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}\n{body}");
    body
}

/// The value of a series.
fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = found.next();
    assert!(found.next().is_none(), "{series} is there twice");
    value
}

/// Has promtool look at a text, if it is there.
fn check(text: &str) {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match spawned {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Not by eprintln!, which cargo test shows of tests that fail only.
            let _ = writeln!(std::io::stderr(), "skipped: there is no promtool (Debian: apt-get install prometheus)");
            return;
        }
        spawned => spawned.unwrap(),
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
}

#[test]
fn a_life_is_followed() {
    let fake = Fake::new();
    let (running, address, _stderr) = listening(&fake, &[]);
    let text = get(&address);
    assert_eq!(value(&text, "taskmonitor_cpu_seconds_total{name=\"sh\",mode=\"user\"}"), Some("0"));
    assert_eq!(value(&text, "taskmonitor_tasks{name=\"sh\"}"), Some("1"));
    fake.samples(&(sample(7, 1, 2000) + &sample(7, 1, 2001) + &sample(8, LATER, 30)));
    let odd = r#"a"b\134 c"#;
    fake.tasks(&[task(7, 1, 'S', 7_500_000_000, "sh"), task(8, LATER, 'R', 3_000_000_000, odd)]);
    let text = get(&address);
    assert_eq!(value(&text, "taskmonitor_cpu_seconds_total{name=\"sh\",mode=\"user\"}"), Some("2.5"));
    // A series that is new begins with 0: what it counts later is an increase.
    let (odd_user, odd_minor) = (
        r#"taskmonitor_cpu_seconds_total{name="a\"b\\ c",mode="user"}"#,
        r#"taskmonitor_page_faults_total{name="a\"b\\ c",kind="minor"}"#,
    );
    assert_eq!((value(&text, odd_user), value(&text, odd_minor)), (Some("0"), Some("0")));
    let again = get(&address);
    assert_eq!((value(&again, odd_user), value(&again, odd_minor)), (Some("3"), Some("30")));
    // Another client has not seen it yet.
    let other = || http(&address, "GET /metrics HTTP/1.1\nUser-Agent: another\n\n").1;
    assert_eq!(http(&address, "HEAD /metrics HTTP/1.1\nUser-Agent: another\n\n").1, "");
    assert_eq!(value(&other(), odd_user), Some("0"));
    assert_eq!(value(&other(), odd_user), Some("3"));
    assert_eq!(value(&text, "taskmonitor_samples_total{name=\"sh\"}"), Some("2"));
    assert_eq!(value(&text, "taskmonitor_period_seconds"), Some("1"));
    assert_eq!(value(&text, "taskmonitor_exporter_samples_read_total"), Some("3"));
    check(&text);
    fake.samples(&sample(7, 1, 2011));
    fake.tasks(&[task(7, 1, 'X', 8_000_000_000, "sh"), task(8, LATER, 'R', 3_000_000_000, odd)]);
    let text = get(&address);
    assert_eq!(value(&text, "taskmonitor_cpu_seconds_total{name=\"sh\",mode=\"user\"}"), Some("3"));
    assert_eq!(value(&text, "taskmonitor_page_faults_total{name=\"sh\",kind=\"minor\"}"), Some("10"));
    assert_eq!(value(&text, "taskmonitor_tasks{name=\"sh\"}"), Some("0"));
    assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn series_by_pid() {
    let fake = Fake::new();
    let (running, address, _stderr) = listening(&fake, &["--pid"]);
    fake.tasks(&[
        task(7, 1, 'X', 5_000_000_000, "sh"),
        task(7, LATER, 'S', 1_000_000_000, "sh"),
        task(9, LATER, 'S', 2_000_000_000, "sh"),
    ]);
    let nine = "taskmonitor_cpu_seconds_total{name=\"sh\",pid=\"9\",mode=\"user\"}";
    assert_eq!(value(&get(&address), nine), Some("0"));
    let text = get(&address);
    assert_eq!(value(&text, "taskmonitor_cpu_seconds_total{name=\"sh\",pid=\"7\",mode=\"user\"}"), Some("1"));
    assert_eq!(value(&text, "taskmonitor_tasks{name=\"sh\",pid=\"7\"}"), Some("1"));
    assert_eq!(value(&text, "taskmonitor_cpu_seconds_total{name=\"sh\",pid=\"9\",mode=\"user\"}"), Some("2"));
    check(&text);
    assert_eq!(running.stop(Signal::SIGINT).0, Some(0));
}

#[test]
fn a_thread_of_a_process_adds_nothing() {
    let fake = Fake::new();
    let of = |line: String, tgid: u32| line.replace(" comm ", &format!(" tgid {tgid} comm "));
    let tasks = |usr: u64, state| {
        let second = 1_000_000_000;
        [
            of(task(20, 2, state, 3 * usr * second, "app"), 20),
            of(task(21, 3, state, usr * second, "app"), 20),
            of(task(22, 3, state, usr * second, "worker"), 20),
            of(task(31, 3, state, usr * second, "lone"), 30),
        ]
    };
    fake.tasks(&tasks(1, 'S'));
    let (running, address, _stderr) = listening(&fake, &[]);
    let (pids, pids_address, _pids_stderr) = listening(&fake, &["--pid"]);
    let user = |text: &str, name: &str| {
        value(text, &format!("taskmonitor_cpu_seconds_total{{name=\"{name}\",mode=\"user\"}}")).map(str::to_owned)
    };
    for (usr, state, app, lone) in [(1, 'S', "0", "0"), (5, 'S', "12", "4"), (6, 'X', "15", "5")] {
        fake.tasks(&tasks(usr, state));
        let text = get(&address);
        assert_eq!((user(&text, "app").as_deref(), user(&text, "lone").as_deref()), (Some(app), Some(lone)));
        assert_eq!(user(&text, "worker"), None);
        let (processes, memory) = if state == 'X' { ("0", "0") } else { ("1", "4096") };
        assert_eq!(value(&text, "taskmonitor_tasks{name=\"app\"}"), Some(processes));
        assert_eq!(value(&text, "taskmonitor_resident_memory_bytes{name=\"app\"}"), Some(memory));
        let text = get(&pids_address);
        let thread = "taskmonitor_cpu_seconds_total{name=\"worker\",pid=\"22\",process=\"20\",mode=\"user\"}";
        assert_eq!(value(&text, thread), Some(lone));
    }
    assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
    assert_eq!(pids.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn hosts_and_ports() {
    let fake = Fake::new();
    for host in ["localhost:0", ":0", "[::1]:0", "127.0.0.1:0"] {
        let mut running = Running(fake.command(&["--listen", host]).spawn().unwrap());
        let mut stderr = BufReader::new(running.0.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        if host.starts_with("[::1]") && line.contains("cannot listen on [::1]:0") {
            // (This machine has no IPv6.)
            continue;
        }
        let address =
            line.trim_end().strip_prefix("taskmon: serving http://").and_then(|l| l.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("{line}"));
        let address = address.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1");
        assert!(get(&address).contains("taskmonitor_tasks"));
        assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
    }
    for (host, text) in [
        ("9898", "expected HOST:PORT"),
        ("::1:9898", "an IPv6 address needs brackets"),
        ("localhost:http", "\"http\" is not a port"),
        ("http://localhost:9898", "is neither an address nor the name of a host"),
    ] {
        let output = fake.command(&["--listen", host]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(text), "{host}: {said}");
    }
}

#[test]
fn only_a_file_of_its_own_is_replaced() {
    let fake = Fake::new();
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("a.prom"), folder.path().join("target"));
    let refused = |path: &Path| {
        let mut running = textfile(&fake, path);
        let status = wait_for("a refusal", || running.0.try_wait().unwrap());
        let mut said = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.code() == Some(1) && said.contains("is not a file of taskmon export"), "{said}");
    };
    fs::write(&path, "# HELP node_load1 1m load average.\n").unwrap();
    refused(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "# HELP node_load1 1m load average.\n");
    fs::remove_file(&path).unwrap();
    fs::write(&target, "dear").unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    refused(&path);
    assert_eq!(fs::read_to_string(&target).unwrap(), "dear");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(&path);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&path);
    fs::remove_dir(&path).unwrap();
    // What a killed one has left.
    fs::write(&path, "# HELP taskmonitor_cpu_seconds_total old\n").unwrap();
    let running = textfile(&fake, &path);
    wait_for("the file", || fs::read_to_string(&path).ok().filter(|text| text.contains("exporter_build_info")));
    // A directory takes its place meanwhile: taskmon reports it, and does not remove it.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let (status, said) = running.stop(Signal::SIGTERM);
    assert!(status == Some(1) && said.contains("is not a file of taskmon export") && path.is_dir(), "{said}");
}

#[test]
fn what_http_answers() {
    let fake = Fake::new();
    let (running, address, _stderr) = listening(&fake, &[]);
    let open = "GET /metrics HTTP/1.1\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\n\n";
    let (head, body) = http(&address, open);
    assert!(
        head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(body.contains("# TYPE taskmonitor_cpu_seconds counter\n") && body.ends_with("# EOF\n"));
    let (head, body) = http(&address, "GET /metrics HTTP/1.1\n\n");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(body.contains("# TYPE taskmonitor_cpu_seconds_total counter\n") && !body.contains("# EOF"));
    let (head, body) = http(&address, "HEAD /metrics HTTP/1.1\n\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}\n{body}");
    assert!(http(&address, "GET / HTTP/1.1\n\n").1.contains("/metrics"));
    assert!(http(&address, "GET /metrics/ HTTP/1.1\n\n").0.starts_with("HTTP/1.1 404 "));
    assert!(http(&address, "POST /metrics HTTP/1.1\n\n").0.starts_with("HTTP/1.1 405 "));
    assert!(http(&address, "nonsense\n\n").0.starts_with("HTTP/1.1 400 "));
    // Somebody who says nothing keeps nobody waiting, not even whoever stops it.
    let _silent = TcpStream::connect(&address).unwrap();
    get(&address);
    assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn the_module_fails_for_a_while() {
    let fake = Fake::new();
    let (running, address, mut stderr) = listening(&fake, &[]);
    let module = fake.root().module();
    let tasks = fs::read(fake.root().tasks()).unwrap();
    fs::remove_file(fake.root().tasks()).unwrap();
    let hidden = fake.0.path().join("hidden");
    fs::rename(&module, &hidden).unwrap();
    for _ in 0..2 {
        let (head, body) = http(&address, "GET /metrics HTTP/1.1\n\n");
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert_eq!(body, "the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n");
    }
    fs::write(fake.root().tasks(), tasks).unwrap();
    fs::rename(&hidden, &module).unwrap();
    let text = get(&address);
    assert_eq!(value(&text, "taskmonitor_exporter_scrape_errors_total"), Some("2"));
    assert_eq!(value(&text, "taskmonitor_exporter_scrapes_total"), Some("3"));
    assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n");
}

fn wait_for<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn textfile(fake: &Fake, path: &Path) -> Running {
    Running(fake.command(&["--interval", "50ms", "--textfile", path.to_str().unwrap()]).spawn().unwrap())
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
}

#[test]
fn a_file_for_node_exporter() {
    let fake = Fake::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taskmonitor.prom");
    // Somebody who may write to the folder has laid a trap.
    let victim = fake.0.path().join("victim");
    fs::write(&victim, "dear").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join(".taskmonitor.prom.new")).unwrap();
    let running = textfile(&fake, &path);
    let read = || fs::read_to_string(&path).ok();
    let user = "taskmonitor_cpu_seconds_total{name=\"sh\",mode=\"user\"}";
    wait_for("the file", || read().filter(|text| value(text, user) == Some("0")));
    fake.tasks(&[task(7, 1, 'S', 7_500_000_000, "sh")]);
    // What is there is always whole.
    let text = wait_for("the increase", || {
        let text = read().unwrap();
        assert!(
            text.starts_with("# HELP ") && text.contains("taskmonitor_exporter_build_info{") && text.ends_with('\n')
        );
        (value(&text, user) == Some("2.5")).then_some(text)
    });
    check(&text);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    // While there is nothing true to say, there is no file.
    let hidden = fake.0.path().join("hidden");
    fs::rename(fake.root().module(), &hidden).unwrap();
    wait_for("the end of the file", || (!path.exists()).then_some(()));
    fs::rename(&hidden, fake.root().module()).unwrap();
    wait_for("the file again", read);
    assert_eq!(running.stop(Signal::SIGTERM).0, Some(0));
    assert_eq!(names(folder.path()), Vec::<PathBuf>::new());
    assert_eq!(fs::read_to_string(victim).unwrap(), "dear");
}

#[test]
fn what_cannot_work_ends_at_once() {
    let fake = Fake::new();
    let said = |args: &[&str]| {
        let output = fake.command(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let path = fake.0.path().join("none/a.prom");
    let (status, text) = said(&["--textfile", path.to_str().unwrap()]);
    assert_eq!(status, Some(1));
    assert_eq!(text, format!("taskmon: cannot write {}: No such file or directory (os error 2)\n", path.display()));
    let (_running, address, _stderr) = listening(&fake, &[]);
    let (status, text) = said(&["--listen", &address]);
    assert_eq!(status, Some(1));
    assert_eq!(text, format!("taskmon: cannot listen on {address}: Address already in use (os error 98)\n"));
    assert_eq!(said(&[]).0, Some(2));
    assert_eq!(said(&["--listen", &address, "--textfile", "a.prom"]).0, Some(2));
    fs::remove_file(fake.root().tasks()).unwrap();
    let (status, text) = said(&["--listen", "127.0.0.1:0"]);
    assert_eq!(status, Some(1));
    assert!(text.contains("taskmonitor_tasks"), "{text}");
    fs::remove_dir_all(fake.root().module()).unwrap();
    let (status, text) = said(&["--listen", "127.0.0.1:0"]);
    assert_eq!(status, Some(1));
    assert_eq!(text, "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor\n");
}

#[test]
fn an_interval_longer_than_any_clock_can_tell() {
    let fake = Fake::new();
    let path = fake.0.path().join("taskmonitor.prom");
    let args = ["--interval", "9223372036854775807s", "--textfile", path.to_str().unwrap()];
    let running = Running(fake.command(&args).spawn().unwrap());
    wait_for("the file", || path.exists().then_some(()));
    let (status, said) = running.stop(Signal::SIGTERM);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert!(!path.exists());
}

#[test]
fn a_file_that_cannot_be_written_any_more_does_not_stay() {
    let fake = Fake::new();
    let path = fake.0.path().join("taskmonitor.prom");
    let args = ["--interval", "10ms", "--textfile", path.to_str().unwrap()];
    let running = Running(fake.command(&args).spawn().unwrap());
    wait_for("the file", || path.exists().then_some(()));
    // A folder, in the way of the new file.
    let way = fake.0.path().join(".taskmonitor.prom.new");
    wait_for("a free way", || fs::create_dir(&way).ok());
    wait_for("the end of the file", || (!path.exists()).then_some(()));
    // Time to fail again and again, which is said once. (It may have been in its way at two places.)
    std::thread::sleep(Duration::from_millis(500));
    fs::remove_dir(&way).unwrap();
    wait_for("the file again", || path.exists().then_some(()));
    let (status, said) = running.stop(Signal::SIGTERM);
    assert_eq!(status, Some(0));
    assert!((1..=2).contains(&said.lines().count()), "{said}");
}

#[test]
fn nohup_holds_and_a_script_may_interrupt() {
    let fake = Fake::new();
    let path = fake.0.path().join("taskmonitor.prom");
    // As nohup does, and a shell in the background.
    let script = "trap '' HUP INT; exec \"$0\" --root \"$1\" export --interval 10ms --textfile \"$2\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_taskmon")]).arg(fake.0.path()).arg(&path).stderr(Stdio::piped());
    let running = Running(shell.spawn().unwrap());
    wait_for("the file", || path.exists().then_some(()));
    kill(Pid::from_raw(running.0.id() as i32), Signal::SIGHUP).unwrap();
    // Whoever had heeded it would not write any more.
    std::thread::sleep(Duration::from_millis(500));
    wait_for("the next file", || fs::remove_file(&path).ok());
    wait_for("another", || path.exists().then_some(()));
    assert_eq!(running.stop(Signal::SIGINT).0, Some(0));
}

/// All addresses are IPv4 and IPv6, or that fails: net.ipv6.bindv6only makes two sockets of them, and one may be in use.
#[test]
fn all_addresses_or_none() {
    let fake = Fake::new();
    // In a network of its own, with a setting of its own. "no" where that is not possible.
    let script = "set -e; echo $0 >/proc/sys/net/ipv6/bindv6only || { echo no; exit; }; \
        \"$@\" --listen \"$IN_USE\" 2>/dev/null & first=$!; \
        until grep -qs ':1F90 ' /proc/net/tcp /proc/net/tcp6; do sleep 0.01; done; \
        status=0; timeout -s KILL 60 \"$@\" --listen \"$WANTED\" 2>&1 || status=$?; kill $first; echo status $status";
    let taskmon = fake.command(&[]);
    for (only, in_use, wanted) in [
        ("1", "0.0.0.0:8080", ":8080"),
        ("1", "[::]:8080", ":8080"),
        ("0", "0.0.0.0:8080", ":8080"),
        ("0", "[::]:8080", ":8080"),
    ] {
        let mut run = Command::new("unshare");
        run.args(["--net", "--", "sh", "-c", script, only]).arg(taskmon.get_program()).args(taskmon.get_args());
        let output = run.env("IN_USE", in_use).env("WANTED", wanted).stderr(Stdio::null()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        if text.is_empty() || text == "no\n" {
            eprintln!("not tested: there is no network of its own");
            return;
        }
        assert!(
            text.contains("cannot listen on :8080: Address already in use") && text.ends_with("status 1\n"),
            "{only} {in_use}: {text}"
        );
    }
}
