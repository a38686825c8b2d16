//! The configuration: what runs, what the file says, and changes of it.

use std::time::Duration;

use pollux_config::limits::MAX_FILE_LEN;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{changed, described, refused};
use super::{Arguments, Diff, Failure, Method, Reply, toml};
use crate::control::{Edit, Running};
use crate::rpc::Code;

pub(super) const METHODS: &[(&str, Method)] = &[
    ("config.running", running),
    ("config.saved", saved),
    ("config.diff", diff),
    ("config.check", check),
    ("config.apply", apply),
    ("config.confirm", confirm),
    ("config.rollback", rollback),
    ("config.edit", edit),
    ("config.save", save),
    ("config.reload", reload),
];

/// What a text is called that came without a name.
const UNNAMED: &str = "configuration";

/// Edits in one call.
const MAX_EDITS: usize = 1000;

/// The longest time to confirm a change in.
const MAX_CONFIRM_SECONDS: u64 = 3600;

fn running(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(json!({ "text": running.text() }).into())
}

fn saved(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    let text = running.saved().map_err(refused)?;
    Ok(json!({ "file": running.file(), "text": String::from_utf8_lossy(&text) }).into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeText {
    text: Option<String>,
    name: Option<String>,
}

fn diff(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let MaybeText { text, name } = arguments.parse()?;
    let (name, text) = match text {
        Some(text) => (name.unwrap_or_else(|| UNNAMED.to_owned()), text),
        None => {
            let saved = running.saved().map_err(refused)?;
            (running.file().display().to_string(), String::from_utf8_lossy(&saved).into_owned())
        }
    };
    if text.len() > MAX_FILE_LEN {
        let what = format!("{name}: {} octets; a configuration has at most {MAX_FILE_LEN}", text.len());
        return Err(Failure::new(Code::Params, what));
    }
    let (changes, refused) = match running.check(&name, &text) {
        Ok(changes) => (described(&changes), Value::Null),
        Err(error) => (Value::Null, error.to_string().into()),
    };
    // Comparing may take long, so the client's thread does it.
    Ok(Reply::Diff(Diff { name, text, running: running.text().to_owned(), changes, refused }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    text: String,
    name: Option<String>,
}

fn check(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Check { text, name } = arguments.parse()?;
    changed(running.check(name.as_deref().unwrap_or(UNNAMED), &text))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apply {
    text: String,
    name: Option<String>,
    confirm_seconds: Option<u64>,
}

fn apply(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Apply { text, name, confirm_seconds } = arguments.parse()?;
    if confirm_seconds.is_some_and(|seconds| !(1..=MAX_CONFIRM_SECONDS).contains(&seconds)) {
        let what = format!("parameters: `confirm_seconds` is out of range: write 1 to {MAX_CONFIRM_SECONDS}");
        return Err(Failure::new(Code::Params, what));
    }
    let name = name.as_deref().unwrap_or(UNNAMED);
    let changes = running.apply(name, text, confirm_seconds.map(Duration::from_secs)).map_err(refused)?;
    Ok(json!({ "changes": described(&changes), "confirm_seconds": confirm_seconds }).into())
}

fn confirm(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    running.confirm().map_err(refused)?;
    Ok(json!({ "confirmed": true }).into())
}

fn rollback(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    changed(running.rollback())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits {
    edits: Vec<OneEdit>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum OneEdit {
    Set { set: Vec<String>, value: Value },
    Remove { remove: Vec<String> },
}

fn edit(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Edits { edits, dry_run } = arguments.parse()?;
    if edits.len() > MAX_EDITS {
        return Err(Failure::new(Code::Params, format!("parameters: more than {MAX_EDITS} edits")));
    }
    let edits = edits.into_iter().map(|edit| {
        Ok(match edit {
            OneEdit::Set { set, value } => Edit::Set(set, toml::value("value", value)?),
            OneEdit::Remove { remove } => Edit::Remove(remove),
        })
    });
    let edits = edits.collect::<Result<_, Failure>>()?;
    changed(running.edit(edits, dry_run))
}

fn save(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    running.save().map_err(refused)?;
    Ok(json!({ "file": running.file() }).into())
}

fn reload(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    changed(running.reload())
}
