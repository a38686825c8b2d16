//! A VM that hands frames on: testpmd on two virtio devices, without the VM.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::host::{Process, keep_runtime_files};
use crate::systems::{DATA_ROOM, EAL, HEADROOM, Memory, TESTPMD, pool_mib};

/// MiB of ordinary memory beside the mbufs.
const ORDINARY_MIB: u32 = 64;

/// What a guest is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GuestPlan {
    /// Which of a chain, from 0.
    pub(super) number: u8,
    /// Of its two devices.
    pub(super) sockets: [PathBuf; 2],
    /// Whether it makes them, or the system does.
    pub(super) listens: bool,
    pub(super) ring: u16,
    pub(super) largest_frame: u16,
    pub(super) memory: Memory,
    /// Manages and polls.
    pub(super) cpu: usize,
}

/// A guest that runs. Dropping it ends it.
pub(super) struct Guest {
    _process: Process,
}

impl Guest {
    /// Starts it; it hands frames on, as they are, when this returns. If it listens, that takes a system that
    /// connects.
    pub(super) fn start(plan: &GuestPlan, folder: &Path) -> Result<Self> {
        let mut process =
            Process::start(&format!("VM {}", plan.number + 1), Path::new("stdbuf"), |command| {
                keep_runtime_files(command, folder);
                // It would keep what it says to itself until there is a page of it.
                command.args(["--output=L", TESTPMD]).args(plan.arguments());
            })?;
        let forwards = |line: &str| line.contains("io packet forwarding - ports=2").then_some(());
        process.wait_for("forwarding", Duration::from_secs(30), forwards)?;
        Ok(Self { _process: process })
    }
}

impl GuestPlan {
    fn arguments(&self) -> Vec<String> {
        let room = self.largest_frame.max(DATA_ROOM);
        let mbuf = room + HEADROOM;
        let mbufs = 4096 + 4 * u32::from(self.ring);
        let mut words = match self.memory {
            // So that the back end gets a few large pieces of memory, and not one for each hugepage.
            Memory::Hugepages => {
                let shared = EAL.into_iter().chain(["--single-file-segments"]);
                shared.map(str::to_owned).collect()
            }
            Memory::Ordinary => {
                let mib = ORDINARY_MIB + pool_mib(mbufs, mbuf.into());
                // Memory can be shared with the back end only if it is a file's.
                let words = ["--no-huge", "-m", &mib.to_string(), "--no-telemetry"];
                words.map(str::to_owned).to_vec()
            }
        };
        words.push(format!("--file-prefix=vm{}", self.number));
        words.extend(["--no-pci", "--lcores"].map(str::to_owned));
        words.extend([format!("0@{cpu},1@{cpu}", cpu = self.cpu), "--main-lcore".to_owned(), "0".to_owned()]);
        for (device, socket) in self.sockets.iter().enumerate() {
            words.push("--vdev".to_owned());
            words.push(virtio_user(
                device,
                socket,
                self.ring,
                [0xfe, self.number, device as u8],
                self.listens,
            ));
        }
        words.extend(["--", "-i", "--auto-start", "--nb-cores=1", "--forward-mode=io"].map(str::to_owned));
        words.push(format!("--total-num-mbufs={mbufs}"));
        words.push(format!("--mbuf-size={mbuf}"));
        words.extend([format!("--rxd={}", self.ring), format!("--txd={}", self.ring)]);
        words
    }
}

/// A front end's device with one queue each way: `number` tells those of a process apart, and its address ends in
/// `station`.
pub(super) fn virtio_user(
    number: usize,
    socket: &Path,
    ring: u16,
    station: [u8; 3],
    listens: bool,
) -> String {
    let [a, b, c] = station;
    format!(
        "net_virtio_user{number},path={},queues=1,queue_size={ring},mac=02:ff:ff:{a:02x}:{b:02x}:{c:02x},server={}",
        socket.display(),
        u8::from(listens),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_two_devices_and_room_for_the_largest_frame() {
        let plan = GuestPlan {
            number: 3,
            sockets: ["/s/g3a".into(), "/s/g3b".into()],
            listens: true,
            ring: 256,
            largest_frame: 9000,
            memory: Memory::Ordinary,
            cpu: 5,
        };
        let text = plan.arguments().join(" ");
        let first = "net_virtio_user0,path=/s/g3a,queues=1,queue_size=256,mac=02:ff:ff:fe:03:00,server=1";
        assert!(text.contains(first), "{text}");
        assert!(text.contains("net_virtio_user1,path=/s/g3b"), "{text}");
        assert!(text.contains("--mbuf-size=9128") && text.contains("0@5,1@5"), "{text}");
        assert!(text.contains("--no-huge") && !text.contains("--in-memory"), "{text}");
    }
}
