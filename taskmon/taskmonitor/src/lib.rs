// SPDX-License-Identifier: GPL-2.0-only

//! What the Linux kernel module taskmonitor says, and how to ask it.
//!
//! The module is a flight recorder for tasks: it samples CPU times, memory and state of each monitored task into a
//! bounded history in the kernel. This crate is its contract in types: [`Sample`] and [`Task`] are the lines that
//! it writes, [`Command`] is what it takes, [`Follow`] reads samples as they come, and [`Monitor`] holds all of that
//! together. Nothing here touches the choice of `print`, which belongs to whoever reads the files by hand.
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
//! All times are nanoseconds, all memory is bytes, as the module gives them.

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
