//! The relay: from a frame that a port received to the frames that ports send.
//!
//! [`datapath`] is what every frame goes through, [`fdb`] the one structure that all workers write,
//! [`Snapshot`] what the control plane tells them, [`WorkerStats`] what they count. Nothing here
//! knows DPDK: frames and devices are traits, so that the same code runs over ordinary memory in
//! tests, simulators and under sanitizers.
#![forbid(unsafe_code)]

pub mod datapath;
pub mod fdb;
pub mod qos;
mod reason;
mod stats;
mod tables;
pub mod tap;
mod work;

pub use reason::{REASONS, Reason};
pub use stats::{Accounting, PortTotals, WorkerStats};
pub use tables::{PortSpec, Snapshot};
pub use work::{BURST_SIZES, QueueCounters, QueueWork, Work, WorkCounters, least_of_size};
