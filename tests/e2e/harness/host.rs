use std::process::Output;

use super::namespace::run;
use super::{Namespace, RawSocket};

/// A switch's namespace, and hosts that are joined to it by veth pairs.
pub struct Lab {
    pub switch: Namespace,
}

/// A kernel's network stack on one port. Its interface is `eth0`.
pub struct Host {
    pub namespace: Namespace,
    number: u8,
    /// The interface of the switch's namespace that its frames come out of.
    pub port: String,
}

impl Lab {
    pub fn new() -> Self {
        Self { switch: Namespace::new("sw") }
    }

    /// Host `number`, which has the address 10.9.0.`number`, behind interface `p<number>`.
    pub fn host(&self, number: u8, mtu: u16) -> Host {
        let namespace = Namespace::new(&format!("h{number}"));
        let port = format!("p{number}");
        let (switch, mac, mtu) = (self.switch.name(), mac(number), mtu.to_string());
        let near = ["link", "add", &port, "mtu", &mtu, "netns", switch, "type", "veth"];
        let far = ["peer", "name", "eth0", "address", &mac, "mtu", &mtu, "netns", namespace.name()];
        run("ip", &[&near[..], &far[..]].concat());
        self.switch.ip(&["link", "set", &port, "up"]);
        let host = Host { namespace, number, port };
        host.set_up();
        host
    }

    /// Joins two switches by a veth pair, whose ends both have this name.
    pub fn join(&self, other: &Self, name: &str, mtu: u16) {
        let mtu = mtu.to_string();
        let near = ["link", "add", name, "mtu", &mtu, "netns", self.switch.name(), "type", "veth"];
        let far = ["peer", "name", name, "mtu", &mtu, "netns", other.switch.name()];
        run("ip", &[&near[..], &far[..]].concat());
        for lab in [self, other] {
            lab.switch.ip(&["link", "set", name, "up"]);
        }
    }
}

impl Host {
    fn set_up(&self) {
        self.namespace.ip(&["link", "set", "eth0", "up"]);
        self.namespace.ip(&["addr", "add", &format!("{}/24", self.address()), "dev", "eth0"]);
        // A switch sees frames as they would be on a wire: whole checksums, no segments to be cut.
        let off = ["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
        let output = self.namespace.exec(&off);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "these tests need ethtool: {said}");
    }

    pub fn address(&self) -> String {
        format!("10.9.0.{}", self.number)
    }

    pub fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number]
    }

    pub fn raw(&self) -> RawSocket {
        RawSocket::open(&self.namespace, "eth0")
    }

    /// Pings until an answer has come, and fails if none does.
    pub fn ping(&self, address: &str, octets: usize) {
        let output = self.try_ping(address, octets, 20);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "ping -s {octets} {address}:\n{said}");
    }

    /// Whether one of `count` pings was answered.
    pub fn reaches(&self, address: &str, count: usize) -> bool {
        self.try_ping(address, 56, count).status.success()
    }

    fn try_ping(&self, address: &str, octets: usize, count: usize) -> Output {
        let (octets, deadline) = (octets.to_string(), count.div_ceil(5).to_string());
        // With -w ping sends until -c answers came or the time is over.
        let size = ["-M", "do", "-s", &octets, "-i", "0.2"];
        let until = ["-c", "1", "-w", &deadline, address];
        self.namespace.exec(&[&["ping"][..], &size, &until].concat())
    }
}

fn mac(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}
