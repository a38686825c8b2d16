//! Capture files, as the replaying ports read them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::load::{FRAME_LEN, Load};
use crate::{BenchError, Result};

/// Writes one file for each port into `folder`.
pub(super) fn write(load: &Load, folder: &Path) -> Result<[PathBuf; 2]> {
    let file = |port: u8| -> Result<_> {
        let path = folder.join(format!("{}-pairs-{port}.pcap", load.streams()));
        write_one(load, port, &path).map_err(BenchError::file(&path))?;
        Ok(path)
    };
    Ok([file(0)?, file(1)?])
}

fn write_one(load: &Load, port: u8, path: &Path) -> std::io::Result<()> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const ETHERNET: u32 = 1;
    let mut file = BufWriter::new(File::create(path)?);
    // Magic, version 2.4, no time zone, no accuracy, frames of up to 65,535 octets.
    for field in [MAGIC, 4 << 16 | 2, 0, 0, 65_535, ETHERNET] {
        file.write_all(&field.to_ne_bytes())?;
    }
    for frame in load.frames(port) {
        // Seconds, microseconds, octets in the file, octets on the wire.
        for field in [0, 0, FRAME_LEN as u32, FRAME_LEN as u32] {
            file.write_all(&field.to_ne_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}
