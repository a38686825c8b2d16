//! From a line to a call.

use serde_json::{Map, Value, json};

/// A command, as a call of the control socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The method; see [`methods`](crate::rpc::methods).
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
}

/// A line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No command begins so.
    #[error("there is no command `{0}`; it can be\n{help}", help = super::HELP.trim_end())]
    Unknown(String),
    /// Something is missing or too much.
    #[error("write `{0}`")]
    Usage(&'static str),
    /// The keys of a port aren't TOML.
    #[error(
        "the keys of port {0}: {1}; write them as below [ports.{0}] in the file, in braces and separated by commas"
    )]
    Keys(String, String),
}

impl Command {
    /// Reads a line. `None` for an empty one and for a comment, which begins with `#`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what can be written instead.
    pub fn parse(line: &str) -> Result<Option<Self>, InputError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let (method, params) = match words[..] {
            ["show", "vhost"] | ["show", "vhost", "all"] => ("vhost.show", Value::Null),
            ["show", "vhost", port] => ("vhost.show", json!({ "port": port })),
            ["show", "vhost", ..] => return Err(InputError::Usage("show vhost [PORT|all]")),
            ["show", "port", "stats", "all"] => ("port.stats", Value::Null),
            ["show", "port", "stats", port] => ("port.stats", json!({ "port": port })),
            ["show", "port", ..] => return Err(InputError::Usage("show port stats PORT|all")),
            ["show", "qos"] | ["show", "qos", "all"] => ("qos.show", Value::Null),
            ["show", "qos", port] => ("qos.show", json!({ "port": port })),
            ["show", "qos", ..] => return Err(InputError::Usage("show qos [PORT|all]")),
            ["show", "config", "running"] => ("config.running", Value::Null),
            ["port", "attach", name, _, ..] => {
                ("port.attach", json!({ "name": name, "port": keys(name, line)? }))
            }
            ["port", "attach", ..] => {
                return Err(InputError::Usage("port attach NAME { vhost_user = { socket = \"/path\" } }"));
            }
            ["port", "detach", name] => ("port.detach", json!({ "name": name })),
            ["port", "detach", ..] => return Err(InputError::Usage("port detach NAME")),
            ["config", "reload"] => ("config.reload", Value::Null),
            ["config", ..] => return Err(InputError::Usage("config reload")),
            _ => return Err(InputError::Unknown(line.to_owned())),
        };
        Ok(Some(Self { method, params }))
    }
}

/// What stands behind the port's name.
fn keys(name: &str, line: &str) -> Result<Map<String, Value>, InputError> {
    let rest = ["port", "attach", name].iter().fold(line, |rest, word| {
        let rest = rest.trim_start();
        rest.strip_prefix(word).unwrap_or(rest)
    });
    let parsed = toml::from_str::<Map<String, Value>>(&format!("keys = {rest}"));
    let wrong = |what: String| InputError::Keys(name.to_owned(), what);
    let mut parsed = parsed.map_err(|error| wrong(error.message().to_owned()))?;
    match parsed.remove("keys") {
        Some(Value::Object(keys)) if parsed.is_empty() => Ok(keys),
        _ => Err(wrong("no table in braces".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        Command::parse(line).unwrap().expect("a command")
    }

    #[test]
    fn lines_become_calls() {
        assert_eq!(parse(" show  vhost ").method, "vhost.show");
        assert_eq!(parse("show vhost vm1").params, json!({ "port": "vm1" }));
        assert_eq!(parse("show port stats all").params, Value::Null);
        let attach =
            parse("port attach vm3 { vhost_user = { socket = \"/run/vm3.sock\", queues = 2 }, mtu = 9000 }");
        let keys = json!({ "vhost_user": { "socket": "/run/vm3.sock", "queues": 2 }, "mtu": 9000 });
        assert_eq!(attach.params, json!({ "name": "vm3", "port": keys }));
        let attach = parse("port attach a { device = \"net_null0\" }");
        assert_eq!(attach.params, json!({ "name": "a", "port": { "device": "net_null0" } }));
        assert_eq!(Command::parse("# show vhost").unwrap(), None);
        assert_eq!(Command::parse("").unwrap(), None);
    }

    #[test]
    fn what_is_no_command_says_what_is_one() {
        let refusal = |line: &str| Command::parse(line).unwrap_err().to_string();
        assert!(refusal("shwo vhost").contains("show vhost [PORT|all]"));
        assert_eq!(refusal("port detach"), "write `port detach NAME`");
        assert_eq!(parse("show qos all"), parse("show qos"));
        assert_eq!(parse("show qos vm1").params, json!({ "port": "vm1" }));
        assert_eq!(refusal("show qos a b"), "write `show qos [PORT|all]`");
        assert_eq!(refusal("show vhost a b"), "write `show vhost [PORT|all]`");
        assert!(refusal("port attach vm3 { vhost_user = }").starts_with("the keys of port vm3: "));
        assert!(refusal("port attach vm3 7").contains("no table in braces"));
    }
}
