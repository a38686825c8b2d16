//! What is known of the VM behind a vhost-user port.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pollux_config::{PortKind, VhostRole};
use pollux_net::{MAX_PORTS, Mac, PortSet};
use serde::Serialize;

use super::guest::Guest;
use super::ports::LivePort;
use super::{Switch, virtio};

/// A vhost-user port and its VM, in the form that `show vhost --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct VmState {
    /// The port's name.
    pub port: String,
    /// The interface as the VM's guest agent would tell of it.
    pub network: Network,
    /// The vhost-user connection.
    pub vhost: Connection,
    /// What the VM's guest agent tells. `None`: the file names none.
    pub guest: Option<Guest>,
    /// Frames dropped on the port, by reason; reasons that dropped none are left out.
    pub drops: BTreeMap<String, u64>,
}

/// The VM's interface, seen from inside: what it receives is what the port sent.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// The address that the VM was heard with last. `None`: it wasn't heard, or has aged.
    pub mac_address: Option<String>,
    /// All addresses that it was heard with and that haven't aged, in every VLAN, without repeats.
    pub mac_addresses: Vec<String>,
    /// `up` or `down`.
    pub link_state: &'static str,
    /// Octets that the VM was given, without frame check sequences.
    pub rx_bytes: u64,
    /// Frames that the VM was given.
    pub rx_packets: u64,
    /// Octets that came from the VM, without frame check sequences.
    pub tx_bytes: u64,
    /// Frames that came from the VM.
    pub tx_packets: u64,
}

/// The vhost-user connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// The socket's path.
    pub socket: PathBuf,
    /// Our part at it: `client` or `server`.
    pub role: &'static str,
    /// Whether a VM is there.
    pub connected: bool,
    /// For how long it has been there, in seconds.
    pub connected_seconds: Option<f64>,
    /// How often a VM came back.
    pub reconnects: u64,
    /// How long none was there before the last time that one came back, in milliseconds.
    pub last_outage_ms: Option<u64>,
    /// The features that were negotiated, by the names of the virtio specification; `bit N` where it has
    /// none.
    pub features: Vec<String>,
    /// The pairs of queues that the port offers.
    pub queues: Vec<QueuePair>,
}

/// A pair of queues, seen from our side.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QueuePair {
    /// Whether we receive from the VM on it.
    pub rx_enabled: bool,
    /// Whether we send to the VM on it.
    pub tx_enabled: bool,
    /// Descriptors of the ring that we receive from, 0 before the VM has set it up.
    pub rx_ring: u16,
    /// Descriptors of the ring that we send on, 0 before the VM has set it up.
    pub tx_ring: u16,
}

impl Switch {
    /// The state of every vhost-user port, in the order of the file. Guest agents aren't asked here: that
    /// may take time, which the switch's thread hasn't.
    pub fn vms(&self) -> Vec<VmState> {
        // Of each port, addresses with their ages.
        let mut heard = [const { Vec::new() }; MAX_PORTS];
        let vms: PortSet =
            self.ports.iter().filter(|live| live.device.vhost().is_some()).map(|live| live.id).collect();
        for entry in self.shared.fdb.entries(self.shared.now_seconds()) {
            if vms.contains(entry.port) {
                heard[entry.port.index()].push((entry.age, entry.key.mac()));
            }
        }
        let vms = self.ports.iter().map(|live| (live, std::mem::take(&mut heard[live.id.index()])));
        vms.filter_map(|(live, heard)| self.vm(live, heard)).collect()
    }

    fn vm(&self, live: &LivePort, heard: Vec<(u32, Mac)>) -> Option<VmState> {
        let port = self.config.ports.iter().find(|port| port.name == live.name)?;
        let PortKind::VhostUser(config) = &port.kind else { return None };
        let vhost = live.device.vhost()?;
        let totals = self.totals_of(live);
        let mac_address = heard.iter().min().map(|(_, mac)| mac.to_string());
        let mut macs: Vec<_> = heard.into_iter().map(|(_, mac)| mac).collect();
        macs.sort_unstable();
        macs.dedup();
        let queues = (0..vhost.queues()).map(|queue| {
            let (rx_ring, tx_ring) = vhost.ring_sizes(queue).unwrap_or_default();
            let (rx_enabled, tx_enabled) = (vhost.is_rx_enabled(queue), vhost.is_tx_enabled(queue));
            QueuePair { rx_enabled, tx_enabled, rx_ring, tx_ring }
        });
        Some(VmState {
            port: live.name.clone(),
            network: Network {
                mac_address,
                mac_addresses: macs.iter().map(Mac::to_string).collect(),
                link_state: if live.link.up { "up" } else { "down" },
                rx_bytes: totals.tx_bytes,
                rx_packets: totals.tx_frames,
                tx_bytes: totals.rx_bytes,
                tx_packets: totals.rx_frames,
            },
            vhost: Connection {
                socket: config.socket.clone(),
                role: match config.role {
                    VhostRole::Client => "client",
                    VhostRole::Server => "server",
                },
                connected: live.link.up,
                connected_seconds: live.presence.up_for().map(|time| time.as_secs_f64()),
                reconnects: live.presence.returns(),
                last_outage_ms: live.presence.last_outage().map(|time| time.as_millis() as u64),
                features: vhost.negotiated_features().map(virtio::names).unwrap_or_default(),
                queues: queues.collect(),
            },
            guest: config.guest_agent.as_ref().map(Guest::behind),
            drops: totals.drops_by_reason().map(|(reason, frames)| (reason.to_string(), frames)).collect(),
        })
    }
}
