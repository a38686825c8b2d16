//! Cuts a frame with more TCP payload than a wire carries at once into frames that fit (TCP segmentation,
//! as a NIC does it).
//!
//! Every piece gets the frame's headers, with its own lengths, sequence number (RFC 9293 section 3.4), IPv4
//! identification (RFC 6864) and checksums. FIN and PSH go with the last piece, CWR with the first (RFC 3168
//! section 6.1.2).
//!
//! DPDK's GSO library isn't used: it leaves IPv6 alone, and its pieces share the original's buffer, which a
//! port may rewrite while another sends it. Here every piece has its own.

use arrayvec::ArrayVec;
use pollux_net::{Checksum, Frame, IpVersion, Transport};

use super::offload::{MAX_HEADERS, Offload};
use super::platform::Platform;

const CWR: u8 = 0x80;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// Gives `take` each piece in order, `None` for one that there was no memory for.
pub(super) fn cut<P: Platform>(
    frame: &P::Frame,
    offload: &Offload,
    platform: &mut P,
    mut take: impl FnMut(&mut P, Option<P::Frame>),
) {
    let Offload { transport, segment_len } = *offload;
    let payload_len = transport.payload_len();
    let segment_len = segment_len.map_or(payload_len, |len| len.get().into());
    let mut headers = Headers::new(frame.head(), transport);
    let mut payload = Payload::new(frame.pieces(), transport.payload.into());
    let count = offload.frames();
    for index in 0..count {
        let offset = index * segment_len;
        let len = segment_len.min(payload_len - offset);
        let mut checksum = headers.set(index, offset, len, index + 1 == count);
        let mut piece = platform.frame(&headers.octets);
        payload.take(len, |octets| {
            checksum.add(octets);
            if piece.as_mut().is_some_and(|piece| !platform.append(piece, octets)) {
                piece = None;
            }
        });
        let checksum = transport.stored(checksum);
        let piece = piece.and_then(|mut piece| {
            piece.head_mut()?.get_mut(transport.checksum_place())?.copy_from_slice(&checksum);
            Some(piece)
        });
        take(platform, piece);
    }
}

/// The original's headers, made those of one piece after the other.
struct Headers {
    octets: ArrayVec<u8, MAX_HEADERS>,
    transport: Transport,
    sequence: u32,
    identification: u16,
    flags: u8,
}

impl Headers {
    /// Of a frame that starts with `head`, whose headers are no longer than [`MAX_HEADERS`].
    fn new(head: &[u8], transport: Transport) -> Self {
        let headers = &head[..usize::from(transport.payload).min(MAX_HEADERS)];
        let octets: ArrayVec<u8, MAX_HEADERS> = headers.iter().copied().collect();
        let (ip, tcp) = (usize::from(transport.network), usize::from(transport.header));
        Self {
            sequence: u32::from_be_bytes([head[tcp + 4], head[tcp + 5], head[tcp + 6], head[tcp + 7]]),
            identification: u16::from_be_bytes([head[ip + 4], head[ip + 5]]),
            flags: head[tcp + 13],
            octets,
            transport,
        }
    }

    /// Makes them those of piece `index`, with `len` octets of payload that lie at `offset` in the
    /// original's. Returns the checksum over the pseudo header and the TCP header.
    fn set(&mut self, index: usize, offset: usize, len: usize, last: bool) -> Checksum {
        let (ip, tcp) = (usize::from(self.transport.network), usize::from(self.transport.header));
        let packet_len = self.octets.len() - ip + len;
        match self.transport.version {
            IpVersion::V4 => {
                let identification = self.identification.wrapping_add(index as u16);
                self.write(ip + 2, (packet_len as u16).to_be_bytes());
                self.write(ip + 4, identification.to_be_bytes());
                self.write(ip + 10, [0; 2]);
                let mut checksum = Checksum::new();
                checksum.add(&self.octets[ip..tcp]);
                self.write(ip + 10, checksum.finish());
            }
            IpVersion::V6 => self.write(ip + 4, ((packet_len - 40) as u16).to_be_bytes()),
        }
        let mut flags = self.flags;
        if index > 0 {
            flags &= !CWR;
        }
        if !last {
            flags &= !(PSH | FIN);
        }
        self.write(tcp + 4, self.sequence.wrapping_add(offset as u32).to_be_bytes());
        self.write(tcp + 13, [flags]);
        self.write(tcp + 16, [0; 2]);
        let segment = &self.octets[tcp..];
        let mut checksum = self.transport.pseudo_header(&self.octets, segment.len() + len);
        checksum.add(segment);
        checksum
    }

    fn write<const N: usize>(&mut self, at: usize, octets: [u8; N]) {
        self.octets[at..at + N].copy_from_slice(&octets);
    }
}

/// What lies behind the headers, taken from the front.
struct Payload<'a, I> {
    pieces: I,
    rest: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Payload<'a, I> {
    /// `pieces` without their first `skip` octets.
    fn new(pieces: I, skip: usize) -> Self {
        let mut payload = Self { pieces, rest: &[] };
        payload.take(skip, |_| {});
        payload
    }

    /// Gives `each` the next `len` octets, or as many as there are.
    fn take(&mut self, mut len: usize, mut each: impl FnMut(&'a [u8])) {
        while len > 0 {
            if self.rest.is_empty() {
                match self.pieces.next() {
                    Some(piece) => self.rest = piece,
                    None => return,
                }
            }
            let (now, rest) = self.rest.split_at(len.min(self.rest.len()));
            self.rest = rest;
            len -= now.len();
            if !now.is_empty() {
                each(now);
            }
        }
    }
}
