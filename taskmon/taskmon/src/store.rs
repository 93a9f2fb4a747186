// SPDX-License-Identifier: GPL-2.0-only

//! The file of a recording, also when there is no room for it.
//!
//! What is in it ends with a whole chunk at any time, but for one that a kill has cut. Ahead of its end, room is allocated that
//! its size does not show, so that at least the end of the recording finds some. Where there is none, chunks wait in memory;
//! when those are too many, samples are dropped, and counted.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::FallocateFlags;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::OFlag;
use nix::fcntl::fallocate;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor_recording::Chunk;
use taskmonitor_recording::Counts;
use taskmonitor_recording::End;
use taskmonitor_recording::Lost;
use taskmonitor_recording::Reader;
use taskmonitor_recording::Reason;
use taskmonitor_recording::Tally;
use taskmonitor_recording::beginning;
use taskmonitor_recording::is_recording;
use taskmonitor_recording::seal;

use crate::Failure;
use crate::say;

/// Chunks that wait for room, in bytes.
const HELD: usize = 1 << 20;
/// Room is allocated so much at a time, ...
const STEP: u64 = 1 << 18;
/// ... and kept for the end: that much, and more for each task.
const KEPT: u64 = 4096;
const KEPT_FOR_A_TASK: u64 = 64;

/// The file.
#[derive(Debug)]
pub struct Store {
    file: Flock<File>,
    path: PathBuf,
    // What is in it, and for how much there is room.
    len: u64,
    room: u64,
    // Whether the file system allocates room ahead.
    allocates: bool,
    // It may not become larger.
    most: u64,
    keep: u64,
    number: u32,
    samples: u64,
    // Tasks of which there is a sample in it, and how many more there were that are gone for good.
    tasks: FxHashSet<Id>,
    gone: u64,
    // Whether it has become as large as it may.
    ended: bool,
    held: VecDeque<Chunk>,
    held_bytes: usize,
    // Losses that came too late, for which there is room in the end.
    told: Vec<Chunk>,
    dropped: FxHashMap<Id, Tally>,
    // Samples for which there was no room, all in all.
    lost: u64,
    // Whether that has been said.
    said: bool,
}

/// What became of what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Yes,
    NoRoom,
    // It may not become that large.
    Ended,
}

/// Whether there was no room.
fn no_room(error: Errno) -> bool {
    matches!(error, Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)
}

/// How large a file this process may write. (That can change.)
fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft)
}

const FIX: &str = "remove it, or use another name";

/// The bytes at the beginning of `old`, as many as a recording has before its first chunk.
fn begin(mut old: &File) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    old.seek(SeekFrom::Start(0))?;
    old.take(beginning().len() as u64 + 1).read_to_end(&mut begin)?;
    old.seek(SeekFrom::Start(0))?;
    Ok(begin)
}

/// Why `old` cannot be a recording, of any version, by the bytes at its beginning.
fn is_another(old: &File) -> io::Result<Option<String>> {
    let (begin, empty) = (begin(old)?, beginning());
    let one = empty.starts_with(&begin) || is_recording(&begin) && begin.len() >= empty.len();
    Ok((!one).then(|| format!("the file exists and is not a recording; {FIX}")))
}

/// Why `old`, the file `path`, may not be replaced; `None` if all of it is understood. Reads all of it, in bounded memory.
///
/// A newer taskmon may keep in a recording of the same format what this one does not know, and of a damaged one there may be more than
/// this one can read. That the recording has no end, or only the beginning of its last chunk, is no damage: it is what a recorder that
/// was killed leaves.
fn refusal(old: &File, path: &Path) -> io::Result<Option<String>> {
    if let Some(why) = is_another(old)? {
        return Ok(Some(why));
    }
    if beginning().starts_with(&begin(old)?) {
        // Empty, or of a recorder that was killed before it had written anything else.
        return Ok(None);
    }
    let newer =
        |what: &str| format!("the file exists and is a recording {what}, which is newer than this taskmon; {FIX}");
    let unknown = |what: &str| Some(format!("the file exists and is a recording {what}; {FIX}"));
    Ok(match Reader::of(old, path).and_then(read_all) {
        Ok(reader) => match age(&reader.head().taskmon, env!("CARGO_PKG_VERSION")) {
            Some(Ordering::Greater) => Some(newer(&format!("of taskmon {}", reader.head().taskmon))),
            None => unknown(&format!("of an unknown version of taskmon ({:?})", reader.head().taskmon)),
            Some(_) if !reader.damage().is_none() => unknown("that is damaged"),
            Some(_) if !reader.understood() => unknown("with content that this taskmon does not understand"),
            Some(_) => None,
        },
        Err(taskmonitor_recording::Error::Newer { version, .. }) => {
            Some(newer(&format!("of format version {version}")))
        }
        Err(taskmonitor_recording::Error::Io { source, .. }) => return Err(source),
        Err(_) => Some(format!("the file exists and cannot be read as a recording; {FIX}")),
    })
}

/// Reads to the end.
fn read_all<R: Read>(mut reader: Reader<R>) -> Result<Reader<R>, taskmonitor_recording::Error> {
    while reader.next()?.is_some() {}
    Ok(reader)
}

/// How `version` compares with `other`, by the rules of Semantic Versioning; `None` if one of them is no such version.
fn age(version: &str, other: &str) -> Option<Ordering> {
    /// Three numbers, and what comes before the release of that number.
    type Parts<'a> = ([u64; 3], Option<Vec<&'a str>>);
    fn number(text: &str) -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    }
    fn parts(version: &str) -> Option<Parts<'_>> {
        // (What a build is called makes it neither newer nor older.)
        let version = version.split_once('+').map_or(version, |(version, _)| version);
        let (release, before) = version.split_once('-').map_or((version, None), |(a, b)| (a, Some(b)));
        let numbers: Option<Vec<u64>> = release.split('.').map(number).collect();
        let before: Option<Vec<&str>> = before.map(|before| before.split('.').collect());
        let word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        before.iter().flatten().all(word).then_some((numbers?.try_into().ok()?, before))
    }
    // (A number is less than a word.)
    let word = |a: &str, b: &str| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    };
    let ((ours, before), (theirs, before_theirs)) = (parts(version)?, parts(other)?);
    Some(ours.cmp(&theirs).then_with(|| match (before, before_theirs) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let words = a.iter().zip(&b).map(|(a, b)| word(a, b));
            words.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
    }))
}

/// Opens `path`, a new file that only its owner may read, and nobody else writes to. A recording that is there is replaced, if all
/// of it is understood; anything else is not.
fn create(path: &Path) -> Result<Flock<File>, Failure> {
    let other = |text: &str| Failure::Other(format!("cannot record to {}: {text}", path.display()));
    let failed = |e: io::Error| Failure::other(format!("cannot record to {}", path.display()), e);
    // (A pipe would wait for somebody to read, and a link can lead anywhere.)
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
        Ok(old) => {
            let meta = old.metadata().map_err(failed)?;
            if !meta.is_file() {
                return Err(other("it is not a regular file"));
            }
            // Checked before the lock is taken: a file that is no recording may be locked by another program.
            if let Some(why) = is_another(&old).map_err(failed)? {
                return Err(other(&why));
            }
            let old = lock(old, path)?;
            // (Whoever had it locked may have written to it meanwhile, or put another file in its place.)
            if let Some(why) = refusal(&old, path).map_err(failed)? {
                return Err(other(&why));
            }
            let now = std::fs::symlink_metadata(path).map_err(failed)?;
            if (now.dev(), now.ino()) != (meta.dev(), meta.ino()) {
                return Err(other("somebody else has just replaced it"));
            }
            std::fs::remove_file(path).map_err(failed)?;
            // (Locked until here: who comes meanwhile finds the lock, or no file.)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(other("it is a symbolic link, not a regular file"));
        }
        Err(e) if e.raw_os_error() == Some(Errno::ENXIO as i32) => {
            return Err(other("it is not a regular file"));
        }
        Err(e) => return Err(failed(e)),
    }
    let new = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    lock(new, path)
}

fn lock(file: File, path: &Path) -> Result<Flock<File>, Failure> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
        Errno::EWOULDBLOCK => {
            Failure::Other(format!("cannot record to {}: another taskmon is writing to it", path.display()))
        }
        e => Failure::other(format!("cannot lock {}", path.display()), e.desc()),
    })
}

impl Store {
    /// A new file `path`, which becomes no larger than `most`.
    pub fn create(path: &Path, most: Option<u64>) -> Result<Self, Failure> {
        let file = create(path)?;
        let mut this = Self {
            file,
            path: path.to_path_buf(),
            len: 0,
            room: 0,
            allocates: true,
            most: most.unwrap_or(u64::MAX),
            keep: KEPT,
            number: 0,
            samples: 0,
            tasks: FxHashSet::default(),
            gone: 0,
            ended: false,
            held: VecDeque::new(),
            held_bytes: 0,
            told: Vec::new(),
            dropped: FxHashMap::default(),
            lost: 0,
            said: false,
        };
        let begun = this.write(&beginning(), this.kept());
        if matches!(begun, Ok(Written::Yes)) {
            return Ok(this);
        }
        let _ = std::fs::remove_file(path);
        Err(begun
            .err()
            .unwrap_or_else(|| Failure::Other(format!("cannot record to {}: no space left", path.display()))))
    }

    /// So many tasks will be told of at the end.
    pub fn expect(&mut self, tasks: usize) {
        self.keep = KEPT.saturating_add(KEPT_FOR_A_TASK.saturating_mul(tasks as u64));
    }

    fn kept(&self) -> u64 {
        self.keep.min(self.most / 4)
    }

    /// How large the file is.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// How many samples are in it.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Of how many tasks they are.
    pub fn tasks(&self) -> u64 {
        self.gone.saturating_add(self.tasks.len() as u64)
    }

    /// No more samples come of the task `id`.
    pub fn forget(&mut self, id: Id) {
        self.gone += u64::from(self.tasks.remove(&id));
    }

    /// Whether it has become as large as it may.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// How much larger it may still become.
    pub fn left(&self) -> u64 {
        self.most.saturating_sub(self.len).saturating_sub(self.kept())
    }

    /// Whether chunks wait for room.
    pub fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether chunks wait for room, and are as many as may be: nothing more is to be put.
    pub fn brims(&self) -> bool {
        self.held_bytes >= HELD
    }

    /// Allocates room up to `end`, if the file system can do that. Says whether there may be some.
    fn allocate(&mut self, end: u64) -> Result<bool, Failure> {
        // More than what is needed, so that it is not asked for each time.
        for end in [end.saturating_add(STEP).min(self.most), end] {
            while self.allocates && end > self.room {
                let count = end.saturating_sub(self.len).try_into().unwrap_or(i64::MAX);
                let at = self.len.try_into().unwrap_or(i64::MAX);
                match fallocate(&*self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, at, count) {
                    Ok(()) => self.room = end,
                    Err(Errno::EINTR) => {}
                    Err(e) if no_room(e) => break,
                    Err(_) => self.allocates = false,
                }
            }
        }
        Ok(!self.allocates || end <= self.room)
    }

    /// Writes `bytes` at the end, all or nothing, and so that there is room for `keep` more.
    fn write(&mut self, bytes: &[u8], keep: u64) -> Result<Written, Failure> {
        let end = self.len.saturating_add(bytes.len() as u64).saturating_add(keep);
        if end > self.most {
            return Ok(Written::Ended);
        }
        if end > limit() || !self.allocate(end)? {
            return Ok(Written::NoRoom);
        }
        let mut left = bytes;
        while !left.is_empty() {
            let at = self.len + (bytes.len() - left.len()) as u64;
            let error = match self.file.write_at(left, at) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    left = left.get(count..).unwrap_or_default();
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            // No half of it stays.
            let _ = self.file.set_len(self.len);
            self.room = self.len;
            let _ = self.allocate(self.len.saturating_add(keep));
            return match error.raw_os_error().map(Errno::from_raw) {
                Some(e) if no_room(e) => Ok(Written::NoRoom),
                _ => Err(Failure::other(format!("cannot write {}", self.path.display()), error)),
            };
        }
        self.len += bytes.len() as u64;
        Ok(Written::Yes)
    }

    /// Writes `chunk`, which stays if there is no room for it.
    fn write_chunk(&mut self, chunk: &Chunk) -> Result<Written, Failure> {
        let mut bytes = Vec::with_capacity(chunk.size());
        seal(&mut bytes, self.number, chunk);
        let written = self.write(&bytes, self.kept())?;
        match written {
            Written::Yes => {
                self.number = self.number.wrapping_add(1);
                self.samples += chunk.samples() as u64;
                self.tasks.extend(chunk.ids());
            }
            Written::NoRoom => {}
            Written::Ended => self.ended = true,
        }
        Ok(written)
    }

    /// Takes the next chunk.
    pub fn put(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let written = if self.ended {
            Ok(Written::Ended)
        } else if self.held.is_empty() {
            self.write_chunk(&chunk)
        } else {
            Ok(Written::NoRoom)
        };
        match written {
            Ok(Written::Yes) => return Ok(()),
            Ok(Written::Ended) => {
                self.told.extend(Some(chunk).filter(Chunk::is_lost));
                return Ok(());
            }
            Ok(Written::NoRoom) => {}
            Err(failure) => {
                // What is behind it needs it: it must not be written without.
                self.hold(chunk);
                return Err(failure);
            }
        }
        if !std::mem::replace(&mut self.said, true) {
            say(format_args!(
                "no space left for {}; the recording continues when there is space again",
                self.path.display()
            ));
        }
        self.hold(chunk);
        Ok(())
    }

    fn hold(&mut self, chunk: Chunk) {
        self.held_bytes += chunk.size();
        self.held.push_back(chunk);
    }

    /// A sample is not put, as there are too many of them.
    pub fn drop_sample(&mut self, sample: &Sample) {
        self.lost = self.lost.saturating_add(1);
        add(&mut self.dropped, sample.id(), Tally { count: 1, next: sample.seq.saturating_add(1) });
    }

    /// Writes the chunks that wait, as far as there is room. Says whether samples were dropped behind them, and what comes
    /// from now on has room again, but must begin afresh.
    pub fn retry(&mut self) -> Result<bool, Failure> {
        while let Some(chunk) = self.held.pop_front() {
            match self.write_chunk(&chunk) {
                Ok(Written::Yes) => self.held_bytes = self.held_bytes.saturating_sub(chunk.size()),
                no_room @ (Ok(Written::NoRoom) | Err(_)) => {
                    self.held.push_front(chunk);
                    return no_room.map(|_| false);
                }
                Ok(Written::Ended) => {
                    let held = std::mem::take(&mut self.held);
                    self.told.extend(std::iter::once(chunk).chain(held).filter(Chunk::is_lost));
                    self.held_bytes = 0;
                }
            }
        }
        self.said = false;
        if self.dropped.is_empty() {
            return Ok(false);
        }
        let dropped = std::mem::take(&mut self.dropped);
        for chunk in Chunk::lost(&lost(&dropped)) {
            self.put(chunk)?;
        }
        Ok(true)
    }

    /// Samples for which there was no room. (Those that wait are not among them.)
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Ends the file, with what is `lost` and the module's `counts`, as far as there is room for that.
    pub fn finish(&mut self, losses: &[Lost], counts: &[Counts], end: &End) -> Result<(), Failure> {
        self.retry()?;
        let mut told = std::mem::take(&mut self.told);
        for chunk in std::mem::take(&mut self.held) {
            self.lost = self.lost.saturating_add(chunk.samples() as u64);
            chunk.tally().into_iter().for_each(|(id, tally)| add(&mut self.dropped, id, tally));
            told.extend(Some(chunk).filter(Chunk::is_lost));
        }
        told.extend(Chunk::lost(&[lost(&self.dropped), losses.to_vec()].concat()));
        let (losses, counts, end) = (told, Chunk::counts(counts), Chunk::end(end));
        // What was kept back is for just this.
        let all = losses.iter().chain(&counts).chain([&end]).collect::<Vec<_>>();
        let most = losses.iter().chain([&end]).collect::<Vec<_>>();
        for chunks in [all, most, vec![&end]] {
            let mut bytes = Vec::new();
            let mut number = self.number;
            for chunk in chunks {
                seal(&mut bytes, number, chunk);
                number = number.wrapping_add(1);
            }
            if self.write(&bytes, 0)? == Written::Yes {
                break;
            }
        }
        // What was allocated and is not needed goes back.
        let done = self.file.set_len(self.len).and_then(|()| self.file.sync_all());
        done.map_err(|e| Failure::other(format!("cannot write {}", self.path.display()), e))
    }
}

fn add(all: &mut FxHashMap<Id, Tally>, id: Id, more: Tally) {
    let tally = all.entry(id).or_insert(Tally { count: 0, next: 0 });
    *tally = Tally { count: tally.count.saturating_add(more.count), next: more.next };
}

fn lost(dropped: &FxHashMap<Id, Tally>) -> Vec<Lost> {
    let one =
        |(&id, &Tally { count, next }): (&Id, &Tally)| Lost { id, count, before: next, reason: Reason::NoSpace };
    let mut lost: Vec<Lost> = dropped.iter().map(one).collect();
    lost.sort_by_key(|lost| lost.id);
    lost
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use taskmonitor_recording::Encoder;
    use taskmonitor_recording::Event;
    use taskmonitor_recording::Head;
    use taskmonitor_recording::Why;

    use super::*;

    fn sample(seq: u64) -> Sample {
        let line = format!(
            "pid 7 usr {seq} sys 0 time {} rss 4096 minflt 0 majflt 0 mm_users 1 state S seq {seq} start 9",
            1000 + seq
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn versions() {
        let order = |version: &str| age(version, "0.2.0-rc.2");
        for older in ["0.1.0", "0.1.99+later", "0.2.0-rc.1", "0.2.0-alpha", "0.2.0-rc", "0.2.0-9", "0.2.0-rc.1.7"] {
            assert_eq!(order(older), Some(Ordering::Less), "{older}");
        }
        for same in ["0.2.0-rc.2", "0.2.0-rc.2+b7"] {
            assert_eq!(order(same), Some(Ordering::Equal), "{same}");
        }
        for newer in ["0.2.0", "0.2.0-rc.10", "0.2.0-rc.2.1", "0.2.0-rc.x", "0.2.0-s", "0.10.0-a", "1.0.0-a"] {
            assert_eq!(order(newer), Some(Ordering::Greater), "{newer}");
        }
        for none in ["", "0.1", "0.1.0.0", "0.1.x", "v0.1.0", "0.1.0~rc1", "0.1.0-", "0.1.0-a..b", "-1.0.0", "+1.0.0"]
        {
            assert_eq!(order(none), None, "{none}");
        }
        assert_eq!(age("0.1.0-rc.1", "0.1.0"), Some(Ordering::Less));
    }

    /// A chunk needs those before it: after one that could not be written, none is, until that one is.
    #[test]
    fn a_write_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let head = Head {
            booted: 0,
            began: 0,
            suspended: 0,
            period: Duration::from_secs(1),
            module: String::new(),
            taskmon: String::new(),
            kernel: String::new(),
            command: None,
            exec: None,
        };
        for later in [true, false] {
            let _ = std::fs::remove_file(&path);
            let mut encoder = Encoder::new(head.clone());
            let mut store = Store::create(&path, None).unwrap();
            let mut put = |store: &mut Store, seqs: std::ops::Range<u64>| {
                seqs.for_each(|seq| encoder.sample(&sample(seq)));
                encoder.flush();
                std::iter::from_fn(|| encoder.chunk()).map(|chunk| store.put(chunk)).collect::<Vec<_>>()
            };
            assert!(put(&mut store, 0..3).iter().all(Result::is_ok));
            // One that can only be read is not written to.
            let other = folder.path().join("other");
            std::fs::write(&other, "").unwrap();
            let read_only = lock(File::open(&other).unwrap(), &other).unwrap();
            let file = std::mem::replace(&mut store.file, read_only);
            assert!(put(&mut store, 3..6).iter().any(Result::is_err));
            assert!(store.waits() && store.retry().is_err() && store.waits());
            store.file = file;
            assert!(!later || put(&mut store, 6..9).iter().all(Result::is_ok));
            store.retry().unwrap();
            store.finish(&[], &[], &End { why: Why::Failed, time: 0, status: None, peak: None }).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            let mut seqs = Vec::new();
            while let Some(event) = reader.next().unwrap() {
                if let Event::Sample(read) = event {
                    assert_eq!(read, sample(read.seq));
                    seqs.push(read.seq);
                }
            }
            assert_eq!(seqs, (0..if later { 9 } else { 6 }).collect::<Vec<_>>());
        }
    }
}
