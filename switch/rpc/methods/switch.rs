//! The switch as a whole.

use serde_json::{Value, json};

use super::{Arguments, Failure, Method, Reply, wanted};
use crate::control::Running;
use crate::rpc::{Code, VERSION};

pub(super) const METHODS: &[(&str, Method)] = &[
    ("switch.info", info),
    ("switch.start", start),
    ("switch.stop", stop),
    ("switch.quit", quit),
    ("accounting.show", accounting),
    ("drops.show", drops),
];

fn info(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    let pending = running.pending().map(|left| json!({ "seconds": left.as_secs_f64() }));
    let switch = &running.switch;
    let info = json!({
        "version": env!("POLLUX_VERSION"),
        "dpdk": switch.dpdk_version(),
        "protocol": VERSION,
        "file": running.file(),
        "uptime_seconds": switch.uptime().as_secs_f64(),
        "forwarding": switch.forwards(),
        "ports": switch.config().ports.len(),
        "workers": switch.workers(),
        "pending": pending,
    });
    Ok(info.into())
}

fn start(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    set_forwarding(running, arguments, true)
}

fn stop(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    set_forwarding(running, arguments, false)
}

fn set_forwarding(running: &mut Running, arguments: Arguments, forwards: bool) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    let set = running.switch.set_forwarding(forwards);
    set.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    Ok(json!({ "forwarding": running.switch.forwards() }).into())
}

fn quit(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    running.quit();
    Ok(json!({}).into())
}

fn accounting(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(balance(running).into())
}

/// The balance of all frames so far.
pub(super) fn balance(running: &Running) -> Value {
    let sum = running.switch.accounting();
    json!({
        "rx": sum.rx,
        "replicated": sum.replicated,
        "tx": sum.tx,
        "dropped": sum.dropped,
        "queued": sum.queued,
        "balances": sum.balances(),
    })
}

fn drops(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let wanted = wanted(running, arguments)?;
    let mut drops = Vec::new();
    for (name, totals) in running.switch.totals().into_iter().chain(running.switch.departed()) {
        let reasons = totals.drops_by_reason().filter(|_| wanted(&name));
        drops.extend(reasons.map(|(reason, frames)| {
            json!({ "port": name, "reason": reason.name(), "frames": frames, "about": reason.about() })
        }));
    }
    let device = running.switch.device_losses().into_iter().filter(|(name, _)| wanted(name));
    let device: Vec<_> = device
        .map(|(name, stats)| {
            let mut lost = losses(&stats);
            lost["port"] = name.into();
            lost
        })
        .collect();
    Ok(json!({ "drops": drops, "device": device }).into())
}

/// What a device lost before or after the switch.
pub(super) fn losses(stats: &dpdk::PortStats) -> Value {
    json!({
        "missed": stats.rx_missed,
        "rx_errors": stats.rx_errors,
        "no_mbuf": stats.rx_no_mbuf,
        "tx_errors": stats.tx_errors,
    })
}
