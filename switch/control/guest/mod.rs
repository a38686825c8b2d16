//! What VMs' guests say of themselves: their agents (qemu-guest-agent's protocol) are asked over the sockets
//! that the file names.
//!
//! A guest is not to be trusted, and its agent may be absent, slow or another program's. So an answer has a
//! size, all of them together have a time, and whoever waits for it is not a thread that anything else
//! depends on.

mod conversation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;

pub use conversation::AskError;
use conversation::ask_all;

/// How long all agents of one question together may take.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Octets that an agent may say. A hundred interfaces with their statistics take half of it.
pub const MAX_ANSWER: usize = 256 << 10;

/// A guest as its own agent tells of it. Texts are short, and have nothing in them that a terminal obeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// The agent's socket.
    pub agent: PathBuf,
    /// The guest's name for itself. `None`: the agent doesn't tell.
    pub host_name: Option<String>,
    /// The guest's interfaces, all of them. `None`: the agent doesn't tell; `error` says why.
    pub interfaces: Option<Vec<Interface>>,
    /// Why the agent tells nothing.
    pub error: Option<String>,
}

/// An interface, in the guest's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The guest's name for it.
    pub name: String,
    /// Its address. `None`: it has none.
    pub mac_address: Option<String>,
    /// Its IP addresses with their prefixes, as in `10.0.0.1/24`.
    pub ip_addresses: Vec<String>,
}

impl Guest {
    /// A guest whose agent wasn't asked yet.
    pub fn behind(agent: impl Into<PathBuf>) -> Self {
        Self { agent: agent.into(), host_name: None, interfaces: None, error: None }
    }

    fn learn(&mut self, answer: Answer) {
        match answer {
            Ok(Told { host_name, interfaces }) => {
                self.host_name = host_name;
                self.interfaces = Some(interfaces);
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }
}

/// What an agent told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    host_name: Option<String>,
    interfaces: Vec<Interface>,
}

type Answer = Result<Told, AskError>;

/// Asks agents for any number of threads. An agent talks to one client at a time, so who wants to ask one
/// that is being asked gets that answer too.
#[derive(Debug, Default)]
pub struct Agents {
    asked: Mutex<BTreeMap<PathBuf, Arc<OnceLock<Answer>>>>,
}

impl Agents {
    /// Asks the agents of `guests`, all at once, and has each guest learn what its own told, or why it
    /// didn't. Returns within [`PATIENCE`].
    pub fn ask<'g>(&self, guests: impl Iterator<Item = &'g mut Guest>) {
        self.ask_for(PATIENCE, guests);
    }

    fn ask_for<'g>(&self, patience: Duration, guests: impl Iterator<Item = &'g mut Guest>) {
        let mut own = Vec::new();
        let waiting = guests.map(|guest| {
            let (question, claim) = self.claim(&guest.agent);
            own.extend(claim);
            (guest, question)
        });
        let waiting: Vec<_> = waiting.collect();
        let sockets: Vec<_> = own.iter().map(|claim| claim.socket.as_path()).collect();
        let answers = ask_all(&sockets, patience);
        for (claim, answer) in own.into_iter().zip(answers) {
            claim.answer(answer);
        }
        // Who asks for us began before us, and is as patient.
        for (guest, question) in waiting {
            guest.learn(question.wait().clone());
        }
    }

    /// The question to an agent, and the claim to ask it, if nobody else does.
    fn claim(&self, socket: &Path) -> (Arc<OnceLock<Answer>>, Option<Claim<'_>>) {
        let mut asked = self.asked();
        if let Some(question) = asked.get(socket) {
            return (question.clone(), None);
        }
        let question = Arc::new(OnceLock::new());
        asked.insert(socket.to_owned(), question.clone());
        let claim = Claim { agents: self, socket: socket.to_owned(), question: question.clone() };
        (question, Some(claim))
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<OnceLock<Answer>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask an agent, and the duty to tell others what it said.
struct Claim<'a> {
    agents: &'a Agents,
    socket: PathBuf,
    question: Arc<OnceLock<Answer>>,
}

impl Claim<'_> {
    fn answer(self, answer: Answer) {
        let _ = self.question.set(answer);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.agents.asked().remove(&self.socket);
        // Nothing happens to it if it was answered.
        let _ = self.question.set(Err(AskError::NoAnswer));
    }
}

#[cfg(test)]
mod tests;
