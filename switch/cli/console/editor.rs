//! The line that is written: its history, completion, hints and questions.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Event, EventContext, EventHandler, Helper,
    KeyEvent, RepeatCount,
};

use super::live::Live;
use crate::console::{Next, next, split};

/// Lines of history that are kept.
const HISTORY: usize = 1_000;

/// What somebody has typed.
pub(super) enum Typed {
    /// A line.
    Line(String),
    /// The beginning of one, and then `?`.
    Question(String),
}

/// Reads lines.
pub(super) struct Editor {
    lines: rustyline::Editor<Help, FileHistory>,
    history: Option<PathBuf>,
    asked: Arc<AtomicBool>,
    /// The beginning of the next line: what stood before `?`.
    begun: String,
}

impl Editor {
    pub(super) fn new(live: Arc<Live>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut lines = rustyline::Editor::with_config(config)?;
        lines.set_helper(Some(Help { live, files: FilenameCompleter::new() }));
        let asked = Arc::new(AtomicBool::new(false));
        let question = EventHandler::Conditional(Box::new(Question(asked.clone())));
        lines.bind_sequence(KeyEvent::from('?'), question);
        let history = history_file();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = lines.load_history(file);
        }
        Ok(Self { lines, history, asked, begun: String::new() })
    }

    pub(super) fn read(&mut self) -> Result<Typed, ReadlineError> {
        let begun = std::mem::take(&mut self.begun);
        let line = self.lines.readline_with_initial("pollux> ", (&begun, ""))?;
        if self.asked.swap(false, Ordering::SeqCst) {
            self.begun = line.clone();
            return Ok(Typed::Question(line));
        }
        if let Some(file) = &self.history {
            // A history that can't be kept is no reason not to work.
            let _ = self.lines.append_history(file);
        }
        Ok(Typed::Line(line))
    }
}

/// Where the history is kept: in the user's folder for what programs remember.
fn history_file() -> Option<PathBuf> {
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("pollux");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// `?` asks what can come next, but where it is a character like others: in quotes and brackets.
struct Question(Arc<AtomicBool>);

impl ConditionalEventHandler for Question {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let before = &context.line()[..context.pos()];
        if context.pos() < context.line().len() || split(before).iter().any(|word| word.unclosed.is_some()) {
            return None;
        }
        self.0.store(true, Ordering::SeqCst);
        Some(Cmd::AcceptLine)
    }
}

struct Help {
    live: Arc<Live>,
    files: FilenameCompleter,
}

impl Helper for Help {}

impl Validator for Help {}

impl Completer for Help {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, next) = next(&line[..at], &*self.live);
        if next.contains(&Next::File) {
            return self.files.complete_path(line, at);
        }
        let words: Vec<_> = next
            .into_iter()
            .filter_map(|next| match next {
                Next::Word { word, .. } => Some(word),
                _ => None,
            })
            .collect();
        // Behind the only one there is, the next word can be written.
        let blank = if words.len() == 1 { " " } else { "" };
        Ok((
            start,
            words
                .into_iter()
                .map(|word| Pair { replacement: format!("{word}{blank}"), display: word })
                .collect(),
        ))
    }
}

/// What can come next, in grey.
struct Grey(String);

impl Hint for Grey {
    fn display(&self) -> &str {
        &self.0
    }

    /// It is no text to insert.
    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Help {
    type Hint = Grey;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<Grey> {
        const FEW: usize = 4;
        if at < line.len() || line.trim().is_empty() || !line.ends_with(' ') {
            return None;
        }
        let (_, next) = next(line, &NoValues);
        let words: Vec<_> = next
            .iter()
            .map(|next| match next {
                Next::Word { word, .. } => word.as_str(),
                Next::File => "",
                Next::Argument(name, _) => name,
                Next::End => "",
            })
            .filter(|word| !word.is_empty())
            .collect();
        (!words.is_empty() && words.len() <= FEW).then(|| Grey(words.join("|")))
    }
}

impl Highlighter for Help {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        format!("\x1b[2m{hint}\x1b[0m").into()
    }
}

/// A hint asks no switch.
struct NoValues;

impl crate::console::Values for NoValues {
    fn ports(&self) -> Vec<String> {
        Vec::new()
    }

    fn names(&self, _: crate::console::Named) -> Vec<String> {
        Vec::new()
    }

    fn vlans(&self) -> Vec<String> {
        Vec::new()
    }
}
