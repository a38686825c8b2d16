//! A system under test, started.

use std::path::Path;
use std::process::Command;

use super::ovs::Ovs;
use super::pollux;
use super::scene::{Cpus, Stage, System};
use super::testpmd::Testpmd;
use crate::host::{Process, output};
use crate::{BenchError, Result};

/// A switch that runs. Dropping it ends it, and removes what it left.
pub(super) trait Switch {
    /// The process that polls.
    fn process(&self) -> &Process;

    /// Frames that it has sent on both ports so far, by its own count.
    fn sent(&mut self) -> Result<u64>;

    /// Ends it in order.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// Starts a system. It forwards, or is about to, when this returns.
pub(super) fn start(system: System, stage: &Stage<'_>) -> Result<Box<dyn Switch>> {
    Ok(match system {
        System::Pollux
        | System::PolluxTags
        | System::PolluxTwoWorkers
        | System::PolluxProfile
        | System::PolluxScheduled
        | System::PolluxFilter
        | System::PolluxMirror
        | System::PolluxCapture => Box::new(pollux::start(system, stage)?),
        System::TestpmdIo => Box::new(Testpmd::start(stage, "io")?),
        System::TestpmdMac => Box::new(Testpmd::start(stage, "mac")?),
        System::Ovs => Box::new(Ovs::start(stage)?),
    })
}

/// What every DPDK process gets to leave nothing behind: no file on a hugetlbfs, and its runtime folder
/// in ours.
pub(super) const EAL: [&str; 3] = ["--in-memory", "--no-pci", "--no-telemetry"];

/// DPDK's threads: 0 manages, 1 polls.
pub(super) fn lcores(cpus: Cpus) -> String {
    format!("0@{},1@{}", cpus.house, cpus.worker)
}

/// What is installed of a system, or an error with the cure.
pub(super) fn version(system: System, pollux: &Path) -> Result<String> {
    match system {
        System::Pollux
        | System::PolluxTags
        | System::PolluxTwoWorkers
        | System::PolluxProfile
        | System::PolluxScheduled
        | System::PolluxFilter
        | System::PolluxMirror
        | System::PolluxCapture => said(pollux, "--version", "name the switch with --pollux"),
        System::TestpmdIo | System::TestpmdMac => {
            let cure = "install the package dpdk-dev, or leave testpmd out with --systems";
            said(Path::new("dpdk-testpmd"), "--help", cure)?;
            // It doesn't say its version without starting; its package does.
            let mut query = Command::new("dpkg-query");
            let version = output(query.args(["--show", "--showformat=${Version}", "dpdk-dev"]));
            Ok(format!("testpmd of DPDK {}", version.unwrap_or_default()))
        }
        System::Ovs => {
            let cure =
                "install the package openvswitch-switch-dpdk, or leave Open vSwitch out with --systems";
            said(Path::new(super::ovs::DAEMON), "--version", cure)
        }
    }
}

/// What a program says to an option.
fn said(program: &Path, option: &str, cure: &str) -> Result<String> {
    let done = Command::new(program).arg(option).output();
    let done = done.map_err(|error| BenchError::Host(format!("{}: {error}: {cure}", program.display())))?;
    Ok(String::from_utf8_lossy(&done.stdout).lines().collect::<Vec<_>>().join(", "))
}
