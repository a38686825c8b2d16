//! How commands are written down: `show port stats PORT|all`, `port attach NAME TABLE`.
//!
//! Small words are keywords, capital ones [arguments](super::argument::ARGUMENTS). `a|b` is one word or the other,
//! `(a B | c D)` one sequence or the other, `[a B]` may be left out; such groups that follow each other may come in
//! any order.

use super::argument::Argument;

/// A command's syntax, read.
pub type Pattern = Vec<Item>;

/// A part of a command's syntax.
#[derive(Debug)]
pub enum Item {
    /// One of these words.
    Word(Vec<Atom>),
    /// One of these sequences.
    Choice(Vec<Pattern>),
    /// Each of these sequences at most once, in any order.
    Options(Vec<Pattern>),
}

/// What a single word can be.
#[derive(Clone, Copy, Debug)]
pub enum Atom {
    /// This very word.
    Keyword(&'static str),
    /// What stands for this.
    Argument(&'static Argument),
}

impl Atom {
    /// How it is written in a syntax.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Keyword(keyword) => keyword,
            Self::Argument(argument) => argument.name,
        }
    }
}

/// Reads a syntax.
///
/// # Panics
///
/// It isn't one; the tests read all that there are.
pub fn compile(syntax: &'static str) -> Pattern {
    let mut reader = Reader { rest: syntax };
    let pattern = reader.sequence();
    assert!(reader.rest.is_empty(), "{syntax}: nothing opens what closes at {:?}", reader.rest);
    pattern
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    /// Up to the end, to what closes a group, or to a bar between sequences.
    fn sequence(&mut self) -> Pattern {
        let mut items = Pattern::new();
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.as_bytes().first() {
                None | Some(b')' | b']' | b'|') => return items,
                Some(b'(') => items.push(Item::Choice(self.group(')'))),
                Some(b'[') => {
                    let option = self.group(']').remove(0);
                    match items.last_mut() {
                        Some(Item::Options(options)) => options.push(option),
                        _ => items.push(Item::Options(vec![option])),
                    }
                }
                Some(_) => items.push(Item::Word(self.word())),
            }
        }
    }

    fn group(&mut self, end: char) -> Vec<Pattern> {
        let mut sequences = Vec::new();
        loop {
            self.rest = &self.rest[1..];
            sequences.push(self.sequence());
            assert!(!self.rest.is_empty(), "no {end} closes the group");
            if !self.rest.starts_with('|') {
                break;
            }
        }
        assert!(self.rest.starts_with(end), "{end} is to close the group before {:?}", self.rest);
        self.rest = &self.rest[1..];
        sequences
    }

    fn word(&mut self) -> Vec<Atom> {
        let end = self.rest.find([' ', '(', ')', '[', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.split('|').map(atom).collect()
    }
}

fn atom(word: &'static str) -> Atom {
    let capital = word.starts_with(|first: char| first.is_ascii_uppercase());
    if !capital || word.bytes().any(|octet| octet.is_ascii_lowercase()) {
        return Atom::Keyword(word);
    }
    Atom::Argument(Argument::find(word).unwrap_or_else(|| panic!("there is no argument {word}")))
}
