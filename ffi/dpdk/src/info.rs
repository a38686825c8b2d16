//! What a device is and can do.

use std::ops::RangeInclusive;

use dpdk_sys as sys;
use pollux_net::Mac;

use crate::error::{Result, check, text_of};
use crate::rss::RssTypes;

/// How many descriptors a ring may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLimits {
    /// The fewest.
    pub min: u16,
    /// The most.
    pub max: u16,
    /// They must be a multiple of this.
    pub align: u16,
}

impl RingLimits {
    fn of(raw: &sys::rte_eth_desc_lim) -> Self {
        Self {
            min: raw.nb_min,
            max: if raw.nb_max == 0 { u16::MAX } else { raw.nb_max },
            align: raw.nb_align.max(1),
        }
    }

    /// The number of descriptors within the limits that is closest to `asked`.
    pub fn clamp(self, asked: u16) -> u16 {
        let largest = self.max - self.max % self.align;
        let aligned = asked.max(self.min).max(1).checked_next_multiple_of(self.align);
        aligned.unwrap_or(largest).min(largest)
    }
}

/// What a device is and can do.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// The driver, as in `net_ixgbe`.
    pub driver: String,
    /// The port's name in DPDK: a PCI address, or a vdev's name.
    pub name: String,
    /// The port's own address; zero if it has none.
    pub mac: Mac,
    /// The NUMA socket that it is attached to, if known.
    pub socket: Option<u32>,
    /// The most rx queues.
    pub max_rx_queues: u16,
    /// The most tx queues.
    pub max_tx_queues: u16,
    /// Descriptors of an rx ring.
    pub rx_ring: RingLimits,
    /// Descriptors of a tx ring.
    pub tx_ring: RingLimits,
    /// The most addresses that it filters by, its own included.
    pub max_macs: u32,
    /// MTUs that DPDK lets the device have.
    pub mtu: RangeInclusive<u16>,
    /// Octets of the longest frame that it can receive, check sequence included.
    pub max_rx_frame: u32,
    /// Octets of the smallest rx buffer that it takes.
    pub min_rx_buffer: u32,
    /// What it can hash.
    pub rss: RssTypes,
    /// Entries of its redirection table; 0 if it has none.
    pub reta_size: u16,
    /// Octets of its hash key.
    pub rss_key_len: u8,
    /// Rx offloads, DPDK's bits.
    pub rx_offloads: u64,
    /// Tx offloads, DPDK's bits.
    pub tx_offloads: u64,
    /// Whether it tells when the link changes.
    pub link_events: bool,
    /// Whether it tells when it is pulled out.
    pub removal_events: bool,
}

impl DeviceInfo {
    pub(crate) fn of(port: u16, name: &str) -> Result<Self> {
        let raw = raw(port, name)?;
        // SAFETY: a driver's name is a static string of the driver.
        let driver = unsafe { text_of(raw.driver_name) };
        let flags = match raw.dev_flags.is_null() {
            true => 0,
            // SAFETY: not null, it points into the device's data, which stays until the port closes.
            false => unsafe { raw.dev_flags.read() },
        };
        let mut mac = sys::rte_ether_addr::default();
        // SAFETY: takes any port number, and writes the address only.
        unsafe { sys::rte_eth_macaddr_get(port, &mut mac) };
        // SAFETY: takes any port number.
        let socket = unsafe { sys::rte_eth_dev_socket_id(port) };
        Ok(Self {
            driver,
            name: name.to_owned(),
            mac: Mac::new(mac.addr_bytes),
            socket: u32::try_from(socket).ok(),
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
            rx_ring: RingLimits::of(&raw.rx_desc_lim),
            tx_ring: RingLimits::of(&raw.tx_desc_lim),
            max_macs: raw.max_mac_addrs,
            mtu: raw.min_mtu..=highest_mtu(raw.max_mtu, raw.max_rx_pktlen),
            max_rx_frame: raw.max_rx_pktlen,
            min_rx_buffer: raw.min_rx_bufsize,
            rss: RssTypes::from_bits(raw.flow_type_rss_offloads),
            reta_size: raw.reta_size,
            rss_key_len: raw.hash_key_size,
            rx_offloads: raw.rx_offload_capa,
            tx_offloads: raw.tx_offload_capa,
            link_events: flags & sys::SHIM_DEV_INTR_LSC != 0,
            removal_events: flags & sys::SHIM_DEV_INTR_RMV != 0,
        })
    }

    /// Whether a frame may be received into several segments.
    pub fn can_scatter(&self) -> bool {
        self.rx_offloads & sys::SHIM_RX_OFFLOAD_SCATTER != 0
    }

    /// Whether the device says that it transmits frames of several segments. Virtual devices often do
    /// without saying so.
    pub fn can_gather(&self) -> bool {
        self.tx_offloads & sys::SHIM_TX_OFFLOAD_MULTI_SEGS != 0
    }
}

/// The highest MTU that DPDK accepts: frames of `max_frame` octets less what the device adds to an MTU,
/// which is the difference of the two where it names both.
fn highest_mtu(max_mtu: u16, max_frame: u32) -> u16 {
    const HEADER_AND_CRC: u32 = 18;
    if max_mtu != u16::MAX && max_mtu != 0 {
        return max_mtu;
    }
    let by_frame = max_frame.saturating_sub(HEADER_AND_CRC);
    match by_frame {
        0 => u16::MAX,
        _ => u16::try_from(by_frame).unwrap_or(u16::MAX),
    }
}

pub(crate) fn raw(port: u16, name: &str) -> Result<sys::rte_eth_dev_info> {
    let mut raw = sys::rte_eth_dev_info::default();
    // SAFETY: takes any port number, and writes into `raw` only.
    let ret = unsafe { sys::rte_eth_dev_info_get(port, &mut raw) };
    check("rte_eth_dev_info_get", name, ret)?;
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::{RingLimits, highest_mtu};

    #[test]
    fn mtus_follow_the_longest_frame_where_the_device_names_none() {
        // net_tap, net_vhost, net_ixgbe.
        for (max_mtu, max_frame, highest) in
            [(u16::MAX, 1522, 1504), (u16::MAX, u32::MAX, u16::MAX), (15854, 15872, 15854)]
        {
            assert_eq!(highest_mtu(max_mtu, max_frame), highest);
        }
    }

    #[test]
    fn rings_are_clamped_to_what_the_device_takes() {
        let limits = RingLimits { min: 64, max: 4096, align: 32 };
        for (asked, given) in [(0, 64), (64, 64), (100, 128), (4096, 4096), (8192, 4096), (u16::MAX, 4096)] {
            assert_eq!(limits.clamp(asked), given, "{asked}");
        }
        let any = RingLimits { min: 0, max: u16::MAX, align: 1 };
        assert_eq!(any.clamp(4096), 4096);
    }
}
