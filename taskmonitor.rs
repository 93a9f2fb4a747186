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
//!   debugfs::Files           four files; each opening of one has a Cursor, a Follower (they hold
//!                            the blocks on which they stand), a Tasks, or a StatsReader
//!   kobject::BinAttribute    the file in sysfs
//!   kthread::Registration    the sampling thread
//!   shrinker::Registration   reclaim takes blocks
//!   Arc<Monitor>
//!     Control                tasks by PID
//!     Set                    tasks by number
//!       Monitored            the task (not its number), and
//!         History            its Blocks of samples, one reference on each
//!     Arc<Pool>              the mempool; each Block holds a reference on it
//!       slab::Cache          the kmem_cache `task_sample`
//! ```
//!
//! # Locks
//!
//! ```text
//! lock of an open file (seq_file, kernfs) -> parameter lock
//!   -> Monitor::control (mutex) -> Monitor::set (spinlock)
//!     -> stats_lock, alloc_lock of a monitored task; lock of the mempool, of the slab cache
//! ```
//!
//! Reclaim may enter the shrinker in any allocation that sleeps, and waits there for `Monitor::set`:
//! under that lock nothing is allocated that may sleep. Samples inside a block are written under
//! `Monitor::set`, and read under no lock.
//!
//! # Contexts
//!
//! The sampling thread, the shrinker, and readers and writers of the files are all in process context;
//! no interrupt handler takes any of our locks.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::wrappers::{
    kobject,
    kthread,
    mempool::Pool,
    slab, //
};

/// The version, as `modinfo` and `taskmonitor_stats` show it.
macro_rules! version {
    () => {
        "0.1.0"
    };
}

mod codec;
mod command;
mod cputime;
mod debugfs;
mod follow;
mod grid;
mod heap;
mod monitor;
mod params;
mod reader;
mod sample;
mod sampler;
mod set;
mod shrinker;
mod stats;
mod sysfs;
mod table;
#[cfg(CONFIG_KUNIT = "y")]
mod testing;
mod text;
mod wrappers;

modinfo!("version=", version!());

module! {
    type: TaskMonitor,
    name: "taskmonitor",
    authors: ["The taskmonitor authors"],
    description: "A flight recorder for tasks",
    license: "GPL",
}

/// The loaded module.
///
/// The order of the fields is the order of teardown, and bears load: first nobody can reach the
/// monitor from outside, then the thread ends, then reclaim, then the monitor goes, and with it tasks,
/// blocks, pool and cache.
struct TaskMonitor {
    _params: params::Registration,
    _files: Option<debugfs::Files>,
    _attribute: kobject::BinAttribute<sysfs::File>,
    _sampler: kthread::Registration<monitor::Monitor>,
    _shrinker: wrappers::shrinker::Registration<monitor::Monitor>,
    _monitor: Arc<monitor::Monitor>,
}

impl kernel::Module for TaskMonitor {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let (targets, settings) = params::at_load(module);
        let cache = slab::Cache::<sample::Object>::new(
            c"task_sample",
            slab::Flags::RECLAIM_ACCOUNT | slab::Flags::NO_MERGE,
        )?;
        let pool = Pool::new(cache, settings.reserve)?;
        let ksize = pool.ksize(sample::Block::empty())?;
        let monitor = Arc::pin_init(monitor::Monitor::new(pool, ksize, &settings), GFP_KERNEL)?;
        let shrinker = wrappers::shrinker::Registration::new(
            shrinker::NAME,
            shrinker::SEEKS,
            monitor.clone(),
        )?;
        for pid in targets.pids() {
            match monitor.add(*pid) {
                // The same PID twice counts once.
                Err(error) if error != EEXIST => return Err(error),
                _ => (),
            }
        }
        let sampler = kthread::Registration::new(sampler::NAME, monitor.clone())?;
        let attribute = kobject::BinAttribute::new_kernel(
            sysfs::NAME,
            sysfs::MODE,
            Arc::new(sysfs::File::new(monitor.clone()), GFP_KERNEL)?,
        )?;
        let files = match debugfs::Files::new(module, &monitor) {
            Ok(files) => Some(files),
            Err(error) if error == EPERM || error == ENODEV => {
                pr_warn!("debugfs is not available: only /sys/kernel/taskmonitor is created\n");
                None
            }
            Err(error) => return Err(error),
        };
        let params = params::Registration::new(module, &settings, &monitor)?;

        pr_debug!("version {}\n", version!());
        Ok(Self {
            _params: params,
            _files: files,
            _attribute: attribute,
            _sampler: sampler,
            _shrinker: shrinker,
            _monitor: monitor,
        })
    }
}
