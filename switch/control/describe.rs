//! What `run` says it found and chose.

use std::fmt::Write;

use pollux_config::{Port, PortKind, VhostRole};
use pollux_net::{PortVlan, VlanMode};

use super::Switch;
use super::ports::LivePort;
use crate::text::table;

pub(super) fn describe(switch: &Switch) -> String {
    let Switch { plan, config, ports, eal, pools, .. } = switch;
    let mut text = String::new();
    let cpus: Vec<_> = plan.cpus.iter().map(usize::to_string).collect();
    let memory = &plan.memory;
    let kind = if eal.has_hugepages() { "hugepages" } else { "ordinary memory" };
    // Writing to a String can't fail.
    let _ = writeln!(text, "{}, {}", env!("POLLUX_VERSION"), eal.version());
    let _ = writeln!(text, "workers on CPU {}; the rest on CPU {}", cpus.join(", "), plan.management_cpu);
    let _ = writeln!(
        text,
        "memory: {} MiB of {kind}, {} mbufs of {} octets; FDB of {} entries, ageing after {} s",
        memory.mib(),
        pools.size(),
        super::plan::DATA_ROOM,
        config.fdb.capacity,
        config.fdb.ageing_time.as_secs(),
    );
    let header = ["", "port", "device", "driver", "link", "rx", "tx", "mtu", "vlan", "burst mode (rx / tx)"];
    let of = |live: &LivePort| config.ports.iter().find(|port| port.name == live.name);
    let rows = ports.iter().filter_map(|live| Some(row(live, of(live)?)));
    let _ = writeln!(text, "{}", table(&header, rows, usize::MAX));
    for port in ports {
        for note in &port.device.setup().notes {
            let _ = writeln!(text, "note: port {}: {note}", port.name);
        }
    }
    text
}

fn row(live: &LivePort, port: &Port) -> Vec<String> {
    let driver = live.device.info().map(|info| info.driver).unwrap_or_default();
    let chosen = &live.device.setup().config;
    let (rx_mode, tx_mode) = live.burst_modes();
    let modes = if rx_mode.is_empty() && tx_mode.is_empty() {
        String::new()
    } else {
        format!("{rx_mode} / {tx_mode}")
    };
    let rings = |queues: u16, ring: u16| match port.kind {
        PortKind::Device(_) => format!("{queues} x {ring}"),
        PortKind::VhostUser(_) => format!("{queues} x VM's"),
    };
    vec![
        live.id.to_string(),
        live.name.clone(),
        device(port),
        driver,
        live.link.to_string(),
        rings(chosen.rx_queues, chosen.rx_ring),
        rings(chosen.tx_queues, chosen.tx_ring),
        chosen.mtu.to_string(),
        vlan_in_words(&port.vlan),
        modes,
    ]
}

fn device(port: &Port) -> String {
    match &port.kind {
        PortKind::Device(device) => device.spec.to_string(),
        PortKind::VhostUser(vhost) => {
            let role = match vhost.role {
                VhostRole::Client => "client",
                VhostRole::Server => "server",
            };
            format!("{} ({role})", vhost.socket.display())
        }
    }
}

/// A port's VLANs, in words.
pub(super) fn vlan_in_words(vlan: &PortVlan) -> String {
    match &vlan.mode {
        VlanMode::Access { vid } => format!("access {vid}"),
        VlanMode::Trunk { allowed, native: None, .. } => format!("trunk {allowed}"),
        VlanMode::Trunk { allowed, native: Some(native), native_tagged } => {
            format!("trunk {allowed}, native {native}{}", if *native_tagged { " tagged" } else { "" })
        }
        VlanMode::Dot1qTunnel { vid, allowed: None, tpid } => format!("tunnel {vid} ({tpid})"),
        VlanMode::Dot1qTunnel { vid, allowed: Some(allowed), tpid } => {
            format!("tunnel {vid} ({tpid}) for {allowed}")
        }
    }
}
