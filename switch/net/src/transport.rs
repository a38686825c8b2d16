use crate::{Checksum, Tpid};

/// Octets between an EtherType's place and where it may lie next, one tag further.
const TAG: usize = 4;

/// Tags that are looked behind: a provider's, a customer's, and one of a customer's own.
const MAX_TAGS: usize = 3;

/// IPv6 extension headers that are looked behind.
const MAX_EXTENSIONS: usize = 8;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The version of the Internet protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum IpVersion {
    /// RFC 791.
    #[default]
    V4,
    /// RFC 8200.
    V6,
}

/// A transport protocol whose checksum covers a pseudo header (RFC 9293 section 3.1, RFC 768).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Protocol {
    /// RFC 9293.
    #[default]
    Tcp,
    /// RFC 768.
    Udp,
}

impl Protocol {
    /// Its number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => TCP,
            Self::Udp => UDP,
        }
    }

    /// Where its header has the checksum.
    pub const fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Where the parts of a TCP segment or UDP datagram lie in its frame. Places are counted in octets from the
/// frame's start, and are ordered as the fields are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Transport {
    /// Which IP.
    pub version: IpVersion,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where the IP header starts.
    pub network: u16,
    /// Where the TCP or UDP header starts.
    pub header: u16,
    /// Where the payload starts.
    pub payload: u16,
    /// Where the IP packet ends; the frame may have padding behind.
    pub end: u32,
    /// Whether IPv6 extension headers lie before the transport header.
    pub has_extensions: bool,
}

impl Transport {
    /// Finds it in a frame of `len` octets, of which `head` are the first that lie together. `None` if the
    /// frame is another, a fragment, or doesn't add up: a header that isn't in `head` whole, a length that
    /// the frame doesn't have.
    pub fn find(head: &[u8], len: usize) -> Option<Self> {
        let mut at = 12;
        let mut ethertype = u16_at(head, at)?;
        for _ in 0..MAX_TAGS {
            if Tpid::from_ethertype(ethertype).is_none() {
                break;
            }
            at += TAG;
            ethertype = u16_at(head, at)?;
        }
        let network = at + 2;
        let packet = match ethertype {
            0x0800 => ipv4(head, network),
            0x86dd => ipv6(head, network),
            _ => None,
        }?;
        let Packet { version, protocol, header, end, has_extensions } = packet;
        let (protocol, header_len) = match protocol {
            TCP => (Protocol::Tcp, usize::from(head.get(header + 12)? >> 4) * 4),
            UDP => (Protocol::Udp, 8),
            _ => return None,
        };
        let payload = header + header_len;
        let whole = header_len >= if protocol == Protocol::Tcp { 20 } else { 8 };
        let fits = payload <= head.len() && payload <= end && end <= len;
        (whole && fits).then_some(Self {
            version,
            protocol,
            network: u16::try_from(network).ok()?,
            header: u16::try_from(header).ok()?,
            payload: u16::try_from(payload).ok()?,
            end: u32::try_from(end).ok()?,
            has_extensions,
        })
    }

    /// Where it lies once the frame's tags are `by` octets longer.
    pub fn shifted(self, by: isize) -> Self {
        let shift = |place: u16| place.wrapping_add_signed(by as i16);
        Self {
            network: shift(self.network),
            header: shift(self.header),
            payload: shift(self.payload),
            end: self.end.wrapping_add_signed(by as i32),
            ..self
        }
    }

    /// Octets of payload.
    pub fn payload_len(&self) -> usize {
        self.end as usize - usize::from(self.payload)
    }

    /// Where the checksum stands.
    pub fn checksum_place(&self) -> std::ops::Range<usize> {
        let at = usize::from(self.header) + self.protocol.checksum_offset();
        at..at + 2
    }

    /// A checksum as its header stores it: UDP's 0 means that there is none, so that a sum of 0 is stored as
    /// its other form (RFC 768).
    pub fn stored(&self, checksum: Checksum) -> [u8; 2] {
        match (self.protocol, checksum.finish()) {
            (Protocol::Udp, [0, 0]) => [0xff, 0xff],
            (_, octets) => octets,
        }
    }

    /// The checksum over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1) of a segment of
    /// `len` octets, its own header included. `head` is the frame's start, headers included.
    pub fn pseudo_header(&self, head: &[u8], len: usize) -> Checksum {
        let ip = usize::from(self.network);
        let addresses = match self.version {
            IpVersion::V4 => ip + 12..ip + 20,
            IpVersion::V6 => ip + 8..ip + 40,
        };
        let mut checksum = Checksum::new();
        checksum.add(&head[addresses]);
        checksum.add(&(len as u32).to_be_bytes());
        checksum.add(&[0, self.protocol.number()]);
        checksum
    }
}

/// What an IP header says.
struct Packet {
    version: IpVersion,
    protocol: u8,
    header: usize,
    end: usize,
    has_extensions: bool,
}

fn ipv4(head: &[u8], at: usize) -> Option<Packet> {
    let first = *head.get(at)?;
    let header_len = usize::from(first & 0xf) * 4;
    let fragment = u16_at(head, at + 6)? & 0x3fff;
    let total = usize::from(u16_at(head, at + 2)?);
    (first >> 4 == 4 && header_len >= 20 && fragment == 0).then_some(Packet {
        version: IpVersion::V4,
        protocol: *head.get(at + 9)?,
        header: at + header_len,
        end: at + total,
        has_extensions: false,
    })
}

fn ipv6(head: &[u8], at: usize) -> Option<Packet> {
    const HEADER: usize = 40;
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const DESTINATION: u8 = 60;
    if head.get(at)? >> 4 != 6 {
        return None;
    }
    let end = at + HEADER + usize::from(u16_at(head, at + 4)?);
    let mut protocol = *head.get(at + 6)?;
    let mut header = at + HEADER;
    let mut extensions = 0;
    while matches!(protocol, HOP_BY_HOP | ROUTING | DESTINATION) {
        extensions += 1;
        if extensions > MAX_EXTENSIONS {
            return None;
        }
        protocol = *head.get(header)?;
        header += (usize::from(*head.get(header + 1)?) + 1) * 8;
    }
    Some(Packet { version: IpVersion::V6, protocol, header, end, has_extensions: extensions > 0 })
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    let field = octets.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, tags, IPv4 with `options` octets of options, then `behind`.
    fn ipv4_frame(tags: &[u16], options: u8, protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for tpid in tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend([8, 0, 0x45 + options / 4, 0]);
        frame.extend((20 + u16::from(options) + behind.len() as u16).to_be_bytes());
        frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(std::iter::repeat_n(1, options.into()));
        frame.extend(behind);
        frame
    }

    fn tcp(options: u8, payload: usize) -> Vec<u8> {
        let mut segment = vec![0; 20 + usize::from(options) + payload];
        segment[12] = (5 + options / 4) << 4;
        segment
    }

    #[test]
    fn finds_tcp_behind_tags_and_options() {
        let frame = ipv4_frame(&[0x88a8, 0x8100], 8, TCP, &tcp(12, 100));
        let found = Transport::find(&frame, frame.len()).unwrap();
        assert_eq!((found.version, found.protocol), (IpVersion::V4, Protocol::Tcp));
        assert_eq!((found.network, found.header, found.payload, found.end), (22, 50, 82, 182));
        assert_eq!(found.payload_len(), 100);
        assert_eq!(found.checksum_place(), 66..68);
        let without_a_tag = found.shifted(-4);
        assert_eq!((without_a_tag.network, without_a_tag.end), (18, 178));
        assert_eq!(without_a_tag.shifted(4), found);
    }

    #[test]
    fn finds_udp_behind_extension_headers() {
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 36, 0, 64]);
        frame.extend([0xfd; 32]);
        frame.extend([60, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend([UDP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend([0; 12]);
        let found = Transport::find(&frame, frame.len()).unwrap();
        assert_eq!((found.version, found.protocol), (IpVersion::V6, Protocol::Udp));
        assert_eq!((found.network, found.header, found.payload, found.end), (14, 78, 86, 90));
        assert!(found.has_extensions);
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        let good = ipv4_frame(&[], 0, TCP, &tcp(0, 10));
        assert!(Transport::find(&good, good.len()).is_some());
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut frame = good.clone();
            change(&mut frame);
            Transport::find(&frame, good.len()).is_none()
        };
        assert!(refused(&|frame| frame[13] = 6), "another EtherType");
        assert!(refused(&|frame| frame[14] = 0x65), "another version");
        assert!(refused(&|frame| frame[14] = 0x44), "a header of 16 octets");
        assert!(refused(&|frame| frame[17] += 1), "longer than the frame");
        assert!(refused(&|frame| frame[17] = 39), "an end within the header");
        assert!(refused(&|frame| frame[20] = 0x20), "a first fragment");
        assert!(refused(&|frame| frame[21] = 1), "a later fragment");
        assert!(refused(&|frame| frame[23] = 1), "ICMP");
        assert!(refused(&|frame| frame[46] = 0x40), "a TCP header of 16 octets");
        assert!(refused(&|frame| frame[46] = 0xf0), "a TCP header of 60 octets");
        for len in 0..good.len() - 10 {
            assert!(Transport::find(&good[..len], good.len()).is_none(), "cut at {len}");
        }
        assert!(Transport::find(&good[..54], good.len()).is_some(), "the payload may lie elsewhere");
    }

    #[test]
    fn the_pseudo_header_is_what_the_rfcs_say() {
        let datagram = [0xc3, 0x50, 0, 0x35, 0, 12, 0, 0, b'q', b'u', b'i', b'z'];
        let frame = ipv4_frame(&[], 0, UDP, &datagram);
        let found = Transport::find(&frame, frame.len()).unwrap();
        let mut checksum = found.pseudo_header(&frame, datagram.len());
        checksum.add(&datagram);
        // Addresses, protocol and length of the pseudo header, then the datagram, word by word.
        let sum: u32 = [0x0a00, 1, 0x0a00, 2, 0x11, 0xc, 0xc350, 0x35, 0xc, 0x7175, 0x697a].iter().sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        assert_eq!(checksum.finish(), (!(folded as u16)).to_be_bytes());
    }
}
