//! Signals: SIGINT and SIGTERM end a switch, SIGHUP has it read its file again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Outcome;

/// The flag that the first SIGINT or SIGTERM raises. The second ends the process.
pub(crate) fn stop_on_signals() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(Outcome::Failed as i32);
        }
    })?;
    Ok(stop)
}

/// SIGHUPs that have come and weren't taken.
pub(super) struct Hangups(SignalFd);

impl Hangups {
    /// Holds SIGHUP back in this thread and those that it starts from now on: call it before any is.
    pub(super) fn hold() -> nix::Result<Self> {
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        hangup.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&hangup, flags)?))
    }

    /// Whether one came since the last call.
    pub(super) fn take(&self) -> bool {
        let mut any = false;
        while let Ok(Some(_)) = self.0.read_signal() {
            any = true;
        }
        any
    }
}
