//! The switch alone, with ports that replay.

use std::time::{Duration, Instant};

use super::sample::Sample;
use super::scene::Stage;
use crate::host::interrupt;
use crate::systems::System;
use crate::{BenchError, Result};

/// The switch counts, in its workers' own time: whatever else ran on their CPUs is left out.
pub(super) fn measure(
    mut switch: Box<dyn System>,
    stage: &Stage<'_>,
    warm_up: Duration,
    window: Duration,
    sample: Sample,
) -> Result<Sample> {
    let workers = sample.system.polling_cpus(stage.cpus).len() as u32;
    let look = |switch: &mut Box<dyn System>| -> Result<_> {
        let sent = switch.counters()?.iter().map(|port| port.sent).sum::<u64>();
        let now = Instant::now();
        // Of several workers, the mean.
        Ok((sent, now, switch.worker_time()?.unwrap_or_default() / workers))
    };
    interrupt::sleep(warm_up)?;
    let (sent_before, start, used_before) = look(&mut switch)?;
    interrupt::sleep(window)?;
    let (sent_after, end, used_after) = look(&mut switch)?;
    switch.stop()?;
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    let sent = sent_after.saturating_sub(sent_before);
    if sent == 0 || used == 0.0 {
        return Err(BenchError::process(sample.system.name(), "forwarded nothing"));
    }
    Ok(Sample { rate: sent as f64 / used, worker_share: used / (end - start).as_secs_f64(), ..sample })
}
