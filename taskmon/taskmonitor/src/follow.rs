// SPDX-License-Identifier: GPL-2.0-only

//! Samples as they come.

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

/// `taskmonitor_follow`: the samples of all tasks, those of the oldest instant first, each once. What was evicted or
/// reclaimed before it was read is a gap in [`Sample::seq`]. Reading costs what is new, never the whole history again.
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
    /// From the oldest sample on.
    pub fn open(root: &Root) -> Result<Self, Error> {
        let path = root.follow();
        let file = File::open(&path).map_err(|e| Error::io(root, &path, e))?;
        Ok(Self { root: root.clone(), path, file, buffer: vec![0; BUFFER].into_boxed_slice(), held: 0 })
    }

    /// Skips all samples that are there now.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.held = 0;
        self.file.seek(SeekFrom::End(0)).map_err(|e| Error::io(&self.root, &self.path, e))?;
        Ok(())
    }

    /// Reads once, and gives each sample to `take`. Says how many there were; none means that all were read that were there
    /// when the reading began: more may have come since, which [`wait`](Self::wait) knows.
    /// A signal that comes meanwhile ends no read.
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

    /// Waits until there are samples to read, at most for `timeout`, or until a signal comes. Says whether there are.
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
