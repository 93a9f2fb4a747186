// SPDX-License-Identifier: GPL-2.0-only

//! A client for the Linux kernel module taskmonitor.
//!
//! The module is a flight recorder for tasks: it samples the CPU times, memory and state of each
//! monitored task into a bounded history in the kernel. [`Monitor`] is the entry point. [`Follow`]
//! reads the samples of all tasks as they are taken. [`Sample`] and [`Task`] are parsed lines of the
//! module's files, and [`Command`] is a command that the module accepts.
//!
//! This crate never changes the view filter (`print PID`) of the module. The filter belongs to
//! people who read the files by hand.
//!
//! ```no_run
//! use taskmonitor::{Command, Monitor, Root};
//!
//! # fn main() -> Result<(), taskmonitor::Error> {
//! let monitor = Monitor::open(Root::default())?;
//! monitor.send(Command::Add(267))?;
//! let mut follow = monitor.follow()?;
//! while follow.wait(None)? {
//!     follow.read(|sample| println!("{} {} ns", sample.pid, sample.cpu()))?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All times are in nanoseconds and all memory sizes in bytes, as in the files of the module.

#![warn(unreachable_pub)]

mod command;
mod error;
mod follow;
mod line;
mod monitor;
mod root;
mod sample;
mod task;

pub use command::Command;
pub use error::Error;
pub use error::LineError;
pub use error::Reason;
pub use follow::Follow;
pub use monitor::Monitor;
pub use root::Root;
pub use sample::Id;
pub use sample::Sample;
pub use sample::State;
pub use task::Task;
pub use task::readable;
