use crate::{IpVersion, Transport};

/// A number that all frames of one flow share, and others hardly: of their Ethernet addresses, and of IP
/// addresses and ports where they are whole TCP segments or UDP datagrams. `head` is the frame's start.
pub fn flow_hash(head: &[u8]) -> u32 {
    let mut hash = mix(0, head.get(..12).unwrap_or(head));
    if let Some(transport) = Transport::find(head, usize::MAX) {
        let network = usize::from(transport.network);
        let addresses = match transport.version {
            IpVersion::V4 => network + 12..network + 20,
            IpVersion::V6 => network + 8..network + 40,
        };
        let ports = usize::from(transport.header);
        hash = mix(mix(hash, &head[addresses]), &head[ports..ports + 4]);
    }
    (hash >> 32) as u32
}

/// Works octets into a hash, eight at a time.
fn mix(hash: u64, octets: &[u8]) -> u64 {
    octets.chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // An odd multiplier with its bits spread evenly, from the golden ratio.
        (hash ^ u64::from_ne_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram over IPv4, with `tag` octets of tags.
    fn udp(tags: usize, port: u16, payload: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x81, 0, 0, 7].repeat(tags));
        frame.extend([8, 0, 0x45, 0, 0, 36, 0, payload, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(port.to_be_bytes());
        frame.extend([0, 53, 0, 16, 0, 0]);
        frame.extend([payload; 8]);
        frame
    }

    #[test]
    fn a_flow_is_its_addresses_and_ports() {
        assert_eq!(flow_hash(&udp(0, 1000, 1)), flow_hash(&udp(0, 1000, 2)));
        assert_eq!(flow_hash(&udp(0, 1000, 1)), flow_hash(&udp(2, 1000, 1)));
        assert_ne!(flow_hash(&udp(0, 1000, 1)), flow_hash(&udp(0, 1001, 1)));
        let mut elsewhere = udp(0, 1000, 1);
        elsewhere[33] = 3;
        assert_ne!(flow_hash(&udp(0, 1000, 1)), flow_hash(&elsewhere));
        // What is shorter than an Ethernet header has a hash too.
        for len in 0..20 {
            flow_hash(&udp(0, 1000, 1)[..len]);
        }
    }

    #[test]
    fn flows_are_dealt_out_evenly() {
        for queues in [2, 3, 4, 8] {
            let mut dealt = vec![0; queues];
            for port in 0..4096 {
                let queue = (u64::from(flow_hash(&udp(0, port, 0))) * queues as u64) >> 32;
                dealt[queue as usize] += 1;
            }
            let fair = 4096 / queues;
            assert!(dealt.iter().all(|&flows| flows > fair * 8 / 10 && flows < fair * 12 / 10), "{dealt:?}");
        }
    }
}
