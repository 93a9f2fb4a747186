// SPDX-License-Identifier: GPL-2.0-only

//! A command that is held before its first instruction, so that it can be monitored from there on.
//!
//! taskmon forks. The new process waits for a byte on a pipe, and then turns into the command by execve(), which changes neither
//! its PID nor its history. On a second pipe it says what it had used by then, and why it could not turn into the command. The
//! second pipe closes by itself when it could. When the taskmon that holds it dies, the first one closes, and the command never
//! runs.
//!
//! What the process used before the execve() is not the command's. CPU time and page faults are counters: what there was by then
//! is taken off. The kernel's peak of resident memory cannot be taken off. It outlives an execve(): in the kernel,
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
use taskmon_child::Usage;
use taskmon_child::exec;
use taskmon_child::fork;
use taskmon_child::wait4;

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
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub time: u64,
    /// What its process had used by then, to be taken off.
    pub used: Used,
}

impl Begun {
    /// The least peak that the kernel reports, whatever the command needs.
    ///
    /// That is the peak before the execve(), and what may have been added to it until then without a page being touched: the
    /// kernel sums up pages of files and others one batch at a time, and one of each may have become due.
    pub fn floor(&self) -> u64 {
        let processors = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().map_or(1, count);
        // (percpu_counter_batch, in lib/percpu_counter.c)
        let batch = processors.saturating_mul(2).max(32);
        self.used.peak.saturating_add(batch.saturating_mul(2 * 4096))
    }
}

/// What became of a process that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has ended before it could turn into the command.
    Ended,
    /// It could not turn into it.
    Failed(Errno),
    /// It is the command now.
    Command(Begun),
}

impl Fate {
    /// What was reported: the numbers of [`report`](Begun::report), and the error, if there was one.
    fn parse(report: &[u8]) -> Self {
        let (numbers, error) = report.split_at_checked(NUMBERS * 8).unwrap_or_default();
        let mut numbers =
            numbers.chunks_exact(8).filter_map(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
        let mut next = || numbers.next();
        let mut begun = || {
            let time = next()?;
            let (user, system) = (Duration::from_micros(next()?), Duration::from_micros(next()?));
            Some(Begun { time, used: Used { user, system, minflt: next()?, majflt: next()?, peak: next()? } })
        };
        match (begun(), error) {
            (None, _) => Self::Ended,
            (Some(begun), []) => Self::Command(begun),
            (Some(_), error) => Self::Failed(
                error.try_into().map_or(Errno::UnknownErrno, |error| Errno::from_raw(i32::from_ne_bytes(error))),
            ),
        }
    }
}

/// Numbers in a report.
const NUMBERS: usize = 6;

impl Begun {
    /// As bytes: to write them as text would touch more memory.
    fn report(&self) -> [u8; NUMBERS * 8] {
        let Begun { time, used: Used { user, system, minflt, majflt, peak } } = self;
        let us = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut bytes = [0; NUMBERS * 8];
        let numbers = [*time, us(user), us(system), *minflt, *majflt, *peak];
        bytes.chunks_exact_mut(8).zip(numbers).for_each(|(to, number)| to.copy_from_slice(&number.to_ne_bytes()));
        bytes
    }
}

/// The process, from outside.
pub struct Held {
    pid: Pid,
    go: Option<File>,
    report: File,
    // What it has reported so far.
    said: Vec<u8>,
}

impl Held {
    /// Starts it.
    pub fn new(command: &[OsString]) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::other("cannot start a process", e);
        // (Before the fork: memory that the new process writes to is memory of its own.)
        let words = command.iter().map(|word| CString::new(word.as_bytes()));
        let words = words.collect::<Result<Vec<CString>, _>>().map_err(|e| failed(e.into()))?;
        let (waits, go) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        let (report, says) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        match fork().map_err(failed)? {
            Fork::Child => {
                // It would not see that taskmon has died if it held that end itself.
                drop((go, report));
                hold(waits.into(), says.into(), &words)
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
        let mut buffer = [0; 512];
        match self.report.read(&mut buffer) {
            Ok(0) => Ok(Some(Fate::parse(&self.said))),
            Ok(read) => {
                self.said.extend(buffer.iter().take(read));
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
fn hold(mut go: File, mut report: File, command: &[CString]) -> ! {
    // What an execve() touches is resident before the floor is read. (A directory is never executed.)
    exec(&[c"/".to_owned()]);
    if go.read_exact(&mut [0]).is_ok() {
        if let (Ok(time), Ok(used)) = (boottime(), Used::by(UsageWho::RUSAGE_SELF)) {
            if report.write_all(&Begun { time, used }.report()).is_ok() {
                let error = exec(command);
                let _ = report.write_all(&(error as i32).to_ne_bytes());
            }
        }
    }
    std::process::exit(125)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let time = Duration::from_micros;
        let used = Used { user: time(1_500_000), system: time(2), minflt: 3, majflt: 4, peak: 5120 };
        let begun = Begun { time: 77, used };
        let report = begun.report();
        assert_eq!(Fate::parse(&report), Fate::Command(begun));
        let with = |error: &[u8]| Fate::parse(&[&report[..], error].concat());
        assert_eq!(with(&(Errno::ENOENT as i32).to_ne_bytes()), Fate::Failed(Errno::ENOENT));
        assert_eq!(with(b"no"), Fate::Failed(Errno::UnknownErrno));
        assert_eq!(Fate::parse(b""), Fate::Ended);
        assert_eq!(Fate::parse(&report[1..]), Fate::Ended);
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
