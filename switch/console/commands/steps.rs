//! Commands that have to look before they act.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Args, Caller, Failed};

/// What `port.list` says of a port, or of all.
pub(super) fn list(args: &Args, switch: &mut dyn Caller) -> Result<Vec<Value>, Failed> {
    let mut answer = switch.call("port.list", super::port_or_all(args))?;
    match answer["ports"].take() {
        Value::Array(ports) => Ok(ports),
        _ => Err(Failed::Here("the switch lists no ports; it is of another version".to_owned())),
    }
}

/// The names of a port, or of all.
pub(super) fn names(args: &Args, switch: &mut dyn Caller) -> Result<Vec<String>, Failed> {
    Ok(list(args, switch)?.iter().filter_map(|port| port["port"].as_str().map(str::to_owned)).collect())
}

/// A method that takes one port, for a port or for all: `ports`, each with its name as `port`.
pub(super) fn each(args: &Args, switch: &mut dyn Caller, method: &str) -> Result<Value, Failed> {
    let mut ports = Vec::new();
    for name in names(args, switch)? {
        let mut answer = switch.call(method, json!({ "port": name }))?;
        if let Value::Object(fields) = &mut answer {
            fields.insert("port".to_owned(), name.into());
        }
        ports.push(answer);
    }
    Ok(json!({ "ports": ports }))
}

/// One edit of each port, all or none.
pub(super) fn edit_each(
    ports: &[String],
    switch: &mut dyn Caller,
    edit: impl Fn(&str) -> Value,
) -> Result<Value, Failed> {
    let edits: Vec<_> = ports.iter().map(|port| edit(port)).collect();
    Ok(switch.call("config.edit", json!({ "edits": edits }))?)
}

/// The names of a port, or of all that have a device of their own: the others have no such setting.
pub(super) fn devices(args: &Args, switch: &mut dyn Caller) -> Result<Vec<String>, Failed> {
    let ports = list(args, switch)?;
    let wanted = ports.iter().filter(|port| args.get("PORT").is_some() || port["kind"] == "device");
    let names: Vec<_> = wanted.filter_map(|port| port["port"].as_str().map(str::to_owned)).collect();
    if names.is_empty() {
        return Err(Failed::Input(
            "no port has a device of its own: the VMs' ports have no such setting".to_owned(),
        ));
    }
    Ok(names)
}

/// The name of the port, and the keys below `[ports.NAME]` in the configuration that runs.
pub(super) fn port_keys(
    args: &Args,
    switch: &mut dyn Caller,
) -> Result<(String, Map<String, Value>), Failed> {
    let name = names(args, switch)?.pop().unwrap_or_default();
    let text = switch.call("config.running", Value::Null)?;
    let text = text["text"].as_str().unwrap_or_default();
    let mut config: Value = toml::from_str(text).map_err(|error| {
        Failed::Here(format!("the running configuration can't be read: {}", error.message()))
    })?;
    match config["ports"][&name].take() {
        Value::Object(keys) => Ok((name, keys)),
        _ => Err(Failed::Input(format!("there is no port {name}"))),
    }
}

/// A file of this machine, as text.
pub(super) fn file(path: &str) -> Result<String, Failed> {
    let unreadable =
        |what: String| Failed::Input(format!("{path}: can't be read: {what}; name a readable file"));
    let octets = std::fs::read(Path::new(path)).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(octets).map_err(|_| unreadable("it is no UTF-8 text".to_owned()))
}
