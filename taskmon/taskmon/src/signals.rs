// SPDX-License-Identifier: GPL-2.0-only

//! SIGINT and its like, for what goes on until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use procfs::process::Process;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use crate::Failure;

/// Whether a signal has asked to stop. The first is a request, so that no record is left half; the second, which comes
/// when somebody has lost patience, ends the process as it would have without this.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on. A SIGHUP that is ignored stays so: that is what nohup is for. SIGINT does not: a shell without job control
    /// ignores it for all that it starts in the background, where a script stops it by just that.
    pub fn new() -> Result<Self, Failure> {
        let stop = Self::default();
        // (Where that cannot be read, none is.)
        let ignored = Process::myself().and_then(|process| process.status()).map_or(0, |status| status.sigign);
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            if signal == SIGHUP && (ignored >> (signal - 1)) & 1 != 0 {
                continue;
            }
            // In this order: the first signal must not find the flag set.
            flag::register_conditional_default(signal, Arc::clone(&stop.0))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.0)))
                .map_err(|e| Failure::other("cannot handle signals", e))?;
        }
        Ok(stop)
    }

    /// Asks to stop, as a signal does.
    #[cfg(test)]
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
