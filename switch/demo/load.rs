//! The third scene: a second process drives the VMs' ports.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::DemoError;
use super::child::{Background, this_program};
use super::configuration::socket;
use super::cpus::Cpus;
use super::rates::Flow;
use super::stage::Stage;

/// Octets of a frame of 64 without its check sequence.
const FRAME: u64 = 60;

/// Stations that talk, in pairs.
const PAIRS: u32 = 1000;

/// Seconds until rings are full and addresses learned, and seconds that count.
const WARM_UP: f64 = 0.5;
const SECONDS: f64 = 5.0;

/// How long it may all take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the load says of itself.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Figures {
    pub(super) seconds: f64,
    /// Frames that came, for each side.
    pub(super) received: [u64; 2],
    /// Frames sent that never came.
    pub(super) missing: u64,
    pub(super) faults: Faults,
}

/// What a switch must never do.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Faults {
    pub(super) reordered: u64,
    pub(super) duplicated: u64,
    /// Frames that nobody sent, or to another side.
    pub(super) strange: u64,
}

impl Faults {
    pub(super) fn any(&self) -> bool {
        self.reordered + self.duplicated + self.strange > 0
    }
}

/// What came of it: the window that counts, and all from the first frame to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driven {
    pub(super) window: Figures,
    pub(super) whole: Figures,
}

impl Driven {
    /// What arrived within the window, both ways.
    pub(super) fn flow(&self) -> Flow {
        let frames = self.window.received.iter().sum();
        Flow { frames, bytes: frames * FRAME, seconds: self.window.seconds }
    }
}

pub(super) fn run(stage: &mut Stage<'_>, folder: &Path, cpus: Cpus) -> Result<Driven, DemoError> {
    stage.begin(&format!(
        "vhost: frames of 64 bytes between vm1 and vm2, both ways, {PAIRS} pairs of stations, for {SECONDS} s"
    ))?;
    let mut command = Command::new(this_program());
    // DPDK's files go where they are removed, however that process ends.
    command.env("RUNTIME_DIRECTORY", folder).args(["bench", "generate", "--no-huge"]);
    for number in [1, 2] {
        command.arg("--socket").arg(socket(folder, number));
    }
    let mut option = |name: &str, value: String| {
        command.args([name, &value]);
    };
    option("--cpu", cpus.load.to_string());
    option("--pairs", PAIRS.to_string());
    option("--warm-up", WARM_UP.to_string());
    option("--seconds", SECONDS.to_string());
    let mut load = Background::start("the load", &mut command)?;
    stage.wait("vhost", PATIENCE, || Ok(load.ended_well()?.then_some(())))?;
    let mut figures = load.said().iter().filter_map(|line| serde_json::from_str(line).ok());
    match (figures.next(), figures.next()) {
        (Some(window), Some(whole)) => Ok(Driven { window, whole }),
        _ => Err(load.failure("printed no figures")),
    }
}
