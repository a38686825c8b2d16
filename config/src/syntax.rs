//! TOML's own rules: what isn't TOML ends the reading, a key that is set twice doesn't.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::fault::{Fault, Faults, Place, Source};

/// Keys that are looked into for having been set before. Each costs a reading of the file.
const MAX_REPEATS: usize = 20;

/// A text in which no key is set twice.
pub(crate) struct Repaired {
    text: String,
    /// The keys that were set before, renamed in `text`.
    pub(crate) repeats: Vec<Repeat>,
}

/// A key that its table already has. Spans are those of the file.
pub(crate) struct Repeat {
    pub(crate) again: Range<usize>,
    pub(crate) first: Option<Range<usize>>,
}

impl Repaired {
    /// The tree of the file. Nothing in it has moved: names were replaced by names of their length.
    pub(crate) fn tree(&self) -> Spanned<DeValue<'_>> {
        let (root, _) = DeTable::parse_recoverable(&self.text);
        Spanned::new(0..0, DeValue::Table(root.into_inner()))
    }
}

/// Renames every key that its table already has, so that the rest of the file can be read as well.
/// Fails with every syntax error, if the text isn't TOML otherwise.
pub(crate) fn repair(source: &Source) -> Result<Repaired, Faults> {
    let mut text = source.text().to_owned();
    let mut repeats: Vec<Repeat> = Vec::new();
    loop {
        let (root, errors) = DeTable::parse_recoverable(&text);
        if let Some(last) = repeats.last_mut() {
            last.first = first_of(root.get_ref(), source.text(), &last.again);
        }
        let repeat = errors
            .iter()
            .filter(|error| error.message() == "duplicate key")
            .filter_map(Error::span)
            .min_by_key(|span| span.start)
            .filter(|_| repeats.len() < MAX_REPEATS)
            .filter(|span| repeats.last().is_none_or(|last| last.again != *span));
        let renamed = repeat.and_then(|again| Some((unused_key(root.get_ref(), again.len())?, again)));
        match renamed {
            Some((key, again)) => {
                text.replace_range(again.clone(), &key);
                repeats.push(Repeat { again, first: None });
            }
            None if errors.is_empty() => return Ok(Repaired { text, repeats }),
            None => {
                let wrong = errors.iter().map(|error| fault(source, error));
                return Err(first_of_each_line(
                    wrong.chain(repeats.iter().map(|repeat| repeat.fault(source))),
                ));
            }
        }
    }
}

impl Repeat {
    pub(crate) fn fault(&self, source: &Source) -> Fault {
        let cure = match &self.first {
            Some(first) => {
                let (line, column) = source.position(first.start);
                format!("keep one: the other is at {line}:{column}")
            }
            None => "keep one".to_owned(),
        };
        let place = Place::new(source.clone(), self.again.clone());
        Fault::at(&place, "this key is already set", cure)
    }
}

/// Where the key that stood at `again` is set first: in the same table as its replacement.
fn first_of(table: &DeTable<'_>, original: &str, again: &Range<usize>) -> Option<Range<usize>> {
    let name = original.get(again.clone())?.trim_matches(['"', '\'']);
    if table.keys().any(|key| key.span() == *again) {
        return table.get_key_value(name).map(|(key, _)| key.span());
    }
    tables_in(table).find_map(|table| first_of(table, original, again))
}

/// A key of `len` octets that no table has.
fn unused_key(root: &DeTable<'_>, len: usize) -> Option<String> {
    let mut used = HashSet::new();
    collect_keys(root, &mut used);
    ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .map(|letter| letter.to_string().repeat(len))
        .find(|key| !key.is_empty() && !used.contains(key.as_str()))
}

fn collect_keys<'t>(table: &'t DeTable<'_>, keys: &mut HashSet<&'t str>) {
    keys.extend(table.keys().map(|key| key.get_ref().as_ref()));
    for table in tables_in(table) {
        collect_keys(table, keys);
    }
}

/// The tables that a table's values are, or hold in arrays.
fn tables_in<'t, 'i>(table: &'t DeTable<'i>) -> impl Iterator<Item = &'t DeTable<'i>> {
    let mut values: Vec<_> = table.values().map(Spanned::get_ref).collect();
    std::iter::from_fn(move || {
        while let Some(value) = values.pop() {
            match value {
                DeValue::Table(table) => return Some(table),
                DeValue::Array(items) => values.extend(items.iter().map(Spanned::get_ref)),
                _ => {}
            }
        }
        None
    })
}

fn fault(source: &Source, error: &Error) -> Fault {
    let end = source.text().len();
    let place = Place::new(source.clone(), error.span().unwrap_or(end..end));
    let message = error.message();
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (message, None),
    };
    // Text without quotes is the likeliest slip. TOML takes some of it for other things: what starts
    // with n or i for a number, a PCI address for a time of day.
    let bare = what == "string values must be quoted"
        || what == "invalid time"
        || what == "invalid float" && matches!(expected, Some("`nan`" | "`inf`"));
    match (bare, expected) {
        (true, _) if place.text().is_empty() => Fault::at(&place, "a value is missing", "write one here"),
        (true, _) => {
            let cure = format!("put it in quotes: \"{}\"", place.text());
            Fault::at(&place, "this is text without quotes", cure)
        }
        (false, Some("nothing")) => Fault::at(&place, what, "remove it"),
        (false, Some(expected)) => Fault::at(&place, what, format!("expected here: {expected}")),
        (false, None) => Fault::at(&place, what, "write it as TOML (toml.io) does"),
    }
}

/// One slip makes the parser stumble several times over the same line: the first time says most.
fn first_of_each_line(faults: impl Iterator<Item = Fault>) -> Faults {
    let mut lines = HashSet::new();
    let faults = Faults::from_iter(faults);
    faults.into_iter().filter(|fault| lines.insert(fault.place().line())).collect()
}
