//! Two hosts in network namespaces, each on a cable to the switch.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::host::output;

/// The host's end of the cable.
const INNER: &str = "eth0";

/// Offloads that a host may not use: frames cross the cable as they are written, so nothing may be left for a
/// NIC to do.
const OFFLOADS: [&str; 4] = ["tx", "tso", "gso", "gro"];

/// A host. Dropping it removes its cable and its namespace.
pub(super) struct Host {
    /// The name of its namespace, and of the switch's end of its cable.
    name: String,
    number: u8,
}

impl Host {
    /// Makes a host that may talk.
    pub(super) fn new(number: u8) -> Result<Self> {
        let process = std::process::id();
        // The guard first: what fails below is taken back, as far as it came.
        let host = Self { name: format!("plxqos{process}{}", char::from(b'a' + number)), number };
        let name = host.name.as_str();
        ip(&["netns", "add", name])?;
        let index = interface_number(process, number).to_string();
        let near = ["link", "add", name, "index", &index, "type", "veth"];
        ip(&[&near[..], &["peer", "name", INNER, "netns", name]].concat())?;
        // The kernel's own frames would look like the switch's. There is no such file without IPv6.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let mut ethtool = host.command(Path::new("ethtool"));
        output(ethtool.args(["-K", INNER]).args(OFFLOADS.iter().flat_map(|offload| [offload, "off"])))?;
        ip(&["link", "set", name, "arp", "off", "up"])?;
        ip(&["-n", name, "address", "add", &format!("{}/24", host.address()), "dev", INNER])?;
        ip(&["-n", name, "link", "set", INNER, "up"])?;
        Ok(host)
    }

    /// Its IPv4 address, of a block kept for documentation (RFC 5737).
    pub(super) fn address(&self) -> String {
        format!("192.0.2.{}", self.number + 1)
    }

    /// The interface that is the switch's.
    pub(super) fn interface(&self) -> &str {
        &self.name
    }

    /// The arguments with which `ip` runs a program in the host's namespace.
    pub(super) fn enter(&self) -> [&str; 3] {
        ["netns", "exec", &self.name]
    }

    /// A program in the host's namespace.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(self.enter()).arg(program);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Either may be missing if the host was never finished. The cable first: a namespace goes in its own
        // time.
        let _ = ip(&["link", "del", &self.name]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// The number of the switch's end of a cable. DPDK's packet sockets join a group, one for all of the machine,
/// whose 16 bits are the exclusive or of the process's and the interface's numbers, and which refuses sockets
/// of another interface; so each cable of each run has its own.
fn interface_number(process: u32, host: u8) -> u32 {
    let group = 2 * process + u32::from(host);
    let high = 1 + process % 0x7ffe;
    high << 16 | (group ^ process) & 0xffff
}

fn ip(words: &[&str]) -> Result<()> {
    output(Command::new("ip").args(words)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cables_of_a_run_are_apart_and_fit() {
        let process = 4_194_304;
        assert_ne!(interface_number(process, 0), interface_number(process, 1));
        assert!(i32::try_from(interface_number(process, 1)).is_ok());
        assert!(format!("plxqos{process}a").len() <= 15);
    }
}
