//! What commands there are, in words.

use std::fmt::Write;

use super::absent;
use super::commands::{self, Known, Section};
use super::grammar::{self, Next, Values};

/// The sections; or the commands of one, of all, or that begin with these words.
pub fn text(topic: Option<&str>) -> String {
    match topic.map(str::trim) {
        None => sections(),
        Some("all") => commands::sections().iter().map(section).collect::<Vec<_>>().join("\n"),
        Some(topic) => match commands::sections().iter().find(|section| section.name == topic) {
            Some(found) => section(found),
            None => beginning(topic),
        },
    }
}

fn sections() -> String {
    let mut text = "Help is available for these sections:\n\n".to_owned();
    for section in commands::sections() {
        let _ = writeln!(text, "    help {:<10} {}", section.name, section.about);
    }
    text + "    help all        all of them\n\n\
            `help WORDS` shows the commands that begin so; `?` anywhere in a line shows what can come next, and tab\n\
            completes it. Small words are typed as they are, capital ones stand for something; what is in brackets\n\
            may be left out."
}

fn section(section: &Section) -> String {
    let mut text = format!("{}: {}\n\n", section.name, section.about);
    for known in commands::all().iter().filter(|known| known.section.name == section.name) {
        text += &command(known);
    }
    text
}

fn command(known: &Known) -> String {
    format!("{}\n    {}\n", known.entry.syntax, known.entry.about)
}

fn beginning(words: &str) -> String {
    let begins = |known: &&Known| known.entry.syntax.starts_with(words);
    let found: String = commands::all().iter().filter(begins).map(command).collect();
    if !found.is_empty() {
        return found;
    }
    // Sections that testpmd has.
    if let Some((absent, _)) = absent::find(&grammar::words::split(&format!("help {words}"))) {
        return format!("{}; {}", absent.why, absent.instead);
    }
    match grammar::Command::parse(words) {
        Ok(Some(command)) => format!("{}\n    {}", command.entry.syntax, command.entry.about),
        Ok(None) => sections(),
        Err(error) => error.to_string(),
    }
}

/// What can come next in a line, with what it is for: a line each.
pub fn next(line: &str, values: &dyn Values) -> String {
    let (_, next) = grammar::next(line, values);
    if next.is_empty() {
        return match grammar::Command::parse(line) {
            Err(error) => format!("  {error}\n"),
            _ => "  nothing can come here\n".to_owned(),
        };
    }
    let rows: Vec<_> = next
        .into_iter()
        .map(|next| match next {
            Next::Word { word, about } => (word, about),
            Next::File => ("a path".to_owned(), String::new()),
            Next::Argument(name, about) => (name.to_owned(), about.to_owned()),
            Next::End => ("<enter>".to_owned(), "the command is whole".to_owned()),
        })
        .collect();
    let width = rows.iter().map(|(word, _)| word.chars().count()).max().unwrap_or_default();
    rows.into_iter()
        .map(|(word, about)| format!("  {word:<width$}  {about}").trim_end().to_owned() + "\n")
        .collect()
}
