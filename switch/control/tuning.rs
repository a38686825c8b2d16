//! What is set in a device that runs: pauses, and the addresses that it takes frames for.

use dpdk::{Port, Started};
use pollux_config::PortKind;
use pollux_net::Mac;

use super::flow_control::Pauses;

/// What the file says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tuning {
    pauses: Pauses,
    /// `None`: a VM's port, which takes whatever it is sent.
    addresses: Option<Addresses>,
}

#[derive(Clone, Debug, PartialEq)]
struct Addresses {
    promiscuous: bool,
    allmulticast: bool,
    macs: Vec<Mac>,
}

impl Tuning {
    pub(super) fn of(port: &pollux_config::Port) -> Self {
        let addresses = match &port.kind {
            PortKind::Device(device) => Some(Addresses {
                promiscuous: device.promiscuous,
                allmulticast: device.allmulticast,
                macs: device.macs.clone(),
            }),
            PortKind::VhostUser(_) => None,
        };
        Self { pauses: Pauses::of(port), addresses }
    }

    /// What a port was started with that is now to become this.
    pub(super) fn at_start(&self) -> Self {
        let addresses = self.addresses.as_ref().map(|addresses| Addresses {
            promiscuous: addresses.promiscuous,
            allmulticast: false,
            macs: Vec::new(),
        });
        Self { pauses: Pauses::default(), addresses }
    }

    /// Has the device do what the file says. What the file doesn't say, and `before` did, ends.
    pub(super) fn set(&self, before: &Self, device: &mut Port<Started>) -> Result<(), dpdk::Error> {
        self.pauses.set(&before.pauses, device)?;
        match (&self.addresses, &before.addresses) {
            (Some(now), Some(before)) => now.set(before, device),
            _ => Ok(()),
        }
    }
}

impl Addresses {
    /// A device without such an operation takes every frame anyway.
    fn set(&self, before: &Self, device: &mut Port<Started>) -> Result<(), dpdk::Error> {
        if self.promiscuous != before.promiscuous {
            device.set_promiscuous(self.promiscuous)?;
        }
        if self.allmulticast != before.allmulticast {
            device.set_allmulticast(self.allmulticast)?;
        }
        for &mac in before.macs.iter().filter(|mac| !self.macs.contains(mac)) {
            device.remove_mac(mac)?;
        }
        for &mac in self.macs.iter().filter(|mac| !before.macs.contains(mac)) {
            device.add_mac(mac)?;
        }
        Ok(())
    }
}
