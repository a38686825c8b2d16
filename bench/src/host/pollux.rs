//! Pollux itself, as anyone would run it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use super::{Place, Process, keep_runtime_files};
use crate::{BenchError, Result};

/// A switch that runs. Dropping it ends it.
pub(crate) struct Pollux {
    process: Process,
    rpc: Rpc,
}

impl Pollux {
    /// Starts `program` with a file of this `text`, in a `folder` of its own. It forwards when this returns.
    pub(crate) fn start(program: &Path, folder: &Path, text: &str) -> Result<Self> {
        Self::start_in(Place::default(), program, folder, text)
    }

    /// The same in some other place.
    pub(crate) fn start_in(place: Place<'_>, program: &Path, folder: &Path, text: &str) -> Result<Self> {
        let file = folder.join("pollux.toml");
        fs::write(&file, text).map_err(BenchError::file(&file))?;
        let rpc = Rpc { socket: folder.join("control.sock") };
        let mut process = Process::start_in(place, "pollux", program, |command| {
            keep_runtime_files(command, folder);
            command.args(["run", "--config"]).arg(&file).arg("--control").arg(&rpc.socket);
        })?;
        process.wait_for("the line that says it is ready", Duration::from_secs(30), |line| {
            line.starts_with("ready").then_some(())
        })?;
        Ok(Self { process, rpc })
    }

    /// Who calls its methods.
    pub(crate) fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Ends it in order. Frames that it can't account for are an error.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// The same, where it is kept to be replaced.
    pub(crate) fn end(&mut self) -> Result<()> {
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

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls methods of a switch's control socket, each on a connection of its own: one that says nothing for long is
/// closed by the switch.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    socket: PathBuf,
}

impl Rpc {
    /// Calls a method; its refusal is an error with the switch's words.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.call_with(method, params, None)
    }

    /// The same with an open file along.
    pub(crate) fn call_with(&self, method: &str, params: Value, file: Option<&File>) -> Result<Value> {
        let mut line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        line.push('\n');
        let answer = self.exchange(&line, file).map_err(BenchError::io(format_args!("calling {method}")))?;
        let mut answer: Value = serde_json::from_str(&answer)
            .map_err(|error| BenchError::process("pollux", format_args!("{method}: {error}: {answer:?}")))?;
        if let Some(error) = answer.get("error") {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("refused without a word");
            return Err(BenchError::process("pollux", format_args!("{method}: {message}")));
        }
        Ok(answer["result"].take())
    }

    fn exchange(&self, line: &str, file: Option<&File>) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut rest = line.as_bytes();
        if let Some(file) = file {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let files = [file.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
            let sent = sendmsg(&stream, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL)?;
            rest = &rest[sent.min(rest.len())..];
        }
        stream.write_all(rest)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    }
}

/// The path of the switch to measure: one that was named, or this program.
pub(crate) fn program(named: Option<&PathBuf>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().map_err(BenchError::io("finding this program")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_results_or_the_switchs_words() {
        let folder = crate::host::folder().unwrap();
        let rpc = Rpc { socket: folder.path().join("s") };
        let listener = UnixListener::bind(&rpc.socket).unwrap();
        let answers = [
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"flushed\":7}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":2,\"message\":\"no port p9\"}}\n",
            "",
        ];
        thread::scope(|scope| {
            scope.spawn(|| {
                for answer in answers {
                    let (stream, _) = listener.accept().unwrap();
                    let mut asked = String::new();
                    BufReader::new(&stream).read_line(&mut asked).unwrap();
                    assert!(asked.contains("\"fdb.flush\""), "{asked}");
                    (&stream).write_all(answer.as_bytes()).unwrap();
                }
            });
            let flush = || rpc.call("fdb.flush", json!({}));
            assert_eq!(flush().unwrap()["flushed"], 7);
            let error = flush().unwrap_err().to_string();
            assert!(error.contains("fdb.flush: no port p9"), "{error}");
            assert!(flush().is_err());
        });
    }
}
