//! A line in words.

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it says, without quotes around it.
    pub text: String,
    /// Where it begins in the line, in octets.
    pub start: usize,
    /// What is missing at its end: a quote or a bracket that was opened.
    pub unclosed: Option<char>,
}

/// Splits a line where blanks are. Quotes keep blanks in a word; so do braces and brackets at its beginning, as TOML
/// has them, which stay a part of it.
pub fn split(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return words };
        let start = line.len() - rest.len();
        let (text, unclosed, length) = match first {
            '"' | '\'' => quoted(rest, first),
            '{' | '[' => bracketed(rest),
            _ => {
                let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest[..length].to_owned(), None, length)
            }
        };
        words.push(Word { text, start, unclosed });
        rest = &rest[length..];
    }
}

/// What stands in quotes, and how long it is with them. In double quotes a backslash stands before a quote or itself.
fn quoted(rest: &str, quote: char) -> (String, Option<char>, usize) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((place, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, other)) => text.extend(['\\', other]),
                None => text.push('\\'),
            },
            _ if character == quote => return (text, None, place + 1),
            _ => text.push(character),
        }
    }
    (text, Some(quote), rest.len())
}

/// What stands in brackets, with them.
fn bracketed(rest: &str) -> (String, Option<char>, usize) {
    let mut open = Vec::new();
    let mut string: Option<char> = None;
    let mut characters = rest.char_indices();
    while let Some((place, character)) = characters.next() {
        match (string, character) {
            (Some('"'), '\\') => {
                characters.next();
            }
            (Some(quote), _) if character == quote => string = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => string = Some(character),
            (None, '{') => open.push('}'),
            (None, '[') => open.push(']'),
            (None, '}' | ']') => {
                // A bracket that closes nothing is for TOML to refuse.
                open.pop();
                if open.is_empty() {
                    let length = place + character.len_utf8();
                    return (rest[..length].to_owned(), None, length);
                }
            }
            (None, _) => {}
        }
    }
    (rest.to_owned(), string.or(open.pop()), rest.len())
}

/// A word as it stands in a line: in quotes where it needs them.
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains(char::is_whitespace) && !word.starts_with(['"', '\'']);
    let toml = word.starts_with(['{', '[']);
    if plain || toml {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn blanks_part_words_but_in_quotes_and_brackets() {
        assert_eq!(texts("  show\tport  info 0 "), ["show", "port", "info", "0"]);
        assert_eq!(texts(r#"filter "tcp port 80" snap 'a "b'"#), ["filter", "tcp port 80", "snap", "a \"b"]);
        assert_eq!(texts(r#""a\"b\\c\d""#), [r#"a"b\c\d"#]);
        let keys = r#"{ a = "}", b = { c = [1, 2] }, d = '"' }"#;
        assert_eq!(texts(&format!("port attach vm1 {keys} x")), ["port", "attach", "vm1", keys, "x"]);
        assert_eq!(texts("[1, 2]3"), ["[1, 2]", "3"]);
        assert_eq!(split("a { b").last().unwrap().unclosed, Some('}'));
        assert_eq!(split("a { b = \"x }").last().unwrap().unclosed, Some('"'));
        assert_eq!(split("a 'b").last().unwrap().unclosed, Some('\''));
        assert_eq!(split("ab  cd")[1].start, 4);
    }

    proptest! {
        #[test]
        fn what_was_quoted_reads_as_it_was(word in "[^{\\[]{0,12}") {
            prop_assert_eq!(texts(&format!("a {} b", quote(&word))), ["a", &word, "b"]);
        }

        #[test]
        fn any_line_is_split(line in ".{0,60}") {
            for word in split(&line) {
                prop_assert!(line.is_char_boundary(word.start));
            }
        }
    }
}
