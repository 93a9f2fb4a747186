// SPDX-License-Identifier: GPL-2.0-only

//! Names and command lines to look for.
//!
//! A task has several names. The module knows its comm, at most 15 bytes. The files of /proc show the same of a process,
//! but of a kernel thread they show its full name and, of a worker of a workqueue, what it works on. A program's own name
//! can be longer than both. Any of them selects the task.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use regex_lite::Regex;
use taskmonitor::readable;

/// Maximum length of a name in the kernel, in bytes.
pub const COMM_MAX: usize = 15;

/// What all workers of workqueues have at the beginning of their names, and no other kernel thread.
const WORKER: &[u8] = b"kworker/";
/// What the rescuers among them have there, before the name of their workqueue.
const RESCUER: &[u8] = b"kworker/R-";

/// A text to compare with, or a regular expression.
#[derive(Clone, Debug)]
pub enum Pattern {
    Exact(Vec<u8>),
    Regex(Regex),
}

impl Pattern {
    fn parse(text: OsString) -> Result<Self, String> {
        let bytes = text.into_vec();
        let Some(regex) = bytes.strip_prefix(b"/").and_then(|rest| rest.strip_suffix(b"/")) else {
            return Ok(Self::Exact(bytes));
        };
        let regex = std::str::from_utf8(regex).map_err(|_| "invalid regular expression: not UTF-8".to_owned())?;
        Regex::new(regex)
            .map(Self::Regex)
            .map_err(|e| format!("invalid regular expression \"{}\": {e}", regex.escape_debug()))
    }
}

/// As on the command line.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(&readable(text)),
            Self::Regex(regex) => write!(f, "/{}/", regex.as_str().escape_debug()),
        }
    }
}

/// A name to look for.
#[derive(Clone, Debug)]
pub struct Name(Pattern);

/// Whether a task has the name that is looked for, by its comm alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByComm {
    Yes,
    No,
    /// What /proc says of the task decides.
    Unknown,
}

impl Name {
    /// Parses `NAME` or `/REGEX/`. A name can have any bytes: the kernel also cuts inside a character.
    pub fn parse(text: OsString) -> Result<Self, String> {
        Pattern::parse(text).map(Self)
    }

    /// Compares with a comm.
    pub fn by_comm(&self, comm: &[u8]) -> ByComm {
        match &self.0 {
            Pattern::Exact(name) if is_shown_as(comm, name) => ByComm::Yes,
            Pattern::Exact(name) if kept(name) == comm || cut(name) == comm => ByComm::Unknown,
            Pattern::Exact(_) => ByComm::No,
            Pattern::Regex(regex) if regex.is_match(&String::from_utf8_lossy(comm)) => ByComm::Yes,
            // /proc may show more.
            Pattern::Regex(_) if comm.len() >= COMM_MAX || comm.starts_with(WORKER) => ByComm::Unknown,
            Pattern::Regex(_) => ByComm::No,
        }
    }

    /// Compares with a comm in a recording, where nothing more is known: of a name that the kernel cuts, the rest does not
    /// count.
    pub fn of_recording(&self, comm: &[u8]) -> bool {
        match self.by_comm(comm) {
            ByComm::Yes => true,
            ByComm::No => false,
            ByComm::Unknown => matches!(self.0, Pattern::Exact(_)),
        }
    }

    /// Compares with a kernel thread's name in /proc.
    pub fn of_kernel_thread(&self, full: &[u8]) -> bool {
        match &self.0 {
            Pattern::Exact(name) => {
                let name = unbracketed(name);
                is_shown_as(full, name) || is_shown_as(kept(full), name) || without_work(name) == without_work(full)
            }
            Pattern::Regex(regex) => regex.is_match(&String::from_utf8_lossy(full)),
        }
    }

    /// Compares with a process's name in /proc. `program` tells whether the name of its program is this one.
    pub fn of_process(&self, comm: &[u8], program: impl Fn(&[u8]) -> bool) -> bool {
        match (self.by_comm(comm), &self.0) {
            (ByComm::Yes, _) => true,
            (ByComm::Unknown, Pattern::Exact(name)) => name.len() > COMM_MAX && program(name),
            _ => false,
        }
    }

    /// The comm of tasks with this name, if it is only a part of the name.
    pub fn part(&self) -> Option<String> {
        match &self.0 {
            // What list prints of a comm can be longer than the comm.
            Pattern::Exact(name) if readable(name).contains(char::REPLACEMENT_CHARACTER) => None,
            Pattern::Exact(name) if kept(name) != name => Some(readable(kept(name))),
            _ => None,
        }
    }

    /// Whether the name is too long for a comm.
    pub fn is_long(&self) -> bool {
        matches!(&self.0, Pattern::Exact(name) if without_work(unbracketed(name)).len() > COMM_MAX)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A command line to look for.
#[derive(Clone, Debug)]
pub struct CommandLine(Pattern);

impl CommandLine {
    /// Parses `TEXT` or `/REGEX/`.
    pub fn parse(text: OsString) -> Result<Self, String> {
        // An empty variable of a script is not all there is.
        if text.is_empty() {
            return Err("a command line is never empty".to_owned());
        }
        Pattern::parse(text).map(Self)
    }

    /// Compares with the arguments of a process, each with a 0 after it, as in /proc/PID/cmdline. Without arguments there is
    /// no command line.
    pub fn matches(&self, arguments: &[u8]) -> bool {
        let line = command_line(arguments);
        !line.is_empty()
            && match &self.0 {
                Pattern::Exact(text) => *text == line,
                Pattern::Regex(regex) => regex.is_match(&String::from_utf8_lossy(&line)),
            }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The arguments with a blank between two of them.
fn command_line(arguments: &[u8]) -> Vec<u8> {
    let end = arguments.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    arguments.iter().take(end).map(|&byte| if byte == 0 { b' ' } else { byte }).collect()
}

/// Whether a program has this name, by what `arguments` and `executable` of its process say. `comm` is what the kernel keeps
/// of the name.
pub fn is_program(name: &[u8], comm: &[u8], arguments: &[u8], executable: &[u8]) -> bool {
    let executable = base_name(executable.strip_suffix(b" (deleted)").unwrap_or(executable));
    let mut arguments = arguments.split(|&byte| byte == 0).map(base_name);
    // The kernel runs a script by its interpreter, with at most one option before the script.
    let is_script = !executable.starts_with(comm);
    executable == name || arguments.next() == Some(name) || is_script && arguments.take(2).any(|word| word == name)
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Whether `text` is what one of /proc/PID/comm, `taskmon list` and `ps` in a UTF-8 locale prints of `name`.
fn is_shown_as(name: &[u8], text: &[u8]) -> bool {
    text == name || text == readable(name).as_bytes() || text == shown_by_ps(name)
}

/// `ps` prints a question mark for each control character and each byte that is not UTF-8.
fn shown_by_ps(name: &[u8]) -> Vec<u8> {
    let mut shown = String::new();
    for chunk in name.utf8_chunks() {
        shown.extend(chunk.valid().chars().map(|c| if c.is_control() { '?' } else { c }));
        shown.extend(chunk.invalid().iter().map(|_| '?'));
    }
    shown.into_bytes()
}

/// `ps` prints the name of a task without a command line in brackets.
fn unbracketed(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name)
}

/// The comm of a task that `ps` or /proc gives this name.
fn kept(name: &[u8]) -> &[u8] {
    cut(without_work(unbracketed(name)))
}

fn cut(name: &[u8]) -> &[u8] {
    name.get(..COMM_MAX).unwrap_or(name)
}

/// The name of a worker of a workqueue without its work: it stands after a plus while the worker executes it, and after a
/// minus later. The name of a rescuer's workqueue may have a minus itself.
fn without_work(name: &[u8]) -> &[u8] {
    let rescuer = name.starts_with(RESCUER);
    let ends = |byte: &u8| *byte == b'+' || *byte == b'-' && !rescuer;
    let end = name.strip_prefix(WORKER).and_then(|rest| rest.iter().position(ends)).map(|at| at + WORKER.len());
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn name(text: &(impl AsRef<[u8]> + ?Sized)) -> Name {
        Name::parse(OsString::from_vec(text.as_ref().to_vec())).unwrap()
    }

    fn command(text: &str) -> CommandLine {
        CommandLine::parse(text.into()).unwrap()
    }

    const NO_PROGRAM: fn(&[u8]) -> bool = |_| panic!("a short name asks for the program");

    #[test]
    fn short_names_are_the_comm() {
        assert_eq!(name("sshd").by_comm(b"sshd"), ByComm::Yes);
        assert_eq!(name("ssh").by_comm(b"sshd"), ByComm::No);
        assert_eq!(name("a-very-long-nam").by_comm(b"a-very-long-nam"), ByComm::Yes);
        assert!(name("sshd").of_process(b"sshd", NO_PROGRAM));
        assert!(!name("sshd").of_process(b"ssh", NO_PROGRAM));
        // Brackets are of a kernel thread, or of the name.
        assert!(!name("[sshd]").of_process(b"sshd", NO_PROGRAM));
        assert!(name("[sshd]").of_process(b"[sshd]", NO_PROGRAM));
        assert_eq!(name("").by_comm(b""), ByComm::Yes);
        assert_eq!(name("").by_comm(b"a"), ByComm::No);
    }

    #[test]
    fn long_names_are_those_of_programs() {
        let long = name("a-very-long-name-indeed");
        assert_eq!(long.by_comm(b"a-very-long-nam"), ByComm::Unknown);
        assert_eq!(long.by_comm(b"a-very-long-na"), ByComm::No);
        let is = |arguments: &'static [u8], executable: &'static [u8]| {
            move |name: &[u8]| is_program(name, b"a-very-long-nam", arguments, executable)
        };
        for (arguments, executable, matches) in [
            (&b"/usr/bin/a-very-long-name-indeed\0-x\0"[..], &b"/bin/busybox"[..], true),
            (b"", b"/opt/a-very-long-name-indeed", true),
            (b"worker 3", b"/opt/a-very-long-name-indeed (deleted)", true),
            (b"/usr/bin/python3\0-u\0/opt/a-very-long-name-indeed\0", b"/usr/bin/python3.13", true),
            (b"a-very-long-name-instead\0a-very-long-name-indeed\0", b"/opt/a-very-long-name-instead", false),
            (b"sh\0-e\0-x\0a-very-long-name-indeed\0", b"/bin/sh", false),
            (b"", b"", false),
        ] {
            assert_eq!(long.of_process(b"a-very-long-nam", is(arguments, executable)), matches, "{arguments:?}");
        }
        // The name is still the one that the kernel has.
        assert!(!long.of_process(b"main", is(b"a-very-long-name-indeed\0", b"")));
    }

    #[test]
    fn names_as_they_are_printed() {
        // What the kernel keeps of nine of these: the last is half.
        let half = &"ééééééééé".as_bytes()[..COMM_MAX];
        for text in [half, "ééééééé\u{fffd}".as_bytes(), "ééééééé?".as_bytes()] {
            assert_eq!(name(text).by_comm(half), ByComm::Yes, "{text:?}");
        }
        assert_eq!(name("ééééééé").by_comm(half), ByComm::No);
        assert_eq!(name("ééééééé?").by_comm("ééééééé".as_bytes()), ByComm::No);
        assert_eq!(name("ééééééééé").by_comm(half), ByComm::Unknown);
        assert!(name("ééééééééé").of_process(half, |name| name == "ééééééééé".as_bytes()));
        // ps has a question mark for each byte, list one for all of them.
        assert_eq!(name("aaaaaaaaaaaaa??").by_comm(b"aaaaaaaaaaaaa\xe6\x97"), ByComm::Yes);
        assert_eq!(name("aaaaaaaaaaaaa\u{fffd}").by_comm(b"aaaaaaaaaaaaa\xe6\x97"), ByComm::Yes);
        for text in ["a\nb\u{85}", "a?b?", "a\u{fffd}b\u{fffd}"] {
            assert_eq!(name(text).by_comm("a\nb\u{85}".as_bytes()), ByComm::Yes, "{text:?}");
        }
        assert_eq!(name("a?b").by_comm(b"acb"), ByComm::No);
    }

    #[test]
    fn kernel_threads_have_longer_names() {
        let full = b"rcu_tasks_trace_kthread";
        for text in ["rcu_tasks_trace_kthread", "rcu_tasks_trace", "[rcu_tasks_trace_kthread]"] {
            assert!(name(text).of_kernel_thread(full), "{text}");
        }
        for text in ["rcu_tasks_trace_kthreads", "rcu_tasks_trace_", "rcu_tasks", "rcu_tasks_trace_kthread-x"] {
            assert!(!name(text).of_kernel_thread(full), "{text}");
        }
        assert_eq!(name("rcu_tasks_trace_kthread").by_comm(b"rcu_tasks_trace"), ByComm::Unknown);
        assert_eq!(name("[rcu_tasks_trace_kthread]").by_comm(b"rcu_tasks_trace"), ByComm::Unknown);
        let regex = name("/^rcu_.*_kthread$/");
        assert_eq!(regex.by_comm(b"rcu_tasks_trace"), ByComm::Unknown);
        assert!(regex.of_kernel_thread(full) && !regex.of_recording(b"rcu_tasks_trace"));
    }

    #[test]
    fn workers_have_their_work_appended() {
        for full in ["kworker/0:1-events", "kworker/0:1+events_power_efficient", "kworker/0:1"] {
            for text in ["kworker/0:1", "kworker/0:1-mm_percpu_wq", "kworker/0:1+x", "[kworker/0:1-events]"] {
                assert!(name(text).of_kernel_thread(full.as_bytes()), "{text} {full}");
                assert_ne!(name(text).by_comm(b"kworker/0:1"), ByComm::No, "{text}");
                assert!(name(text).of_recording(b"kworker/0:1"), "{text}");
            }
            for text in ["kworker/0:1H", "kworker/0:1H-events", "kworker/0:11-events", "kworker/0:", "events"] {
                assert!(!name(text).of_kernel_thread(full.as_bytes()), "{text} {full}");
                assert_eq!(name(text).by_comm(b"kworker/0:1"), ByComm::No, "{text}");
            }
        }
        // What the worker does now is part of the name.
        assert!(name("/events/").of_kernel_thread(b"kworker/0:1-events"));
        assert_eq!(name("/events/").by_comm(b"kworker/0:1"), ByComm::Unknown);
        // A process that only has such a name is none.
        assert!(!name("kworker/0:1-events").of_process(b"kworker/0:1", |_| false));
        // A long number is cut, too.
        assert!(name("kworker/u1000:1").of_kernel_thread(b"kworker/u1000:12-flush-8:0"));
        assert!(!name("kworker/u1000:1-flush-8:0").of_kernel_thread(b"kworker/u1000:12-flush-8:0"));
        // Names of workqueues have hyphens.
        let rescuer = b"kworker/R-ext4-rsv-conversion";
        for text in ["kworker/R-ext4-rsv-conversion", "kworker/R-ext4-", "kworker/R-ext4-rsv-conversion+x"] {
            assert!(name(text).of_kernel_thread(rescuer), "{text}");
        }
        assert!(name("kworker/R-ext4-rsv-conversion").of_kernel_thread(b"kworker/R-ext4-rsv-conversion+x"));
        assert!(!name("kworker/R-ext4").of_kernel_thread(rescuer));
    }

    #[test]
    fn what_is_left_of_a_name() {
        let part = |text: &str| (name(text).part(), name(text).is_long());
        let cut = |text: &str| Some(text.to_owned());
        assert_eq!(part("sshd"), (None, false));
        assert_eq!(part("a-very-long-nam"), (None, false));
        assert_eq!(part("a-very-long-name"), (cut("a-very-long-nam"), true));
        assert_eq!(part("kworker/0:1-events"), (cut("kworker/0:1"), false));
        assert_eq!(part("[kworker/0:1-events]"), (cut("kworker/0:1"), false));
        assert_eq!(part("ééééééééé"), (cut("ééééééé\u{fffd}"), true));
        assert_eq!(part("ééééééé\u{fffd}").0, None);
        assert_eq!(part("/a-very-long-name-indeed/"), (None, false));
    }

    #[test]
    fn command_lines() {
        let arguments = b"/usr/bin/java\0-Xmx1g\0-jar\0app server.jar\0\0\0";
        assert!(command("/usr/bin/java -Xmx1g -jar app server.jar").matches(arguments));
        assert!(!command("/usr/bin/java -Xmx1g -jar app").matches(arguments));
        assert!(command("/-jar app.*[.]jar$/").matches(arguments));
        assert!(command("/^[^ ]*java /").matches(arguments));
        assert!(!command("/-jar .*war/").matches(arguments));
        assert!(command("/a\u{fffd}b/").matches(b"a\xffb"));
        // A kernel thread has none.
        assert!(!command("/.*/").matches(b"") && !command("/^$/").matches(b"\0\0"));
        assert!(CommandLine::parse("".into()).is_err());
        assert!(CommandLine::parse("/(/".into()).is_err());
        // An empty argument is one.
        assert!(command("a  b").matches(b"a\0\0b\0"));
    }

    #[test]
    fn what_is_no_text_is_no_regular_expression() {
        assert!(Name::parse(OsString::from_vec(b"/\xff/".to_vec())).is_err());
        assert_eq!(name("/").to_string(), "/");
        assert_eq!(name("/a/").to_string(), "/a/");
        assert_eq!(name(b"a\xff").to_string(), "a\u{fffd}");
    }
}
