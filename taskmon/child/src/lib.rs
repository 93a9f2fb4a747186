// SPDX-License-Identifier: GPL-2.0-only

//! fork(), execvp() and wait4(), with safe interfaces.
//!
//! All other crates of taskmon forbid unsafe code. This one contains what `taskmon run` needs, and for which neither std nor nix has a
//! safe function:
//!
//! - [`fork`], because [`std::process::Command`] starts processes by vfork() followed by execve(). The kernel's peak of resident
//!   memory of such a process is at least that of its parent, and of the program that it executes first.
//! - [`Program::exec`], because [`std::process::Command`] touches much more code, and so memory, for what takes two system calls, and
//!   because neither it nor execvp() of the C library tells the caller that it is about to execute a file.
//! - [`wait4`], because the resources that it reports are those of one child. Those that getrusage() reports are of all children.

use std::ffi::CStr;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::ForkResult;
use nix::unistd::Pid;

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

/// A program to be executed, with its arguments.
///
/// Everything that [`exec`](Self::exec) needs is allocated in advance, so that a process that was forked touches little memory.
#[derive(Debug)]
pub struct Program {
    // The arguments. `pointers` points into them.
    argv: Vec<CString>,
    // The shell, the pointers to `argv`, and NULL.
    pointers: Vec<*const libc::c_char>,
    // The directories in which the program is looked for.
    path: Vec<u8>,
    // Holds the path that is tried, with its final NUL.
    file: Vec<u8>,
}

/// The program that executes what the kernel does not recognize.
const SHELL: &CStr = c"/bin/sh";
/// Where programs are looked for without `PATH`, as in the C library.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The longest name of a file in a directory.
const NAME_MAX: usize = 255;
/// The longest path, with its final NUL.
const PATH_MAX: usize = 4096;

impl Program {
    /// Prepares to execute the program `argv[0]`, looked for in `PATH`, with the arguments `argv`.
    #[must_use]
    pub fn new(argv: Vec<CString>) -> Self {
        let path = std::env::var_os("PATH").map_or_else(|| DEFAULT_PATH.to_vec(), OsStringExt::into_vec);
        Self::with_path(argv, path)
    }

    fn with_path(argv: Vec<CString>, path: Vec<u8>) -> Self {
        let pointers = [SHELL].into_iter().chain(argv.iter().map(CString::as_c_str)).map(CStr::as_ptr);
        let pointers = pointers.chain([std::ptr::null()]).collect();
        Self { argv, pointers, path, file: Vec::with_capacity(PATH_MAX + NAME_MAX + 2) }
    }

    /// Makes resident what executing a file touches: tries to execute the root directory, which always fails.
    pub fn rehearse(&mut self) {
        let _ = self.attempt(b"/", b"", &mut || Ok(()));
    }

    /// Executes the program, as execvp() does. Returns only if that fails.
    ///
    /// `before` is called before each attempt to execute a file, of which there is one for each directory of `PATH` until one
    /// succeeds. If it returns an error, nothing is executed, and that error is returned.
    ///
    /// SIGPIPE gets its default action, as std does it: std itself has it ignored at the start of a program.
    pub fn exec(&mut self, mut before: impl FnMut() -> Result<(), Errno>) -> Errno {
        // SAFETY: SIG_DFL is no function that would have to be safe to call in a signal handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let program = self.argv.first().map(|program| program.as_bytes().to_vec()).unwrap_or_default();
        if program.is_empty() {
            return Errno::ENOENT;
        }
        if program.contains(&b'/') {
            return self.attempt(b"", &program, &mut before).unwrap_or_else(|error| error);
        }
        if program.len() > NAME_MAX {
            return Errno::ENAMETOOLONG;
        }
        let path = std::mem::take(&mut self.path);
        let error = self.search(&path, &program, &mut before);
        self.path = path;
        error.unwrap_or_else(|error| error)
    }

    /// Executes the program `name` of the first directory in `path` that has one. Returns why that failed, or the error of `before`.
    fn search(
        &mut self,
        path: &[u8],
        name: &[u8],
        before: &mut impl FnMut() -> Result<(), Errno>,
    ) -> Result<Errno, Errno> {
        let mut denied = false;
        // (An empty element is the working directory. No path is as long as one that is too long.)
        for directory in path.split(|&byte| byte == b':').filter(|directory| directory.len() < PATH_MAX) {
            match self.attempt(directory, name, before)? {
                Errno::EACCES => denied = true,
                // The program is not there, or nobody can know.
                Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR | Errno::ENODEV | Errno::ETIMEDOUT => {}
                error => return Ok(error),
            }
        }
        Ok(if denied { Errno::EACCES } else { Errno::ENOENT })
    }

    /// Executes the file `name` in `directory`. If the kernel does not know its format, the shell does. Returns why that failed, or
    /// the error of `before`.
    fn attempt(
        &mut self,
        directory: &[u8],
        name: &[u8],
        before: &mut impl FnMut() -> Result<(), Errno>,
    ) -> Result<Errno, Errno> {
        self.file.clear();
        self.file.extend_from_slice(directory);
        self.file.extend_from_slice(if directory.is_empty() { b"" } else { b"/" });
        self.file.extend_from_slice(name);
        self.file.push(0);
        let file = CStr::from_bytes_with_nul(&self.file).map_err(|_| Errno::EINVAL)?;
        let [_, argv @ ..] = &*self.pointers else { return Err(Errno::EINVAL) };
        before()?;
        // SAFETY: `file` is a C string. `argv` ends with NULL, and all before it point to C strings: those of `self.argv`, which are
        // not changed while `self` exists.
        unsafe { libc::execv(file.as_ptr(), argv.as_ptr()) };
        let error = Errno::last();
        if error != Errno::ENOEXEC {
            return Ok(error);
        }
        if let Some(program) = self.pointers.get_mut(1).filter(|program| !program.is_null()) {
            *program = file.as_ptr();
        }
        before()?;
        // SAFETY: As above; the first argument is `SHELL`, and the second one is now `file`, both C strings that live longer than this
        // call.
        unsafe { libc::execv(SHELL.as_ptr(), self.pointers.as_ptr()) };
        let error = Errno::last();
        if let Some((program, name)) = self.pointers.get_mut(1).zip(self.argv.first()) {
            *program = name.as_ptr();
        }
        Ok(error)
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

    fn program(argv: &[&str], path: &str) -> Program {
        Program::with_path(argv.iter().map(|word| CString::new(*word).unwrap()).collect(), path.into())
    }

    #[test]
    fn programs_that_cannot_be_executed() {
        let exec = |name: &str, path: &str| program(&[name], path).exec(|| Ok(()));
        // A directory that is named like the program.
        let name = "fs";
        let (denied, file) = ("/proc/self/../sys", "/proc/self/stat");
        assert_eq!(exec("no-such-program-anywhere", "/bin:/usr/bin"), Errno::ENOENT);
        assert_eq!(
            (exec("/", ""), exec("", "/bin"), exec(&"x".repeat(256), "/bin")),
            (Errno::EACCES, Errno::ENOENT, Errno::ENAMETOOLONG)
        );
        assert_eq!(
            exec(name, &format!("/bin:{denied}:/usr/bin")),
            Errno::EACCES,
            "the search continues, but says it"
        );
        assert_eq!(exec(name, &format!("{file}:/none::{}:", "x".repeat(5000))), Errno::ENOENT);
        assert_eq!(program(&[], "/bin").exec(|| Ok(())), Errno::ENOENT);
    }

    #[test]
    fn each_attempt_is_told_of_before() {
        let attempts = |argv: &[&str], path: &str| {
            let mut attempts = 0;
            let error = program(argv, path).exec(|| {
                attempts += 1;
                Ok(())
            });
            (attempts, error)
        };
        assert_eq!(attempts(&["no-such-program-anywhere"], "/bin:/none:"), (3, Errno::ENOENT));
        assert_eq!(attempts(&["/no/such/file"], "/bin:/none:"), (1, Errno::ENOENT));
        // Nothing is executed after an error.
        let mut left = 2;
        let error = program(&["true"], "/none:/none:/bin:/usr/bin").exec(|| {
            left -= 1;
            if left > 0 { Ok(()) } else { Err(Errno::EPIPE) }
        });
        assert_eq!((left, error), (0, Errno::EPIPE));
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
