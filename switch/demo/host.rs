//! A host in a network namespace, on a cable to the switch.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::DemoError;
use super::names::Names;
use super::tools::{Tools, call};

/// The host's end of the cable.
const INNER: &str = "eth0";

/// Offloads that a host may not use. Frames cross the cable as they are written, so there must be
/// nothing left for a NIC to do: the kernel would leave checksums out, which the other host refuses,
/// and hand over segments of up to 64 KiB, which fit no frame of a packet socket's ring.
const OFFLOADS: [&str; 4] = ["tx", "tso", "gso", "gro"];

/// A host. Dropping it removes its cable and its namespace.
pub(super) struct Host {
    /// The name of its namespace, and of the switch's end of its cable.
    name: String,
    number: u8,
    tools: Tools,
}

/// What the kernel counted at the switch's end of a host's cable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Frames from the host.
    pub(super) from_host: u64,
    /// Frames to the host.
    pub(super) to_host: u64,
}

impl Host {
    /// Makes the namespace and the cable. The host keeps quiet until it [joins](Self::join), so that
    /// the switch and the kernel count the same frames.
    pub(super) fn new(tools: &Tools, names: &Names, number: u8) -> Result<Self, DemoError> {
        // The guard first: what fails below is taken back, as far as it came.
        let host = Self { name: names.host(number), number, tools: tools.clone() };
        let name = host.name.as_str();
        tools.ip(&["netns", "add", name])?;
        let mac = format!("02:00:00:00:00:{number:02x}");
        let index = names.interface_number(number).to_string();
        let near = ["link", "add", name, "index", &index, "type", "veth"];
        let far = ["peer", "name", INNER, "address", &mac, "netns", name];
        tools.ip(&[&near[..], &far].concat())?;
        // The kernel's own frames on the switch's end would look like the switch's. There is no such
        // file where the kernel has no IPv6.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let mut ethtool = host.command(&tools.ethtool);
        ethtool.args(["-K", INNER]).args(OFFLOADS.iter().flat_map(|offload| [offload, "off"]));
        call(&mut ethtool)?;
        // Nor may the kernel answer a host that asks for an address which this machine happens to have.
        tools.ip(&["link", "set", name, "arp", "off", "up"])?;
        Ok(host)
    }

    /// Gives the host its address, and lets it talk.
    pub(super) fn join(&self) -> Result<(), DemoError> {
        let name = self.name.as_str();
        // Without link-local address there is no duplicate detection and no router solicitation.
        let _ = self.tools.ip(&["-n", name, "link", "set", INNER, "addrgenmode", "none"]);
        self.tools.ip(&["-n", name, "address", "add", &format!("{}/24", self.address()), "dev", INNER])?;
        self.tools.ip(&["-n", name, "link", "set", INNER, "up"])
    }

    /// Its IPv4 address, of a block kept for documentation (RFC 5737).
    pub(super) fn address(&self) -> String {
        format!("192.0.2.{}", self.number)
    }

    /// The interface that is the switch's.
    pub(super) fn interface(&self) -> &str {
        &self.name
    }

    /// A program in the host's namespace.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.tools.ip);
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// What crossed the cable so far.
    pub(super) fn counters(&self) -> Counters {
        let read = |counter: &str| {
            let path = format!("/sys/class/net/{}/statistics/{counter}", self.name);
            fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        Counters { from_host: read("rx_packets"), to_host: read("tx_packets") }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Either may be missing if the host was never finished. The cable first: a namespace goes in
        // its own time.
        let _ = self.tools.ip(&["link", "del", &self.name]);
        let _ = self.tools.ip(&["netns", "del", &self.name]);
    }
}
