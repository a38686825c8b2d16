//! What a device counted.

use std::ffi::c_uint;

use dpdk_sys as sys;

use crate::error::{Result, check, text_of};

/// A device's own totals since it started or was reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames transmitted.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets transmitted.
    pub tx_bytes: u64,
    /// Frames that the device dropped because no descriptor was free.
    pub rx_missed: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames that failed to go out.
    pub tx_errors: u64,
    /// Times that a pool had no mbuf for a frame.
    pub rx_no_mbuf: u64,
}

pub(crate) fn read(port: u16, name: &str) -> Result<PortStats> {
    let mut raw = sys::rte_eth_stats::default();
    // SAFETY: takes any port number, and writes into `raw` only.
    check("rte_eth_stats_get", name, unsafe { sys::rte_eth_stats_get(port, &mut raw) })?;
    Ok(PortStats {
        rx_packets: raw.ipackets,
        tx_packets: raw.opackets,
        rx_bytes: raw.ibytes,
        tx_bytes: raw.obytes,
        rx_missed: raw.imissed,
        rx_errors: raw.ierrors,
        tx_errors: raw.oerrors,
        rx_no_mbuf: raw.rx_nombuf,
    })
}

pub(crate) fn reset(port: u16, name: &str) -> Result<()> {
    // SAFETY: takes any port number.
    check("rte_eth_stats_reset", name, unsafe { sys::rte_eth_stats_reset(port) })?;
    // SAFETY: takes any port number.
    let extended = check("rte_eth_xstats_reset", name, unsafe { sys::rte_eth_xstats_reset(port) });
    match extended {
        Err(error) if !error.is_unsupported() => Err(error),
        _ => Ok(()),
    }
}

/// Names and values of everything that the device counts.
pub(crate) fn read_extended(port: u16, name: &str) -> Result<Vec<(String, u64)>> {
    const NAMES: &str = "rte_eth_xstats_get_names";
    const VALUES: &str = "rte_eth_xstats_get";
    // SAFETY: with no array the call answers how long it must be.
    let count = unsafe { sys::rte_eth_xstats_get_names(port, std::ptr::null_mut(), 0) };
    let count = check(NAMES, name, count)?;
    let mut names = vec![sys::rte_eth_xstat_name::default(); count as usize];
    let mut values = vec![sys::rte_eth_xstat::default(); count as usize];
    // SAFETY: writes at most `count` names.
    let named = unsafe { sys::rte_eth_xstats_get_names(port, names.as_mut_ptr(), count as c_uint) };
    let named = check(NAMES, name, named)?;
    // SAFETY: writes at most `count` values.
    let valued = unsafe { sys::rte_eth_xstats_get(port, values.as_mut_ptr(), count as c_uint) };
    let valued = check(VALUES, name, valued)?;
    // More than fit means that nothing was written: the device changed in between.
    names.truncate(if named <= count { named as usize } else { 0 });
    values.truncate(if valued <= count { valued as usize } else { 0 });
    let pairs = values.iter().filter_map(|value| {
        let name = names.get(usize::try_from(value.id).ok()?)?;
        // SAFETY: the name is an array that DPDK ended with a zero.
        Some((unsafe { text_of(name.name.as_ptr()) }, value.value))
    });
    Ok(pairs.collect())
}
