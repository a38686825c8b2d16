//! Ports, and the VMs behind them.

use std::collections::BTreeMap;

use pollux_engine::PortTotals;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change::changed;
use super::switch::{balance, losses};
use super::{Arguments, Failure, MaybePort, Method, Reply, resolve, resolve_any, toml};
use crate::control::Running;

pub(super) const METHODS: &[(&str, Method)] =
    &[("port.stats", stats), ("port.attach", attach), ("port.detach", detach), ("vhost.show", vhost)];

fn stats(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let MaybePort { port } = arguments.parse()?;
    let port = resolve_any(running, port.as_deref())?;
    let switch = &running.switch;
    let mut totals = switch.totals();
    if port.is_none() {
        totals.extend(switch.departed());
    }
    let devices: BTreeMap<_, _> = switch.device_losses().into_iter().collect();
    let wanted = totals.iter().filter(|(name, _)| port.as_ref().is_none_or(|port| port == name));
    let ports: Vec<_> = wanted
        .map(|(name, totals)| {
            let mut counters = counters(name, totals);
            counters["device"] = devices.get(name).map_or(Value::Null, losses);
            counters
        })
        .collect();
    Ok(json!({ "ports": ports, "accounting": balance(running) }).into())
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPort {
    name: String,
    port: Map<String, Value>,
}

fn attach(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let NewPort { name, port } = arguments.parse()?;
    let keys = toml::table("port", port)?;
    changed(running.attach(&name, keys))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

fn detach(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Named { name } = arguments.parse()?;
    let name = resolve(running, &name)?;
    changed(running.detach(&name))
}

fn vhost(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let MaybePort { port } = arguments.parse()?;
    let port = resolve_any(running, port.as_deref())?;
    let mut vms = running.switch.vms();
    vms.retain(|vm| port.as_ref().is_none_or(|port| *port == vm.port));
    Ok(Reply::Vms(vms))
}
