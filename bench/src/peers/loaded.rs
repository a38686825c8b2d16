//! The switch between the load's front ends.

use std::time::{Duration, Instant};

use super::cpu;
use super::load_process::{LoadProcess, Plan};
use super::sample::{Loaded, Round, Sample};
use super::scene::Stage;
use super::switch::Switch;
use crate::generator::{Report, Slice};
use crate::{BenchError, Result};

/// The share of a slice for which the load must have had its CPU.
const UNDISTURBED: f64 = 0.97;

/// Priorities of real time. The load's threads are above the worker's, as one of them borrows the
/// worker's CPU to measure how far it is.
const WORKER_PRIORITY: u32 = 1;
const LOAD_PRIORITY: u32 = 2;

/// The load counts what arrives, by the clock.
pub(super) fn measure(
    switch: Box<dyn Switch>,
    stage: &Stage<'_>,
    warm_up: Duration,
    round: Round,
    sample: Sample,
) -> Result<Sample> {
    let plan = Plan {
        seed: round.seed,
        queue_size: round.queue_size,
        warm_up,
        window: round.window,
        near: round.near,
    };
    let worker = || cpu::worker(switch.process().id(), stage.cpus.worker);
    let mut load = LoadProcess::start(stage, plan)?;
    load.wait_until_measuring()?;
    if round.realtime {
        cpu::prefer_thread(worker()?.0, WORKER_PRIORITY)?;
    }
    let (start, used_before) = (Instant::now(), worker()?.1);
    if round.realtime {
        // Nothing else runs on the load's CPU from here to its end, this thread included.
        cpu::prefer_process(load.id(), LOAD_PRIORITY)?;
    }
    let window = load.window()?;
    let (end, used_after) = (Instant::now(), worker()?.1);
    let last = load.finish()?;
    switch.stop()?;
    if window.received.contains(&0) {
        let what = format!("forwarded nothing in a direction: {:?}", window.received);
        return Err(BenchError::process(sample.system.name(), what));
    }
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    let worker_share = used / (end - start).as_secs_f64();
    let (rate, load) = judge(window.with_the_end_of(&last), round);
    Ok(Sample { rate, worker_share, load: Some(load), ..sample })
}

/// The rate, and what it is of.
fn judge(report: Report, round: Round) -> (f64, Loaded) {
    let undisturbed = report.slices.iter().filter(|slice| slice.cpu_share >= UNDISTURBED);
    let (near, far): (Vec<&Slice>, Vec<&Slice>) =
        undisturbed.partition(|slice| slice.round_trip <= round.near);
    let seconds = |slices: &[&Slice]| {
        slices.iter().map(|slice| slice.seconds).fold(0.0, |sum: f64, seconds| sum + seconds)
    };
    let rate = |slices: &[&Slice]| {
        let received: u64 = slices.iter().map(|slice| slice.received).sum();
        (!slices.is_empty()).then(|| received as f64 / seconds(slices))
    };
    let (near_seconds, near_rate, far_rate) = (seconds(&near), rate(&near), rate(&far));
    // With nothing better, a figure that is marked.
    let whole = report.received.iter().sum::<u64>() as f64 / report.seconds;
    let figure = near_rate.or(far_rate).unwrap_or(whole);
    let counted = if near.is_empty() { &far } else { &near };
    let mut round_trips: Vec<_> = counted.iter().map(|slice| slice.round_trip).collect();
    round_trips.sort_unstable();
    let loaded = Loaded {
        near_seconds,
        far_rate,
        round_trip: round_trips.get(round_trips.len() / 2).copied().unwrap_or(0),
        enough: near_seconds >= 0.5 * round.window.as_secs_f64(),
        report,
    };
    (figure, loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_near_counts() {
        let slice = |round_trip, received, cpu_share| Slice { round_trip, seconds: 0.1, cpu_share, received };
        let slices = vec![slice(200, 50, 1.0), slice(1000, 20, 1.0), slice(250, 70, 1.0), slice(200, 3, 0.5)];
        let report = Report { seconds: 0.4, received: [70, 73], slices, ..Report::default() };
        let round = Round {
            number: 1,
            seed: 1,
            queue_size: 256,
            window: Duration::from_millis(400),
            realtime: false,
            near: 300,
        };
        let (rate, loaded) = judge(report.clone(), round);
        assert!((rate - 600.0).abs() < 1e-6, "{rate}");
        assert!((loaded.far_rate.unwrap() - 200.0).abs() < 1e-6);
        assert!(loaded.enough);
        let (rate, loaded) = judge(report, Round { near: 10, ..round });
        assert!((rate - 140.0 / 0.3).abs() < 1e-6, "{rate}");
        assert!(!loaded.enough);
    }
}
