//! Open vSwitch with DPDK: a database and a daemon of our own, in a folder and a network namespace of
//! their own, with one bridge that learns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pollux_net::Mac;

use super::{Access, Control, Job, Memory, PortCounters, PortJob, PortKind, System, dpdk};
use crate::host::{Namespace, Place, Process, cpu, interrupt, keep_runtime_files, output};
use crate::{BenchError, Result};

/// The daemon with DPDK, as Debian installs it beside the one without.
pub(super) const DAEMON: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

const BRIDGE: &str = "br0";

/// How long one of its tools may take, in seconds. A port with many frames to replay takes a while.
const TOOL_SECONDS: u32 = 60;

/// Mbufs of a port that has a pool of its own, with those in its rings; octets that each has besides the frame's.
const PORT_MBUFS: u32 = 18_000;
const AROUND_FRAMES: u32 = 2048;

/// Addresses that its table can be made to hold.
const MAC_TABLE: std::ops::RangeInclusive<u32> = 10..=1_000_000;

/// Seconds that it can be told for addresses to age.
const AGEING: std::ops::RangeInclusive<u32> = 15..=3600;

/// The daemon, then the database: they end in this order.
pub(super) struct Ovs {
    daemon: Process,
    database: Process,
    job: Job,
    tools: Tools,
    /// Where the bridge is an interface, if the job has no place for it.
    _namespace: Option<Namespace>,
    namespace: PathBuf,
}

pub(super) fn supports(job: &Job) -> Result<(), String> {
    if !MAC_TABLE.contains(&job.fdb_capacity) {
        return Err(format!("its table holds {MAC_TABLE:?} addresses, not {}", job.fdb_capacity));
    }
    if !AGEING.contains(&job.ageing_seconds) {
        return Err(format!("addresses age in {AGEING:?} seconds, not {}", job.ageing_seconds));
    }
    match job.ports.iter().find(|port| matches!(port.kind, PortKind::Interface(_))) {
        Some(port) if job.namespace.is_none() => Err(format!(
            "it runs in a network namespace of its own, and the interface of port {} isn't there",
            port.name
        )),
        _ => Ok(()),
    }
}

impl Ovs {
    pub(super) fn start(job: &Job, folder: &Path) -> Result<Self> {
        let tools = Tools { folder: folder.to_owned() };
        let own = match &job.namespace {
            Some(_) => None,
            None => Some(Namespace::new()?),
        };
        let namespace = match (&job.namespace, &own) {
            (Some(file), _) => file.clone(),
            (None, own) => own.as_ref().map(|own| own.file().to_owned()).unwrap_or_default(),
        };
        output(Command::new("ovsdb-tool").arg("create").arg(folder.join("conf.db")).arg(SCHEMA))?;
        let place = Place { namespace: None, ..job.place() };
        let database = Process::start_in(place, "ovsdb-server", Path::new("ovsdb-server"), |command| {
            tools.keep_private(command);
            command.arg(folder.join("conf.db"));
            command.arg(format!("--remote=punix:{}", folder.join("db.sock").display()));
            command.arg(format!("--unixctl={}", folder.join("db.ctl").display()));
            command.arg("-vconsole:warn");
        })?;
        wait_for_file(&folder.join("db.sock"))?;
        output(tools.vsctl().args(configuration(job)))?;
        let daemon = launch(job, &tools, &namespace)?;
        let mut ovs = Self { daemon, database, job: job.clone(), tools, _namespace: own, namespace };
        ovs.add_ports().map_err(|error| ovs.daemon.failure(error))?;
        Ok(ovs)
    }

    fn add_ports(&self) -> Result<()> {
        output(self.tools.vsctl().args(ports(&self.job)))?;
        self.check_ports()?;
        self.link_sockets()
    }

    fn check_ports(&self) -> Result<()> {
        for port in &self.job.ports {
            let error = output(self.tools.vsctl().args(["get", "interface", &port.name, "error"]))?;
            if error.trim() != "[]" {
                let what = format!("port {}: {}", port.name, error.trim());
                return Err(BenchError::process("ovs-vswitchd", what));
            }
        }
        Ok(())
    }

    /// It names a socket after its port, in its own folder: a link leads there.
    fn link_sockets(&self) -> Result<()> {
        for port in &self.job.ports {
            if let PortKind::Vhost { socket, listens: true } = &port.kind {
                let made = self.tools.folder.join(&port.name);
                if made != *socket && std::fs::read_link(socket).ok() != Some(made.clone()) {
                    std::os::unix::fs::symlink(&made, socket).map_err(BenchError::file(socket))?;
                }
            }
        }
        Ok(())
    }

    /// Starts the daemon anew: it finds its ports in the database.
    fn launch_again(&mut self) -> Result<()> {
        for port in &self.job.ports {
            let _ = std::fs::remove_file(self.tools.folder.join(&port.name));
        }
        self.daemon = launch(&self.job, &self.tools, &self.namespace)?;
        // This waits for it to have done what the database says.
        output(self.tools.vsctl().args(["set", "Open_vSwitch", ".", "external_ids:started=again"]))?;
        self.check_ports().map_err(|error| self.daemon.failure(error))
    }
}

fn launch(job: &Job, tools: &Tools, namespace: &Path) -> Result<Process> {
    let folder = &tools.folder;
    let place = Place { namespace: Some(namespace), ..job.place() };
    Process::start_in(place, "ovs-vswitchd", Path::new(DAEMON), |command| {
        tools.keep_private(command);
        keep_runtime_files(command, folder);
        command.arg(format!("unix:{}", folder.join("db.sock").display()));
        command.arg(format!("--unixctl={}", folder.join("daemon.ctl").display()));
        command.arg(format!("--pidfile={}", folder.join("daemon.pid").display()));
        command.arg("-vconsole:warn");
    })
}

impl System for Ovs {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        let makes_it = |port: &PortJob| matches!(port.kind, PortKind::Vhost { listens: true, .. });
        if let Some(port) = self.job.ports.iter().find(|port| makes_it(port)) {
            return Err(BenchError::Unsupported(format!(
                "Open vSwitch doesn't count what passes a socket that it makes, as that of port {}: let front ends make \
                 them",
                port.name
            )));
        }
        let text = self.tools.appctl("daemon", &["dpctl/show", "--statistics"])?;
        let counted = counters(&text, &self.job);
        counted.ok_or_else(|| self.daemon.failure(format_args!("no statistics of all ports in: {text}")))
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        super::worker_time(self.daemon.id(), &self.job)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        super::workers(self.daemon.id(), &self.job)
    }

    fn crash_and_start(&mut self) -> Result<()> {
        self.daemon.kill()?;
        self.launch_again()
    }

    fn restart(&mut self) -> Result<()> {
        self.tools.appctl("daemon", &["exit"])?;
        self.daemon.wait()?;
        self.launch_again()
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        let ports = self.job.ports.iter().map(|port| (port.name.clone(), vid(port, &self.job))).collect();
        let ageing_seconds = self.job.ageing_seconds;
        Some(Box::new(Changes { tools: self.tools.clone(), ports, ageing_seconds }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = super::common_settings(&self.job);
        settings.push(("Open_vSwitch".to_owned(), configuration(&self.job)[5..].join(" ")));
        settings.push(("bridge and ports".to_owned(), ports(&self.job).join(" ")));
        settings
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.tools.appctl("daemon", &["exit", "--cleanup"])?;
        self.daemon.wait()?;
        self.tools.appctl("db", &["exit"])?;
        self.database.wait()
    }
}

/// Its tools, told where everything is.
#[derive(Clone)]
struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Everything in our folder.
    fn keep_private(&self, command: &mut Command) {
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(name, &self.folder);
        }
    }

    fn vsctl(&self) -> Command {
        let mut command = Command::new("ovs-vsctl");
        self.keep_private(&mut command);
        command.arg(format!("--timeout={TOOL_SECONDS}"));
        command.arg(format!("--db=unix:{}", self.folder.join("db.sock").display()));
        command
    }

    fn appctl(&self, target: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("ovs-appctl");
        self.keep_private(&mut command);
        command.arg(format!("--timeout={TOOL_SECONDS}"));
        output(command.arg("--target").arg(self.folder.join(target).with_extension("ctl")).args(arguments))
    }
}

/// What the daemon reads when it starts.
fn configuration(job: &Job) -> Vec<String> {
    let mask = |cpus: &[usize]| format!("0x{}", cpu::mask(cpus).replace(',', ""));
    let mut words: Vec<_> =
        ["--no-wait", "init", "--", "set", "Open_vSwitch", "."].map(str::to_owned).to_vec();
    let mut set = |what: &str, value: String| words.push(format!("other_config:{what}={value}"));
    set("dpdk-init", "true".to_owned());
    set("dpdk-lcore-mask", mask(&[job.house_cpu]));
    set("pmd-cpu-mask", mask(&job.worker_cpus));
    let mbufs = PORT_MBUFS * job.ports.len() as u32;
    let pools = dpdk::pool_mib(mbufs, u32::from(job.largest_frame) + AROUND_FRAMES);
    let mut environment = dpdk::environment(job, pools);
    if job.memory == Memory::Ordinary {
        // It adds --in-memory, which needs hugepages, unless it sees this.
        environment.push("--legacy-mem".to_owned());
    }
    set("dpdk-extra", format!("\"{}\"", environment.join(" ")));
    set("flow-limit", job.ovs_flow_limit.to_string());
    if job.is_jumbo() || job.memory == Memory::Ordinary {
        // A pool for all ports has 262,144 mbufs, large ones as many as small ones.
        set("per-port-memory", "true".to_owned());
    }
    words
}

/// The words that make the bridge and its ports.
fn ports(job: &Job) -> Vec<String> {
    let mut words: Vec<_> =
        ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"].map(str::to_owned).to_vec();
    words.push(format!("other_config:mac-table-size={}", job.fdb_capacity));
    words.push(format!("other_config:mac-aging-time={}", job.ageing_seconds));
    for (number, port) in job.ports.iter().enumerate() {
        words.extend(["--", "add-port", BRIDGE, &port.name].map(str::to_owned));
        words.extend(vlan(port, job));
        words.extend(["--", "set", "interface", &port.name].map(str::to_owned));
        match &port.kind {
            PortKind::Vhost { listens: true, .. } => words.push("type=dpdkvhostuser".to_owned()),
            PortKind::Vhost { socket, listens: false } => {
                words.push("type=dpdkvhostuserclient".to_owned());
                words.push(format!("options:vhost-server-path=\"{}\"", socket.display()));
            }
            PortKind::Device(_) | PortKind::Interface(_) => {
                let device = dpdk::device(number, port, job.largest_frame);
                words.push("type=dpdk".to_owned());
                words.push(format!("options:dpdk-devargs=\"{device}\""));
                words.push(format!("options:n_rxq_desc={}", port.ring));
                words.push(format!("options:n_txq_desc={}", port.ring));
            }
        }
        if job.is_jumbo() {
            words.push(format!("mtu_request={}", job.mtu()));
        }
    }
    words
}

/// The columns of a port that say which VLANs it is of; none where all ports are alike, as the bridge is without.
fn vlan(port: &PortJob, job: &Job) -> Vec<String> {
    match port.access {
        _ if job.is_one_vlan() => Vec::new(),
        Access::Vlan(vid) => vec![format!("tag={vid}")],
        Access::Trunk { native } => vec![format!("tag={native}"), "vlan_mode=native-untagged".to_owned()],
        Access::Tagged(vid) => vec![format!("trunks={vid}"), "vlan_mode=trunk".to_owned()],
    }
}

/// The VLAN of a port's stations, as its table has it.
fn vid(port: &PortJob, job: &Job) -> u16 {
    if job.is_one_vlan() { 0 } else { port.access.vid() }
}

fn wait_for_file(path: &Path) -> Result<()> {
    for _ in 0..250 {
        if path.exists() {
            return Ok(());
        }
        interrupt::sleep(interrupt::TICK)?;
    }
    Err(BenchError::process("ovsdb-server", format_args!("no {} within 5 s", path.display())))
}

/// What `dpctl/show` says of the job's ports.
fn counters(text: &str, job: &Job) -> Option<Vec<PortCounters>> {
    let mut ports = vec![None; job.ports.len()];
    let mut port = None;
    // It ends no line behind an error.
    for line in text.replace("  port ", "\n  port ").lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("port ") {
            let name = rest.split_once(": ").and_then(|(_, name)| name.split_whitespace().next());
            port = job.ports.iter().position(|port| Some(port.name.as_str()) == name);
            continue;
        }
        let Some(number) = port else { continue };
        if line.contains("could not retrieve stats") {
            // Its front end isn't there, or not yet again.
            ports[number].get_or_insert_default();
        }
        let Some((direction, numbers)) = line.split_once(" packets:") else { continue };
        let counters: &mut PortCounters = ports[number].get_or_insert_default();
        let mut words = numbers.split_whitespace();
        // A device that can't say has a question mark.
        let packets = words.next()?.parse().unwrap_or(0);
        match direction {
            "RX" => counters.received = packets,
            "TX" => counters.sent = packets,
            _ => continue,
        }
        for (what, frames) in words.filter_map(|word| word.split_once(':')) {
            if let Some(frames) = frames.parse().ok().filter(|frames| *frames > 0) {
                counters.drops.insert(format!("{} {what}", direction.to_lowercase()), frames);
            }
        }
    }
    ports.into_iter().collect()
}

/// Who changes it while it runs.
struct Changes {
    tools: Tools,
    /// Each port's name, and the VLAN of its stations.
    ports: Vec<(String, u16)>,
    ageing_seconds: u32,
}

impl Control for Changes {
    fn set_entry(&mut self, port: usize, mac: Mac, there: bool) -> Result<()> {
        let (name, vlan) = &self.ports[port];
        let (vlan, mac) = (vlan.to_string(), mac.to_string());
        match there {
            true => self.tools.appctl("daemon", &["fdb/add", BRIDGE, name, &vlan, &mac])?,
            false => self.tools.appctl("daemon", &["fdb/del", BRIDGE, &vlan, &mac])?,
        };
        Ok(())
    }

    fn change_setting(&mut self, turn: u64) -> Result<()> {
        // What is as old as that doesn't matter to traffic that goes on.
        let seconds = u64::from(self.ageing_seconds) - turn % 2;
        let setting = format!("other_config:mac-aging-time={seconds}");
        output(self.tools.vsctl().args(["set", "bridge", BRIDGE, &setting])).map(drop)
    }

    fn addresses(&mut self) -> Result<Option<u64>> {
        let text = self.tools.appctl("daemon", &["fdb/stats-show", BRIDGE])?;
        Ok(addresses(&text))
    }

    fn flush(&mut self) -> Result<()> {
        self.tools.appctl("daemon", &["fdb/flush", BRIDGE]).map(drop)
    }
}

/// What `fdb/stats-show` says of addresses that were learned.
fn addresses(text: &str) -> Option<u64> {
    let number = |what: &str| {
        let line = text.lines().find(|line| line.contains(what))?;
        line.rsplit(':').next()?.split('/').next()?.trim().parse::<u64>().ok()
    };
    let all = number("maximum MAC entries")?;
    Some(all.saturating_sub(number("static MAC entries").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jobs_ports_count() {
        let text = "netdev@ovs-netdev:\n  port 0: ovs-netdev (tap)\n    RX packets:0 errors:0 dropped:0\n  \
                    port 1: br0 (tap)\n    TX packets:7 errors:0 dropped:4951 aborted:0 carrier:0\n  \
                    port 2: p0 (dpdk: mtu=1500)\n    RX packets:9 errors:0 dropped:2 overruns:0 frame:?\n    \
                    TX packets:30 errors:0 dropped:0\n    RX bytes:540  TX bytes:1800\n  \
                    port 3: p1 (dpdkvhostuser: configured_rx_queues=1)\n    RX packets:1 errors:? dropped:0\n    \
                    TX packets:12 errors:0 dropped:5\n";
        let job = Job::of_sockets("/s", 2, true);
        let counted = counters(text, &job).unwrap();
        let drops = |what: &str, frames| [(what.to_owned(), frames)].into();
        assert_eq!(counted[0], PortCounters { received: 9, sent: 30, drops: drops("rx dropped", 2) });
        assert_eq!(counted[1], PortCounters { received: 1, sent: 12, drops: drops("tx dropped", 5) });
        let text = "  port 2: p0 (dpdkvhostuserclient)\n, could not retrieve stats (Protocol error)  port 3: p1 \
                    (dpdkvhostuserclient)\n    RX packets:1 errors:?\n    TX packets:2\n";
        let counted = counters(text, &job).unwrap();
        assert_eq!((counted[0].received, counted[1].sent), (0, 2));
        assert_eq!(counters("netdev@ovs-netdev:\n  port 2: p0 (dpdk)\n    TX packets:30", &job), None);
    }

    #[test]
    fn ports_are_as_the_job_has_them() {
        let mut job = Job { largest_frame: 9018, ..Job::of_sockets("/s", 3, true) };
        job.ports[1].kind = PortKind::Vhost { socket: "/s/b".into(), listens: false };
        job.ports[2].kind = PortKind::Device("0000:03:00.0".to_owned());
        let text = ports(&job).join(" ");
        assert!(
            text.contains("other_config:mac-table-size=131072 other_config:mac-aging-time=300"),
            "{text}"
        );
        assert!(
            text.contains("add-port br0 p0 -- set interface p0 type=dpdkvhostuser mtu_request=9000"),
            "{text}"
        );
        assert!(text.contains("type=dpdkvhostuserclient options:vhost-server-path=\"/s/b\""), "{text}");
        assert!(text.contains("options:dpdk-devargs=\"0000:03:00.0\" options:n_rxq_desc=512"), "{text}");
        assert!(configuration(&job).join(" ").contains("per-port-memory=true"));
        job.ports[1].access = Access::Trunk { native: 5 };
        job.ports[2].access = Access::Tagged(6);
        let text = ports(&job).join(" ");
        assert!(text.contains("add-port br0 p0 tag=1 --"), "{text}");
        assert!(text.contains("add-port br0 p1 tag=5 vlan_mode=native-untagged --"), "{text}");
        assert!(text.contains("add-port br0 p2 trunks=6 vlan_mode=trunk --"), "{text}");
        assert_eq!([0, 1].map(|port| vid(&job.ports[port], &job)), [1, 5]);
    }

    #[test]
    fn interfaces_need_a_namespace() {
        let mut job = Job::of_sockets("/s", 2, true);
        job.ports[1].kind = PortKind::Interface("v0".to_owned());
        assert!(supports(&job).unwrap_err().contains("port p1"));
        job.namespace = Some("/proc/1/ns/net".into());
        assert_eq!(supports(&job), Ok(()));
        job.fdb_capacity = 2_000_000;
        assert!(supports(&job).unwrap_err().contains("not 2000000"));
    }

    #[test]
    fn learned_addresses_are_those_that_arent_static() {
        let text = "Statistics for bridge \"br0\":\n  Current/maximum MAC entries in the table: 12/8192\n  \
                    Current static MAC entries in the table : 2\n  Total number of learned MAC entries     : 40\n";
        assert_eq!(addresses(text), Some(10));
        assert_eq!(addresses("nothing"), None);
    }
}
