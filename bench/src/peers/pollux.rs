//! Pollux itself, as anyone would run it.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use super::process::Process;
use super::scene::{PORTS, Scene, Stage};
use super::switch::{Switch, keep_runtime_files};
use crate::{BenchError, Result};

pub(super) struct Pollux(Process);

impl Pollux {
    pub(super) fn start(stage: &Stage<'_>) -> Result<Self> {
        let file = stage.folder.join("pollux.toml");
        fs::write(&file, configuration(stage)).map_err(BenchError::file(&file))?;
        let mut process = Process::start("pollux", stage.pollux, |command| {
            keep_runtime_files(command, stage);
            command.args(["run", "--stats-interval", "1s", "--config"]).arg(&file);
            command.arg("--control").arg(stage.folder.join("pollux.sock"));
        })?;
        process.wait_for("the line that says it is ready", Duration::from_secs(30), |line| {
            line.contains("ready").then_some(())
        })?;
        Ok(Self(process))
    }
}

impl Switch for Pollux {
    fn process(&self) -> &Process {
        &self.0
    }

    fn sent(&mut self) -> Result<u64> {
        // The next totals are those of now; older ones may still be waiting to be read.
        self.0.forget_lines();
        self.0.wait_for("totals", Duration::from_secs(5), sent_in)
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.0.terminate();
        self.0.wait()?;
        let lines = self.0.rest();
        let balance = lines.iter().rev().find(|line| line.starts_with("accounting:"));
        match balance {
            Some(line) if line.ends_with(": balances") => Ok(()),
            Some(line) => Err(BenchError::process("pollux", line)),
            None => Err(self.0.failure("no accounting at its end")),
        }
    }
}

fn configuration(stage: &Stage<'_>) -> String {
    // 2.4 KB an mbuf, and what DPDK needs besides.
    let memory_mib = 96 + stage.mbufs() / 400;
    // Room for every station, with some to spare.
    let stations = (4 * stage.pairs).max(131_072);
    let mut text = format!(
        "[switch]\ncores = [{}]\nmemory = \"{memory_mib}MiB\"\n\n[fdb]\ncapacity = {stations}\n",
        stage.cpus.worker
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
    }
    text
}

/// The frames sent, of a line of totals: `accounting: rx 5 + replicated 0 = tx 1,005 + dropped 0 + …`.
fn sent_in(line: &str) -> Option<u64> {
    let totals = &line[line.find("accounting:")?..];
    let (_, sent) = totals.split_once("= tx ")?;
    sent.split_whitespace().next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        let line = "accounting: rx 1,000 + replicated 5 = tx 1,001,005 + dropped 0 + queued 0: balances";
        assert_eq!(sent_in(line), Some(1_001_005));
        assert_eq!(sent_in("ready"), None);
    }
}
