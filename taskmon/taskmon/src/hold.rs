// SPDX-License-Identifier: GPL-2.0-only

//! A command that is held before its first instruction, so that it can be monitored from there on.
//!
//! taskmon starts itself once more, as the process that the command will be. That one waits for a byte on a pipe, and then
//! turns into the command by execve(), which changes neither its PID nor its history. On a second pipe it says what it had used
//! by then, and why it could not turn into the command. The second pipe closes by itself when it could.
//! When the taskmon that holds it dies, the first one closes, and the command never runs.

use std::ffi::OsString;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command as Process;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::FcntlArg;
use nix::fcntl::FdFlag;
use nix::fcntl::OFlag;
use nix::fcntl::fcntl;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use nix::time::ClockId;
use nix::time::clock_gettime;
use nix::unistd::Pid;
use nix::unistd::close;
use nix::unistd::pipe2;

use crate::Failure;
use crate::cli::Hold;

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

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// CLOCK_BOOTTIME, in nanoseconds: the clock of the samples.
pub fn boottime() -> Result<u64, Failure> {
    let now =
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_err(|e| Failure::other("cannot read CLOCK_BOOTTIME", e.desc()))?;
    Ok(u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX))
}

/// When a command began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub time: u64,
    /// What its process had used by then, to be taken off.
    pub used: Used,
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
    fn parse(report: &[u8]) -> Self {
        let report = String::from_utf8_lossy(report);
        let mut lines = report.lines();
        let mut numbers = lines.next().unwrap_or_default().split(' ').map_while(|word| word.parse().ok());
        let mut next = || numbers.next();
        let mut begun = || {
            let time = next()?;
            let (user, system) = (Duration::from_micros(next()?), Duration::from_micros(next()?));
            Some(Begun { time, used: Used { user, system, minflt: next()?, majflt: next()?, peak: next()? } })
        };
        match (begun(), lines.next()) {
            (None, _) => Self::Ended,
            (Some(begun), None) => Self::Command(begun),
            (Some(_), Some(error)) => Self::Failed(error.parse().map_or(Errno::UnknownErrno, Errno::from_raw)),
        }
    }

    fn text(begun: &Begun) -> String {
        let Begun { time, used: Used { user, system, minflt, majflt, peak } } = begun;
        format!("{time} {} {} {minflt} {majflt} {peak}\n", user.as_micros(), system.as_micros())
    }
}

/// The process, from outside.
pub struct Held {
    child: Child,
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
        let (waits, go) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        let (report, says) = pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        for end in [&waits, &says] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|e| failed(e.into()))?;
        }
        let child = Process::new("/proc/self/exe")
            .arg0("taskmon")
            .arg("__hold")
            .args([&waits, &says].map(|end: &OwnedFd| end.as_raw_fd().to_string()))
            .arg("--")
            .args(command)
            .spawn()
            .map_err(failed)?;
        let pid = i32::try_from(child.id()).map_err(|e| Failure::other("PID out of range", e))?;
        Ok(Self { child, pid: Pid::from_raw(pid), go: Some(go.into()), report: report.into(), said: Vec::new() })
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

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(|e| Failure::other("cannot wait for the command", e))
    }
}

/// What it reports comes here.
impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

/// The process itself. Returns only if it could not turn into the command: what it returns is for nobody.
pub fn hold(args: &Hold) -> ExitCode {
    let failed = ExitCode::from(125);
    // They came through an execve(), and must not go through another one.
    let open = |options: &OpenOptions, fd: RawFd| {
        let file = options.open(format!("/proc/self/fd/{fd}"))?;
        close(fd)?;
        io::Result::Ok(file)
    };
    let (Ok(mut go), Ok(mut report)) =
        (open(OpenOptions::new().read(true), args.go), open(OpenOptions::new().write(true), args.report))
    else {
        return failed;
    };
    let Some((command, arguments)) = args.command.split_first() else { return failed };
    let mut process = Process::new(command);
    process.args(arguments);
    if go.read_exact(&mut [0]).is_err() {
        return failed;
    }
    let (Ok(time), Ok(used)) = (boottime(), Used::by(UsageWho::RUSAGE_SELF)) else { return failed };
    if report.write_all(Fate::text(&Begun { time, used }).as_bytes()).is_err() {
        return failed;
    }
    let error = process.exec().raw_os_error().unwrap_or(0);
    let _ = writeln!(report, "{error}");
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let time = Duration::from_micros;
        let used = Used { user: time(1_500_000), system: time(2), minflt: 3, majflt: 4, peak: 5120 };
        let begun = Begun { time: 77, used };
        let text = Fate::text(&begun);
        assert_eq!(Fate::parse(text.as_bytes()), Fate::Command(begun));
        assert_eq!(Fate::parse((text.clone() + "2\n").as_bytes()), Fate::Failed(Errno::ENOENT));
        assert_eq!(Fate::parse((text + "no number\n").as_bytes()), Fate::Failed(Errno::UnknownErrno));
        assert_eq!(Fate::parse(b""), Fate::Ended);
        assert_eq!(Fate::parse(b"1 2 3"), Fate::Ended);
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
