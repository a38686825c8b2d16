//! Two hosts in network namespaces, each on a cable to the switch.

use std::path::Path;

use crate::Result;
use crate::host::{Cable, Namespace};

/// The host's end of the cable.
const INNER: &str = "eth0";

const MTU: u16 = 1500;

/// A host. Dropping it removes its cable and its namespace.
pub(super) struct Host {
    /// The name of the switch's end of its cable.
    interface: String,
    number: u8,
    /// Before the namespace, which goes in its own time.
    _cable: Cable,
    namespace: Namespace,
}

impl Host {
    /// Makes a host that may talk.
    pub(super) fn new(number: u8) -> Result<Self> {
        let interface = format!("plxqos{}{}", std::process::id(), char::from(b'a' + number));
        let namespace = Namespace::new()?;
        let cable = Cable::lay(&interface, INNER, &namespace, MTU)?;
        let host = Self { interface, number, _cable: cable, namespace };
        host.namespace.ip(&["address", "add", &format!("{}/24", host.address()), "dev", INNER])?;
        host.namespace.ip(&["link", "set", INNER, "up"])?;
        Ok(host)
    }

    /// Its IPv4 address, of a block kept for documentation (RFC 5737).
    pub(super) fn address(&self) -> String {
        format!("192.0.2.{}", self.number + 1)
    }

    /// The interface that is the switch's.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// What the host's namespace is entered by.
    pub(super) fn namespace(&self) -> &Path {
        self.namespace.file()
    }
}
