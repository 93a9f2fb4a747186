// SPDX-License-Identifier: GPL-2.0-only

//! Reading recordings, damaged ones included.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

use taskmonitor::Id;

use crate::Anchor;
use crate::Counts;
use crate::End;
use crate::Error;
use crate::Event;
use crate::Head;
use crate::Lost;
use crate::Reason;
use crate::VERSION;
use crate::bytes::Bytes;
use crate::chunk::BACK;
use crate::chunk::FRONT;
use crate::chunk::Front;
use crate::chunk::Kind;
use crate::chunk::LONGEST;
use crate::chunk::MAGIC;
use crate::chunk::MARKER;
use crate::sample::FRESH;
use crate::sample::Stream;

/// Damage in the part of a recording that has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Number of damaged places.
    pub places: u64,
    /// Number of bytes that belong to no valid chunk, without those at the end of the file.
    pub bytes: u64,
    /// Number of bytes of an incomplete chunk at the end: the recorder was killed, or the disk was
    /// full.
    pub torn: u64,
    /// Number of valid chunks of samples that cannot be decoded because an earlier chunk is
    /// missing.
    pub skipped: u64,
}

impl Damage {
    /// Returns whether there is no damage because of which samples may be missing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.places == 0
    }
}

/// A window that moves over what is read.
#[derive(Debug)]
struct Window<R> {
    from: R,
    buffer: Vec<u8>,
    begin: usize,
    ended: bool,
}

/// What is read at once.
const AT_ONCE: usize = 1 << 16;

impl<R: Read> Window<R> {
    fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), begin: 0, ended: false }
    }

    /// What is there, at least `least` bytes unless that is all.
    fn see(&mut self, least: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.begin < least && !self.ended {
            self.buffer.drain(..self.begin);
            self.begin = 0;
            let held = self.buffer.len();
            self.buffer.resize(held + AT_ONCE, 0);
            let read = match self.from.read(self.buffer.get_mut(held..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(held);
                    continue;
                }
                Err(e) => {
                    self.buffer.truncate(held);
                    return Err(e);
                }
                Ok(read) => read,
            };
            self.buffer.truncate(held + read);
            self.ended = read == 0;
        }
        Ok(self.buffer.get(self.begin..).unwrap_or_default())
    }

    fn skip(&mut self, count: usize) {
        self.begin = (self.begin + count).min(self.buffer.len());
    }
}

/// Reads a recording in bounded memory.
#[derive(Debug)]
pub struct Reader<R = File> {
    path: PathBuf,
    window: Window<R>,
    head: Head,
    // The number of the next chunk, if none is missing.
    number: u32,
    damage: Damage,
    // The chunk whose events are given, and how much of it has been.
    kind: Kind,
    payload: Vec<u8>,
    given: usize,
    stream: Stream,
    // Whether samples can be told: not until a fresh chunk, where one before it is missing.
    told: bool,
    // Whether something was read that is not known here, and whether what is torn can be the beginning of a chunk.
    unknown: bool,
    cut: bool,
}

impl Reader {
    /// Opens the file `path`.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is not a recording, is of a newer version, or has no head.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e| Error::io(path, e);
        // (What is not a regular file could make one wait for ever.)
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::NotOne(path.to_path_buf()));
        }
        Self::of(File::open(path).map_err(failed)?, path)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads a recording from `from`. Errors name it `path`.
    ///
    /// # Errors
    ///
    /// As [`open`](Reader::open).
    pub fn of(mut from: R, path: &Path) -> Result<Self, Error> {
        let failed = |e| Error::io(path, e);
        let mut first = Reader::begin(&mut from, path)?;
        // The head is first, unless it is damaged; then there is another one before each fresh chunk. Before the first sample there may
        // be another one, which knows more; whatever else is before it does not matter.
        let mut head = None;
        let head = loop {
            match first.advance()? {
                None => break head,
                Some(Kind::Head) => head = Some(Head::of_text(&first.payload).0),
                Some(_) => {}
            }
            // (Only what follows at once: behind damage, all of the file might have to be read.)
            let follows = first.follows().map_err(failed)?;
            if head.is_some() && matches!(follows, None | Some(Kind::Samples | Kind::End)) {
                break head;
            }
        };
        let head = head.ok_or_else(|| Error::Nothing(path.to_path_buf()))?;
        from.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut this = Self::begin(from, path)?;
        this.head = head;
        Ok(this)
    }
}

impl<R: Read> Reader<R> {
    fn begin(from: R, path: &Path) -> Result<Self, Error> {
        let mut window = Window::new(from);
        let begin = window.see(MAGIC.len() + 4).map_err(|e| Error::io(path, e))?;
        let not_one = || Error::NotOne(path.to_path_buf());
        // Killed before it had written even that.
        if begin.len() < MAGIC.len() && MAGIC.starts_with(begin) {
            return Err(Error::Nothing(path.to_path_buf()));
        }
        let mut bytes = Bytes::new(begin.strip_prefix(&MAGIC).ok_or_else(not_one)?);
        let version = bytes.take(4).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes);
        match version {
            None => return Err(Error::Nothing(path.to_path_buf())),
            Some(0) => return Err(not_one()),
            Some(version) if version > VERSION => return Err(Error::Newer { path: path.to_path_buf(), version }),
            Some(_) => {}
        }
        window.skip(MAGIC.len() + 4);
        Ok(Self {
            path: path.to_path_buf(),
            window,
            head: Head::default(),
            number: 0,
            damage: Damage::default(),
            kind: Kind::Unknown,
            payload: Vec::new(),
            given: 0,
            stream: Stream::default(),
            told: false,
            unknown: false,
            cut: false,
        })
    }

    /// Returns the head of the recording.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the damage found so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Returns whether everything that has been read so far was understood: there is no damage, and nothing that this version of the
    /// crate does not know, such as chunks of other kinds and other keys in a head.
    ///
    /// A last chunk that is not complete counts as understood: that is how a recorder that was killed leaves it. So does a file without
    /// an [`End`].
    pub fn understood(&self) -> bool {
        let Damage { places, bytes: _, torn, skipped } = self.damage;
        places == 0 && skipped == 0 && (torn == 0 || self.cut) && !self.unknown
    }

    /// Returns the next event, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read. Damage is not an error: see [`damage`](Self::damage).
    #[allow(clippy::should_implement_trait, reason = "what can fail is no iterator")]
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let left = self.payload.get(self.given..).unwrap_or_default();
            if left.is_empty() {
                if self.advance()?.is_none() {
                    return Ok(None);
                }
                continue;
            }
            let mut bytes = Bytes::new(left);
            let event = match self.kind {
                Kind::Samples => self.stream.get(&mut bytes).map(Event::Sample),
                Kind::Names => name(&mut bytes),
                Kind::Threads => thread(&mut bytes),
                Kind::Lost => lost(&mut bytes).map(Event::Lost),
                Kind::Counts => counts(&mut bytes).map(Event::Counts),
                Kind::Clock => clock(&mut bytes).map(Event::Clock),
                Kind::End => bytes.take(left.len()).map(|text| {
                    let (end, all) = End::of_text(text);
                    self.unknown |= !all;
                    Event::End(end)
                }),
                Kind::Head | Kind::Unknown => None,
            };
            self.unknown |= match &event {
                // (A code that this version writes for what is unknown is 0.)
                Some(Event::Lost(lost)) => lost.reason == Reason::Unknown && last_byte(left, &bytes) != Some(0),
                _ => false,
            };
            self.given += left.len() - bytes.len();
            match (event, self.kind) {
                (Some(event), _) => return Ok(Some(event)),
                (None, Kind::Head | Kind::Unknown) => {}
                // It is as it was written, but that was wrong.
                (None, kind) => {
                    self.damage.places += 1;
                    self.told &= kind != Kind::Samples;
                }
            }
            self.payload.clear();
            self.given = 0;
        }
    }

    /// What the next chunk says that it is, if there is one without damage before it.
    fn follows(&mut self) -> io::Result<Option<Kind>> {
        Ok(Front::of(self.window.see(FRONT)?).map(|front| front.kind))
    }

    /// Goes to the next chunk.
    fn advance(&mut self) -> Result<Option<Kind>, Error> {
        let Some((front, skipped)) = self.find().map_err(|e| Error::io(&self.path, e))? else { return Ok(None) };
        self.kind = front.kind;
        self.given = 0;
        let missing = self.number != front.number;
        if missing || skipped > 0 {
            self.damage.places += 1;
            self.damage.bytes += skipped;
        }
        // Of whatever kind it was.
        self.told &= !missing;
        self.number = front.number.wrapping_add(1);
        self.unknown |= match self.kind {
            Kind::Unknown => true,
            Kind::Head => !Head::of_text(&self.payload).1,
            Kind::Samples => self.payload.first().is_none_or(|flags| flags & !FRESH != 0),
            _ => false,
        };
        if self.kind == Kind::Samples {
            self.given = 1;
            if self.payload.first().is_some_and(|flags| flags & FRESH != 0) {
                self.stream.reset();
                self.told = true;
            } else if !self.told {
                self.damage.skipped += 1;
                self.payload.clear();
            }
        }
        Ok(Some(self.kind))
    }

    /// Finds the next chunk that is whole, and says how many bytes before it are none.
    fn find(&mut self) -> io::Result<Option<(Front, u64)>> {
        self.payload.clear();
        let mut skipped = 0;
        loop {
            // (One that comes once more, or is of another recording behind this one, is as good as none.)
            let next = |front: &Front| front.number.wrapping_sub(self.number) <= u32::MAX / 2;
            if let Some(front) = Front::of(self.window.see(FRONT)?).filter(next) {
                let bytes = self.window.see(front.size())?;
                if let Some(payload) = front.payload(bytes) {
                    self.payload.extend_from_slice(payload);
                    self.window.skip(front.size());
                    return Ok(Some((front, skipped)));
                }
            }
            let bytes = self.window.see(FRONT + LONGEST + BACK)?;
            if skipped == 0 {
                self.cut = is_cut(bytes, self.number);
            }
            if bytes.is_empty() {
                self.damage.torn += skipped;
                return Ok(None);
            }
            let next = memchr::memmem::find(bytes.get(1..).unwrap_or_default(), &MARKER);
            // A marker may have begun at the end.
            let next = next.map_or((bytes.len() + 1).saturating_sub(MARKER.len()).max(1), |next| next + 1);
            self.window.skip(next);
            skipped += next as u64;
        }
    }
}

/// Whether `bytes`, all that is left of a file, can be the beginning of chunk `number`.
fn is_cut(bytes: &[u8], number: u32) -> bool {
    let Some(front) = bytes.get(..FRONT) else {
        // (Nothing is known of the rest of the front.)
        let marker = bytes.get(..MARKER.len()).unwrap_or(bytes);
        return MARKER.starts_with(marker);
    };
    Front::of(front)
        .is_some_and(|front| front.kind != Kind::Unknown && front.number == number && bytes.len() < front.size())
}

/// The last byte that was taken of `all`, of which there is `left`.
fn last_byte(all: &[u8], left: &Bytes<'_>) -> Option<u8> {
    all.len().checked_sub(left.len() + 1).and_then(|last| all.get(last)).copied()
}

fn id(bytes: &mut Bytes<'_>) -> Option<Id> {
    Some(Id { pid: bytes.small()?, start: bytes.number()? })
}

fn name(bytes: &mut Bytes<'_>) -> Option<Event> {
    let id = id(bytes)?;
    let length = bytes.byte()?.into();
    Some(Event::Name { id, name: bytes.take(length)?.to_vec() })
}

fn thread(bytes: &mut Bytes<'_>) -> Option<Event> {
    Some(Event::Thread { id: id(bytes)?, process: bytes.small()? })
}

fn clock(bytes: &mut Bytes<'_>) -> Option<Anchor> {
    Some(Anchor {
        since: bytes.number()?,
        at: bytes.number()?,
        booted: bytes.difference(0)? as i64,
        suspended: bytes.number()?,
    })
}

fn lost(bytes: &mut Bytes<'_>) -> Option<Lost> {
    Some(Lost { id: id(bytes)?, count: bytes.number()?, before: bytes.number()?, reason: Reason::of(bytes.byte()?) })
}

fn counts(bytes: &mut Bytes<'_>) -> Option<Counts> {
    Some(Counts {
        id: id(bytes)?,
        taken: bytes.number()?,
        missed: bytes.number()?,
        evicted: bytes.number()?,
        reclaimed: bytes.number()?,
    })
}
