//! What is said about a line that is no command.

use super::matching::Track;
use super::syntax::Atom;
use super::words::{Word, quote};
use crate::console::absent::Absent;
use crate::console::commands;

/// How like a word must be to one that is known, to be taken for it: from 0 to 1.
const LIKENESS: f64 = 0.75;

/// No keyword is longer than so many octets, nor like a word that is.
const MAX_LEN: usize = 32;

/// A word so far behind is not corrected.
const MAX_CORRECTED: usize = 16;

/// So many syntaxes are shown; of more, what could stand there.
const FEW: usize = 4;

/// A line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No command begins so.
    #[error("there is no command `{word}`{}; `help` lists all", meant(.like.as_deref()))]
    Unknown {
        /// Its first word.
        word: String,
        /// What may have been meant.
        like: Option<String>,
    },
    /// A word is another one in a command.
    #[error("`{word}` can't stand here: did you mean `{line}`?")]
    Meant {
        /// The word.
        word: String,
        /// The command.
        line: String,
    },
    /// A word that can't stand where it does.
    #[error("`{word}` can't stand here{}: {instead}", meant(.like.as_deref()))]
    Word {
        /// The word.
        word: String,
        /// What may have been meant.
        like: Option<String>,
        /// What can be written.
        instead: String,
    },
    /// Words are missing at the end.
    #[error("something is missing: {0}")]
    Missing(String),
    /// Words are too many.
    #[error("`{0}` is too much: {1}")]
    Extra(String, String),
    /// A command of testpmd that means nothing to a switch.
    #[error("`{command}`: {why}; {instead}")]
    Absent {
        /// How it begins.
        command: &'static str,
        /// Why not.
        why: &'static str,
        /// What to use.
        instead: &'static str,
    },
    /// A quote or bracket is opened only.
    #[error("`{0}` is missing: close what is opened")]
    Unclosed(char),
    /// The line is too long to be one.
    #[error("the line is longer than {max} octets: shorten it", max = super::MAX_LINE)]
    TooLong,
}

fn meant(like: Option<&str>) -> String {
    like.map(|like| format!(", did you mean `{like}`?")).unwrap_or_default()
}

impl InputError {
    pub(super) fn absent(absent: &Absent) -> Self {
        Self::Absent { command: absent.syntax, why: absent.why, instead: absent.instead }
    }
}

/// What is wrong with words of which `track` tells how far they were understood.
pub(super) fn of(words: &[Word], track: &Track) -> InputError {
    if let Some((word, line)) = corrected(words, track) {
        return InputError::Meant { word, line };
    }
    let Some(word) = words.get(track.at) else {
        return InputError::Missing(usage(track));
    };
    let word = word.text.clone();
    let like = alike(&word, track.expected.iter().filter_map(keyword)).into_iter().next().map(str::to_owned);
    if track.at == 0 {
        return InputError::Unknown { word, like };
    }
    if track.expected.is_empty() {
        return InputError::Extra(word, usage(track));
    }
    // Why it isn't what an argument could be says more than the syntax, where only that could stand there.
    let instead = match &track.expected[..] {
        [(_, Some(why))] => why.clone(),
        _ => usage(track),
    };
    InputError::Word { word, like, instead }
}

fn keyword<T>((atom, _): &(Atom, T)) -> Option<&'static str> {
    match atom {
        Atom::Keyword(keyword) => Some(keyword),
        Atom::Argument(_) => None,
    }
}

/// The one word that makes these words a command if it is written as a keyword that is like it, and the command.
fn corrected(words: &[Word], track: &Track) -> Option<(String, String)> {
    let last = track.at.min(words.len().checked_sub(1)?).min(MAX_CORRECTED);
    let written = |words: &[Word]| words.iter().map(|word| quote(&word.text)).collect::<Vec<_>>().join(" ");
    (0..=last).rev().find_map(|place| {
        let mut changed = words.to_vec();
        let word = words[place].text.clone();
        alike(&word, commands::keywords()).into_iter().find_map(|keyword| {
            changed[place].text = keyword.to_owned();
            super::follow(&changed).1.map(|_| (word.clone(), written(&changed)))
        })
    })
}

/// The keywords that a word may have been, the likest first.
fn alike(word: &str, keywords: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    if word.len() > MAX_LEN {
        return Vec::new();
    }
    let likeness = |keyword: &str| {
        strsim::jaro_winkler(word, keyword).max(strsim::normalized_damerau_levenshtein(word, keyword))
    };
    let mut found: Vec<_> = keywords
        .filter(|keyword| *keyword != word)
        .map(|keyword| (likeness(keyword), keyword))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().map(|(_, keyword)| keyword).collect()
}

/// What can be written, where there are few ways; or else what can stand next.
fn usage(track: &Track) -> String {
    if track.entries.len() <= FEW {
        let syntaxes =
            track.entries.iter().map(|&entry| format!("`{}`", commands::all()[entry].entry.syntax));
        return format!("write {}", syntaxes.collect::<Vec<_>>().join(" or "));
    }
    let mut words: Vec<_> = track.expected.iter().map(|(atom, _)| atom.name()).collect();
    words.sort_unstable();
    format!("write one of {}", words.join(", "))
}
