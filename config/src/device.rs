use std::fmt;
use std::str::FromStr;

use pollux_net::Mac;

use crate::tree::{Node, Table};
use crate::{fdb, limits};

/// A port over a DPDK device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which device.
    pub spec: DeviceSpec,
    /// RSS queues. `None`: one per core.
    pub rx_queues: Option<u16>,
    /// Descriptors of each rx queue, before the device clamps them.
    pub rx_ring: u16,
    /// Descriptors of each tx queue, before the device clamps them.
    pub tx_ring: u16,
    /// Whether the device takes frames for every address, as a switch must; `false` is for a function
    /// that isn't allowed to.
    pub promiscuous: bool,
    /// Whether the device takes frames for every group, where it isn't promiscuous.
    pub allmulticast: bool,
    /// Addresses that the device takes frames for besides its own, where it isn't promiscuous.
    pub macs: Vec<Mac>,
}

/// A DPDK device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// One on the PCI bus.
    Pci(PciAddress),
    /// A virtual one: its name, which starts with its driver's, and its arguments, separated by
    /// commas. It has no whitespace and no control characters.
    Vdev(String),
}

impl DeviceSpec {
    /// What no other port may have: the PCI address, or the vdev's name without its arguments.
    pub fn name(&self) -> String {
        match self {
            Self::Pci(address) => address.to_string(),
            Self::Vdev(spec) => spec.split(',').next().unwrap_or_default().to_owned(),
        }
    }
}

/// The form in which DPDK takes it.
impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::Vdev(spec) => f.write_str(spec),
        }
    }
}

/// A function on the PCI bus. Displays as `0000:03:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    domain: u16,
    bus: u8,
    device: u8,
    function: u8,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

impl FromStr for PciAddress {
    type Err = ();

    /// Reads `DDDD:BB:DD.F`, or `BB:DD.F` in domain 0.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (rest, function) = text.rsplit_once('.').ok_or(())?;
        let (rest, device) = rest.rsplit_once(':').ok_or(())?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
        let field = |text: &str, digits: usize, max: u16| {
            let fits = text.len() == digits && text.bytes().all(|octet| octet.is_ascii_hexdigit());
            let value = fits.then(|| u16::from_str_radix(text, 16).ok()).flatten();
            value.filter(|value| *value <= max).ok_or(())
        };
        Ok(Self {
            domain: field(domain, 4, u16::MAX)?,
            bus: field(bus, 2, 0xff)? as u8,
            device: field(device, 2, 0x1f)? as u8,
            function: field(function, 1, 7)? as u8,
        })
    }
}

/// Keys of a port that only a device has.
pub(crate) const KEYS: [&str; 6] = ["rx_queues", "rx_ring", "tx_ring", "promiscuous", "allmulticast", "macs"];

/// Reads the port's keys that only a device has.
pub(crate) fn read(table: &Table<'_>) -> Option<Device> {
    let ring = |node: &Node<'_>| node.number(&limits::RING);
    let spec = table.get("device", spec);
    let rx_queues = table.get("rx_queues", |node| node.number(&limits::QUEUES));
    let rx_ring = table.get("rx_ring", ring).unwrap_or(limits::DEFAULT_RING);
    let tx_ring = table.get("tx_ring", ring).unwrap_or(limits::DEFAULT_RING);
    let promiscuous = table.get("promiscuous", Node::boolean).unwrap_or(true);
    let allmulticast = table.get("allmulticast", Node::boolean).unwrap_or(false);
    let macs = table.get("macs", macs).unwrap_or_default();
    Some(Device { spec: spec?, rx_queues, rx_ring, tx_ring, promiscuous, allmulticast, macs })
}

fn macs(node: &Node<'_>) -> Option<Vec<Mac>> {
    let cure = "write a list of addresses, as in [\"02:00:00:00:00:01\"]";
    let macs = node.list(cure, |item| {
        let mac = fdb::mac(item)?;
        item.unique("mac", format!("{} {mac}", node.path()), "this address is listed already")?;
        Some(mac)
    })?;
    if macs.len() > limits::MAX_MACS {
        let what = format!("{} addresses are listed", macs.len());
        return node
            .refuse(what, format!("list {} at most, or leave the port promiscuous", limits::MAX_MACS));
    }
    Some(macs)
}

const CURE: &str = "write a PCI address, as in \"0000:03:00.0\", or a vdev, as in \"net_tap0,iface=lab0\"";

fn spec(node: &Node<'_>) -> Option<DeviceSpec> {
    let spec = well_formed(node)?;
    node.unique("device", spec.name(), "another port has this device")?;
    Some(spec)
}

fn well_formed(node: &Node<'_>) -> Option<DeviceSpec> {
    let text = node.text(CURE)?;
    if let Ok(address) = text.parse() {
        return Some(DeviceSpec::Pci(address));
    }
    let name = text.split(',').next().unwrap_or_default();
    if name.parse::<PciAddress>().is_ok() {
        return node.refuse("a PCI device takes no arguments here", "write its address alone");
    }
    if text.starts_with(|c: char| c.is_ascii_hexdigit()) && name.contains(':') {
        let what = format!("`{}` is not a PCI address", node.path());
        return node.refuse(what, "write it as DDDD:BB:DD.F in hexadecimal, as in \"0000:03:00.0\"");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return node
            .refuse("a vdev has no white space", "remove it: arguments follow each other with commas alone");
    }
    let Some(driver) = name.strip_prefix("net_") else {
        return node.refuse(format!("`{}` is not a device", node.path()), CURE);
    };
    let word = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    if !driver.starts_with(|c: char| c.is_ascii_alphabetic()) || !word(driver) {
        let what = format!("`{}` names no vdev driver", node.path());
        return node.refuse(what, "write net_, the driver and a number, as in \"net_tap0\" or \"net_pcap1\"");
    }
    if driver.starts_with("vhost") {
        let what = "a vhost-user socket is no vdev here";
        return node.refuse(what, "write `vhost_user = { socket = \"/path/to.sock\" }` instead of `device`");
    }
    if name.len() > limits::MAX_VDEV_NAME_LEN || text.len() > limits::MAX_VDEV_LEN {
        let (name, whole) = (limits::MAX_VDEV_NAME_LEN, limits::MAX_VDEV_LEN);
        let cure = format!("shorten it: a vdev's name has at most {name} octets, with its arguments {whole}");
        return node.refuse(format!("`{}` is too long", node.path()), cure);
    }
    if text.split(',').any(str::is_empty) {
        return node.refuse("a vdev's argument is empty", "remove the comma that has nothing behind it");
    }
    Some(DeviceSpec::Vdev(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_normalise() {
        for (text, normal) in [
            ("0000:03:00.0", Some("0000:03:00.0")),
            ("03:00.1", Some("0000:03:00.1")),
            ("00AF:Ff:1F.7", Some("00af:ff:1f.7")),
            ("0000:03:20.0", None),
            ("0000:03:00.8", None),
            ("0000:3:00.0", None),
            ("000:03:00.0", None),
            ("0000:03:00", None),
            ("0:0000:03:00.0", None),
            ("+000:03:00.0", None),
            ("", None),
        ] {
            let address = text.parse::<PciAddress>().ok();
            assert_eq!(address.map(|address| address.to_string()).as_deref(), normal, "{text}");
        }
    }
}
