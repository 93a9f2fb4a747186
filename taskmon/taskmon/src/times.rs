// SPDX-License-Identifier: GPL-2.0-only

//! Times as people write them, and the clock of the samples.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use nix::time::ClockId;
use nix::time::clock_gettime;
use taskmonitor_recording::Anchor;

use crate::Failure;

/// A duration: `10ms`, `1s`, `1h 30m`. Zero is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || "expected a duration such as 10ms, 1s or 5m".to_owned();
    let duration = text.parse::<SignedDuration>().map_err(|_| bad())?;
    let duration = Duration::try_from(duration).map_err(|_| bad())?;
    if duration.is_zero() { Err("the duration must be longer than 0".to_owned()) } else { Ok(duration) }
}

/// A point in time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(duration) = duration(text) {
            return Ok(Self::Ago(duration));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time));
        }
        seconds(text).map(Self::At).ok_or_else(|| {
            "expected a duration before now (10m), an RFC 3339 date and time (2026-11-27T16:00:00Z), or seconds since 1970"
                .to_owned()
        })
    }
}

/// `1764259200` or `1764259200.25`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    Timestamp::new(whole.parse().ok()?, format!("{part:0<9}").parse().ok()?).ok()
}

/// How much earlier than those of the initial time namespace the clocks of this process are, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    monotonic: i64,
    /// That of CLOCK_BOOTTIME.
    pub boottime: i64,
}

impl Offsets {
    /// Those in `text`, as in /proc/PID/timens_offsets.
    pub fn parse(text: &str) -> Self {
        let offset = |clock: &str| {
            let mut words = text.lines().map(str::split_whitespace).find_map(|mut words| {
                let named = words.next()? == clock;
                named.then_some(words)
            })?;
            let (seconds, rest) = (words.next()?.parse::<i64>().ok()?, words.next()?.parse::<i64>().ok()?);
            seconds.checked_mul(1_000_000_000)?.checked_add(rest)
        };
        Self { monotonic: offset("monotonic").unwrap_or(0), boottime: offset("boottime").unwrap_or(0) }
    }

    /// Those of this process. (A kernel without time namespaces has no such file. What is there is for children, but a program that
    /// was executed is in that namespace itself.)
    pub fn ours() -> Self {
        static OURS: OnceLock<Offsets> = OnceLock::new();
        *OURS.get_or_init(|| Self::parse(&std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default()))
    }
}

fn read(clock: ClockId) -> nix::Result<i64> {
    let time = Duration::from(clock_gettime(clock)?);
    Ok(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

/// The clock of the samples: CLOCK_BOOTTIME of the initial time namespace, in nanoseconds.
pub fn boottime() -> Result<u64, Failure> {
    let now = read(ClockId::CLOCK_BOOTTIME).map_err(|e| Failure::other("cannot read CLOCK_BOOTTIME", e.desc()))?;
    Ok(u64::try_from(now.saturating_sub(Offsets::ours().boottime)).unwrap_or(0))
}

/// What the other clocks show now, compared with CLOCK_BOOTTIME, and how far apart they were read.
fn anchor(since: u64) -> nix::Result<(Anchor, i64)> {
    let Offsets { monotonic, boottime } = Offsets::ours();
    // Somebody else may run in between, or the system be suspended.
    let mut best: Option<(Anchor, i64)> = None;
    for _ in 0..3 {
        let before = read(ClockId::CLOCK_BOOTTIME)?.saturating_sub(boottime);
        let day = read(ClockId::CLOCK_REALTIME)?;
        let alive = read(ClockId::CLOCK_MONOTONIC)?.saturating_sub(monotonic);
        let after = read(ClockId::CLOCK_BOOTTIME)?.saturating_sub(boottime);
        let (middle, took) = (before.saturating_add(after.saturating_sub(before) / 2), after.saturating_sub(before));
        let anchor = Anchor {
            since,
            at: u64::try_from(after).unwrap_or(0),
            booted: day.saturating_sub(middle),
            suspended: u64::try_from(middle.saturating_sub(alive)).unwrap_or(0),
        };
        if best.is_none_or(|(_, least)| took < least) {
            best = Some((anchor, took));
        }
    }
    Ok(best.unwrap_or_default())
}

/// A clock that was set, or suspended for, less than that has only drifted.
const STEP: u64 = 10_000_000;
/// Anchors that are kept of a clock that is set again and again.
const MOST_ANCHORS: usize = 4096;
/// Suspends that are guessed.
const MOST_GUESSES: usize = 4096;

/// For how long the system was suspended between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspended {
    /// Nanoseconds; 0 if it was not.
    pub length: u64,
    /// Whether that is only a guess.
    pub guessed: bool,
}

/// A guess that the system was suspended for `length` from `since` to `until`.
#[derive(Clone, Copy, Debug)]
struct Guess {
    since: u64,
    until: u64,
    length: u64,
}

/// What turns CLOCK_BOOTTIME into the time of day. All clones are one clock.
///
/// The time of day may be set while samples come: each time is by the clock as it was then, as far as that is known. What was sampled
/// before taskmon began to look, or before a recording begins, is by the clock as it was at that time.
#[derive(Clone, Debug)]
pub struct Clock {
    // Whether it is that of this system.
    live: bool,
    // There is always one.
    anchors: Rc<RefCell<Vec<Anchor>>>,
    // CLOCK_BOOTTIME at which it was looked at last.
    looked: Rc<Cell<u64>>,
    // What was guessed of the time before the first anchor: all in all no more than what that one tells.
    guesses: Rc<RefCell<Vec<Guess>>>,
}

/// A time on the command line, to be compared with those of samples.
#[derive(Clone, Debug)]
pub enum Bound {
    /// CLOCK_BOOTTIME.
    Boot(u64),
    /// The time of day.
    Wall(Clock, Timestamp),
}

impl Bound {
    /// Whether that is at `boottime`, or was before.
    pub fn reached(&self, boottime: u64) -> bool {
        match self {
            Self::Boot(bound) => boottime >= *bound,
            Self::Wall(clock, time) => clock.timestamp(boottime) >= *time,
        }
    }
}

impl Clock {
    /// That of this system, or of one that was booted at `booted`.
    pub fn new(booted: Option<i64>) -> nix::Result<Self> {
        let first = match booted {
            Some(booted) => Anchor { since: 0, at: 0, booted, suspended: 0 },
            None => anchor(0)?.0,
        };
        Ok(Self { live: booted.is_none(), ..Self::of(first) })
    }

    /// One that was like `first`, of a system on which something was recorded.
    pub fn of(first: Anchor) -> Self {
        let anchors = Rc::new(RefCell::new(vec![Anchor { since: 0, ..first }]));
        Self { live: false, anchors, looked: Rc::new(Cell::new(first.at)), guesses: Rc::default() }
    }

    /// How it was at the beginning.
    pub fn first(&self) -> Anchor {
        self.anchors.borrow().first().copied().unwrap_or_default()
    }

    /// Looks whether the clock has been set, or the system suspended, and so do all clones.
    pub fn look(&self) {
        if !self.live {
            return;
        }
        let Ok((now, took)) = anchor(self.looked.get()) else { return };
        if took.unsigned_abs() > STEP / 10 {
            // Not now, with so much in between.
            return;
        }
        let last = self.anchors.borrow().last().copied().unwrap_or_default();
        if now.booted.abs_diff(last.booted) >= STEP || now.suspended.saturating_sub(last.suspended) >= STEP {
            self.push(now);
        }
        self.looked.set(now.at);
    }

    /// Takes what was recorded when the clock was set, or the system suspended.
    pub fn push(&self, anchor: Anchor) {
        let mut anchors = self.anchors.borrow_mut();
        if anchors.len() >= MOST_ANCHORS {
            anchors.remove(1);
        }
        // (Not sorted, they could not be found.)
        if anchors.last().is_none_or(|last| last.since <= anchor.since) {
            anchors.push(anchor);
        }
    }

    /// The anchors of times from `since` on.
    pub fn anchors_since(&self, since: u64) -> Vec<Anchor> {
        self.anchors.borrow().iter().filter(|anchor| anchor.since >= since).copied().collect()
    }

    /// The same, as it was at `boottime`, which is what it stays.
    pub fn frozen(&self, boottime: u64) -> Self {
        Self::of(self.anchor(boottime))
    }

    /// By how much the clock was set from `since` to `until`, in nanoseconds.
    pub fn set_by(&self, since: u64, until: u64) -> i64 {
        self.anchor(until).booted.saturating_sub(self.anchor(since).booted)
    }

    fn anchor(&self, boottime: u64) -> Anchor {
        let anchors = self.anchors.borrow();
        let behind = anchors.partition_point(|anchor| anchor.since <= boottime);
        anchors.get(behind.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The time of day at `boottime`.
    pub fn timestamp(&self, boottime: u64) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.anchor(boottime).booted) + i128::from(boottime))
            .unwrap_or(Timestamp::MAX)
    }

    /// For how long the system was suspended between two samples of a task that follow each other. `step` is the time between the two
    /// before, if that is known.
    ///
    /// The module takes samples by CLOCK_MONOTONIC, which stands still meanwhile, and tells CLOCK_BOOTTIME, which does not. What
    /// was before anybody looked can only be guessed: there is no sample for much longer than before, though the module counts none as
    /// missed, and the system was suspended for so long at least, besides what was guessed of other times. (It may be that sampling
    /// was stopped, or that the period has become longer. If the next interval is as long, it was the period.)
    pub fn suspended(&self, since: u64, until: u64, step: Option<u64>) -> Suspended {
        let length = until.saturating_sub(since);
        let anchors = self.anchors.borrow();
        let mut slept: u64 = 0;
        for two in anchors.windows(2) {
            let [before, after] = two else { continue };
            let jump = after.suspended.saturating_sub(before.suspended);
            // (Within one of these intervals: nothing is sampled meanwhile.)
            if jump >= STEP && jump <= length && since < after.at && until > after.since {
                slept = slept.saturating_add(jump);
            }
        }
        let mut guessed = false;
        if let (0, Some(first), Some(step)) = (slept, anchors.first(), step) {
            let much = length >= step.saturating_mul(3).saturating_add(1_000_000_000);
            if much && until <= first.at.max(1) {
                slept =
                    self.guess(Guess { since, until, length: length.saturating_sub(step) }, step, first.suspended);
                guessed = slept > 0;
            }
        }
        Suspended { length: slept.min(length), guessed }
    }

    /// Takes `guess`, unless that would come to more than `all`, for which the system was suspended. Returns for how long it was then.
    ///
    /// All tasks have the same suspends: guesses of overlapping intervals are one. (A sample after a suspend may be late, but by less
    /// than a `step`, or there would be another gap.)
    fn guess(&self, guess: Guess, step: u64, all: u64) -> u64 {
        let mut guesses = self.guesses.borrow_mut();
        let (mut others, mut same) = (0_u64, None);
        for (i, other) in guesses.iter().enumerate() {
            if other.since < guess.until && guess.since < other.until {
                same = Some(i);
            } else {
                others = others.saturating_add(other.length);
            }
        }
        let left = all.saturating_sub(others);
        if left == 0 || guess.length > left.saturating_add(step) {
            return 0;
        }
        let length = guess.length.min(left);
        if let Some(same) = same.and_then(|i| guesses.get_mut(i)) {
            same.length = same.length.max(length);
        } else if guesses.len() < MOST_GUESSES {
            guesses.push(Guess { length, ..guess });
        } else {
            return 0;
        }
        length
    }

    /// Now, in CLOCK_BOOTTIME.
    pub fn now(&self) -> u64 {
        let now = if self.live { boottime().ok() } else { None };
        now.unwrap_or_else(|| {
            let since = Timestamp::now().as_nanosecond() - i128::from(self.anchor(u64::MAX).booted);
            u64::try_from(since).unwrap_or(0)
        })
    }

    /// What `moment` means for samples.
    pub fn bound(&self, moment: Moment) -> Bound {
        match moment {
            Moment::At(time) => Bound::Wall(self.clone(), time),
            // However the clock was set since.
            Moment::Ago(duration) if self.live => {
                Bound::Boot(self.now().saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
            }
            Moment::Ago(duration) => {
                Bound::Wall(self.clone(), Timestamp::now().checked_sub(duration).unwrap_or(Timestamp::MIN))
            }
        }
    }
}

/// `time` by RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "10", "0s", "-1s", "soon", "1s ago", "1parsec", "99999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments() {
        let at = |second, nanosecond| Ok(Moment::At(Timestamp::new(second, nanosecond).unwrap()));
        assert_eq!("10m".parse(), Ok(Moment::Ago(Duration::from_secs(600))));
        assert_eq!("2026-11-27T16:00:00Z".parse::<Moment>(), at(1_795_795_200, 0));
        assert_eq!("2026-11-27T17:00:00.5+01:00".parse::<Moment>(), at(1_795_795_200, 500_000_000));
        assert_eq!("1795795200".parse::<Moment>(), at(1_795_795_200, 0));
        assert_eq!("1795795200.05".parse::<Moment>(), at(1_795_795_200, 50_000_000));
        for bad in ["", ".", "1.", ".5", "-5", "2026-11-27", "1e9", "1.0000000001", "99999999999999999999"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    const SECOND: u64 = 1_000_000_000;
    const BOOTED: i64 = 1_795_795_200_000_000_000;

    #[test]
    fn the_time_of_day() {
        let clock = Clock::new(Some(BOOTED)).unwrap();
        assert_eq!(rfc3339(clock.timestamp(1_234_567_890)), "2026-11-27T16:00:01.234Z");
        assert_eq!(rfc3339(clock.timestamp(0)), "2026-11-27T16:00:00.000Z");
        assert!(clock.timestamp(u64::MAX) > clock.timestamp(u64::MAX / 2));
        let reached = |moment: &str, time| clock.bound(moment.parse().unwrap()).reached(time);
        assert!(reached("2026-11-27T16:00:01Z", SECOND) && !reached("2026-11-27T16:00:01Z", SECOND - 1));
        assert!(reached("2026-11-27T15:00:01Z", 0));
        let now = Clock::new(None).unwrap();
        let ago = now.bound(Moment::Ago(Duration::from_secs(1)));
        assert!(ago.reached(now.now()));
        assert!(!now.bound(Moment::At(Timestamp::now() + Duration::from_secs(60))).reached(now.now()));
        assert!(now.timestamp(now.now()).duration_until(Timestamp::now()).abs() < SignedDuration::from_secs(5));
    }

    fn an(since: u64, at: u64, hours: i64, suspended: u64) -> Anchor {
        let booted = BOOTED + hours * 3600 * SECOND as i64;
        Anchor { since: since * SECOND, at: at * SECOND, booted, suspended: suspended * SECOND }
    }

    #[test]
    fn a_clock_that_is_set() {
        let clock = Clock::of(an(5, 5, 0, 0));
        let other = clock.clone();
        clock.push(an(10, 11, 1, 0));
        clock.push(an(20, 21, -2, 0));
        let at = |second: u64| rfc3339(other.timestamp(second * SECOND));
        assert_eq!(
            [at(0), at(9), at(10), at(19), at(20)],
            [
                "2026-11-27T16:00:00.000Z",
                "2026-11-27T16:00:09.000Z",
                "2026-11-27T17:00:10.000Z",
                "2026-11-27T17:00:19.000Z",
                "2026-11-27T14:00:20.000Z"
            ]
        );
        // By the clock as it was then.
        let bound = other.bound("2026-11-27T17:00:00Z".parse().unwrap());
        assert_eq!(
            [0, 9, 10, 19, 20].map(|second| bound.reached(second * SECOND)),
            [false, false, true, true, false]
        );
        let frozen = other.frozen(12 * SECOND);
        assert_eq!(rfc3339(frozen.timestamp(25 * SECOND)), "2026-11-27T17:00:25.000Z");
        assert_eq!(other.set_by(9 * SECOND, 25 * SECOND), -2 * 3600 * SECOND as i64);
        assert_eq!(other.anchors_since(15 * SECOND).len(), 1);
    }

    #[test]
    fn a_clock_that_nobody_sets_has_one_anchor() {
        let clock = Clock::new(None).unwrap();
        (0..100).for_each(|_| clock.look());
        assert_eq!(clock.anchors_since(0).len(), 1);
    }

    #[test]
    fn memory_of_a_clock_is_bounded() {
        let clock = Clock::of(an(0, 0, 0, 0));
        (1..10_000).for_each(|second| clock.push(an(second, second, second as i64 % 2, 0)));
        assert_eq!(clock.anchors_since(0).len(), MOST_ANCHORS);
        assert_eq!(clock.first(), an(0, 0, 0, 0));
    }

    #[test]
    fn suspends() {
        let clock = Clock::of(an(50, 50, 0, 100));
        clock.push(an(60, 90, 0, 120));
        let slept = |since: u64, until: u64, step: Option<u64>| {
            clock.suspended(since * SECOND, until * SECOND, step.map(|step| step * SECOND)).length / SECOND
        };
        // Of what was seen, it is known how long it was, whatever came before.
        assert_eq!((slept(61, 82, None), slept(61, 82, Some(1)), slept(89, 110, Some(1))), (20, 20, 20));
        assert_eq!((slept(60, 61, Some(1)), slept(82, 83, Some(1)), slept(95, 200, Some(1))), (0, 0, 0));
        // Before that, nothing but a suspend is as long, unless sampling was stopped.
        assert_eq!((slept(10, 40, Some(1)), slept(10, 40, None), slept(10, 13, Some(1))), (29, 0, 0));
        assert_eq!(slept(10, 40, Some(15)), 0, "the period is as long");
        let none = Suspended::default();
        let never = Clock::of(an(50, 50, 0, 0));
        assert_eq!(never.suspended(10 * SECOND, 40 * SECOND, Some(SECOND)), none, "the machine was never suspended");
        let less = Clock::of(an(50, 50, 0, 20));
        assert_eq!(less.suspended(10 * SECOND, 40 * SECOND, Some(SECOND)), none, "nor for so long");
    }

    #[test]
    fn guesses_come_to_no_more_than_all_suspends() {
        let clock = Clock::of(an(500, 500, 0, 100));
        let slept = |since: u64, until: u64| {
            let slept = clock.suspended(since * SECOND, until * SECOND, Some(SECOND));
            assert_eq!(slept.guessed, slept.length > 0);
            slept.length / SECOND
        };
        assert_eq!(slept(10, 71), 60);
        // Of another task, and once more.
        assert_eq!((slept(11, 72), slept(10, 71)), (60, 60));
        assert_eq!((slept(100, 161), slept(100, 131)), (0, 30), "40 s are left");
        assert_eq!((slept(200, 230), slept(10, 71)), (0, 60));
    }

    #[test]
    fn offsets_of_a_time_namespace() {
        let text = "monotonic       86400  500000000\nboottime       -3600         -1\n";
        assert_eq!(Offsets::parse(text), Offsets { monotonic: 86_400_500_000_000, boottime: -3_600_000_000_001 });
        assert_eq!(Offsets::parse("monotonic  0 0\nboottime  0 0\n"), Offsets::default());
        for odd in ["", "boottime", "boottime x 1", "boottime 99999999999999999 0"] {
            assert_eq!(Offsets::parse(odd), Offsets::default(), "{odd}");
        }
    }
}
