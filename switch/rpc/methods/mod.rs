//! What can be asked of a switch. `docs/control.md` says what each method takes and answers; the methods of
//! one noun are a file.

mod capture;
mod change;
mod config;
mod diff;
mod fdb;
mod memory;
mod mirror;
mod ports;
mod qos;
mod switch;
mod toml;
mod vlan;
mod workers;

use std::os::fd::OwnedFd;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::protocol::{Code, Failure};
use crate::control::guest::Agents;
use crate::control::{Ending, Running, VmState};
use diff::Diff;

/// An answer as far as the switch has it.
#[derive(Debug)]
pub enum Reply {
    /// All of it.
    Whole(Value),
    /// VMs, whose guest agents are still to be asked.
    Vms(Vec<VmState>),
    /// A capture, of which the last frames are still to be written.
    Ending(Ending),
    /// Texts that are still to be compared.
    Diff(Diff),
}

impl Reply {
    /// The whole answer. It may take seconds: not for the switch's thread.
    pub fn finish(self, agents: &Agents) -> Value {
        match self {
            Self::Whole(value) => value,
            Self::Vms(mut vms) => {
                agents.ask(vms.iter_mut().filter_map(|vm| vm.guest.as_mut()));
                json!({ "vms": vms })
            }
            Self::Ending(ending) => json!({ "capture": ending.finish() }),
            Self::Diff(diff) => diff.finish(),
        }
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Whole(value)
    }
}

/// What came with a call.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Its parameters; null if there are none.
    pub params: Value,
    /// The file that was passed along.
    pub file: Option<OwnedFd>,
}

impl Arguments {
    /// Parameters of this form. None are as good as no fields.
    fn parse<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let of = |value| serde_json::from_value(value);
        let parsed = match self.params {
            Value::Null => of(Value::Null).or_else(|_| of(json!({}))),
            Value::Object(map) if map.is_empty() => of(Value::Null).or_else(|_| of(Value::Object(map))),
            other => of(other),
        };
        parsed.map_err(|error| Failure::new(Code::Params, format!("parameters: {error}")))
    }
}

/// Does what a method is for.
type Method = fn(&mut Running, Arguments) -> Result<Reply, Failure>;

/// The methods of each noun.
const NOUNS: &[&[(&str, Method)]] = &[
    switch::METHODS,
    ports::METHODS,
    fdb::METHODS,
    vlan::METHODS,
    qos::METHODS,
    config::METHODS,
    workers::METHODS,
    memory::METHODS,
    capture::METHODS,
    mirror::METHODS,
];

/// Every method's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    NOUNS.iter().flat_map(|noun| noun.iter()).map(|&(name, _)| name)
}

/// Does what is asked for.
///
/// # Errors
///
/// It can't be done, or isn't known; what [`ReconfigureError`](crate::control::ReconfigureError) doesn't
/// say has changed is as before.
pub fn answer(running: &mut Running, method: &str, arguments: Arguments) -> Result<Reply, Failure> {
    let found = NOUNS.iter().flat_map(|noun| noun.iter()).find(|(name, _)| *name == method);
    match found {
        Some((_, method)) => method(running, arguments),
        None => Err(Failure::new(Code::NoMethod, format!("there is no method {method:?}"))),
    }
}

/// Parameters that name a port or mean all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybePort {
    port: Option<String>,
}

/// Parameters that name a port.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnePort {
    port: String,
}

/// The name of a port that is named, by its name or its number.
fn resolve(running: &Running, port: &str) -> Result<String, Failure> {
    running.resolve(port).map_err(change::refused)
}

/// As [`resolve`], where a port may be named.
fn resolve_any(running: &Running, port: Option<&str>) -> Result<Option<String>, Failure> {
    port.map(|port| resolve(running, port)).transpose()
}

/// Whether a port of this name is wanted, of all or of the one that the parameters name.
fn wanted(running: &Running, arguments: Arguments) -> Result<impl Fn(&str) -> bool, Failure> {
    let MaybePort { port } = arguments.parse()?;
    let port = resolve_any(running, port.as_deref())?;
    Ok(move |name: &str| port.as_ref().is_none_or(|port| port == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
        Arguments { params, file: None }.parse()
    }

    #[test]
    fn parameters_may_be_left_out_where_none_are_needed() {
        assert!(parse::<()>(Value::Null).is_ok());
        assert!(parse::<()>(json!({})).is_ok());
        assert!(parse::<()>(json!({ "x": 1 })).is_err());
        assert!(parse::<MaybePort>(Value::Null).is_ok());
        assert!(parse::<MaybePort>(json!({ "prot": "a" })).is_err());
        assert!(parse::<OnePort>(Value::Null).is_err());
    }

    #[test]
    fn every_method_has_a_name_of_its_own_and_stands_in_the_page() {
        let page = include_str!("../../../docs/control.md");
        let mut seen = Vec::new();
        for name in names() {
            assert!(!seen.contains(&name), "{name} is there twice");
            assert!(page.contains(&format!("`{name}`")), "docs/control.md says nothing of {name}");
            seen.push(name);
        }
    }
}
