//! The table of commands: what each is written like, is for, becomes, and how its answer reads. Completion, help, the
//! manual's list and the tests all come from it. A section is a file.

mod config;
mod control;
mod display;
mod fdb;
mod frames;
mod pauses;
mod ports;
mod qos;
mod steps;
mod vlan;
mod workers;

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::grammar::{Args, Atom, Item, Pattern, compile};
use super::run::{Caller, Failed, Local, Streams};

pub(super) use control::kinds as event_kinds;
pub(super) use frames::capture as capture_params;

/// A section of the table.
#[derive(Debug)]
pub struct Section {
    /// What `help` knows it by.
    pub name: &'static str,
    /// What its commands are for.
    pub about: &'static str,
    /// Its commands.
    pub entries: &'static [Entry],
}

/// A command.
#[derive(Debug)]
pub struct Entry {
    /// How it is written; see [`grammar`](super::grammar).
    pub syntax: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    /// A line that is one, over ports `vm1` and `vm2`.
    pub example: &'static str,
    /// What it becomes.
    pub does: Does,
    /// How its answer reads.
    pub reads: fn(&Args, &Value) -> String,
}

/// What a command becomes.
#[derive(Debug)]
pub enum Does {
    /// A call.
    Call(fn(&Args) -> (&'static str, Value)),
    /// Several calls, or one that depends on what another answers or on a file of this machine.
    Steps(fn(&Args, &mut dyn Caller) -> Result<Value, Failed>),
    /// Answers for as long as there are some.
    Stream(Streams),
    /// Nothing that the switch has to do with.
    Local(Local),
}

/// A command with its syntax read.
#[derive(Debug)]
pub struct Known {
    /// The command.
    pub entry: &'static Entry,
    /// Its section.
    pub section: &'static Section,
    /// Its syntax.
    pub pattern: Pattern,
}

/// The sections, in the order that people read them in.
pub fn sections() -> &'static [Section] {
    static SECTIONS: &[Section] = &[
        Section { name: "control", about: "help, scripts, starting and stopping", entries: control::ENTRIES },
        Section { name: "display", about: "what ports are and count", entries: display::ENTRIES },
        Section { name: "ports", about: "adding, removing and configuring ports", entries: ports::ENTRIES },
        Section { name: "pauses", about: "pause frames of NICs", entries: pauses::ENTRIES },
        Section { name: "vlan", about: "which port is a member of which VLAN", entries: vlan::ENTRIES },
        Section { name: "fdb", about: "which address is at which port", entries: fdb::ENTRIES },
        Section { name: "qos", about: "priorities, rates and queues", entries: qos::ENTRIES },
        Section { name: "frames", about: "seeing frames: captures and mirrors", entries: frames::ENTRIES },
        Section { name: "config", about: "the configuration as a whole", entries: config::ENTRIES },
        Section { name: "workers", about: "workers, their queues and memory", entries: workers::ENTRIES },
    ];
    SECTIONS
}

/// The kinds of events that there are.
pub fn event_names() -> &'static [&'static str] {
    crate::rpc::EVENT_KINDS
}

/// All commands.
pub fn all() -> &'static [Known] {
    static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let known = |section: &'static Section| {
            section.entries.iter().map(move |entry| Known { entry, section, pattern: compile(entry.syntax) })
        };
        sections().iter().flat_map(known).collect()
    });
    &ALL
}

/// Every keyword of every command, once.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    static KEYWORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let mut keywords = Vec::new();
        all().iter().for_each(|known| collect(&known.pattern, &mut keywords));
        keywords.sort_unstable();
        keywords.dedup();
        keywords
    });
    KEYWORDS.iter().copied()
}

fn collect(pattern: &[Item], keywords: &mut Vec<&'static str>) {
    for item in pattern {
        match item {
            Item::Word(atoms) => keywords.extend(atoms.iter().filter_map(|atom| match atom {
                Atom::Keyword(keyword) => Some(*keyword),
                Atom::Argument(_) => None,
            })),
            Item::Choice(patterns) | Item::Options(patterns) => {
                patterns.iter().for_each(|pattern| collect(pattern, keywords));
            }
        }
    }
}

/// A command that is one call.
const fn call(
    syntax: &'static str,
    about: &'static str,
    example: &'static str,
    call: fn(&Args) -> (&'static str, Value),
    reads: fn(&Args, &Value) -> String,
) -> Entry {
    Entry { syntax, about, example, does: Does::Call(call), reads }
}

/// A command that takes steps.
const fn steps(
    syntax: &'static str,
    about: &'static str,
    example: &'static str,
    steps: fn(&Args, &mut dyn Caller) -> Result<Value, Failed>,
    reads: fn(&Args, &Value) -> String,
) -> Entry {
    Entry { syntax, about, example, does: Does::Steps(steps), reads }
}

/// `{ "port": … }`, or nothing for all ports.
fn port_or_all(args: &Args) -> Value {
    match args.get("PORT") {
        Some(port) => json!({ "port": port }),
        None => Value::Null,
    }
}

fn number(args: &Args, argument: &str) -> Value {
    args.get(argument).and_then(|word| word.parse::<u64>().ok()).into()
}

/// What `on` or `off` behind a keyword says.
fn switched(args: &Args, keyword: &str) -> Option<bool> {
    match args.after(keyword)? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// An object of those that are there.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The edit that gives a key of the configuration a value.
fn set(path: &[&str], value: impl Into<Value>) -> Value {
    json!({ "set": path, "value": value.into() })
}

/// The edit that takes a key away.
fn remove(path: &[&str]) -> Value {
    json!({ "remove": path })
}

/// One call with this edit.
fn edit(edit: Value) -> (&'static str, Value) {
    ("config.edit", json!({ "edits": [edit] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;

    #[test]
    fn every_command_is_one_by_its_own_example() {
        for known in all() {
            let Entry { syntax, about, example, .. } = known.entry;
            let command = Command::parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
            let command = command.unwrap_or_else(|| panic!("{syntax} has no example"));
            assert_eq!(command.entry.syntax, *syntax, "{example} is another command");
            assert!(!about.is_empty() && !about.ends_with('.') && about.len() <= 100, "{syntax}: {about}");
        }
    }

    #[test]
    fn no_two_commands_are_written_alike() {
        let mut syntaxes: Vec<_> = all().iter().map(|known| known.entry.syntax).collect();
        syntaxes.sort_unstable();
        syntaxes.dedup();
        assert_eq!(syntaxes.len(), all().len());
    }

    #[test]
    fn any_answer_reads_as_something() {
        let answers =
            [Value::Null, json!({}), json!([]), json!("text"), json!({ "ports": [{}], "changes": 1 })];
        for known in all() {
            let command = Command::parse(known.entry.example).unwrap().unwrap();
            for answer in &answers {
                let _ = (known.entry.reads)(&command.args, answer);
            }
        }
    }
}
