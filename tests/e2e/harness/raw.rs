use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{Namespace, PATIENCE};

/// Frames of an interface as they are. The kernel takes the outer tag off those it receives.
pub struct RawSocket(OwnedFd);

impl RawSocket {
    pub fn open(namespace: &Namespace, interface: &str) -> Self {
        namespace.inside(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
            let addresses = getifaddrs().unwrap().filter(|address| address.interface_name == interface);
            let address = addresses.filter_map(|address| address.address?.as_link_addr().copied()).next();
            let address = address.unwrap_or_else(|| panic!("no interface {interface}"));
            // The address names no protocol: the socket keeps the one it was made with.
            bind(fd.as_raw_fd(), &address).unwrap();
            setsockopt(&fd, RcvBufForce, &(8 << 20)).unwrap();
            setsockopt(&fd, ReceiveTimeout, &TimeVal::milliseconds(20)).unwrap();
            Self(fd)
        })
    }

    pub fn send(&self, frame: &[u8]) {
        let sent = send(self.0.as_raw_fd(), frame, MsgFlags::empty()).expect("the interface takes frames");
        assert_eq!(sent, frame.len());
    }

    /// The next frame, if one comes within 20 ms.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 1 << 16];
        match recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(len) => {
                frame.truncate(len);
                Some(frame)
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => None,
            Err(error) => panic!("receiving: {error}"),
        }
    }

    /// Receives until `wanted` takes one; returns that one, and how many others came before it.
    pub fn receive_until(&self, what: &str, mut wanted: impl FnMut(&[u8]) -> bool) -> (Vec<u8>, usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut others = 0;
        while Instant::now() < deadline {
            match self.receive() {
                Some(frame) if wanted(&frame) => return (frame, others),
                Some(_) => others += 1,
                None => {}
            }
        }
        panic!("waited in vain for {what}");
    }

    /// All frames that are there, and those that come until none does for `quiet`.
    pub fn drain(&self, quiet: Duration) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < quiet {
            if let Some(frame) = self.receive() {
                frames.push(frame);
                last = Instant::now();
            }
        }
        frames
    }
}
