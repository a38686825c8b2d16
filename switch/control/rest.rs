//! How each worker rests: what the file says, as far as its ports can.

use std::time::Duration;

use pollux_config::{Config, Rest, RestMode};

use super::Switch;
use super::ports::LivePort;
use crate::worker::RestPlan;

/// How a worker rests, and why it isn't what the file says.
pub(super) struct Resting {
    pub(super) mode: RestMode,
    /// `None`: it is.
    pub(super) why: Option<String>,
}

impl Switch {
    /// How each worker is to rest.
    pub(super) fn rest_plans(&self) -> Vec<RestPlan> {
        plans(&self.eal, &self.config.switch.rest, self.sockets.len(), &self.ports)
    }

    /// How a worker rests.
    pub(super) fn resting(&self, worker: usize) -> Resting {
        resting(&self.config.switch.rest, worker, self.sockets.len(), &self.ports)
    }
}

/// How each of `workers` is to rest that poll these ports.
pub(super) fn plans(eal: &dpdk::Eal, rest: &Rest, workers: usize, ports: &[LivePort]) -> Vec<RestPlan> {
    let cycles = |time: Duration| (time.as_secs_f64() * eal.tsc_hz() as f64) as u64;
    let plan = |worker| {
        let mode = resting(rest, worker, workers, ports).mode;
        if mode == RestMode::Never {
            return RestPlan::NEVER;
        }
        RestPlan { mode, after: cycles(rest.after), sleep: rest.sleep, timeout: rest.timeout }
    };
    (0..workers).map(plan).collect()
}

/// Whether ports are to be started with interrupts.
pub(super) fn interrupts(config: &Config) -> bool {
    config.switch.rest.mode == RestMode::Interrupt
}

fn resting(rest: &Rest, worker: usize, workers: usize, ports: &[LivePort]) -> Resting {
    let sleeps = |why| Resting { mode: RestMode::Sleep, why: Some(why) };
    if rest.mode != RestMode::Interrupt {
        return Resting { mode: rest.mode, why: None };
    }
    let polls = |port: &&LivePort| port.pollers.contains(&worker);
    if let Some(port) = ports.iter().filter(polls).find(|port| !port.interrupts) {
        let why = if port.device.vhost().is_some() {
            "a VM's port, and DPDK can't safely have a VM interrupt while it may go away"
        } else {
            "its device has no rx interrupts, or was started without them: see `rest` in docs/workers.md"
        };
        return sleeps(format!("it polls {}: {why}", port.name));
    }
    // Others may have frames wait that it is to send, and don't wake it.
    if let Some(port) = ports.iter().find(|port| workers > 1 && port.is_served_by(worker)) {
        return sleeps(format!("it sends what waits for {}, whichever worker brought it", port.name));
    }
    Resting { mode: rest.mode, why: None }
}
