//! Priorities, rates and pauses.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change::changed;
use super::ports::{those_wanted, told};
use super::{Arguments, Failure, Method, OnePort, Reply, resolve, toml};
use crate::control::Running;

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
    those_wanted(running, arguments, running.switch.qos(), |state| &state.port)
}

fn flow_control(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    let has = running.switch.flow_control(&port).map(|has| {
        has.map(|has| {
            json!({
                "port": port,
                "rx": has.rx,
                "tx": has.tx,
                "high_water": has.high_water,
                "low_water": has.low_water,
                "pause_time": has.pause_time,
                "send_xon": has.send_xon,
                "autoneg": has.autoneg,
            })
        })
    });
    told(&port, has)
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
