//! A system under test, started: what is the same for all is the lab's, and this tells it what is not.

use std::path::Path;

use super::capture::TRUNK;
use super::scene::{PORTS, Scene, Stage, System};
use crate::Result;
use crate::host::profile::{Limit, Profile};
use crate::systems::{self, Access, Job, Kind, Memory, Pollux, PortJob, PortKind};

/// More stations than any load has: by default Open vSwitch's table ends at 8,192, and frames beyond are flooded
/// one by one.
const OVS_STATIONS: u32 = 1_000_000;

/// Starts a system. It forwards, or is about to, when this returns.
pub(super) fn start(system: System, stage: &Stage<'_>) -> Result<Box<dyn systems::System>> {
    let job = job(system, stage);
    if system != System::PolluxCapture {
        return systems::start(kind(system), &job, stage.folder);
    }
    let pollux = Pollux::start(&job, stage.folder)?;
    pollux.capture_received()?;
    Ok(Box::new(pollux))
}

/// What is installed of a system, or an error with the cure.
pub(super) fn version(system: System, pollux: &Path) -> Result<String> {
    systems::version(kind(system), pollux)
}

fn kind(system: System) -> Kind {
    match system {
        System::Pollux
        | System::PolluxTags
        | System::PolluxTwoWorkers
        | System::PolluxProfile
        | System::PolluxScheduled
        | System::PolluxFilter
        | System::PolluxMirror
        | System::PolluxCapture => Kind::Pollux,
        System::TestpmdIo => Kind::TestpmdIo,
        System::TestpmdMac => Kind::TestpmdMac,
        System::Ovs => Kind::Ovs,
    }
}

fn job(system: System, stage: &Stage<'_>) -> Job {
    let profile = profile(system);
    let port = |(number, name): (usize, &str)| PortJob {
        name: name.to_owned(),
        kind: match stage.scene {
            Scene::InProcess => PortKind::Device(stage.replay(number)),
            Scene::Vhost => PortKind::Vhost { socket: stage.sockets()[number].clone(), listens: true },
        },
        // What the replaying trunk takes in has the tag; what it sends gets one.
        access: match system == System::PolluxTags && number == TRUNK {
            true => Access::Tagged(1),
            false => Access::Vlan(1),
        },
        ring: RING,
        more_toml: profile.as_ref().map_or_else(String::new, |profile| {
            format!("qos = {{ profile = \"{}\", trust = \"pcp\" }}\n", profile.name)
        }),
    };
    Job {
        ports: PORTS.into_iter().enumerate().map(port).collect(),
        worker_cpus: system.polling_cpus(stage.cpus),
        house_cpu: stage.cpus.house,
        memory: Memory::Hugepages,
        largest_frame: 1518,
        // Room for every station, with some to spare.
        fdb_capacity: match system {
            System::Ovs => OVS_STATIONS,
            _ => (4 * stage.pairs).max(131_072),
        },
        ageing_seconds: 300,
        pollux: stage.pollux.to_owned(),
        more_toml: more_toml(system, profile.as_ref()),
        ovs_flow_limit: stage.ovs_flow_limit,
        namespace: None,
        // The load isn't either.
        favoured: false,
        kept_mbufs: stage.kept_mbufs(),
    }
}

/// Descriptors of a replaying port's rings, which it has in name only.
const RING: u16 = 512;

/// A shaper far above any load: frames go through the queues, and none waits for it.
const FAR_ABOVE: Limit = Limit { rate: 100e9, burst: 16 << 20 };

/// The profile of both ports.
fn profile(system: System) -> Option<Profile> {
    match system {
        System::PolluxProfile => Some(Profile::strict("bench")),
        System::PolluxScheduled => Some(Profile { egress_rate: Some(FAR_ABOVE), ..Profile::strict("bench") }),
        _ => None,
    }
}

/// What the file has besides ports: their profile, or a mirror of what both receive, to a port that takes
/// everything.
fn more_toml(system: System, profile: Option<&Profile>) -> String {
    let filter = match system {
        System::PolluxMirror => "",
        System::PolluxFilter => "filter = \"udp port 9 and greater 9000\"\n",
        _ => return profile.map(Profile::to_string).unwrap_or_default(),
    };
    format!(
        "[ports.copies]\ndevice = \"net_null0\"\nrx_ring = 64\ntx_ring = 64\n\
         \n[mirrors.received]\nfrom = {{ ports = [\"p0\", \"p1\"] }}\ndirection = \"rx\"\n\
         to = {{ port = \"copies\" }}\n{filter}"
    )
}
