//! What becomes of a command.

use std::io::Write;

use serde_json::{Value, json};

use super::commands::Does;
use super::grammar::Command;
use super::{help, streams};
use crate::rpc::{CallError, Client};

/// Whom commands call: a switch, or in tests what stands for one.
pub trait Caller {
    /// Calls a method; see [`Client::call`].
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone.
    fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError>;
}

impl Caller for Client {
    fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        self.call(method, params)
    }
}

/// What commands are that need no switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Says what commands there are.
    Help,
    /// Runs the commands of a file.
    Load,
    /// Leaves the console.
    Quit,
}

/// What commands are that go on answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Frames, into a file.
    Capture,
    /// Events.
    Monitor,
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The switch refused, or is gone.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It can't be done so.
    #[error("{0}")]
    Input(String),
    /// This machine failed.
    #[error("{0}")]
    Here(String),
}

/// Where a command's answers go, and how.
pub struct Screen<'a> {
    /// Where to.
    pub out: &'a mut dyn Write,
    /// Each answer as a line of JSON.
    pub json: bool,
    /// Whether somebody has asked to stop. Only what goes on by itself looks at it.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Command {
    /// The method and the parameters that it is, if it is one call.
    pub fn call(&self) -> Option<(&'static str, Value)> {
        match self.entry.does {
            Does::Call(call) => Some(call(&self.args)),
            _ => None,
        }
    }

    /// The answer in words.
    pub fn read(&self, answer: &Value) -> String {
        (self.entry.reads)(&self.args, answer)
    }

    /// What it is, if it needs no switch.
    pub fn local(&self) -> Option<Local> {
        match self.entry.does {
            Does::Local(local) => Some(local),
            _ => None,
        }
    }

    /// The answer, if it needs no switch.
    pub fn here(&self) -> Option<Value> {
        let help = self.local() == Some(Local::Help);
        help.then(|| json!({ "text": help::text(self.args.get("TOPIC")) }))
    }

    /// What the switch answers.
    ///
    /// # Errors
    ///
    /// The switch refuses, or is gone; or it goes on answering, and this is the wrong way to ask.
    pub fn ask(&self, switch: &mut dyn Caller) -> Result<Value, Failed> {
        match self.entry.does {
            Does::Call(call) => {
                let (method, params) = call(&self.args);
                Ok(switch.call(method, params)?)
            }
            Does::Steps(steps) => steps(&self.args, switch),
            Does::Local(_) | Does::Stream(_) => match self.here() {
                Some(answer) => Ok(answer),
                None => Err(Failed::Input(format!("`{}` has no single answer", self.entry.syntax))),
            },
        }
    }

    /// Does what it says, and shows what comes of it.
    ///
    /// # Errors
    ///
    /// It can't be done, or not be shown.
    pub fn run(&self, client: &mut Client, screen: &mut Screen<'_>) -> Result<(), Failed> {
        match self.entry.does {
            Does::Stream(Streams::Capture) => streams::capture(self, client, screen),
            Does::Stream(Streams::Monitor) => streams::monitor(self, client, screen),
            _ => {
                let answer = self.ask(client)?;
                screen.show(self, &answer)
            }
        }
    }
}

impl Screen<'_> {
    /// Shows an answer.
    ///
    /// # Errors
    ///
    /// Nobody takes it.
    pub fn show(&mut self, command: &Command, answer: &Value) -> Result<(), Failed> {
        let text = if self.json { answer.to_string() } else { command.read(answer) };
        let shown = if text.is_empty() { Ok(()) } else { writeln!(self.out, "{}", text.trim_end()) };
        shown
            .and_then(|()| self.out.flush())
            .map_err(|error| Failed::Here(format!("the answer can't be shown: {error}")))
    }
}
