//! What carries frames between the tester and the system: cables, sockets, VMs that hand frames on.
//!
//! The order of starting is: wires, the system, then [`Wires::start_guests`] and the tester. The end of a system's
//! cable is in a network namespace where nothing else is, and the system runs there; all of it goes with [`Wires`].

mod guest;
mod topology;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::host::{Cable, Namespace};
use crate::systems::{self, Access, Memory, PortJob, PortKind};
use crate::tester::protocol::PortSetup;
use crate::{BenchError, Result};
use guest::{Guest, GuestPlan, virtio_user};
pub(crate) use topology::{End, Topology};

/// What is left open by a topology.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where sockets lie. Its path is short, as theirs must be.
    pub(crate) folder: PathBuf,
    /// Descriptors of every ring, a power of two.
    pub(crate) ring: u16,
    /// The largest frame, in octets with the check sequence.
    pub(crate) largest_frame: u16,
    /// What guests are to take.
    pub(crate) memory: Memory,
    /// Whether front ends make the sockets, which survive the system then. Where the system makes them it is found
    /// at once; else it looks for them once a second.
    pub(crate) front_ends_listen: bool,
    /// More device arguments of the tester's front ends, as in `packed_vq=1`.
    pub(crate) front_end: String,
    /// The CPUs of guests, in turn.
    pub(crate) guest_cpus: Vec<usize>,
    /// PCI addresses of NICs, the tester's and the system's, in the order of the ports that they are for.
    pub(crate) tester_nics: Vec<String>,
    pub(crate) system_nics: Vec<String>,
}

/// Wires that lie. Dropping them takes all away.
pub(crate) struct Wires {
    /// In the order of the topology.
    pub(crate) tester_ports: Vec<PortSetup>,
    /// The tester's, in the same order, then two for each guest. A chain is one by VLANs.
    pub(crate) system_ports: Vec<PortJob>,
    folder: PathBuf,
    guest_plans: Vec<GuestPlan>,
    guests: Vec<Guest>,
    /// Before their namespace, which goes in its own time.
    _cables: Vec<Cable>,
    namespace: Option<Namespace>,
}

/// The VLAN of a topology without guests, and the first of one with them.
const VLAN: u16 = 1;
const FIRST_OF_CHAIN: u16 = 101;

/// Lays wires.
pub(crate) fn lay(topology: Topology, options: &Options) -> Result<Wires> {
    options.check()?;
    let mut wires = Wires {
        tester_ports: Vec::new(),
        system_ports: Vec::new(),
        folder: options.folder.clone(),
        guest_plans: Vec::new(),
        guests: Vec::new(),
        _cables: Vec::new(),
        namespace: None,
    };
    let mut nics = options.tester_nics.iter().zip(&options.system_nics);
    for (number, end) in topology.ends().enumerate() {
        let (device, kind) = match end {
            End::Vhost => options.vhost(number),
            End::Veth => wires.veth(number, options)?,
            End::Phy => {
                let pair = nics.next().ok_or_else(|| {
                    let cure = "name one of the tester's and one of the system's for each phy";
                    BenchError::Unsupported(format!("{topology} needs more NICs: {cure}"))
                })?;
                (pair.0.clone(), PortKind::Device(pair.1.clone()))
            }
        };
        let ring = options.ring;
        wires.tester_ports.push(PortSetup { device, rx_ring: ring, tx_ring: ring });
        // The first port is at the beginning of a chain, the other at its end.
        let vlan = match (topology.guests, number) {
            (0, _) => VLAN,
            (_, 0) => FIRST_OF_CHAIN,
            (guests, _) => FIRST_OF_CHAIN + u16::from(guests),
        };
        wires.system_ports.push(options.port(format!("p{number}"), kind, vlan));
    }
    for number in 0..topology.guests {
        wires.plan_guest(number, options);
    }
    Ok(wires)
}

impl Options {
    fn check(&self) -> Result<()> {
        if !self.ring.is_power_of_two() || !(64..=4096).contains(&self.ring) {
            let what = format!("rings of {} descriptors: name a power of two from 64 to 4096", self.ring);
            return Err(BenchError::Input(what));
        }
        if !(64..=9216).contains(&self.largest_frame) {
            let what = format!("frames of {} octets: the largest are 64 to 9216", self.largest_frame);
            return Err(BenchError::Input(what));
        }
        Ok(())
    }

    fn port(&self, name: String, kind: PortKind, vlan: u16) -> PortJob {
        PortJob { name, kind, access: Access::Vlan(vlan), ring: self.ring, more_toml: String::new() }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The tester's device and the system's port at a socket.
    fn vhost(&self, number: usize) -> (String, PortKind) {
        let socket = self.socket(&format!("t{number}"));
        let station = [0xff, 0, number as u8];
        let mut device = virtio_user(number, &socket, self.ring, station, self.front_ends_listen);
        if !self.front_end.is_empty() {
            device.push(',');
            device.push_str(&self.front_end);
        }
        (device, PortKind::Vhost { socket, listens: !self.front_ends_listen })
    }
}

impl Wires {
    /// The namespace that the system is to run in, where its cables end.
    pub(crate) fn namespace(&self) -> Option<&Path> {
        self.namespace.as_ref().map(Namespace::file)
    }

    /// Starts the VMs that hand frames on, when the system runs.
    pub(crate) fn start_guests(&mut self) -> Result<()> {
        if !self.guests.is_empty() {
            return Ok(());
        }
        for plan in &self.guest_plans {
            let folder = self.folder.join(format!("vm{}", plan.number));
            std::fs::create_dir_all(&folder).map_err(BenchError::file(&folder))?;
            self.guests.push(Guest::start(plan, &folder)?);
        }
        Ok(())
    }

    /// Lays a cable; gives the tester's device and the system's port at its ends.
    fn veth(&mut self, number: usize, options: &Options) -> Result<(String, PortKind)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let namespace = match &mut self.namespace {
            Some(there) => there,
            none => none.insert(Namespace::new()?),
        };
        // As many as a run can have at once fit into the 15 characters of a name.
        let cable = NEXT.fetch_add(1, Ordering::Relaxed) % 1000;
        let (near, far) = (format!("plx{}c{cable}", std::process::id()), format!("c{number}"));
        let mtu = systems::mtu(options.largest_frame);
        self._cables.push(Cable::lay(&near, &far, namespace, mtu)?);
        namespace.ip(&["link", "set", &far, "arp", "off", "up"])?;
        let device = systems::interface(number, &near, options.ring, options.largest_frame);
        Ok((device, PortKind::Interface(far)))
    }

    /// A guest takes frames from the VLAN of its number in the chain to the next, and back.
    fn plan_guest(&mut self, number: u8, options: &Options) {
        let sockets = ["a", "b"].map(|side| options.socket(&format!("g{number}{side}")));
        for (side, socket) in sockets.iter().enumerate() {
            let name = format!("g{number}{}", ["a", "b"][side]);
            let listens = !options.front_ends_listen;
            let kind = PortKind::Vhost { socket: socket.clone(), listens };
            let vlan = FIRST_OF_CHAIN + u16::from(number) + side as u16;
            self.system_ports.push(options.port(name, kind, vlan));
        }
        let cpus = &options.guest_cpus;
        self.guest_plans.push(GuestPlan {
            number,
            sockets,
            listens: options.front_ends_listen,
            ring: options.ring,
            largest_frame: options.largest_frame,
            memory: options.memory,
            cpu: cpus.get(usize::from(number) % cpus.len().max(1)).copied().unwrap_or(0),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> Options {
        Options {
            folder: folder.to_owned(),
            ring: 256,
            largest_frame: 1518,
            memory: Memory::Ordinary,
            front_ends_listen: true,
            front_end: String::new(),
            guest_cpus: vec![0],
            tester_nics: vec!["0000:03:00.0".to_owned(), "0000:03:00.1".to_owned()],
            system_nics: vec!["0000:04:00.0".to_owned(), "0000:04:00.1".to_owned()],
        }
    }

    #[test]
    fn sockets_have_two_sides_of_which_one_listens() {
        let mut options = options(Path::new("/s"));
        options.front_end = "packed_vq=1".to_owned();
        let wires = lay("vhostx3".parse().unwrap(), &options).unwrap();
        assert_eq!((wires.tester_ports.len(), wires.system_ports.len()), (3, 3));
        let device =
            "net_virtio_user2,path=/s/t2,queues=1,queue_size=256,mac=02:ff:ff:ff:00:02,server=1,packed_vq=1";
        assert_eq!(wires.tester_ports[2].device, device);
        assert_eq!(wires.system_ports[2].kind, PortKind::Vhost { socket: "/s/t2".into(), listens: false });
        assert!(wires.namespace().is_none());
        options.front_ends_listen = false;
        let wires = lay("vhost-vhost".parse().unwrap(), &options).unwrap();
        assert!(wires.tester_ports[0].device.contains(",server=0,"));
        assert!(matches!(wires.system_ports[0].kind, PortKind::Vhost { listens: true, .. }));
    }

    #[test]
    fn a_chain_is_one_by_vlans() {
        let wires = lay("phy-vm2-vhost".parse().unwrap(), &options(Path::new("/s"))).unwrap();
        let ports = wires.system_ports.iter().map(|port| (port.name.as_str(), port.access.vid()));
        let chain = [("p0", 101), ("p1", 103), ("g0a", 101), ("g0b", 102), ("g1a", 102), ("g1b", 103)];
        assert_eq!(ports.collect::<Vec<_>>(), chain);
        assert_eq!(wires.tester_ports[0].device, "0000:03:00.0");
        assert_eq!(wires.system_ports[0].kind, PortKind::Device("0000:04:00.0".to_owned()));
        assert_eq!(wires.guest_plans[1].sockets, [PathBuf::from("/s/g1a"), PathBuf::from("/s/g1b")]);
    }

    #[test]
    fn nics_that_arent_named_are_missed() {
        let options = Options { system_nics: Vec::new(), ..options(Path::new("/s")) };
        let Err(error) = lay("phy-phy".parse().unwrap(), &options) else { panic!("without NICs") };
        assert!(error.to_string().contains("phy-phy needs more NICs"), "{error}");
        let Err(error) = lay("vhost-vhost".parse().unwrap(), &Options { ring: 100, ..options }) else {
            panic!("a ring that is no power of two")
        };
        assert!(error.to_string().contains("power of two"), "{error}");
    }

    #[test]
    fn cables_end_where_the_system_runs() {
        let wires = lay("veth-veth".parse().unwrap(), &options(Path::new("/s"))).unwrap();
        let namespace = wires.namespace.as_ref().unwrap();
        let links = namespace.ip(&["-o", "link"]).unwrap();
        assert!(links.contains("c0@") && links.contains("c1@"), "{links}");
        let device = &wires.tester_ports[0].device;
        let near = device.split("iface=").nth(1).unwrap().split(',').next().unwrap().to_owned();
        let here = Path::new("/sys/class/net").join(near);
        assert!(here.exists());
        drop(wires);
        assert!(!here.exists());
    }
}
