//! Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the host's byte order.

/// Of Ethernet frames.
const LINK_TYPE: u16 = 1;

/// Times are in nanoseconds.
const TIME_RESOLUTION: u8 = 9;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

const COMMENT: u16 = 1;

/// What a packet's flags say of where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound = 1,
    Outbound = 2,
}

/// A frame as a packet block has it, beside its octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) interface: u32,
    pub(super) nanoseconds: u64,
    /// Octets that it had.
    pub(super) len: u32,
    /// Octets that were kept.
    pub(super) kept: u32,
    pub(super) direction: Direction,
    pub(super) comment: Option<&'a str>,
}

/// What was counted on an interface.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    pub(super) kept: u64,
    pub(super) lost: u64,
}

/// Octets that [`statistics`] adds.
pub(super) const STATISTICS_LEN: usize = 24 + 5 * 12 + 4;

/// Adds blocks to octets.
pub(super) struct Blocks<'a>(pub(super) &'a mut Vec<u8>);

impl Blocks<'_> {
    /// The block that a file starts with; `program` wrote it.
    pub(super) fn section(&mut self, program: &str) {
        self.block(SECTION, |blocks| {
            blocks.add(&0x1a2b_3c4d_u32.to_ne_bytes());
            blocks.add(&1_u16.to_ne_bytes());
            blocks.add(&0_u16.to_ne_bytes());
            // How long it gets isn't known.
            blocks.add(&u64::MAX.to_ne_bytes());
            blocks.option(4, program.as_bytes());
            blocks.end_of_options();
        });
    }

    /// An interface, which packets refer to by its number: they are counted from 0. A snap length of 0: none.
    pub(super) fn interface(
        &mut self,
        name: &str,
        description: &str,
        snap_length: u32,
        filter: Option<&str>,
    ) {
        self.block(INTERFACE, |blocks| {
            blocks.add(&LINK_TYPE.to_ne_bytes());
            blocks.add(&0_u16.to_ne_bytes());
            blocks.add(&snap_length.to_ne_bytes());
            blocks.option(2, name.as_bytes());
            blocks.option(3, description.as_bytes());
            blocks.option(9, &[TIME_RESOLUTION]);
            if let Some(filter) = filter {
                // In libpcap's language.
                blocks.option(11, &[&[0], filter.as_bytes()].concat());
            }
            blocks.end_of_options();
        });
    }

    /// A packet; `octets` adds as many as are kept.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, octets: impl FnOnce(&mut Vec<u8>)) {
        self.block(PACKET, |blocks| {
            blocks.add(&packet.interface.to_ne_bytes());
            blocks.time(packet.nanoseconds);
            blocks.add(&packet.kept.to_ne_bytes());
            blocks.add(&packet.len.to_ne_bytes());
            octets(blocks.0);
            blocks.pad();
            blocks.option(2, &(packet.direction as u32).to_ne_bytes());
            if let Some(comment) = packet.comment {
                blocks.option(COMMENT, comment.as_bytes());
            }
            blocks.end_of_options();
        });
    }

    /// What was counted on an interface from one time to another, in nanoseconds.
    pub(super) fn statistics(&mut self, interface: u32, counts: Statistics, from: u64, to: u64) {
        self.block(STATISTICS, |blocks| {
            blocks.add(&interface.to_ne_bytes());
            blocks.time(to);
            for (code, time) in [(2, from), (3, to)] {
                blocks.option(code, &[(time >> 32) as u32, time as u32].map(u32::to_ne_bytes).concat());
            }
            // What the filter let pass, what was lost of that, and what is here.
            for (code, count) in [(6, counts.kept + counts.lost), (5, counts.lost), (8, counts.kept)] {
                blocks.option(code, &count.to_ne_bytes());
            }
            blocks.end_of_options();
        });
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.add(&kind.to_ne_bytes());
        self.add(&[0; 4]);
        body(self);
        let len = (self.0.len() + 4 - start) as u32;
        self.0[start + 4..start + 8].copy_from_slice(&len.to_ne_bytes());
        self.add(&len.to_ne_bytes());
    }

    fn add(&mut self, octets: &[u8]) {
        self.0.extend(octets);
    }

    fn time(&mut self, nanoseconds: u64) {
        self.add(&((nanoseconds >> 32) as u32).to_ne_bytes());
        self.add(&(nanoseconds as u32).to_ne_bytes());
    }

    /// Fills up to a whole number of words; every block starts at one.
    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(u16::MAX.into())];
        self.add(&code.to_ne_bytes());
        self.add(&(value.len() as u16).to_ne_bytes());
        self.add(value);
        self.pad();
    }

    fn end_of_options(&mut self) {
        self.add(&[0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of a file: each one's kind and body.
    fn blocks(mut octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |octets: &[u8]| u32::from_ne_bytes(octets[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !octets.is_empty() {
            let (kind, len) = (word(octets), word(&octets[4..]) as usize);
            assert_eq!((len % 4, word(&octets[len - 4..]) as usize), (0, len));
            blocks.push((kind, octets[8..len - 4].to_vec()));
            octets = &octets[len..];
        }
        blocks
    }

    #[test]
    fn blocks_say_how_long_they_are() {
        let mut octets = Vec::new();
        let mut file = Blocks(&mut octets);
        file.section("a program");
        file.interface("vm1/rx", "received", 96, Some("tcp"));
        let comment = Some("dropped");
        for kept in 0..9 {
            let packet = Packet {
                interface: 0,
                nanoseconds: 1 << 40,
                len: 60,
                kept,
                direction: Direction::Inbound,
                comment,
            };
            file.packet(&packet, |octets| octets.extend((0..kept).map(|n| n as u8)));
        }
        let before = file.0.len();
        file.statistics(0, Statistics { kept: 9, lost: 2 }, 1, 2);
        assert_eq!(file.0.len() - before, STATISTICS_LEN);
        let blocks = blocks(&octets);
        let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds[..2], [SECTION, INTERFACE]);
        assert_eq!((kinds[2..11].iter().all(|kind| *kind == PACKET), kinds[11]), (true, STATISTICS));
        let (_, packet) = &blocks[2 + 5];
        assert_eq!(packet[4..20], [1 << 8, 0, 5, 60].map(u32::to_ne_bytes).concat());
        assert_eq!(packet[20..28], [0, 1, 2, 3, 4, 0, 0, 0]);
    }
}
