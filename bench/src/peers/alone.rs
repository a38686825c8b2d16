//! The switch alone, with ports that replay.

use std::time::{Duration, Instant};

use super::sample::Sample;
use super::scene::Stage;
use super::switch::Switch;
use super::{cpu, interrupt};
use crate::{BenchError, Result};

/// The switch counts, in its worker's own time: whatever else ran on that CPU is left out.
pub(super) fn measure(
    mut switch: Box<dyn Switch>,
    stage: &Stage<'_>,
    warm_up: Duration,
    window: Duration,
    sample: Sample,
) -> Result<Sample> {
    let look = |switch: &mut Box<dyn Switch>| -> Result<_> {
        let sent = switch.sent()?;
        Ok((sent, Instant::now(), cpu::worker(switch.process().id(), stage.cpus.worker)?.1))
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
