//! What is asked of the switch, once for each drawing.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::rpc::{CallError, Client};

/// The answers of one moment. What a switch of another version doesn't tell is empty.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) version: String,
    pub(super) uptime_seconds: f64,
    /// By name.
    pub(super) ports: BTreeMap<String, PortSample>,
    pub(super) workers: Vec<WorkerSample>,
    /// `rx`, `replicated`, `tx`, `dropped`, `queued`.
    pub(super) accounting: [u64; 5],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PortSample {
    pub(super) number: u64,
    pub(super) is_vm: bool,
    pub(super) device: String,
    pub(super) driver: String,
    pub(super) vlan: String,
    pub(super) profile: String,
    pub(super) mtu: u64,
    pub(super) up: bool,
    pub(super) mbps: Option<u64>,
    pub(super) enabled: bool,
    pub(super) rx_frames: u64,
    pub(super) rx_bytes: u64,
    pub(super) tx_frames: u64,
    pub(super) tx_bytes: u64,
    /// Frames by reason, those that the device lost among them.
    pub(super) drops: BTreeMap<String, u64>,
}

impl PortSample {
    pub(super) fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WorkerSample {
    pub(super) worker: u64,
    pub(super) cpu: u64,
    /// 0 to 1, over the last second.
    pub(super) load: f64,
    pub(super) frames: u64,
    pub(super) frames_per_burst: f64,
    pub(super) queues: usize,
    pub(super) stuck: bool,
}

pub(super) fn ask(client: &mut Client) -> Result<Sample, CallError> {
    let info = client.call("switch.info", Value::Null)?;
    let stats = client.call("port.stats", Value::Null)?;
    let list = client.call("port.list", Value::Null)?;
    let workers = client.call("worker.list", Value::Null)?;
    Ok(read(Instant::now(), &info, &stats, &list, &workers))
}

fn read(at: Instant, info: &Value, stats: &Value, list: &Value, workers: &Value) -> Sample {
    let mut ports = BTreeMap::new();
    for port in items(&list["ports"]) {
        ports.insert(text(&port["port"]), described(port));
    }
    for port in items(&stats["ports"]) {
        if let Some(sample) = ports.get_mut(&text(&port["port"])) {
            count(sample, port);
        }
    }
    let sum = &stats["accounting"];
    Sample {
        at,
        version: text(&info["version"]),
        uptime_seconds: info["uptime_seconds"].as_f64().unwrap_or_default(),
        ports,
        workers: items(&workers["workers"]).map(worker).collect(),
        accounting: ["rx", "replicated", "tx", "dropped", "queued"].map(|field| number(&sum[field])),
    }
}

fn described(port: &Value) -> PortSample {
    PortSample {
        number: number(&port["number"]),
        is_vm: port["kind"] == "vhost_user",
        device: text(&port["device"]),
        driver: text(&port["driver"]),
        vlan: text(&port["vlan"]),
        profile: text(&port["profile"]),
        mtu: number(&port["mtu"]),
        up: port["link"]["up"] == true,
        mbps: port["link"]["mbps"].as_u64(),
        enabled: port["enabled"] != false,
        ..PortSample::default()
    }
}

fn count(sample: &mut PortSample, port: &Value) {
    sample.rx_frames = number(&port["rx_frames"]);
    sample.rx_bytes = number(&port["rx_bytes"]);
    sample.tx_frames = number(&port["tx_frames"]);
    sample.tx_bytes = number(&port["tx_bytes"]);
    let drops = port["drops"].as_object().into_iter().flatten();
    sample.drops.extend(drops.map(|(reason, frames)| (reason.clone(), number(frames))));
    for lost in ["missed", "rx_errors", "no_mbuf", "tx_errors"] {
        let frames = number(&port["device"][lost]);
        if frames > 0 {
            sample.drops.insert(format!("device: {lost}"), frames);
        }
    }
}

fn worker(worker: &Value) -> WorkerSample {
    WorkerSample {
        worker: number(&worker["worker"]),
        cpu: number(&worker["cpu"]),
        load: worker["load"].as_f64().unwrap_or_default(),
        frames: number(&worker["frames"]),
        frames_per_burst: worker["frames_per_burst"].as_f64().unwrap_or_default(),
        queues: items(&worker["queues"]).count(),
        stuck: worker["stuck_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_become_a_sample_whatever_is_missing() {
        let list = json!({ "ports": [{ "port": "vm1", "number": 3, "kind": "vhost_user", "link": { "up": true } }] });
        let stats = json!({ "ports": [
            { "port": "vm1", "rx_frames": 7, "drops": { "tx_full": 2 }, "device": { "missed": 5 } },
            { "port": "(detached)", "rx_frames": 9 },
        ], "accounting": { "rx": 7, "dropped": 7 } });
        let workers = json!({ "workers": [{ "worker": 0, "load": 0.5, "queues": [{}] }] });
        let sample = read(Instant::now(), &Value::Null, &stats, &list, &workers);
        let vm1 = &sample.ports["vm1"];
        assert_eq!((vm1.number, vm1.is_vm, vm1.up, vm1.rx_frames, vm1.dropped()), (3, true, true, 7, 7));
        assert_eq!(vm1.drops["device: missed"], 5);
        assert_eq!((sample.ports.len(), sample.accounting), (1, [7, 0, 0, 7, 0]));
        assert_eq!((sample.workers[0].queues, sample.workers[0].stuck), (1, false));
    }
}
