// SPDX-License-Identifier: GPL-2.0-only

//! Chunks: the units of a recording, each with a checksum.

use rustc_hash::FxHashMap;
use taskmonitor::Id;

use crate::Anchor;
use crate::Counts;
use crate::End;
use crate::Head;
use crate::Lost;
use crate::VERSION;
use crate::bytes::Bytes;
use crate::bytes::put;
use crate::bytes::put_difference;

/// What a file begins with. (What a text file cannot have, and what a transfer as text would
/// spoil.)
pub(crate) const MAGIC: [u8; 8] = *b"\x8bTMREC\r\n";
/// What a chunk begins with. (A zero byte cannot be in a name, nor in a text: nobody can put chunks
/// of his own into one.)
pub(crate) const MARKER: [u8; 4] = *b"\xf5TM\0";
/// Marker, kind, number and length.
pub(crate) const FRONT: usize = 13;
/// The checksum.
pub(crate) const BACK: usize = 4;
/// Maximum length of a payload. Readers ignore longer chunks, which bounds their memory.
pub const LONGEST: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Head,
    Names,
    Samples,
    Lost,
    Counts,
    End,
    Clock,
    Threads,
    Unknown,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Names => 2,
            Self::Samples => 3,
            Self::Lost => 4,
            Self::Counts => 5,
            Self::End => 6,
            Self::Clock => 7,
            Self::Threads => 8,
            Self::Unknown => 0,
        }
    }

    fn of(code: u8) -> Self {
        const ALL: [Kind; 8] =
            [Kind::Head, Kind::Names, Kind::Samples, Kind::Lost, Kind::Counts, Kind::End, Kind::Clock, Kind::Threads];
        ALL.into_iter().find(|kind| kind.code() == code).unwrap_or(Self::Unknown)
    }
}

/// Count of samples of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Number of samples.
    pub count: u64,
    /// One more than the [`seq`](taskmonitor::Sample::seq) of the last sample.
    pub next: u64,
}

/// A chunk that has no number yet. [`seal`] numbers and encodes it.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    // The samples in it.
    pub(crate) samples: Vec<(Id, u64)>,
}

impl Chunk {
    pub(crate) fn new(kind: Kind, payload: Vec<u8>) -> Self {
        Self { kind, payload, samples: Vec::new() }
    }

    /// Makes the head. Each value is cut to 4096 bytes.
    #[must_use]
    pub fn head(head: &Head) -> Self {
        Self::new(Kind::Head, head.to_text())
    }

    /// Makes the end.
    #[must_use]
    pub fn end(end: &End) -> Self {
        Self::new(Kind::End, end.to_text())
    }

    /// Makes chunks of what became of the clock. They must be written before the samples to which they apply.
    #[must_use]
    pub fn clock(anchors: &[Anchor]) -> Vec<Self> {
        split(Kind::Clock, anchors, |out, anchor| {
            put(out, anchor.since);
            put(out, anchor.at);
            put_difference(out, anchor.booted as u64, 0);
            put(out, anchor.suspended);
        })
    }

    /// Makes chunks of missing samples.
    #[must_use]
    pub fn lost(lost: &[Lost]) -> Vec<Self> {
        split(Kind::Lost, lost, |out, lost| {
            put(out, lost.id.pid.into());
            put(out, lost.id.start);
            put(out, lost.count);
            put(out, lost.before);
            out.push(lost.reason.code());
        })
    }

    /// Makes chunks of the module's own counts.
    #[must_use]
    pub fn counts(counts: &[Counts]) -> Vec<Self> {
        split(Kind::Counts, counts, |out, counts| {
            put(out, counts.id.pid.into());
            put(out, counts.id.start);
            put(out, counts.taken);
            put(out, counts.missed);
            put(out, counts.evicted);
            put(out, counts.reclaimed);
        })
    }

    /// Returns the size of the chunk in a file, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        FRONT + self.payload.len() + BACK
    }

    /// Counts the samples in the chunk by task.
    #[must_use]
    pub fn tally(&self) -> FxHashMap<Id, Tally> {
        let mut tally: FxHashMap<Id, Tally> = FxHashMap::default();
        for &(id, seq) in &self.samples {
            let entry = tally.entry(id).or_insert(Tally { count: 0, next: 0 });
            entry.count = entry.count.saturating_add(1);
            entry.next = seq.saturating_add(1);
        }
        tally
    }

    /// Returns the task of each sample in the chunk.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.samples.iter().map(|&(id, _)| id)
    }

    /// Returns whether the chunk is one of missing samples.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.kind == Kind::Lost
    }

    /// Returns the number of samples in the chunk.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples.len()
    }
}

/// As many chunks as it takes.
fn split<T>(kind: Kind, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut payload, mut one) = (Vec::new(), Vec::new());
    for item in items {
        one.clear();
        write(&mut one, item);
        if payload.len() + one.len() > LONGEST {
            chunks.push(Chunk::new(kind, std::mem::take(&mut payload)));
        }
        payload.extend_from_slice(&one);
    }
    if !payload.is_empty() {
        chunks.push(Chunk::new(kind, payload));
    }
    chunks
}

/// Returns the bytes at the start of a file, before its first chunk.
#[must_use]
pub fn beginning() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes()].concat()
}

/// Returns whether a file that starts with `begins` is a recording of any version, or a truncated
/// one.
#[must_use]
pub fn is_recording(begins: &[u8]) -> bool {
    begins.starts_with(&MAGIC) || MAGIC.starts_with(begins)
}

/// Appends `chunk`, encoded as chunk `number` (modulo 2^32) of a file.
pub fn seal(out: &mut Vec<u8>, number: u32, chunk: &Chunk) {
    // (No payload is longer: whoever makes them sees to that. One that were would be read by nobody.)
    let length = u32::try_from(chunk.payload.len()).unwrap_or(u32::MAX);
    let mut front = [0; FRONT - MARKER.len()];
    let fields = [chunk.kind.code()].into_iter().chain(number.to_le_bytes()).chain(length.to_le_bytes());
    front.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&front);
    crc.update(&chunk.payload);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&front);
    out.extend_from_slice(&chunk.payload);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
}

/// The front of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    pub(crate) length: usize,
}

impl Front {
    /// That at the beginning of `bytes`, if there is one.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(bytes.strip_prefix(&MARKER)?);
        let kind = Kind::of(bytes.byte()?);
        let number = u32::from_le_bytes(bytes.take(4)?.try_into().ok()?);
        let length = u32::from_le_bytes(bytes.take(4)?.try_into().ok()?);
        let length = usize::try_from(length).ok().filter(|&length| length <= LONGEST)?;
        Some(Self { kind, number, length })
    }

    /// What the chunk takes in a file.
    pub(crate) fn size(self) -> usize {
        FRONT + self.length + BACK
    }

    /// The payload of the chunk that `bytes` is, if its checksum is right.
    pub(crate) fn payload(self, bytes: &[u8]) -> Option<&[u8]> {
        let checked = bytes.get(MARKER.len()..FRONT + self.length)?;
        let crc = bytes.get(FRONT + self.length..self.size())?;
        (crc32fast::hash(checked).to_le_bytes() == crc).then(|| bytes.get(FRONT..FRONT + self.length))?
    }
}
