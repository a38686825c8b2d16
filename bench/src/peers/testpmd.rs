//! DPDK's own forwarder.

use std::path::Path;
use std::time::Duration;

use super::scene::{Scene, Stage};
use super::switch::{EAL, Switch, lcores};
use crate::Result;
use crate::host::{Process, keep_runtime_files};

pub(super) struct Testpmd(Process);

impl Testpmd {
    pub(super) fn start(stage: &Stage<'_>, mode: &str) -> Result<Self> {
        let devices = [0, 1].map(|port: usize| match stage.scene {
            Scene::InProcess => stage.replay(port),
            Scene::Vhost => format!("net_vhost{port},iface={}", stage.sockets()[port].display()),
        });
        let mut process = Process::start(&format!("testpmd {mode}"), Path::new("stdbuf"), |command| {
            // It would keep what it says to itself until there is a page of it.
            command.args(["--output=L", "dpdk-testpmd"]);
            keep_runtime_files(command, stage.folder);
            command.args(EAL).arg("--lcores").arg(lcores(stage.cpus)).args(["--main-lcore", "0"]);
            for device in &devices {
                command.arg("--vdev").arg(device);
            }
            command.args(["--", "-i", "--auto-start", "--nb-cores=1"]);
            command.arg(format!("--forward-mode={mode}"));
            command.arg(format!("--total-num-mbufs={}", stage.mbufs()));
        })?;
        let forwards = format!("{mode} packet forwarding - ports=2");
        process
            .wait_for("forwarding", Duration::from_secs(30), |line| line.contains(&forwards).then_some(()))?;
        Ok(Self(process))
    }
}

impl Switch for Testpmd {
    fn process(&self) -> &Process {
        &self.0
    }

    fn sent(&mut self) -> Result<u64> {
        self.0.say("show port stats all")?;
        let mut totals = Totals::default();
        self.0.wait_for("statistics", Duration::from_secs(5), |line| totals.read(line))
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.0.say("quit")?;
        self.0.wait()
    }
}

/// The sum over two ports' tables.
#[derive(Default)]
struct Totals {
    ports: u32,
    sent: u64,
}

impl Totals {
    /// Takes a line; gives the sum with the last line that it needs.
    fn read(&mut self, line: &str) -> Option<u64> {
        let number = line.trim_start().strip_prefix("TX-packets:")?;
        self.sent += number.split_whitespace().next()?.parse::<u64>().ok()?;
        self.ports += 1;
        (self.ports == 2).then_some(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_summed() {
        let text = "\
  ######################## NIC statistics for port 0  ########################
  RX-packets: 46333952   RX-missed: 0          RX-bytes:  2780037120
  TX-packets: 46333920   TX-errors: 0          TX-bytes:  2780035200
  ######################## NIC statistics for port 1  ########################
  TX-packets: 80         TX-errors: 0          TX-bytes:  2780046720";
        let mut totals = Totals::default();
        let sums: Vec<_> = text.lines().filter_map(|line| totals.read(line)).collect();
        assert_eq!(sums, [46_334_000]);
    }
}
