//! One system, one load, one round.

use std::time::Duration;

use serde::Serialize;

use super::alone;
use super::loaded;
use super::scene::{Scene, Stage, System};
use super::switch;
use crate::Result;
use crate::generator::Report;
use crate::load::Payload;

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
    /// What the load saw, between vhost-user ports.
    pub(super) load: Option<Loaded>,
}

/// What the load saw.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Loaded {
    /// How long the switch's CPU was near the load's, and nothing else ran. The rate is of that time.
    pub(super) near_seconds: f64,
    /// Frames forwarded a second while it was far, if it was.
    pub(super) far_rate: Option<f64>,
    /// Cycles of a round trip between the two CPUs, at the median slice of those that count.
    pub(super) round_trip: u64,
    /// Whether that was long enough.
    pub(super) enough: bool,
    pub(super) report: Report,
}

impl Sample {
    /// Draws the line between near and far, where there is one.
    pub(super) fn judge(&mut self, near: u64, window: Duration) {
        if let Some(load) = &mut self.load {
            self.rate = load.judge(near, window);
        }
    }

    /// Whether somebody else ran on a CPU that the figure stands for.
    pub(super) fn is_disturbed(&self) -> bool {
        // The system keeps a twentieth from threads of real time for ordinary ones.
        const ENOUGH: f64 = 0.94;
        match &self.load {
            // The rate counts the worker's own time only, but whoever runs meanwhile empties its caches.
            None => self.worker_share < 0.9,
            Some(load) => self.worker_share < ENOUGH || !load.enough,
        }
    }
}

/// How long a round takes, and its load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) number: u32,
    pub(super) seed: u64,
    pub(super) payload: Payload,
    pub(super) queue_size: u16,
    pub(super) window: Duration,
    pub(super) realtime: bool,
    /// Cycles up to which a round trip between the CPUs is near.
    pub(super) near: u64,
}

/// Starts a system, measures it, stops it.
pub(super) fn take(system: System, stage: &Stage<'_>, round: Round) -> Result<Sample> {
    let switch = switch::start(system, stage)?;
    let warm_up = warm_up(system, stage);
    let sample = Sample {
        scene: stage.scene,
        pairs: stage.pairs,
        system,
        round: round.number,
        rate: 0.0,
        worker_share: 0.0,
        load: None,
    };
    match stage.scene {
        Scene::InProcess => alone::measure(switch, stage, warm_up, round.window, sample),
        Scene::Vhost => loaded::measure(switch, stage, warm_up, round, sample),
    }
}

/// Open vSwitch takes its time to fill its caches: it sends a frame of each new flow to a slower path,
/// and lets their number grow step by step.
fn warm_up(system: System, stage: &Stage<'_>) -> Duration {
    let pairs = u64::from(stage.pairs);
    match system {
        System::Ovs => stage.ovs_warm_up.unwrap_or_else(|| {
            Duration::from_secs(3) + Duration::from_millis(pairs).min(Duration::from_secs(27))
        }),
        _ => Duration::from_secs(1) + Duration::from_micros(pairs * 10),
    }
}
