//! A program's end of the socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::protocol::{Answer, Call, Failure};

/// A connection to a switch.
pub struct Client {
    socket: PathBuf,
    reader: BufReader<UnixStream>,
    calls: u64,
}

/// A call brought no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No switch answers.
    #[error("no switch answers on {socket}: {1}; start one, or name its socket with --control SOCKET", socket = .0.display())]
    Unreachable(PathBuf, std::io::Error),
    /// The switch broke off.
    #[error("the switch on {socket} broke off: {1}; its log says why", socket = .0.display())]
    Broken(PathBuf, std::io::Error),
    /// The switch refused.
    #[error("{}", .0.message)]
    Refused(Failure),
}

impl Client {
    /// Connects to the switch whose control socket this is.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub fn connect(socket: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket);
        let stream = stream.map_err(|error| CallError::Unreachable(socket.to_owned(), error))?;
        Ok(Self { socket: socket.to_owned(), reader: BufReader::new(stream), calls: 0 })
    }

    /// Calls a method, and waits for what it answers.
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        let broken = |error| CallError::Broken(self.socket.clone(), error);
        self.calls += 1;
        let mut line =
            serde_json::to_vec(&Call::new(self.calls, method, params)).map_err(|e| broken(e.into()))?;
        line.push(b'\n');
        // A switch that turned us away has said why, and hung up.
        let sent = self.reader.get_mut().write_all(&line);
        let mut answer = String::new();
        match self.reader.read_line(&mut answer) {
            Ok(0) | Err(_) if sent.is_err() => sent.map_err(broken)?,
            Ok(0) => return Err(broken(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(broken(error)),
        }
        let answer: Answer = serde_json::from_str(&answer).map_err(|error| broken(error.into()))?;
        match answer.error {
            Some(failure) => Err(CallError::Refused(failure)),
            None => Ok(answer.result.unwrap_or_default()),
        }
    }
}
