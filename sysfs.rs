// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/taskmonitor`: reading gives the newest samples, as many as fit into a page; writing
//! takes commands.

use kernel::{
    current,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

use crate::{
    command::{
        Command,
        MAX_LINE, //
    },
    monitor::Monitor,
    reader::newest,
    text::Line,
    wrappers::kobject::Operations, //
};

/// The name of the file.
pub(crate) const NAME: &CStr = c"taskmonitor";

/// Its mode.
pub(crate) const MODE: u16 = 0o600;

/// More lines than fit into a page: each has 64 bytes for its keys alone.
const MOST: usize = PAGE_SIZE / 64;

/// The file.
pub(crate) struct File {
    monitor: Arc<Monitor>,
    /// The thread that has written a whole page last, and so may be in the midst of a longer write.
    writing: Atomic<i32>,
}

impl File {
    pub(crate) fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            writing: Atomic::new(0),
        }
    }
}

impl Operations for File {
    /// Fills the page from its end on, with the newest sample, and moves all to its beginning.
    fn show(&self, page: &mut [u8]) -> Result<usize> {
        let samples = newest(&self.monitor, MOST)?;
        // One byte less than a page, as sysfs wants it.
        let end = page.len().saturating_sub(1);
        let mut begin = end;
        for (sample, pid, start) in samples.iter().rev() {
            let mut line = Line::new();
            sample.line(*pid, *start, &mut line).map_err(|_| EINVAL)?;
            let line = line.bytes();
            let Some(at) = begin.checked_sub(line.len()) else {
                break;
            };
            let room = page.get_mut(at..begin).unwrap_or_default();
            for (to, from) in room.iter_mut().zip(line) {
                *to = *from;
            }
            begin = at;
        }
        page.copy_within(begin..end, 0);
        Ok(end - begin)
    }

    /// Carries out commands, as a write to the debugfs file does.
    ///
    /// sysfs passes a page at most, and what is behind that in a call of its own; a line that is cut
    /// off by the end of the page is left for that. So a line may lack its newline only in a write of
    /// a thread that is not in the midst of a longer one: who writes `-1234` in pieces does not mean
    /// `-12`.
    fn store(&self, data: &[u8]) -> Result<usize> {
        let thread = current!().pid();
        let goes_on = self.writing.load(Relaxed) == thread;
        let is_cut = data.len() >= PAGE_SIZE;
        let (mut done, mut result) = self.monitor.commands(data);
        let rest = data.get(done..).unwrap_or_default();
        if result.is_ok() && !rest.is_empty() && !rest.contains(&b'\n') {
            if rest.len() > MAX_LINE || (goes_on && !is_cut) {
                result = Err(EINVAL);
            } else if !is_cut {
                result = Command::parse(rest).and_then(|command| self.monitor.command(command));
                done += if result.is_ok() { rest.len() } else { 0 };
            }
        }
        match result {
            Err(error) if done == 0 => {
                // Nobody goes on behind an error.
                self.writing.store(0, Relaxed);
                Err(error)
            }
            _ => {
                let more = is_cut || (goes_on && done < data.len());
                self.writing.store(if more { thread } else { 0 }, Relaxed);
                Ok(done)
            }
        }
    }
}
