//! Pollux itself, as anyone would run it.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{Process, keep_runtime_files};
use crate::{BenchError, Result};

/// A switch that runs. Dropping it ends it.
pub(crate) struct Pollux {
    process: Process,
    control: PathBuf,
}

impl Pollux {
    /// Starts `program` with a file of this `text`, in a `folder` of its own. It forwards when this returns.
    pub(crate) fn start(program: &Path, folder: &Path, text: &str) -> Result<Self> {
        let file = folder.join("pollux.toml");
        fs::write(&file, text).map_err(BenchError::file(&file))?;
        let control = folder.join("control.sock");
        let mut process = Process::start("pollux", program, |command| {
            keep_runtime_files(command, folder);
            command.args(["run", "--stats-interval", "0.25", "--config"]).arg(&file);
            command.arg("--control").arg(&control);
        })?;
        process.wait_for("the line that says it is ready", Duration::from_secs(30), |line| {
            line.starts_with("ready").then_some(())
        })?;
        Ok(Self { process, control })
    }

    /// Has everything captured that ports receive, into a file that keeps nothing.
    pub(crate) fn capture_received(&self) -> Result<()> {
        const CALL: &[u8] =
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"capture.start\",\"params\":{\"direction\":\"rx\"}}\n";
        let nowhere =
            OpenOptions::new().write(true).open("/dev/null").map_err(BenchError::file("/dev/null"))?;
        let answer = self.call(CALL, nowhere.as_fd()).map_err(BenchError::io("starting a capture"))?;
        match answer.contains("\"result\"") {
            true => Ok(()),
            false => Err(BenchError::process("pollux", answer.trim())),
        }
    }

    /// Calls a method of the control socket with an open file, and returns the answer's line.
    fn call(&self, line: &[u8], file: BorrowedFd<'_>) -> io::Result<String> {
        let stream = UnixStream::connect(&self.control)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let files = [file];
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&stream, &[IoSlice::new(line)], &mut ancillary, SendFlags::NOSIGNAL)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Frames that these ports have sent so far; they are in the file's order.
    pub(crate) fn sent(&mut self, ports: &[&str]) -> Result<u64> {
        // The next totals are those of now; older ones may still be waiting to be read.
        self.process.forget_lines();
        let mut totals = Totals { ports, seen: 0, sent: 0 };
        self.process.wait_for("counters", Duration::from_secs(5), |line| totals.read(line))
    }

    /// Ends it in order. Frames that it can't account for are an error.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.terminate();
        self.process.wait()?;
        let lines = self.process.rest();
        let balance = lines.iter().rev().find(|line| line.starts_with("accounting:"));
        match balance {
            Some(line) if line.ends_with(": balances") => Ok(()),
            Some(line) => Err(BenchError::process("pollux", line)),
            None => Err(self.process.failure("no accounting at its end")),
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
