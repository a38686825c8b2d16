//! qemu-guest-agent's protocol, with any number of agents side by side, in one thread that never waits for
//! one of them alone.

use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pollux_net::Mac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Answer, Interface, MAX_ANSWER, PATIENCE, Told};
use crate::control::sockets::connect_at_once;

/// Octets read at a time.
const CHUNK: usize = 16 << 10;

/// Characters of a guest's text that are shown: a host name has at most 64, an interface 15.
const MAX_TEXT: usize = 64;

/// What ends whatever stands before the answer to `guest-sync-delimited`, and has the agent forget half a
/// command of another client: no text has this octet.
const DELIMITER: u8 = 0xff;

/// Why an agent tells nothing, in few words: it stands where the guest's interfaces would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The path isn't there.
    #[error("there is no such socket: is the VM started with the channel?")]
    NoSocket,
    /// The socket is dead.
    #[error("nobody listens on the socket")]
    NobodyListens,
    /// More clients wait than the socket takes.
    #[error("busy: other programs wait for the agent")]
    Busy,
    /// The socket can't be used.
    #[error("the socket can't be opened: {0}")]
    Unopened(Errno),
    /// It took the question, and that was all.
    #[error("no answer within {n} s: the guest runs no agent, or another program holds the socket", n = PATIENCE.as_secs())]
    NoAnswer,
    /// What it says is not an agent's answer to our question.
    #[error("no agent's answer within {n} s, but something else", n = PATIENCE.as_secs())]
    OutOfStep,
    /// It didn't finish its answer.
    #[error("half an answer within {n} s", n = PATIENCE.as_secs())]
    HalfAnswer,
    /// It closed the connection, or broke it.
    #[error("it hung up before its answer")]
    HungUp,
    /// It goes on and on.
    #[error("an answer of more than {n} KiB", n = MAX_ANSWER >> 10)]
    TooLong,
    /// The answer isn't what the protocol has.
    #[error("an answer that can't be read: {0}")]
    Unreadable(String),
    /// The agent is told not to tell, most likely.
    #[error("the agent refuses: {0}")]
    Refused(String),
}

/// Asks the agents on `sockets`. The answers are in the same order, and come within `patience`.
pub(super) fn ask_all(sockets: &[&Path], patience: Duration) -> Vec<Answer> {
    let deadline = Instant::now() + patience;
    let mut answers: Vec<Option<Answer>> = sockets.iter().map(|_| None).collect();
    let mut conversations = Vec::new();
    for (place, socket) in sockets.iter().enumerate() {
        match Conversation::open(socket) {
            Ok(conversation) => conversations.push((place, conversation)),
            Err(error) => answers[place] = Some(Err(error)),
        }
    }
    while !conversations.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let ready = await_any(&conversations, left);
        let mut ready = ready.into_iter();
        conversations.retain_mut(|(place, conversation)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            answers[*place] = conversation.go_on();
            answers[*place].is_none()
        });
    }
    for (place, conversation) in conversations {
        answers[place] = Some(conversation.give_up());
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Err(AskError::NoAnswer))).collect()
}

/// Waits until some conversations can go on, and says which.
fn await_any(conversations: &[(usize, Conversation)], left: Duration) -> Vec<bool> {
    let mut polled: Vec<_> = conversations.iter().map(|(_, conversation)| conversation.awaited()).collect();
    // Rounded up: it must not turn round and round in the last millisecond.
    let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) => polled.iter().map(|polled| polled.any().unwrap_or(true)).collect(),
        // Interrupted, or short of memory: whoever has nothing to say is found out by trying.
        Err(_) => vec![true; polled.len()],
    }
}

/// The commands, in the order in which they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sync,
    Interfaces,
    HostName,
}

struct Conversation {
    stream: UnixStream,
    step: Step,
    /// What the agent must repeat, as no answer to an earlier client does.
    id: u64,
    to_send: Vec<u8>,
    /// The line that isn't whole yet.
    line: Vec<u8>,
    received: usize,
    interfaces: Option<Vec<Interface>>,
}

impl Conversation {
    fn open(socket: &Path) -> Result<Self, AskError> {
        let stream = connect_at_once(socket).map_err(|errno| match errno {
            Errno::ENOENT => AskError::NoSocket,
            Errno::ECONNREFUSED => AskError::NobodyListens,
            Errno::EAGAIN => AskError::Busy,
            other => AskError::Unopened(other),
        })?;
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        // The agent takes an i64, and a JSON number is exact up to 53 bits.
        let id = since.as_nanos() as u64 & ((1 << 53) - 1);
        let sync = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        let mut to_send = vec![DELIMITER];
        to_send.extend_from_slice(format!("{sync}\n").as_bytes());
        let (line, received, interfaces) = (Vec::new(), 0, None);
        Ok(Self { stream, step: Step::Sync, id, to_send, line, received, interfaces })
    }

    fn awaited(&self) -> PollFd<'_> {
        let write = if self.to_send.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        PollFd::new(self.stream.as_fd(), PollFlags::POLLIN | write)
    }

    /// Sends and reads what can be without waiting. The answer, once there is one.
    fn go_on(&mut self) -> Option<Answer> {
        match self.send().and_then(|()| self.receive()) {
            Ok(told) => told.map(Ok),
            // What it told before is worth more than what it broke off with.
            Err(error) => Some(self.told(None).ok_or(error)),
        }
    }

    /// What there is when time is up.
    fn give_up(mut self) -> Answer {
        self.told(None).ok_or(match self.step {
            _ if self.received == 0 => AskError::NoAnswer,
            Step::Sync => AskError::OutOfStep,
            Step::Interfaces | Step::HostName => AskError::HalfAnswer,
        })
    }

    fn told(&mut self, host_name: Option<String>) -> Option<Told> {
        Some(Told { host_name, interfaces: self.interfaces.take()? })
    }

    fn send(&mut self) -> Result<(), AskError> {
        while !self.to_send.is_empty() {
            match self.stream.write(&self.to_send) {
                Ok(sent) => drop(self.to_send.drain(..sent)),
                Err(error) => return may_wait(&error),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Told>, AskError> {
        let mut chunk = [0; CHUNK];
        let len = match self.stream.read(&mut chunk) {
            Ok(0) => return Err(AskError::HungUp),
            Ok(len) => len,
            Err(error) => return may_wait(&error).map(|()| None),
        };
        self.received += len;
        if self.received > MAX_ANSWER {
            return Err(AskError::TooLong);
        }
        for part in chunk[..len].split_inclusive(|&octet| octet == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if let Some(told) = self.take(&line)? {
                    return Ok(Some(told));
                }
            }
        }
        Ok(None)
    }

    /// A line of the agent's: goes on to the next command, or returns what was told in all.
    fn take(&mut self, line: &[u8]) -> Result<Option<Told>, AskError> {
        match self.step {
            Step::Sync => {
                // Everything up to our own number was meant for others.
                let start = line.iter().rposition(|&octet| octet == DELIMITER);
                let own = |start: usize| answer(&line[start + 1..]).is_ok_and(|id: u64| id == self.id);
                if start.is_some_and(own) {
                    self.command(Step::Interfaces, "guest-network-get-interfaces")?;
                }
                Ok(None)
            }
            Step::Interfaces => {
                let found: Vec<FoundInterface> = answer(line)?;
                let shown = found.into_iter().map(FoundInterface::shown);
                self.interfaces = Some(shown.collect::<Result<_, _>>()?);
                self.command(Step::HostName, "guest-get-host-name")?;
                Ok(None)
            }
            // An agent that is too old or isn't allowed to tell has still told the rest.
            Step::HostName => {
                let name = answer::<HostName>(line).ok().map(|found| plain(&found.host_name));
                Ok(self.told(name))
            }
        }
    }

    fn command(&mut self, step: Step, name: &str) -> Result<(), AskError> {
        self.step = step;
        self.to_send.extend_from_slice(format!("{}\n", json!({ "execute": name })).as_bytes());
        self.send()
    }
}

/// Nothing is wrong if it would only have to wait.
fn may_wait(error: &std::io::Error) -> Result<(), AskError> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
        _ => Err(AskError::HungUp),
    }
}

/// An agent's answer to a command.
#[derive(Deserialize)]
struct Reply<T> {
    #[serde(rename = "return")]
    value: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    desc: String,
}

#[derive(Deserialize)]
struct HostName {
    #[serde(rename = "host-name")]
    host_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FoundInterface {
    name: String,
    hardware_address: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<FoundAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FoundAddress {
    ip_address: String,
    prefix: u8,
}

fn answer<T: DeserializeOwned>(line: &[u8]) -> Result<T, AskError> {
    let unreadable = |what: &str| AskError::Unreadable(plain(what));
    let reply: Reply<T> = serde_json::from_slice(line).map_err(|error| unreadable(&error.to_string()))?;
    match (reply.value, reply.error) {
        (Some(value), _) => Ok(value),
        (None, Some(refusal)) => Err(AskError::Refused(plain(&refusal.desc))),
        (None, None) => Err(unreadable("it has neither `return` nor `error`")),
    }
}

impl FoundInterface {
    fn shown(self) -> Result<Interface, AskError> {
        let unreadable = |what: &str, text: &str| AskError::Unreadable(format!("{what} {:?}", plain(text)));
        let mac = self.hardware_address.map(|text| {
            let mac = text.parse::<Mac>();
            mac.map(|mac| mac.to_string()).map_err(|_| unreadable("hardware address", &text))
        });
        let addresses = self.ip_addresses.iter().map(|found| {
            // Windows writes the interface's number behind link-local addresses.
            let text = found.ip_address.split('%').next().unwrap_or_default();
            let address: IpAddr = text.parse().map_err(|_| unreadable("IP address", text))?;
            Ok(format!("{address}/{}", found.prefix))
        });
        let ip_addresses = addresses.collect::<Result<_, _>>()?;
        Ok(Interface { name: plain(&self.name), mac_address: mac.transpose()?, ip_addresses })
    }
}

/// A guest's text as a terminal may have it: short, and without characters that it would obey or that turn
/// what stands beside them around.
fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut characters = text.chars();
    let mut shown: String =
        characters.by_ref().take(MAX_TEXT).map(|c| if obeyed(c) { '?' } else { c }).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}
