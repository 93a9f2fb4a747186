// SPDX-License-Identifier: GPL-2.0-only

//! Writing recordings.

use std::io;
use std::io::Write;

use taskmonitor::Id;
use taskmonitor::Sample;

use crate::Anchor;
use crate::Chunk;
use crate::Counts;
use crate::Encoder;
use crate::End;
use crate::Exec;
use crate::Head;
use crate::Lost;
use crate::beginning;
use crate::seal;

/// Writes a recording.
///
/// Each chunk is one write. A chunk of samples is written when it has about 64 KiB, or on
/// [`flush`](Self::flush).
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    encoder: Encoder,
    number: u32,
}

impl<W: Write> Writer<W> {
    /// Starts a recording: writes its head.
    pub fn new(mut out: W, head: Head) -> io::Result<Self> {
        out.write_all(&beginning())?;
        let mut this = Self { out, encoder: Encoder::new(head), number: 0 };
        this.drain()?;
        Ok(this)
    }

    /// Writes the name of a task, valid for the samples that follow.
    pub fn name(&mut self, id: Id, name: &[u8]) -> io::Result<()> {
        self.encoder.name(id, name);
        self.drain()
    }

    /// Writes that the task `id` is a thread of the process with the PID `process`.
    pub fn thread(&mut self, id: Id, process: u32) -> io::Result<()> {
        self.encoder.thread(id, process);
        self.drain()
    }

    /// Writes the next sample.
    pub fn sample(&mut self, sample: &Sample) -> io::Result<()> {
        self.encoder.sample(sample);
        self.drain()
    }

    /// Writes what became of the clock. Call this before the first sample to which it applies.
    pub fn clock(&mut self, anchors: &[Anchor]) -> io::Result<()> {
        self.flush()?;
        Chunk::clock(anchors).iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes how the command began whose samples follow.
    pub fn exec(&mut self, exec: Exec) -> io::Result<()> {
        self.encoder.exec(exec);
        self.drain()
    }

    /// Writes which samples are missing.
    pub fn lost(&mut self, lost: &[Lost]) -> io::Result<()> {
        self.flush()?;
        Chunk::lost(lost).iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes the module's own counts, at the end.
    pub fn counts(&mut self, counts: &[Counts]) -> io::Result<()> {
        self.flush()?;
        Chunk::counts(counts).iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes all buffered samples and names.
    pub fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush();
        self.drain()?;
        self.out.flush()
    }

    /// Writes the end of the recording and returns the output.
    pub fn end(mut self, end: &End) -> io::Result<W> {
        self.flush()?;
        self.put(&Chunk::end(end))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.encoder.chunk() {
            self.put(&chunk)?;
        }
        Ok(())
    }

    fn put(&mut self, chunk: &Chunk) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(chunk.size());
        seal(&mut bytes, self.number, chunk);
        self.number = self.number.wrapping_add(1);
        self.out.write_all(&bytes)
    }
}
