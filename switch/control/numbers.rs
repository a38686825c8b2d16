//! Everything that a switch counts and measures, taken at one moment for whoever serves it.

use std::time::Duration;

use pollux_engine::fdb::FdbCounters;
use pollux_engine::{Accounting, PortTotals};

use super::ports::LivePort;
use super::{PortQosState, Switch, WorkerState, mtu};

/// What there is to tell. Counters go up only, whatever the console clears and whichever ports go; a port
/// that comes again begins anew.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// The DPDK that runs.
    pub dpdk: String,
    /// Since when the switch runs.
    pub uptime: Duration,
    /// Whether every worker goes on.
    pub is_healthy: bool,
    /// Whether every port of the configuration is started, and every worker has taken up the tables.
    pub is_ready: bool,
    /// Workers, and the receive queues that they poll.
    pub workers: Vec<WorkerState>,
    /// The balance of all frames.
    pub accounting: Accounting,
    /// Ports, in the order of the file.
    pub ports: Vec<PortNumbers>,
    /// What ports that are gone had counted.
    pub departed: PortTotals,
    /// What ports do about priorities.
    pub qos: Vec<PortQosState>,
    /// The forwarding database.
    pub fdb: FdbNumbers,
    /// Packet memory, a pool for each NUMA socket that has a port.
    pub pools: Vec<PoolNumbers>,
}

/// A port.
#[derive(Clone, Debug)]
pub struct PortNumbers {
    /// Its name.
    pub name: String,
    /// What the data path counted.
    pub totals: PortTotals,
    /// What the device counted. `None`: it can't tell.
    pub device: Option<dpdk::PortStats>,
    /// The link as last reported.
    pub link: dpdk::Link,
    /// The MTU in octets.
    pub mtu: u16,
    /// Addresses behind the port, static ones included.
    pub addresses: usize,
    /// How often it was reset because its device took no frame any more.
    pub resets: u64,
    /// The VM's connection. `None`: it is no vhost-user port.
    pub vm: Option<VmNumbers>,
}

/// A VM's connection.
#[derive(Clone, Copy, Debug)]
pub struct VmNumbers {
    /// For how long a VM has been there. `None`: none is.
    pub connected: Option<Duration>,
    /// How often a VM came back.
    pub reconnects: u64,
    /// How long none was there before the last time that one came back.
    pub last_outage: Option<Duration>,
}

/// The forwarding database.
#[derive(Clone, Copy, Debug, Default)]
pub struct FdbNumbers {
    /// Entries there may be.
    pub capacity: usize,
    /// Entries there are, static and dynamic.
    pub entries: usize,
    /// Static ones.
    pub statics: usize,
    /// What has happened to entries.
    pub counters: FdbCounters,
}

/// A pool of mbufs.
#[derive(Clone, Copy, Debug)]
pub struct PoolNumbers {
    /// The NUMA socket.
    pub socket: u32,
    /// Mbufs of the pool.
    pub mbufs: u32,
    /// Mbufs that are out: in rings, queues and hands.
    pub in_use: u32,
}

impl Switch {
    /// All numbers. They are of one moment once the workers rest; while they run, counts of bursts under
    /// way may be on one side only.
    pub fn numbers(&self) -> Numbers {
        let fdb = self.fdb();
        Numbers {
            dpdk: self.dpdk_version(),
            uptime: self.started.elapsed(),
            is_healthy: self.is_healthy(),
            is_ready: self.is_ready(),
            workers: self.worker_states(),
            accounting: self.accounting(),
            ports: self.ports.iter().map(|port| self.numbers_of(port)).collect(),
            departed: self.departed,
            qos: self.qos(),
            fdb: FdbNumbers {
                capacity: fdb.capacity(),
                entries: fdb.len(),
                statics: fdb.len_static(),
                counters: fdb.counters(),
            },
            pools: self.pools.numbers(),
        }
    }

    /// Ports that there are, and how many of them have a link.
    pub fn links(&self) -> (usize, usize) {
        (self.ports.len(), self.ports.iter().filter(|port| port.link.up).count())
    }

    fn is_ready(&self) -> bool {
        let started =
            self.config.ports.iter().all(|port| self.ports.iter().any(|live| live.name == port.name));
        // A worker that rests takes the tables up when it looks next; one that doesn't stands still.
        started && self.lost().is_empty() && (self.shared.behind().is_none() || self.is_healthy())
    }

    fn numbers_of(&self, port: &LivePort) -> PortNumbers {
        let config = self.config.ports.iter().find(|config| config.name == port.name);
        let vm = port.device.vhost().map(|_| VmNumbers {
            connected: port.presence.up_for(),
            reconnects: port.presence.returns(),
            last_outage: port.presence.last_outage(),
        });
        PortNumbers {
            name: port.name.clone(),
            totals: self.totals_of(port),
            device: port.device.stats().ok(),
            link: port.link,
            mtu: config.map_or(0, |config| mtu(config, port)),
            addresses: self.shared.fdb.len_of(port.id),
            resets: self.resets_of(&port.name),
            vm,
        }
    }
}
