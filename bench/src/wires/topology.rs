//! What is between the tester and the system, by name.

use std::fmt;
use std::str::FromStr;

/// How the tester is connected, as `veth-vm-vhost` says it: its first port, VMs that hand frames on, its other port.
/// Of a mesh, whose ports are alike, `vhostx4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Topology {
    pub(crate) first: End,
    /// VMs between the first two ports, in a chain through the system.
    pub(crate) guests: u8,
    pub(crate) last: End,
    /// Ports of the tester: two, or so many that are alike, without VMs.
    ports: u8,
}

/// What a port of the tester is at the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    /// A vhost-user socket: the tester is a VM's front end.
    Vhost,
    /// A cable of the kernel's, which stands in for one between NICs.
    Veth,
    /// NICs of both sides, and a cable between them.
    Phy,
}

/// Ports of a mesh at most, VMs of a chain at most: DPDK of distributions has 32 ports, and a VM takes two.
const PORTS: std::ops::RangeInclusive<u8> = 2..=16;
const GUESTS: std::ops::RangeInclusive<u8> = 1..=14;

impl Topology {
    /// Two ports with nothing between them but the system.
    pub(crate) fn between(first: End, last: End) -> Self {
        Self { first, guests: 0, last, ports: 2 }
    }

    /// Ports of the tester.
    pub(crate) fn ports(self) -> u8 {
        self.ports
    }

    /// The same with so many ports, which have to be alike; `None` if it can't have them.
    pub(crate) fn with_ports(self, ports: u8) -> Option<Self> {
        let alike = self.first == self.last && self.guests == 0;
        (ports == self.ports || alike && PORTS.contains(&ports)).then_some(Self { ports, ..self })
    }

    /// The end of each of the tester's ports.
    pub(crate) fn ends(self) -> impl Iterator<Item = End> {
        (0..self.ports).map(move |port| if port == 0 { self.first } else { self.last })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vhost => "vhost",
            Self::Veth => "veth",
            Self::Phy => "phy",
        })
    }
}

impl FromStr for End {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Vhost, Self::Veth, Self::Phy].into_iter().find(|end| end.to_string() == text).ok_or(())
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, guests, last, ports } = self;
        match (guests, ports) {
            (0, 2) => write!(f, "{first}-{last}"),
            (0, _) => write!(f, "{first}x{ports}"),
            (1, _) => write!(f, "{first}-vm-{last}"),
            _ => write!(f, "{first}-vm{guests}-{last}"),
        }
    }
}

impl FromStr for Topology {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "no topology {text:?}: name the ends, as in vhost-vhost, veth-veth, phy-phy or phy-vhost; VMs between \
                 them, as in vhost-vm-vhost or phy-vm3-phy ({} at most); or ports that are alike, as in vhostx4 ({} \
                 at most)",
                GUESTS.end(),
                PORTS.end(),
            )
        };
        let end = |text: &str| text.parse::<End>().map_err(|()| refused());
        if let Some((name, ports)) = text.split_once('x') {
            let alike = Self::between(end(name)?, end(name)?);
            let ports = ports.parse().ok().and_then(|ports| alike.with_ports(ports));
            return ports.ok_or_else(refused);
        }
        match text.split('-').collect::<Vec<_>>()[..] {
            [first, last] => Ok(Self::between(end(first)?, end(last)?)),
            [first, guests, last] => {
                let guests = guests.strip_prefix("vm").ok_or_else(refused)?;
                let guests = if guests.is_empty() { Ok(1) } else { guests.parse() };
                let guests = guests.ok().filter(|guests| GUESTS.contains(guests)).ok_or_else(refused)?;
                Ok(Self { guests, ..Self::between(end(first)?, end(last)?) })
            }
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_it_all() {
        for name in [
            "vhost-vhost",
            "veth-veth",
            "phy-phy",
            "veth-vhost",
            "phy-vhost",
            "veth-vm-veth",
            "phy-vm-phy",
            "vhost-vm-vhost",
            "vhost-vm3-vhost",
            "vhostx4",
            "vethx8",
        ] {
            let topology: Topology = name.parse().unwrap();
            assert_eq!(topology.to_string(), name);
        }
        let topology: Topology = "veth-vm2-vhost".parse().unwrap();
        assert_eq!((topology.ports(), topology.guests), (2, 2));
        assert_eq!(topology.ends().collect::<Vec<_>>(), [End::Veth, End::Vhost]);
        let mesh: Topology = "vhostx4".parse().unwrap();
        assert_eq!(mesh.ends().collect::<Vec<_>>(), [End::Vhost; 4]);
        assert_eq!("vhostx2".parse::<Topology>().unwrap().to_string(), "vhost-vhost");
    }

    #[test]
    fn what_isnt_a_topology_is_refused_with_the_cure() {
        for name in [
            "",
            "vhost",
            "vhost-eth",
            "vhost-vm0-vhost",
            "vhost-vm15-vhost",
            "vhostx1",
            "vhostx17",
            "vhost-nm-vhost",
            "vhost-vm-vm-vhost",
            "vhost-vm+1-vhost2",
        ] {
            let refused = name.parse::<Topology>().unwrap_err();
            assert!(refused.contains("vhost-vm-vhost"), "{name}: {refused}");
        }
    }

    #[test]
    fn only_ports_that_are_alike_can_be_more() {
        let between: Topology = "vhost-vhost".parse().unwrap();
        assert_eq!(between.with_ports(4).unwrap().to_string(), "vhostx4");
        let mixed: Topology = "phy-vhost".parse().unwrap();
        assert_eq!(mixed.with_ports(4), None);
        assert_eq!(mixed.with_ports(2), Some(mixed));
    }
}
