// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/taskmonitor`: reading gives the newest samples, as many as fit into a page; writing
//! takes commands.

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
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

impl Operations for Monitor {
    /// Fills the page from its end on, with the newest sample, and moves all to its beginning.
    fn show(&self, page: &mut [u8]) -> Result<usize> {
        let samples = newest(self, MOST)?;
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

    /// Carries out commands, as a write to the debugfs file does. sysfs passes a page at most, and
    /// what is behind that in a call of its own: there a line that is cut off is left for the next.
    fn store(&self, data: &[u8]) -> Result<usize> {
        let (mut done, mut result) = self.commands(data);
        let rest = data.get(done..).unwrap_or_default();
        if result.is_ok() && !rest.is_empty() && !rest.contains(&b'\n') {
            if data.len() < PAGE_SIZE {
                result = Command::parse(rest).and_then(|command| self.command(command));
                done += if result.is_ok() { rest.len() } else { 0 };
            } else if rest.len() > MAX_LINE {
                result = Err(EINVAL);
            }
        }
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}
