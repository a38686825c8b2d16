//! Pollux, as anyone would run it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pollux_net::Mac;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Control, Job, Memory, PortCounters, PortKind, System, dpdk};
use crate::host::{self, Rpc};
use crate::{BenchError, Result};

/// What the file of Pollux may ask for.
const FDB_CAPACITY: std::ops::RangeInclusive<u32> = 1 << 10..=1 << 24;
const AGEING_SECONDS: std::ops::RangeInclusive<u32> = 10..=1_000_000;
const RING: std::ops::RangeInclusive<u16> = 64..=4096;

pub(crate) struct Pollux {
    switch: host::Pollux,
    job: Job,
    folder: PathBuf,
}

pub(super) fn supports(job: &Job) -> Result<(), String> {
    if !FDB_CAPACITY.contains(&job.fdb_capacity) {
        return Err(format!("its table holds {FDB_CAPACITY:?} addresses, not {}", job.fdb_capacity));
    }
    if !AGEING_SECONDS.contains(&job.ageing_seconds) {
        return Err(format!("addresses age in {AGEING_SECONDS:?} seconds, not {}", job.ageing_seconds));
    }
    Ok(())
}

impl Pollux {
    /// Starts it; it forwards when this returns.
    pub(crate) fn start(job: &Job, folder: &Path) -> Result<Self> {
        Ok(Self { switch: launch(job, folder)?, job: job.clone(), folder: folder.to_owned() })
    }

    /// Has everything captured that ports receive, into a file that keeps nothing.
    pub(crate) fn capture_received(&self) -> Result<()> {
        let nowhere: File =
            OpenOptions::new().write(true).open("/dev/null").map_err(BenchError::file("/dev/null"))?;
        let what = json!({ "direction": "rx" });
        self.switch.rpc().call_with("capture.start", what, Some(&nowhere)).map(drop)
    }
}

fn launch(job: &Job, folder: &Path) -> Result<host::Pollux> {
    host::Pollux::start_in(job.place(), &job.pollux, folder, &configuration(job))
}

impl System for Pollux {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        let answer = self.switch.rpc().call("port.stats", json!({}))?;
        counters(answer, &self.job).map_err(|what| BenchError::process("pollux", what))
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        super::worker_time(self.switch.process().id(), &self.job)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        super::workers(self.switch.process().id(), &self.job)
    }

    fn crash_and_start(&mut self) -> Result<()> {
        self.switch.kill()?;
        super::remove_sockets(&self.job)?;
        self.switch = launch(&self.job, &self.folder)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.switch.end()?;
        self.switch = launch(&self.job, &self.folder)?;
        Ok(())
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        let ports = self.job.ports.iter().map(|port| (port.name.clone(), port.access.vid())).collect();
        let ageing_seconds = self.job.ageing_seconds;
        Some(Box::new(Changes { rpc: self.switch.rpc().clone(), ports, ageing_seconds, statics: 0 }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = super::common_settings(&self.job);
        settings.push(("configuration".to_owned(), configuration(&self.job)));
        settings
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.switch.stop()
    }
}

/// What is read of `port.stats`.
#[derive(Deserialize)]
struct Stats {
    ports: Vec<PortStats>,
}

#[derive(Deserialize)]
struct PortStats {
    port: String,
    rx_frames: u64,
    tx_frames: u64,
    drops: BTreeMap<String, u64>,
    device: Option<BTreeMap<String, u64>>,
}

fn counters(answer: Value, job: &Job) -> Result<Vec<PortCounters>, String> {
    let stats: Stats = serde_json::from_value(answer).map_err(|error| format!("port.stats: {error}"))?;
    let of = |name: &str| {
        let stats = stats.ports.iter().find(|stats| stats.port == name);
        let stats = stats.ok_or_else(|| format!("port.stats: no port {name}"))?;
        let device = stats.device.iter().flatten().filter(|(_, lost)| **lost > 0);
        let device = device.map(|(what, lost)| (format!("device: {what}"), *lost));
        let drops = stats.drops.iter().map(|(reason, frames)| (reason.clone(), *frames));
        Ok(PortCounters {
            received: stats.rx_frames,
            sent: stats.tx_frames,
            drops: drops.chain(device).collect(),
        })
    };
    job.ports.iter().map(|port| of(&port.name)).collect()
}

/// Who changes it while it runs.
struct Changes {
    rpc: Rpc,
    /// Each port's name, and the VLAN of its stations.
    ports: Vec<(String, u16)>,
    ageing_seconds: u32,
    /// Static addresses that were added.
    statics: u64,
}

impl Control for Changes {
    fn set_entry(&mut self, port: usize, mac: Mac, there: bool) -> Result<()> {
        let (name, vlan) = &self.ports[port];
        let mac = mac.to_string();
        if there {
            self.rpc.call("fdb.add", json!({ "vlan": vlan, "mac": mac, "port": name }))?;
            self.statics += 1;
        } else {
            self.rpc.call("fdb.remove", json!({ "vlan": vlan, "mac": mac }))?;
            self.statics = self.statics.saturating_sub(1);
        }
        Ok(())
    }

    fn change_setting(&mut self, turn: u64) -> Result<()> {
        // What is as old as that doesn't matter to traffic that goes on.
        let seconds = u64::from(self.ageing_seconds) + turn % 2;
        let edit = json!({ "set": ["fdb", "ageing_time"], "value": format!("{seconds}s") });
        self.rpc.call("config.edit", json!({ "edits": [edit] })).map(drop)
    }

    fn addresses(&mut self) -> Result<Option<u64>> {
        let answer = self.rpc.call("fdb.info", json!({}))?;
        let entries = answer["entries"].as_u64();
        let entries =
            entries.ok_or_else(|| BenchError::process("pollux", format_args!("fdb.info: {answer}")))?;
        Ok(Some(entries.saturating_sub(self.statics)))
    }

    fn flush(&mut self) -> Result<()> {
        self.rpc.call("fdb.flush", json!({})).map(drop)
    }
}

/// The file for a job.
fn configuration(job: &Job) -> String {
    let cores: Vec<_> = job.worker_cpus.iter().map(usize::to_string).collect();
    let mut text = format!("[switch]\ncores = [{}]\n", cores.join(", "));
    if job.memory == Memory::Ordinary {
        text.push_str("hugepages = false\n");
    }
    if job.kept_mbufs > 0 {
        // It can't know of these: 2.4 KB an mbuf, and what DPDK needs besides.
        text.push_str(&format!("memory = \"{}MiB\"\n", 96 + job.mbufs() / 400));
    }
    let (capacity, ageing) = (job.fdb_capacity, job.ageing_seconds);
    // Writing to a string doesn't fail.
    let _ = write!(text, "\n[fdb]\ncapacity = {capacity}\nageing_time = \"{ageing}s\"\n");
    for (number, port) in job.ports.iter().enumerate() {
        let _ = writeln!(text, "\n[ports.{}]", port.name);
        let ring = port.ring.clamp(*RING.start(), *RING.end());
        let rings = format!("rx_ring = {ring}\ntx_ring = {ring}\n");
        match &port.kind {
            PortKind::Vhost { socket, listens } => {
                let role = if *listens { "server" } else { "client" };
                let socket = socket.display();
                let _ = writeln!(text, "vhost_user = {{ socket = \"{socket}\", role = \"{role}\" }}");
            }
            PortKind::Device(device) => {
                let _ = write!(text, "device = \"{device}\"\n{rings}");
            }
            PortKind::Interface(_) => {
                let device = dpdk::device(number, port, job.largest_frame);
                let _ = write!(text, "device = \"{device}\"\nrx_queues = 1\n{rings}");
            }
        }
        if job.is_jumbo() {
            let _ = writeln!(text, "mtu = {}", job.mtu());
        }
        let vlan = match port.access {
            // As a port is without being told.
            Access::Vlan(1) => None,
            Access::Vlan(vid) => Some(format!("mode = \"access\", vid = {vid}")),
            Access::Trunk { native } => {
                Some(format!("mode = \"trunk\", allowed = [\"1-4094\"], native = {native}"))
            }
            Access::Tagged(vid) => Some(format!("mode = \"trunk\", allowed = [{vid}]")),
        };
        if let Some(vlan) = vlan {
            let _ = writeln!(text, "vlan = {{ {vlan} }}");
        }
        text.push_str(&port.more_toml);
    }
    if !job.more_toml.is_empty() {
        let _ = write!(text, "\n{}", job.more_toml);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_all_of_the_job() {
        let mut job = Job {
            worker_cpus: vec![1, 2],
            memory: Memory::Ordinary,
            largest_frame: 9018,
            more_toml: "[mirrors.m]\n".to_owned(),
            ..Job::of_sockets("/s", 4, true)
        };
        job.ports[1].kind = PortKind::Vhost { socket: "/s/b".into(), listens: false };
        job.ports[1].access = Access::Trunk { native: 7 };
        job.ports[2].kind = PortKind::Device("0000:03:00.0".to_owned());
        job.ports[2].ring = 32;
        job.ports[2].access = Access::Tagged(9);
        job.ports[2].more_toml = "qos = { profile = \"p\" }\n".to_owned();
        job.ports[3].kind = PortKind::Interface("v0".to_owned());
        job.ports[3].access = Access::Vlan(30);
        assert_eq!(
            configuration(&job),
            "[switch]\ncores = [1, 2]\nhugepages = false\n\n[fdb]\ncapacity = 131072\nageing_time = \"300s\"\n\
             \n[ports.p0]\nvhost_user = { socket = \"/s/p0\", role = \"server\" }\nmtu = 9000\n\
             \n[ports.p1]\nvhost_user = { socket = \"/s/b\", role = \"client\" }\nmtu = 9000\n\
             vlan = { mode = \"trunk\", allowed = [\"1-4094\"], native = 7 }\n\
             \n[ports.p2]\ndevice = \"0000:03:00.0\"\nrx_ring = 64\ntx_ring = 64\nmtu = 9000\n\
             vlan = { mode = \"trunk\", allowed = [9] }\nqos = { profile = \"p\" }\n\
             \n[ports.p3]\ndevice = \"net_pcap3,iface=v0\"\nrx_queues = 1\nrx_ring = 512\ntx_ring = 512\n\
             mtu = 9000\nvlan = { mode = \"access\", vid = 30 }\n\n[mirrors.m]\n"
        );
    }

    #[test]
    fn what_the_table_cant_be_is_refused() {
        let job = Job { fdb_capacity: 100, ..Job::of_sockets("/s", 2, true) };
        assert!(supports(&job).unwrap_err().contains("not 100"));
        let job = Job { ageing_seconds: 1, ..Job::of_sockets("/s", 2, true) };
        assert!(supports(&job).unwrap_err().contains("not 1"));
    }

    #[test]
    fn counters_are_in_the_jobs_order() {
        let job = Job::of_sockets("/s", 2, true);
        let answer = json!({ "ports": [
            { "port": "p1", "rx_frames": 5, "tx_frames": 6, "drops": { "tx_full": 2 },
              "device": { "missed": 3, "tx_errors": 0 } },
            { "port": "p0", "rx_frames": 7, "tx_frames": 8, "drops": {}, "device": null },
            { "port": "copies", "rx_frames": 0, "tx_frames": 9, "drops": {}, "device": null },
        ] });
        let counted = counters(answer, &job).unwrap();
        let drops = [("device: missed".to_owned(), 3), ("tx_full".to_owned(), 2)];
        assert_eq!(counted[0], PortCounters { received: 7, sent: 8, drops: BTreeMap::new() });
        assert_eq!(counted[1], PortCounters { received: 5, sent: 6, drops: drops.into() });
        assert!(counters(json!({ "ports": [] }), &job).unwrap_err().contains("no port p0"));
    }
}
