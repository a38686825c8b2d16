//! Whether words are a command, and what could come next if they aren't.

use super::argument::Kind;
use super::syntax::{Atom, Item};
use super::words::Word;

/// The words of a command, each under the name that the syntax has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args(Vec<(&'static str, String)>);

impl Args {
    /// Whether this keyword stands there.
    pub fn has(&self, keyword: &str) -> bool {
        self.0.iter().any(|(name, word)| *name == keyword && word == keyword)
    }

    /// What stands for this argument.
    pub fn get(&self, argument: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == argument).map(|(_, word)| word.as_str())
    }

    /// What stands behind this keyword.
    pub fn after(&self, keyword: &str) -> Option<&str> {
        let place = self.0.iter().position(|(name, word)| *name == keyword && word == keyword)?;
        self.0.get(place + 1).map(|(_, word)| word.as_str())
    }

    /// What stands last for this argument.
    pub fn last(&self, argument: &str) -> Option<&str> {
        self.0.iter().rfind(|(name, _)| *name == argument).map(|(_, word)| word.as_str())
    }

    /// How many words there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The word at this place.
    pub fn word(&self, place: usize) -> &str {
        self.0.get(place).map_or("", |(_, word)| word)
    }

    /// How many of the words are keywords.
    pub(super) fn keywords(&self) -> usize {
        self.0.iter().filter(|(name, word)| name == word).count()
    }
}

/// How far words were followed, and what could stand there.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// How many words were understood.
    pub(super) at: usize,
    /// What could stand there, and why what stands there can't be that.
    pub(super) expected: Vec<(Atom, Option<String>)>,
    /// Whether the line could end there.
    pub(super) end: bool,
    /// The commands that got so far, by their places.
    pub(super) entries: Vec<usize>,
}

impl Track {
    /// Takes note of an arrival. Returns whether none got further.
    fn reach(&mut self, at: usize, entry: usize) -> bool {
        if at > self.at {
            *self = Self { at, ..Self::default() };
        }
        if at == self.at && self.entries.last() != Some(&entry) {
            self.entries.push(entry);
        }
        at == self.at
    }

    fn expect(&mut self, at: usize, entry: usize, atom: Atom, why: Option<String>) {
        if self.reach(at, entry) && !self.expected.iter().any(|(known, _)| known.name() == atom.name()) {
            self.expected.push((atom, why));
        }
    }
}

/// What is left of a pattern.
#[derive(Clone, Copy)]
struct Left<'a> {
    items: &'a [Item],
    /// Which options of the first item have been taken.
    taken: u32,
    then: Option<&'a Left<'a>>,
}

/// Follows words along patterns.
pub(super) struct Walk<'a> {
    pub(super) words: &'a [Word],
    /// The place of the pattern.
    pub(super) entry: usize,
    /// Whether the words may go on behind the pattern's end.
    pub(super) prefix: bool,
    pub(super) track: &'a mut Track,
}

impl Walk<'_> {
    /// The words of the pattern, if they are all of it.
    pub(super) fn along(&mut self, pattern: &[Item]) -> Option<Args> {
        let mut args = Args::default();
        self.step(Left { items: pattern, taken: 0, then: None }, 0, &mut args).then_some(args)
    }

    fn step(&mut self, left: Left<'_>, at: usize, args: &mut Args) -> bool {
        let Some((first, rest)) = left.items.split_first() else {
            return match left.then {
                Some(then) => self.step(*then, at, args),
                None => self.end(at),
            };
        };
        let after = Left { items: rest, taken: 0, then: left.then };
        match first {
            Item::Word(atoms) => atoms.iter().any(|atom| self.take(*atom, after, at, args)),
            Item::Choice(sequences) => sequences.iter().any(|sequence| {
                let taken = args.0.len();
                args.0.truncate(taken);
                self.step(Left { items: sequence, taken: 0, then: Some(&after) }, at, args)
            }),
            Item::Options(options) => {
                for (place, option) in options.iter().enumerate() {
                    let bit = 1 << place;
                    let then = Left { taken: left.taken | bit, ..left };
                    let free = left.taken & bit == 0;
                    if free && self.step(Left { items: option, taken: 0, then: Some(&then) }, at, args) {
                        return true;
                    }
                }
                self.step(after, at, args)
            }
        }
    }

    fn take(&mut self, atom: Atom, after: Left<'_>, at: usize, args: &mut Args) -> bool {
        let Some(word) = self.words.get(at) else {
            self.track.expect(at, self.entry, atom, None);
            return false;
        };
        let (text, next) = match atom {
            Atom::Argument(argument) if argument.kind == Kind::Rest => {
                let rest: Vec<_> = self.words[at..].iter().map(|word| word.text.as_str()).collect();
                (rest.join(" "), self.words.len())
            }
            _ => (word.text.clone(), at + 1),
        };
        let fits = match atom {
            Atom::Keyword(keyword) if keyword == text => Ok(()),
            Atom::Keyword(_) => Err(None),
            Atom::Argument(argument) => argument.check(&text).map_err(Some),
        };
        if let Err(why) = fits {
            self.track.expect(at, self.entry, atom, why);
            return false;
        }
        let before = args.0.len();
        args.0.push((atom.name(), text));
        let matched = self.step(after, next, args);
        if !matched {
            args.0.truncate(before);
        }
        matched
    }

    fn end(&mut self, at: usize) -> bool {
        if self.track.reach(at, self.entry) {
            self.track.end = true;
        }
        self.prefix || at == self.words.len()
    }
}
