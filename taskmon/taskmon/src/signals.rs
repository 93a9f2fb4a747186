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

/// Which signals are ignored.
#[derive(Clone, Copy, Debug)]
pub struct Ignored(u64);

impl Ignored {
    /// Now.
    pub fn new() -> Result<Self, Failure> {
        let status = Process::myself().and_then(|process| process.status());
        status.map(|status| Self(status.sigign)).map_err(|e| Failure::other("cannot read /proc/self/status", e))
    }

    /// Whether the signal with this number is.
    pub fn has(self, signal: i32) -> bool {
        u32::try_from(signal - 1).is_ok_and(|bit| self.0.checked_shr(bit).is_some_and(|bits| bits & 1 == 1))
    }
}

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
        let hup_ignored = Ignored::new().is_ok_and(|ignored| ignored.has(SIGHUP));
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| signal != SIGHUP || !hup_ignored) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored() {
        // SIGHUP and SIGTERM.
        let ignored = Ignored(1 | (1 << 14));
        assert!(ignored.has(SIGHUP) && ignored.has(SIGTERM) && !ignored.has(SIGINT));
        assert!(!ignored.has(0) && !ignored.has(64) && !ignored.has(65) && !ignored.has(-1));
    }
}
