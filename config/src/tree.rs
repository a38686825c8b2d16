//! Typed access to the tree that TOML makes of a file. Every reader notes what is wrong and returns
//! `None`, so that one fault doesn't hide the next.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Faults, Place, Source};
use crate::syntax::Repeat;

/// Octets up to which words are compared for likeness.
const MAX_ALIKE_LEN: usize = 64;

/// How alike two keys must be for one to be taken as a slip of the other (Jaro-Winkler, 0 to 1).
const LIKENESS: f64 = 0.77;

/// Where the file sets what, by path: `ports.uplink.mtu`, `switch.cores[1]`.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    source: Source,
    spans: BTreeMap<String, Range<usize>>,
}

impl Places {
    /// The place of `path`, or of the nearest thing around it that the file mentions.
    pub(crate) fn locate(&self, path: &str) -> Place {
        let mut path = path;
        let span = loop {
            match self.spans.get(path) {
                Some(span) => break span.clone(),
                None => match path.rfind(['.', '[']) {
                    Some(end) => path = &path[..end],
                    None => break 0..0,
                },
            }
        };
        Place::new(self.source.clone(), span)
    }
}

/// What is known of the file while it is read.
pub(crate) struct Reader {
    faults: RefCell<Vec<Fault>>,
    places: RefCell<Places>,
    /// Where the keys start that are not to be read.
    skipped: HashSet<usize>,
    /// What nothing else of its kind may be, and where it is.
    taken: RefCell<BTreeMap<(String, String), usize>>,
}

impl Reader {
    pub(crate) fn new(source: Source, repeats: &[Repeat]) -> Self {
        let faults = repeats.iter().map(|repeat| repeat.fault(&source)).collect();
        let places = Places { source, spans: BTreeMap::new() };
        Self {
            faults: RefCell::new(faults),
            places: RefCell::new(places),
            skipped: repeats.iter().map(|repeat| repeat.again.start).collect(),
            taken: RefCell::new(BTreeMap::new()),
        }
    }

    pub(crate) fn read<T>(
        &self,
        root: &Spanned<DeValue<'_>>,
        read: impl FnOnce(&Node<'_>) -> Option<T>,
    ) -> Option<T> {
        read(&Node { reader: self, path: String::new(), value: root })
    }

    pub(crate) fn finish(self) -> (Faults, Places) {
        (self.faults.into_inner().into_iter().collect(), self.places.into_inner())
    }

    fn refuse(&self, span: Range<usize>, what: String, cure: String) {
        let place = Place::new(self.places.borrow().source.clone(), span);
        self.faults.borrow_mut().push(Fault::at(&place, what, cure));
    }

    fn unique(&self, span: Range<usize>, kind: &str, identity: impl Display, what: &str) -> Option<()> {
        let identity = (kind.to_owned(), identity.to_string());
        let other = *self.taken.borrow_mut().entry(identity).or_insert(span.start);
        if other == span.start {
            return Some(());
        }
        let (line, column) = self.places.borrow().source.position(other);
        self.refuse(span, what.to_owned(), format!("keep one: the other is at {line}:{column}"));
        None
    }
}

/// A value and what it is called.
#[derive(Clone)]
pub(crate) struct Node<'d> {
    reader: &'d Reader,
    path: String,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Node<'d> {
    /// What messages call the value: its path from the top of the file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Takes `identity` for this value. `None` and a fault, if another value of `kind` has it.
    pub(crate) fn unique(&self, kind: &str, identity: impl Display, what: &str) -> Option<()> {
        self.reader.unique(self.value.span(), kind, identity, what)
    }

    /// Notes a fault of the value. Returns `None`, whatever was to be read.
    pub(crate) fn refuse<T>(&self, what: impl Into<String>, cure: impl Into<String>) -> Option<T> {
        self.reader.refuse(self.value.span(), what.into(), cure.into());
        None
    }

    /// Notes that the value has another type than it should.
    pub(crate) fn refuse_type<T>(&self, wanted: &str, cure: impl Into<String>) -> Option<T> {
        let article = |noun: &str| {
            if noun.starts_with(['a', 'i', 'o']) { "an" } else { "a" }
        };
        let found = self.value.get_ref().type_str();
        let what = format!("`{}` is {} {found}, not {} {wanted}", self.path, article(found), article(wanted));
        self.refuse(what, cure)
    }

    pub(crate) fn as_str(&self) -> Option<&'d str> {
        self.value.get_ref().as_str()
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.value.get_ref().is_integer()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The value where a name of the user's is asked for.
    pub(crate) fn as_key(&self) -> Key<'d> {
        Key { reader: self.reader, span: self.value.span() }
    }

    /// A string.
    pub(crate) fn text(&self, cure: &str) -> Option<&'d str> {
        self.as_str().or_else(|| self.refuse_type("string", cure))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        value.or_else(|| self.refuse_type("boolean", "write true or false, without quotes"))
    }

    /// A number in a range.
    pub(crate) fn number<T>(&self, range: &RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<i128>,
    {
        let cure = format!("write a number from {} to {}", range.start(), range.end());
        let Some(number) = self.value.get_ref().as_integer() else {
            return self.refuse_type("number", cure);
        };
        i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .or_else(|| self.refuse(format!("`{}` is out of range", self.path), cure))
    }

    /// A number that may have a fraction.
    pub(crate) fn fraction(&self, cure: &str) -> Option<f64> {
        let value = self.value.get_ref();
        let digits = value.as_float().map(|float| float.as_str());
        let digits = digits.or_else(|| value.as_integer().map(|integer| integer.as_str()));
        digits.and_then(|digits| digits.parse().ok()).or_else(|| self.refuse_type("number", cure))
    }

    /// A number, or the first and the last of some as in "10-20", within a range. `noun` is what they
    /// are, `example` how the file would have them.
    pub(crate) fn range(
        &self,
        range: &RangeInclusive<u16>,
        noun: &str,
        example: &str,
    ) -> Option<RangeInclusive<u16>> {
        if self.is_integer() {
            return self.number(range).map(|number| number..=number);
        }
        let cure = format!("write a number, or a range as in \"{example}\"");
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            // Numbers too large for their type are out of range like any other.
            digits.then(|| text.parse().unwrap_or(u32::MAX))
        };
        let Some((first, last)) = ends(self.text(&cure)?, number) else {
            return self.refuse(format!("`{}` is no range of {noun}", self.path), cure);
        };
        let inside = |end: u32| u16::try_from(end).ok().filter(|end| range.contains(end));
        let (Some(first), Some(last)) = (inside(first), inside(last)) else {
            let what = format!("`{}` is out of range", self.path);
            return self.refuse(what, format!("write numbers from {} to {}", range.start(), range.end()));
        };
        if first > last {
            let what = format!("`{}` runs backwards", self.path);
            return self.refuse(what, format!("write \"{last}-{first}\""));
        }
        Some(first..=last)
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let list = alternatives(&words);
        let text = self.text(&format!("write {list}"))?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        chosen.map(|(_, value)| *value).or_else(|| {
            let cure = match alike(text, choices.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean \"{word}\"? It can be {list}"),
                None => format!("write {list}"),
            };
            self.refuse(format!("`{}` has no such value", self.path), cure)
        })
    }

    /// The items of an array.
    pub(crate) fn items(&self, cure: &str) -> Option<Vec<Self>> {
        let Some(items) = self.value.get_ref().as_array() else {
            return self.refuse_type("array", cure);
        };
        let nodes = items.iter().enumerate();
        Some(nodes.map(|(number, value)| self.child(&format!("[{number}]"), value)).collect())
    }

    /// What an array holds, one reader for all. `None` if any item is at fault.
    pub(crate) fn list<T>(&self, cure: &str, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        all(self.items(cure)?.iter().map(read))
    }

    /// The entries of a table whose keys are names of the user's, in the file's order.
    pub(crate) fn entries(&self) -> Option<Vec<(&'d str, Key<'d>, Self)>> {
        let Some(table) = self.value.get_ref().as_table() else {
            return self.refuse_type("table", self.table_cure());
        };
        let entries = self.in_order(table).into_iter();
        let nodes = entries.map(|(key, value)| {
            let name: &'d str = key.get_ref();
            let node = self.child(&format!(".{name}"), value);
            let key = Key { reader: self.reader, span: key.span() };
            (name, key, node)
        });
        Some(nodes.collect())
    }

    /// A table of known keys: reads it, then notes every key that `read` has not asked for.
    pub(crate) fn table<T>(&self, read: impl FnOnce(&Table<'d>) -> Option<T>) -> Option<T> {
        let Some(table) = self.value.get_ref().as_table() else {
            return self.refuse_type("table", self.table_cure());
        };
        let table = Table {
            node: self.clone(),
            entries: self.in_order(table),
            known: RefCell::new(Vec::new()),
            lacking: RefCell::new(Vec::new()),
        };
        let value = read(&table);
        table.finish();
        value
    }

    fn table_cure(&self) -> String {
        // A header names arrays of tables without the number of the one it belongs to.
        let names = self.path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
        let header: String = names.collect();
        let header = if self.path.ends_with(']') { format!("[[{header}]]") } else { format!("[{header}]") };
        format!("write `{header}` and its keys below, or {{ key = value }}")
    }

    fn in_order(&self, table: &'d DeTable<'d>) -> Vec<Entry<'d>> {
        let mut entries: Vec<_> =
            table.iter().filter(|(key, _)| !self.reader.skipped.contains(&key.span().start)).collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    fn child(&self, suffix: &str, value: &'d Spanned<DeValue<'d>>) -> Self {
        let path = format!("{}{suffix}", self.path);
        let path = path.strip_prefix('.').unwrap_or(&path).to_owned();
        let mut places = self.reader.places.borrow_mut();
        places.spans.insert(path.clone(), value.span());
        Self { reader: self.reader, path, value }
    }
}

type Entry<'d> = (&'d Spanned<std::borrow::Cow<'d, str>>, &'d Spanned<DeValue<'d>>);

/// A key that is a name of the user's.
pub(crate) struct Key<'d> {
    reader: &'d Reader,
    span: Range<usize>,
}

impl Key<'_> {
    /// Takes `identity` for this name. `None` and a fault, if another value of `kind` has it.
    pub(crate) fn unique(&self, kind: &str, identity: impl Display, what: &str) -> Option<()> {
        self.reader.unique(self.span.clone(), kind, identity, what)
    }

    /// Notes a fault of the name.
    pub(crate) fn refuse<T>(&self, what: impl Into<String>, cure: impl Into<String>) -> Option<T> {
        self.reader.refuse(self.span.clone(), what.into(), cure.into());
        None
    }
}

/// A table of known keys.
pub(crate) struct Table<'d> {
    node: Node<'d>,
    entries: Vec<Entry<'d>>,
    known: RefCell<Vec<&'static str>>,
    lacking: RefCell<Vec<Lacking>>,
}

/// A fault that is none if one of these keys is there after all, misspelt.
struct Lacking {
    keys: Vec<&'static str>,
    what: String,
    cure: String,
}

impl<'d> Table<'d> {
    /// The table as a value, to refuse it as a whole.
    pub(crate) fn node(&self) -> &Node<'d> {
        &self.node
    }

    /// Whether it has no key at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`, if it is there.
    pub(crate) fn find(&self, key: &'static str) -> Option<Node<'d>> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        let (_, value) = self.entry(key)?;
        Some(self.node.child(&format!(".{key}"), value))
    }

    /// What `read` makes of `key`, if it is there.
    pub(crate) fn get<T>(&self, key: &'static str, read: impl FnOnce(&Node<'d>) -> Option<T>) -> Option<T> {
        read(&self.find(key)?)
    }

    /// What `read` makes of `key`, which must be there; `cure` says what to write if it isn't.
    pub(crate) fn require<T>(
        &self,
        key: &'static str,
        cure: &str,
        read: impl FnOnce(&Node<'d>) -> Option<T>,
    ) -> Option<T> {
        match self.find(key) {
            Some(node) => read(&node),
            None => self.refuse_lack(&[key], format!("`{}` lacks `{key}`", self.node.path), cure),
        }
    }

    /// Notes that none of `keys` is there, though one is needed.
    pub(crate) fn refuse_lack<T>(
        &self,
        keys: &[&'static str],
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Option<T> {
        self.lacking.borrow_mut().push(Lacking { keys: keys.to_vec(), what: what.into(), cure: cure.into() });
        None
    }

    /// Notes every one of `keys` that is there, though it has no meaning in this table because of what
    /// another key says.
    pub(crate) fn refuse_keys(&self, keys: &[&'static str], what: &str, cure: &str) {
        for key in keys {
            if let Some((found, _)) = self.entry(key) {
                self.refuse_key(found.span(), &format!("`{key}` {what}"), cure);
            }
        }
    }

    fn refuse_key(&self, span: Range<usize>, what: &str, cure: &str) {
        self.node.reader.refuse(span, what.to_owned(), cure.to_owned());
    }

    fn entry(&self, key: &str) -> Option<Entry<'d>> {
        self.entries.iter().copied().find(|(found, _)| found.get_ref() == key)
    }

    /// Notes the keys that nobody asked for, and those that were asked for in vain.
    fn finish(&self) {
        let known = self.known.borrow();
        let what = match self.node.path.as_str() {
            "" => "the file has no such key at its top".to_owned(),
            path => format!("`{path}` has no such key"),
        };
        let mut meant = HashSet::new();
        for (key, _) in &self.entries {
            if known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let guess = alike(key.get_ref(), known.iter().copied());
            meant.extend(guess);
            let cure = match guess {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => {
                    let keys: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
                    format!("it can have {}", keys.join(", "))
                }
            };
            self.refuse_key(key.span(), &what, &cure);
        }
        for Lacking { keys, what, cure } in self.lacking.borrow_mut().drain(..) {
            if !keys.iter().any(|key| meant.contains(key)) {
                self.node.refuse::<()>(what, cure);
            }
        }
    }
}

/// Every item, or `None` if one is `None`; all are drawn either way, so that all their faults are noted.
pub(crate) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}

/// The first and the last of a range as in `10-20`. What is no range is both.
pub(crate) fn ends<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    read(first).zip(read(last))
}

/// The candidate that `word` is probably a slip of.
pub(crate) fn alike<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let comparable = candidates.into_iter().filter(|other| word.len().max(other.len()) <= MAX_ALIKE_LEN);
    let scored = comparable.map(|candidate| {
        let likeness = strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
        (likeness, candidate)
    });
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, candidate)| candidate)
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn alternatives<T: Display>(items: &[T]) -> String {
    let mut text = String::new();
    for (number, item) in items.iter().enumerate() {
        let separator = match number {
            0 => "",
            _ if number + 1 == items.len() => " or ",
            _ => ", ",
        };
        text.push_str(separator);
        text.push_str(&item.to_string());
    }
    text
}
