// SPDX-License-Identifier: GPL-2.0-only

//! A command that is held before its first instruction, so that it can be monitored from there on.
//!
//! taskmon forks. The new process waits for a byte on a pipe, and then turns into the command by execve(), which changes neither
//! its PID nor its history. On a second pipe it reports what it has used, before each execve(): there is one for each directory in
//! `PATH` until one succeeds, and only that of the last one counts. If none does, it says why. If one does, the second pipe closes by
//! itself. When the taskmon that holds it dies, the first one closes, and the command never runs.
//!
//! What the process used before that execve() is not the command's. CPU time and page faults are counters: what there was by then
//! is taken off. Nor are samples from before it: the command begins at some time between the last report and the end of the second
//! pipe, which the kernel closes after the process has got its new address space. The [time](Begun::time) of the command is that
//! of the report, with which its counters begin; its [samples](Begun::has) are those after the end of the pipe, and its last
//! one, however early that is. The kernel's peak of resident memory cannot be taken off. It outlives an execve(): in the kernel,
//! exec_mm_put_old() and do_exit() raise `signal->maxrss` to the peak of each address space that goes, and nothing lowers
//! it. So the kernel reports at least the [floor](Begun::floor), and the process is kept small:
//!
//! - It is made by fork(). After vfork(), which std uses, the address space that execve() leaves is that of the parent, with its
//!   peak. After fork(), it is a copy of the pages that the parent has written to, with a peak of its own.
//! - It executes nothing else before the command, and does little.

use std::ffi::CString;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use nix::unistd::SysconfVar;
use nix::unistd::pipe2;
use nix::unistd::sysconf;
use taskmon_child::Fork;
use taskmon_child::Program;
use taskmon_child::Usage;
use taskmon_child::fork;
use taskmon_child::wait4;
use taskmonitor::Sample;

use crate::Failure;
use crate::times::boottime;

/// What a process had used, as getrusage() tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub user: Duration,
    pub system: Duration,
    pub minflt: u64,
    pub majflt: u64,
    /// The most memory that was resident at once, in bytes; of several processes, that of the one that had most.
    pub peak: u64,
}

impl Used {
    /// By `who`, until now.
    pub fn by(who: UsageWho) -> Result<Self, Failure> {
        let usage = getrusage(who).map_err(|e| Failure::other("getrusage failed", e.desc()))?;
        let time = |time: TimeVal| {
            let us = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
            Duration::from_micros(count(us))
        };
        Ok(Self {
            user: time(usage.user_time()),
            system: time(usage.system_time()),
            minflt: count(usage.minor_page_faults()),
            majflt: count(usage.major_page_faults()),
            peak: count(usage.max_rss()).saturating_mul(1024),
        })
    }

    /// What was used since `before`; the peak is that of all the time.
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            minflt: self.minflt.saturating_sub(before.minflt),
            majflt: self.majflt.saturating_sub(before.majflt),
            peak: self.peak,
        }
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        let Usage { user, system, minflt, majflt, peak } = usage;
        Self { user, system, minflt, majflt, peak }
    }
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// When a command began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// When its process called the execve() that succeeded: CLOCK_BOOTTIME, in nanoseconds.
    pub time: u64,
    /// When it was found that this had succeeded. The command was there by then.
    pub found: u64,
    /// What its process had used by `time`, to be taken off.
    pub used: Used,
}

impl Begun {
    /// Returns whether `sample`, of its process, is one of the command.
    ///
    /// A sample from between the two times may be one of taskmon's fork, unless it is the last one: that comes after the command, even
    /// if the command was over before anybody found that it had begun.
    pub fn has(&self, sample: &Sample) -> bool {
        sample.time >= self.found || sample.state.exited() && sample.time >= self.time
    }

    /// The least peak that the kernel reports, whatever the command needs.
    ///
    /// That is the peak before the execve(), and what may have been added to it until then without a page being touched: the
    /// kernel sums up pages of files and others one batch at a time, and one of each may have become due.
    pub fn floor(&self) -> u64 {
        let processors = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().map_or(1, count);
        // (percpu_counter_batch, in lib/percpu_counter.c)
        let batch = processors.saturating_mul(2).max(32);
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, count);
        self.used.peak.saturating_add(batch.saturating_mul(2).saturating_mul(page))
    }
}

/// What became of a process that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has ended before it could turn into the command.
    Ended,
    /// It could not turn into it.
    Failed(Errno),
    /// It is the command now. (Or it was killed while it tried: whoever kills it in these microseconds may have meant the command.)
    Command(Begun),
}

impl Fate {
    /// What was reported, as far as it was [reported](Begun::report) completely, by `found`: the last report counts.
    fn parse(said: &[u8], found: u64) -> Self {
        let Some(report) = said.chunks_exact(REPORT).next_back() else { return Self::Ended };
        let mut numbers = report.chunks_exact(8).filter_map(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
        let mut next = || numbers.next().unwrap_or_default();
        match i32::try_from(next()) {
            Ok(0) => {
                let time = next();
                let (user, system) = (Duration::from_micros(next()), Duration::from_micros(next()));
                Self::Command(Begun {
                    time,
                    found,
                    used: Used { user, system, minflt: next(), majflt: next(), peak: next() },
                })
            }
            error => Self::Failed(error.map_or(Errno::UnknownErrno, Errno::from_raw)),
        }
    }
}

/// Numbers in a report, and its bytes: fewer than what a pipe takes all or nothing.
const NUMBERS: usize = 7;
const REPORT: usize = NUMBERS * 8;

/// A report as bytes: to write it as text would touch more memory.
fn bytes(numbers: [u64; NUMBERS]) -> [u8; REPORT] {
    let mut bytes = [0; REPORT];
    bytes.chunks_exact_mut(8).zip(numbers).for_each(|(to, number)| to.copy_from_slice(&number.to_ne_bytes()));
    bytes
}

impl Begun {
    /// The report before an execve().
    fn report(&self) -> [u8; REPORT] {
        let Begun { time, found: _, used: Used { user, system, minflt, majflt, peak } } = self;
        let us = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        bytes([0, *time, us(user), us(system), *minflt, *majflt, *peak])
    }
}

/// The report after the last one that failed.
fn failure(error: Errno) -> [u8; REPORT] {
    // (0 would be none.)
    bytes([u64::try_from(error as i32).ok().filter(|&error| error > 0).unwrap_or(u64::MAX), 0, 0, 0, 0, 0, 0])
}

/// The process, from outside.
pub struct Held {
    pid: Pid,
    go: Option<File>,
    report: File,
    // What it has reported: the last report, and what has come of the next.
    said: Vec<u8>,
}

impl Held {
    /// Starts it.
    pub fn new(command: &[OsString]) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::other("cannot start a process", e);
        // (Before the fork: memory that the new process writes to is memory of its own.)
        let words = command.iter().map(|word| CString::new(word.as_bytes()));
        let program = Program::new(words.collect::<Result<_, _>>().map_err(|e| failed(e.into()))?);
        let (waits, go) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        let (report, says) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        match fork().map_err(failed)? {
            Fork::Child => {
                // It would not see that taskmon has died if it held that end itself.
                drop((go, report));
                hold(waits.into(), says.into(), program)
            }
            Fork::Parent(pid) => Ok(Self { pid, go: Some(go.into()), report: report.into(), said: Vec::new() }),
        }
    }

    /// Its PID.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets it turn into the command.
    pub fn let_go(&mut self) {
        if let Some(mut go) = self.go.take() {
            // If it has ended meanwhile, it will be found so.
            let _ = go.write_all(b"g");
        }
    }

    /// Reads once what it reports, and waits if there is nothing yet (which poll() tells). Says at the end what became of it.
    pub fn report(&mut self) -> Result<Option<Fate>, Failure> {
        let mut buffer = [0; 64 * REPORT];
        match self.report.read(&mut buffer) {
            Ok(0) => Ok(Some(Fate::parse(&self.said, boottime()?))),
            Ok(read) => {
                self.said.extend(buffer.iter().take(read));
                let kept = REPORT + self.said.len() % REPORT;
                self.said.drain(..self.said.len().saturating_sub(kept));
                Ok(None)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(e) => Err(Failure::other("cannot read whether the command was started", e)),
        }
    }

    /// Its exit status and what it has used, if it has ended. To be asked no more after that.
    pub fn ended(&mut self) -> Result<Option<(ExitStatus, Used)>, Failure> {
        let ended = wait4(self.pid).map_err(|e| Failure::other("cannot wait for the command", e))?;
        Ok(ended.map(|(status, usage)| (status, usage.into())))
    }
}

/// What it reports comes here.
impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

/// The process itself. Ends if it could not turn into the command: its status is for nobody.
fn hold(mut go: File, mut report: File, mut program: Program) -> ! {
    // What an execve() touches is resident before the floor is read.
    program.rehearse();
    if go.read_exact(&mut [0]).is_ok() {
        let error = program.exec(|| {
            let begun =
                boottime().and_then(|time| Ok(Begun { time, found: 0, used: Used::by(UsageWho::RUSAGE_SELF)? }));
            let report = begun.ok().and_then(|begun| report.write_all(&begun.report()).ok());
            report.ok_or(Errno::EIO)
        });
        let _ = report.write_all(&failure(error));
    }
    std::process::exit(125)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let time = Duration::from_micros;
        let used = Used { user: time(1_500_000), system: time(2), minflt: 3, majflt: 4, peak: 5120 };
        let begun = Begun { time: 77, found: 99, used };
        let report = begun.report();
        let parse = |said: &[&[u8]]| Fate::parse(&said.concat(), 99);
        assert_eq!(parse(&[&report]), Fate::Command(begun));
        // The last one counts, unless it is cut.
        let first = Begun { time: 76, found: 0, used: Used::default() }.report();
        assert_eq!(parse(&[&first, &report]), Fate::Command(begun));
        assert_eq!(parse(&[&report, &first[1..]]), Fate::Command(begun));
        assert_eq!(parse(&[&first, &report, &failure(Errno::ENOENT)]), Fate::Failed(Errno::ENOENT));
        assert_eq!(parse(&[&report, &failure(Errno::UnknownErrno)]), Fate::Failed(Errno::UnknownErrno));
        assert_eq!((parse(&[]), parse(&[&report[1..]])), (Fate::Ended, Fate::Ended));
    }

    #[test]
    fn samples_of_the_command() {
        let begun = Begun { time: 50, found: 60, used: Used::default() };
        let has = |time: u64, state: char| {
            let line = format!(
                "pid 7 usr 0 sys 0 time {time} rss 1 minflt 0 majflt 0 mm_users 1 state {state} seq 1 start 9"
            );
            begun.has(&Sample::parse(line.as_bytes()).unwrap())
        };
        assert_eq!((has(49, 'R'), has(50, 'R'), has(59, 'S'), has(60, 'R')), (false, false, false, true));
        // The last one, of a command that was over before it was found.
        assert_eq!((has(49, 'X'), has(55, 'X'), has(60, 'X')), (false, true, true));
    }

    #[test]
    fn differences() {
        let used = |ms, n| Used {
            user: Duration::from_millis(ms),
            system: Duration::from_millis(2 * ms),
            minflt: n,
            majflt: 2 * n,
            peak: 1000 * n,
        };
        assert_eq!(used(5, 9).since(used(2, 3)), Used { peak: 9000, ..used(3, 6) });
        assert_eq!(used(1, 1).since(used(2, 2)), Used { peak: 1000, ..Used::default() });
    }
}
