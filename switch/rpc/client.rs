//! A program's end of the socket.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;

use super::protocol::{Answer, Call, Failure};

/// A connection to a switch.
pub struct Client {
    socket: PathBuf,
    reader: BufReader<UnixStream>,
    calls: u64,
    /// What came while an answer was waited for.
    events: VecDeque<Value>,
    /// A message that hasn't come whole yet.
    partial: Vec<u8>,
    /// How long an answer is waited for.
    patience: Option<Duration>,
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
    /// The switch takes its time.
    #[error("the switch on {socket} hasn't answered for {n} s: it is busy or stands still", socket = .0.display(), n = .1.as_secs_f64())]
    Silent(PathBuf, Duration),
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
        Ok(Self {
            socket: socket.to_owned(),
            reader: BufReader::new(stream),
            calls: 0,
            events: VecDeque::new(),
            partial: Vec::new(),
            patience: None,
        })
    }

    /// Has calls fail when the switch says nothing for so long; the connection is of no use then.
    ///
    /// # Errors
    ///
    /// It is no time.
    pub fn set_patience(&mut self, patience: Duration) -> Result<(), CallError> {
        let stream = self.reader.get_ref();
        let set = stream.set_read_timeout(Some(patience));
        set.and_then(|()| stream.set_write_timeout(Some(patience))).map_err(|error| self.broken(error))?;
        self.patience = Some(patience);
        Ok(())
    }

    /// Calls a method, and waits for what it answers.
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        self.call_with(method, params, None)
    }

    /// As [`call`](Self::call), with an open file that the switch is to have.
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone.
    pub fn call_with_file(
        &mut self,
        method: &str,
        params: Value,
        file: BorrowedFd<'_>,
    ) -> Result<Value, CallError> {
        self.call_with(method, params, Some(file))
    }

    fn call_with(
        &mut self,
        method: &str,
        params: Value,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Value, CallError> {
        self.calls += 1;
        let line = serde_json::to_vec(&Call::new(self.calls, method, params));
        let mut line = line.map_err(|error| self.broken(error.into()))?;
        line.push(b'\n');
        // A switch that turned us away has said why, and hung up.
        let sent = self.send(&line, file);
        let answer = match (self.read_answer(), sent) {
            (Ok(answer), _) => answer,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(self.broken(error)),
        };
        match answer.error {
            Some(failure) => Err(CallError::Refused(failure)),
            None => Ok(answer.result.unwrap_or_default()),
        }
    }

    /// Has the switch tell of events: of these kinds, or of all if there are none.
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone.
    pub fn subscribe(&mut self, kinds: &[&str]) -> Result<(), CallError> {
        let params = if kinds.is_empty() { Value::Null } else { serde_json::json!({ "kinds": kinds }) };
        self.call("events.subscribe", params).map(drop)
    }

    /// Waits for the next event. `None`: none came for as long as `patience`, if that is limited.
    ///
    /// # Errors
    ///
    /// The switch is gone.
    pub fn next_event(&mut self, patience: Option<Duration>) -> Result<Option<Value>, CallError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        let read = self.reader.get_ref().set_read_timeout(patience).and_then(|()| self.read_message());
        let usual = self.reader.get_ref().set_read_timeout(self.patience);
        match read.and_then(|message| usual.map(|()| message)) {
            Ok(mut message) => Ok(Some(message["params"].take())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn send(&self, mut line: &[u8], file: Option<BorrowedFd<'_>>) -> std::io::Result<()> {
        let mut stream = self.reader.get_ref();
        if let Some(file) = file {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let files = [file];
            control.push(SendAncillaryMessage::ScmRights(&files));
            let sent = sendmsg(stream, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL)?;
            line = &line[sent..];
        }
        stream.write_all(line)
    }

    fn read_answer(&mut self) -> std::io::Result<Answer> {
        loop {
            let mut message = self.read_message()?;
            if message.get("method").is_none() {
                return Ok(serde_json::from_value(message)?);
            }
            self.events.push_back(message["params"].take());
        }
    }

    fn read_message(&mut self) -> std::io::Result<Value> {
        match self.reader.read_until(b'\n', &mut self.partial)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_slice(&std::mem::take(&mut self.partial))?),
        }
    }

    fn broken(&self, error: std::io::Error) -> CallError {
        match self.patience {
            Some(patience) if error.kind() == std::io::ErrorKind::WouldBlock => {
                CallError::Silent(self.socket.clone(), patience)
            }
            _ => CallError::Broken(self.socket.clone(), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_switch_that_says_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let mut client = Client::connect(&socket).unwrap();
        client.set_patience(Duration::from_millis(10)).unwrap();
        let silent = client.call("switch.info", Value::Null).unwrap_err();
        assert!(matches!(silent, CallError::Silent(..)), "{silent}");
        assert!(silent.to_string().contains("hasn't answered for 0.01 s"), "{silent}");
    }
}
