// SPDX-License-Identifier: GPL-2.0

//! The files in debugfs.
//!
//! `taskmonitor`: reading gives all histories, writing takes commands. `taskmonitor_follow`: the same
//! lines, as they come. `taskmonitor_tasks`: a line for each task. `taskmonitor_stats`: what is in force,
//! and what the module has done and holds.

use kernel::{
    prelude::*,
    sync::{
        poll::PollCondVar,
        Arc,
        ArcBorrow, //
    },
    uaccess::UserSliceReader, //
};

use crate::{
    command::{
        is_cut,
        lines,
        Command,
        MAX_LINE, //
    },
    follow::Follower,
    monitor::Monitor,
    reader::{
        seen_number,
        Cursor,
        Name,
        Tasks, //
    },
    sample::Sample,
    set::Group,
    stats,
    stats::Stats,
    text::Line,
    wrappers::{
        debugfs::{
            File,
            Follow,
            Functions,
            Operations,
            Write, //
        },
        seq_file::{
            Output,
            Sequence,
            Stream, //
        },
        task::fatal_signal_pending, //
    },
};

/// The files, while this lives.
pub(crate) struct Files {
    _history: File<HistoryFile>,
    _follow: File<FollowFile>,
    _tasks: File<TasksFile>,
    _stats: File<StatsFile>,
}

impl Files {
    /// Creates the files. Fails with `EPERM` or `ENODEV` where there is no debugfs.
    ///
    /// Context: may sleep.
    pub(crate) fn new(module: &'static ThisModule, monitor: &Arc<Monitor>) -> Result<Self> {
        Ok(Self {
            _history: File::new(
                c"taskmonitor",
                0o600,
                module,
                Functions::read_write(),
                monitor.clone(),
            )?,
            // Read-only, so that kernel lockdown leaves them open.
            _follow: File::new(
                c"taskmonitor_follow",
                0o400,
                module,
                Functions::follow(),
                monitor.clone(),
            )?,
            _tasks: File::new(
                c"taskmonitor_tasks",
                0o400,
                module,
                Functions::read(),
                monitor.clone(),
            )?,
            _stats: File::new(
                c"taskmonitor_stats",
                0o400,
                module,
                Functions::read(),
                Arc::new(stats::Source::new(module, monitor.clone()), GFP_KERNEL)?,
            )?,
        })
    }
}

struct HistoryFile;

impl Operations for HistoryFile {
    type Data = Monitor;
    type Sequence = Lines<Cursor>;

    fn open(monitor: ArcBorrow<'_, Monitor>) -> Result<Lines<Cursor>> {
        Ok(Lines::of(Cursor::new(monitor.into())))
    }
}

/// A reader, and the line that is shown of it.
struct Lines<T> {
    reader: T,
    line: Line,
}

impl<T> Lines<T> {
    fn of(reader: T) -> Self {
        Self {
            reader,
            line: Line::new(),
        }
    }
}

/// Shows a sample's line, which it makes in `line`.
fn show(sample: &Sample, name: &Name, line: &mut Line, out: &mut Output<'_>) -> Result {
    // Seeking shows all that lies before. Whoever seeks far can still be killed.
    if fatal_signal_pending() {
        return Err(EINTR);
    }
    let (pid, start) = name.seen();
    line.clear();
    sample.line(pid, start, line)?;
    out.write(line.bytes());
    Ok(())
}

impl Sequence for Lines<Cursor> {
    fn start(&mut self, position: u64, read: u64) -> Result<bool> {
        if position == 0 && read == 0 {
            self.reader.renew();
        }
        Ok(if position == 0 {
            self.reader.rewind()
        } else {
            self.reader.current().is_some()
        })
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.reader.advance())
    }

    fn show(&mut self, out: &mut Output<'_>) -> Result {
        match self.reader.current() {
            Some((sample, name)) => show(sample, name, &mut self.line, out),
            None => Ok(()),
        }
    }
}

impl Write for HistoryFile {
    /// Carries out commands, one a line, in order. At the first that fails, returns the bytes of
    /// those before it, else the error. Only in the first write may the last line lack its newline.
    fn write(monitor: &Monitor, mut input: UserSliceReader, first: bool) -> Result<usize> {
        // Some lines at a time; none that is longer than a command fits in.
        let mut buffer = [0; 4 * MAX_LINE];
        let size = input.len();
        let mut filled = 0;
        let mut done = 0;
        let result = loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let len = room.len().min(input.len());
            let room = room.get_mut(..len).unwrap_or_default();
            if let Err(error) = input.read_slice(room) {
                break Err(error);
            }
            filled += len;

            let text = buffer.get(..filled).unwrap_or_default();
            let (taken, result) = monitor.commands(text);
            done += taken;
            if result.is_err() {
                break result;
            }
            let rest = text.get(taken..).unwrap_or_default();
            // Whoever writes a million commands can still be killed.
            if fatal_signal_pending() && done > 0 {
                break Ok(());
            }
            if rest.len() > MAX_LINE {
                break Err(EINVAL);
            }
            if input.is_empty() {
                break match rest {
                    [] => Ok(()),
                    line => monitor
                        .last_command(line, first, size)
                        .map(|taken| done += taken),
                };
            }
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
        };
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}

impl Monitor {
    /// Carries out the whole lines that `text` begins with, in order, up to the first that fails.
    /// Returns how many bytes were carried out, and that error.
    ///
    /// Context: may sleep.
    pub(crate) fn commands(&self, text: &[u8]) -> (usize, Result) {
        let mut done = 0;
        for (line, len) in lines(text) {
            let result = Command::parse(line).and_then(|command| self.command(command));
            if result.is_err() {
                return (done, result);
            }
            done += len;
            if fatal_signal_pending() {
                break;
            }
        }
        (done, Ok(()))
    }

    /// Handles the last line of a write of `size` bytes, which has no newline. Returns how many bytes
    /// of it were carried out: all or, if the write cuts it off, none.
    ///
    /// Only the first write on an open file may lack its last newline: a program that writes `-1234` in
    /// two pieces does not mean `-12`.
    ///
    /// Context: may sleep.
    pub(crate) fn last_command(&self, line: &[u8], first: bool, size: usize) -> Result<usize> {
        if is_cut(size) && line.len() <= MAX_LINE {
            return Ok(0);
        }
        if !first {
            return Err(EINVAL);
        }
        self.command(Command::parse(line)?)?;
        Ok(line.len())
    }
}

struct FollowFile;

impl Operations for FollowFile {
    type Data = Monitor;
    type Sequence = Lines<Follower>;

    fn open(monitor: ArcBorrow<'_, Monitor>) -> Result<Lines<Follower>> {
        Ok(Lines::of(Follower::new(monitor.into())?))
    }
}

impl Follow for FollowFile {
    fn news(monitor: &Monitor) -> &PollCondVar {
        monitor.samples()
    }
}

impl Sequence for Lines<Follower> {
    fn start(&mut self, _: u64, read: u64) -> Result<bool> {
        self.reader.resume(read)
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.reader.advance())
    }

    fn show(&mut self, out: &mut Output<'_>) -> Result {
        match self.reader.current() {
            Some((sample, name)) => show(sample, name, &mut self.line, out),
            None => Ok(()),
        }
    }
}

impl Stream for Lines<Follower> {
    fn rewind(&mut self) {
        self.reader.rewind();
    }

    fn skip(&mut self) -> Result {
        self.reader.skip()
    }

    fn ready(&mut self) -> bool {
        self.reader.is_ready()
    }
}

struct TasksFile;

impl Operations for TasksFile {
    type Data = Monitor;
    type Sequence = Lines<Tasks>;

    fn open(monitor: ArcBorrow<'_, Monitor>) -> Result<Lines<Tasks>> {
        Ok(Lines::of(Tasks::new(monitor.into())))
    }
}

impl Sequence for Lines<Tasks> {
    fn start(&mut self, position: u64, _: u64) -> Result<bool> {
        Ok(if position == 0 {
            self.reader.rewind()
        } else {
            self.reader.status().is_some()
        })
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.reader.advance())
    }

    fn show(&mut self, out: &mut Output<'_>) -> Result {
        let Some(status) = self.reader.status() else {
            return Ok(());
        };
        let pid = seen_number(&status.pid);
        let tgid = match &status.group {
            Group::Own => pid,
            Group::Process(group) => seen_number(group),
            Group::Gone => 0,
        };
        self.line.clear();
        status.line(pid, tgid, &mut self.line)?;
        out.write(self.line.bytes());
        Ok(())
    }
}

struct StatsFile;

impl Operations for StatsFile {
    type Data = stats::Source;
    type Sequence = Lines<StatsReader>;

    fn open(source: ArcBorrow<'_, stats::Source>) -> Result<Lines<StatsReader>> {
        Ok(Lines::of(StatsReader {
            source: source.into(),
            stats: None,
        }))
    }
}

/// A reader of the statistics, which are one record.
struct StatsReader {
    source: Arc<stats::Source>,
    /// The statistics at the first read.
    stats: Option<KBox<Stats>>,
}

impl Sequence for Lines<StatsReader> {
    fn start(&mut self, position: u64, read: u64) -> Result<bool> {
        if position == 0 && (read == 0 || self.reader.stats.is_none()) {
            let stats = Stats::of(&self.reader.source);
            self.reader.stats = Some(KBox::new(stats, GFP_KERNEL_ACCOUNT)?);
        }
        Ok(position == 0)
    }

    fn next(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn show(&mut self, out: &mut Output<'_>) -> Result {
        match &self.reader.stats {
            Some(stats) => stats.lines(&mut self.line, |part| out.write(part)),
            None => Ok(()),
        }
    }
}

#[kunit_tests(taskmonitor_debugfs)]
mod tests {
    use super::*;

    use crate::testing::monitor;

    #[test]
    fn commands_are_whole_lines() -> Result {
        let monitor = monitor()?;
        assert_eq!(monitor.commands(b""), (0, Ok(())));
        assert_eq!(monitor.commands(b"2"), (0, Ok(())));
        assert_eq!(monitor.set().len(), 0);
        assert_eq!(monitor.commands(b"2\n1\n-2\nst"), (7, Ok(())));
        assert_eq!(monitor.set().len(), 1);
        Ok(())
    }

    #[test]
    fn only_in_a_first_write_the_last_line_is_a_command() -> Result {
        let monitor = monitor()?;
        assert_eq!(monitor.last_command(b"stop", false, 4), Err(EINVAL));
        assert!(monitor.is_sampling());
        assert_eq!(monitor.last_command(b"stop", true, 4), Ok(4));
        assert!(!monitor.is_sampling());
        assert_eq!(monitor.last_command(b"nonsense", true, 8), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn a_line_that_a_write_cuts_off_is_no_command() -> Result {
        let monitor = monitor()?;
        for first in [true, false] {
            assert_eq!(monitor.last_command(b"stop", first, 4096), Ok(0));
            assert_eq!(monitor.last_command(&[b' '; 64], first, 8192), Ok(0));
            assert_eq!(monitor.last_command(&[b' '; 65], first, 8192), Err(EINVAL));
        }
        assert!(monitor.is_sampling());
        Ok(())
    }

    #[test]
    fn commands_end_with_the_first_that_fails() -> Result {
        let monitor = monitor()?;
        assert_eq!(monitor.commands(b"2\nnonsense\n1\n"), (2, Err(EINVAL)));
        assert_eq!(monitor.commands(b"2\n1\n"), (0, Err(EEXIST)));
        assert_eq!(monitor.commands(b"clear\n\n1\n"), (6, Err(EINVAL)));
        assert_eq!(monitor.commands(b"stop\n-7777777\n"), (5, Err(ENOENT)));
        assert_eq!(monitor.set().len(), 1);
        assert!(!monitor.is_sampling());
        Ok(())
    }
}
