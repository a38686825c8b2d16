use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// Characters of the offending text that a one-line message repeats.
const MAX_QUOTE_LEN: usize = 60;

/// A file's name and text, shared by every place in it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Arc<NamedSource<String>>,
    /// Where lines start, all but the first.
    lines: Arc<[usize]>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let newlines = text.match_indices('\n');
        Self {
            file: Arc::new(NamedSource::new(name, text.to_owned())),
            lines: newlines.map(|(offset, _)| offset + 1).collect(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.file.inner()
    }

    /// Line and column of an octet, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let (line, before) = self.line_before(offset);
        (line, before.chars().count() + 1)
    }

    /// The number of the line an octet is in, from 1, and the line's text before it.
    fn line_before(&self, offset: usize) -> (usize, &str) {
        let above = self.lines.partition_point(|start| *start <= offset);
        let start = above.checked_sub(1).map_or(0, |last| self.lines[last]);
        (above + 1, self.text().get(start..offset).unwrap_or_default())
    }
}

/// A piece of the file.
#[derive(Clone, Debug)]
pub struct Place {
    source: Source,
    span: Range<usize>,
}

impl Place {
    pub(crate) fn new(source: Source, span: Range<usize>) -> Self {
        Self { source, span }
    }

    /// The file, as it was named to [`parse`](crate::parse).
    pub fn file(&self) -> &str {
        self.source.file.name()
    }

    /// The line it starts in, from 1.
    pub fn line(&self) -> usize {
        self.source.line_before(self.span.start).0
    }

    /// The column it starts at, in characters from 1.
    pub fn column(&self) -> usize {
        self.source.position(self.span.start).1
    }

    /// The octets it covers.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The text it covers.
    pub fn text(&self) -> &str {
        self.source.text().get(self.span.clone()).unwrap_or_default()
    }

    /// The text as a message can hold it: its first line, not too long. Between two characters, where
    /// something is missing, it is what stands before them in their line.
    fn quote(&self) -> Option<String> {
        let text = match self.text() {
            "" => self.source.line_before(self.span.start).1.trim(),
            text => text,
        };
        let line = text.lines().next().unwrap_or_default().trim_end();
        let mut quote: String = line.chars().take(MAX_QUOTE_LEN).collect();
        if quote.len() < text.len() {
            quote.push('…');
        }
        (!line.is_empty()).then(|| printable(&quote))
    }
}

/// The text with what isn't printable escaped: it could command the reader's terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// `FILE:LINE:COLUMN`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.position(self.span.start);
        write!(f, "{}:{line}:{column}", self.file())
    }
}

/// Something in the file that keeps the switch from starting: what, where, and what would cure it.
///
/// Displays as what is wrong; [`Fault::line`] has the rest. As a [`Diagnostic`] it shows the source
/// line, underlined.
#[derive(Clone, Debug)]
pub struct Fault {
    place: Place,
    what: String,
    cure: String,
}

impl Fault {
    /// A fault at a place that [`Config::locate`](crate::Config::locate) has found. `what` and `cure`
    /// start in lower case and end without a stop; the offending text is added to `what`.
    pub fn at(place: &Place, what: impl AsRef<str>, cure: impl AsRef<str>) -> Self {
        Self { place: place.clone(), what: printable(what.as_ref()), cure: printable(cure.as_ref()) }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would cure it.
    pub fn cure(&self) -> &str {
        &self.cure
    }

    /// The fault in one line: ``FILE:LINE:COLUMN: what: `text`; cure``.
    pub fn line(&self) -> Line<'_> {
        Line { fault: self, kind: "" }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.cure))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.place.source.file)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::underline(self.place.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Something the engineer should know, though the switch starts.
#[derive(Clone, Debug)]
pub struct Notice(Fault);

impl Notice {
    /// A notice at a place that [`Config::locate`](crate::Config::locate) has found.
    pub fn at(place: &Place, what: impl AsRef<str>, cure: impl AsRef<str>) -> Self {
        Self(Fault::at(place, what, cure))
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        self.0.place()
    }

    /// What to know.
    pub fn what(&self) -> &str {
        self.0.what()
    }

    /// What to do about it, if it matters.
    pub fn cure(&self) -> &str {
        self.0.cure()
    }

    /// The notice in one line: ``FILE:LINE:COLUMN: note: what: `text`; cure``.
    pub fn line(&self) -> Line<'_> {
        Line { fault: &self.0, kind: "note: " }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Notice {}

impl Diagnostic for Notice {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Warning)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}

/// Every fault of a file, in the file's order.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The faults, in the file's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// The faults, one a line, in [`Fault::line`]'s form.
    pub fn lines(&self) -> Lines<'_> {
        Lines(self)
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort_by_key(|fault| fault.place.span.start);
        Self(faults)
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no fault"),
            [only] => write!(f, "a fault in {}", only.place.file()),
            [first, ..] => write!(f, "{} faults in {}", self.0.len(), first.place.file()),
        }
    }
}

impl std::error::Error for Faults {}

impl Diagnostic for Faults {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|fault| fault as &dyn Diagnostic)))
    }
}

/// Displays a [`Fault`] or a [`Notice`] in one line, without a closing newline.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    fault: &'a Fault,
    kind: &'static str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { place, what, cure } = self.fault;
        write!(f, "{place}: {}{what}", self.kind)?;
        if let Some(quote) = place.quote() {
            write!(f, ": `{quote}`")?;
        }
        write!(f, "; {cure}")
    }
}

/// Displays [`Faults`], one a line, without a closing newline.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a>(&'a Faults);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", fault.line())?;
        }
        Ok(())
    }
}
