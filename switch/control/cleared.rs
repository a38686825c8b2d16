//! Counters since somebody cleared them. Nothing is set to zero: what was counted by then is taken off, so that
//! metrics, the accounting and other consoles go on.

use std::collections::BTreeMap;
use std::time::Instant;

use pollux_engine::PortTotals;

use super::Switch;
use super::ports::LivePort;

/// What had been counted on a port when somebody cleared it.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    stats: Option<(Instant, PortTotals, dpdk::PortStats)>,
    extended: BTreeMap<String, u64>,
}

/// What was counted on a port since it was cleared last.
#[derive(Clone, Debug)]
pub struct CountedPort {
    /// The port's name.
    pub port: String,
    /// What the workers counted.
    pub totals: PortTotals,
    /// What the device counted; `None` if it tells nothing.
    pub device: Option<dpdk::PortStats>,
    /// Seconds since it was cleared; `None`: it never was.
    pub cleared_seconds: Option<f64>,
}

impl Switch {
    /// What was counted on every port since it was cleared, in the file's order.
    pub fn counted_since_cleared(&self) -> Vec<CountedPort> {
        let counted = self.ports.iter().map(|live| {
            let (mut totals, mut device) = (self.totals_of(live), live.device.stats().ok());
            let cleared_seconds = live.cleared.stats.as_ref().map(|(at, before, device_before)| {
                totals -= *before;
                device = device.map(|device| since(device, device_before));
                at.elapsed().as_secs_f64()
            });
            CountedPort { port: live.name.clone(), totals, device, cleared_seconds }
        });
        counted.collect()
    }

    /// Everything that ports' devices counted since it was cleared, by port and name; devices that tell nothing
    /// have nothing.
    pub fn extended_since_cleared(&self) -> Vec<(String, BTreeMap<String, u64>)> {
        let of = |live: &LivePort| {
            let stats = live.device.extended_stats().unwrap_or_default().into_iter();
            let stats = stats.map(|(name, value)| {
                let before = live.cleared.extended.get(&name).copied().unwrap_or_default();
                // What is no counter may have gone down.
                (name, value.checked_sub(before).unwrap_or(value))
            });
            stats.collect()
        };
        self.ports.iter().map(|live| (live.name.clone(), of(live))).collect()
    }

    /// Has [`counted_since_cleared`](Self::counted_since_cleared) begin at zero for a port. Returns whether
    /// there is such a port.
    pub fn clear(&mut self, name: &str) -> bool {
        let Some(place) = self.ports.iter().position(|live| live.name == name) else { return false };
        let totals = self.totals_of(&self.ports[place]);
        let live = &mut self.ports[place];
        let device = live.device.stats().unwrap_or_default();
        live.cleared.stats = Some((Instant::now(), totals, device));
        true
    }

    /// Has [`extended_since_cleared`](Self::extended_since_cleared) begin at zero for a port. Returns whether
    /// there is such a port.
    pub fn clear_extended(&mut self, name: &str) -> bool {
        let Some(live) = self.ports.iter_mut().find(|live| live.name == name) else { return false };
        live.cleared.extended = live.device.extended_stats().unwrap_or_default().into_iter().collect();
        true
    }
}

fn since(now: dpdk::PortStats, before: &dpdk::PortStats) -> dpdk::PortStats {
    dpdk::PortStats {
        rx_packets: now.rx_packets.saturating_sub(before.rx_packets),
        tx_packets: now.tx_packets.saturating_sub(before.tx_packets),
        rx_bytes: now.rx_bytes.saturating_sub(before.rx_bytes),
        tx_bytes: now.tx_bytes.saturating_sub(before.tx_bytes),
        rx_missed: now.rx_missed.saturating_sub(before.rx_missed),
        rx_errors: now.rx_errors.saturating_sub(before.rx_errors),
        tx_errors: now.tx_errors.saturating_sub(before.tx_errors),
        rx_no_mbuf: now.rx_no_mbuf.saturating_sub(before.rx_no_mbuf),
    }
}
