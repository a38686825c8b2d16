//! Pollux between the load, as anyone would run it.

use std::fmt::Write;

use super::capture::TRUNK;
use super::scene::{PORTS, Scene, Stage, System};
use super::switch::Switch;
use crate::Result;
use crate::host::profile::{Limit, Profile};
use crate::host::{Pollux, Process};

/// Starts it; it forwards when this returns.
pub(super) fn start(system: System, stage: &Stage<'_>) -> Result<Pollux> {
    let pollux = Pollux::start(stage.pollux, stage.folder, &configuration(system, stage))?;
    if system == System::PolluxCapture {
        pollux.capture_received()?;
    }
    Ok(pollux)
}

/// A mirror of what both ports receive, to a port that takes everything.
fn mirror(system: System) -> Option<String> {
    let filter = match system {
        System::PolluxMirror => "",
        System::PolluxFilter => "filter = \"udp port 9 and greater 9000\"\n",
        _ => return None,
    };
    Some(format!(
        "\n[ports.copies]\ndevice = \"net_null0\"\nrx_ring = 64\ntx_ring = 64\n\
         \n[mirrors.received]\nfrom = {{ ports = [\"p0\", \"p1\"] }}\ndirection = \"rx\"\n\
         to = {{ port = \"copies\" }}\n{filter}"
    ))
}

impl Switch for Pollux {
    fn process(&self) -> &Process {
        Pollux::process(self)
    }

    fn sent(&mut self) -> Result<u64> {
        Pollux::sent(self, &PORTS)
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Pollux::stop(*self)
    }
}

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

fn configuration(system: System, stage: &Stage<'_>) -> String {
    // 2.4 KB an mbuf, and what DPDK needs besides.
    let memory_mib = 96 + stage.mbufs() / 400;
    // Room for every station, with some to spare.
    let stations = (4 * stage.pairs).max(131_072);
    let cores = match system {
        System::PolluxTwoWorkers => format!("{}, {}", stage.cpus.worker, stage.cpus.house),
        _ => stage.cpus.worker.to_string(),
    };
    let profile = profile(system);
    let mut text = format!(
        "[switch]\ncores = [{cores}]\nmemory = \"{memory_mib}MiB\"\n\n[fdb]\ncapacity = {stations}\n"
    );
    for (number, port) in PORTS.into_iter().enumerate() {
        let kind = match stage.scene {
            Scene::InProcess => format!("device = \"{}\"", stage.replay(number)),
            Scene::Vhost => {
                format!(
                    "vhost_user = {{ socket = \"{}\", role = \"server\" }}",
                    stage.sockets()[number].display()
                )
            }
        };
        // Writing to a string doesn't fail.
        let _ = write!(text, "\n[ports.{port}]\n{kind}\n");
        // What the replaying trunk takes in has the tag; what it sends gets one.
        if system == System::PolluxTags && number == TRUNK {
            text.push_str("vlan = { mode = \"trunk\", allowed = [1] }\n");
        }
        if let Some(profile) = &profile {
            let _ = writeln!(text, "qos = {{ profile = \"{}\", trust = \"pcp\" }}", profile.name);
        }
    }
    if let Some(profile) = profile {
        let _ = write!(text, "{profile}");
    }
    text.extend(mirror(system));
    text
}
