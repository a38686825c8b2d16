//! Pollux beside itself: what QoS profiles leave of the rate where nothing is congested.

use std::path::Path;

use serde::Serialize;

use super::scene::{Cpus, Scene, System};
use super::summary::{self, Summary};
use super::{PeersArgs, measure_all};
use crate::Result;
use crate::host::cpu;
use crate::load::Payload;

/// Pairs of stations that talk.
const PAIRS: u32 = 1000;

/// The rate with some kind of profile.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    /// What the ports are.
    pub(crate) ports: &'static str,
    pub(crate) profiles: &'static str,
    /// Frames a second, both directions, round by round.
    pub(crate) rates: Vec<f64>,
    pub(crate) median: f64,
    /// The median, over rounds, of this rate in parts of the one without profiles in the same round.
    pub(crate) ratio: Option<f64>,
    /// The median, over rounds, of the cycles a frame above those without.
    pub(crate) cycles_more: Option<f64>,
    /// Whether every frame goes through queues.
    pub(crate) scheduled: bool,
    /// Whether something else ran in a round.
    pub(crate) disturbed: bool,
}

/// Measures the switch of `pollux` without profiles, with them, and with frames that go through the queues, in
/// turn: between vhost-user ports, and alone if `in_process`. Hugepages are the caller's to reserve.
pub(crate) fn cost(
    pollux: &Path,
    worker: usize,
    house: usize,
    seconds: f64,
    rounds: u32,
    in_process: bool,
) -> Result<Vec<Cost>> {
    let scenes = if in_process { vec![Scene::Vhost, Scene::InProcess] } else { vec![Scene::Vhost] };
    let args = PeersArgs {
        scenes,
        systems: vec![System::Pollux, System::PolluxProfile, System::PolluxScheduled],
        pairs: Some(vec![PAIRS]),
        rounds,
        seconds,
        repeats: 3,
        realtime: false,
        worker_cpu: worker,
        house_cpu: house,
        queue_size: 256,
        front_end: String::new(),
        seed: 1,
        payload: Payload::Udp,
        ovs_flow_limit: 0,
        ovs_warm_up: None,
        pollux: None,
        json: Default::default(),
    };
    let tsc_hz = cpu::tsc_hz();
    let (samples, _) = measure_all(&args, Cpus { worker, house }, pollux, tsc_hz)?;
    Ok(summary::summarise(&samples, tsc_hz).into_iter().map(Cost::from).collect())
}

impl From<Summary> for Cost {
    fn from(summary: Summary) -> Self {
        let profiles = match summary.system {
            System::PolluxProfile => "profile",
            System::PolluxScheduled => "scheduled",
            _ => "none",
        };
        Self {
            ports: summary.scene.name(),
            profiles,
            median: summary.median,
            // The summary has it the other way round.
            ratio: summary.pollux_over_it.map(f64::recip),
            cycles_more: summary.pollux_cycles_above_it.map(|cycles| -cycles),
            scheduled: summary.system == System::PolluxScheduled,
            disturbed: summary.disturbed.contains(&true),
            rates: summary.rates,
        }
    }
}
