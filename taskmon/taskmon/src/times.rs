// SPDX-License-Identifier: GPL-2.0-only

//! Times as people write them, and the clock of the samples.

use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use nix::time::ClockId;
use nix::time::clock_gettime;

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

/// What turns CLOCK_BOOTTIME into the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds since 1970 at which the system was booted.
    booted: i128,
}

impl Clock {
    /// That of this system, or of one that was booted at `booted`.
    pub fn new(booted: Option<i64>) -> nix::Result<Self> {
        let nanoseconds = |clock| clock_gettime(clock).map(|t| Duration::from(t).as_nanos());
        Ok(Self {
            booted: match booted {
                Some(booted) => i128::from(booted),
                None => nanoseconds(ClockId::CLOCK_REALTIME)? as i128 - nanoseconds(ClockId::CLOCK_BOOTTIME)? as i128,
            },
        })
    }

    /// Nanoseconds since 1970 at which the system was booted.
    pub fn booted(&self) -> i64 {
        self.booted.try_into().unwrap_or_default()
    }

    /// The time of day at `boottime`.
    pub fn timestamp(&self, boottime: u64) -> Timestamp {
        Timestamp::from_nanosecond(self.booted + i128::from(boottime)).unwrap_or(Timestamp::MAX)
    }

    /// CLOCK_BOOTTIME at `time`; 0 if that was before boot.
    pub fn boottime(&self, time: Timestamp) -> u64 {
        u64::try_from(time.as_nanosecond() - self.booted).unwrap_or(if time.as_nanosecond() < self.booted {
            0
        } else {
            u64::MAX
        })
    }

    /// CLOCK_BOOTTIME at `moment`.
    pub fn at(&self, moment: Moment) -> u64 {
        match moment {
            Moment::At(time) => self.boottime(time),
            Moment::Ago(duration) => {
                let now = Timestamp::now();
                self.boottime(now.checked_sub(duration).unwrap_or(Timestamp::MIN))
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

    #[test]
    fn the_time_of_day() {
        let clock = Clock::new(Some(1_795_795_200_000_000_000)).unwrap();
        assert_eq!(rfc3339(clock.timestamp(1_234_567_890)), "2026-11-27T16:00:01.234Z");
        assert_eq!(rfc3339(clock.timestamp(0)), "2026-11-27T16:00:00.000Z");
        assert!(clock.timestamp(u64::MAX) > clock.timestamp(u64::MAX / 2));
        assert_eq!(clock.at("2026-11-27T16:00:01Z".parse().unwrap()), 1_000_000_000);
        assert_eq!(clock.at("2026-11-27T15:00:01Z".parse().unwrap()), 0);
        let now = Clock::new(None).unwrap();
        let ago = now.at(Moment::Ago(Duration::from_secs(1)));
        assert!(ago < now.boottime(Timestamp::now()));
    }
}
