//! Which addresses a port takes frames for.

use dpdk_sys as sys;
use pollux_net::Mac;

use super::operations::where_supported;
use super::{Port, Started};
use crate::error::{Result, check};

impl<S> Port<S> {
    /// Whether the port takes frames for every group.
    pub fn is_allmulticast(&self) -> bool {
        // SAFETY: takes any port number.
        unsafe { sys::rte_eth_allmulticast_get(self.inner.number) == 1 }
    }

    /// The device's own address, then those that were added. Devices that filter nothing may have none.
    pub fn macs(&self) -> Vec<Mac> {
        let most = self.info().map_or(0, |info| info.max_macs.min(u32::from(u16::MAX)));
        let mut macs = vec![sys::rte_ether_addr::default(); most as usize];
        // SAFETY: writes as many addresses as it is told there is room for, at most.
        let ret = unsafe { sys::rte_eth_macaddrs_get(self.inner.number, macs.as_mut_ptr(), most) };
        macs.truncate(usize::try_from(ret).unwrap_or(0));
        macs.iter().map(|mac| Mac::new(mac.addr_bytes)).filter(|mac| !mac.is_zero()).collect()
    }
}

impl Port<Started> {
    /// Makes the port take frames for every group, or for its own only. Returns whether the device has such
    /// an operation.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn set_allmulticast(&mut self, on: bool) -> Result<bool> {
        let number = self.inner.number;
        let (call, ret) = if on {
            // SAFETY: takes any port number.
            ("rte_eth_allmulticast_enable", unsafe { sys::rte_eth_allmulticast_enable(number) })
        } else {
            // SAFETY: takes any port number.
            ("rte_eth_allmulticast_disable", unsafe { sys::rte_eth_allmulticast_disable(number) })
        };
        where_supported(check(call, &self.inner.name, ret))
    }

    /// Has the port take frames for one more address. Returns whether the device has such an operation.
    ///
    /// # Errors
    ///
    /// The device has no room for another one, or is gone.
    pub fn add_mac(&mut self, mac: Mac) -> Result<bool> {
        let mut raw = sys::rte_ether_addr { addr_bytes: mac.octets() };
        // SAFETY: takes any port number, and reads the address only; pool 0 is that of all devices.
        let ret = unsafe { sys::rte_eth_dev_mac_addr_add(self.inner.number, &mut raw, 0) };
        where_supported(check("rte_eth_dev_mac_addr_add", &self.inner.name, ret))
    }

    /// Takes an address back that was added. Returns whether the device has such an operation.
    ///
    /// # Errors
    ///
    /// It is the device's own; the device is gone.
    pub fn remove_mac(&mut self, mac: Mac) -> Result<bool> {
        let mut raw = sys::rte_ether_addr { addr_bytes: mac.octets() };
        // SAFETY: takes any port number, and reads the address only.
        let ret = unsafe { sys::rte_eth_dev_mac_addr_remove(self.inner.number, &mut raw) };
        where_supported(check("rte_eth_dev_mac_addr_remove", &self.inner.name, ret))
    }
}
