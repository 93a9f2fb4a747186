// SPDX-License-Identifier: GPL-2.0

//! What the unit tests share. They are built where `CONFIG_KUNIT` is `y`, and run behind the load.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::{
    monitor::Monitor,
    params::Settings,
    sample::{
        Block,
        Object,
        Sample, //
    },
    wrappers::{
        mempool::Pool,
        mm::DropBatch,
        slab, //
    },
};

/// A task that is always there, with one thread: `kthreadd`.
pub(crate) const KTHREADD: i32 = 2;

/// Another one: the first process.
pub(crate) const INIT: i32 = 1;

/// A PID that no task has.
pub(crate) const NOBODY: i32 = i32::MAX;

/// Numbers without a pattern, but the same in each run: xorshift64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    /// A number of any size: short ones are as likely as long ones.
    pub(crate) fn any_size(&mut self) -> u64 {
        let shift = self.below(64);
        self.any() >> shift
    }
}

/// A sample with the longest values that there can be. (`rss` is in pages, and shown in bytes modulo
/// 2^64.)
pub(crate) fn extreme() -> Sample {
    Sample {
        seq: u64::MAX,
        time: u64::MAX,
        usr: u64::MAX,
        sys: u64::MAX,
        rss: (1 << 56) - 1,
        minflt: u64::MAX,
        majflt: u64::MAX,
        mm_users: u32::MAX,
        state: b'X',
    }
}

/// A pool of blocks that has nothing to do with the module's own.
pub(crate) fn pool() -> Result<Arc<Pool<Block>>> {
    let cache = slab::Cache::<Object>::new(c"task_sample_test", slab::Flags::NO_MERGE)?;
    Pool::new(cache, 1)
}

/// Instants so far apart that none passes during a test; up to three tasks.
pub(crate) fn settings() -> Settings {
    Settings {
        period_us: 3_600_000_000,
        max_samples: 100,
        max_tasks: 3,
        max_mib: 1,
        reserve: 1,
        sampling: true,
    }
}

impl Monitor {
    /// Samples living tasks at `instant`, a bounded number of them from number `from` on. Returns
    /// the number to go on with, if there are more.
    pub(crate) fn sample_batch(&self, from: u64, instant: u64) -> Option<u64> {
        self.continue_round(from, instant, &mut DropBatch::new())
    }
}

/// A monitor that nobody samples but the test.
pub(crate) fn monitor() -> Result<Arc<Monitor>> {
    let settings = settings();
    Arc::pin_init(Monitor::new(pool()?, 1024, &settings), GFP_KERNEL)
}

/// Samples all tasks at instant after instant, until each of the first `tasks` has `blocks` blocks. Returns the
/// last instant, and for each the number that follows the last sample of each block.
pub(crate) fn fill(monitor: &Monitor, tasks: u64, blocks: usize) -> Result<(u64, KVec<[u64; 4]>)> {
    monitor.set_max_samples(1 << 24);
    // (More than it ever takes.)
    for instant in 1..10_000 {
        monitor.sample_batch(0, instant);
        let (mut ends, mut full) = (KVec::new(), true);
        for number in 0..tasks {
            let (count, of_task) = monitor.set().get(number).ok_or(ENOENT)?.history.ends();
            ends.push(of_task, GFP_KERNEL)?;
            full &= count == blocks;
        }
        if full {
            return Ok((instant, ends));
        }
    }
    Err(ETIMEDOUT)
}
