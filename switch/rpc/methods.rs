//! What can be asked of a switch: the methods, their parameters and what they answer.
//!
//! | method | parameters | answers |
//! | --- | --- | --- |
//! | `switch.info` | | `version`, `dpdk`, `protocol`, `ports`, `workers` |
//! | `port.stats` | `port`? | `ports`: name and counters, with `(detached)` for those that are gone; `accounting` |
//! | `port.attach` | `name`, `port`: the keys of the file's `[ports.NAME]` | `changes` |
//! | `port.detach` | `name` | `changes` |
//! | `vhost.show` | `port`? | `vms`: see [`VmState`]; guest agents are given a second |
//! | `port.flow_control` | `port` | what its device has: `rx`, `tx`, `high_water`, `low_water`, `pause_time`, `send_xon`, `autoneg` |
//! | `port.set_flow_control` | `port`, `flow_control`: keys of the file's table of this name, added to those that there are | `changes` |
//! | `port.set_priority_flow_control` | `port`, `priority_flow_control`: the same | `changes` |
//! | `qos.show` | `port`? | `ports`: see [`PortQosState`](crate::control::PortQosState) |
//! | `config.reload` | | `changes` |
//! | `config.running` | | `text` |
//!
//! `changes` is what [`Changes`] has, with `summary`, a line for people.

use pollux_config::Changes;
use pollux_engine::{Accounting, PortTotals};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use toml_edit::InlineTable;

use super::protocol::{Code, Failure, VERSION};
use crate::control::guest::Agents;
use crate::control::{ChangeError, Running, VmState};

type Outcome = Result<Value, Failure>;

/// An answer as far as the switch has it.
#[derive(Debug)]
pub enum Reply {
    /// All of it.
    Whole(Value),
    /// VMs, whose guest agents are still to be asked.
    Vms(Vec<VmState>),
}

impl Reply {
    /// The whole answer. It may take as long as agents are waited for: not for the switch's thread.
    pub fn finish(self, agents: &Agents) -> Value {
        match self {
            Self::Whole(value) => value,
            Self::Vms(mut vms) => {
                agents.ask(vms.iter_mut().filter_map(|vm| vm.guest.as_mut()));
                json!({ "vms": vms })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybePort {
    port: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnePort {
    port: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFlowControl {
    port: String,
    flow_control: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPriorityFlowControl {
    port: String,
    priority_flow_control: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPort {
    name: String,
    port: Map<String, Value>,
}

/// Does what is asked for.
///
/// # Errors
///
/// It can't be done, or isn't known; what [`ReconfigureError`](crate::control::ReconfigureError) doesn't
/// say has changed is as before.
pub fn answer(running: &mut Running, method: &str, params: Value) -> Result<Reply, Failure> {
    let whole = match method {
        "vhost.show" => return vhost_show(running, parse(params)?).map(Reply::Vms),
        "switch.info" => parse::<()>(params).map(|()| info(running)),
        "port.flow_control" => flow_control(running, parse(params)?),
        "port.set_flow_control" => {
            let SetFlowControl { port, flow_control } = parse(params)?;
            tune(running, &port, "flow_control", flow_control)
        }
        "port.set_priority_flow_control" => {
            let SetPriorityFlowControl { port, priority_flow_control } = parse(params)?;
            tune(running, &port, "priority_flow_control", priority_flow_control)
        }
        "qos.show" => qos_show(running, parse(params)?),
        "port.stats" => port_stats(running, parse(params)?),
        "port.attach" => attach(running, parse(params)?),
        "port.detach" => {
            let Named { name } = parse(params)?;
            changed(running.detach(&name))
        }
        "config.reload" => {
            parse::<()>(params)?;
            changed(running.reload())
        }
        "config.running" => parse::<()>(params).map(|()| json!({ "text": running.text() })),
        _ => Err(Failure::new(Code::NoMethod, format!("there is no method {method:?}"))),
    };
    whole.map(Reply::Whole)
}

/// Parameters of this form. None are as good as no fields.
fn parse<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    let of = |value| serde_json::from_value(value);
    let parsed = match params {
        Value::Null => of(Value::Null).or_else(|_| of(json!({}))),
        Value::Object(map) if map.is_empty() => of(Value::Null).or_else(|_| of(Value::Object(map))),
        other => of(other),
    };
    parsed.map_err(|error| Failure::new(Code::Params, format!("parameters: {error}")))
}

fn info(running: &Running) -> Value {
    json!({
        "version": env!("POLLUX_VERSION"),
        "dpdk": running.switch.dpdk_version(),
        "protocol": VERSION,
        "ports": running.switch.config().ports.len(),
        "workers": running.switch.workers(),
    })
}

fn port_stats(running: &Running, MaybePort { port }: MaybePort) -> Outcome {
    let mut totals = running.switch.totals();
    check_port(port.as_deref(), totals.iter().map(|(name, _)| name.as_str()))?;
    if port.is_none() {
        totals.extend(running.switch.departed());
    }
    let wanted = totals.iter().filter(|(name, _)| port.as_ref().is_none_or(|port| port == name));
    let ports: Vec<_> = wanted.map(|(name, totals)| counters(name, totals)).collect();
    let Accounting { rx, replicated, tx, dropped, queued } = running.switch.accounting();
    let accounting =
        json!({ "rx": rx, "replicated": replicated, "tx": tx, "dropped": dropped, "queued": queued });
    Ok(json!({ "ports": ports, "accounting": accounting }))
}

fn counters(name: &str, totals: &PortTotals) -> Value {
    let drops: Map<_, _> =
        totals.drops_by_reason().map(|(reason, frames)| (reason.to_string(), frames.into())).collect();
    json!({
        "port": name,
        "rx_frames": totals.rx_frames,
        "rx_bytes": totals.rx_bytes,
        "tx_frames": totals.tx_frames,
        "tx_bytes": totals.tx_bytes,
        "replicated": totals.replicated,
        "dropped": totals.dropped(),
        "drops": drops,
    })
}

fn vhost_show(running: &Running, MaybePort { port }: MaybePort) -> Result<Vec<VmState>, Failure> {
    let mut vms = running.switch.vms();
    check_port(port.as_deref(), vms.iter().map(|vm| vm.port.as_str()))?;
    vms.retain(|vm| port.as_ref().is_none_or(|port| *port == vm.port));
    Ok(vms)
}

fn flow_control(running: &Running, OnePort { port }: OnePort) -> Outcome {
    let read = running.switch.flow_control(&port);
    let read =
        read.ok_or_else(|| Failure::new(Code::Input, ChangeError::NoPort(port.clone()).to_string()))?;
    let has = read.map_err(|error| Failure::new(Code::Failed, format!("port {port}: {error}")))?;
    Ok(json!({
        "port": port,
        "rx": has.rx,
        "tx": has.tx,
        "high_water": has.high_water,
        "low_water": has.low_water,
        "pause_time": has.pause_time,
        "send_xon": has.send_xon,
        "autoneg": has.autoneg,
    }))
}

fn tune(running: &mut Running, port: &str, name: &'static str, keys: Map<String, Value>) -> Outcome {
    let keys = table(keys).ok_or_else(|| unwritable(name))?;
    changed(running.tune(port, name, keys))
}

fn unwritable(name: &str) -> Failure {
    let what = format!("parameters: `{name}` holds what the file can't: a null, or too large a number");
    Failure::new(Code::Params, what)
}

fn qos_show(running: &Running, MaybePort { port }: MaybePort) -> Outcome {
    let ports = &running.switch.config().ports;
    check_port(port.as_deref(), ports.iter().map(|port| port.name.as_str()))?;
    let mut states = running.switch.qos();
    states.retain(|state| port.as_ref().is_none_or(|port| *port == state.port));
    Ok(json!({ "ports": states }))
}

/// Refuses a port that isn't there.
fn check_port<'a>(port: Option<&str>, mut known: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    match port {
        Some(port) if !known.any(|name| name == port) => {
            Err(Failure::new(Code::Input, ChangeError::NoPort(port.to_owned()).to_string()))
        }
        _ => Ok(()),
    }
}

fn attach(running: &mut Running, NewPort { name, port }: NewPort) -> Outcome {
    let keys = table(port).ok_or_else(|| unwritable("port"))?;
    changed(running.attach(&name, keys))
}

fn changed(result: Result<Changes, ChangeError>) -> Outcome {
    let changes = result.map_err(|error| {
        let code = match error {
            ChangeError::Failed(_) => Code::Failed,
            _ => Code::Input,
        };
        Failure::new(code, error.to_string())
    })?;
    let statics = |entries: &[(pollux_net::Vid, pollux_net::Mac)]| -> Vec<_> {
        entries.iter().map(|(vid, mac)| json!({ "vid": vid.value(), "mac": mac.to_string() })).collect()
    };
    let changes = json!({
        "attached": changes.attached,
        "detached": changes.detached,
        "replaced": changes.replaced,
        "retuned": changes.retuned,
        "ageing": changes.ageing,
        "statics_removed": statics(&changes.statics_removed),
        "statics_added": statics(&changes.statics_added),
        "summary": changes.to_string(),
    });
    Ok(json!({ "changes": changes }))
}

/// JSON as the file would have it.
fn table(map: Map<String, Value>) -> Option<InlineTable> {
    map.into_iter().map(|(key, value)| Some((key, toml(value)?))).collect()
}

fn toml(value: Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(bool) => bool.into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().filter(|_| number.is_f64())?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => {
            toml_edit::Value::Array(items.into_iter().map(toml).collect::<Option<toml_edit::Array>>()?)
        }
        Value::Object(map) => toml_edit::Value::InlineTable(table(map)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_the_files_own_form() {
        let Value::Object(map) = json!({
            "vhost_user": { "socket": "/run/a.sock", "queues": 2 },
            "vlan": { "mode": "trunk", "allowed": ["1-4094", 7], "native": 1, "native_tagged": true },
        }) else {
            unreachable!()
        };
        let text = table(map).unwrap().to_string();
        let parsed = pollux_config::parse("t", &format!("ports.a = {text}"));
        assert_eq!(parsed.unwrap_or_else(|faults| panic!("{}", faults.lines())).ports.len(), 1, "{text}");
        assert!(toml(Value::Null).is_none());
        assert!(toml(json!(u64::MAX)).is_none());
    }

    #[test]
    fn parameters_may_be_left_out_where_none_are_needed() {
        assert!(parse::<()>(Value::Null).is_ok());
        assert!(parse::<()>(json!({})).is_ok());
        assert!(parse::<()>(json!({ "x": 1 })).is_err());
        assert!(parse::<MaybePort>(Value::Null).is_ok());
        assert!(parse::<MaybePort>(json!({ "prot": "a" })).is_err());
        assert!(parse::<Named>(Value::Null).is_err());
    }
}
