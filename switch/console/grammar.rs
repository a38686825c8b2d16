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
            ["show", "port", port, "flow_ctrl"] => ("port.flow_control", json!({ "port": port })),
            ["show", "port", ..] => {
                return Err(InputError::Usage("show port stats PORT|all` or `show port PORT flow_ctrl"));
            }
            ["set", "flow_ctrl", ref words @ .., port] => flow_control(words, port)?,
            ["set", "pfc_ctrl", ref words @ .., port] => priority_flow_control(words, port)?,
            ["set", "flow_ctrl"] => return Err(InputError::Usage(FLOW_CONTROL)),
            ["set", "pfc_ctrl"] => return Err(InputError::Usage(PRIORITY_FLOW_CONTROL)),
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

const FLOW_CONTROL: &str = "set flow_ctrl rx (on|off) tx (on|off) (high_water) (low_water) (pause_time) \
                            (send_xon) autoneg (on|off) PORT`, or one of rx, tx, autoneg, high_water, low_water, \
                            pause_time, send_xon with its value, as in `set flow_ctrl rx on PORT";

const PRIORITY_FLOW_CONTROL: &str =
    "set pfc_ctrl rx (on|off) tx (on|off) (high_water) (low_water) (pause_time) (priority) PORT";

/// testpmd's words for pause frames: all of them in its order, or one with its value.
fn flow_control(words: &[&str], port: &str) -> Result<(&'static str, Value), InputError> {
    let usage = || InputError::Usage(FLOW_CONTROL);
    let keys = match words {
        ["rx", rx, "tx", tx, high, low, pause, xon, rest @ ..] => {
            let autoneg = match rest {
                [] => None,
                ["autoneg", autoneg] => Some(switched(autoneg).ok_or_else(usage)?),
                _ => return Err(usage()),
            };
            let number = |word: &str| word.parse::<u32>().ok();
            let read = || {
                let [rx, tx] = [switched(rx)?, switched(tx)?];
                let [high_water, low_water, pause_time] = [number(high)?, number(low)?, number(pause)?];
                let send_xon = number(xon)? != 0;
                // A port that never asks for a pause has no use for the rest.
                Some(if tx {
                    json!({ "rx": rx, "tx": tx, "high_water": high_water, "low_water": low_water,
                            "pause_time": pause_time, "send_xon": send_xon })
                } else {
                    json!({ "rx": rx, "tx": tx })
                })
            };
            let mut keys = read().ok_or_else(usage)?;
            if let Some(autoneg) = autoneg {
                keys["autoneg"] = autoneg.into();
            }
            keys
        }
        [key @ ("rx" | "tx" | "autoneg"), value] => json!({ *key: switched(value).ok_or_else(usage)? }),
        ["send_xon", value] => {
            json!({ "send_xon": value.parse::<u32>().map_err(|_| usage())? != 0 })
        }
        [key @ ("high_water" | "low_water" | "pause_time"), value] => {
            json!({ *key: value.parse::<u32>().map_err(|_| usage())? })
        }
        _ => return Err(usage()),
    };
    Ok(("port.set_flow_control", json!({ "port": port, "flow_control": keys })))
}

/// testpmd's words for pause frames of one priority.
fn priority_flow_control(words: &[&str], port: &str) -> Result<(&'static str, Value), InputError> {
    let read = || {
        let ["rx", rx, "tx", tx, high, low, pause, priority] = words else { return None };
        let number = |word: &str| word.parse::<u32>().ok();
        let [rx, tx] = [switched(rx)?, switched(tx)?];
        let [high_water, low_water, pause_time] = [number(high)?, number(low)?, number(pause)?];
        let priorities = [number(priority)?];
        Some(if tx {
            json!({ "rx": rx, "tx": tx, "high_water": high_water, "low_water": low_water,
                    "pause_time": pause_time, "priorities": priorities })
        } else {
            json!({ "rx": rx, "tx": tx, "priorities": priorities })
        })
    };
    let keys = read().ok_or(InputError::Usage(PRIORITY_FLOW_CONTROL))?;
    Ok(("port.set_priority_flow_control", json!({ "port": port, "priority_flow_control": keys })))
}

fn switched(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
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
        let off = parse("set flow_ctrl rx on tx off 80 40 100 1 nic0");
        assert_eq!(off.params["flow_control"], json!({ "rx": true, "tx": false }));
        let set = parse("set flow_ctrl rx on tx on 80 40 100 1 autoneg on nic0");
        assert_eq!(set.method, "port.set_flow_control");
        assert_eq!(set.params["flow_control"]["send_xon"], true);
        assert_eq!(set.params["flow_control"]["autoneg"], true);
        assert_eq!(parse("set flow_ctrl rx off nic0").params["flow_control"], json!({ "rx": false }));
        assert!(refusal("set flow_ctrl rx maybe nic0").starts_with("write `set flow_ctrl"));
        let set = parse("set pfc_ctrl rx on tx on 80 40 100 3 nic0");
        assert_eq!(set.params["priority_flow_control"]["priorities"], json!([3]));
        assert!(refusal("set pfc_ctrl rx on nic0").starts_with("write `set pfc_ctrl"));
        assert_eq!(parse("show port nic0 flow_ctrl").method, "port.flow_control");
        assert_eq!(refusal("show vhost a b"), "write `show vhost [PORT|all]`");
        assert!(refusal("port attach vm3 { vhost_user = }").starts_with("the keys of port vm3: "));
        assert!(refusal("port attach vm3 7").contains("no table in braces"));
    }
}
