//! Capture files, as the replaying ports read them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::load::{FRAME_LEN, Load};
use crate::{BenchError, Result};

/// The port whose frames have a tag where one has.
pub(super) const TRUNK: usize = 1;

/// A tag of VLAN 1, as it stands in a frame.
const TAG: [u8; 4] = [0x81, 0, 0, 1];

/// Writes one file for each port into `folder`, with tags in the frames of [`TRUNK`] if `tagged`.
pub(super) fn write(load: &Load, folder: &Path, tagged: bool) -> Result<[PathBuf; 2]> {
    let file = |port: u8| -> Result<_> {
        let tag: &[u8] = if tagged && usize::from(port) == TRUNK { &TAG } else { &[] };
        let name = if tagged { "tagged" } else { "plain" };
        let path = folder.join(format!("{}-pairs-{name}-{port}.pcap", load.streams()));
        write_one(load, port, tag, &path).map_err(BenchError::file(&path))?;
        Ok(path)
    };
    Ok([file(0)?, file(1)?])
}

fn write_one(load: &Load, port: u8, tag: &[u8], path: &Path) -> std::io::Result<()> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const ETHERNET: u32 = 1;
    let mut file = BufWriter::new(File::create(path)?);
    // Magic, version 2.4, no time zone, no accuracy, frames of up to 65,535 octets.
    for field in [MAGIC, 4 << 16 | 2, 0, 0, 65_535, ETHERNET] {
        file.write_all(&field.to_ne_bytes())?;
    }
    for frame in load.frames(port) {
        // Seconds, microseconds, octets in the file, octets on the wire.
        let len = (FRAME_LEN + tag.len()) as u32;
        for field in [0, 0, len, len] {
            file.write_all(&field.to_ne_bytes())?;
        }
        let (addresses, rest) = frame.split_at(12);
        for part in [addresses, tag, rest] {
            file.write_all(part)?;
        }
    }
    file.flush()
}
