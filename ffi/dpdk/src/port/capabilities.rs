//! What a device could do for its port, and does.

use std::ffi::c_char;

use dpdk_sys as sys;

use super::{Port, Started};
use crate::error::{Result, text_of};

/// An offload, in DPDK's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offload {
    /// As in `VLAN_STRIP`.
    pub name: String,
    /// Whether the port has it do this.
    pub enabled: bool,
}

impl Port<Started> {
    /// What the device can do for frames received.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn rx_offloads(&self) -> Result<Vec<Offload>> {
        let capable = self.info()?.rx_offloads;
        // SAFETY: takes any bit, and returns a static string.
        let name = |bit| unsafe { sys::rte_eth_dev_rx_offload_name(bit) };
        Ok(named(capable, self.state.plan.rx_offloads, name))
    }

    /// What the device can do for frames to be sent.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn tx_offloads(&self) -> Result<Vec<Offload>> {
        let capable = self.info()?.tx_offloads;
        // SAFETY: takes any bit, and returns a static string.
        let name = |bit| unsafe { sys::rte_eth_dev_tx_offload_name(bit) };
        Ok(named(capable, self.state.plan.tx_offloads, name))
    }
}

fn named(capable: u64, enabled: u64, name: impl Fn(u64) -> *const c_char) -> Vec<Offload> {
    let bits = (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| (capable | enabled) & bit != 0);
    // SAFETY: the names are static strings of the library, as the callers say.
    bits.map(|bit| Offload { name: unsafe { text_of(name(bit)) }, enabled: enabled & bit != 0 }).collect()
}
