//! What has to be known about single drivers, as data.

/// A driver's peculiarities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quirks {
    driver: &'static str,
    /// With several rx queues, one that is full stalls all, unless frames for it are dropped.
    pub(crate) drop_when_full: bool,
    /// Any tx offload makes it transmit frame by frame instead of with vector instructions.
    pub(crate) tx_offloads_are_slow: bool,
    /// Descriptors of a ring that may be more than the device says.
    pub(crate) max_ring: u16,
    /// Its MTU can't change while it runs.
    pub(crate) mtu_needs_stop: bool,
    /// Counters that overflow or latch if nobody reads them this often, in seconds; 0: none.
    pub(crate) read_statistics_every: u32,
}

const NONE: Quirks = Quirks {
    driver: "",
    drop_when_full: false,
    tx_offloads_are_slow: false,
    max_ring: u16::MAX,
    mtu_needs_stop: false,
    read_statistics_every: 0,
};

const KNOWN: [Quirks; 7] = [
    Quirks {
        driver: "net_ixgbe",
        drop_when_full: true,
        tx_offloads_are_slow: true,
        max_ring: 4096,
        // 32-bit packet counters at 14.88 Mpps overflow after 4.8 minutes.
        read_statistics_every: 240,
        ..NONE
    },
    Quirks {
        driver: "net_ixgbe_vf",
        drop_when_full: true,
        tx_offloads_are_slow: true,
        max_ring: 4096,
        read_statistics_every: 240,
        ..NONE
    },
    Quirks { driver: "net_i40e", tx_offloads_are_slow: true, max_ring: 4096, mtu_needs_stop: true, ..NONE },
    Quirks { driver: "net_ice", tx_offloads_are_slow: true, max_ring: 4096, mtu_needs_stop: true, ..NONE },
    Quirks { driver: "net_iavf", tx_offloads_are_slow: true, max_ring: 4096, mtu_needs_stop: true, ..NONE },
    Quirks { driver: "net_e1000_igb", drop_when_full: true, max_ring: 4096, ..NONE },
    Quirks { driver: "net_e1000_em", max_ring: 4096, ..NONE },
];

/// What is known about `driver`.
pub(crate) fn of(driver: &str) -> Quirks {
    let known = KNOWN.iter().find(|quirks| quirks.driver == driver);
    known.copied().unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_driver_is_listed_once() {
        for (i, quirks) in KNOWN.iter().enumerate() {
            assert!(KNOWN[i + 1..].iter().all(|other| other.driver != quirks.driver));
            assert_eq!(of(quirks.driver).driver, quirks.driver);
        }
        assert_eq!(of("net_vhost").max_ring, u16::MAX);
    }
}
