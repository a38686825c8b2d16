//! The generator and analyser: a process of its own, which sends and receives.
//!
//! # How frames are told apart
//!
//! Each frame carries a label of 14 octets: trial, stream, flow, sequence number, and the moment of sending. All else
//! about a frame follows from these: which addresses it has, how long it is, which flow comes next. So the tester
//! keeps no table of stations, and what a million flows cost the processor's caches, they cost the device under
//! test alone.
//!
//! # The path of a frame
//!
//! ```text
//! pacer (when) -> order (which flow) -> frames (octets) -> sender (bursts) -> port
//! port -> receiver (which stream, how late) -> window (once, in order)
//! ```
//!
//! A [worker](worker) is a CPU with some of the ports; [trial] deals a trial out to them, and adds up what came of it.
//! Sending writes the first 60 octets of a frame; its payload is what was received in the same memory before.

mod client;
mod course;
mod engine;
mod frames;
mod label;
mod order;
mod pacer;
mod process;
pub(crate) mod protocol;
mod receiver;
mod sender;
pub(crate) mod sizes;
mod station;
mod traffic;
mod trial;
mod window;
mod worker;

use std::time::Duration;

pub(crate) use client::TesterProcess;
pub use process::TesterArgs;
pub(crate) use process::serve;
use protocol::{Outcome, Ready, Trial};
pub use traffic::TrafficArgs;
pub(crate) use traffic::run as run_traffic;

use crate::Result;

/// Who sends and receives. The real one is a process; tests have one that knows how a device would behave.
pub(crate) trait Tester {
    fn ready(&self) -> &Ready;

    /// Until each port received from each other.
    fn greet(&mut self, patience: Duration) -> Result<()>;

    /// Asks for a trial, and returns at once.
    fn begin(&mut self, trial: &Trial) -> Result<()>;

    /// Waits for the outcome of the trial that was begun.
    fn finish(&mut self) -> Result<Outcome>;

    /// A trial from beginning to end.
    fn trial(&mut self, trial: &Trial) -> Result<Outcome> {
        self.begin(trial)?;
        self.finish()
    }
}

/// The stream and flow of a frame that a tester sent in a trial.
pub(crate) fn flow_of(mbuf: &dpdk::Mbuf) -> Option<(u8, u32)> {
    let label = receiver::read(mbuf)?.label;
    label.epoch.is_multiple_of(2).then_some((label.stream, label.flow))
}
