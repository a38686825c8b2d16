//! How ports read.

use std::fmt::Write;

use serde_json::Value;

use super::{Column, facts, list, listing, text, words};
use crate::console::grammar::Args;
use crate::text::table;

pub(crate) fn port_list(_: &Args, answer: &Value) -> String {
    let header = ["number", "port", "device", "driver", "mac", "link", "mtu", "vlan", "profile"];
    let row = |port: &Value| {
        let link = if port["enabled"] == false { "stopped".to_owned() } else { link_words(&port["link"]) };
        let [number, name, device, driver, mac] =
            ["number", "port", "device", "driver", "mac"].map(|field| text(&port[field]));
        let [mtu, vlan, profile] = ["mtu", "vlan", "profile"].map(|field| text(&port[field]));
        vec![number, name, device, driver, mac, link, mtu, vlan, profile]
    };
    table(&header, list(&answer["ports"]).map(row), usize::MAX).to_string()
}

/// A link in testpmd's words: its speed, or that it is down.
fn link_words(link: &Value) -> String {
    match (link["up"].as_bool(), link["mbps"].as_u64()) {
        (Some(true), Some(mbps)) if mbps >= 1000 => format!("up, {} Gbps", mbps as f64 / 1000.0),
        (Some(true), Some(mbps)) => format!("up, {mbps} Mbps"),
        (Some(true), None) => "up".to_owned(),
        (Some(false), _) => "down".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

const INFO: [Column; 28] = [
    ("device", "device"),
    ("driver", "driver"),
    ("kind", "kind"),
    ("MAC address", "mac"),
    ("NUMA socket", "numa_socket"),
    ("takes part", "enabled"),
    ("full duplex", "link.full_duplex"),
    ("autonegotiation", "link.autoneg"),
    ("tells of its link", "link_events"),
    ("MTU", "mtu"),
    ("VLAN", "vlan"),
    ("QoS profile", "profile"),
    ("promiscuous mode", "promiscuous"),
    ("allmulticast mode", "allmulticast"),
    ("receive queues", "rx_queues"),
    ("most receive queues", "max_rx_queues"),
    ("transmit queues", "tx_queues"),
    ("most transmit queues", "max_tx_queues"),
    ("receive descriptors", "rx_ring"),
    ("transmit descriptors", "tx_ring"),
    ("receive burst mode", "rx_burst_mode"),
    ("transmit burst mode", "tx_burst_mode"),
    ("longest frame received", "max_rx_frame"),
    ("smallest receive buffer", "min_rx_buffer"),
    ("MAC addresses that it can filter", "max_macs"),
    ("redirection table", "reta_size"),
    ("octets of the RSS key", "rss_key_octets"),
    ("RSS over", "rss_types"),
];

pub(crate) fn port_info(_: &Args, answer: &Value) -> String {
    list(&answer["ports"]).map(info).collect::<Vec<_>>().join("\n\n")
}

fn info(port: &Value) -> String {
    let link = link_words(&port["link"]);
    let mut out = format!("port {}, number {}: link {link}", text(&port["port"]), text(&port["number"]));
    out += &facts(port, &INFO);
    for (name, field) in [("receive rings", "rx_ring_limits"), ("transmit rings", "tx_ring_limits")] {
        let limits = &port[field];
        if limits.is_object() {
            let [least, most, align] = ["min", "max", "align"].map(|limit| text(&limits[limit]));
            let _ = write!(out, "\n  {name} of {least} to {most}, a multiple of {align}");
        }
    }
    if let [least, most] = &list(&port["mtu_limits"]).collect::<Vec<_>>()[..] {
        let _ = write!(out, "\n  MTUs of {} to {}", text(least), text(most));
    }
    for note in list(&port["notes"]) {
        let _ = write!(out, "\n  note: {}", text(note));
    }
    out
}

const DEVICES: [Column; 5] = [
    ("port", "port"),
    ("device", "device"),
    ("driver", "driver"),
    ("NUMA socket", "numa_socket"),
    ("mac", "mac"),
];

pub(crate) fn devices(_: &Args, answer: &Value) -> String {
    listing(&answer["ports"], &DEVICES, usize::MAX)
}

/// Offloads of each port, both directions.
pub(crate) fn capabilities(_: &Args, answer: &Value) -> String {
    let port = |port: &Value| {
        let mut out = format!("port {}:", text(&port["port"]));
        for (what, field) in [("receives", "rx_offloads"), ("sends", "tx_offloads")] {
            let _ = write!(out, "\n  {what}: {}", can_and_does(&port[field]));
        }
        out + "\n  RSS over: " + &words(&port["rss_types"])
    };
    list(&answer["ports"]).map(port).collect::<Vec<_>>().join("\n")
}

/// Offloads of one port in one direction: what it can do, or what it does.
pub(crate) fn offloads(args: &Args, answer: &Value) -> String {
    let (field, direction) =
        if args.has("rx_offload") { ("rx_offloads", "receive") } else { ("tx_offloads", "transmit") };
    let only_on = args.has("configuration");
    let what = if only_on { "that are on" } else { "that it can do" };
    let wanted = list(&answer[field]).filter(|offload| !only_on || offload["enabled"] == true);
    let names: Vec<_> = wanted.map(|offload| text(&offload["name"])).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    format!("{direction} offloads of port {} {what}: {names}", args.get("PORT").unwrap_or("-"))
}

/// Names of what can be done, with a star where it is.
fn can_and_does(offloads: &Value) -> String {
    let offload = |offload: &Value| {
        let on = if offload["enabled"] == true { "*" } else { "" };
        text(&offload["name"]) + on
    };
    let names: Vec<_> = list(offloads).map(offload).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" ") + " (*: on)" }
}

pub(crate) fn macs(args: &Args, answer: &Value) -> String {
    let of = |name: &str, macs: &Value| format!("port {name}: {}", words(macs));
    match answer["ports"].as_array() {
        Some(ports) => {
            ports.iter().map(|port| of(&text(&port["port"]), &port["macs"])).collect::<Vec<_>>().join("\n")
        }
        None => of(args.get("PORT").unwrap_or("-"), &answer["macs"]),
    }
}

pub(crate) fn link(args: &Args, answer: &Value) -> String {
    format!("port {}: link {}", args.get("PORT").unwrap_or("-"), link_words(&answer["link"]))
}

pub(crate) fn flow_control(_: &Args, has: &Value) -> String {
    let switched = |name: &str| if has[name] == true { "on" } else { "off" };
    format!(
        "{}: rx pause {}, tx pause {}, autoneg {}, high water {}, low water {}, pause time {}, send xon {}",
        text(&has["port"]),
        switched("rx"),
        switched("tx"),
        switched("autoneg"),
        text(&has["high_water"]),
        text(&has["low_water"]),
        text(&has["pause_time"]),
        switched("send_xon"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_read_in_a_line_and_whole() {
        let port = json!({
            "number": 0, "port": "up", "device": "0000:03:00.0", "driver": "net_igb", "enabled": true, "mtu": 1500,
            "link": { "up": true, "mbps": 10_000, "full_duplex": true }, "vlan": "trunk 1-4094", "profile": null,
            "rx_ring_limits": { "min": 32, "max": 4096, "align": 8 }, "rss_types": ["ipv4", "tcp"],
            "notes": ["rx_ring clamped to 4096"],
        });
        let answer = json!({ "ports": [port] });
        let line = port_list(&Args::default(), &answer);
        assert!(line.contains("up, 10 Gbps") && line.contains("trunk 1-4094"), "{line}");
        let whole = port_info(&Args::default(), &answer);
        for part in [
            "port up, number 0: link up, 10 Gbps",
            "full duplex: yes",
            "RSS over: ipv4 tcp",
            "receive rings of 32 to 4,096, a multiple of 8",
            "note: rx_ring clamped",
        ] {
            assert!(whole.contains(part), "{part:?} is not in\n{whole}");
        }
        assert!(!whole.contains("QoS profile"), "{whole}");
    }

    #[test]
    fn offloads_tell_what_is_on() {
        let offload = |name: &str, enabled: bool| json!({ "name": name, "enabled": enabled });
        let answer = json!({ "rx_offloads": [offload("VLAN_STRIP", false), offload("SCATTER", true)] });
        let ports = json!({ "ports": [answer] });
        assert!(capabilities(&Args::default(), &ports).contains("receives: VLAN_STRIP SCATTER* (*: on)"));
    }
}
