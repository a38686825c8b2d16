//! What can come next in a line.

use super::argument::{Argument, Kind, Named};
use super::syntax::Atom;
use super::{follow, words};
use crate::console::commands;

/// What the switch has names for; asked for when somebody completes one.
pub trait Values {
    /// Names of ports.
    fn ports(&self) -> Vec<String>;
    /// Names of these.
    fn names(&self, of: Named) -> Vec<String>;
    /// VLANs that addresses are known in, or ports are members of.
    fn vlans(&self) -> Vec<String>;
}

/// What can come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This word.
    Word {
        /// The word.
        word: String,
        /// What it is for.
        about: String,
    },
    /// A path of this machine.
    File,
    /// Something that nobody knows the names of.
    Argument(&'static str, &'static str),
    /// The end of the line.
    End,
}

/// Where the last word of a line begins, and what can stand there. A word counts as ended when a blank follows it.
pub fn next(line: &str, values: &dyn Values) -> (usize, Vec<Next>) {
    let mut words = words::split(line);
    let last = if line.ends_with(char::is_whitespace) { None } else { words.pop() };
    if words.iter().any(|word| word.unclosed.is_some()) || line.trim_start().starts_with('#') {
        return (line.len(), Vec::new());
    }
    let (begun, start) = last.map_or((String::new(), line.len()), |word| (word.text, word.start));
    let (track, _) = follow(&words);
    if track.at < words.len() {
        return (start, Vec::new());
    }
    let mut next = Vec::new();
    for (atom, _) in &track.expected {
        match atom {
            Atom::Keyword(keyword) => next.push(Next::Word {
                word: (*keyword).to_owned(),
                about: about(&words, keyword, &track.entries),
            }),
            Atom::Argument(argument) => arguments(argument, &begun, values, &mut next),
        }
    }
    if track.end && begun.is_empty() {
        next.push(Next::End);
    }
    next.retain(|next| match next {
        Next::Word { word, .. } => word.starts_with(&begun),
        _ => true,
    });
    next.sort_by(|a, b| order(a).cmp(&order(b)));
    (start, next)
}

fn order(next: &Next) -> (u8, &str) {
    match next {
        Next::Word { word, .. } => (0, word),
        Next::File => (1, ""),
        Next::Argument(name, _) => (2, name),
        Next::End => (3, ""),
    }
}

/// What the only command with this keyword next is for, or how many there are.
fn about(words: &[words::Word], keyword: &str, entries: &[usize]) -> String {
    let begins = |entry: &usize| {
        let syntax = commands::all()[*entry].entry.syntax;
        let next = syntax.split(' ').nth(words.len()).unwrap_or_default();
        next.split(['|', '(', '[', ']', ')']).any(|word| word == keyword)
    };
    let mut with = entries.iter().filter(|entry| begins(entry));
    match (with.next(), with.count()) {
        (Some(only), 0) => commands::all()[*only].entry.about.to_owned(),
        (Some(_), more) => format!("{} commands", more + 1),
        (None, _) => String::new(),
    }
}

fn arguments(argument: &'static Argument, begun: &str, values: &dyn Values, next: &mut Vec<Next>) {
    let mut push = |words: Vec<String>, prefix: &str| {
        let about = argument.about.to_owned();
        next.extend(
            words
                .into_iter()
                .map(|word| Next::Word { word: format!("{prefix}{word}"), about: about.clone() }),
        );
    };
    // What comes behind the last comma is what is being written.
    let listed = begun.rfind(',').map_or("", |comma| &begun[..=comma]);
    match argument.kind {
        Kind::Port => push(values.ports(), ""),
        Kind::Ports => push(values.ports(), listed),
        Kind::Name(Named::New) => {}
        Kind::Name(named) => push(values.names(named), ""),
        Kind::Vid => push(values.vlans(), ""),
        Kind::Rest => push(commands::sections().iter().map(|section| section.name.to_owned()).collect(), ""),
        Kind::Word if argument.name == "KINDS" => push(values.names(Named::Event), listed),
        Kind::File => next.push(Next::File),
        _ => {}
    }
    next.push(Next::Argument(argument.name, argument.about));
}
