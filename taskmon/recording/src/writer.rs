// SPDX-License-Identifier: GPL-2.0-only

//! Writing to what has room.

use std::io;
use std::io::Write;

use taskmonitor::Id;
use taskmonitor::Sample;

use crate::Chunk;
use crate::Counts;
use crate::Encoder;
use crate::End;
use crate::Head;
use crate::Lost;
use crate::beginning;
use crate::seal;

/// Writes a recording. Each chunk goes out by one write; without [`flush`](Self::flush), once there are some 64 KiB of samples.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    encoder: Encoder,
    number: u32,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    pub fn new(mut out: W, head: Head) -> io::Result<Self> {
        out.write_all(&beginning())?;
        let mut this = Self { out, encoder: Encoder::new(head), number: 0 };
        this.drain()?;
        Ok(this)
    }

    /// The name of a task, from here on.
    pub fn name(&mut self, id: Id, name: &[u8]) -> io::Result<()> {
        self.encoder.name(id, name);
        self.drain()
    }

    /// The next sample.
    pub fn sample(&mut self, sample: &Sample) -> io::Result<()> {
        self.encoder.sample(sample);
        self.drain()
    }

    /// Samples that are missing.
    pub fn lost(&mut self, lost: &[Lost]) -> io::Result<()> {
        self.flush()?;
        Chunk::lost(lost).iter().try_for_each(|chunk| self.put(chunk))
    }

    /// The module's own counts at the end.
    pub fn counts(&mut self, counts: &[Counts]) -> io::Result<()> {
        self.flush()?;
        Chunk::counts(counts).iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes all that was taken.
    pub fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush();
        self.drain()?;
        self.out.flush()
    }

    /// Ends the recording.
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
