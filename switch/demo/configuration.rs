//! The switch of the demo.

use std::path::{Path, PathBuf};

use super::DemoError;
use super::cpus::Cpus;
use super::host::Host;
use crate::control::{Plan, Switch, preflight};

/// The ports, in the order of the file: two hosts, then two VMs.
pub(super) const PORTS: [&str; 4] = ["host1", "host2", "vm1", "vm2"];

/// Where the hosts' ports are among [`PORTS`].
pub(super) const HOSTS: std::ops::Range<usize> = 0..2;

/// Where the VMs' ports are among [`PORTS`].
pub(super) const VMS: std::ops::Range<usize> = 2..4;

/// How a packet socket's rings are made. A frame of 1514 octets and its descriptor fit a slot. A full
/// ring loses frames, and TCP may have a whole window of the default sockets, some 4 MiB or 2,900
/// frames, on its way at once. Large blocks cost fewer allocations.
const RINGS: &str = "framesz=2048,framecnt=4096,blocksz=65536";

/// Starts the switch for these hosts, and for VMs whose sockets are in `folder`.
pub(super) fn start(hosts: &[Host; 2], folder: &Path, cpus: Cpus) -> Result<Switch, DemoError> {
    let text = text(hosts.each_ref().map(Host::interface), folder, cpus.worker);
    let config = pollux_config::parse("the demo's file", &text)
        .map_err(|faults| DemoError::Failed(faults.lines().to_string()))?;
    let machine = crate::control::Host::default();
    let mut plan = Plan::new(&config, &machine);
    plan.management_cpu = cpus.house;
    let lacking = preflight(&config, &plan, &machine);
    if !lacking.is_empty() {
        return Err(DemoError::Lacks(lacking.lines().to_string()));
    }
    Ok(Switch::start(config, plan)?)
}

/// A VM's socket.
pub(super) fn socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("vm{number}.sock"))
}

/// The hosts are in another VLAN than the VMs, so that nothing of the load disturbs them.
fn text(interfaces: [&str; 2], folder: &Path, worker: usize) -> String {
    let [left, right] = interfaces;
    let [first, second] = [1, 2].map(|number| socket(folder, number).display().to_string());
    format!(
        r#"
[switch]
cores = [{worker}]
hugepages = false

[fdb]
capacity = 16384

[ports.host1]
device = "net_af_packet1,iface={left},{RINGS}"
rx_queues = 1
rx_ring = 512
tx_ring = 512
vlan = {{ mode = "access", vid = 10 }}

[ports.host2]
device = "net_af_packet2,iface={right},{RINGS}"
rx_queues = 1
rx_ring = 512
tx_ring = 512
vlan = {{ mode = "access", vid = 10 }}

[ports.vm1]
vhost_user = {{ socket = "{first}", role = "server" }}
vlan = {{ mode = "access", vid = 20 }}

[ports.vm2]
vhost_user = {{ socket = "{second}", role = "server" }}
vlan = {{ mode = "access", vid = 20 }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_good() {
        let config = pollux_config::parse("demo", &text(["a", "b"], Path::new("/tmp/x"), 1)).unwrap();
        let names: Vec<_> = config.ports.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, PORTS);
        assert!(!config.switch.hugepages);
    }
}
