//! What is measured, and with what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

/// How frames get in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scene {
    /// Two ports that replay frames from memory, and drop what they are to send
    InProcess,
    /// Two vhost-user ports with the load's front ends on another CPU
    Vhost,
}

impl Scene {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::InProcess => "In process: two ports that replay from memory, each forwarded to the other",
            Self::Vhost => "Between two vhost-user ports: front ends on another CPU, both directions",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in process",
            Self::Vhost => "vhost",
        }
    }

    /// The loads to measure if none are named. Between vhost-user ports the frames of 100,000 pairs would
    /// leave the caches of the CPU that sends them, and it would be measured and not the switch.
    pub(super) fn usual_pairs(self) -> &'static [u32] {
        match self {
            Self::InProcess => &[1, 1000, 10_000, 100_000],
            Self::Vhost => &[1, 1000, 10_000],
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum System {
    /// The switch of this binary
    Pollux,
    /// The same with a tag pushed in one direction and popped in the other
    PolluxTags,
    /// The same with a second worker, on the house CPU
    PolluxTwoWorkers,
    /// The same with a QoS profile on both ports, which nothing makes queue
    PolluxProfile,
    /// The same with a profile that has every frame go through its port's queues
    PolluxScheduled,
    /// The same with a mirror whose filter looks at every frame that is received, and chooses none
    PolluxFilter,
    /// The same with a copy of every frame that is received, to a third port
    PolluxMirror,
    /// The same with a capture of every frame that is received, into a file that keeps nothing
    PolluxCapture,
    /// testpmd, which hands every frame to the other port as it is
    TestpmdIo,
    /// testpmd, which also rewrites the addresses
    TestpmdMac,
    /// Open vSwitch with DPDK, as a learning switch
    Ovs,
}

impl System {
    /// Who is measured unless told otherwise.
    pub(super) const ALL: [Self; 6] = [
        Self::Pollux,
        Self::PolluxTags,
        Self::PolluxTwoWorkers,
        Self::TestpmdIo,
        Self::TestpmdMac,
        Self::Ovs,
    ];

    /// Whether the scene has a place for it: a load without tags none for a trunk, and two CPUs of which
    /// one sends none for a second worker.
    pub(super) fn takes_part(self, scene: Scene) -> bool {
        match self {
            Self::PolluxTags | Self::PolluxTwoWorkers => scene == Scene::InProcess,
            Self::Pollux | Self::PolluxProfile | Self::PolluxScheduled => true,
            Self::PolluxFilter | Self::PolluxMirror | Self::PolluxCapture => true,
            Self::TestpmdIo | Self::TestpmdMac | Self::Ovs => true,
        }
    }

    /// The CPUs that poll for it.
    pub(super) fn polling_cpus(self, cpus: Cpus) -> Vec<usize> {
        match self {
            Self::PolluxTwoWorkers => vec![cpus.worker, cpus.house],
            _ => vec![cpus.worker],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pollux => "Pollux",
            Self::PolluxTags => "Pollux, tags",
            Self::PolluxTwoWorkers => "Pollux, 2 workers",
            Self::PolluxProfile => "Pollux, profile",
            Self::PolluxScheduled => "Pollux, scheduled",
            Self::PolluxFilter => "Pollux, filter",
            Self::PolluxMirror => "Pollux, mirror",
            Self::PolluxCapture => "Pollux, capture",
            Self::TestpmdIo => "testpmd io",
            Self::TestpmdMac => "testpmd mac",
            Self::Ovs => "Open vSwitch",
        }
    }
}

/// The processors of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Cpus {
    /// Polls for the switch.
    pub(super) worker: usize,
    /// Does everything else, the load's front ends included.
    pub(super) house: usize,
}

/// Everything that a system needs to be started.
pub(super) struct Stage<'a> {
    pub(super) scene: Scene,
    pub(super) cpus: Cpus,
    /// Pairs of stations.
    pub(super) pairs: u32,
    /// Frames to replay, one file for each port.
    pub(super) captures: &'a [PathBuf; 2],
    /// A folder of its own.
    pub(super) folder: &'a Path,
    /// Pollux.
    pub(super) pollux: &'a Path,
    /// Flows that Open vSwitch may cache.
    pub(super) ovs_flow_limit: u32,
    /// How long Open vSwitch may fill its caches, if not as long as seems fair.
    pub(super) ovs_warm_up: Option<Duration>,
    /// More device arguments of the load's front ends.
    pub(super) front_end: &'a str,
}

/// The names of the two ports, and of their sockets within the folder (Open vSwitch names a socket
/// after its port).
pub(super) const PORTS: [&str; 2] = ["p0", "p1"];

impl Stage<'_> {
    /// The socket of each port.
    pub(super) fn sockets(&self) -> [PathBuf; 2] {
        PORTS.map(|name| self.folder.join(name))
    }

    /// DPDK's arguments for a port that replays.
    pub(super) fn replay(&self, port: usize) -> String {
        format!("net_pcap{port},rx_pcap={},infinite_rx=1", self.captures[port].display())
    }

    /// Mbufs that a replaying port keeps for good: all of its frames are in them.
    pub(super) fn kept_mbufs(&self) -> u32 {
        match self.scene {
            Scene::InProcess => 2 * self.pairs,
            Scene::Vhost => 0,
        }
    }
}
