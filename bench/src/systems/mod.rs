//! Devices under test: switches that are started and stopped here, privately, each given the same job.
//!
//! Each is in a folder of its own, and where it has interfaces in a network namespace of its own. Processes end with
//! the run, however it ends, and what the kernel made for them with the namespace.

mod bridge;
mod dpdk;
mod external;
mod job;
mod ovs;
mod pollux;
mod testpmd;

pub(crate) use dpdk::{EAL, interface, pool_mib};
pub(crate) use job::{Access, Job, Memory, PortJob, PortKind, mtu};
pub(crate) use pollux::Pollux;
pub(crate) use testpmd::{DATA_ROOM, HEADROOM, PROGRAM as TESTPMD};

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{cpu, output};
use crate::{BenchError, Result};

/// Who is measured.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The switch of this binary
    Pollux,
    /// testpmd, which hands every frame to the other port as it is
    TestpmdIo,
    /// testpmd, which also rewrites the addresses
    TestpmdMac,
    /// Open vSwitch with DPDK, as a learning switch
    Ovs,
    /// The Linux kernel's bridge
    Bridge,
    /// A device that runs already, and is neither started nor stopped here
    External,
}

/// A device under test that runs. Dropping it ends it, and removes what it left.
pub(crate) trait System {
    /// What it counts of each port of the job, in the job's order.
    fn counters(&mut self) -> Result<Vec<PortCounters>>;

    /// How long what polls for it has run, over all its workers, where that can be known.
    fn worker_time(&self) -> Result<Option<Duration>>;

    /// The threads that poll for it, in the order of the job's CPUs; none where that is the kernel's work, or not
    /// known.
    fn workers(&self) -> Result<Vec<u32>>;

    /// Ends it as a crash would (SIGKILL), and starts it anew with the same job; returns when it is started, not when
    /// it forwards. [`BenchError::Unsupported`] where there is nothing to kill.
    fn crash_and_start(&mut self) -> Result<()>;

    /// Ends it in order, and starts it anew with the same job. [`BenchError::Unsupported`] where that isn't ours to do.
    fn restart(&mut self) -> Result<()>;

    /// Who changes it while it runs, if it can be changed.
    fn control(&mut self) -> Option<Box<dyn Control>>;

    /// What was set, as (what, value), for the record.
    fn settings(&self) -> Vec<(String, String)>;

    /// Ends it in order. Frames that it can't account for are an error.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// Changes of a system that runs, from a thread of their own.
pub(crate) trait Control: Send {
    /// Adds a static address to a port, or takes it away.
    fn set_entry(&mut self, port: usize, mac: pollux_net::Mac, there: bool) -> Result<()>;

    /// Changes a setting that has nothing to do with the traffic, to and fro.
    fn change_setting(&mut self, turn: u64) -> Result<()>;

    /// Dynamic addresses that it knows, where it tells.
    fn addresses(&mut self) -> Result<Option<u64>>;

    /// Forgets all dynamic addresses.
    fn flush(&mut self) -> Result<()>;
}

/// What a system counts of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortCounters {
    /// Frames that came in to it by the port, and that it sent by it.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Drops by its own names.
    pub(crate) drops: BTreeMap<String, u64>,
}

impl Kind {
    /// As people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pollux => "Pollux",
            Self::TestpmdIo => "testpmd io",
            Self::TestpmdMac => "testpmd mac",
            Self::Ovs => "Open vSwitch",
            Self::Bridge => "Linux bridge",
            Self::External => "external device",
        }
    }

    /// As options and reports have it.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Pollux => "pollux",
            Self::TestpmdIo => "testpmd-io",
            Self::TestpmdMac => "testpmd-mac",
            Self::Ovs => "ovs",
            Self::Bridge => "bridge",
            Self::External => "external",
        }
    }

    /// Whether it can do a job; if not, why.
    pub(crate) fn supports(self, job: &Job) -> Result<(), String> {
        match self {
            Self::Pollux => pollux::supports(job),
            Self::TestpmdIo | Self::TestpmdMac => testpmd::supports(job),
            Self::Ovs => ovs::supports(job),
            Self::Bridge => bridge::supports(job),
            Self::External => external::supports(job),
        }
    }
}

/// Starts a system in a folder of its own. It forwards, or is about to, when this returns.
pub(crate) fn start(kind: Kind, job: &Job, folder: &Path) -> Result<Box<dyn System>> {
    kind.supports(job).map_err(|why| BenchError::Unsupported(format!("{}: {why}", kind.name())))?;
    Ok(match kind {
        Kind::Pollux => Box::new(Pollux::start(job, folder)?),
        Kind::TestpmdIo => Box::new(testpmd::Testpmd::start(job, folder, "io")?),
        Kind::TestpmdMac => Box::new(testpmd::Testpmd::start(job, folder, "mac")?),
        Kind::Ovs => Box::new(ovs::Ovs::start(job, folder)?),
        Kind::Bridge => Box::new(bridge::Bridge::start(job)?),
        Kind::External => Box::new(external::External::new(job)),
    })
}

/// What is installed of a system, or an error with the cure.
pub(crate) fn version(kind: Kind, pollux: &Path) -> Result<String> {
    match kind {
        Kind::Pollux => said(pollux, "--version", "name the switch with --pollux"),
        Kind::TestpmdIo | Kind::TestpmdMac => {
            let cure = "install the package dpdk-dev, or leave testpmd out with --systems";
            said(Path::new(testpmd::PROGRAM), "--help", cure)?;
            // It doesn't say its version without starting; its package does.
            let mut query = Command::new("dpkg-query");
            let version = output(query.args(["--show", "--showformat=${Version}", "dpdk-dev"]));
            Ok(format!("testpmd of DPDK {}", version.unwrap_or_default()))
        }
        Kind::Ovs => {
            let cure =
                "install the package openvswitch-switch-dpdk, or leave Open vSwitch out with --systems";
            said(Path::new(ovs::DAEMON), "--version", cure)
        }
        Kind::Bridge => {
            said(Path::new("bridge"), "-Version", "install the package iproute2, or leave the bridge out")?;
            let mut uname = Command::new("uname");
            Ok(format!("bridge of Linux {}", output(uname.arg("-r"))?.trim()))
        }
        Kind::External => Ok("as it came".to_owned()),
    }
}

/// What a program says to an option.
fn said(program: &Path, option: &str, cure: &str) -> Result<String> {
    let done = Command::new(program).arg(option).output();
    let done = done.map_err(|error| BenchError::Host(format!("{}: {error}: {cure}", program.display())))?;
    Ok(String::from_utf8_lossy(&done.stdout).lines().collect::<Vec<_>>().join(", "))
}

/// The threads of a process that are bound to the job's CPUs.
fn workers(process: u32, job: &Job) -> Result<Vec<u32>> {
    job.worker_cpus.iter().map(|cpu| Ok(cpu::worker(process, *cpu)?.0)).collect()
}

/// How long they have run.
fn worker_time(process: u32, job: &Job) -> Result<Option<Duration>> {
    let times = job.worker_cpus.iter().map(|cpu| Ok(cpu::worker(process, *cpu)?.1));
    times.sum::<Result<Duration>>().map(Some)
}

/// Removes the sockets of a system that was killed: the next one makes them anew.
fn remove_sockets(job: &Job) -> Result<()> {
    for port in &job.ports {
        if let PortKind::Vhost { socket, listens: true } = &port.kind {
            match std::fs::remove_file(socket) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BenchError::file(socket)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What every system is told, for the record.
fn common_settings(job: &Job) -> Vec<(String, String)> {
    let cpus: Vec<_> = job.worker_cpus.iter().map(usize::to_string).collect();
    let memory = match job.memory {
        Memory::Hugepages => "hugepages of 2 MiB",
        Memory::Ordinary => "ordinary pages",
    };
    vec![
        ("polling CPUs".to_owned(), cpus.join(", ")),
        ("CPU of everything else".to_owned(), job.house_cpu.to_string()),
        ("memory".to_owned(), memory.to_owned()),
        ("MTU".to_owned(), job.mtu().to_string()),
    ]
}

#[cfg(test)]
mod tests;
