//! Ports, and the VMs behind them.

use pollux_engine::PortTotals;
use pollux_net::Mac;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::change::{changed, refused};
use super::fdb::mac;
use super::switch::{balance, losses};
use super::{Arguments, Failure, MaybePort, Method, OnePort, Reply, resolve, resolve_any, toml, wanted};
use crate::control::{ChangeError, Edit, LinkState, Running};
use crate::rpc::Code;

pub(super) const METHODS: &[(&str, Method)] = &[
    ("port.list", list),
    ("port.info", info),
    ("port.stats", stats),
    ("port.xstats", extended_stats),
    ("port.clear", clear),
    ("port.queues", queues),
    ("port.descriptors", descriptors),
    ("port.rss", rss),
    ("port.capabilities", capabilities),
    ("port.macs", macs),
    ("port.add_mac", add_mac),
    ("port.remove_mac", remove_mac),
    ("port.set_link", set_link),
    ("port.reset", reset),
    ("port.attach", attach),
    ("port.detach", detach),
    ("vhost.show", vhost),
];

/// Those of `ports` that are wanted, by their names.
pub(super) fn those_wanted<T: Serialize>(
    running: &Running,
    arguments: Arguments,
    ports: Vec<T>,
    name: impl Fn(&T) -> &str,
) -> Result<Reply, Failure> {
    let wanted = wanted(running, arguments)?;
    let ports: Vec<_> = ports.iter().filter(|of| wanted(name(of))).collect();
    Ok(json!({ "ports": ports }).into())
}

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    those_wanted(running, arguments, running.switch.port_summaries(), |port| &port.port)
}

fn info(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    those_wanted(running, arguments, running.switch.port_infos(), |port| &port.summary.port)
}

fn queues(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    those_wanted(running, arguments, running.switch.port_queues(), |port| &port.port)
}

fn extended_stats(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    #[derive(Serialize)]
    struct Port {
        port: String,
        xstats: std::collections::BTreeMap<String, u64>,
    }
    let ports = running.switch.extended_since_cleared().into_iter();
    let ports = ports.map(|(port, xstats)| Port { port, xstats }).collect();
    those_wanted(running, arguments, ports, |port| &port.port)
}

fn stats(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let MaybePort { port } = arguments.parse()?;
    let port = resolve_any(running, port.as_deref())?;
    let counted = running.switch.counted_since_cleared();
    let counted = counted.into_iter().filter(|of| port.as_ref().is_none_or(|port| *port == of.port));
    let mut ports: Vec<_> = counted
        .map(|of| {
            let mut counters = counters(&of.port, &of.totals);
            counters["device"] = of.device.as_ref().map_or(Value::Null, losses);
            counters["cleared_seconds"] = of.cleared_seconds.into();
            counters
        })
        .collect();
    if port.is_none() {
        ports.extend(running.switch.departed().map(|(name, totals)| counters(&name, &totals)));
    }
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
        "device": null,
        "cleared_seconds": null,
    })
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Clearable {
    Stats,
    Xstats,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    port: Option<String>,
    what: Clearable,
}

fn clear(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Clear { port, what } = arguments.parse()?;
    let ports = match resolve_any(running, port.as_deref())? {
        Some(port) => vec![port],
        None => running.switch.config().ports.iter().map(|port| port.name.clone()).collect(),
    };
    for port in &ports {
        match what {
            Clearable::Stats => running.switch.clear(port),
            Clearable::Xstats => running.switch.clear_extended(port),
        };
    }
    Ok(json!({ "cleared": ports }).into())
}

/// What a port's device answered; the outer `None`: the port is gone.
pub(super) fn told<T: Serialize>(
    port: &str,
    answer: Option<Result<T, dpdk::Error>>,
) -> Result<Reply, Failure> {
    let answer = answer.ok_or_else(|| refused(ChangeError::NoPort(port.to_owned())))?;
    let answer = answer.map_err(|error| Failure::new(Code::Failed, format!("port {port}: {error}")))?;
    Ok(json!(answer).into())
}

fn rss(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    told(&port, running.switch.rss(&port))
}

fn capabilities(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    told(&port, running.switch.capabilities(&port))
}

fn macs(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    Ok(macs_of(running, &port))
}

fn macs_of(running: &Running, port: &str) -> Reply {
    let macs = running.switch.macs(port).unwrap_or_default();
    let macs: Vec<_> = macs.iter().map(Mac::to_string).collect();
    json!({ "port": port, "macs": macs }).into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RxQueue {
    port: String,
    rx_queue: u16,
}

fn descriptors(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let RxQueue { port, rx_queue } = arguments.parse()?;
    let port = resolve(running, &port)?;
    let Some(fill) = running.switch.rx_queue_fill(&port, rx_queue) else {
        let what = format!("port {port} has no rx queue {rx_queue}: `show config rxtx` lists them");
        return Err(Failure::new(Code::Input, what));
    };
    let used = fill.ok_or_else(|| {
        let what = format!("port {port}: its device can't count descriptors in use, as a VM's can't");
        Failure::new(Code::Failed, what)
    })?;
    Ok(json!({ "port": port, "rx_queue": rx_queue, "used": used }).into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MacOfPort {
    port: String,
    mac: String,
}

fn add_mac(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    change_macs(running, arguments, |macs, mac| {
        if !macs.contains(&mac) {
            macs.push(mac);
        }
    })
}

fn remove_mac(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    change_macs(running, arguments, |macs, mac| macs.retain(|has| *has != mac))
}

/// Changes the file's list of a port's addresses, and with it the device's.
fn change_macs(
    running: &mut Running,
    arguments: Arguments,
    change: impl FnOnce(&mut Vec<Mac>, Mac),
) -> Result<Reply, Failure> {
    let MacOfPort { port, mac: text } = arguments.parse()?;
    let port = resolve(running, &port)?;
    let mac = mac(&text)?;
    let configured = running.switch.config().ports.iter().find(|of| of.name == port);
    let mut macs = match configured.map(|of| &of.kind) {
        Some(pollux_config::PortKind::Device(device)) => device.macs.clone(),
        _ => {
            let what = format!("port {port} is a VM's: it takes frames for every address");
            return Err(Failure::new(Code::Input, what));
        }
    };
    change(&mut macs, mac);
    let list: toml_edit::Array = macs.iter().map(Mac::to_string).collect();
    let path = ["ports", &port, "macs"].map(str::to_owned).to_vec();
    running.edit(vec![Edit::Set(path, list.into())], false).map_err(refused)?;
    Ok(macs_of(running, &port))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLink {
    port: String,
    up: bool,
}

fn set_link(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let SetLink { port, up } = arguments.parse()?;
    let port = resolve(running, &port)?;
    let set = running.switch.set_link(&port, up).expect("the port was found");
    let can = set.map_err(|error| Failure::new(Code::Failed, format!("port {port}: {error}")))?;
    if !can {
        let what = format!(
            "port {port}: its device can't set its link; `port stop {port}` has the switch pass no frames there"
        );
        return Err(Failure::new(Code::Failed, what));
    }
    let link = running.switch.link(&port).map(LinkState::from);
    Ok(json!({ "port": port, "link": link }).into())
}

fn reset(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let OnePort { port } = arguments.parse()?;
    let port = resolve(running, &port)?;
    changed(running.reset(&port))
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
    let name = running.resolve_configured(&name).map_err(refused)?;
    changed(running.detach(&name))
}

fn vhost(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let wanted = wanted(running, arguments)?;
    let mut vms = running.switch.vms();
    vms.retain(|vm| wanted(&vm.port));
    Ok(Reply::Vms(vms))
}
