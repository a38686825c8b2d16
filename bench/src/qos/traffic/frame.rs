//! Frames that say when they were sent, and in which order.

use pollux_net::Mac;

/// Octets of the longest frame, without its check sequence.
pub(super) const LONGEST: usize = 1514;

/// The VLAN of all frames. They have a tag on their whole way, so that their length stays what it is.
const VID: u16 = 10;

/// Behind the addresses, a tag and an EtherType: a mark, the phase, the stream, the sequence number and the
/// moment of sending.
const TAG: usize = 12;
const ETHERTYPE: usize = 16;
const MARK: usize = 18;
const PHASE: usize = MARK + 4;
const STREAM: usize = PHASE + 4;
const SEQUENCE: usize = STREAM + 4;
const STAMP: usize = SEQUENCE + 8;
const LEN: usize = STAMP + 8;

const _: () = assert!(LEN <= 60, "the smallest frame holds what is read");

const MARK_OCTETS: [u8; 4] = *b"PLXq";

/// What a received frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) pcp: u8,
    pub(super) phase: u32,
    pub(super) stream: u32,
    pub(super) sequence: u64,
    pub(super) stamp: u64,
}

/// Who sends and receives at a port.
pub(super) fn station(port: u8) -> Mac {
    Mac::new([0x02, 0x51, 0x6f, 0x53, 0, port])
}

/// A frame as long as the longest; any shorter one is its beginning.
pub(super) fn template(from: Mac, to: Mac, pcp: u8, phase: u32, stream: u32) -> Vec<u8> {
    let mut frame = vec![0; LONGEST];
    let mut put = |at: usize, octets: &[u8]| frame[at..at + octets.len()].copy_from_slice(octets);
    put(0, &to.octets());
    put(6, &from.octets());
    put(TAG, &[0x81, 0x00]);
    put(TAG + 2, &(u16::from(pcp) << 13 | VID).to_be_bytes());
    // For experiments (IEEE 802).
    put(ETHERTYPE, &[0x88, 0xb5]);
    put(MARK, &MARK_OCTETS);
    put(PHASE, &phase.to_le_bytes());
    put(STREAM, &stream.to_le_bytes());
    frame
}

/// Gives a frame its place.
#[inline(always)]
pub(super) fn set_sequence(frame: &mut [u8], sequence: u64) {
    frame[SEQUENCE..SEQUENCE + 8].copy_from_slice(&sequence.to_le_bytes());
}

/// Writes the moment of sending.
#[inline(always)]
pub(super) fn set_stamp(frame: &mut [u8], cycles: u64) {
    frame[STAMP..STAMP + 8].copy_from_slice(&cycles.to_le_bytes());
}

/// Reads what a frame says of itself; `None` if it isn't one of ours, or came without its tag.
#[inline(always)]
pub(super) fn label(frame: &[u8]) -> Option<Label> {
    let head = frame.first_chunk::<LEN>()?;
    if head[TAG..TAG + 2] != [0x81, 0] || head[MARK..MARK + 4] != MARK_OCTETS {
        return None;
    }
    let word = |at: usize| head[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    let long = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    Some(Label {
        pcp: head[TAG + 2] >> 5,
        phase: word(PHASE)?,
        stream: word(STREAM)?,
        sequence: long(SEQUENCE)?,
        stamp: long(STAMP)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_carry_their_labels() {
        let mut frame = template(station(1), station(2), 6, 3, 9);
        set_sequence(&mut frame, u64::MAX - 1);
        set_stamp(&mut frame, 77);
        let expected = Label { pcp: 6, phase: 3, stream: 9, sequence: u64::MAX - 1, stamp: 77 };
        assert_eq!(label(&frame[..60]), Some(expected));
        assert_eq!(label(&frame[..30]), None);
        frame[TAG + 1] = 1;
        assert_eq!(label(&frame), None);
    }
}
