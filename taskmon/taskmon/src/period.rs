// SPDX-License-Identifier: GPL-2.0-only

//! The period of the module, which belongs to all: lowered while a `taskmon run` needs it, and put back.
//!
//! Several may need it at once, so that none of them can know alone what to put back. They share a file, behind a lock:
//! the period that was there before, the one that was set last, and who needs which. Whoever comes or goes strikes out those that
//! have died, and sets the shortest period that is left. A period that is not the one set last is somebody else's word, and
//! stays.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use procfs::process::Process;
use procfs::process::Stat;
use taskmonitor::Monitor;
use taskmonitor::Root;

use crate::Failure;
use crate::say;
use crate::times::Offsets;
use crate::times::duration;

/// What the module takes, in microseconds.
const SHORTEST: u64 = 100;
const LONGEST: u64 = 3_600_000_000;
/// The lock is held for milliseconds, unless its holder is stopped just then.
const PATIENCE: Duration = Duration::from_secs(10);

/// A period on the command line.
pub fn asked(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    match microseconds(period) {
        SHORTEST..=LONGEST => Ok(period),
        _ => Err("a period must be from 100us to 1h".to_owned()),
    }
}

fn microseconds(period: Duration) -> u64 {
    u64::try_from(period.as_micros()).unwrap_or(u64::MAX)
}

/// When a process began, in ticks since boot, whatever the time namespace of this one is.
fn start(stat: &Stat) -> u64 {
    let ticks = i64::try_from(procfs::ticks_per_second()).unwrap_or(100).max(1);
    let offset = Offsets::ours().boottime / (1_000_000_000 / ticks).max(1);
    stat.starttime.saturating_add_signed(-offset)
}

/// A process that needs a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its PID.
    pub pid: i32,
    /// When it began, in ticks since boot by the initial time namespace: its PID may belong to another process some day.
    pub start: u64,
    period: u64,
}

impl Request {
    /// Of this process.
    fn ours(period: u64) -> Result<Self, Failure> {
        let stat = Process::myself().and_then(|process| process.stat());
        let stat = stat.map_err(|e| Failure::other("cannot read /proc/self/stat", e))?;
        Ok(Self { pid: stat.pid, start: start(&stat), period })
    }

    /// Whether the process lives. One of which that cannot be known does.
    fn lives(&self) -> bool {
        match Process::new(self.pid).and_then(|process| process.stat()) {
            // (A process may have been asked in a time namespace that is a part of a tick off.)
            Ok(stat) => start(&stat).abs_diff(self.start) <= 1 && !matches!(stat.state, 'Z' | 'X'),
            Err(procfs::ProcError::NotFound(_)) => false,
            Err(_) => true,
        }
    }
}

/// What the file holds. Periods are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Before it was lowered.
    pub original: u64,
    /// What was set last.
    pub set: u64,
    /// Who needs which.
    pub requests: Vec<Request>,
}

impl Book {
    /// Reads it. What is behind the last line is left of a longer text that was there before.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // No module has had any other.
        let mut period = |key| {
            lines.next()?.strip_prefix(key)?.parse().ok().filter(|period| (SHORTEST..=LONGEST).contains(period))
        };
        let (original, set) = (period("original ")?, period("set ")?);
        let mut requests = Vec::new();
        loop {
            let mut words = lines.next()?.split(' ');
            match words.next()? {
                "end" => return Some(Self { original, set, requests }),
                pid => requests.push(Request {
                    pid: pid.parse().ok()?,
                    start: words.next()?.parse().ok()?,
                    period: words.next()?.parse().ok()?,
                }),
            }
        }
    }

    fn text(&self) -> String {
        let lines = self.requests.iter().map(|Request { pid, start, period }| format!("{pid} {start} {period}"));
        let requests: Vec<String> = lines.chain(["end".to_owned()]).collect();
        format!("original {}\nset {}\n{}\n", self.original, self.set, requests.join("\n"))
    }

    /// The period that is needed.
    fn needed(&self) -> u64 {
        self.requests.iter().map(|request| request.period).fold(self.original, u64::min)
    }

    /// The book when somebody comes who needs `ours`, or just looks after the dead, and the period is `now`.
    fn enter(book: Option<Self>, now: u64, lives: impl Fn(&Request) -> bool, ours: Option<Request>) -> Self {
        let mut book = book.unwrap_or(Self { original: now, set: now, requests: Vec::new() });
        if book.set != now {
            book.original = now;
        }
        book.requests.retain(lives);
        // Who needs no less than what is there anyway, needs nothing.
        book.requests.extend(ours.filter(|ours| ours.period < book.original));
        book.set = book.needed();
        book
    }

    /// The book when `ours` goes.
    fn leave(mut self, now: u64, lives: impl Fn(&Request) -> bool, ours: &Request) -> Self {
        self.requests.retain(|request| request != ours && lives(request));
        if self.set == now {
            self.set = self.needed();
        }
        self
    }
}

/// The file, locked.
struct Shared {
    file: Flock<File>,
    path: PathBuf,
}

impl Shared {
    fn path(root: &Root) -> PathBuf {
        root.join("run/taskmon/period")
    }

    fn open(root: &Root) -> Result<Self, Failure> {
        let path = Self::path(root);
        let failed = |e: io::Error| Failure::other(format!("cannot open {}", path.display()), e);
        DirBuilder::new().recursive(true).mode(0o755).create(root.join("run/taskmon")).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => return Ok(Self { file, path }),
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < end => file = back,
                Err((_, e)) => return Err(Failure::other(format!("cannot lock {}", path.display()), e.desc())),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn read(&self) -> Result<Option<Book>, Failure> {
        let mut text = Vec::new();
        (&*self.file)
            .read_to_end(&mut text)
            .map_err(|e| Failure::other(format!("cannot read {}", self.path.display()), e))?;
        let book = Book::parse(&String::from_utf8_lossy(&text));
        if book.is_none() && !text.is_empty() {
            say(format_args!("{} is damaged and is ignored", self.path.display()));
        }
        Ok(book)
    }

    /// In this order: who is killed in between leaves a book that can be read.
    fn write(&self, book: &Book) -> Result<(), Failure> {
        let text = if book.requests.is_empty() { String::new() } else { book.text() };
        let written = self.file.write_all_at(text.as_bytes(), 0);
        written
            .and_then(|()| self.file.set_len(text.len() as u64))
            .map_err(|e| Failure::other(format!("cannot write {}", self.path.display()), e))
    }
}

/// Has the module sample all tasks at once, if it samples: a period that is set, even to what it was, begins a new grid.
pub fn sample_now(monitor: &Monitor) -> Result<(), Failure> {
    // Behind the lock, so that it is none that somebody else is about to change.
    let _shared = Shared::open(monitor.root())?;
    Ok(monitor.set_period(monitor.period()?)?)
}

/// A period that is asked for, until this is dropped.
pub struct Period<'a> {
    monitor: &'a Monitor,
    request: Option<Request>,
}

impl<'a> Period<'a> {
    /// Lowers the period to `period`, if it is not as short already. Without one, only puts back what others, that were killed,
    /// could not.
    pub fn ask(monitor: &'a Monitor, period: Option<Duration>) -> Result<Self, Failure> {
        if period.is_none() && !Shared::path(monitor.root()).exists() {
            return Ok(Self { monitor, request: None });
        }
        let request = period.map(|period| Request::ours(microseconds(period))).transpose()?;
        let shared = Shared::open(monitor.root())?;
        let book = shared.read()?;
        let now = microseconds(monitor.period()?);
        let mut book = Book::enter(book, now, Request::lives, request);
        // Whoever is killed between the two has set nothing: the next one finds a period that is not the one in the book,
        // and takes it for the original, which it is.
        shared.write(&book)?;
        let needed = request.filter(|request| book.requests.contains(request));
        let set = if book.set == now { Ok(()) } else { monitor.set_period(Duration::from_micros(book.set)) };
        if let Err(e) = set {
            book.requests.retain(|other| Some(*other) != request);
            shared.write(&book)?;
            return Err(e.into());
        }
        // From here on, it is taken back on the way out.
        let this = Self { monitor, request: needed };
        match (book.set, request) {
            (set, _) if set < now => say(format_args!(
                "lowered the module's period from {} to {} for all tasks while this command runs",
                Shown(now),
                Shown(set)
            )),
            (set, _) if set > now => say(format_args!(
                "restored the module's period from {} to {}: a killed taskmon had left it lowered",
                Shown(now),
                Shown(set)
            )),
            (_, Some(_)) => say(format_args!("the module's period is already {} and is not changed", Shown(now))),
            (_, None) => {}
        }
        Ok(this)
    }

    fn put_back(&self, ours: &Request) -> Result<(), Failure> {
        let shared = Shared::open(self.monitor.root())?;
        let now = microseconds(self.monitor.period()?);
        let Some(before) = shared.read()? else {
            return Err(Failure::Other(format!(
                "its previous value is unknown; it stays at {}; to change it, write microseconds to {}",
                Shown(now),
                self.monitor.root().parameter("period_us").display()
            )));
        };
        let book = before.clone().leave(now, Request::lives, ours);
        if before.set != now {
            say(format_args!(
                "the module's period was changed to {} by somebody else and is not restored",
                Shown(now)
            ));
        } else if book.set != now {
            self.monitor.set_period(Duration::from_micros(book.set))?;
            if book.requests.is_empty() {
                say(format_args!("restored the module's period to {}", Shown(book.set)));
            } else {
                say(format_args!("set the module's period to {}, which another taskmon needs", Shown(book.set)));
            }
        }
        shared.write(&book)
    }
}

impl Drop for Period<'_> {
    fn drop(&mut self) {
        let put_back = self.request.take().map_or(Ok(()), |request| self.put_back(&request));
        if let Err(failure) = put_back {
            say(format_args!("cannot restore the module's period: {failure}"));
        }
    }
}

/// Microseconds for people.
struct Shown(u64);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            us if us % 1_000_000 == 0 => write!(f, "{}s", us / 1_000_000),
            us if us % 1_000 == 0 => write!(f, "{}ms", us / 1_000),
            us => write!(f, "{us}us"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(pid: i32, period: u64) -> Request {
        Request { pid, start: 7, period }
    }

    fn book(original: u64, set: u64, requests: &[Request]) -> Book {
        Book { original, set, requests: requests.to_vec() }
    }

    const ALL: fn(&Request) -> bool = |_| true;
    const NONE: fn(&Request) -> bool = |_| false;

    #[test]
    fn limits() {
        assert_eq!(asked("100us"), Ok(Duration::from_micros(100)));
        assert_eq!(asked("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["99us", "99.9us", "1h 1us", "1ns", "0s", "-1s", "10", "1000000h"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_text_comes_back() {
        for book in [book(1_000_000, 1_000_000, &[]), book(1_000_000, 100, &[request(3, 100), request(4, 7)])] {
            assert_eq!(Book::parse(&book.text()), Some(book.clone()));
            assert_eq!(Book::parse(&(book.text() + "3 7 100\nend\n")), Some(book), "what a longer text has left");
        }
        let whole = book(1_000_000, 100, &[request(3, 100)]).text();
        for end in 0..whole.len() - 1 {
            assert_eq!(Book::parse(&whole[..end]), None, "{end}");
        }
        for bad in [
            "original 900\nset 200\n3 4\nend\n",
            "original 900\nset x\nend\n",
            "set 200\noriginal 900\nend\n",
            "original 99\nset 200\nend\n",
            "original 3600000001\nset 200\nend\n",
        ] {
            assert_eq!(Book::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_comes_and_goes() {
        let (ours, other) = (request(3, 100), request(4, 500));
        let alone = Book::enter(None, 1000, ALL, Some(ours));
        assert_eq!(alone, book(1000, 100, &[ours]));
        assert_eq!(alone.leave(100, ALL, &ours), book(1000, 1000, &[]));
        // One that needs less than another still needs what it needs.
        let two = Book::enter(Some(book(1000, 100, &[ours])), 100, ALL, Some(other));
        assert_eq!(two, book(1000, 100, &[ours, other]));
        assert_eq!(two.clone().leave(100, ALL, &ours), book(1000, 500, &[other]));
        assert_eq!(two.leave(100, ALL, &other), book(1000, 100, &[ours]));
    }

    #[test]
    fn no_less_than_what_is_there() {
        assert_eq!(Book::enter(None, 1000, ALL, Some(request(3, 1000))), book(1000, 1000, &[]));
        assert_eq!(Book::enter(None, 1000, ALL, Some(request(3, 5000))), book(1000, 1000, &[]));
        assert_eq!(Book::enter(None, 1000, ALL, None), book(1000, 1000, &[]));
    }

    #[test]
    fn the_dead_need_nothing() {
        let dead = book(1000, 100, &[request(3, 100)]);
        assert_eq!(Book::enter(Some(dead.clone()), 100, NONE, None), book(1000, 1000, &[]));
        let ours = request(4, 500);
        assert_eq!(Book::enter(Some(dead), 100, NONE, Some(ours)), book(1000, 500, &[ours]));
        let both = book(1000, 100, &[request(3, 100), ours]);
        assert_eq!(both.leave(100, NONE, &ours), book(1000, 1000, &[]));
    }

    #[test]
    fn what_somebody_else_has_set_stays() {
        let (ours, other) = (request(3, 100), request(4, 500));
        let lowered = book(1000, 100, &[ours]);
        assert_eq!(lowered.clone().leave(250, ALL, &ours), book(1000, 100, &[]));
        // It is what there is to put back from then on.
        assert_eq!(Book::enter(Some(lowered), 700, ALL, Some(other)), book(700, 100, &[ours, other]));
        // Killed between writing the book and setting the period.
        assert_eq!(Book::enter(Some(book(1000, 100, &[ours])), 1000, NONE, None), book(1000, 1000, &[]));
    }

    #[test]
    fn who_lives() {
        let ours = Request::ours(1).unwrap();
        assert!(ours.lives());
        assert!(!Request { start: ours.start + 2, ..ours }.lives(), "another process with that PID");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let stat = Process::new(i32::try_from(child.id()).unwrap()).unwrap().stat().unwrap();
        let request = Request { pid: stat.pid, start: stat.starttime, period: 1 };
        child.wait().unwrap();
        assert!(!request.lives());
    }

    #[test]
    fn periods_for_people() {
        let shown = |us| Shown(us).to_string();
        assert_eq!((shown(1_000_000), shown(10_000), shown(1_500)), ("1s".into(), "10ms".into(), "1500us".into()));
    }
}
