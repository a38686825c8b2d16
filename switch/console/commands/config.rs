//! The configuration as a whole.

use std::time::Duration;

use serde_json::{Value, json};

use super::steps::file;
use super::{Args, Caller, Entry, Failed, call, edit, object, remove, set, steps};
use crate::console::grammar::argument;
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show config running",
        "the configuration that runs, as a file",
        "show config running",
        |_| ("config.running", Value::Null),
        render::text_of,
    ),
    call(
        "show config saved",
        "the file that the switch reads when it starts",
        "show config saved",
        |_| ("config.saved", Value::Null),
        render::text_of,
    ),
    call(
        "show config diff",
        "what differs between the file and what runs",
        "show config diff",
        |_| ("config.diff", Value::Null),
        render::diff,
    ),
    steps(
        "config diff FILE",
        "what differs between a file of this machine and what runs, and what applying it would do",
        "config diff /tmp/pollux-example.toml",
        |args, switch| Ok(switch.call("config.diff", json!({ "text": file(path(args))? }))?),
        render::diff,
    ),
    call(
        "config save",
        "writes what runs into the switch's file",
        "config save",
        |_| ("config.save", Value::Null),
        render::saved,
    ),
    steps(
        "config check FILE",
        "says what applying a file of this machine would do, or what is wrong with it; touches nothing",
        "config check /tmp/pollux-example.toml",
        |args, switch| Ok(switch.call("config.check", json!({ "text": file(path(args))? }))?),
        render::would,
    ),
    steps(
        "config apply FILE [confirm|--confirm DURATION]",
        "applies what differs in a file of this machine; undone by itself unless confirmed in time",
        "config apply /tmp/pollux-example.toml confirm 60s",
        apply,
        render::applied,
    ),
    call(
        "config confirm",
        "keeps what was applied",
        "config confirm",
        |_| ("config.confirm", Value::Null),
        render::confirmed,
    ),
    call(
        "config rollback",
        "goes back to what ran before the apply that isn't confirmed, or else before the last change",
        "config rollback",
        |_| ("config.rollback", Value::Null),
        render::changes,
    ),
    call(
        "config reload",
        "reads the switch's file again and applies what differs, as SIGHUP does",
        "config reload",
        |_| ("config.reload", Value::Null),
        render::changes,
    ),
    call(
        "config set KEYS VALUE",
        "gives any key of the configuration a value",
        "config set fdb.ageing_time 300s",
        |args| {
            let value = argument::toml(args.get("VALUE").unwrap_or_default()).unwrap_or_default();
            edit(set(&borrowed(&keys(args)), value))
        },
        render::changes,
    ),
    call(
        "config remove KEYS",
        "takes a key of the configuration away",
        "config remove fdb.ageing_time",
        |args| edit(remove(&borrowed(&keys(args)))),
        render::changes,
    ),
];

fn path(args: &Args) -> &str {
    args.get("FILE").unwrap_or_default()
}

fn keys(args: &Args) -> Vec<String> {
    argument::keys(args.get("KEYS").unwrap_or_default()).unwrap_or_default()
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

fn apply(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let seconds = args.get("DURATION").map(seconds).transpose()?;
    let params = object([
        ("text", file(path(args))?.into()),
        ("name", path(args).into()),
        ("confirm_seconds", seconds.into()),
    ]);
    Ok(switch.call("config.apply", params)?)
}

/// Whole seconds of a time with its unit.
fn seconds(text: &str) -> Result<u64, Failed> {
    let wrong = || {
        Failed::Input(format!("`{text}` is no time to confirm in: write whole seconds or minutes, as in 60s"))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "s" => Duration::from_secs(1),
        "min" | "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    number.checked_mul(unit.as_secs()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;

    #[test]
    fn any_key_can_be_set() {
        let line = "config set qos.profiles.gold.class.\"0\".queue \"1MiB\"";
        // Quotes within a word stay there.
        let (_, params) = Command::parse(line).unwrap().unwrap().call().unwrap();
        let path = ["qos", "profiles", "gold", "class", "0", "queue"];
        assert_eq!(params, json!({ "edits": [{ "set": path, "value": "1MiB" }] }));
        assert_eq!(seconds("2min").unwrap(), 120);
        assert!(
            seconds("5").is_err() && seconds("99999999999999999999s").is_err() && seconds("1.5s").is_err()
        );
    }
}
