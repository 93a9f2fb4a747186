// SPDX-License-Identifier: GPL-2.0

//! A flight recorder for tasks.
//!
//! A kernel thread samples CPU times, memory and state of each monitored task into a bounded history
//! that `/sys/kernel/debug/taskmonitor` shows. See the README for what a user sees.
//!
//! # Who owns what
//!
//! ```text
//! TaskMonitor (module)
//!   params::Registration     parameters that are written act on the monitor
//!   debugfs::File            the file; each opening has a Cursor, which holds one Block
//!   kthread::Registration    the sampling thread
//!   Arc<Monitor>
//!     Control, Set           tasks by number, and by PID
//!       Monitored            the task (not its number), and
//!         History            its Blocks of samples, one reference on each
//!     Arc<Pool>              the mempool; each Block holds a reference on it
//!       slab::Cache          the kmem_cache `task_sample`
//! ```
//!
//! # Locks
//!
//! ```text
//! parameter lock -> Monitor::control (mutex) -> Monitor::set (spinlock)
//!   -> stats_lock, alloc_lock of a monitored task; lock of the mempool, of the slab cache
//! ```
//!
//! Memory that may take reclaim to get is allocated under no spinlock. Samples inside a block are
//! written under `Monitor::set`, and read under no lock.
//!
//! # Contexts
//!
//! The sampling thread, and readers and writers of the files, are all in process context; no
//! interrupt handler takes any of our locks.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::wrappers::{
    kthread,
    mempool::Pool,
    slab, //
};

mod command;
mod cputime;
mod debugfs;
mod grid;
mod monitor;
mod params;
mod sample;
mod sampler;
mod wrappers;

/// The version, as `modinfo` and the kernel log show it.
macro_rules! version {
    () => {
        "0.1.0"
    };
}

modinfo!("version=", version!());

module! {
    type: TaskMonitor,
    name: "taskmonitor",
    authors: ["The taskmonitor authors"],
    description: "A flight recorder for tasks",
    license: "GPL",
}

/// Blocks of samples that the mempool keeps back.
const RESERVE: u32 = 64;

/// The loaded module.
///
/// The order of the fields is the order of teardown, and bears load: first nobody can reach the
/// monitor from outside, then the thread ends, then the monitor goes, and with it tasks, blocks, pool
/// and cache.
struct TaskMonitor {
    _params: params::Registration,
    _file: Option<wrappers::debugfs::File<monitor::Monitor>>,
    _sampler: kthread::Registration<monitor::Monitor>,
    _monitor: Arc<monitor::Monitor>,
}

impl kernel::Module for TaskMonitor {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let at_load = params::at_load(module);
        let (targets, period_us) = (&at_load.targets, at_load.period_us);
        let cache = slab::Cache::<sample::Object>::new(
            c"task_sample",
            slab::Flags::RECLAIM_ACCOUNT | slab::Flags::NO_MERGE,
        )?;
        let pool = Pool::new(cache, RESERVE)?;
        let ksize = pool.ksize(sample::Block::empty())?;
        let monitor = Arc::pin_init(monitor::Monitor::new(pool, period_us), GFP_KERNEL)?;
        for pid in targets.pids() {
            match monitor.add(*pid) {
                // The same PID twice counts once.
                Err(error) if error != EEXIST => return Err(error),
                _ => (),
            }
        }
        let sampler = kthread::Registration::new(sampler::NAME, monitor.clone())?;
        let params = params::Registration::new(module, &at_load, monitor.clone());

        // The last step that can fail (see there).
        let file =
            wrappers::debugfs::File::new(debugfs::NAME, debugfs::MODE, module, monitor.clone());
        let file = match file {
            Ok(file) => Some(file),
            Err(error) if error == EPERM => {
                pr_warn!("debugfs is off: its files are not there\n");
                None
            }
            Err(error) => return Err(error),
        };

        pr_info!(
            "version {}, period_us {}, max_samples {}, max_tasks {}, reserve {}\n",
            version!(),
            period_us.get(),
            monitor::MAX_SAMPLES,
            monitor::MAX_TASKS,
            RESERVE
        );
        if !targets.pids().is_empty() {
            pr_info!("target {}\n", targets);
        }
        let (sample_size, block_size, samples) = sample::SIZES;
        pr_info!(
            "a sample: sizeof {}; a block: sizeof {}, ksize {}, {} samples\n",
            sample_size,
            block_size,
            ksize,
            samples
        );
        Ok(Self {
            _params: params,
            _file: file,
            _sampler: sampler,
            _monitor: monitor,
        })
    }
}
