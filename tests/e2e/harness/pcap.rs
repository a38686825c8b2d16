//! Capture files, for ports that read and write them.

use std::path::Path;

const HEADER: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65535, 1];

/// Writes a file with these frames.
pub fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut octets: Vec<u8> = HEADER.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for frame in frames {
        let len = frame.len() as u32;
        octets.extend([0, 0, len, len].iter().flat_map(|word| word.to_ne_bytes()));
        octets.extend(frame);
    }
    std::fs::write(path, octets).unwrap();
}

/// The frames of a file.
pub fn read(path: &Path) -> Vec<Vec<u8>> {
    let octets = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = octets.get(HEADER.len() * 4..).expect("a capture file has a header");
    let mut frames = Vec::new();
    while let Some((record, more)) = rest.split_at_checked(16) {
        let len = u32::from_ne_bytes(record[8..12].try_into().unwrap()) as usize;
        let (frame, more) = more.split_at(len);
        frames.push(frame.to_vec());
        rest = more;
    }
    frames
}

/// The device arguments of port `number` that receives the frames of `from` and sends to `to`, a queue
/// for each pair of files.
pub fn device(number: usize, files: &[(&Path, &Path)]) -> String {
    let queues =
        files.iter().map(|(from, to)| format!(",rx_pcap={},tx_pcap={}", from.display(), to.display()));
    format!("net_pcap{number}{}", queues.collect::<String>())
}
