//! What can be asked of a port, and told to it, in either state.

use std::sync::Arc;

use dpdk_sys as sys;

use super::{Port, Started};
use crate::error::{Result, check, text_of};
use crate::events::PortEvents;
use crate::flow_control::{self, FlowControl, PriorityFlowControl};
use crate::info::DeviceInfo;
use crate::link::Link;
use crate::stats::{self, PortStats};
use crate::vhost::Vhost;

/// What is true of a port in either state.
impl<S> Port<S> {
    /// The port's number in DPDK.
    pub fn number(&self) -> u16 {
        self.inner.number
    }

    /// The port's name in DPDK: a PCI address, or a vdev's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the device is and can do.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn info(&self) -> Result<DeviceInfo> {
        DeviceInfo::of(self.inner.number, &self.inner.name)
    }

    /// The link as the device sees it now. [`PortEvents::is_link_up`] knows of it from then on.
    pub fn link(&self) -> Link {
        self.events().note_link()
    }

    /// What happens to the port.
    pub fn events(&self) -> Arc<PortEvents> {
        let events = self.inner.events.as_ref().expect("events end with the port only");
        events.events().clone()
    }

    /// A vhost port's own side; `None` for other devices.
    pub fn vhost(&self) -> Option<&Vhost> {
        self.inner.vhost.as_ref()
    }

    /// The device's totals.
    ///
    /// # Errors
    ///
    /// The device keeps none, or is gone.
    pub fn stats(&self) -> Result<PortStats> {
        stats::read(self.inner.number, &self.inner.name)
    }

    /// Everything that the device counts, by name.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn extended_stats(&self) -> Result<Vec<(String, u64)>> {
        stats::read_extended(self.inner.number, &self.inner.name)
    }

    /// Sets the device's totals to zero.
    ///
    /// # Errors
    ///
    /// The device can't, or is gone.
    pub fn reset_stats(&self) -> Result<()> {
        stats::reset(self.inner.number, &self.inner.name)
    }

    /// The MTU in octets.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn mtu(&self) -> Result<u16> {
        let mut mtu = 0;
        // SAFETY: takes any port number, and writes the MTU only.
        let ret = unsafe { sys::rte_eth_dev_get_mtu(self.inner.number, &mut mtu) };
        check("rte_eth_dev_get_mtu", &self.inner.name, ret)?;
        Ok(mtu)
    }

    /// Changes the MTU. Returns whether the device knows of it: many virtual devices have no such
    /// operation, and take any length.
    ///
    /// # Errors
    ///
    /// Out of the device's range; a device that must be stopped first; one that was never started.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<bool> {
        set_mtu(self.inner.number, &self.inner.name, mtu)
    }

    /// Whether the port takes frames for any address.
    pub fn is_promiscuous(&self) -> bool {
        // SAFETY: takes any port number.
        unsafe { sys::rte_eth_promiscuous_get(self.inner.number) == 1 }
    }

    /// Makes the port take frames for any address, or for its own only. Returns whether the device has
    /// such an operation.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn set_promiscuous(&mut self, on: bool) -> Result<bool> {
        set_promiscuous(self.inner.number, &self.inner.name, on)
    }

    /// Raises or drops the link, where the device can. Returns whether it can.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn set_link(&mut self, up: bool) -> Result<bool> {
        let number = self.inner.number;
        let (call, ret) = if up {
            // SAFETY: takes any port number.
            ("rte_eth_dev_set_link_up", unsafe { sys::rte_eth_dev_set_link_up(number) })
        } else {
            // SAFETY: takes any port number.
            ("rte_eth_dev_set_link_down", unsafe { sys::rte_eth_dev_set_link_down(number) })
        };
        where_supported(check(call, &self.inner.name, ret))
    }
}

impl Port<Started> {
    /// How the device receives on a queue, in its own words (`Vector AVX2`); empty if it doesn't say.
    pub fn rx_burst_mode(&self, queue: u16) -> String {
        let mut mode = sys::rte_eth_burst_mode::default();
        // SAFETY: takes any numbers, and writes `mode` only.
        let ret = unsafe { sys::rte_eth_rx_burst_mode_get(self.inner.number, queue, &mut mode) };
        burst_mode(ret, &mode)
    }

    /// How the device transmits on a queue, in its own words; empty if it doesn't say.
    pub fn tx_burst_mode(&self, queue: u16) -> String {
        let mut mode = sys::rte_eth_burst_mode::default();
        // SAFETY: takes any numbers, and writes `mode` only.
        let ret = unsafe { sys::rte_eth_tx_burst_mode_get(self.inner.number, queue, &mut mode) };
        burst_mode(ret, &mode)
    }
}

impl Port<Started> {
    /// How the port uses pause frames now, everything given.
    ///
    /// # Errors
    ///
    /// The device has no flow control, or is gone.
    pub fn flow_control(&self) -> Result<FlowControl> {
        flow_control::read(self.inner.number, &self.inner.name)
    }

    /// Has the port use pause frames so; what isn't given stays as the device has it.
    ///
    /// # Errors
    ///
    /// The device has no flow control, can't do what is given, or is gone.
    pub fn set_flow_control(&mut self, wanted: &FlowControl) -> Result<()> {
        flow_control::set(self.inner.number, &self.inner.name, wanted)
    }

    /// Has the port use pause frames of one priority so; what isn't given is as for the whole link.
    ///
    /// # Errors
    ///
    /// No such priority; the device has no flow control by priority, can't do what is given, or is gone.
    pub fn set_priority_flow_control(&mut self, wanted: &PriorityFlowControl) -> Result<()> {
        flow_control::set_priority(self.inner.number, &self.inner.name, wanted)
    }
}

fn burst_mode(ret: i32, mode: &sys::rte_eth_burst_mode) -> String {
    match ret {
        // SAFETY: the text is an array that the driver ended with a zero; it was all zeros before.
        0 => unsafe { text_of(mode.info.as_ptr()) },
        _ => String::new(),
    }
}

pub(super) fn set_mtu(number: u16, name: &str, mtu: u16) -> Result<bool> {
    // SAFETY: takes any numbers.
    where_supported(check("rte_eth_dev_set_mtu", name, unsafe { sys::rte_eth_dev_set_mtu(number, mtu) }))
}

pub(super) fn set_promiscuous(number: u16, name: &str, on: bool) -> Result<bool> {
    let (call, ret) = if on {
        // SAFETY: takes any port number.
        ("rte_eth_promiscuous_enable", unsafe { sys::rte_eth_promiscuous_enable(number) })
    } else {
        // SAFETY: takes any port number.
        ("rte_eth_promiscuous_disable", unsafe { sys::rte_eth_promiscuous_disable(number) })
    };
    where_supported(check(call, name, ret))
}

/// Whether it worked, where "the device has no such operation" is an answer and no error.
pub(super) fn where_supported(result: Result<u32>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}
