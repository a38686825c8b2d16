//! What goes over the socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the methods and of what they answer. It goes up when a field goes or changes its
/// meaning, not when one comes.
pub const VERSION: u32 = 2;

const JSONRPC: &str = "2.0";

/// A call, as it stands in a line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) jsonrpc: String,
    /// Without one the caller wants no answer.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) id: Value,
    pub(super) method: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) params: Value,
}

/// An answer, as it stands in a line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) jsonrpc: String,
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Failure>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One of [`Code`]'s numbers.
    pub code: i64,
    /// What is wrong, where, and what would cure it; several faults are several lines.
    pub message: String,
}

/// The kinds of failures: those of JSON-RPC 2.0, clause 5.1, then the program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Code {
    /// The line is not JSON.
    Parse = -32700,
    /// The JSON is not a call.
    Invalid = -32600,
    /// There is no such method.
    NoMethod = -32601,
    /// The method has no such parameters.
    Params = -32602,
    /// It failed at run time.
    Failed = 1,
    /// What was asked for is wrong.
    Input = 2,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as i64, message: message.into() }
    }
}

impl Call {
    pub(super) fn new(id: u64, method: &str, params: Value) -> Self {
        Self { jsonrpc: JSONRPC.to_owned(), id: id.into(), method: method.to_owned(), params }
    }

    /// Reads a line. What is wrong with it goes back under the id that it has, if it has one.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Answer> {
        let json: Value = serde_json::from_slice(line).map_err(|error| {
            Answer::new(Value::Null, Err(Failure::new(Code::Parse, format!("not JSON: {error}"))))
        })?;
        let id = json.get("id").cloned().unwrap_or_default();
        let invalid = |what: String| Answer::new(id.clone(), Err(Failure::new(Code::Invalid, what)));
        let call: Self =
            serde_json::from_value(json).map_err(|error| invalid(format!("not a call: {error}")))?;
        if call.jsonrpc != JSONRPC {
            return Err(invalid(format!("`jsonrpc` is {:?}: write {JSONRPC:?}", call.jsonrpc)));
        }
        Ok(call)
    }
}

impl Answer {
    pub(super) fn new(id: Value, result: Result<Value, Failure>) -> Self {
        let jsonrpc = JSONRPC.to_owned();
        match result {
            Ok(result) => Self { jsonrpc, id, result: Some(result), error: None },
            Err(error) => Self { jsonrpc, id, result: None, error: Some(error) },
        }
    }

    /// The answer as a line, its end included.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("maps with text keys");
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (Value, i64) {
        let answer = Call::parse(line.as_bytes()).unwrap_err();
        (answer.id, answer.error.unwrap().code)
    }

    #[test]
    fn lines_that_are_no_calls_are_refused_under_their_id() {
        assert_eq!(refusal("{"), (Value::Null, Code::Parse as i64));
        assert_eq!(refusal("[]"), (Value::Null, Code::Invalid as i64));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":7}"#), (7.into(), Code::Invalid as i64));
        assert_eq!(refusal(r#"{"jsonrpc":"1.0","id":"a","method":"x"}"#), ("a".into(), Code::Invalid as i64));
        let call = Call::parse(br#"{"jsonrpc":"2.0","method":"x"}"#).unwrap();
        assert_eq!((call.id, call.params), (Value::Null, Value::Null));
    }
}
