// SPDX-License-Identifier: GPL-2.0

//! Thin safe wrappers over C interfaces that the `kernel` crate does not cover yet.
//!
//! All `unsafe` of this module lives below here. Each file is named as it would be in `rust/kernel`,
//! and knows nothing of monitoring.

pub(crate) mod append;
pub(crate) mod barrier;
pub(crate) mod debugfs;
pub(crate) mod hrtimer;
pub(crate) mod kobject;
pub(crate) mod kthread;
pub(crate) mod math;
pub(crate) mod mempool;
pub(crate) mod mm;
pub(crate) mod module_param;
pub(crate) mod pid;
pub(crate) mod seq_file;
pub(crate) mod shrinker;
pub(crate) mod slab;
pub(crate) mod task;
pub(crate) mod timekeeping;
