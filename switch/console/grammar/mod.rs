//! From a line to a command: every question about a line, whether it is a command, what could come next, what was
//! meant, is answered by following its words along the syntaxes of the one table of
//! [commands].

pub mod argument;
mod complete;
mod matching;
mod mistake;
pub mod syntax;
pub mod words;

pub use complete::{Next, Values, next};
pub use matching::Args;
pub use mistake::InputError;
pub use syntax::{Atom, Item, Pattern, compile};

use matching::{Track, Walk};
use words::Word;

use super::absent;
use super::commands::{self, Entry, Known};

/// Octets that a line may have.
pub const MAX_LINE: usize = 64 << 10;

/// A line that is a command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Which one.
    pub entry: &'static Entry,
    /// Its words.
    pub args: Args,
}

impl Command {
    /// Reads a line. `None` for an empty one and for a comment, which begins with `#`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what can be written instead.
    pub fn parse(line: &str) -> Result<Option<Self>, InputError> {
        if line.len() > MAX_LINE {
            return Err(InputError::TooLong);
        }
        let words = words::split(line);
        if words.first().is_none_or(|word| word.text.starts_with('#')) {
            return Ok(None);
        }
        if let Some(bracket) = words.iter().find_map(|word| word.unclosed) {
            return Err(InputError::Unclosed(bracket));
        }
        let (track, found) = follow(&words);
        match found {
            Some((known, args)) => Ok(Some(Self { entry: known.entry, args })),
            None => Err(refusal(&words, &track)),
        }
    }
}

/// The command that these words are, if one is; and how far any command got. If several are, the one that has more
/// of them as keywords.
fn follow(words: &[Word]) -> (Track, Option<(&'static Known, Args)>) {
    let mut track = Track::default();
    let mut found: Option<(&'static Known, Args)> = None;
    for (entry, known) in commands::all().iter().enumerate() {
        let args = Walk { words, entry, prefix: false, track: &mut track }.along(&known.pattern);
        let Some(args) = args else { continue };
        if found.as_ref().is_none_or(|(_, best)| best.keywords() < args.keywords()) {
            found = Some((known, args));
        }
    }
    (track, found)
}

/// Why these words are no command.
fn refusal(words: &[Word], track: &Track) -> InputError {
    // What an argument can't be is the fault of who knows the command.
    let own = |length: usize| track.at >= length && track.expected.iter().any(|(_, why)| why.is_some());
    match absent::find(words) {
        Some((absent, length)) if length == words.len() || !own(length) => InputError::absent(absent),
        _ => mistake::of(words, track),
    }
}

/// How many of the words a pattern takes, if they begin as it says.
pub(super) fn begins(words: &[Word], pattern: &[Item]) -> Option<usize> {
    let mut track = Track::default();
    Walk { words, entry: 0, prefix: true, track: &mut track }.along(pattern).map(|args| args.len())
}

#[cfg(test)]
mod tests;
