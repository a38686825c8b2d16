//! What each running VM negotiated, in a file beside its socket.
//!
//! QEMU goes on with what its guest once agreed to: a switch that is started again and offers less, as its
//! file or its DPDK has changed, would be refused by a VM that runs on. So the same is offered again.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The record of the VM behind one socket.
#[derive(Debug)]
pub(super) struct Negotiated {
    file: PathBuf,
    /// What the file says, 0 if there is none.
    features: u64,
    /// Whether the VM has been seen: until then it may still come back to what the file says.
    seen: bool,
}

impl Negotiated {
    /// The record of the VM behind `socket`, as it was left.
    pub(super) fn of(socket: &Path) -> Self {
        let mut file = OsString::from(socket);
        file.push(".features");
        let file = PathBuf::from(file);
        let features = match fs::read_to_string(&file) {
            Ok(text) => u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap_or_else(|_| {
                tracing::warn!("{}: not a set of features; ignored", file.display());
                0
            }),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!("{}: can't be read: {error}; the VM may be offered less", file.display());
                }
                0
            }
        };
        Self { file, features, seen: false }
    }

    /// The features, virtio's bits; 0 if no VM ran.
    pub(super) fn features(&self) -> u64 {
        self.features
    }

    /// Takes note of what the VM negotiated, `None` where none runs.
    pub(super) fn note(&mut self, features: Option<u64>) {
        self.seen |= features.is_some();
        let features = features.unwrap_or(0);
        if !self.seen || features == self.features {
            return;
        }
        self.features = features;
        if let Err(error) = self.write() {
            let file = self.file.display();
            tracing::warn!(
                "{file}: {error}; make its folder writable for the switch, so that VMs find the same features \
                 after a restart"
            );
        }
    }

    /// All at once, as this process may end at any time.
    fn write(&self) -> io::Result<()> {
        if self.features == 0 {
            return match fs::remove_file(&self.file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let fresh = self.file.with_extension("features.new");
        fs::write(&fresh, format!("{:#x}\n", self.features))?;
        fs::rename(&fresh, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_vms_features_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("vm1.sock");
        let mut negotiated = Negotiated::of(&socket);
        assert_eq!(negotiated.features(), 0);
        negotiated.note(None);
        negotiated.note(Some(0x1_3000_8001));
        let mut restarted = Negotiated::of(&socket);
        restarted.note(None);
        assert_eq!(restarted.features(), 0x1_3000_8001, "it isn't back yet");
        assert_eq!(Negotiated::of(&socket).features(), 0x1_3000_8001);
        negotiated.note(Some(0x1));
        assert_eq!(Negotiated::of(&socket).features(), 1);
        negotiated.note(None);
        assert_eq!(Negotiated::of(&socket).features(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_record_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("vm1.sock");
        for text in ["", "everything", "0x", "0x1ffffffffffffffff", "-1"] {
            fs::write(folder.path().join("vm1.sock.features"), text).unwrap();
            assert_eq!(Negotiated::of(&socket).features(), 0, "{text}");
        }
    }
}
