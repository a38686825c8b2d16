//! How captures and mirrors read. Which fields they have their own page says; what else one has is shown behind.

use serde_json::Value;

use super::{list, pairs, text};
use crate::console::grammar::Args;

/// One capture, or several.
pub(crate) fn capture(_: &Args, answer: &Value) -> String {
    let captures = &answer["captures"];
    if captures.is_array() { each(captures, "no capture runs") } else { named(&answer["capture"]) }
}

pub(crate) fn captures(_: &Args, answer: &Value) -> String {
    each(&answer["captures"], "no capture runs")
}

pub(crate) fn mirrors(_: &Args, answer: &Value) -> String {
    each(&answer["mirrors"], "there is no mirror")
}

fn each(of: &Value, none: &str) -> String {
    let lines: Vec<_> = list(of).map(named).collect();
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}

/// A name, then every field that says something.
fn named(of: &Value) -> String {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let fields: Vec<_> = pairs(of).filter(|(name, value)| *name != "name" && says(value)).collect();
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| field(name, value)).collect();
    format!("{}: {}", text(&of["name"]), fields.join(", "))
}

fn field(name: &str, value: &Value) -> String {
    let name = name.replace('_', " ");
    match value {
        Value::Bool(_) => name,
        Value::Object(inner) => {
            let inner: Vec<_> = inner.iter().filter(|(_, value)| !value.is_null()).collect();
            let inner: Vec<_> = inner.into_iter().map(|(inner, value)| field(inner, value)).collect();
            format!("{name} {}", inner.join(" "))
        }
        _ => format!("{name} {}", text(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_nothing_is_left_out() {
        let mirrors_of = json!({ "mirrors": [{ "name": "span", "from": { "ports": ["a", "b"], "vlan": null },
                                               "to": { "port": "c" }, "filter": null, "frames": 12345 }] });
        let text = mirrors(&Args::default(), &mirrors_of);
        assert_eq!(text, "span: frames 12,345, from ports a b, to port c");
        assert_eq!(captures(&Args::default(), &json!({ "captures": [] })), "no capture runs");
    }
}
