//! The switch between the load's front ends.

use std::time::{Duration, Instant};

use super::load_process::{LoadProcess, Plan};
use super::sample::{Loaded, Round, Sample};
use super::scene::Stage;
use crate::generator::{Report, Slice};
use crate::host::cpu;
use crate::systems::System;
use crate::{BenchError, Result};

/// The share of a slice for which the load must have had its CPU.
const UNDISTURBED: f64 = 0.97;

/// Priorities of real time. The load's threads are above the worker's, as one of them borrows the
/// worker's CPU to measure how far it is.
const WORKER_PRIORITY: u32 = 1;
const LOAD_PRIORITY: u32 = 2;

/// The load counts what arrives, by the clock.
pub(super) fn measure(
    switch: Box<dyn System>,
    stage: &Stage<'_>,
    warm_up: Duration,
    round: Round,
    sample: Sample,
) -> Result<Sample> {
    let plan = Plan {
        seed: round.seed,
        payload: round.payload,
        queue_size: round.queue_size,
        warm_up,
        window: round.window,
        near: round.near,
    };
    let used = || Ok::<_, BenchError>(switch.worker_time()?.unwrap_or_default());
    let mut load = LoadProcess::start(stage, plan)?;
    load.wait_until_measuring()?;
    if round.realtime {
        for worker in switch.workers()? {
            cpu::prefer_thread(worker, WORKER_PRIORITY)?;
        }
    }
    let (start, used_before) = (Instant::now(), used()?);
    if round.realtime {
        // Nothing else runs on the load's CPU from here to its end, this thread included.
        cpu::prefer_process(load.id(), LOAD_PRIORITY)?;
    }
    let window = load.window()?;
    let (end, used_after) = (Instant::now(), used()?);
    let last = load.finish()?;
    switch.stop()?;
    if window.received.contains(&0) {
        let what = format!("forwarded nothing in a direction: {:?}", window.received);
        return Err(BenchError::process(sample.system.name(), what));
    }
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    let worker_share = used / (end - start).as_secs_f64();
    let load = Loaded::new(window.with_the_end_of(&last));
    let mut sample = Sample { worker_share, load: Some(load), ..sample };
    sample.judge(round.near, round.window);
    Ok(sample)
}

impl Loaded {
    fn new(report: Report) -> Self {
        Self { near_seconds: 0.0, far_rate: None, round_trip: 0, enough: false, report }
    }

    /// The shortest round trip between the CPUs that was seen.
    pub(super) fn shortest(&self) -> Option<u64> {
        self.report.slices.iter().map(|slice| slice.round_trip).min()
    }

    /// Draws the line between near and far; gives the rate that counts.
    pub(super) fn judge(&mut self, near: u64, window: Duration) -> f64 {
        let undisturbed = self.report.slices.iter().filter(|slice| slice.cpu_share >= UNDISTURBED);
        let (near, far): (Vec<&Slice>, Vec<&Slice>) = undisturbed.partition(|slice| slice.round_trip <= near);
        let seconds = |slices: &[&Slice]| slices.iter().fold(0.0, |sum, slice| sum + slice.seconds);
        let rate = |slices: &[&Slice]| {
            let received: u64 = slices.iter().map(|slice| slice.received).sum();
            (!slices.is_empty()).then(|| received as f64 / seconds(slices))
        };
        self.near_seconds = seconds(&near);
        self.far_rate = rate(&far);
        self.enough = self.near_seconds >= 0.5 * window.as_secs_f64();
        let counted = if near.is_empty() { &far } else { &near };
        let mut round_trips: Vec<_> = counted.iter().map(|slice| slice.round_trip).collect();
        round_trips.sort_unstable();
        self.round_trip = round_trips.get(round_trips.len() / 2).copied().unwrap_or(0);
        // With nothing better, a figure that is marked.
        let whole = self.report.received.iter().sum::<u64>() as f64 / self.report.seconds;
        rate(&near).or(self.far_rate).unwrap_or(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_near_counts() {
        let slice = |round_trip, received, cpu_share| Slice { round_trip, seconds: 0.1, cpu_share, received };
        let slices = vec![slice(200, 50, 1.0), slice(1000, 20, 1.0), slice(250, 70, 1.0), slice(200, 3, 0.5)];
        let report = Report { seconds: 0.4, received: [70, 73], slices, ..Report::default() };
        let window = Duration::from_millis(400);
        let mut loaded = Loaded::new(report);
        let rate = loaded.judge(300, window);
        assert!((rate - 600.0).abs() < 1e-6, "{rate}");
        assert!((loaded.far_rate.unwrap() - 200.0).abs() < 1e-6);
        assert!(loaded.enough && loaded.shortest() == Some(200));
        let rate = loaded.judge(10, window);
        assert!((rate - 140.0 / 0.3).abs() < 1e-6, "{rate}");
        assert!(!loaded.enough);
    }
}
