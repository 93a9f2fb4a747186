// SPDX-License-Identifier: GPL-2.0-only

//! fork(), execvp() and wait4(), with safe interfaces.
//!
//! All other crates of taskmon forbid unsafe code. This one contains what `taskmon run` needs, and for which neither std nor nix has a
//! safe function:
//!
//! - [`fork`], because [`std::process::Command`] starts processes by vfork() followed by execve(). The kernel's peak of resident
//!   memory of such a process is at least that of its parent, and of the program that it executes first.
//! - [`exec`], because [`std::process::Command`] touches much more code, and so memory, for what takes two system calls.
//! - [`wait4`], because the resources that it reports are those of one child. Those that getrusage() reports are of all children.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::ForkResult;
use nix::unistd::Pid;
use nix::unistd::execvp;

/// The process in which [`fork`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The one that has called it, and the PID of the new process.
    Parent(Pid),
}

/// Creates a process that is a copy of this one, and returns in both.
///
/// # Errors
///
/// - [`io::ErrorKind::Unsupported`]: this process has more than one thread.
/// - Those of fork(), and those of reading `/proc/self/task`.
pub fn fork() -> io::Result<Fork> {
    // In a process of one thread, nobody else can start another one after this.
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "cannot fork: this process has several threads"));
    }
    // SAFETY: The new process has only a copy of the calling thread. That would be unsound if another thread had held a lock, or
    // had left data inconsistent, when it was copied. This process has no other thread, as checked above.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(Fork::Child),
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
    }
}

/// Executes the program `argv[0]`, looked for in `PATH`, with the arguments `argv`. Returns only if that fails.
///
/// SIGPIPE gets its default action, as std does it: std itself has it ignored at the start of a program.
pub fn exec(argv: &[CString]) -> Errno {
    // SAFETY: SIG_DFL is no function that would have to be safe to call in a signal handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let Some(program) = argv.first() else { return Errno::ENOENT };
    match execvp(program, argv) {
        Err(errno) => errno,
        Ok(never) => match never {},
    }
}

/// The resources that a process has used, and those of its children that it has waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Page faults without I/O.
    pub minflt: u64,
    /// Page faults with I/O.
    pub majflt: u64,
    /// The most memory that was resident at once, in bytes, in the process that had most.
    pub peak: u64,
}

impl Usage {
    fn of(usage: &libc::rusage) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let time = |time: libc::timeval| {
            Duration::from_secs(count(time.tv_sec)).saturating_add(Duration::from_micros(count(time.tv_usec)))
        };
        Self {
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
            minflt: count(usage.ru_minflt),
            majflt: count(usage.ru_majflt),
            peak: count(usage.ru_maxrss).saturating_mul(1024),
        }
    }
}

/// Returns the status and the resources of the child `pid` if it has ended, and reaps it. Does not wait.
///
/// # Errors
///
/// Those of wait4(): `ECHILD` if it is no child of this process, or has been reaped.
pub fn wait4(pid: Pid) -> io::Result<Option<(ExitStatus, Usage)>> {
    loop {
        let mut status = 0;
        // SAFETY: `rusage` is a C struct of integers, for which all bytes 0 are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: Both pointers are to exclusively borrowed variables of the types that wait4() writes.
        match unsafe { libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, &raw mut usage) } {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => return Ok(Some((ExitStatus::from_raw(status), Usage::of(&usage)))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    fn end(pid: Pid) -> (ExitStatus, Usage) {
        loop {
            if let Some(ended) = wait4(pid).unwrap() {
                return ended;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// (The test runner has several threads.)
    #[test]
    fn a_process_of_several_threads_is_not_copied() {
        let other = thread::spawn(thread::park);
        assert_eq!(fork().unwrap_err().kind(), io::ErrorKind::Unsupported);
        other.thread().unpark();
        other.join().unwrap();
    }

    #[test]
    fn programs_that_cannot_be_executed() {
        let exec = |program: &str| exec(&[CString::new(program).unwrap()]);
        assert_eq!(
            (exec("no-such-program-anywhere"), exec("/"), exec("")),
            (Errno::ENOENT, Errno::EACCES, Errno::ENOENT)
        );
        assert_eq!(super::exec(&[]), Errno::ENOENT);
    }

    #[test]
    #[allow(clippy::zombie_processes, reason = "it is reaped by what is tested")]
    fn resources_of_one_child() {
        let spawn = |script: &str| {
            let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            Pid::from_raw(i32::try_from(child.id()).unwrap())
        };
        let (exits, kills) = (spawn("exit 3"), spawn("kill -KILL $$"));
        let (status, usage) = end(kills);
        assert_eq!((status.signal(), status.code()), (Some(9), None));
        assert!(usage.minflt > 0 && usage.peak > 0, "{usage:?}");
        assert_eq!(wait4(kills).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert_eq!(end(exits).0.code(), Some(3));
    }
}
