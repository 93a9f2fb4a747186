// SPDX-License-Identifier: GPL-2.0-only

//! Reading samples as they are taken.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

use crate::Error;
use crate::LineError;
use crate::Root;
use crate::Sample;

/// Several thousand lines.
const BUFFER: usize = 1 << 18;

/// A reader of `taskmonitor_follow`: the samples of all tasks, each once, the oldest round first.
///
/// Samples that were evicted or reclaimed before they were read leave a gap in [`Sample::seq`]. The
/// cost of a read is proportional to the number of tasks and new samples, not to the whole history.
#[derive(Debug)]
pub struct Follow {
    root: Root,
    path: PathBuf,
    file: File,
    buffer: Box<[u8]>,
    // How much of the buffer holds the beginning of a line whose end has not been read.
    held: usize,
}

impl Follow {
    /// Opens the file. Reading starts with the oldest sample.
    ///
    /// # Errors
    ///
    /// Fails if the module is not loaded, debugfs is not mounted, or access is denied.
    pub fn open(root: &Root) -> Result<Self, Error> {
        let path = root.follow();
        let file = File::open(&path).map_err(|e| Error::io(root, &path, e))?;
        Ok(Self { root: root.clone(), path, file, buffer: vec![0; BUFFER].into_boxed_slice(), held: 0 })
    }

    /// Skips all samples that exist now: the next read starts with newer ones.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.held = 0;
        self.file.seek(SeekFrom::End(0)).map_err(|e| Error::io(&self.root, &self.path, e))?;
        Ok(())
    }

    /// Reads once, passes each sample to `take`, and returns the number of samples.
    ///
    /// 0 marks the end of a pass: all samples that existed when the pass started have been read.
    /// Newer samples may exist; [`wait`](Self::wait) waits for them. A signal does not interrupt a
    /// read.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or a line cannot be parsed. Samples before the error have
    /// been passed to `take`.
    pub fn read(&mut self, mut take: impl FnMut(Sample)) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            let room = self.buffer.get_mut(self.held..).unwrap_or_default();
            if room.is_empty() {
                return Err(Error::line(&self.path, &self.buffer, LineError::Endless));
            }
            let read = match self.file.read(room) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io(&self.root, &self.path, e)),
            };
            let filled = self.held + read;
            let mut rest = self.buffer.get(..filled).unwrap_or_default();
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, behind) = rest.split_at(end);
                take(Sample::parse(line).map_err(|e| Error::line(&self.path, line, e))?);
                count += 1;
                rest = behind.get(1..).unwrap_or_default();
            }
            let left = rest.len();
            self.buffer.copy_within(filled - left..filled, 0);
            self.held = left;
            // A read that ended within the first line has given nothing yet, though more is there.
            if count > 0 || read == 0 {
                return Ok(count);
            }
        }
    }

    /// Waits for samples to read, for at most `timeout`, and returns whether there are any.
    ///
    /// Also returns `false` if a signal interrupts the wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let timeout = match timeout {
            None => PollTimeout::NONE,
            // Up to the next millisecond: a wait of less is none.
            Some(t) => PollTimeout::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX),
        };
        match nix::poll::poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(e) => Err(Error::io(&self.root, &self.path, e.into())),
        }
    }
}

impl AsFd for Follow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
