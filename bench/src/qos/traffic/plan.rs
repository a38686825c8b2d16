//! What is to be sent, and what came of it: what the two processes tell each other, as JSON.
//!
//! Octets are of frames without their check sequence, tag included, as the switch's rates count them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mix::Mix;

/// A run against one switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The sockets of the ports that frames go in by.
    pub(crate) ingress: Vec<PathBuf>,
    /// The socket of the port that they come out of.
    pub(crate) egress: PathBuf,
    /// The CPU that polls.
    pub(crate) cpu: usize,
    /// Descriptors of each ring.
    pub(crate) queue_size: u16,
    /// Seconds of traffic that a flow may be behind and send at once; what is beyond isn't sent any more.
    pub(crate) catch_up: f64,
    /// One after the other, with silence between.
    pub(crate) phases: Vec<Phase>,
}

/// Flows at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// Seconds before the window.
    pub(crate) warm_up: f64,
    /// Seconds of the window.
    pub(crate) seconds: f64,
    pub(crate) flows: Vec<Flow>,
    /// Bits a second that the switch is to keep to, if any: what exceeds it is measured.
    pub(crate) limit: Option<f64>,
}

/// Frames of one priority, in equal parts by all ingress ports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) pcp: u8,
    pub(crate) mix: Mix,
    /// Bits a second over all ports; `None`: as many as the switch takes.
    pub(crate) rate: Option<f64>,
}

/// What came of a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The window by the receiver's batches: from the first, which isn't counted, to the last.
    pub(crate) seconds: f64,
    /// The window in which frames were offered.
    pub(crate) offered_seconds: f64,
    /// In the plan's order.
    pub(crate) flows: Vec<FlowOutcome>,
    pub(crate) excess: Option<Excess>,
    /// The longest time between two looks at the receiver's ring, in microseconds, over the whole phase.
    pub(crate) longest_pause: f64,
    /// How many were longer than a millisecond, and how many seconds those in the window make.
    pub(crate) pauses: u64,
    pub(crate) paused: f64,
    /// The share of the window for which the tester had its CPU.
    pub(crate) cpu_share: f64,
    /// The share of the phase for which the switch's workers had theirs, as the tester's parent saw it.
    #[serde(default)]
    pub(crate) worker_share: f64,
    /// Whether something else ran on the CPUs, by the parent's judgement.
    #[serde(default)]
    pub(crate) disturbed: bool,
    /// Frames that nobody sent, or sent in another phase.
    pub(crate) strange: u64,
    /// Frames that came to an ingress port.
    pub(crate) astray: u64,
}

/// What came of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlowOutcome {
    /// Offered to the switch in the window.
    pub(crate) offered: Amount,
    /// Received in the window.
    pub(crate) received: Amount,
    /// Frames that are missing between those received in the window, by their sequence numbers.
    pub(crate) missing: u64,
    /// Frames sent in the whole phase, and those of them that never came.
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// Frames that came after a later one of their stream, or twice, in the whole phase.
    pub(crate) reordered: u64,
    /// Frames that came with another priority.
    pub(crate) remarked: u64,
    /// Of the frames received in the window.
    pub(crate) delay: Delay,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amount {
    pub(crate) frames: u64,
    pub(crate) octets: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, octets: usize) {
        self.frames += 1;
        self.octets += octets as u64;
    }
}

/// From the moment before a frame was given to the switch to the moment that it was there, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delay {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// The most octets above the limit in any window, over the whole phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Excess {
    /// With frames taken to have come when they were seen.
    pub(crate) seen: f64,
    /// The part that the receiver's own pauses can't explain: a window begins when the ring was last seen empty.
    pub(crate) certain: f64,
}

/// The share of a CPU that makes a measurement one, of the tester's and of the worker's.
const TESTER_UNDISTURBED: f64 = 0.97;
const WORKER_UNDISTURBED: f64 = 0.97;

/// The share of the window that the tester's pauses may make, which also a hypervisor can cause.
const PAUSED: f64 = 0.005;

impl Outcome {
    /// Whether something else ran on the CPUs, if each was for the tester or a worker alone.
    pub(crate) fn has_lost_time(&self) -> bool {
        self.cpu_share < TESTER_UNDISTURBED
            || self.worker_share < WORKER_UNDISTURBED
            || self.paused > PAUSED * self.offered_seconds
    }

    /// Bits a second received, over all flows.
    pub(crate) fn rate(&self) -> f64 {
        self.flows.iter().map(|flow| self.rate_of(flow)).sum()
    }

    /// Bits a second received of a flow.
    pub(crate) fn rate_of(&self, flow: &FlowOutcome) -> f64 {
        per_second(8 * flow.received.octets, self.seconds)
    }

    /// Bits a second offered, over all flows.
    pub(crate) fn offered(&self) -> f64 {
        self.flows.iter().map(|flow| self.offered_of(flow)).sum()
    }

    /// Bits a second offered of a flow.
    pub(crate) fn offered_of(&self, flow: &FlowOutcome) -> f64 {
        per_second(8 * flow.offered.octets, self.offered_seconds)
    }

    pub(crate) fn reordered(&self) -> u64 {
        self.flows.iter().map(|flow| flow.reordered).sum()
    }
}

impl FlowOutcome {
    /// The share of frames that didn't come, of those sent between the first and the last that came in the
    /// window.
    pub(crate) fn loss(&self) -> f64 {
        let sent = self.received.frames + self.missing;
        self.missing as f64 / sent.max(1) as f64
    }
}

fn per_second(number: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { number as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_window_and_loss_of_what_was_between() {
        let flow = |octets, missing| FlowOutcome {
            received: Amount { frames: 30, octets },
            offered: Amount { frames: 60, octets: 2 * octets },
            missing,
            ..FlowOutcome::default()
        };
        let outcome = Outcome {
            seconds: 0.5,
            offered_seconds: 1.0,
            flows: vec![flow(1000, 10), flow(500, 0)],
            ..Outcome::default()
        };
        assert_eq!((outcome.rate(), outcome.offered()), (24_000.0, 24_000.0));
        assert_eq!(outcome.flows[0].loss(), 0.25);
        assert_eq!((Outcome::default().rate(), FlowOutcome::default().loss()), (0.0, 0.0));
    }
}
