//! A network namespace that ends with the run, and cables into it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Process, output};
use crate::Result;

/// The namespace's own words would look like somebody's traffic, so there is no IPv6 in it (a kernel without has
/// no such files). It lasts as long as its first process, which lasts as long as its input.
const KEEPER: &str = "for of in all default; do \
     echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/$of/disable_ipv6 || true; done 2>/dev/null; \
     echo ready; exec cat";

/// `/sys` shows the interfaces of the namespace that it was mounted in.
const WITH_ITS_SYSFS: &str = r#"mount -t sysfs sysfs /sys && exec "$0" "$@""#;

/// Offloads that an end of a cable may not use: frames cross it as they are written, so nothing may be left for a
/// NIC to do.
const OFFLOADS: [&str; 4] = ["tx", "tso", "gso", "gro"];

/// A network namespace without a name. It goes with this value, or with this process, and all that is in it.
pub(crate) struct Namespace {
    _keeper: Process,
    file: PathBuf,
}

impl Namespace {
    pub(crate) fn new() -> Result<Self> {
        let mut keeper = Process::start("a network namespace", Path::new("unshare"), |command| {
            command.args(["--net", "--", "sh", "-c", KEEPER]);
        })?;
        let made = |line: &str| (line == "ready").then_some(());
        keeper.wait_for("the line that says it is there", Duration::from_secs(10), made)?;
        let file = PathBuf::from(format!("/proc/{}/ns/net", keeper.id()));
        Ok(Self { _keeper: keeper, file })
    }

    /// What it is entered by.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// `ip` in this namespace.
    pub(crate) fn ip(&self, words: &[&str]) -> Result<String> {
        output(command_in(Some(&self.file), Path::new("ip")).args(words))
    }
}

/// Where a process runs, and how much it counts there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The network namespace, as a file; `None`: ours.
    pub(crate) namespace: Option<&'a Path>,
    /// Whether it goes before ordinary processes, as a tester does.
    pub(crate) favoured: bool,
}

impl<'a> Place<'a> {
    pub(crate) fn namespace(namespace: &'a Path) -> Self {
        Self { namespace: Some(namespace), favoured: false }
    }
}

/// A program in a namespace, or in ours. Should we be killed, the system kills it: a namespace lasts as long as
/// anybody is in it.
pub(crate) fn command_in(namespace: Option<&Path>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command.args(words(Place { namespace, favoured: false }, program));
    command
}

/// The words that start a program there: the same process all the way.
pub(super) fn words(place: Place<'_>, program: &Path) -> Vec<OsString> {
    let mut words = Vec::new();
    if place.favoured {
        words.extend(["nice", "-n", "-20"].map(OsString::from));
    }
    if let Some(namespace) = place.namespace {
        let mut net = OsString::from("--net=");
        net.push(namespace);
        words.extend(["nsenter".into(), net]);
        words.extend(["--", "unshare", "--mount", "--", "sh", "-c", WITH_ITS_SYSFS].map(OsString::from));
    }
    words.push(program.into());
    words
}

/// A cable from this namespace into another. Dropping it removes it.
pub(crate) struct Cable {
    near: String,
}

impl Cable {
    /// Lays a cable that carries packets of `mtu` octets from the new interface `near` to the new interface
    /// `far` of `namespace`. The near end is up, and neither end says anything of its own.
    pub(crate) fn lay(near: &str, far: &str, namespace: &Namespace, mtu: u16) -> Result<Self> {
        // The guard first: what fails below is taken back, as far as it came.
        let cable = Self { near: near.to_owned() };
        let [number, peer_number, mtu] =
            [interface_number(), interface_number(), mtu.into()].map(|number: u32| number.to_string());
        let file = namespace.file.display().to_string();
        let near_end = ["link", "add", near, "index", &number, "mtu", &mtu, "type", "veth"];
        let far_end = ["peer", "name", far, "index", &peer_number, "mtu", &mtu, "netns", &file];
        ip(&[&near_end[..], &far_end[..]].concat())?;
        // There is no such file without IPv6.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{near}/disable_ipv6"), "1");
        for (place, end) in [(None, near), (Some(namespace.file()), far)] {
            let mut ethtool = command_in(place, Path::new("ethtool"));
            output(ethtool.args(["-K", end]).args(OFFLOADS.iter().flat_map(|offload| [offload, "off"])))?;
        }
        ip(&["link", "set", near, "arp", "off", "up"])?;
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // It is missing if it was never laid.
        let _ = ip(&["link", "del", &self.near]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    output(Command::new("ip").args(words)).map(drop)
}

/// The number of an end of a cable. DPDK's packet sockets join a group, one for all of a namespace, whose 16 bits
/// are the exclusive or of the process's and the interface's numbers, and which refuses sockets of another
/// interface; so each end of each run has its own.
fn interface_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    numbered(std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn numbered(process: u32, end: u32) -> u32 {
    const ENDS: u32 = 64;
    let group = process.wrapping_mul(ENDS).wrapping_add(end % ENDS);
    let high = 1 + process % 0x7ffe;
    high << 16 | (group ^ process) & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_a_run_are_apart_and_fit() {
        let process = 4_194_304;
        assert_ne!(numbered(process, 0), numbered(process, 1));
        assert!(i32::try_from(numbered(process, 1)).is_ok());
        assert_eq!(numbered(7, 0), numbered(7, 64));
    }

    #[test]
    fn a_cable_leads_into_a_namespace_and_both_go() {
        let name = format!("plxcab{}", std::process::id());
        let namespace = Namespace::new().unwrap();
        let cable = Cable::lay(&name, "far0", &namespace, 9000).unwrap();
        let here = Path::new("/sys/class/net").join(&name);
        assert!(here.exists());
        let there = namespace.ip(&["-o", "link"]).unwrap();
        assert!(there.contains("far0") && there.contains("mtu 9000"), "{there}");
        // Its /sys is its own.
        let mut list = command_in(Some(namespace.file()), Path::new("ls"));
        let listed = output(list.arg("/sys/class/net")).unwrap();
        assert!(listed.contains("far0") && !listed.contains(&name), "{listed}");
        let keeper = PathBuf::from(format!("/proc/{}", namespace._keeper.id()));
        drop(cable);
        assert!(!here.exists());
        assert!(keeper.exists());
        drop(namespace);
        assert!(!keeper.exists());
    }
}
