// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/taskmonitor`: reading gives the newest samples, as many as fit into a page; writing
//! takes commands. A page is one of the kernel's, of 4 to 64 KiB: sysfs has no other buffer.

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

use crate::{
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
}

impl File {
    pub(crate) fn new(monitor: Arc<Monitor>) -> Self {
        Self { monitor }
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
    /// sysfs passes at most a page of a write; the program passes the rest in its next write. A line that
    /// the end of the page cuts off is left for that next write.
    fn store(&self, data: &[u8], first: bool) -> Result<usize> {
        let (done, result) = self.monitor.commands(data);
        let (done, result) = match (result, data.get(done..)) {
            (Ok(()), Some(rest)) if !rest.is_empty() && !rest.contains(&b'\n') => {
                let result = self.monitor.last_command(rest, first, data.len());
                (
                    done + result.as_ref().copied().unwrap_or_default(),
                    result.map(|_| ()),
                )
            }
            (result, _) => (done, result),
        };
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
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
        assert_eq!(file.store(b"2\n", true), Ok(2));
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
        assert_eq!(file.store(b"2\n", true), Ok(2));
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
        assert_eq!(file.store(b"2", true), Ok(1));
        assert_eq!(file.store(b"2", true), Err(EEXIST));
        assert_eq!(file.store(b"print 2", true), Ok(7));
        assert_eq!(chosen(&file), Some(KTHREADD));
        assert_eq!(file.store(b"print all\nprint 2", true), Ok(17));
        assert_eq!(chosen(&file), Some(KTHREADD));
        Ok(())
    }

    #[test]
    fn what_was_carried_out_is_counted() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2\nprint 2\nnonsense\n-2\n", true), Ok(10));
        assert_eq!(chosen(&file), Some(KTHREADD));
        assert_eq!(file.store(b"nonsense\n-2\n", true), Err(EINVAL));
        assert_eq!(file.store(b"print all\nnonsense", true), Ok(10));
        assert_eq!(chosen(&file), None);
        assert_eq!(file.store(b"\n", true), Err(EINVAL));
        assert_eq!(file.store(&[b' '; 65], true), Err(EINVAL));
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
    fn a_later_write_ends_its_last_line() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2\n", true), Ok(2));
        assert_eq!(file.store(b"print 2", false), Err(EINVAL));
        assert_eq!(file.store(b"print all\nprint 2", false), Ok(10));
        assert_eq!(chosen(&file), None);
        assert_eq!(file.store(b"print 2\n", false), Ok(8));
        assert_eq!(chosen(&file), Some(KTHREADD));
        Ok(())
    }

    #[test]
    fn a_line_that_the_page_cuts_off_is_left_for_the_next_write() -> Result {
        let file = file()?;
        assert_eq!(file.store(b"2", true), Ok(1));
        // Lines of 10 bytes, and `print 2` without its last byte. (No page size is a multiple of 10.)
        let page = page(b"print ")?;
        assert_eq!(page.len(), PAGE_SIZE);
        for first in [true, false] {
            assert_eq!(file.store(&page, first), Ok(PAGE_SIZE - 6));
            assert_eq!(chosen(&file), None);
            assert_eq!(file.store(b"print 2", false), Err(EINVAL));
            assert_eq!(file.store(b"print 2\n", false), Ok(8));
            assert_eq!(chosen(&file), Some(KTHREADD));
        }
        Ok(())
    }

    #[test]
    fn a_whole_page_of_whole_lines_is_carried_out() -> Result {
        let file = file()?;
        let page = page(b"stop \n")?;
        assert_eq!(page.len(), PAGE_SIZE);
        assert_eq!(file.store(&page, true), Ok(PAGE_SIZE));
        assert!(!file.monitor.is_sampling());
        // Another open file is not concerned.
        assert_eq!(file.store(b"start", true), Ok(5));
        assert!(file.monitor.is_sampling());
        Ok(())
    }
}
