// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use core::num::NonZeroU32;

use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

use crate::{
    command::parse_pid,
    monitor::Monitor,
    wrappers::module_param::{
        self,
        Locked,
        LockedCell,
        Parameter, //
    },
};

/// Most PIDs in `target`.
const MAX_TARGETS: usize = 128;

/// `period_us` can be from a sample in 100 us to one in an hour.
const PERIOD_US: core::ops::RangeInclusive<u32> = 100..=3_600_000_000;

static PERIOD: Atomic<u32> = Atomic::new(1_000_000);

/// `period_us` as it was last set.
fn period() -> NonZeroU32 {
    NonZeroU32::new(PERIOD.load(Relaxed)).unwrap_or(NonZeroU32::MIN)
}

static TARGETS: LockedCell<Targets> = LockedCell::new(Targets {
    pids: [0; MAX_TARGETS],
    len: 0,
});

/// The monitor, from the end of loading to the beginning of unloading: the files of the parameters
/// are there before and behind that.
static LIVE: LockedCell<Option<Arc<Monitor>>> = LockedCell::new(None);

/// The tasks that are monitored from load on.
#[derive(Clone, Copy)]
pub(crate) struct Targets {
    pids: [i32; MAX_TARGETS],
    len: usize,
}

impl Targets {
    /// The PIDs, in the order in which they were given.
    pub(crate) fn pids(&self) -> &[i32] {
        self.pids.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Display for Targets {
    /// As the parameter is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pid) in self.pids().iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator}{pid}")?;
        }
        Ok(())
    }
}

struct Target;

impl Parameter for Target {
    fn set(value: &CStr, lock: &mut Locked) -> Result {
        let mut targets = Targets {
            pids: [0; MAX_TARGETS],
            len: 0,
        };
        for item in value.to_bytes().split(|byte| *byte == b',') {
            let place = targets.pids.get_mut(targets.len).ok_or(EINVAL)?;
            *place = parse_pid(item)?;
            targets.len += 1;
        }
        TARGETS.replace(lock, targets);
        Ok(())
    }

    fn get(lock: &mut Locked, item: &mut dyn FnMut(u64)) {
        for pid in TARGETS.get(lock).pids() {
            item(u64::from(pid.unsigned_abs()));
        }
    }
}

struct PeriodUs;

impl Parameter for PeriodUs {
    fn set(value: &CStr, lock: &mut Locked) -> Result {
        let period_us = module_param::parse_uint(value)?;
        if !PERIOD_US.contains(&period_us) {
            return Err(EINVAL);
        }
        PERIOD.store(period_us, Relaxed);
        if let Some(monitor) = LIVE.get(lock) {
            monitor.set_period(period());
        }
        Ok(())
    }

    fn get(_: &mut Locked, item: &mut dyn FnMut(u64)) {
        item(u64::from(PERIOD.load(Relaxed)));
    }
}

crate::parameter!(
    "target": Target, 0o400, "array of int",
    "PIDs of tasks to be monitored from load on (at most 128)"
);

crate::parameter!(
    "period_us": PeriodUs, 0o644, "uint",
    "time between two samples of a task, in microseconds (default 1000000, 100 to 3600000000)"
);

/// The parameters as they were given at load.
pub(crate) struct AtLoad {
    pub(crate) targets: Targets,
    pub(crate) period_us: NonZeroU32,
}

/// Reads the parameters. Context: may sleep.
pub(crate) fn at_load(module: &'static ThisModule) -> AtLoad {
    module_param::with_lock(module, |lock| AtLoad {
        targets: *TARGETS.get(lock),
        period_us: period(),
    })
}

/// While this lives, parameters that are written take effect on the monitor.
pub(crate) struct Registration(&'static ThisModule);

impl Registration {
    /// `read` is what the monitor was made with. Context: may sleep.
    pub(crate) fn new(module: &'static ThisModule, read: &AtLoad, monitor: Arc<Monitor>) -> Self {
        module_param::with_lock(module, |lock| {
            // Its file may have been written to since it was read.
            if period() != read.period_us {
                monitor.set_period(period());
            }
            LIVE.replace(lock, Some(monitor))
        });
        Self(module)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let monitor = module_param::with_lock(self.0, |lock| LIVE.replace(lock, None));
        drop(monitor);
    }
}
