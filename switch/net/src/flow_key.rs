use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::{Dscp, Mac, Tpid, Vid};

/// Tags that are looked behind.
const MAX_TAGS: usize = 3;

/// Extension headers of IPv6 that are looked behind.
const MAX_EXTENSIONS: usize = 8;

/// What rules see of a frame, each field in network order at a fixed place, so that all can be matched at
/// once. Addresses of IPv4 are mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(4))]
pub struct FlowKey([u8; FlowKey::LEN]);

impl FlowKey {
    /// Octets in a key.
    pub const LEN: usize = 60;

    /// Where the IP protocol lies, or IPv6's last next header: 1 octet; 0 without IP, which no rule names.
    pub const PROTOCOL: usize = 0;
    /// Where the VLAN's number lies: 2 octets.
    pub const VID: usize = 4;
    /// Where the EtherType behind all tags lies: 2 octets.
    pub const ETHERTYPE: usize = 6;
    /// Where the destination's address lies: 6 octets.
    pub const DESTINATION_MAC: usize = 8;
    /// Where the source's address lies: 6 octets.
    pub const SOURCE_MAC: usize = 14;
    /// Where the IP source lies: 16 octets.
    pub const SOURCE: usize = 20;
    /// Where the IP destination lies: 16 octets.
    pub const DESTINATION: usize = 36;
    /// Where the source port lies: 2 octets.
    pub const SOURCE_PORT: usize = 52;
    /// Where the destination port lies: 2 octets.
    pub const DESTINATION_PORT: usize = 54;
    /// Where the DSCP lies: 2 octets.
    pub const DSCP: usize = 56;
    /// Where [`HAS_IP`](Self::HAS_IP) and [`HAS_PORTS`](Self::HAS_PORTS) lie: 2 octets.
    pub const FLAGS: usize = 58;

    /// There is an IP header.
    pub const HAS_IP: u16 = 1;
    /// There are ports: TCP, UDP, UDP-Lite, SCTP or DCCP, and no later fragment.
    pub const HAS_PORTS: u16 = 2;

    /// Of no frame at all.
    pub const BLANK: Self = Self([0; Self::LEN]);

    /// What rules see of a frame in VLAN `vid` whose first octets are `head`. Headers that don't lie there
    /// whole count as absent.
    pub fn of(head: &[u8], vid: Vid) -> Self {
        let mut key = Self::BLANK;
        key.put(Self::VID, &vid.value().to_be_bytes());
        if let Some(addresses) = head.first_chunk::<12>() {
            key.put(Self::DESTINATION_MAC, addresses);
        }
        if let Some((ethertype, at)) = payload(head) {
            key.put(Self::ETHERTYPE, &ethertype.to_be_bytes());
            let packet = head.get(at..).unwrap_or_default();
            let _ = match ethertype {
                0x0800 => key.add_ipv4(packet),
                0x86dd => key.add_ipv6(packet),
                _ => None,
            };
        }
        key
    }

    /// The octets, as they are matched.
    pub const fn octets(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The DSCP, if there is an IP header.
    pub fn dscp(&self) -> Option<Dscp> {
        (self.flags() & Self::HAS_IP != 0).then(|| Dscp::new(self.0[Self::DSCP + 1])).flatten()
    }

    fn put<const N: usize>(&mut self, at: usize, octets: &[u8; N]) {
        self.0[at..at + N].copy_from_slice(octets);
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    fn flags(&self) -> u16 {
        self.u16_at(Self::FLAGS)
    }

    fn add_ipv4(&mut self, packet: &[u8]) -> Option<()> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let header_len = usize::from(header[0] & 0xf) * 4;
        if header[0] >> 4 != 4 || header_len < 20 {
            return None;
        }
        self.add_ip(header[9], header[1]);
        self.put(Self::SOURCE + 10, &[0xff, 0xff, header[12], header[13], header[14], header[15]]);
        self.put(Self::DESTINATION + 10, &[0xff, 0xff, header[16], header[17], header[18], header[19]]);
        let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if offset == 0 { self.add_ports(packet.get(header_len..)?) } else { None }
    }

    fn add_ipv6(&mut self, packet: &[u8]) -> Option<()> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION: u8 = 60;
        let header: &[u8; 40] = packet.first_chunk()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        self.add_ip(header[6], header[0] << 4 | header[1] >> 4);
        self.0[Self::SOURCE..Self::DESTINATION + 16].copy_from_slice(&header[8..40]);
        let mut at = 40;
        for _ in 0..MAX_EXTENSIONS {
            let extension = || packet.get(at..at + 8);
            let len = match self.0[Self::PROTOCOL] {
                HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(extension()?[1]) + 1) * 8,
                FRAGMENT if u16::from_be_bytes([extension()?[2], extension()?[3]]) >> 3 == 0 => 8,
                FRAGMENT => {
                    self.0[Self::PROTOCOL] = extension()?[0];
                    return None;
                }
                _ => return self.add_ports(packet.get(at..)?),
            };
            self.0[Self::PROTOCOL] = extension()?[0];
            at += len;
        }
        None
    }

    fn add_ip(&mut self, protocol: u8, traffic_class: u8) {
        self.0[Self::PROTOCOL] = protocol;
        self.0[Self::DSCP + 1] = Dscp::from_traffic_class(traffic_class).value();
        self.0[Self::FLAGS + 1] |= Self::HAS_IP as u8;
    }

    fn add_ports(&mut self, segment: &[u8]) -> Option<()> {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        const DCCP: u8 = 33;
        const SCTP: u8 = 132;
        const UDP_LITE: u8 = 136;
        if matches!(self.0[Self::PROTOCOL], TCP | UDP | DCCP | SCTP | UDP_LITE) {
            self.put(Self::SOURCE_PORT, segment.first_chunk::<4>()?);
            self.0[Self::FLAGS + 1] |= Self::HAS_PORTS as u8;
        }
        Some(())
    }
}

/// The EtherType behind all tags, and where what it names starts.
fn payload(head: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    for _ in 0..=MAX_TAGS {
        let ethertype = u16::from_be_bytes(*head.get(at..)?.first_chunk()?);
        if Tpid::from_ethertype(ethertype).is_none() {
            return Some((ethertype, at + 2));
        }
        at += 4;
    }
    None
}

/// Where the octet lies that starts an IP header of `head`, and what IP it is.
fn ip_header(head: &[u8]) -> Option<(usize, u16)> {
    let (ethertype, at) = payload(head)?;
    let version = head.get(at)? >> 4;
    matches!((ethertype, version), (0x0800, 4) | (0x86dd, 6)).then_some((at, ethertype))
}

/// The DSCP of the IP packet that a frame carries, if it does and its header is in `head`.
pub fn dscp(head: &[u8]) -> Option<Dscp> {
    let (at, ethertype) = ip_header(head)?;
    let second = *head.get(at + 1)?;
    let octet = if ethertype == 0x0800 { second } else { head[at] << 4 | second >> 4 };
    Some(Dscp::from_traffic_class(octet))
}

/// Writes the DSCP of the IP packet that a frame carries, with the checksum of IPv4's header brought up to
/// date (RFC 1624). Leaves other frames, and what the DSCP shares its octets with, as they are.
pub fn set_dscp(head: &mut [u8], dscp: Dscp) {
    let Some((at, ethertype)) = ip_header(head) else { return };
    let Some(packet) = head.get_mut(at..) else { return };
    if ethertype == 0x86dd {
        if let Some(first) = packet.first_chunk_mut::<2>() {
            let word = u16::from_be_bytes(*first) & !0x0fc0 | u16::from(dscp.value()) << 6;
            *first = word.to_be_bytes();
        }
    } else if let Some(header) = packet.first_chunk_mut::<20>() {
        let before = u16::from_be_bytes([header[0], header[1]]);
        header[1] = header[1] & 3 | dscp.value() << 2;
        let after = u16::from_be_bytes([header[0], header[1]]);
        // RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
        let checksum = u16::from_be_bytes([header[10], header[11]]);
        let sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
        let folded = (sum & 0xffff) + (sum >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        let [high, low] = (!(folded as u16)).to_be_bytes();
        header[10] = high;
        header[11] = low;
    }
}

/// An address of which only the bits set in `mask` count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MacMatch {
    /// The address.
    pub mac: Mac,
    /// The bits that count.
    pub mask: Mac,
}

/// Which frames a rule is about: those that fit everything that is given.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FlowMatch {
    /// Where the frame comes from.
    pub source_mac: Option<MacMatch>,
    /// Where it goes.
    pub destination_mac: Option<MacMatch>,
    /// Its VLAN.
    pub vid: Option<RangeInclusive<u16>>,
    /// The EtherType behind all tags.
    pub ethertype: Option<u16>,
    /// The network of the IP source.
    pub source: Option<IpNet>,
    /// The network of the IP destination.
    pub destination: Option<IpNet>,
    /// The IP protocol, or IPv6's last next header. Never 0.
    pub protocol: Option<u8>,
    /// The source port of a transport protocol.
    pub source_port: Option<RangeInclusive<u16>>,
    /// The destination port of a transport protocol.
    pub destination_port: Option<RangeInclusive<u16>>,
    /// The DSCP.
    pub dscp: Option<RangeInclusive<u8>>,
}

impl FlowMatch {
    /// The flags that a frame's key must have set.
    pub fn flags(&self) -> u16 {
        let ports = self.source_port.is_some() || self.destination_port.is_some();
        let ip = self.source.is_some() || self.destination.is_some() || self.dscp.is_some();
        let ip = ip || self.protocol.is_some();
        (FlowKey::HAS_PORTS * u16::from(ports)) | (FlowKey::HAS_IP * u16::from(ip))
    }

    /// The EtherType that frames must have: what is given, or what the networks are of.
    pub fn required_ethertype(&self) -> Option<u16> {
        let network = self.source.or(self.destination);
        let of_network = network.map(|network| if network.addr().is_ipv4() { 0x0800 } else { 0x86dd });
        self.ethertype.or(of_network)
    }

    /// Whether a frame of this key fits. What matches many keys at once must agree with it.
    pub fn fits(&self, key: &FlowKey) -> bool {
        fn within<T: PartialOrd>(range: &Option<RangeInclusive<T>>, value: T) -> bool {
            range.as_ref().is_none_or(|range| range.contains(&value))
        }
        let mac = |wanted: &Option<MacMatch>, at: usize| {
            wanted.is_none_or(|MacMatch { mac, mask }| {
                let octets = mac.octets().into_iter().zip(mask.octets()).zip(&key.0[at..at + 6]);
                octets.into_iter().all(|((wanted, mask), octet)| (wanted ^ octet) & mask == 0)
            })
        };
        let network = |wanted: &Option<IpNet>, at: usize| {
            wanted.is_none_or(|network| {
                let (wanted, bits) = mapped(network);
                let address =
                    key.0[at..at + 16].first_chunk().map_or(0, |octets| u128::from_be_bytes(*octets));
                bits == 0 || (wanted ^ address) >> (128 - u32::from(bits)) == 0
            })
        };
        key.flags() & self.flags() == self.flags()
            && mac(&self.source_mac, FlowKey::SOURCE_MAC)
            && mac(&self.destination_mac, FlowKey::DESTINATION_MAC)
            && within(&self.vid, key.u16_at(FlowKey::VID))
            && self.required_ethertype().is_none_or(|ethertype| ethertype == key.u16_at(FlowKey::ETHERTYPE))
            && network(&self.source, FlowKey::SOURCE)
            && network(&self.destination, FlowKey::DESTINATION)
            && self.protocol.is_none_or(|protocol| protocol == key.0[FlowKey::PROTOCOL])
            && within(&self.source_port, key.u16_at(FlowKey::SOURCE_PORT))
            && within(&self.destination_port, key.u16_at(FlowKey::DESTINATION_PORT))
            && within(&self.dscp, key.0[FlowKey::DSCP + 1])
    }
}

/// A network as keys have its addresses, and how many leading bits count.
pub fn mapped(network: IpNet) -> (u128, u8) {
    match network.network() {
        IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), network.prefix_len() + 96),
        IpAddr::V6(address) => (address.to_bits(), network.prefix_len()),
    }
}

/// Ordered rules, built to be looked up by many at once.
pub trait FlowRules: Send + Sync {
    /// Writes, for each key, the number of the first rule that it fits, counted from 1, or 0 if it fits none.
    ///
    /// # Panics
    ///
    /// If there are more keys than `hits`.
    fn first_fits(&self, keys: &[FlowKey], hits: &mut [u32]);
}

impl<R: FlowRules> FlowRules for std::sync::Arc<R> {
    #[inline]
    fn first_fits(&self, keys: &[FlowKey], hits: &mut [u32]) {
        (**self).first_fits(keys, hits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checksum;
    use proptest::prelude::*;

    fn ipv4(tags: usize, tos: u8, offset: u16, protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend([0x81, 0, 0, 7].repeat(tags));
        frame.extend([8, 0, 0x45, tos, 0, 20 + behind.len() as u8, 0, 0]);
        frame.extend(offset.to_be_bytes());
        frame.extend([64, protocol, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6]);
        let header = frame.len() - 20;
        let mut checksum = Checksum::new();
        checksum.add(&frame[header..]);
        let octets = checksum.finish();
        frame[header + 10..header + 12].copy_from_slice(&octets);
        frame.extend(behind);
        frame
    }

    fn ipv6(tos: u8, headers: &[u8], first: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60 | tos >> 4, tos << 4 | 0xa, 1, 2, 0, headers.len() as u8, first, 64]);
        frame.extend([0xfd; 16]);
        frame.extend([0xfc; 16]);
        frame.extend(headers);
        frame
    }

    fn vid(value: u16) -> Vid {
        Vid::new(value).unwrap()
    }

    #[test]
    fn fields_are_found_behind_tags() {
        for tags in 0..=MAX_TAGS {
            let key = FlowKey::of(&ipv4(tags, 46 << 2 | 1, 0x4000, 6, &[0x1a, 0xe1, 0, 80]), vid(10));
            let all = FlowMatch {
                source_mac: Some(MacMatch { mac: Mac::new([2, 0, 0, 0, 0, 2]), mask: Mac::new([0xff; 6]) }),
                destination_mac: Some(MacMatch {
                    mac: Mac::new([2, 9, 0, 0, 0, 1]),
                    mask: Mac::new([0xff, 0, 0, 0, 0, 0xff]),
                }),
                vid: Some(10..=10),
                ethertype: Some(0x0800),
                source: Some("10.1.0.0/16".parse().unwrap()),
                destination: Some("10.4.5.6/32".parse().unwrap()),
                protocol: Some(6),
                source_port: Some(6881..=6889),
                destination_port: Some(80..=80),
                dscp: Some(46..=46),
            };
            assert!(all.fits(&key), "{tags} tags");
            let other = |change: fn(&mut FlowMatch)| {
                let mut wanted = all.clone();
                change(&mut wanted);
                !wanted.fits(&key)
            };
            assert!(other(|wanted| wanted.vid = Some(11..=4094)));
            assert!(other(|wanted| wanted.source = Some("10.2.0.0/16".parse().unwrap())));
            assert!(other(|wanted| wanted.destination = Some("10.4.5.7/32".parse().unwrap())));
            assert!(other(|wanted| wanted.source_port = Some(6890..=65535)));
            assert!(other(|wanted| wanted.dscp = Some(0..=45)));
            assert!(other(|wanted| wanted.protocol = Some(17)));
            assert!(other(|wanted| wanted.source_mac.as_mut().unwrap().mac = Mac::new([2; 6])));
        }
        assert!(FlowMatch::default().fits(&FlowKey::of(&ipv4(4, 0, 0, 6, &[]), vid(1))));
        assert!(
            !FlowMatch { ethertype: Some(0x0800), ..FlowMatch::default() }.fits(&FlowKey::of(&[], vid(1)))
        );
    }

    #[test]
    fn later_fragments_and_other_protocols_have_no_ports() {
        let any_port = FlowMatch { destination_port: Some(0..=65535), ..FlowMatch::default() };
        let udp = FlowMatch { protocol: Some(17), ..FlowMatch::default() };
        for (offset, protocol, has) in [(0x2000, 17, true), (1, 17, false), (0, 1, false), (0, 132, true)] {
            let key = FlowKey::of(&ipv4(0, 0, offset, protocol, &[0, 1, 0, 2]), vid(1));
            assert_eq!(any_port.fits(&key), has, "{offset} {protocol}");
            assert_eq!(udp.fits(&key), protocol == 17);
        }
        assert!(!any_port.fits(&FlowKey::of(&ipv4(0, 0, 0, 17, &[0, 1, 0]), vid(1))), "cut off");
    }

    #[test]
    fn extension_headers_are_looked_behind() {
        let to_443 =
            FlowMatch { destination_port: Some(443..=443), protocol: Some(6), ..FlowMatch::default() };
        let headers = |first: u8, fragment: u8| {
            let mut octets = vec![44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, fragment, 0, 0, 0, 1];
            octets.extend([0, 1, 1, 0xbb]);
            (octets, first)
        };
        let (octets, first) = headers(0, 1);
        assert!(to_443.fits(&FlowKey::of(&ipv6(0, &octets, first), vid(1))), "a first fragment");
        let (octets, first) = headers(60, 8);
        let later = FlowKey::of(&ipv6(0, &octets, first), vid(1));
        assert!(!to_443.fits(&later));
        assert!(
            FlowMatch { protocol: Some(6), ..FlowMatch::default() }.fits(&later),
            "a later one is TCP too"
        );
        let any = FlowMatch { source: Some("::/0".parse().unwrap()), ..FlowMatch::default() };
        assert!(any.fits(&later));
        assert!(!any.fits(&FlowKey::of(&ipv4(0, 0, 0, 6, &[]), vid(1))));
        let any = FlowMatch { source: Some("0.0.0.0/0".parse().unwrap()), ..FlowMatch::default() };
        assert!(!any.fits(&later));
    }

    proptest! {
        #[test]
        fn no_octets_are_too_strange(head in prop::collection::vec(any::<u8>(), 0..120), value in 0..64u8) {
            FlowKey::of(&head, Vid::DEFAULT);
            let mut changed = head.clone();
            set_dscp(&mut changed, Dscp::new(value).unwrap());
            prop_assert_eq!(FlowKey::of(&changed, Vid::DEFAULT).dscp().is_some(), FlowKey::of(&head, Vid::DEFAULT).dscp().is_some());
        }

        #[test]
        fn a_dscp_is_written_with_its_checksum(tags in 0..=3usize, tos: u8, value in 0..64u8, six: bool) {
            let new = Dscp::new(value).unwrap();
            let whole = |tos| if six { ipv6(tos, &[9; 8], 59) } else { ipv4(tags, tos, 0, 1, &[7; 8]) };
            let mut frame = whole(tos);
            set_dscp(&mut frame, new);
            prop_assert_eq!(dscp(&frame), Some(new));
            prop_assert_eq!(frame, whole(tos & 3 | value << 2), "nothing but the DSCP changes, and the checksum fits");
        }
    }
}
