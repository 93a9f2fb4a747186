// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/taskmonitor`: reading gives all histories, writing takes commands.

use kernel::{
    fmt,
    prelude::*,
    sync::ArcBorrow,
    uaccess::UserSliceReader, //
};

use crate::{
    command::{
        Command,
        MAX_LINE, //
    },
    monitor::{
        Cursor,
        Monitor, //
    },
    wrappers::{
        debugfs,
        seq_file,
        task::fatal_signal_pending, //
    },
};

/// The name of the file.
pub(crate) const NAME: &CStr = c"taskmonitor";

/// Its mode.
pub(crate) const MODE: u16 = 0o600;

impl seq_file::Sequence for Cursor {
    fn start(&mut self, position: u64, anew: bool) -> bool {
        if anew {
            self.renew();
        }
        if position == 0 {
            self.rewind()
        } else {
            self.sample().is_some()
        }
    }

    fn next(&mut self) -> bool {
        self.advance()
    }

    fn show(&self, out: &mut seq_file::Output<'_>) -> Result {
        // Seeking shows all that lies before. Whoever seeks far can still be killed.
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let (Some(sample), Some((pid, start))) = (self.sample(), self.task()) else {
            return Ok(());
        };
        let mut line = Line::new();
        sample.line(pid, start, &mut line).map_err(|_| EINVAL)?;
        out.write(line.bytes());
        Ok(())
    }
}

impl debugfs::Operations for Monitor {
    type Sequence = Cursor;

    fn open(this: ArcBorrow<'_, Self>) -> Result<Cursor> {
        Ok(Cursor::new(this.into()))
    }

    /// Carries out commands, one a line, in order. At the first that fails, returns the bytes of
    /// those before it, else the error. Only in the first write may the last line lack its newline.
    fn write(&self, mut data: UserSliceReader, first: bool) -> Result<usize> {
        // Some lines at a time; none that is longer than a command fits in.
        let mut buffer = [0; 4 * MAX_LINE];
        let mut filled = 0;
        let mut done = 0;
        let mut result = Ok(());

        while result.is_ok() {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let len = room.len().min(data.len());
            let room = room.get_mut(..len).unwrap_or_default();
            result = data.read_slice(room);
            if result.is_err() {
                break;
            }
            filled += len;

            let mut rest = buffer.get(..filled).unwrap_or_default();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, behind) = rest.split_at(end);
                result = self.command(line);
                if result.is_err() {
                    break;
                }
                rest = behind.get(1..).unwrap_or_default();
                done += end + 1;
                // Whoever writes a million commands can still be killed.
                if fatal_signal_pending() {
                    return Ok(done);
                }
            }
            if result.is_err() {
                break;
            }
            if data.is_empty() {
                if !rest.is_empty() {
                    let len = rest.len();
                    result = if first {
                        self.command(rest)
                    } else {
                        Err(EINVAL)
                    };
                    done += if result.is_ok() { len } else { 0 };
                }
                break;
            }
            if rest.len() > MAX_LINE {
                result = Err(EINVAL);
                break;
            }
            let begin = filled - rest.len();
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
        }

        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}

impl Monitor {
    fn command(&self, line: &[u8]) -> Result {
        match Command::parse(line)? {
            Command::Add(pid) => self.add(pid),
            Command::Remove(pid) => self.remove(pid),
        }
    }
}

/// A line that is being made; longer than any sample's.
struct Line {
    bytes: [u8; 384],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self {
            bytes: [0; 384],
            len: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.len = end;
        Ok(())
    }
}
