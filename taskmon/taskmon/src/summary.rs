// SPDX-License-Identifier: GPL-2.0-only

//! What a command took. Nothing here reads or writes anything.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use taskmonitor::Id;
use taskmonitor::Sample;

use crate::hold::Begun;
use crate::hold::Used;
use crate::output::bytes;

/// What is known of a task by its samples. None of them is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    id: Option<Id>,
    // How the command began.
    begun: Begun,
    samples: u64,
    // Instants that are missing between the samples.
    gaps: u64,
    // The number of the last sample, and of the last one before the command began.
    seq: Option<u64>,
    before: Option<u64>,
    // Those taken while it ran.
    alive: u64,
    // When it had so much memory last.
    last: Option<(u64, u64)>,
    // Bytes times nanoseconds, and the nanoseconds.
    area: u128,
    span: u64,
}

impl Seen {
    /// Nothing yet, of a command that `begun` so.
    pub fn new(begun: Begun) -> Self {
        Self { begun, ..Self::default() }
    }

    /// Takes the sample of a task. What was sampled before the command began is not the command's.
    pub fn take(&mut self, sample: &Sample) {
        self.id = Some(sample.id());
        let before = self.seq.replace(sample.seq);
        if !self.begun.has(sample) {
            self.before = self.seq;
            return;
        }
        self.samples += 1;
        let next = before.map_or(0, |seq| seq.saturating_add(1));
        self.gaps = self.gaps.saturating_add(sample.seq.saturating_sub(next));
        self.until(sample.time);
        // Without an address space, it has ended.
        self.last = (sample.mm_users > 0).then_some((sample.time, sample.rss));
        self.alive += u64::from(!sample.state.exited());
    }

    /// The memory has been what it was until `time`.
    fn until(&mut self, time: u64) {
        if let Some((since, rss)) = self.last {
            let passed = time.saturating_sub(since);
            self.area = self.area.saturating_add(u128::from(rss).saturating_mul(passed.into()));
            self.span = self.span.saturating_add(passed);
        }
    }

    /// What names the task, if it has been seen.
    pub fn id(&self) -> Option<Id> {
        self.id
    }

    /// How many samples there were.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How many of them were taken while the command ran.
    pub fn alive(&self) -> u64 {
        self.alive
    }

    /// The number of the last sample before the command began.
    pub fn before(&self) -> Option<u64> {
        self.before
    }

    /// How many are missing between them.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// The mean over the time since the first sample of the command, which ended at `end`.
    fn mean(mut self, end: u64) -> Option<u64> {
        self.until(end);
        match self.area.checked_div(self.span.into()) {
            Some(mean) => u64::try_from(mean).ok(),
            None => self.last.map(|(_, rss)| rss),
        }
    }
}

/// A peak of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peak {
    Exactly(u64),
    AtMost(u64),
    Unknown,
}

impl Peak {
    /// That of a command which has `begun` so, whose process has `used` so much in all.
    ///
    /// The kernel's peak is that of the process, which had memory of its own before it turned into the command.
    pub fn of(begun: &Begun, used: &Used) -> Self {
        match used.peak {
            0 => Self::Unknown,
            peak if peak > begun.floor() => Self::Exactly(peak),
            peak => Self::AtMost(peak),
        }
    }

    /// The peak, if it is known.
    pub fn exact(self) -> Option<u64> {
        match self {
            Self::Exactly(peak) => Some(peak),
            Self::AtMost(_) | Self::Unknown => None,
        }
    }
}

/// What a command took.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    name: String,
    pid: u32,
    status: ExitStatus,
    wall: Duration,
    used: Used,
    peak: Peak,
    mean: Option<u64>,
    samples: u64,
    missed: u64,
}

impl Summary {
    /// Of the command `name` that `begun` so and ended at `end`, by what its process has used in all.
    pub fn new(
        name: String,
        pid: u32,
        status: ExitStatus,
        (begun, end): (&Begun, u64),
        used: Used,
        seen: &Seen,
    ) -> Self {
        Self {
            name,
            pid,
            status,
            wall: Duration::from_nanos(end.saturating_sub(begun.time)),
            used: used.since(begun.used),
            peak: Peak::of(begun, &used),
            mean: seen.mean(end),
            samples: seen.samples(),
            missed: seen.gaps(),
        }
    }

    /// Takes the number of rounds of the command from the module's own count, which includes rounds missed after the last sample.
    pub fn instants(mut self, instants: u64) -> Self {
        self.missed = self.missed.max(instants.saturating_sub(self.samples));
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Used { user, system, minflt, majflt, .. } = self.used;
        writeln!(f, "taskmon: {}, PID {}", self.name, self.pid)?;
        let mut line = |key: &str, value: &str| writeln!(f, "{key:>9}  {value}");
        if let Some(how) = how(self.status) {
            line("status", &how)?;
        }
        line("wall", &time(self.wall))?;
        line("user", &time(user))?;
        line("system", &time(system))?;
        if !self.wall.is_zero() {
            line("CPU", &format!("{:.1} %", 100.0 * (user + system).as_secs_f64() / self.wall.as_secs_f64()))?;
        }
        match self.peak {
            Peak::Exactly(peak) => line("peak RSS", &bytes(peak))?,
            Peak::AtMost(peak) => line("peak RSS", &format!("at most {}", bytes(peak)))?,
            Peak::Unknown => line("peak RSS", "unknown")?,
        }
        if let Some(mean) = self.mean {
            line("mean RSS", &bytes(mean))?;
        }
        line("faults", &format!("{minflt} minor, {majflt} major"))?;
        line("samples", &format!("{}, {} missed", self.samples, self.missed))
    }
}

/// How a command ended, if that was no success.
fn how(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit {code}")),
        (None, signal) => {
            let number = signal.unwrap_or(0);
            // nix knows no real-time signals.
            let name = Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.to_string());
            Some(format!("killed by {name}{}", if status.core_dumped() { ", core dumped" } else { "" }))
        }
    }
}

/// A time to the millisecond.
pub fn time(time: Duration) -> String {
    // What is rounded up to a minute is one.
    let ms = (time.as_nanos() + 500_000) / 1_000_000;
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    let seconds = format!("{}.{:03} s", rest / 1000, rest % 1000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes} min {seconds}"),
        (hours, minutes) => format!("{hours} h {minutes} min {seconds}"),
    }
}

/// The exit status of a shell for that of a command.
pub fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn sample(seq: u64, second: u64, rss: u64) -> Sample {
        let users = u8::from(rss > 0);
        let line = format!(
            "pid 7 usr 0 sys 0 time {second}000000000 rss {rss} minflt 0 majflt 0 mm_users {users} state S seq {seq} start 9"
        );
        Sample::parse(line.as_bytes()).unwrap()
    }

    fn seen(samples: &[Sample]) -> Seen {
        let mut seen = Seen::new(Begun { time: 5_000_000_000, found: 5_000_000_000, used: Used::default() });
        samples.iter().for_each(|sample| seen.take(sample));
        seen
    }

    #[test]
    fn statuses() {
        for c in 0..=255 {
            assert_eq!(i32::from(code(exited(c))), c);
        }
        for signal in 1..=64 {
            assert_eq!(i32::from(code(ExitStatus::from_raw(signal))), 128 + signal);
            assert_eq!(i32::from(code(ExitStatus::from_raw(signal | 0x80))), 128 + signal, "with a core");
        }
    }

    #[test]
    fn ends_for_people() {
        assert_eq!(how(exited(0)), None);
        assert_eq!(how(exited(3)).unwrap(), "exit 3");
        assert_eq!(how(ExitStatus::from_raw(15)).unwrap(), "killed by SIGTERM");
        assert_eq!(how(ExitStatus::from_raw(0x80 | 11)).unwrap(), "killed by SIGSEGV, core dumped");
        assert_eq!(how(ExitStatus::from_raw(40)).unwrap(), "killed by signal 40");
    }

    #[test]
    fn times_for_people() {
        let cases = [
            (0, "0.000 s"),
            (1_499_999, "0.001 s"),
            (1_500_000, "0.002 s"),
            (59_999_400_000, "59.999 s"),
            (59_999_600_000, "1 min 0.000 s"),
            (3_600_000_000_000, "1 h 0 min 0.000 s"),
            (90_061_001_000_000, "25 h 1 min 1.001 s"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(time(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn the_mean_is_over_time() {
        // The first is of the process before it was the command, the last of it after.
        let seen =
            seen(&[sample(0, 4, 900), sample(1, 6, 100), sample(2, 7, 200), sample(6, 10, 400), sample(7, 11, 0)]);
        assert_eq!((seen.samples(), seen.alive(), seen.gaps()), (4, 4, 3));
        assert_eq!(seen.mean(99_000_000_000), Some((100 + 3 * 200 + 400) / 5));
    }

    #[test]
    fn the_last_sample_lasts_until_the_end() {
        let seen = seen(&[sample(0, 4, 900), sample(1, 6, 100), sample(2, 7, 200)]);
        assert_eq!(seen.mean(10_000_000_000), Some((100 + 3 * 200) / 4));
        assert_eq!(seen.mean(7_000_000_000), Some(100));
    }

    #[test]
    fn few_samples() {
        assert_eq!(seen(&[]).mean(9), None);
        assert_eq!(seen(&[sample(0, 4, 900)]).mean(9_000_000_000), None);
        assert_eq!(seen(&[sample(0, 4, 900), sample(1, 6, 100)]).mean(6_000_000_000), Some(100));
        assert_eq!(seen(&[sample(2, 6, 100)]).gaps(), 2);
        assert_eq!(seen(&[sample(2, 4, 100), sample(4, 6, 100)]).gaps(), 1, "what was before is none of the command");
    }

    fn summary(status: ExitStatus, peak: u64, samples: &[Sample]) -> Summary {
        let (user, system) = (Duration::from_millis(1500), Duration::from_millis(250));
        let before = Used { user: system, system, minflt: 100, majflt: 1, peak: MIB / 2 };
        let begun = Begun { time: 5_000_000_000, found: 5_000_000_000, used: before };
        let used = Used { user: user + system, system: 2 * system, minflt: 1334, majflt: 1, peak };
        Summary::new("sort".to_owned(), 7, status, (&begun, 7_000_000_000), used, &seen(samples))
    }

    #[test]
    fn golden() {
        let samples = [sample(0, 4, 3 * MIB), sample(1, 5, 4 * MIB), sample(3, 6, 8 * MIB)];
        assert_eq!(
            summary(exited(0), 10 * MIB, &samples).to_string(),
            "\
taskmon: sort, PID 7
     wall  2.000 s
     user  1.500 s
   system  0.250 s
      CPU  87.5 %
 peak RSS  10.0MiB
 mean RSS  6.0MiB
   faults  1234 minor, 0 major
  samples  2, 1 missed
"
        );
        assert_eq!(
            summary(exited(2), MIB / 2, &samples[..1]).instants(8).to_string(),
            "\
taskmon: sort, PID 7
   status  exit 2
     wall  2.000 s
     user  1.500 s
   system  0.250 s
      CPU  87.5 %
 peak RSS  at most 512.0KiB
   faults  1234 minor, 0 major
  samples  0, 8 missed
"
        );
        assert_eq!(summary(exited(0), 0, &samples).instants(2).missed, 1, "counted before the last samples came");
    }

    #[test]
    fn a_peak_before_the_command_is_none_of_it() {
        let peak = |peak| summary(exited(0), peak, &[]).peak;
        assert_eq!(peak(100 * MIB), Peak::Exactly(100 * MIB));
        assert_eq!(peak(MIB / 2), Peak::AtMost(MIB / 2), "its process had as much before");
        assert_eq!(peak(MIB / 2 + 4096), Peak::AtMost(MIB / 2 + 4096), "within what the kernel sums up late");
        assert_eq!(peak(0), Peak::Unknown);
        assert_eq!((peak(100 * MIB).exact(), peak(MIB / 2).exact(), peak(0).exact()), (Some(100 * MIB), None, None));
        let text = summary(exited(0), 0, &[]).to_string();
        assert!(text.contains(" peak RSS  unknown\n"), "{text}");
    }
}
