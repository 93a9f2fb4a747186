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

/// More lines than fit into a page: each has 64 bytes for its keys, and one at least for each of 11 values.
const MOST: usize = PAGE_SIZE / 75;

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
        let (mut begin, mut text) = (end, Line::new());
        for (sample, pid, start) in samples.iter().rev() {
            text.clear();
            sample.line(*pid, *start, &mut text)?;
            let line = text.bytes();
            let Some(at) = begin.checked_sub(line.len()) else {
                break;
            };
            let room = page.get_mut(at..begin).unwrap_or_default();
            if room.len() == line.len() {
                room.copy_from_slice(line);
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

#[kunit_tests(taskmonitor_sysfs)]
mod tests {
    use super::*;

    use crate::{
        sample::Sample,
        testing::{
            monitor,
            KTHREADD, //
        },
    };

    fn file() -> Result<File> {
        Ok(File::new(monitor()?))
    }

    fn chosen(file: &File) -> Option<i32> {
        file.monitor.set().choice.as_ref().map(|choice| choice.nr)
    }

    #[test]
    fn no_line_is_too_short_for_the_most_that_fit() {
        let sample = Sample {
            state: b'S',
            ..Sample::default()
        };
        let mut line = Line::new();
        assert!(sample.line(0, 0, &mut line).is_ok());
        assert!(line.bytes().len() * MOST >= PAGE_SIZE);
    }

    #[test]
    fn without_samples_it_is_empty() -> Result {
        let mut page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        assert_eq!(file()?.show(&mut page), Ok(0));
        Ok(())
    }

    #[test]
    fn it_shows_as_many_whole_lines_as_fit() -> Result {
        let file = file()?;
        let mut page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        assert_eq!(file.store(b"2\n"), Ok(2));
        for instant in 1..100 {
            file.monitor.sample_batch(0, instant);
        }
        let len = file.show(&mut page)?;
        let text = page.get(..len).unwrap_or_default();
        assert!(len < PAGE_SIZE);
        assert!(text.ends_with(b"\n"));

        // The last lines, in order: each tells its number.
        let count = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let mut longest = 0;
        for (line, seq) in text
            .split_inclusive(|byte| *byte == b'\n')
            .zip(100 - count..)
        {
            let mut key = Line::new();
            let written = kernel::fmt::Write::write_fmt(&mut key, fmt!(" seq {seq} start "));
            assert!(written.is_ok());
            assert!(line.starts_with(b"pid 2 usr "));
            assert!(line
                .windows(key.bytes().len())
                .any(|part| part == key.bytes()));
            longest = longest.max(line.len());
        }
        // One more would not have fitted, by a few digits at most.
        assert!(len + longest + 20 > PAGE_SIZE - 1);
        Ok(())
    }

    #[test]
    fn the_last_byte_of_the_page_stays_free() -> Result {
        let file = file()?;
        let mut page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        assert_eq!(file.store(b"2\n"), Ok(2));
        let len = file.show(&mut page)?;
        assert!(len > 0);
        for (size, shown) in [(len + 1, len), (len, 0), (1, 0), (0, 0)] {
            let small = page.get_mut(..size).ok_or(EINVAL)?;
            assert_eq!(file.show(small), Ok(shown));
        }
        Ok(())
    }

    #[test]
    fn a_command_may_lack_its_newline() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2"), Ok(1));
        assert_eq!(file.store(b"2"), Err(EEXIST));
        assert_eq!(file.store(b"print 2"), Ok(7));
        assert_eq!(chosen(&file), Some(KTHREADD));
        assert_eq!(file.store(b"print all\nprint 2"), Ok(17));
        assert_eq!(chosen(&file), Some(KTHREADD));
        Ok(())
    }

    #[test]
    fn what_was_carried_out_is_counted() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2\nprint 2\nnonsense\n-2\n"), Ok(10));
        assert_eq!(chosen(&file), Some(KTHREADD));
        assert_eq!(file.store(b"nonsense\n-2\n"), Err(EINVAL));
        assert_eq!(file.store(b"print all\nnonsense"), Ok(10));
        assert_eq!(chosen(&file), None);
        assert_eq!(file.store(b"\n"), Err(EINVAL));
        assert_eq!(file.store(&[b' '; 65]), Err(EINVAL));
        Ok(())
    }

    /// A page of commands, of which the last is cut off.
    fn page(last: &[u8]) -> Result<KVec<u8>> {
        let mut page = KVec::new();
        while page.len() + 10 + last.len() <= PAGE_SIZE {
            page.extend_from_slice(b"print all\n", GFP_KERNEL)?;
        }
        page.extend_from_slice(last, GFP_KERNEL)?;
        Ok(page)
    }

    #[test]
    fn a_line_that_the_page_cuts_off_is_left_for_the_next_call() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2"), Ok(1));
        // 409 lines, and `print 2` without its last byte.
        let page = page(b"print ")?;
        assert_eq!(page.len(), PAGE_SIZE);
        assert_eq!(file.store(&page), Ok(4090));
        assert_eq!(chosen(&file), None);
        assert_eq!(file.store(b"print 2\n"), Ok(8));
        assert_eq!(chosen(&file), Some(KTHREADD));
        // That was the end of it.
        assert_eq!(file.store(b"print all"), Ok(9));
        assert_eq!(chosen(&file), None);
        Ok(())
    }

    #[test]
    fn at_the_end_of_a_longer_write_a_line_is_whole() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2"), Ok(1));
        let page = page(b"print ")?;
        assert_eq!(file.store(&page), Ok(4090));
        assert_eq!(file.store(b"print 2"), Err(EINVAL));
        assert_eq!(chosen(&file), None);
        // Behind the error, a new write begins.
        assert_eq!(file.store(b"print 2"), Ok(7));
        assert_eq!(chosen(&file), Some(KTHREADD));
        Ok(())
    }
}
