//! One system, one load, one round.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::cpu;
use super::interrupt;
use super::load_process::{LoadProcess, Plan};
use super::scene::{Scene, Stage, System};
use super::switch::{self, Switch};
use crate::generator::Report;
use crate::{BenchError, Result};

/// What a round of a system gave.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) scene: Scene,
    pub(super) pairs: u32,
    pub(super) system: System,
    pub(super) round: u32,
    /// Frames forwarded a second, both directions.
    pub(super) rate: f64,
    /// How much of its CPU the worker had: 1 is all of it.
    pub(super) worker_share: f64,
    /// How much of its CPU the load had.
    pub(super) load_share: Option<f64>,
    /// What the load saw.
    pub(super) load: Option<Report>,
}

impl Sample {
    /// Whether somebody else ran on a CPU that the figure stands for.
    pub(super) fn is_disturbed(&self) -> bool {
        const ENOUGH: f64 = 0.97;
        match self.load_share {
            // The rate counts the worker's own time only, but whoever runs meanwhile empties its caches.
            None => self.worker_share < 0.9,
            Some(load_share) => self.worker_share < ENOUGH || load_share < ENOUGH,
        }
    }
}

/// How long a round takes, and its load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) number: u32,
    pub(super) seed: u64,
    pub(super) queue_size: u16,
    pub(super) window: Duration,
}

/// Starts a system, measures it, stops it.
pub(super) fn take(system: System, stage: &Stage<'_>, round: Round) -> Result<Sample> {
    let switch = switch::start(system, stage)?;
    let warm_up = warm_up(system, stage.pairs);
    let sample = Sample {
        scene: stage.scene,
        pairs: stage.pairs,
        system,
        round: round.number,
        rate: 0.0,
        worker_share: 0.0,
        load_share: None,
        load: None,
    };
    match stage.scene {
        Scene::InProcess => alone(switch, stage, warm_up, round.window, sample),
        Scene::Vhost => {
            let plan = Plan { seed: round.seed, queue_size: round.queue_size, warm_up, window: round.window };
            under_load(switch, stage, plan, sample)
        }
    }
}

/// Open vSwitch takes its time to fill its caches: it sends a frame of each new flow to a slower path,
/// and lets their number grow step by step.
fn warm_up(system: System, pairs: u32) -> Duration {
    match system {
        System::Ovs => {
            Duration::from_secs(3) + Duration::from_millis(u64::from(pairs)).min(Duration::from_secs(27))
        }
        _ => Duration::from_secs(1) + Duration::from_micros(u64::from(pairs) * 10),
    }
}

/// The switch counts, in its worker's own time: whatever else ran on that CPU is left out.
fn alone(
    mut switch: Box<dyn Switch>,
    stage: &Stage<'_>,
    warm_up: Duration,
    window: Duration,
    sample: Sample,
) -> Result<Sample> {
    let look = |switch: &mut Box<dyn Switch>| -> Result<_> {
        let sent = switch.sent()?;
        Ok((sent, Instant::now(), cpu::time_on(switch.process().id(), stage.cpus.worker)?))
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

/// The load counts what arrives, by the clock.
fn under_load(switch: Box<dyn Switch>, stage: &Stage<'_>, plan: Plan, sample: Sample) -> Result<Sample> {
    let worker_time = || cpu::time_on(switch.process().id(), stage.cpus.worker);
    let mut load = LoadProcess::start(stage, plan)?;
    load.wait_until_measuring()?;
    let (start, used_before) = (Instant::now(), worker_time()?);
    let window = load.window()?;
    let (end, used_after) = (Instant::now(), worker_time()?);
    let last = load.finish()?;
    switch.stop()?;
    let arrived: u64 = window.received.iter().sum();
    if window.received.contains(&0) {
        let what = format!("forwarded nothing in a direction: {:?}", window.received);
        return Err(BenchError::process(sample.system.name(), what));
    }
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    Ok(Sample {
        rate: arrived as f64 / window.seconds,
        worker_share: used / (end - start).as_secs_f64(),
        load_share: Some(window.cpu_seconds / window.seconds),
        load: Some(window.with_the_end_of(&last)),
        ..sample
    })
}

/// The path of the switch to measure: one that was named, or this program.
pub(super) fn pollux(named: Option<&PathBuf>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().map_err(BenchError::io("finding this program")),
    }
}
