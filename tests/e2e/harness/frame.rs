//! Frames, and tags in the notation of the vectors: `C10.5d` is a customer tag of VLAN 10, PCP 5 and
//! DEI; `S` is a service tag; `S100.0/C10.5` is two of them; `-` is none.

pub const BROADCAST: [u8; 6] = [0xff; 6];

/// What follows the tags of every frame that tests make: an EtherType for experiments.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

const ADDRESSES: usize = 12;

/// The tags' octets.
pub fn tags(notation: &str) -> Vec<u8> {
    if notation == "-" { Vec::new() } else { notation.split('/').flat_map(tag).collect() }
}

fn tag(notation: &str) -> [u8; 4] {
    let (tpid, tci) = parse_tag(notation).unwrap_or_else(|| panic!("`{notation}` is no tag"));
    let [a, b] = tpid.to_be_bytes();
    let [c, d] = tci.to_be_bytes();
    [a, b, c, d]
}

fn parse_tag(notation: &str) -> Option<(u16, u16)> {
    let (tpid, rest) = match notation.strip_prefix('C') {
        Some(rest) => (0x8100, rest),
        None => (0x88a8, notation.strip_prefix('S')?),
    };
    let (vid, priority) = rest.split_once('.')?;
    let (pcp, dei) = priority.strip_suffix('d').map_or((priority, 0), |pcp| (pcp, 1));
    Some((tpid, pcp.parse::<u16>().ok()? << 13 | dei << 12 | vid.parse::<u16>().ok()?))
}

/// The tags of a frame, in notation.
pub fn notation(frame: &[u8]) -> String {
    let mut tags = Vec::new();
    let mut rest = &frame[ADDRESSES..];
    while let [a, b, c, d, more @ ..] = rest {
        let kind = match u16::from_be_bytes([*a, *b]) {
            0x8100 => 'C',
            0x88a8 => 'S',
            _ => break,
        };
        let tci = u16::from_be_bytes([*c, *d]);
        let dei = if tci & 0x1000 != 0 { "d" } else { "" };
        tags.push(format!("{kind}{}.{}{dei}", tci & 0xfff, tci >> 13));
        rest = more;
    }
    if tags.is_empty() { "-".to_owned() } else { tags.join("/") }
}

/// A frame of `len` octets or a little more, with tags, then `number`, then octets that tell their place.
pub fn build(to: [u8; 6], from: [u8; 6], notation: &str, number: u32, len: usize) -> Vec<u8> {
    let mut frame = [&to[..], &from, &tags(notation), &ETHERTYPE, &number.to_be_bytes()].concat();
    frame.extend((frame.len()..len).map(|place| place as u8));
    frame
}

/// The number of a frame that [`build`] made, whatever its tags are now; `None` for others.
pub fn number(frame: &[u8]) -> Option<u32> {
    let rest = without_tags(frame)?;
    let rest = rest.strip_prefix(&ETHERTYPE)?;
    Some(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?))
}

/// Whether the octets behind a frame's number are in the order in which [`build`] put them.
pub fn is_whole(frame: &[u8]) -> bool {
    let rest = without_tags(frame).and_then(|rest| rest.get(6..)).unwrap_or_default();
    rest.is_sorted_by(|&one, &next| next == one.wrapping_add(1))
}

/// What is behind the addresses and tags.
pub fn without_tags(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame.get(ADDRESSES..)?;
    while let [0x81, 0x00, _, _, more @ ..] | [0x88, 0xa8, _, _, more @ ..] = rest {
        rest = more;
    }
    Some(rest)
}
