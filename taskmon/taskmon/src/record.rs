// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon record`: samples into a file, each once.

use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use rustc_hash::FxHashMap;
use taskmonitor::Follow;
use taskmonitor::Id;
use taskmonitor::Monitor;
use taskmonitor::Sample;
use taskmonitor::Task;
use taskmonitor_recording::Chunk;
use taskmonitor_recording::Counts;
use taskmonitor_recording::Encoder;
use taskmonitor_recording::End;
use taskmonitor_recording::Exec;
use taskmonitor_recording::Head;
use taskmonitor_recording::Lost;
use taskmonitor_recording::Reason;
use taskmonitor_recording::Why;

use crate::Failure;
use crate::choose::Chooser;
use crate::cli::Record;
use crate::hold::Begun;
use crate::losses::Account;
use crate::losses::Mark;
use crate::output::bytes;
use crate::run::SAMPLING_STOPPED;
use crate::run::rest;
use crate::say;
use crate::signals::Stop;
use crate::store::Store;
use crate::times::Clock;
use crate::times::boottime;

/// What is gathered is written that often.
pub const WRITES: Duration = Duration::from_secs(1);
/// How old a name may be, and the module's counts.
const LOOKS: Duration = Duration::from_secs(2);
/// Where samples are missing, and where there are new tasks, the look comes earlier.
const LOOKS_SOON: Duration = Duration::from_millis(100);
/// Samples of before the end are waited for no longer, once they have been looked for three times.
const PATIENCE: Duration = Duration::from_secs(1);
/// A look takes no more of the time than one part in so many.
const SHARE: u32 = 20;

/// What is known of a task.
struct Known {
    account: Account,
    // At the last look.
    mark: Option<Mark>,
    counts: Option<Counts>,
    name: Option<Vec<u8>>,
    // The PID of its process, if it is a thread.
    process: Option<u32>,
    chosen: bool,
    // Whether a sample of it was recorded, and its last.
    recorded: bool,
    exited: bool,
    // The last look that saw it, and how many passes of reading were over at the one after that.
    seen: u64,
    passes: u64,
}

impl Known {
    fn new(account: Account, chosen: bool, seen: u64) -> Self {
        Self {
            account,
            mark: None,
            counts: None,
            name: None,
            process: None,
            chosen,
            recorded: false,
            exited: false,
            seen,
            passes: 0,
        }
    }
}

/// What a recording is to be.
pub struct Wanted<'a> {
    /// The file.
    pub path: &'a Path,
    /// No larger than that.
    pub most: Option<u64>,
    /// Of which tasks.
    pub chooser: Chooser,
    /// Only what comes from now on.
    pub new: bool,
    /// The command that is recorded, if one is.
    pub command: Option<String>,
    /// The period, if it is to become shorter than it is now.
    pub period: Option<Duration>,
}

/// Samples that go into a file.
pub struct Recorder {
    monitor: Monitor,
    clock: Clock,
    // From when on what has become of the clock is still to be written.
    anchored: u64,
    path: PathBuf,
    chooser: Chooser,
    encoder: Encoder,
    store: Store,
    known: FxHashMap<Id, Known>,
    // Not written yet, and sums of all.
    losses: FxHashMap<(Id, Reason), Lost>,
    lost: FxHashMap<Reason, u64>,
    looks: u64,
    passes: u64,
    looked: Instant,
    look_took: Duration,
    look_soon: bool,
    written: Instant,
    begun: Instant,
    // What was sampled before is not recorded. None: nothing is yet, as the command has not begun.
    command_begun: Option<Begun>,
    // Only the samples of a command come: no others are chosen.
    command: bool,
    // Whether samples are dropped until there is room.
    dropping: bool,
}

impl Recorder {
    /// Looks at the tasks that there are, and begins the file.
    pub fn new(monitor: &Monitor, wanted: Wanted<'_>, clock: &Clock) -> Result<Self, Failure> {
        let Wanted { path, most, chooser, new, command, period } = wanted;
        let began = Instant::now();
        let of_command = command.is_some();
        let mut known = FxHashMap::default();
        let tasks = monitor.tasks()?;
        for task in &tasks {
            let mark = Mark::of(task);
            let account = if new { Account::new(mark) } else { Account::oldest(mark) };
            let mut one = Known::new(account, false, 0);
            one.learn(task);
            known.insert(task.id(), one);
        }
        let look_took = began.elapsed();
        let chosen = if of_command { Vec::new() } else { chooser.of_tasks(monitor.root(), tasks)? };
        for task in chosen {
            known.entry(task.id()).and_modify(|known: &mut Known| known.chosen = true);
        }
        if chooser.only_pids() && !known.values().any(|known| known.chosen) {
            return Err(Failure::Other(format!(
                "{}; to monitor a task: taskmon add PID",
                chooser.no_match("monitored task")
            )));
        }
        let kernel = std::fs::read_to_string(monitor.root().join("proc/sys/kernel/osrelease")).unwrap_or_default();
        let head = Head {
            booted: clock.first().booted,
            began: boottime()?,
            suspended: clock.first().suspended,
            period: period.into_iter().fold(monitor.period()?, Duration::min),
            module: monitor.version().unwrap_or_default(),
            taskmon: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: kernel.trim_end().to_owned(),
            command,
            exec: None,
        };
        let mut this = Self {
            monitor: monitor.clone(),
            clock: clock.clone(),
            anchored: 1,
            path: path.to_path_buf(),
            chooser,
            encoder: Encoder::new(head),
            store: Store::create(path, most)?,
            known,
            losses: FxHashMap::default(),
            lost: FxHashMap::default(),
            looks: 0,
            passes: 0,
            looked: began,
            look_took,
            look_soon: false,
            written: began,
            begun: began,
            command_begun: (!of_command).then(Begun::default),
            command: of_command,
            dropping: false,
        };
        this.write()?;
        Ok(this)
    }

    /// The command began so: what was sampled before is not recorded.
    pub fn begins(&mut self, begun: Begun) {
        self.command_begun = Some(begun);
        // Names that are known are those of processes that had not executed it yet.
        self.known.values_mut().for_each(|known| known.name = None);
        self.look_soon = true;
    }

    /// So the command began, of which the first sample comes next.
    pub fn exec(&mut self, beginning: &Sample) {
        let &Sample { time, seq, .. } = beginning;
        self.encoder.exec(Exec { id: beginning.id(), time, seq });
    }

    /// Takes samples, in the order in which they were read.
    pub fn take(&mut self, samples: &[Sample]) -> Result<(), Failure> {
        self.anchor()?;
        if samples.iter().any(|sample| !self.known.contains_key(&sample.id())) {
            // Whether it is chosen must be known now; its name, soon.
            if self.chooser.is_empty() {
                self.look_soon = true;
                self.look_if_due()?;
            } else {
                self.look()?;
            }
        }
        let mut lost = Vec::new();
        for sample in samples {
            let id = sample.id();
            let (all, looks) = (self.chooser.is_empty(), self.looks);
            let chosen = || all || self.chooser.of_recording(sample.pid, None);
            let known = self.known.entry(id).or_insert_with(|| Known::new(Account::whole(), chosen(), looks));
            known.chosen |= self.command && chosen();
            lost.clear();
            if known.account.is_anew(sample.seq) {
                known.account.begin_anew(id, known.mark.take(), &mut lost);
            }
            let gap = known.account.sample(sample);
            if !known.chosen || !self.command_begun.is_some_and(|begun| begun.has(sample)) {
                continue;
            }
            self.look_soon |= gap;
            known.exited = sample.state.exited();
            if !std::mem::replace(&mut known.recorded, true) {
                known.tell(id, &mut self.encoder);
            }
            note(&mut self.losses, &mut self.lost, &lost);
            if self.dropping {
                self.store.drop_sample(sample);
            } else {
                self.encoder.sample(sample);
            }
            // What would not fit any more is written in parts that do.
            if self.encoder.gathered() as u64 > self.store.left() / 2 {
                self.flush()?;
            }
        }
        self.write()
    }

    /// Looks at the clock. If it has been set, what was taken before is of the old one.
    fn anchor(&mut self) -> Result<(), Failure> {
        self.clock.look();
        let anchors = self.clock.anchors_since(self.anchored);
        // (Without room it waits.)
        let Some(last) = anchors.last().filter(|_| !self.dropping && !self.store.waits()) else { return Ok(()) };
        self.anchored = last.since.saturating_add(1);
        self.encoder.flush();
        self.write()?;
        Chunk::clock(&anchors).into_iter().try_for_each(|chunk| self.store.put(chunk))
    }

    /// Hands on the chunks that are complete.
    fn write(&mut self) -> Result<(), Failure> {
        while let Some(chunk) = self.encoder.chunk() {
            self.store.put(chunk)?;
        }
        if self.store.brims() && !self.dropping {
            self.dropping = true;
            self.encoder.flush();
            while let Some(chunk) = self.encoder.chunk() {
                self.store.put(chunk)?;
            }
        }
        Ok(())
    }

    /// Writes all that was taken.
    fn flush(&mut self) -> Result<(), Failure> {
        self.written = Instant::now();
        self.store.expect(self.known.len());
        if self.store.retry()? {
            self.dropping = false;
            self.encoder.renew();
            // For names that came meanwhile.
            self.look_soon = true;
        } else if self.dropping && !self.store.brims() {
            // There was room before a sample was dropped.
            self.dropping = false;
            self.encoder.renew();
        }
        self.encoder.flush();
        self.write()?;
        // (Summed up until there is room: at the end there is some for each task, not for each time that it lost something.)
        if !self.dropping && !self.store.waits() && !self.losses.is_empty() {
            let lost: Vec<Lost> = self.take_losses();
            for chunk in Chunk::lost(&lost) {
                self.store.put(chunk)?;
            }
        }
        Ok(())
    }

    fn take_losses(&mut self) -> Vec<Lost> {
        let mut lost: Vec<Lost> = std::mem::take(&mut self.losses).into_values().collect();
        lost.sort_by_key(|lost| (lost.id, lost.reason));
        lost
    }

    /// Does what is to be done from time to time.
    pub fn tend(&mut self) -> Result<(), Failure> {
        self.look_if_due()?;
        if self.written.elapsed() >= WRITES {
            self.flush()?;
        }
        Ok(())
    }

    fn look_if_due(&mut self) -> Result<(), Failure> {
        let since = if self.look_soon { LOOKS_SOON } else { LOOKS };
        if self.looked.elapsed() >= since.max(self.look_took * SHARE) { self.look() } else { Ok(()) }
    }

    /// Looks at what the module counts, and what the names are.
    pub fn look(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let tasks = self.monitor.tasks()?;
        self.looks += 1;
        self.look_soon = false;
        let mut lost = Vec::new();
        for task in &tasks {
            let id = task.id();
            let looks = self.looks;
            let known = self.known.entry(id).or_insert_with(|| Known::new(Account::whole(), false, looks));
            known.seen = looks;
            lost.clear();
            if known.mark.is_some_and(|mark| Mark::of(task).went_back_from(&mark)) {
                known.account.begin_anew(id, known.mark, &mut lost);
            }
            known.learn(task);
            known.account.look(id, Mark::of(task), &mut lost);
            // (Of one that had exited before the recording began, no sample may come.)
            known.exited |= task.state.exited() && known.account.has_read(Mark::of(task));
            if known.chosen {
                // Why some are missing is known once all up to this look has been read.
                self.look_soon |= !known.account.settled();
                note(&mut self.losses, &mut self.lost, &lost);
                if known.recorded && !self.dropping {
                    known.tell(id, &mut self.encoder);
                }
            }
        }
        let chosen = if self.command { Vec::new() } else { self.chooser.of_tasks(self.monitor.root(), tasks)? };
        for task in chosen {
            self.known.entry(task.id()).and_modify(|known| known.chosen = true);
        }
        // Of one that has been removed, samples may still come until the reading that has begun by then is over.
        let (looks, passes, command) = (self.looks, self.passes, self.command);
        let (losses, sums, store) = (&mut self.losses, &mut self.lost, &mut self.store);
        self.known.retain(|&id, known| {
            if known.seen + 1 >= looks {
                known.passes = passes;
                return true;
            }
            if known.passes == passes && !command {
                return true;
            }
            if known.chosen {
                lost.clear();
                known.account.finish_without_the_rest(id, known.mark.filter(|_| !store.ended()), &mut lost);
                note(losses, sums, &lost);
            }
            store.forget(id);
            false
        });
        self.looked = Instant::now();
        self.look_took = began.elapsed();
        self.write()
    }

    /// All has been read that there was when the reading began.
    fn pass_is_over(&mut self) {
        self.passes += 1;
    }

    /// Whether it is known of all samples that are missing why.
    fn settled(&self) -> bool {
        self.known.values().all(|known| !known.chosen || known.account.settled())
    }

    /// Whether all samples have been read that there were at the last look.
    fn has_read_all(&self) -> bool {
        let read = |known: &Known| known.mark.is_none_or(|mark| known.account.has_read(mark));
        self.known.values().all(|known| !known.chosen || read(known))
    }

    /// Why it has to end now, if it has to.
    fn over(&self) -> Option<Why> {
        if self.store.ended() {
            return Some(Why::MaxSize);
        }
        // By a name, others may be chosen some day.
        let gone = self.chooser.only_pids() && self.known.values().all(|known| !known.chosen || known.exited);
        gone.then_some(Why::Gone)
    }

    /// Whether it has become as large as it may.
    pub fn full(&self) -> bool {
        self.store.ended()
    }

    /// Ends the file, and says what was recorded. Of a command, `status` and `peak` are known to the kernel.
    pub fn end(mut self, why: Why, status: Option<u8>, peak: Option<u64>) -> Result<Recorded, Failure> {
        self.flush()?;
        let mut counts = Vec::new();
        let mut lost = Vec::new();
        // (Of a file that is full, nothing is missing that came later.)
        let full = self.full();
        let names = !full && !self.dropping && !self.store.waits();
        for (&id, known) in &mut self.known {
            if !known.chosen {
                continue;
            }
            lost.clear();
            let removed = known.seen < self.looks;
            if !full && (removed || known.mark.is_some_and(|mark| mark.holds_none())) {
                known.account.finish_without_the_rest(id, known.mark, &mut lost);
            } else {
                known.account.finish(id, known.mark, &mut lost);
            }
            note(&mut self.losses, &mut self.lost, &lost);
            if names && !known.recorded && !lost.is_empty() {
                // One of which all has gone is told of, too.
                known.tell(id, &mut self.encoder);
            }
            counts.extend(known.counts.filter(|_| known.recorded || !lost.is_empty()));
        }
        // (Behind all samples: they are worth more.)
        self.encoder.flush();
        self.write()?;
        counts.sort_by_key(|counts| counts.id);
        let losses = self.take_losses();
        self.store.expect(self.known.len());
        let end = End { why, time: boottime()?, status, peak };
        self.store.finish(&losses, &counts, &end)?;
        if self.store.lost() > 0 {
            self.lost.insert(Reason::NoSpace, self.store.lost());
        }
        Ok(Recorded {
            path: self.path,
            samples: self.store.samples(),
            tasks: self.store.tasks(),
            time: self.begun.elapsed(),
            bytes: self.store.bytes(),
            lost: Reason::ALL.into_iter().filter_map(|r| Some((r, *self.lost.get(&r)?))).collect(),
        })
    }

    /// How it goes.
    fn progress(&self) -> String {
        let lost = self.lost.values().fold(self.store.lost(), |sum, count| sum.saturating_add(*count));
        format!(
            "{}  {}, {}, {}, {lost} lost",
            clock(self.begun.elapsed()),
            plural(self.store.tasks(), "task"),
            plural(self.store.samples(), "sample"),
            bytes(self.store.bytes()),
        )
    }
}

impl Known {
    fn learn(&mut self, task: &Task) {
        let &Task { taken, missed, evicted, reclaimed, .. } = task;
        self.mark = Some(Mark::of(task));
        self.counts = Some(Counts { id: task.id(), taken, missed, evicted, reclaimed });
        if self.name.as_deref() != Some(&task.comm) {
            self.name = Some(task.comm.clone());
        }
        self.process = task.process().or(self.process);
    }

    /// Records what is known besides the samples.
    fn tell(&self, id: Id, encoder: &mut Encoder) {
        if let Some(name) = &self.name {
            encoder.name(id, name);
        }
        if let Some(process) = self.process {
            encoder.thread(id, process);
        }
    }
}

/// Notes what is lost. (What cannot be written for a long time takes no more memory than there are tasks.)
fn note(losses: &mut FxHashMap<(Id, Reason), Lost>, sums: &mut FxHashMap<Reason, u64>, lost: &[Lost]) {
    for lost in lost {
        let sum = sums.entry(lost.reason).or_default();
        *sum = sum.saturating_add(lost.count);
        let known = losses.entry((lost.id, lost.reason)).or_insert(Lost { count: 0, ..*lost });
        known.count = known.count.saturating_add(lost.count);
        known.before = lost.before;
    }
}

/// What was recorded. [`Display`](fmt::Display) is a line for people.
pub struct Recorded {
    path: PathBuf,
    samples: u64,
    tasks: u64,
    time: Duration,
    bytes: u64,
    lost: Vec<(Reason, u64)>,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} of {} in {}, {}, ",
            self.path.display(),
            plural(self.samples, "sample"),
            plural(self.tasks, "task"),
            clock(self.time),
            bytes(self.bytes),
        )?;
        f.write_str(&losses(&self.lost))
    }
}

/// `none lost`, or `3 lost: 2 missed, 1 evicted`.
pub fn losses(lost: &[(Reason, u64)]) -> String {
    let sum = lost.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if sum == 0 {
        return "none lost".to_owned();
    }
    let reasons: Vec<String> = lost.iter().map(|(reason, count)| format!("{count} {}", words(*reason))).collect();
    format!("{sum} lost: {}", reasons.join(", "))
}

/// `reason`, for people.
fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::EvictedOrReclaimed => "evicted or reclaimed",
        Reason::NoSpace => "for lack of space",
        Reason::Unknown => "for an unknown reason",
        reason => reason.word(),
    }
}

/// `1 task`, `2 tasks`
pub fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `12.3 s`, `1:05:00`
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{:.1} s", (time.as_millis() / 100) as f64 / 10.0),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A line on stderr that is overwritten again and again, if that is a terminal.
struct Progress(Option<Instant>);

impl Progress {
    fn new() -> Self {
        Self(io::stderr().is_terminal().then(Instant::now))
    }

    fn show(&mut self, recorder: &Recorder) {
        if let Some(shown) = self.0.as_mut().filter(|shown| shown.elapsed() >= Duration::from_secs(1)) {
            *shown = Instant::now();
            let _ = write!(io::stderr(), "\r\x1b[K{}", recorder.progress());
        }
    }

    fn clear(&self) {
        if self.0.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A file that may not grow any more is an error like others.
fn no_xfsz() -> Result<(), Failure> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGXFSZ);
    set.thread_block().map_err(|e| Failure::other("cannot handle signals", e.desc()))
}

/// `taskmon record`, of what the module has and gets.
pub fn record(monitor: &Monitor, args: &Record, booted: Option<i64>) -> Result<(), Failure> {
    let stop = Stop::new()?;
    no_xfsz()?;
    let clock = Clock::new(booted).map_err(|e| Failure::other("cannot read the clock", e))?;
    let mut follow = monitor.follow()?;
    if args.from_now {
        follow.skip()?;
    }
    let wanted = Wanted {
        path: &args.output,
        most: args.max_size,
        chooser: Chooser::new(&args.selector)?,
        new: args.from_now,
        command: None,
        period: None,
    };
    let mut recorder = Recorder::new(monitor, wanted, &clock)?;
    if !monitor.sampling().unwrap_or(true) {
        say(SAMPLING_STOPPED);
    }
    let mut progress = Progress::new();
    let went = go_on(monitor, args, &mut follow, &mut recorder, &stop, &mut progress);
    progress.clear();
    // Whatever failed: what is there is to end soundly.
    let why = *went.as_ref().unwrap_or(&Why::Failed);
    let recorded = recorder.end(why, None, None);
    let why = went?;
    let recorded = recorded?;
    match why {
        Why::MaxSize => say(format_args!("{recorded} (maximum size reached)")),
        Why::Gone => say(format_args!("{recorded} (all selected tasks have exited or were removed)")),
        _ => say(recorded),
    }
    Ok(())
}

/// Records until there is a reason to end.
fn go_on(
    monitor: &Monitor,
    args: &Record,
    follow: &mut Follow,
    recorder: &mut Recorder,
    stop: &Stop,
    progress: &mut Progress,
) -> Result<Why, Failure> {
    let begun = Instant::now();
    let left = || args.duration.map_or(Duration::MAX, |duration| duration.saturating_sub(begun.elapsed()));
    let rest = rest(monitor);
    let mut samples = Vec::new();
    let why = loop {
        let more = read(follow, recorder, &mut samples)?;
        recorder.tend()?;
        progress.show(recorder);
        if let Some(why) = recorder.over() {
            break why;
        }
        if stop.asked() {
            break Why::Stopped;
        }
        if left().is_zero() {
            break Why::Duration;
        }
        if !more && follow.wait(Some(WRITES.min(left())))? {
            // So that a read is worth it.
            std::thread::sleep(rest.min(left()));
        }
    };
    // What was sampled until now. That there is nothing more may be said of what was there when it was read last: what the module
    // counts says whether that was all. (What is gone before it could be read never comes.)
    let end = boottime()?;
    let patience = Instant::now() + PATIENCE;
    let mut behind = false;
    for round in 1_u32.. {
        while !behind && !recorder.full() && read(follow, recorder, &mut samples)? {
            behind = samples.last().is_some_and(|sample| sample.time > end);
        }
        recorder.look()?;
        let all = recorder.settled() && (behind || recorder.full() || recorder.has_read_all());
        // (One round may have taken all of the time, and read only what the reading before it had begun.)
        if all || round > 2 && Instant::now() >= patience {
            break;
        }
        behind = false;
        follow.wait(Some(Duration::from_millis(10)))?;
    }
    Ok(why)
}

/// Reads once. Says whether there was something.
fn read(follow: &mut Follow, recorder: &mut Recorder, samples: &mut Vec<Sample>) -> Result<bool, Failure> {
    samples.clear();
    let read = follow.read(|sample| samples.push(sample));
    // What came before something failed was good.
    recorder.take(samples)?;
    let more = read? > 0;
    if !more {
        recorder.pass_is_over();
    }
    Ok(more)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use taskmonitor::Root;
    use taskmonitor_recording::Event;
    use taskmonitor_recording::Reader;

    use super::*;
    use crate::cli::Selector;

    fn sample(seq: u64) -> Sample {
        let line = format!(
            "pid 7 usr 0 sys 0 time {} rss 0 minflt 0 majflt 0 mm_users 1 state S seq {seq} start 9",
            1000 + seq
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    /// The module's reader may hold a part of the history of a task that was removed: it comes, however many looks come before.
    #[test]
    fn removed_while_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let tasks = "sys/kernel/debug/taskmonitor_tasks";
        let there = "pid 7 start 9 state S threads 1 samples 100 taken 100 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 \
                     time 1099 rss 0 mm_users 1 comm x\n";
        for late in [true, false] {
            write("proc/self/mounts", "debugfs /sys/kernel/debug debugfs rw 0 0\n");
            write("sys/module/taskmonitor/version", "0.1\n");
            write("sys/module/taskmonitor/parameters/period_us", "1000000\n");
            write("sys/kernel/taskmonitor", "");
            write(tasks, there);
            let monitor = Monitor::open(Root::at(folder.path())).unwrap();
            let path = folder.path().join("a.rec");
            let chooser = Chooser::new(&Selector::default()).unwrap();
            let wanted = Wanted { path: &path, most: None, chooser, new: false, command: None, period: None };
            let mut recorder = Recorder::new(&monitor, wanted, &Clock::new(Some(0)).unwrap()).unwrap();
            recorder.take(&[sample(0)]).unwrap();
            recorder.look().unwrap();
            write(tasks, "");
            (0..3).for_each(|_| recorder.look().unwrap());
            if late {
                recorder.take(&(1..100).map(sample).collect::<Vec<_>>()).unwrap();
            }
            recorder.pass_is_over();
            recorder.look().unwrap();
            recorder.end(Why::Stopped, None, None).unwrap();
            let (mut samples, mut lost) = (0, Vec::new());
            let mut reader = Reader::open(&path).unwrap();
            while let Some(event) = reader.next().unwrap() {
                match event {
                    Event::Sample(_) => samples += 1,
                    Event::Lost(Lost { count, reason, .. }) => lost.push((count, reason)),
                    _ => {}
                }
            }
            let expected = if late { (100, vec![]) } else { (1, vec![(99, Reason::Unknown)]) };
            assert_eq!((samples, lost), expected);
        }
    }
}
