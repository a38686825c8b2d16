//! Stations' addresses, which are computed and not kept: a million of them cost no cache.

/// Stations that a port can have.
pub(super) const STATIONS: u32 = 1 << 24;

/// Ports that stations' addresses tell apart.
pub(super) const PORTS: u8 = 64;

/// Which of a port's stations of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The one that sends.
    Speaking,
    /// One that never does.
    Silent,
    /// Another behind the same port.
    Neighbour,
}

/// The last four octets of a station's MAC address. Two stations of a port have different ones.
#[inline(always)]
pub(super) fn scatter(number: u32, kind: Kind) -> [u8; 4] {
    let kind = match kind {
        Kind::Speaking => 0,
        Kind::Silent => 1 << 31,
        Kind::Neighbour => 1 << 30,
    };
    // Odd factors and shifts that can be undone: each number has an outcome of its own.
    let mixed = (number | kind).wrapping_mul(0x9e37_79b1);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca77);
    (mixed ^ mixed >> 13).to_be_bytes()
}

/// A station's MAC address: individual, administered locally, with the port's number behind that.
pub(super) fn mac(port: u8, number: u32, kind: Kind) -> [u8; 6] {
    let [a, b, c, d] = scatter(number, kind);
    [0x02, port, a, b, c, d]
}

/// The first octet of the IP addresses of a port's stations; the rest is their number.
pub(super) fn network(port: u8, kind: Kind) -> u8 {
    match kind {
        Kind::Speaking => 10 + port % PORTS,
        // Behind 127.
        Kind::Silent | Kind::Neighbour => 128 + port % PORTS,
    }
}

/// UDP ports of a flow: source and destination, both in the dynamic range (RFC 6335).
#[inline(always)]
pub(super) fn udp_ports(scattered: [u8; 4]) -> [u8; 4] {
    let mixed = u32::from_be_bytes(scattered);
    ((mixed & 0x3fff_3fff) | 0xc000_c000).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn addresses_of_a_port_are_all_different() {
        let kinds = [Kind::Speaking, Kind::Silent, Kind::Neighbour];
        let all: HashSet<_> =
            kinds.into_iter().flat_map(|kind| (0..100_000).map(move |n| mac(3, n, kind))).collect();
        assert_eq!(all.len(), 300_000);
        assert!(all.iter().all(|mac| mac[..2] == [2, 3]));
        let last: HashSet<_> = (STATIONS - 1000..STATIONS).map(|n| mac(3, n, Kind::Speaking)).collect();
        assert_eq!(last.difference(&all).count(), 1000);
    }

    #[test]
    fn networks_are_unicast_and_no_loopback() {
        for port in 0..PORTS {
            for kind in [Kind::Speaking, Kind::Silent] {
                assert!((1..224).contains(&network(port, kind)) && network(port, kind) != 127);
            }
        }
    }

    #[test]
    fn udp_ports_differ_by_flow() {
        let ports: HashSet<_> = (0..1000).map(|n| udp_ports(scatter(n, Kind::Speaking))).collect();
        assert!(ports.len() > 990, "{}", ports.len());
        assert!(ports.iter().all(|ports| ports[0] >= 0xc0 && ports[2] >= 0xc0));
    }
}
