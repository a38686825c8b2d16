//! SIGINT and SIGTERM end the run in order: what was started is stopped, what was reserved given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{BenchError, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often what waits looks up.
pub(crate) const TICK: Duration = Duration::from_millis(20);

pub(crate) fn watch() -> Result<()> {
    let noted = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
    noted.map_err(|error| BenchError::process("signals", error))
}

/// An error once a signal came.
pub(crate) fn check() -> Result<()> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => Err(BenchError::Interrupted),
        false => Ok(()),
    }
}

/// Sleeps, but not beyond a signal.
pub(crate) fn sleep(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}
