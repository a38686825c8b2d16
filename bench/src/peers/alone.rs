//! The switch alone, with ports that replay.

use std::time::{Duration, Instant};

use super::sample::Sample;
use super::scene::Stage;
use super::switch::Switch;
use crate::host::{cpu, interrupt};
use crate::{BenchError, Result};

/// The switch counts, in its workers' own time: whatever else ran on their CPUs is left out.
pub(super) fn measure(
    mut switch: Box<dyn Switch>,
    stage: &Stage<'_>,
    warm_up: Duration,
    window: Duration,
    sample: Sample,
) -> Result<Sample> {
    let cpus = sample.system.polling_cpus(stage.cpus);
    let look = |switch: &mut Box<dyn Switch>| -> Result<_> {
        let (sent, now, process) = (switch.sent()?, Instant::now(), switch.process().id());
        let times = cpus.iter().map(|cpu| Ok(cpu::worker(process, *cpu)?.1));
        // Of several workers, the mean.
        Ok((sent, now, times.sum::<Result<Duration>>()? / cpus.len() as u32))
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
