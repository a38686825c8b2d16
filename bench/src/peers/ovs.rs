//! Open vSwitch with DPDK: a database and a daemon of our own, in a folder and a network namespace of
//! their own, with one bridge that learns.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::{PORTS, Scene, Stage};
use super::switch::{EAL, Switch};
use crate::host::{Process, interrupt, keep_runtime_files, output};
use crate::{BenchError, Result};

/// The daemon with DPDK, as Debian installs it beside the one without.
pub(super) const DAEMON: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// More stations than any load has: by default the table ends at 8,192, and frames beyond are flooded
/// one by one.
const MAC_TABLE_SIZE: u32 = 1_000_000;

/// How long one of its tools may take, in seconds. A port with many frames to replay takes a while.
const TOOL_SECONDS: u32 = 60;

/// The daemon, then the database: they end in this order.
pub(super) struct Ovs {
    daemon: Process,
    database: Process,
    folder: PathBuf,
}

impl Ovs {
    pub(super) fn start(stage: &Stage<'_>) -> Result<Self> {
        let folder = stage.folder;
        output(Command::new("ovsdb-tool").arg("create").arg(folder.join("conf.db")).arg(SCHEMA))?;
        let database = Process::start("ovsdb-server", Path::new("ovsdb-server"), |command| {
            private(command, folder);
            command.arg(folder.join("conf.db"));
            command.arg(format!("--remote=punix:{}", folder.join("db.sock").display()));
            command.arg(format!("--unixctl={}", folder.join("db.ctl").display()));
            command.arg("-vconsole:warn");
        })?;
        wait_for_file(&folder.join("db.sock"))?;
        configure(stage)?;
        let daemon = Process::start("ovs-vswitchd", Path::new("unshare"), |command| {
            private(command, folder);
            keep_runtime_files(command, folder);
            // The bridge is an interface of its namespace too.
            command.args(["--net", "--", DAEMON]);
            command.arg(format!("unix:{}", folder.join("db.sock").display()));
            command.arg(format!("--unixctl={}", folder.join("daemon.ctl").display()));
            command.arg(format!("--pidfile={}", folder.join("daemon.pid").display()));
            command.arg("-vconsole:warn");
        })?;
        let mut ovs = Self { daemon, database, folder: folder.to_owned() };
        ovs.add_ports(stage).map_err(|error| ovs.daemon.failure(error))?;
        Ok(ovs)
    }

    fn add_ports(&self, stage: &Stage<'_>) -> Result<()> {
        let mut command = vsctl(&self.folder);
        command.args(["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]);
        command.arg(format!("other_config:mac-table-size={MAC_TABLE_SIZE}"));
        for (number, port) in PORTS.into_iter().enumerate() {
            command.args(["--", "add-port", "br0", port, "--", "set", "interface", port]);
            match stage.scene {
                Scene::InProcess => {
                    command.arg("type=dpdk").arg(format!("options:dpdk-devargs=\"{}\"", stage.replay(number)))
                }
                Scene::Vhost => command.arg("type=dpdkvhostuser"),
            };
        }
        output(&mut command)?;
        for port in PORTS {
            let error = output(vsctl(&self.folder).args(["get", "interface", port, "error"]))?;
            if error.trim() != "[]" {
                return Err(BenchError::process(
                    "ovs-vswitchd",
                    format_args!("port {port}: {}", error.trim()),
                ));
            }
        }
        Ok(())
    }

    fn appctl(&self, target: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("ovs-appctl");
        private(&mut command, &self.folder);
        command.arg(format!("--timeout={TOOL_SECONDS}"));
        output(command.arg("--target").arg(self.folder.join(target).with_extension("ctl")).args(arguments))
    }
}

impl Switch for Ovs {
    fn process(&self) -> &Process {
        &self.daemon
    }

    fn sent(&mut self) -> Result<u64> {
        let text = self.appctl("daemon", &["dpctl/show", "--statistics"])?;
        let sent = sent_by_ports(&text);
        sent.ok_or_else(|| self.daemon.failure(format_args!("no statistics of both ports in: {text}")))
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.appctl("daemon", &["exit", "--cleanup"])?;
        self.daemon.wait()?;
        self.appctl("db", &["exit"])?;
        self.database.wait()
    }
}

/// Everything in our folder.
fn private(command: &mut Command, folder: &Path) {
    for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
        command.env(name, folder);
    }
}

fn vsctl(folder: &Path) -> Command {
    let mut command = Command::new("ovs-vsctl");
    private(&mut command, folder);
    command.arg(format!("--timeout={TOOL_SECONDS}"));
    command.arg(format!("--db=unix:{}", folder.join("db.sock").display()));
    command
}

/// What the daemon reads when it starts.
fn configure(stage: &Stage<'_>) -> Result<()> {
    let mask = |cpu: usize| format!("{:#x}", 1u128 << cpu);
    let mut command = vsctl(stage.folder);
    command.args(["--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true"]);
    command.arg(format!("other_config:dpdk-lcore-mask={}", mask(stage.cpus.house)));
    command.arg(format!("other_config:pmd-cpu-mask={}", mask(stage.cpus.worker)));
    command.arg(format!("other_config:dpdk-extra=\"{}\"", EAL.join(" ")));
    command.arg(format!("other_config:flow-limit={}", stage.ovs_flow_limit));
    output(&mut command).map(drop)
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

/// The sum over our ports of what `dpctl/show` says.
fn sent_by_ports(text: &str) -> Option<u64> {
    let mut ours = false;
    let mut sent = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(port) = line.strip_prefix("port ") {
            let name = port.split_once(": ").map_or("", |(_, name)| name);
            ours = PORTS.iter().any(|port| name.split_whitespace().next() == Some(port));
        } else if let Some(numbers) = line.strip_prefix("TX packets:")
            && ours
        {
            sent.push(numbers.split_whitespace().next()?.parse::<u64>().ok()?);
        }
    }
    (sent.len() == PORTS.len()).then(|| sent.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_ports_count() {
        let text = "netdev@ovs-netdev:\n  port 1: br0 (tap)\n    TX packets:7 errors:0 dropped:4951\n  \
                    port 2: p0 (dpdk: mtu=1500)\n    RX packets:9 errors:0\n    TX packets:30 errors:0\n  \
                    port 3: p1 (dpdk: mtu=1500)\n    TX packets:12 errors:0\n";
        assert_eq!(sent_by_ports(text), Some(42));
        assert_eq!(sent_by_ports("netdev@ovs-netdev:\n  port 2: p0 (dpdk)\n    TX packets:30"), None);
    }
}
