// SPDX-License-Identifier: GPL-2.0

//! What is in force, and what the module has done and holds since it was loaded.
//!
//! `/sys/kernel/debug/taskmonitor_stats` shows it: a `key value` pair a line. Nothing is counted for it
//! while tasks are sampled, but for the rounds: the counts of samples are added up when somebody reads
//! them, from those that each history keeps anyway.

use core::mem::size_of;

use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

use crate::{
    codec,
    monitor::Monitor,
    params,
    params::{
        List,
        Settings,
        Targets, //
    },
    sample,
    sample::{
        Counts,
        Sample, //
    },
    text::Line, //
};

/// Counts of rounds.
pub(crate) struct Rounds {
    /// The rounds that were begun.
    pub(crate) done: u64,
    /// The instants without a round, though there were living tasks.
    pub(crate) missed: u64,
    /// The last instant that is counted, or need not be.
    last: u64,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self {
            done: 0,
            missed: 0,
            last: 0,
        }
    }

    /// Notes that there was nothing to sample at the instants up to `instant`.
    pub(crate) fn skip_to(&mut self, instant: u64) {
        self.last = self.last.max(instant);
    }

    /// Counts the instants up to `instant` as missed, unless they are counted already.
    pub(crate) fn miss_to(&mut self, instant: u64) {
        self.missed = self
            .missed
            .saturating_add(instant.saturating_sub(self.last));
        self.skip_to(instant);
    }

    /// Counts the round of `instant`, and those before it as missed.
    pub(crate) fn begin(&mut self, instant: u64) {
        if instant > self.last {
            self.miss_to(instant.saturating_sub(1));
            self.skip_to(instant);
            self.done = self.done.saturating_add(1);
        }
    }
}

/// What became of the samples of all tasks together. `taken` is the sum of the first three and of `removed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// In memory now.
    pub(crate) samples: u64,
    /// Dropped to make room.
    pub(crate) evicted: u64,
    /// Given back through the shrinker.
    pub(crate) reclaimed: u64,
    /// Dropped because their task was removed.
    pub(crate) removed: u64,
    /// Ever recorded.
    pub(crate) taken: u64,
    /// Instants without a sample.
    pub(crate) missed: u64,
}

impl Totals {
    /// Adds the counts of a task.
    pub(crate) fn add(&mut self, counts: &Counts, missed: u64) {
        // None of these wraps: nobody takes 2^64 samples.
        self.samples = self.samples.wrapping_add(counts.samples);
        self.evicted = self.evicted.wrapping_add(counts.evicted);
        self.reclaimed = self.reclaimed.wrapping_add(counts.reclaimed);
        self.taken = self.taken.wrapping_add(counts.taken);
        self.missed = self.missed.wrapping_add(missed);
    }

    /// Adds the counts of a task that is removed, and with it the samples that it has.
    pub(crate) fn remove(&mut self, counts: &Counts, missed: u64) {
        let kept = Counts {
            samples: 0,
            ..*counts
        };
        self.add(&kept, missed);
        self.removed = self.removed.wrapping_add(counts.samples);
    }
}

/// What the monitor has done, and holds.
pub(crate) struct Activity {
    pub(crate) rounds: u64,
    pub(crate) rounds_missed: u64,
    pub(crate) tasks: usize,
    pub(crate) living: usize,
    pub(crate) totals: Totals,
    pub(crate) blocks: usize,
    /// The bytes that the allocator sets aside for a block.
    pub(crate) block_size: usize,
    /// The bytes of what is kept of the tasks beside their blocks.
    pub(crate) table_bytes: usize,
    pub(crate) followers: usize,
    /// The bytes of their places.
    pub(crate) follower_bytes: usize,
    /// What the sampling thread has run for, in nanoseconds.
    pub(crate) runtime: u64,
    pub(crate) sampling: bool,
}

/// What `taskmonitor_stats` is about.
pub(crate) struct Source {
    module: &'static ThisModule,
    monitor: Arc<Monitor>,
}

impl Source {
    pub(crate) fn new(module: &'static ThisModule, monitor: Arc<Monitor>) -> Self {
        Self { module, monitor }
    }
}

/// All that the file shows, as it was at one moment.
pub(crate) struct Stats {
    targets: Targets,
    settings: Settings,
    activity: Activity,
}

impl Stats {
    /// Looks at all of it now. Goes through all tasks.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn of(source: &Source) -> Self {
        let (targets, settings) = params::in_force(source.module);
        Self {
            targets,
            settings,
            activity: source.monitor.activity(),
        }
    }

    /// Calls `out` with each line, the newline included.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a line is too long.
    pub(crate) fn lines(&self, line: &mut Line, mut out: impl FnMut(&[u8])) -> Result {
        line.clear();
        line.text("version ").text(version!()).text("\n").check()?;
        out(line.bytes());

        // They may be longer than any other line, so they are written in pieces.
        out(b"target ");
        match self.targets.pids() {
            [] => out(b"none"),
            pids => {
                for (i, pids) in pids.chunks(32).enumerate() {
                    line.clear();
                    line.text(if i == 0 { "" } else { "," });
                    fmt::Write::write_fmt(line, fmt!("{}", List(pids))).map_err(|_| EINVAL)?;
                    out(line.bytes());
                }
            }
        }
        out(b"\n");

        let Settings {
            period_us,
            max_samples,
            max_tasks,
            max_mib,
            reserve,
            ..
        } = self.settings;
        for (key, value) in [
            ("period_us", period_us),
            ("max_samples", max_samples),
            ("max_tasks", max_tasks),
            ("max_mib", max_mib),
            ("reserve", reserve),
        ] {
            pair(line, key, value.into(), &mut out)?;
        }
        line.clear();
        line.text("sampling ");
        line.letter(if self.activity.sampling { b'Y' } else { b'N' });
        line.text("\n").check()?;
        out(line.bytes());

        // CAST: To a type as wide, all of these.
        let (fewest, most) = sample::BLOCK_SAMPLES;
        for (key, value) in [
            ("sample_sizeof", size_of::<Sample>()),
            ("sample_packed_min", codec::LEAST),
            ("sample_packed_max", codec::MOST),
            ("block_sizeof", sample::BLOCK_SIZE),
            ("block_ksize", self.activity.block_size),
            ("block_samples_min", fewest),
            ("block_samples_max", most),
        ] {
            pair(line, key, value as u64, &mut out)?;
        }

        let Activity { totals, .. } = &self.activity;
        for (key, value) in [
            ("rounds", self.activity.rounds),
            ("rounds_missed", self.activity.rounds_missed),
            ("tasks", self.activity.tasks as u64),
            ("living", self.activity.living as u64),
            ("samples", totals.samples),
            ("taken", totals.taken),
            ("evicted", totals.evicted),
            ("reclaimed", totals.reclaimed),
            ("removed", totals.removed),
            ("missed", totals.missed),
            ("blocks", self.activity.blocks as u64),
            ("block_bytes", self.block_bytes() as u64),
            ("other_bytes", self.other_bytes() as u64),
            ("followers", self.activity.followers as u64),
            ("follower_bytes", self.activity.follower_bytes as u64),
            ("runtime", self.activity.runtime),
        ] {
            pair(line, key, value, &mut out)?;
        }
        Ok(())
    }

    /// The bytes of the blocks that are in use.
    fn block_bytes(&self) -> usize {
        let Activity {
            blocks, block_size, ..
        } = self.activity;
        blocks.saturating_mul(block_size)
    }

    /// The bytes of all else: what is kept of the tasks, the places of followers, and the reserve when it is full.
    fn other_bytes(&self) -> usize {
        // Each block of the reserve has a pointer to it. CAST: To a wider type.
        let reserved = self.activity.block_size.saturating_add(size_of::<usize>());
        let reserve = (self.settings.reserve as usize).saturating_mul(reserved);
        reserve
            .saturating_add(self.activity.table_bytes)
            .saturating_add(self.activity.follower_bytes)
    }
}

/// Calls `out` with a line.
fn pair(line: &mut Line, key: &str, value: u64, out: &mut impl FnMut(&[u8])) -> Result {
    line.clear();
    line.text(key).text(" ").number(value).text("\n").check()?;
    out(line.bytes());
    Ok(())
}

#[kunit_tests(taskmonitor_stats)]
mod tests {
    use super::*;

    use crate::testing::settings;

    fn of(rounds: &Rounds) -> (u64, u64) {
        (rounds.done, rounds.missed)
    }

    #[test]
    fn instants_between_two_rounds_are_missed() {
        let mut rounds = Rounds::new();
        rounds.begin(1);
        rounds.begin(2);
        assert_eq!(of(&rounds), (2, 0));
        rounds.begin(5);
        assert_eq!(of(&rounds), (3, 2));
        // A round is counted once.
        rounds.begin(5);
        rounds.begin(3);
        assert_eq!(of(&rounds), (3, 2));
    }

    #[test]
    fn instants_without_living_tasks_do_not_count() {
        let mut rounds = Rounds::new();
        rounds.skip_to(100);
        rounds.begin(101);
        assert_eq!(of(&rounds), (1, 0));
        rounds.skip_to(200);
        // That of the instant at which a task was added is its first sample.
        rounds.begin(200);
        assert_eq!(of(&rounds), (1, 0));
        rounds.begin(203);
        assert_eq!(of(&rounds), (2, 2));
    }

    #[test]
    fn instants_before_a_new_grid_are_missed_once() {
        let mut rounds = Rounds::new();
        rounds.begin(1);
        rounds.miss_to(4);
        rounds.miss_to(4);
        rounds.miss_to(2);
        assert_eq!(of(&rounds), (1, 3));
        rounds.begin(5);
        assert_eq!(of(&rounds), (2, 3));
    }

    const COUNTS: Counts = Counts {
        samples: 10,
        taken: 100,
        evicted: 60,
        reclaimed: 30,
    };

    #[test]
    fn totals_add_up() {
        let mut totals = Totals::default();
        totals.add(&COUNTS, 7);
        assert_eq!((totals.samples, totals.removed), (10, 0));
        totals.remove(&COUNTS, 1);
        assert_eq!((totals.samples, totals.removed), (10, 10));
        assert_eq!((totals.evicted, totals.reclaimed), (120, 60));
        assert_eq!((totals.taken, totals.missed), (200, 8));
        let sum = totals.samples + totals.evicted + totals.reclaimed + totals.removed;
        assert_eq!(sum, totals.taken);
    }

    /// The longest values that there can be.
    fn extreme() -> Stats {
        const MOST: u64 = u64::MAX;
        let totals = Totals {
            samples: MOST,
            evicted: MOST,
            reclaimed: MOST,
            removed: MOST,
            taken: MOST,
            missed: MOST,
        };
        Stats {
            targets: Targets::longest(),
            settings: Settings {
                reserve: 4096,
                ..settings()
            },
            activity: Activity {
                rounds: MOST,
                rounds_missed: MOST,
                tasks: usize::MAX,
                living: usize::MAX,
                totals,
                blocks: usize::MAX,
                block_size: usize::MAX,
                table_bytes: usize::MAX,
                followers: usize::MAX,
                follower_bytes: usize::MAX,
                runtime: MOST,
                sampling: true,
            },
        }
    }

    #[test]
    fn each_line_is_a_pair() -> Result {
        let (mut line, mut text) = (Line::new(), KVec::new());
        let mut pushed = Ok(());
        extreme().lines(&mut line, |part| {
            if let Err(error) = text.extend_from_slice(part, GFP_KERNEL) {
                pushed = Err(error);
            }
        })?;
        pushed?;
        // What `seq_file` begins with is enough for all of it.
        assert!(text.len() <= 4096);
        let mut lines = text.split(|byte| *byte == b'\n');
        for line in &mut lines {
            let blanks = line.iter().filter(|byte| **byte == b' ').count();
            assert!(line.is_empty() || blanks == 1);
        }
        assert!(text.starts_with(b"version 0."));
        assert!(text.ends_with(b"\nruntime 18446744073709551615\n"));
        let target = text.split(|byte| *byte == b'\n').nth(1);
        let target = target.and_then(|line| line.strip_prefix(b"target "));
        let longest = target.unwrap_or_default();
        assert!(longest.split(|byte| *byte == b',').count() == 128);
        assert!(longest
            .split(|byte| *byte == b',')
            .all(|pid| pid == b"2147483647"));
        Ok(())
    }
}
