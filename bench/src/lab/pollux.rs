//! Pollux itself, as anyone would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Process, keep_runtime_files};
use crate::{BenchError, Result};

/// A switch that runs. Dropping it ends it.
pub(crate) struct Pollux(Process);

impl Pollux {
    /// Starts `program` with a file of this `text`, in a `folder` of its own. It forwards when this returns.
    pub(crate) fn start(program: &Path, folder: &Path, text: &str) -> Result<Self> {
        let file = folder.join("pollux.toml");
        fs::write(&file, text).map_err(BenchError::file(&file))?;
        let mut process = Process::start("pollux", program, |command| {
            keep_runtime_files(command, folder);
            command.args(["run", "--stats-interval", "0.25", "--config"]).arg(&file);
            command.arg("--control").arg(folder.join("control.sock"));
        })?;
        process.wait_for("the line that says it is ready", Duration::from_secs(30), |line| {
            line.starts_with("ready").then_some(())
        })?;
        Ok(Self(process))
    }

    pub(crate) fn process(&self) -> &Process {
        &self.0
    }

    /// Frames that these ports have sent so far; they are in the file's order.
    pub(crate) fn sent(&mut self, ports: &[&str]) -> Result<u64> {
        // The next totals are those of now; older ones may still be waiting to be read.
        self.0.forget_lines();
        let mut totals = Totals { ports, seen: 0, sent: 0 };
        self.0.wait_for("counters", Duration::from_secs(5), |line| totals.read(line))
    }

    /// Ends it in order. Frames that it can't account for are an error.
    pub(crate) fn stop(mut self) -> Result<()> {
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

/// The path of the switch to measure: one that was named, or this program.
pub(crate) fn program(named: Option<&PathBuf>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().map_err(BenchError::io("finding this program")),
    }
}

/// The sum over all ports, of lines of counters: `stats t=1.25 port=p0 rx_frames=5 … tx_frames=7 …`.
struct Totals<'a> {
    ports: &'a [&'a str],
    seen: usize,
    sent: u64,
}

impl Totals<'_> {
    /// Takes a line; gives the sum with the last line of a look at all ports.
    fn read(&mut self, line: &str) -> Option<u64> {
        let line = line.strip_prefix("stats ")?;
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let port = value("port")?;
        // Old lines may end in the middle of a look: begin with the first port.
        if self.seen == 0 && port != self.ports[0] {
            return None;
        }
        self.sent += value("tx_frames")?.parse::<u64>().ok()?;
        self.seen += 1;
        (self.seen == self.ports.len()).then_some(self.sent)
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
        let mut totals = Totals { ports: &["p0", "p1"], seen: 0, sent: 0 };
        assert_eq!(text.lines().filter_map(|line| totals.read(line)).collect::<Vec<_>>(), [42]);
    }
}
