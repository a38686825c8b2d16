//! From an answer to what people read. Fields that aren't there read as nothing, so that a console can
//! talk to a switch of another version.

use std::fmt::Write;

use serde_json::Value;

use super::Command;
use crate::control::report::{grouped, table};

/// The answer to `command`, for people.
pub fn render(command: &Command, answer: &Value) -> String {
    match command.method {
        "vhost.show" => list(&answer["vms"]).map(vm).collect::<Vec<_>>().join("\n\n"),
        "port.stats" => port_stats(answer),
        "port.flow_control" => flow_control(answer),
        "qos.show" => super::qos::render(answer),
        "config.running" => text(&answer["text"]).trim_end().to_owned(),
        _ => text(&answer["changes"]["summary"]),
    }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A value in words: text without its quotes, numbers with their thousands apart.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        other => other.to_string(),
    }
}

fn words(value: &Value) -> String {
    let words: Vec<_> = list(value).map(text).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

fn port_stats(answer: &Value) -> String {
    const COLUMNS: [&str; 6] = ["port", "rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "dropped"];
    let row = |port: &Value| COLUMNS.iter().map(|column| text(&port[column])).collect();
    let header = COLUMNS.map(|column| column.replace('_', " "));
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let mut out = table(&header, list(&answer["ports"]).map(row), 1).to_string();
    for port in list(&answer["ports"]) {
        for (reason, frames) in port["drops"].as_object().into_iter().flatten() {
            let _ = write!(out, "\nport {} dropped {} frames: {reason}", text(&port["port"]), text(frames));
        }
    }
    let sum = &answer["accounting"];
    let [rx, replicated, tx, dropped, queued] =
        ["rx", "replicated", "tx", "dropped", "queued"].map(|field| text(&sum[field]));
    let _ = write!(
        out,
        "\naccounting: rx {rx} + replicated {replicated} = tx {tx} + dropped {dropped} + queued {queued}"
    );
    out
}

fn flow_control(has: &Value) -> String {
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

    fn shown(line: &str, answer: &Value) -> String {
        render(&Command::parse(line).unwrap().unwrap(), answer)
    }

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
        let text = shown("show vhost", &vm);
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
        let bare = shown("show vhost", &json!({ "vms": [{}] }));
        assert!(bare.contains("no VM") && !bare.contains("guest"), "{bare}");
        let silent =
            json!({ "vms": [{ "guest": { "agent": "/run/a", "interfaces": null, "error": "busy" } }] });
        assert!(shown("show vhost", &silent).contains("guest agent /run/a: busy"));
    }

    #[test]
    fn changes_read_as_their_summary() {
        assert_eq!(shown("config reload", &json!({ "changes": { "summary": "attached a" } })), "attached a");
    }
}
