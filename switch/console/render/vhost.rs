//! How VMs read.

use std::fmt::Write;

use serde_json::Value;

use super::{list, text, words};
use crate::console::grammar::Args;
use crate::text::grouped;

pub(crate) fn vms(_: &Args, answer: &Value) -> String {
    let vms: Vec<_> = list(&answer["vms"]).map(vm).collect();
    if vms.is_empty() { "no port is a VM's".to_owned() } else { vms.join("\n\n") }
}

fn vm(vm: &Value) -> String {
    let (network, vhost) = (&vm["network"], &vm["vhost"]);
    let mut out = format!("{}: {} ({})", text(&vm["port"]), text(&vhost["socket"]), text(&vhost["role"]));
    let state = match vhost["connected_seconds"].as_f64() {
        Some(seconds) => format!("connected for {seconds:.1} s"),
        None => "no VM".to_owned(),
    };
    let outage = match vhost["last_outage_ms"].as_u64() {
        Some(ms) => format!(", the last after {} ms", grouped(ms)),
        None => String::new(),
    };
    let _ = write!(
        out,
        "\n  link {}, {state}; reconnects {}{outage}",
        text(&network["link_state"]),
        text(&vhost["reconnects"])
    );
    let _ = write!(out, "\n  addresses {}", words(&network["mac_addresses"]));
    let counters = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];
    let counters = counters.map(|name| format!("{} {}", name.replace('_', " "), text(&network[name])));
    let _ = write!(out, "\n  the VM's {}", counters.join(", "));
    for (number, queue) in list(&vhost["queues"]).enumerate() {
        let side = |enabled: &Value, ring: &Value| match enabled.as_bool() {
            Some(true) => format!("on, ring {}", text(ring)),
            _ => "off".to_owned(),
        };
        let rx = side(&queue["rx_enabled"], &queue["rx_ring"]);
        let tx = side(&queue["tx_enabled"], &queue["tx_ring"]);
        let _ = write!(out, "\n  queue pair {number}: from the VM {rx}; to the VM {tx}");
    }
    let _ = write!(out, "\n  features {}", words(&vhost["features"]));
    out += &guest(&vm["guest"]);
    for (reason, frames) in vm["drops"].as_object().into_iter().flatten() {
        let _ = write!(out, "\n  dropped {} frames: {reason}", text(frames));
    }
    out
}

/// What the guest tells of itself: nothing if nobody asks it.
fn guest(guest: &Value) -> String {
    let name = guest["host_name"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
    match (&guest["interfaces"], guest["error"].as_str()) {
        (_, Some(error)) => format!("\n  guest agent {}: {error}", text(&guest["agent"])),
        (Value::Array(interfaces), None) => {
            let interface = |interface: &Value| {
                let addresses = words(&interface["ip_addresses"]);
                let mac = text(&interface["mac_address"]);
                format!("\n  guest{name}: {} {mac}, IP {addresses}", text(&interface["name"]))
            };
            interfaces.iter().map(interface).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_vm_reads_whole_and_with_fields_missing() {
        let vm = json!({ "vms": [{
            "port": "vm1",
            "network": { "link_state": "up", "mac_addresses": ["02:00:00:00:00:01"], "rx_packets": 1234567 },
            "vhost": { "socket": "/run/vm1.sock", "role": "server", "connected_seconds": 1.25, "reconnects": 2,
                       "last_outage_ms": 1500, "features": ["CSUM", "MQ"],
                       "queues": [{ "rx_enabled": true, "rx_ring": 256, "tx_enabled": false, "tx_ring": 0 }] },
            "guest": { "agent": "/run/vm1.agent.sock", "host_name": "web", "error": null, "interfaces": [
                { "name": "eth0", "mac_address": "02:00:00:00:00:01", "ip_addresses": ["10.0.0.1/24", "::1/128"] },
                { "name": "tun0", "mac_address": null, "ip_addresses": [] }] },
            "drops": { "tx_full": 3 },
        }] });
        let text = vms(&Args::default(), &vm);
        for part in [
            "vm1: /run/vm1.sock (server)",
            "link up, connected for 1.2 s; reconnects 2, the last after 1,500 ms",
            "addresses 02:00:00:00:00:01",
            "rx packets 1,234,567, rx bytes -",
            "queue pair 0: from the VM on, ring 256; to the VM off",
            "features CSUM MQ",
            "guest web: eth0 02:00:00:00:00:01, IP 10.0.0.1/24 ::1/128\n  guest web: tun0 -, IP -",
            "dropped 3 frames: tx_full",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let bare = vms(&Args::default(), &json!({ "vms": [{}] }));
        assert!(bare.contains("no VM") && !bare.contains("guest"), "{bare}");
        let silent =
            json!({ "vms": [{ "guest": { "agent": "/run/a", "interfaces": null, "error": "busy" } }] });
        assert!(vms(&Args::default(), &silent).contains("guest agent /run/a: busy"));
    }
}
