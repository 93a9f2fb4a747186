// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon run`: what a command does and takes.

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::signal::raise;
use nix::sys::signalfd::SfdFlags;
use nix::sys::signalfd::SignalFd;
use nix::sys::signalfd::siginfo;
use nix::sys::wait::Id as Child;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitid;
use nix::unistd::Pid;
use nix::unistd::getpgid;
use nix::unistd::getpgrp;
use signal_hook::flag;
use taskmonitor::Command;
use taskmonitor::Follow;
use taskmonitor::Monitor;
use taskmonitor::Reason;
use taskmonitor::Root;
use taskmonitor::Sample;
use taskmonitor::Task;
use taskmonitor::readable;
use taskmonitor_recording::Why;

use crate::Failure;
use crate::choose::Chooser;
use crate::cli::Format;
use crate::cli::Record;
use crate::cli::Run;
use crate::hold::Begun;
use crate::hold::Fate;
use crate::hold::Held;
use crate::hold::Used;
use crate::output;
use crate::output::Whole;
use crate::period::Period;
use crate::period::sample_now;
use crate::plot;
use crate::plot::Picture;
use crate::rate::Point;
use crate::rate::Series;
use crate::record::Recorded;
use crate::record::Recorder;
use crate::record::WRITES;
use crate::record::Wanted;
use crate::say;
use crate::show::Records;
use crate::show::fields_of_run;
use crate::signals::Ignored;
use crate::summary::Peak;
use crate::summary::Seen;
use crate::summary::Summary;
use crate::summary::code;
use crate::times::Clock;
use crate::times::boottime;

/// Exit statuses, as those of env.
const FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What is passed on: whatever others send to tell a process something, or to end it. Those that stop and continue a job reach
/// all of it, and do with taskmon what they do with the command.
const PASSED_ON: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGWINCH,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// Samples are read that rarely, as reading takes time that the command could use.
const REST: Duration = Duration::from_millis(100);
/// The warning when the module does not sample.
pub const SAMPLING_STOPPED: &str =
    "sampling is stopped: no samples are taken until you run: echo start >/sys/kernel/taskmonitor";
/// The shortest period of the module.
const SHORTEST: Duration = Duration::from_micros(100);

/// `taskmon run`
pub fn run(root: Root, args: &Run, booted: Option<i64>) -> ExitCode {
    status(root, args, None, booted)
}

/// `taskmon record -- COMMAND`
pub fn record(root: Root, args: &Record, booted: Option<i64>) -> ExitCode {
    let Record { period, command, .. } = args;
    let run = Run { period: *period, csv: None, json: None, plot: None, keep: false, command: command.clone() };
    status(root, &run, Some(args), booted)
}

fn status(root: Root, args: &Run, record: Option<&Record>, booted: Option<i64>) -> ExitCode {
    let status = Monitor::open(root).map_err(Failure::from).and_then(|m| attempt(&m, args, record, booted));
    ExitCode::from(status.unwrap_or_else(|failure| {
        say(failure);
        FAILED
    }))
}

fn attempt(monitor: &Monitor, args: &Run, record: Option<&Record>, booted: Option<i64>) -> Result<u8, Failure> {
    let mut follow = monitor.follow()?;
    let mut log = Log::new(args, Clock::new(booted).map_err(|e| Failure::other("cannot read the clock", e))?)?;
    log.recording = record.map(|record| Recording::new(monitor, record, log.clock.clone())).transpose()?;
    let signals = Signals::choose()?;
    // The command has the signals as they are now: as they were when taskmon began. Until they are blocked, one that ends taskmon
    // also ends the process that it holds.
    let held = Held::new(&args.command)?;
    let signals = signals.block()?;
    let period = Period::ask(monitor, args.period)?;
    follow.skip()?;
    let pid = held.pid().as_raw().unsigned_abs();
    monitor.send(Command::Add(pid))?;
    if !monitor.sampling().unwrap_or(true) {
        say(SAMPLING_STOPPED);
    }
    let mut watch = Watch {
        name: name(&args.command),
        pid,
        held,
        signals,
        follow: Some(follow),
        rest: rest(monitor),
        series: Series::by_clock(None, log.clock.clone()),
        seen: Seen::default(),
        own: None,
        log,
    };
    let ended = watch.watch();
    let end = boottime();
    watch.drain(*end.as_ref().unwrap_or(&u64::MAX));
    watch.await_last(monitor);
    let tasks = monitor.tasks().unwrap_or_default();
    watch.log.flush();
    // (While the module knows the task.)
    let recorded = watch.log.end(ended.as_ref().ok().map(|Ended { fate, status, used }| match fate {
        Fate::Failed(error) => (cannot(*error), None),
        Fate::Ended => (code(*status), None),
        Fate::Command(begun) => (code(*status), Peak::of(begun, used).exact()),
    }));
    let Ended { fate, status, used } = match ended {
        Ok(ended) => ended,
        Err(failure) => {
            remove(monitor, pid, &tasks);
            return Err(failure);
        }
    };
    if !args.keep || !matches!(fate, Fate::Command(_)) {
        remove(monitor, pid, &tasks);
    }
    let sampled_every = monitor.period().ok();
    drop(period);
    let begun = match fate {
        Fate::Command(begun) => begun,
        Fate::Ended => {
            say(format_args!("{} ended before it was executed", watch.name));
            return Ok(code(status));
        }
        Fate::Failed(error) => {
            let name = if watch.name.is_empty() { "\"\"" } else { &watch.name };
            say(format_args!("cannot run {name}: {}", error.desc()));
            return Ok(cannot(error));
        }
    };
    // Whatever fails from here on: the command has run.
    watch.log.draw();
    match end {
        Ok(end) => {
            let mut summary = Summary::new(watch.name, pid, status, (&begun, end), used, &watch.seen);
            if let Some(task) = tasks.iter().find(|task| Some(task.id()) == watch.seen.id()) {
                let before = watch.seen.before().map_or(0, |seq| seq.saturating_add(1));
                summary = summary.instants(task.taken.saturating_add(task.missed).saturating_sub(before));
            }
            let _ = io::stderr().write_all(summary.to_string().as_bytes());
            let wall = Duration::from_nanos(end.saturating_sub(begun.time));
            if let Some(every) = sampled_every.filter(|&every| wall < every && watch.seen.alive() == 0) {
                say(too_short(wall, every));
            }
        }
        Err(failure) => say(failure),
    }
    if let Some(recorded) = recorded {
        say(recorded);
    }
    Ok(code(status))
}

/// What to do if a command had ended before the first instant.
fn too_short(wall: Duration, every: Duration) -> String {
    // A tenth of what it took, which leaves room for one that is a bit shorter the next time.
    let rounded =
        |time: Duration| Duration::from_micros((time.as_micros() / 100 * 100).try_into().unwrap_or(u64::MAX));
    let shorter = match wall / 10 {
        tenth if tenth >= Duration::from_millis(1) => {
            Duration::from_millis(tenth.as_millis().try_into().unwrap_or(1))
        }
        tenth => rounded(tenth).max(SHORTEST),
    };
    let hint = if shorter < every && wall > SHORTEST {
        format!("; for more samples: --period {shorter:?}").replace('µ', "u")
    } else {
        String::new()
    };
    format!("no sample was taken while the command ran, because it was shorter than the period of {every:?}{hint}")
        .replace('µ', "u")
}

/// The exit status for a command that cannot be run.
fn cannot(error: Errno) -> u8 {
    if error == Errno::ENOENT { NOT_FOUND } else { CANNOT_RUN }
}

/// The name of the command, fit for a terminal.
fn name(command: &[OsString]) -> String {
    let command = command.first().map(Path::new).unwrap_or(Path::new(""));
    readable(command.file_name().unwrap_or(command.as_os_str()).as_bytes())
}

/// The command as it may have been typed.
fn typed(command: &[OsString]) -> String {
    let words = command.iter().map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains([' ', '\n', '\t']) { format!("'{word}'") } else { word.into_owned() }
    });
    words.collect::<Vec<String>>().join(" ")
}

/// Removes the task from the module, unless that would remove what somebody else has recorded of one that had its PID before.
fn remove(monitor: &Monitor, pid: u32, tasks: &[Task]) {
    if tasks.iter().filter(|task| task.pid == pid).count() > 1 {
        say(format_args!(
            "the history of PID {pid} is kept, because the module also has one of an earlier task with this PID; \
             to remove both: taskmon remove {pid}"
        ));
        return;
    }
    match monitor.send(Command::Remove(pid)) {
        // Somebody has removed it already.
        Err(e) if e.reason() == Some(Reason::NotMonitored) => {}
        Err(e) => say(e),
        Ok(()) => {}
    }
}

/// How long samples may be left unread: a quarter of the time after which they are evicted at the shortest period.
pub fn rest(monitor: &Monitor) -> Duration {
    let samples = monitor.parameter("max_samples").ok().and_then(|n| n.parse::<u32>().ok());
    samples.map_or(REST, |n| REST.min(SHORTEST * n / 4))
}

/// Signals, as something that can be waited for.
struct Signals(SigSet);

impl Signals {
    /// Those that are not ignored. What is ignored stays so, for the command, too: that is what nohup is for.
    fn choose() -> Result<Self, Failure> {
        let ignored = Ignored::new()?;
        let mut set: SigSet = PASSED_ON.into_iter().filter(|&signal| !ignored.has(signal as i32)).collect();
        set.add(Signal::SIGCHLD);
        Ok(Self(set))
    }

    /// They do nothing from now on, but wait to be read.
    fn block(self) -> Result<SignalFd, Failure> {
        let failed = |e: io::Error| Failure::other("cannot handle signals", e);
        // If it came ignored, the kernel would reap the command by itself, and tell nobody.
        flag::register(libc::SIGCHLD, Arc::default()).map_err(failed)?;
        let mut blocked = self.0;
        // A file that may not grow any more is an error like others.
        blocked.add(Signal::SIGXFSZ);
        blocked.thread_block().map_err(|e| failed(e.into()))?;
        SignalFd::with_flags(&self.0, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(|e| failed(e.into()))
    }
}

/// Whether the process `pid` is to get the signal, too.
fn to_pass_on(signal: &siginfo, pid: Pid) -> bool {
    // The terminal sends its signals to all of the job, and so does the command if it stops or ends the job.
    let by_kernel = signal.ssi_code == libc::SI_KERNEL;
    let by_command = signal.ssi_code <= 0 && i64::from(signal.ssi_pid) == i64::from(pid.as_raw());
    let same_job = getpgid(Some(pid)) == Ok(getpgrp());
    !(by_command || by_kernel && same_job)
}

/// If the process `pid` has stopped as a part of its job, so does taskmon: it is the one that the shell waits for.
fn stop_along(pid: Pid) {
    use Signal::SIGTSTP;
    use Signal::SIGTTIN;
    use Signal::SIGTTOU;
    let stopped = waitid(Child::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
    if let Ok(WaitStatus::Stopped(_, signal @ (SIGTSTP | SIGTTIN | SIGTTOU))) = stopped {
        let _ = raise(signal);
    }
}

/// What became of a process that was held.
struct Ended {
    fate: Fate,
    status: ExitStatus,
    // In all, with what it had used before it turned into the command.
    used: Used,
}

/// All that is watched while a command runs.
struct Watch {
    name: String,
    pid: u32,
    held: Held,
    signals: SignalFd,
    // None once reading has failed.
    follow: Option<Follow>,
    rest: Duration,
    series: Series,
    seen: Seen,
    // Since the process has turned into the command.
    own: Option<Own>,
    log: Log,
}

/// The samples of the command: its process has used something before it turned into it.
struct Own {
    begun: Begun,
    first: bool,
}

impl Own {
    /// `sample`, with counters that begin with the command. With the first one comes what there was when it began, of which nothing
    /// was sampled: `before` is the number of the last sample before that.
    fn sample(&mut self, sample: &Sample, before: Option<u64>) -> (Option<Sample>, Sample) {
        let Begun { time, used, .. } = self.begun;
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Which part of it was in user mode the module and getrusage() may see differently; the sum is the scheduler's in both.
        let cpu = sample.cpu().saturating_sub(ns(used.user.saturating_add(used.system)));
        let usr = sample.usr.saturating_sub(ns(used.user)).min(cpu);
        let own = Sample {
            usr,
            sys: cpu - usr,
            minflt: sample.minflt.saturating_sub(used.minflt),
            majflt: sample.majflt.saturating_sub(used.majflt),
            ..*sample
        };
        let beginning = std::mem::take(&mut self.first).then(|| Sample {
            time,
            usr: 0,
            sys: 0,
            rss: 0,
            minflt: 0,
            majflt: 0,
            seq: before.unwrap_or(sample.seq.saturating_sub(1)),
            ..*sample
        });
        (beginning, own)
    }
}

impl Watch {
    /// Lets the command go, and returns when it has ended, with what became of it.
    fn watch(&mut self) -> Result<Ended, Failure> {
        let mut fate = None;
        let mut resting: Option<Instant> = None;
        self.held.let_go();
        loop {
            // What became of the process first: there is nothing that would have to be read before the command runs.
            let (other, timeout) = match (&fate, &self.follow, resting) {
                (None, _, _) => (Some(self.held.as_fd()), None),
                (_, _, Some(end)) => (None, Some(end.saturating_duration_since(Instant::now()))),
                (_, follow, None) => (follow.as_ref().map(AsFd::as_fd), self.log.rest()),
            };
            let (signalled, ready) = wait(&self.signals, other, timeout)?;
            if let Some((status, used)) = if signalled { self.signalled()? } else { None } {
                loop {
                    if let Some(fate) = fate {
                        return Ok(Ended { fate, status, used });
                    }
                    // Whoever could report more has ended.
                    fate = self.report()?;
                }
            }
            if resting.is_some_and(|end| end <= Instant::now()) {
                resting = None;
            }
            self.log.record();
            if ready && fate.is_none() {
                fate = self.report()?;
                // If it was killed before signals were blocked, no signal tells that it has ended.
                let ended = if fate == Some(Fate::Ended) { self.held.ended()? } else { None };
                if let Some((status, used)) = ended {
                    return Ok(Ended { fate: Fate::Ended, status, used });
                }
            } else if ready {
                while self.read().is_some() {}
                self.log.flush();
                resting = Some(Instant::now() + self.rest);
            }
        }
    }

    /// Reads once what became of the process that was held.
    fn report(&mut self) -> Result<Option<Fate>, Failure> {
        let fate = self.held.report()?;
        if let Some(Fate::Command(begun)) = fate {
            self.seen = Seen::new(begun);
            self.own = Some(Own { begun, first: true });
            self.log.begins(begun);
        }
        Ok(fate)
    }

    /// Reads the signals that have come. Gives the status of the command, and what its process has used, if it has ended.
    fn signalled(&mut self) -> Result<Option<(ExitStatus, Used)>, Failure> {
        let pid = self.held.pid();
        let mut child = false;
        loop {
            match self.signals.read_signal() {
                Ok(None) => break,
                Ok(Some(signal)) => match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                    Ok(Ok(Signal::SIGCHLD)) => child = true,
                    // It is there to get it until it is reaped.
                    Ok(Ok(passed)) if to_pass_on(&signal, pid) => {
                        let _ = kill(pid, passed);
                    }
                    _ => {}
                },
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Failure::other("cannot read signals", e.desc())),
            }
        }
        if !child {
            return Ok(None);
        }
        let ended = self.held.ended()?;
        if ended.is_none() {
            stop_along(pid);
        }
        Ok(ended)
    }

    /// Reads once, and gives the time of the last sample, of whichever task.
    fn read(&mut self) -> Option<u64> {
        let Self { name, pid, follow, series, seen, own, log, .. } = self;
        let mut last = None;
        // (Before what was sampled since is written.)
        log.clock.look();
        let read = follow.as_mut()?.read(|sample| {
            last = Some(sample.time);
            if sample.pid != *pid || seen.id().is_some_and(|id| id != sample.id()) {
                return;
            }
            seen.take(&sample);
            // (Without one, the command has not begun, and never will.)
            let Some(own) = own.as_mut().filter(|own| own.begun.has(&sample)) else {
                // The recording does not take it, but knows by it that it is not missing.
                log.sample(&sample);
                return;
            };
            let (beginning, sample) = own.sample(&sample, seen.before());
            if let Some(beginning) = beginning {
                series.begin(beginning);
                log.exec(&beginning);
            }
            log.sample(&sample);
            series.push(sample, |point| log.point(&point, name));
        });
        log.record();
        if let Err(e) = read {
            say(format_args!("cannot read more samples: {e}"));
            *follow = None;
            return None;
        }
        last
    }

    /// Reads what was sampled until `end`. What others sample meanwhile could be without one.
    fn drain(&mut self, end: u64) {
        // That there is nothing more may be said of what was there when it was read last; after that, it is of now.
        for _ in 0..2 {
            while self.read().is_some_and(|time| time <= end) {}
        }
    }

    /// Waits for the last sample of a command that has ended, if it is written anywhere: that one has its exact totals. It
    /// comes at the next instant. If that is far off, one is asked for.
    fn await_last(&mut self, monitor: &Monitor) {
        /// A delay that a user who waits for taskmon to end does not notice.
        const SOON: Duration = Duration::from_millis(30);
        /// The module samples at once, unless the machine is very busy.
        const AGAIN: Duration = Duration::from_millis(100);
        const LONGEST: Duration = Duration::from_secs(2);
        if !monitor.sampling().unwrap_or(true) {
            return;
        }
        let period = monitor.period().unwrap_or(SOON);
        if period <= SOON && self.wait_for_last(period * 2 + SOON) {
            return;
        }
        let end = Instant::now() + LONGEST;
        while self.own.is_some() && self.log.awaits_last() && Instant::now() < end {
            if let Err(e) = sample_now(monitor) {
                say(format_args!("the last sample of the command is missing: {e}"));
                return;
            }
            // (If the command had not left its processor at that instant, the one after it is asked for.)
            self.wait_for_last(AGAIN);
        }
    }

    /// Waits for it at most so long. Says whether there is nothing more to wait for.
    fn wait_for_last(&mut self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        while self.log.awaits_last() {
            let left = end.saturating_duration_since(Instant::now());
            let Some(follow) = self.follow.as_ref() else { return true };
            if left.is_zero() || follow.wait(Some(left)).is_err() {
                return false;
            }
            self.read();
        }
        true
    }
}

/// Waits for signals, and for `other` to be readable; says which has come.
fn wait(
    signals: &SignalFd,
    other: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> Result<(bool, bool), Failure> {
    let timeout = match timeout {
        None => PollTimeout::NONE,
        // Up to the next millisecond: a wait of less is none.
        Some(timeout) => PollTimeout::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX),
    };
    let mut files: Vec<PollFd<'_>> =
        [Some(signals.as_fd()), other].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut files, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok((false, false)),
        Err(e) => return Err(Failure::other("cannot wait for the command", e.desc())),
    }
    // (What has failed is found out by reading.)
    let mut ready = files.iter().map(|file| file.any().unwrap_or(true));
    Ok((ready.next().unwrap_or(false), ready.next().unwrap_or(false)))
}

/// The recording of a command, until it may take no more time or room.
struct Recording {
    recorder: Option<Recorder>,
    // What it came to, if it has ended.
    recorded: Option<Recorded>,
    deadline: Option<Instant>,
    // What was read at once.
    samples: Vec<Sample>,
}

impl Recording {
    fn new(monitor: &Monitor, args: &Record, clock: Clock) -> Result<Self, Failure> {
        let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
        let wanted = Wanted {
            path: &args.output,
            most: args.max_size,
            chooser: Chooser::new(&args.selector)?,
            new: true,
            command: Some(words.join(" ")),
            period: args.period,
        };
        let recorder = Recorder::new(monitor, wanted, &clock)?;
        let deadline = args.duration.and_then(|duration| Instant::now().checked_add(duration));
        Ok(Self { recorder: Some(recorder), recorded: None, deadline, samples: Vec::new() })
    }

    /// Records what was read.
    fn record(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        let done = recorder.take(&self.samples).and_then(|()| recorder.tend());
        self.samples.clear();
        if let Err(e) = done {
            say(format_args!("the recording ends here: {e}"));
            // What is there is to end soundly.
            self.end(Why::Failed, None, None);
        } else if recorder.full() {
            self.end(Why::MaxSize, None, None);
        } else if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.end(Why::Duration, None, None);
        }
    }

    fn end(&mut self, why: Why, status: Option<u8>, peak: Option<u64>) {
        let Some(mut recorder) = self.recorder.take() else { return };
        if why != Why::Failed {
            recorder.look().unwrap_or_else(say);
        }
        match recorder.end(why, status, peak) {
            Ok(recorded) => self.recorded = Some(recorded),
            Err(e) => say(format_args!("cannot write the end of the recording: {e}")),
        }
    }
}

/// The files for the samples. One that cannot be written is given up, and the command goes on.
struct Log {
    files: Vec<(PathBuf, Records<Whole>)>,
    recording: Option<Recording>,
    picture: Option<(PathBuf, Picture)>,
    clock: Clock,
    // Whether the last sample of the command has come.
    last: bool,
}

impl Log {
    fn new(args: &Run, clock: Clock) -> Result<Self, Failure> {
        let mut log = Vec::new();
        let mut files = Vec::new();
        for (path, format) in [(&args.csv, Format::Csv), (&args.json, Format::Ndjson)] {
            if let Some(path) = path {
                let failed = |e| Failure::other(format!("cannot write {}", path.display()), e);
                let file = output::create(path).map_err(failed)?;
                // Under whatever names. (What is no file may take both.)
                let meta = file.metadata().map_err(failed)?;
                if meta.is_file() && files.contains(&(meta.dev(), meta.ino())) {
                    return Err(Failure::Other(format!(
                        "cannot write {} in two formats: give --csv and --json different files",
                        path.display()
                    )));
                }
                files.push((meta.dev(), meta.ino()));
                let mut records = Records::new(Whole::new(file), format, &fields_of_run(), false, clock.clone());
                // With the head, if there is one.
                records.flush().map_err(failed)?;
                log.push((path.clone(), records));
            }
        }
        let picture = match &args.plot {
            Some(path) => {
                output::replaceable(path)
                    .map_err(|e| Failure::other(format!("cannot write {}", path.display()), e))?;
                Some((path.clone(), plot::of_run(clock.clone(), typed(&args.command))))
            }
            None => None,
        };
        Ok(Self { files: log, picture, recording: None, clock, last: false })
    }

    /// Writes the picture, at the end.
    fn draw(&mut self) {
        if let Some((path, picture)) = self.picture.take() {
            plot::write(picture, &path).unwrap_or_else(say);
        }
    }

    fn sample(&mut self, sample: &Sample) {
        self.last |= sample.state.exited();
        if let Some(recording) = self.recording.as_mut().filter(|recording| recording.recorder.is_some()) {
            recording.samples.push(*sample);
        }
    }

    /// How long nobody need look after it.
    fn rest(&self) -> Option<Duration> {
        self.recording.as_ref()?.recorder.as_ref().map(|_| WRITES)
    }

    /// Whether there is a recording, a picture, or another file, that has no last sample yet.
    fn awaits_last(&self) -> bool {
        let recording = self.recording.as_ref().is_some_and(|recording| recording.recorder.is_some());
        !self.last && (recording || self.picture.is_some() || !self.files.is_empty())
    }

    fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recording.as_mut().and_then(|recording| recording.recorder.as_mut())
    }

    /// The command began so: what was sampled before is of taskmon.
    fn begins(&mut self, begun: Begun) {
        if let Some(recorder) = self.recorder() {
            recorder.begins(begun);
        }
    }

    /// So the command began, of which the first sample comes next.
    fn exec(&mut self, beginning: &Sample) {
        if let Some(recorder) = self.recorder() {
            recorder.exec(beginning);
        }
    }

    /// Records the samples that were read.
    fn record(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.record();
        }
    }

    fn point(&mut self, point: &Point, name: &str) {
        if let Some((_, picture)) = &mut self.picture {
            picture.push(point, Some(name));
        }
        self.each(|records| records.point(point, Some(name)));
    }

    fn flush(&mut self) {
        self.each(Records::flush);
        self.record();
    }

    /// Ends the recording, of a command that ended with a status, and with a peak if that is known. Gives what it came to.
    fn end(&mut self, ended: Option<(u8, Option<u64>)>) -> Option<Recorded> {
        let recording = self.recording.as_mut()?;
        let why = if ended.is_some() { Why::Command } else { Why::Failed };
        recording.end(why, ended.map(|(status, _)| status), ended.and_then(|(_, peak)| peak));
        recording.recorded.take()
    }

    fn each(&mut self, mut write: impl FnMut(&mut Records<Whole>) -> io::Result<()>) {
        self.files.retain_mut(|(path, records)| match write(records) {
            Ok(()) => true,
            Err(e) => {
                say(format_args!("cannot write more samples to {}: {e}", path.display()));
                false
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |text: &str| name(&[OsString::from(text)]);
        assert_eq!((name("/usr/bin/sort"), name("sort"), name("")), ("sort".into(), "sort".into(), "".into()));
        assert_eq!(name("/tmp/\u{1b}[31m"), "\u{fffd}[31m");
        assert_eq!(typed(&["sh", "-c", "sleep 1", ""].map(OsString::from)), "sh -c 'sleep 1' ''");
    }

    #[test]
    fn what_was_used_before_the_command_is_taken_off() {
        let us = Duration::from_micros;
        let used = Used { user: us(300), system: us(100), minflt: 70, majflt: 1, peak: 1 };
        let mut own = Own { begun: Begun { time: 500, found: 550, used }, first: true };
        let sample = |usr: u64, sys: u64, seq| {
            let line = format!(
                "pid 7 usr {usr} sys {sys} time {} rss 4096 minflt 90 majflt 1 mm_users 1 state R seq {seq} start 9",
                600 + seq
            );
            Sample::parse(line.as_bytes()).unwrap()
        };
        let (beginning, own_sample) = own.sample(&sample(350_000, 150_000, 4), Some(1));
        let beginning = beginning.unwrap();
        assert_eq!((beginning.time, beginning.seq, beginning.cpu(), beginning.minflt), (500, 1, 0, 0));
        assert_eq!((own_sample.usr, own_sample.sys), (50_000, 50_000));
        assert_eq!((own_sample.minflt, own_sample.majflt, own_sample.seq, own_sample.rss), (20, 0, 4, 4096));
        // Seen differently by the module: the sum is right.
        for (usr, sys, expected) in
            [(250_000, 300_000, (0, 150_000)), (500_000, 0, (100_000, 0)), (100_000, 200_000, (0, 0))]
        {
            let (beginning, own_sample) = own.sample(&sample(usr, sys, 5), Some(1));
            assert_eq!((beginning, (own_sample.usr, own_sample.sys)), (None, expected));
        }
    }

    #[test]
    fn hints_at_a_shorter_period() {
        let (ms, us) = (Duration::from_millis, Duration::from_micros);
        let hint = |wall, every| too_short(wall, every);
        let none = "no sample was taken while the command ran, because it was shorter than the period of ";
        assert_eq!(hint(ms(400), ms(1000)), format!("{none}1s; for more samples: --period 40ms"));
        assert_eq!(hint(us(5320), ms(10)), format!("{none}10ms; for more samples: --period 500us"));
        assert_eq!(hint(us(320), ms(1000)), format!("{none}1s; for more samples: --period 100us"));
        assert_eq!(hint(us(80), us(100)), format!("{none}100us"));
    }
}
