//! JSON as the file would have it.

use serde_json::{Map, Value};
use toml_edit::InlineTable;

use super::Failure;
use crate::rpc::Code;

/// A table of the file; `name` is the parameter's, for who gave what the file can't hold.
pub(super) fn table(name: &str, map: Map<String, Value>) -> Result<InlineTable, Failure> {
    inline(map).ok_or_else(|| unwritable(name))
}

/// A value of the file.
pub(super) fn value(name: &str, value: Value) -> Result<toml_edit::Value, Failure> {
    written(value).ok_or_else(|| unwritable(name))
}

fn unwritable(name: &str) -> Failure {
    let what = format!("parameters: `{name}` holds what the file can't: a null, or too large a number");
    Failure::new(Code::Params, what)
}

fn inline(map: Map<String, Value>) -> Option<InlineTable> {
    map.into_iter().map(|(key, value)| Some((key, written(value)?))).collect()
}

fn written(value: Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(bool) => bool.into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().filter(|_| number.is_f64())?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => {
            toml_edit::Value::Array(items.into_iter().map(written).collect::<Option<toml_edit::Array>>()?)
        }
        Value::Object(map) => toml_edit::Value::InlineTable(inline(map)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_becomes_the_files_own_form() {
        let Value::Object(map) = json!({
            "vhost_user": { "socket": "/run/a.sock", "queues": 2 },
            "vlan": { "mode": "trunk", "allowed": ["1-4094", 7], "native": 1, "native_tagged": true },
        }) else {
            unreachable!()
        };
        let text = inline(map).unwrap().to_string();
        let parsed = pollux_config::parse("t", &format!("ports.a = {text}"));
        assert_eq!(parsed.unwrap_or_else(|faults| panic!("{}", faults.lines())).ports.len(), 1, "{text}");
        assert!(written(Value::Null).is_none());
        assert!(written(json!(u64::MAX)).is_none());
    }
}
