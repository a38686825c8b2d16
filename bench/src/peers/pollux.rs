//! Pollux itself, as anyone would run it.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use super::capture::TRUNK;
use super::process::Process;
use super::scene::{PORTS, Scene, Stage, System};
use super::switch::{Switch, keep_runtime_files};
use crate::{BenchError, Result};

pub(super) struct Pollux(Process);

impl Pollux {
    pub(super) fn start(system: System, stage: &Stage<'_>) -> Result<Self> {
        let file = stage.folder.join("pollux.toml");
        fs::write(&file, configuration(system, stage)).map_err(BenchError::file(&file))?;
        let mut process = Process::start("pollux", stage.pollux, |command| {
            keep_runtime_files(command, stage);
            command.args(["run", "--stats-interval", "0.25", "--config"]).arg(&file);
            command.arg("--control").arg(stage.folder.join("control.sock"));
        })?;
        process.wait_for("the line that says it is ready", Duration::from_secs(30), |line| {
            line.starts_with("ready").then_some(())
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
        let mut totals = Totals::default();
        self.0.wait_for("counters", Duration::from_secs(5), |line| totals.read(line))
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

fn configuration(system: System, stage: &Stage<'_>) -> String {
    // 2.4 KB an mbuf, and what DPDK needs besides.
    let memory_mib = 96 + stage.mbufs() / 400;
    // Room for every station, with some to spare.
    let stations = (4 * stage.pairs).max(131_072);
    let cores = match system {
        System::PolluxTwoWorkers => format!("{}, {}", stage.cpus.worker, stage.cpus.house),
        _ => stage.cpus.worker.to_string(),
    };
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
    }
    text
}

/// The sum over our ports, of lines of counters: `stats t=1.25 port=p0 rx_frames=5 … tx_frames=7 …`.
#[derive(Default)]
struct Totals {
    ports: usize,
    sent: u64,
}

impl Totals {
    /// Takes a line; gives the sum with the last line of a look at all ports.
    fn read(&mut self, line: &str) -> Option<u64> {
        let line = line.strip_prefix("stats ")?;
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let port = value("port")?;
        // Old lines may end in the middle of a look: begin with the first port.
        if self.ports == 0 && port != PORTS[0] {
            return None;
        }
        self.sent += value("tx_frames")?.parse::<u64>().ok()?;
        self.ports += 1;
        (self.ports == PORTS.len()).then_some(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_from_the_first_port_on() {
        let text = "stats t=1.0 port=p1 rx_frames=1 tx_frames=1 dropped=0\nready\n\
                    stats t=1.2 port=p0 rx_frames=9 tx_frames=30 dropped=0\n\
                    stats t=1.2 port=p1 rx_frames=9 tx_frames=12 dropped=0";
        let mut totals = Totals::default();
        assert_eq!(text.lines().filter_map(|line| totals.read(line)).collect::<Vec<_>>(), [42]);
    }
}
