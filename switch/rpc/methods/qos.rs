//! Priorities, rates and pauses.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change::changed;
use super::{Arguments, Failure, MaybePort, Method, OnePort, Reply, resolve, resolve_any, toml};
use crate::control::Running;
use crate::rpc::Code;

pub(super) const METHODS: &[(&str, Method)] = &[
    ("qos.show", show),
    ("port.flow_control", flow_control),
    ("port.set_flow_control", set_flow_control),
    ("port.set_priority_flow_control", set_priority_flow_control),
];

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

fn show(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let MaybePort { port } = arguments.parse()?;
    let port = resolve_any(running, port.as_deref())?;
    let mut states = running.switch.qos();
    states.retain(|state| port.as_ref().is_none_or(|port| *port == state.port));
    Ok(json!({ "ports": states }).into())
}

fn flow_control(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    let failed = |error| Failure::new(Code::Failed, format!("port {port}: {error}"));
    let has = running.switch.flow_control(&port).expect("the port was found").map_err(failed)?;
    let has = json!({
        "port": port,
        "rx": has.rx,
        "tx": has.tx,
        "high_water": has.high_water,
        "low_water": has.low_water,
        "pause_time": has.pause_time,
        "send_xon": has.send_xon,
        "autoneg": has.autoneg,
    });
    Ok(has.into())
}

fn set_flow_control(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let SetFlowControl { port, flow_control } = arguments.parse()?;
    tune(running, &port, "flow_control", flow_control)
}

fn set_priority_flow_control(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let SetPriorityFlowControl { port, priority_flow_control } = arguments.parse()?;
    tune(running, &port, "priority_flow_control", priority_flow_control)
}

fn tune(
    running: &mut Running,
    port: &str,
    name: &'static str,
    keys: Map<String, Value>,
) -> Result<Reply, Failure> {
    let port = resolve(running, port)?;
    let keys = toml::table(name, keys)?;
    changed(running.tune(&port, name, keys))
}
