//! Frames as octets.

pub(crate) const C_TAG: u16 = 0x8100;
pub(crate) const S_TAG: u16 = 0x88a8;

/// Octets that an MTU doesn't count: addresses, EtherType and two tags.
pub(crate) const MTU_ALLOWANCE: usize = 6 + 6 + 2 + 4 + 4;

/// A tag's four octets, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireTag {
    pub(crate) tpid: u16,
    pub(crate) pcp: u8,
    pub(crate) dei: bool,
    pub(crate) vid: u16,
}

impl WireTag {
    fn octets(self) -> [u8; 4] {
        let high_vid = (self.vid / 256) as u8;
        let low_vid = (self.vid % 256) as u8;
        let high_tpid = (self.tpid / 256) as u8;
        let low_tpid = (self.tpid % 256) as u8;
        let dei = if self.dei { 16 } else { 0 };
        [high_tpid, low_tpid, self.pcp * 32 + dei + high_vid, low_vid]
    }
}

fn number(high: u8, low: u8) -> u16 {
    u16::from(high) * 256 + u16::from(low)
}

pub(crate) fn destination(frame: &[u8]) -> [u8; 6] {
    let mut address = [0; 6];
    address.copy_from_slice(&frame[0..6]);
    address
}

pub(crate) fn source(frame: &[u8]) -> [u8; 6] {
    let mut address = [0; 6];
    address.copy_from_slice(&frame[6..12]);
    address
}

pub(crate) fn is_group(address: [u8; 6]) -> bool {
    address[0] % 2 == 1
}

/// Whether octets 12 and 13 say that a tag follows, whole or not.
pub(crate) fn announces_tag(frame: &[u8]) -> bool {
    frame.len() >= 14 && [C_TAG, S_TAG].contains(&number(frame[12], frame[13]))
}

/// The outer tag, where the frame has it and the EtherType behind it.
pub(crate) fn outer_tag(frame: &[u8]) -> Option<WireTag> {
    if frame.len() < 18 || !announces_tag(frame) {
        return None;
    }
    let control = frame[14];
    Some(WireTag {
        tpid: number(frame[12], frame[13]),
        pcp: control / 32,
        dei: control / 16 % 2 == 1,
        vid: number(control % 16, frame[15]),
    })
}

/// The frame without the four octets of its outer tag.
pub(crate) fn without_tag(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &frame[16..]].concat()
}

/// The frame with `tag` behind its addresses.
pub(crate) fn with_tag(frame: &[u8], tag: WireTag) -> Vec<u8> {
    [&frame[..12], &tag.octets(), &frame[12..]].concat()
}
