//! Whoever started the switch and wants to hear of it: systemd, by the protocol of sd_notify(3). Without it
//! nothing is said.

use std::ffi::OsStr;
use std::io::Result;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::control::Switch;

/// What the supervisor is told.
pub(super) struct Supervisor {
    /// How often it wants to hear that the switch goes on. `None`: never.
    interval: Option<Duration>,
    next: Instant,
}

impl Supervisor {
    /// The one that the environment names.
    pub(super) fn of_environment() -> Self {
        // Thrice as often as it must be: a message may be late.
        let interval = sd_notify::watchdog_enabled().map(|longest| longest / 3);
        Self { interval, next: Instant::now() }
    }

    /// All workers poll.
    pub(super) fn ready(&self, switch: &Switch) {
        tell(&[NotifyState::Ready, NotifyState::Status(&status(switch))]);
    }

    /// The file is being read again; [`ready`](Self::ready) tells that it was.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// Something happened to the ports.
    pub(super) fn changed(&self, switch: &Switch) {
        tell(&[NotifyState::Status(&status(switch))]);
    }

    /// The control thread goes on. What the supervisor hears of it depends on the workers.
    pub(super) fn go_on(&mut self, switch: &Switch) {
        let now = Instant::now();
        if let Some(interval) = self.interval.filter(|_| now >= self.next && switch.is_healthy()) {
            self.next = now + interval;
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// The switch was told to stop.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }
}

fn status(switch: &Switch) -> String {
    let (ports, up) = switch.links();
    format!("{ports} ports, {up} with a link; {} workers", switch.workers())
}

fn tell(state: &[NotifyState<'_>]) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let words: String = state.iter().map(|state| format!("{state}\n")).collect();
    if let Err(error) = send(&name, &words) {
        tracing::debug!("the supervisor doesn't hear: {error}");
    }
}

/// Without waiting: a supervisor that is stuck must not have the switch stuck too.
fn send(name: &OsStr, words: &str) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address(name)?)?;
    socket.send(words.as_bytes()).map(|_| ())
}

/// An `@` stands before a name that is no file's.
fn address(name: &OsStr) -> Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_paths_and_by_abstract_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").into_os_string();
        let name = format!("@pollux-test-{}", std::process::id()).into();
        for of in [path, name] {
            let supervisor = UnixDatagram::bind_addr(&address(&of).unwrap()).unwrap();
            send(&of, "READY=1\n").unwrap();
            let mut heard = [0; 32];
            let octets = supervisor.recv(&mut heard).unwrap();
            assert_eq!(heard[..octets], *b"READY=1\n");
        }
    }
}
