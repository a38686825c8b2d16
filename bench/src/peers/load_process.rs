//! The load between two vhost-user ports: a process of its own.

use std::time::Duration;

use super::scene::Stage;
use crate::generator::{MEASURING, Report};
use crate::host::{Process, keep_runtime_files, wait_for_socket};
use crate::load::Payload;
use crate::{BenchError, Result};

/// How the load is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) payload: Payload,
    pub(super) queue_size: u16,
    pub(super) warm_up: Duration,
    pub(super) window: Duration,
    /// Cycles up to which a round trip between the CPUs is near.
    pub(super) near: u64,
}

pub(super) struct LoadProcess {
    process: Process,
    patience: Duration,
}

impl LoadProcess {
    /// Starts the load against the sockets of a switch.
    pub(super) fn start(stage: &Stage<'_>, plan: Plan) -> Result<Self> {
        let sockets = stage.sockets();
        for socket in &sockets {
            wait_for_socket(socket)?;
        }
        // The generator is a command of this binary.
        let program = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let process = Process::start("the load", &program, |command| {
            keep_runtime_files(command, stage.folder);
            command.args(["bench", "generate", "--socket"]).arg(&sockets[0]).arg("--socket").arg(&sockets[1]);
            let mut option = |name: &str, value: String| {
                command.arg(name).arg(value);
            };
            option("--cpu", stage.cpus.house.to_string());
            option("--switch-cpu", stage.cpus.worker.to_string());
            option("--near", plan.near.to_string());
            option("--front-end", stage.front_end.to_owned());
            option("--pairs", stage.pairs.to_string());
            option("--seed", plan.seed.to_string());
            option("--payload", plan.payload.name().to_owned());
            option("--queue-size", plan.queue_size.to_string());
            option("--warm-up", plan.warm_up.as_secs_f64().to_string());
            option("--seconds", plan.window.as_secs_f64().to_string());
        })?;
        let patience = plan.warm_up + plan.window + Duration::from_secs(60);
        Ok(Self { process, patience })
    }

    /// Waits for the end of the warm-up.
    pub(super) fn wait_until_measuring(&mut self) -> Result<()> {
        let patience = self.patience;
        self.process.wait_for("measuring", patience, |line| (line == MEASURING).then_some(()))
    }

    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the figures of the window, which has just ended.
    pub(super) fn window(&mut self) -> Result<Report> {
        self.report("the figures of the window")
    }

    /// Waits for its end, and for its last word on every frame.
    pub(super) fn finish(mut self) -> Result<Report> {
        let report = self.report("the last figures")?;
        self.process.wait()?;
        Ok(report)
    }

    fn report(&mut self, what: &str) -> Result<Report> {
        let patience = self.patience;
        self.process.wait_for(what, patience, |line| serde_json::from_str(line).ok())
    }
}
