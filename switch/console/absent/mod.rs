//! Commands of testpmd that mean nothing to a switch: why, and what to use instead.

mod table;

use std::sync::LazyLock;

use super::grammar::words::Word;
use super::grammar::{self, Pattern, compile};

/// Commands that begin alike.
#[derive(Debug)]
pub struct Absent {
    /// How they begin.
    pub syntax: &'static str,
    /// Why they mean nothing.
    pub why: &'static str,
    /// What to use instead.
    pub instead: &'static str,
}

/// All of them.
pub fn all() -> &'static [Absent] {
    table::ABSENT
}

/// The longest beginning that these words have, and how many of them it takes.
pub(super) fn find(words: &[Word]) -> Option<(&'static Absent, usize)> {
    static PATTERNS: LazyLock<Vec<Pattern>> =
        LazyLock::new(|| all().iter().map(|absent| compile(absent.syntax)).collect());
    let begins =
        |(absent, pattern): (&'static Absent, &Pattern)| Some((absent, grammar::begins(words, pattern)?));
    all().iter().zip(PATTERNS.iter()).filter_map(begins).max_by_key(|(_, length)| *length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::grammar::Command;
    use crate::console::{InputError, commands};

    /// Lines of testpmd 22.11, one of each command that its `help all` lists or that its sources have beside.
    const TESTPMD: &str = include_str!("testpmd.txt");

    #[test]
    fn every_command_of_testpmd_is_done_or_refused_with_a_reason_of_its_own() {
        let mut refused = 0;
        for line in TESTPMD.lines().filter(|line| !line.starts_with('#')) {
            match Command::parse(line) {
                Ok(command) => assert!(command.is_some(), "{line}"),
                Err(InputError::Absent { why, instead, .. }) => {
                    refused += 1;
                    assert!(!why.is_empty() && !instead.is_empty(), "{line}");
                }
                Err(other) => panic!("{line}: {other}"),
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn nothing_is_refused_that_can_be_done() {
        for known in commands::all() {
            assert!(Command::parse(known.entry.example).is_ok(), "{}", known.entry.example);
        }
        for absent in all() {
            assert!(!absent.why.ends_with('.') && !absent.instead.ends_with('.'), "{}", absent.syntax);
        }
    }
}
