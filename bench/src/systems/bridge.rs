//! The Linux kernel's bridge, whose work is done on the CPU that polls for other systems.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pollux_net::Mac;
use serde::Deserialize;

use super::{Access, Control, Job, PortCounters, PortKind, System};
use crate::host::{command_in, cpu, output};
use crate::{BenchError, Result};

/// Bridges of the job, one for each VLAN. They go with this value.
pub(super) struct Bridge {
    job: Job,
    plan: Plan,
    /// What the interfaces had counted when it began.
    before: Vec<PortCounters>,
}

/// What is made: where, and which interface belongs to which bridge.
#[derive(Clone)]
struct Plan {
    namespace: PathBuf,
    /// In the job's order: the interface, and its bridge.
    ports: Vec<(String, String)>,
}

pub(super) fn supports(job: &Job) -> Result<(), String> {
    if let Some(port) = job.ports.iter().find(|port| !matches!(port.kind, PortKind::Interface(_))) {
        return Err(format!("it takes the kernel's interfaces only, and port {} is none", port.name));
    }
    if job.namespace.is_none() {
        return Err("it needs a network namespace of its own".to_owned());
    }
    if !job.is_one_vlan() && job.ports.iter().any(|port| !matches!(port.access, Access::Vlan(_))) {
        return Err("it is set up without VLAN filtering: each port is of one VLAN, untagged".to_owned());
    }
    Ok(())
}

impl Bridge {
    pub(super) fn start(job: &Job) -> Result<Self> {
        let plan = Plan::of(job)?;
        let mut bridge = Self { job: job.clone(), plan, before: Vec::new() };
        bridge.make()?;
        Ok(bridge)
    }

    fn make(&mut self) -> Result<()> {
        let (plan, job) = (&self.plan, &self.job);
        let mtu = job.mtu().to_string();
        // In hundredths of a second. Nothing of its own is sent: no spanning tree, no questions for multicast groups.
        let ageing = (u64::from(job.ageing_seconds) * 100).to_string();
        for bridge in plan.bridges() {
            let add = ["link", "add", bridge, "mtu", &mtu, "type", "bridge", "ageing_time", &ageing];
            plan.ip(&[&add[..], &["stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]].concat())?;
            plan.ip(&["link", "set", bridge, "arp", "off", "up"])?;
        }
        let mask = cpu::mask(&job.worker_cpus);
        for (interface, bridge) in &plan.ports {
            steer(plan, interface, &mask)?;
            plan.ip(&["link", "set", interface, "mtu", &mtu, "arp", "off", "promisc", "on", "up"])?;
            plan.ip(&["link", "set", interface, "master", bridge])?;
        }
        self.before = plan.counters()?;
        Ok(())
    }
}

/// Has what an interface receives worked on by these CPUs, and not by the one that sent it.
fn steer(plan: &Plan, interface: &str, mask: &str) -> Result<()> {
    let queues = format!("/sys/class/net/{interface}/queues");
    let script = r#"for queue in "$1"/rx-*; do echo "$2" >"$queue/rps_cpus"; cat "$queue/rps_cpus"; done"#;
    let said =
        output(command_in(Some(&plan.namespace), Path::new("sh")).args(["-c", script, "sh", &queues, mask]))?;
    // The kernel says all its CPUs, those that aren't set as noughts.
    let digits = |mask: &str| mask.replace(',', "").trim_start_matches('0').to_owned();
    match said.lines().all(|line| digits(line) == digits(mask)) && !said.is_empty() {
        true => Ok(()),
        false => {
            let what = format!("{queues}: frames can't be steered to CPUs {mask}: {said}");
            Err(BenchError::Host(what))
        }
    }
}

impl Plan {
    fn of(job: &Job) -> Result<Self> {
        let namespace = job.namespace.clone();
        let namespace =
            namespace.ok_or_else(|| BenchError::Input("a bridge needs a namespace".to_owned()))?;
        let port = |port: &super::PortJob| match &port.kind {
            PortKind::Interface(name) => Some((name.clone(), format!("br{}", port.access.vid()))),
            _ => None,
        };
        Ok(Self { namespace, ports: job.ports.iter().filter_map(port).collect() })
    }

    fn bridges(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.ports.iter().map(|(_, bridge)| bridge.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn command(&self, program: &str) -> Command {
        command_in(Some(&self.namespace), Path::new(program))
    }

    fn ip(&self, words: &[&str]) -> Result<String> {
        output(self.command("ip").args(words))
    }

    fn bridge(&self, words: &[&str]) -> Result<String> {
        output(self.command("bridge").args(words))
    }

    fn remove(&self) -> Result<()> {
        self.bridges().into_iter().try_for_each(|bridge| self.ip(&["link", "del", bridge]).map(drop))
    }

    fn counters(&self) -> Result<Vec<PortCounters>> {
        let text = self.ip(&["-s", "-j", "link"])?;
        let links: Vec<Link> = serde_json::from_str(&text)
            .map_err(|error| BenchError::process("ip", format_args!("{error}: {text}")))?;
        let of = |name: &str| {
            let link = links.iter().find(|link| link.ifname == name);
            link.map(Link::counters)
                .ok_or_else(|| BenchError::process("the bridge", format_args!("interface {name} is gone")))
        };
        self.ports.iter().map(|(interface, _)| of(interface)).collect()
    }
}

/// What is read of `ip -s -j link`.
#[derive(Deserialize)]
struct Link {
    ifname: String,
    stats64: Stats,
}

#[derive(Deserialize)]
struct Stats {
    rx: Direction,
    tx: Direction,
}

#[derive(Deserialize)]
struct Direction {
    packets: u64,
    dropped: u64,
    #[serde(default)]
    errors: u64,
}

impl Link {
    fn counters(&self) -> PortCounters {
        let Stats { rx, tx } = &self.stats64;
        let drops = [
            ("rx_dropped", rx.dropped),
            ("rx_errors", rx.errors),
            ("tx_dropped", tx.dropped),
            ("tx_errors", tx.errors),
        ];
        let drops = drops.into_iter().map(|(what, frames)| (what.to_owned(), frames));
        PortCounters { received: rx.packets, sent: tx.packets, drops: drops.collect() }
    }
}

/// What came since an earlier look.
fn since(now: PortCounters, before: &PortCounters) -> PortCounters {
    let drops = now.drops.into_iter().map(|(what, frames)| {
        let earlier = before.drops.get(&what).copied().unwrap_or(0);
        (what, frames.saturating_sub(earlier))
    });
    PortCounters {
        received: now.received.saturating_sub(before.received),
        sent: now.sent.saturating_sub(before.sent),
        drops: drops.filter(|(_, frames)| *frames > 0).collect::<BTreeMap<_, _>>(),
    }
}

impl System for Bridge {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        let now = self.plan.counters()?;
        Ok(now.into_iter().zip(&self.before).map(|(now, before)| since(now, before)).collect())
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        // The kernel works when there is something to do, for whoever it is.
        Ok(None)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }

    fn crash_and_start(&mut self) -> Result<()> {
        let what = "the Linux bridge has no process to kill: it is the kernel's";
        Err(BenchError::Unsupported(what.to_owned()))
    }

    fn restart(&mut self) -> Result<()> {
        self.plan.remove()?;
        self.make()
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        let ageing_seconds = self.job.ageing_seconds;
        Some(Box::new(Changes { plan: self.plan.clone(), ageing_seconds }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let cpus: Vec<_> = self.job.worker_cpus.iter().map(usize::to_string).collect();
        vec![
            ("CPUs that received frames are worked on by (RPS)".to_owned(), cpus.join(", ")),
            ("MTU".to_owned(), self.job.mtu().to_string()),
            ("ageing time".to_owned(), format!("{} s", self.job.ageing_seconds)),
            ("addresses at most".to_owned(), "not limited".to_owned()),
            ("spanning tree, multicast snooping, VLAN filtering".to_owned(), "off".to_owned()),
        ]
    }

    fn stop(self: Box<Self>) -> Result<()> {
        // Dropping it then finds nothing.
        self.plan.remove()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.plan.remove();
    }
}

/// Who changes it while it runs.
struct Changes {
    plan: Plan,
    ageing_seconds: u32,
}

/// What is read of `bridge -j fdb show`.
#[derive(Deserialize)]
struct Entry {
    ifname: String,
    #[serde(default)]
    state: String,
}

impl Control for Changes {
    fn set_entry(&mut self, port: usize, mac: Mac, there: bool) -> Result<()> {
        let (interface, _) = &self.plan.ports[port];
        let (what, mac) = (if there { "add" } else { "del" }, mac.to_string());
        let mut words = vec!["fdb", what, &mac, "dev", interface, "master"];
        if there {
            words.push("static");
        }
        self.plan.bridge(&words).map(drop)
    }

    fn change_setting(&mut self, turn: u64) -> Result<()> {
        // What is as old as that doesn't matter to traffic that goes on.
        let ageing = (u64::from(self.ageing_seconds) * 100 + turn % 2).to_string();
        let change = |bridge| {
            self.plan.ip(&["link", "set", bridge, "type", "bridge", "ageing_time", &ageing]).map(drop)
        };
        self.plan.bridges().into_iter().try_for_each(change)
    }

    fn addresses(&mut self) -> Result<Option<u64>> {
        let text = self.plan.bridge(&["-j", "fdb", "show"])?;
        let entries: Vec<Entry> = serde_json::from_str(&text)
            .map_err(|error| BenchError::process("bridge", format_args!("{error}: {text}")))?;
        Ok(Some(dynamic(&entries, &self.plan)))
    }

    fn flush(&mut self) -> Result<()> {
        let flush = |(interface, _): &(String, String)| {
            self.plan.ip(&["link", "set", interface, "type", "bridge_slave", "fdb_flush"]).map(drop)
        };
        self.plan.ports.iter().try_for_each(flush)
    }
}

/// Addresses that were learned: those of its own, and those that it was told, have a state.
fn dynamic(entries: &[Entry], plan: &Plan) -> u64 {
    let learned = entries.iter().filter(|entry| !matches!(&entry.state[..], "permanent" | "static"));
    let ours = learned.filter(|entry| plan.ports.iter().any(|(interface, _)| *interface == entry.ifname));
    ours.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let mut job = Job::of_sockets("/s", 4, true);
        for (number, port) in job.ports.iter_mut().enumerate() {
            port.kind = PortKind::Interface(format!("v{number}"));
        }
        job.namespace = Some("/proc/1/ns/net".into());
        job
    }

    #[test]
    fn interfaces_in_a_namespace_are_supported() {
        assert_eq!(supports(&job()), Ok(()));
        let mut other = job();
        other.ports[1].access = Access::Vlan(9);
        assert_eq!(supports(&other), Ok(()));
        assert_eq!(Plan::of(&other).unwrap().bridges(), ["br1", "br9"]);
        other.ports[1].access = Access::Trunk { native: 1 };
        assert!(supports(&other).unwrap_err().contains("VLAN filtering"));
        other.ports[1].kind = PortKind::Device("net_null0".to_owned());
        assert!(supports(&other).unwrap_err().contains("port p1"));
        other = Job { namespace: None, ..job() };
        assert!(supports(&other).unwrap_err().contains("namespace"));
    }

    #[test]
    fn counters_are_since_the_start() {
        let text = r#"[{"ifname":"v0","stats64":{"rx":{"bytes":1,"packets":9,"errors":0,"dropped":4},
                        "tx":{"bytes":1,"packets":5,"errors":0,"dropped":1}}}]"#;
        let links: Vec<Link> = serde_json::from_str(text).unwrap();
        let before = PortCounters { received: 2, sent: 5, drops: [("rx_dropped".to_owned(), 3)].into() };
        let counted = since(links[0].counters(), &before);
        let drops = [("rx_dropped".to_owned(), 1), ("tx_dropped".to_owned(), 1)];
        assert_eq!(counted, PortCounters { received: 7, sent: 0, drops: drops.into() });
    }

    #[test]
    fn learned_addresses_are_counted() {
        let text = r#"[{"mac":"02:00:00:00:00:01","ifname":"v0","flags":[],"master":"br1","state":""},
                       {"mac":"02:00:00:00:00:02","ifname":"v1","master":"br1","state":"static"},
                       {"mac":"02:00:00:00:00:03","ifname":"v1","master":"br1","state":"permanent"},
                       {"mac":"33:33:00:00:00:01","ifname":"lo","flags":["self"],"state":""}]"#;
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap();
        assert_eq!(dynamic(&entries, &Plan::of(&job()).unwrap()), 1);
    }
}
