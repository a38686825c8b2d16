//! What ports are and count.

use serde_json::{Value, json};

use super::{Args, Caller, Entry, Failed, call, number, port_or_all, steps};
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show port summary PORT|all",
        "a line a port: number, name, device, driver, MAC address, link, MTU, VLAN, QoS profile",
        "show port summary all",
        |args| ("port.list", port_or_all(args)),
        render::port_list,
    ),
    call(
        "show port info PORT|all",
        "all about a port: device, link, queues, rings, limits, and how the device was clamped",
        "show port info vm1",
        |args| ("port.info", port_or_all(args)),
        render::port_info,
    ),
    call(
        "show port PORT|all",
        "as `show port info PORT|all`",
        "show port 0",
        |args| ("port.info", port_or_all(args)),
        render::port_info,
    ),
    call(
        "show port stats PORT|all",
        "frames and octets received, sent and dropped since they were cleared, and the balance",
        "show port stats all",
        |args| ("port.stats", port_or_all(args)),
        render::port_stats,
    ),
    call(
        "show fwd stats all",
        "as `show port stats all`",
        "show fwd stats all",
        |_| ("port.stats", Value::Null),
        render::port_stats,
    ),
    call(
        "show port xstats PORT|all",
        "every counter that the driver has",
        "show port xstats vm1",
        |args| ("port.xstats", port_or_all(args)),
        render::xstats,
    ),
    steps(
        "show port cap PORT|all",
        "which offloads a port's device can do, and which it does",
        "show port cap vm1",
        |args, switch| steps::each(args, switch, "port.capabilities"),
        render::capabilities,
    ),
    call(
        "show port PORT rx_offload|tx_offload capabilities|configuration",
        "which offloads a device can do, or does, in one direction",
        "show port vm1 rx_offload capabilities",
        |args| ("port.capabilities", port_or_all(args)),
        render::offloads,
    ),
    steps(
        "show port macs PORT|all",
        "a device's MAC addresses: its own, and those added",
        "show port macs all",
        |args, switch| steps::each(args, switch, "port.macs"),
        render::macs,
    ),
    steps(
        "show port PORT macs",
        "as `show port macs PORT`",
        "show port vm1 macs",
        |args, switch| steps::each(args, switch, "port.macs"),
        render::macs,
    ),
    steps(
        "show port PORT rss reta [SIZE MASKS]",
        "which queue each entry of the redirection table leads to",
        "show port vm1 rss reta",
        reta,
        render::reta,
    ),
    call(
        "show port PORT rss-hash [key]",
        "what of a frame decides its queue",
        "show port vm1 rss-hash",
        |args| ("port.rss", port_or_all(args)),
        render::rss_hash,
    ),
    call(
        "show port PORT rxq QUEUE desc used count",
        "descriptors with frames that wait to be received",
        "show port vm1 rxq 0 desc used count",
        |args| ("port.descriptors", json!({ "port": args.get("PORT"), "rx_queue": number(args, "QUEUE") })),
        render::descriptors,
    ),
    steps(
        "show rxq|txq info PORT QUEUE",
        "a queue's ring, worker and burst mode",
        "show rxq info vm1 0",
        queue,
        render::queue,
    ),
    call(
        "show config rxtx",
        "every port's queues: rings and workers",
        "show config rxtx",
        |_| ("port.queues", Value::Null),
        render::queues,
    ),
    call(
        "show config fwd",
        "which worker receives from which queue",
        "show config fwd",
        |_| ("port.queues", Value::Null),
        render::queues,
    ),
    steps(
        "show device info all|DEVICE",
        "the devices behind ports: PCI address, vdev or socket, and driver",
        "show device info all",
        devices,
        render::devices,
    ),
    call(
        "clear port stats|xstats PORT|all",
        "counts from zero again; metrics and accounting go on",
        "clear port stats all",
        clear,
        render::cleared,
    ),
    call(
        "clear fwd stats all",
        "as `clear port stats all`",
        "clear fwd stats all",
        |_| ("port.clear", json!({ "what": "stats" })),
        render::cleared,
    ),
    call(
        "show accounting",
        "rx + replicated = tx + dropped + queued, and whether that holds",
        "show accounting",
        |_| ("accounting.show", Value::Null),
        render::accounting,
    ),
    call(
        "show drops [PORT|all]",
        "what was dropped where and why since the switch started, and what devices lost",
        "show drops",
        |args| ("drops.show", port_or_all(args)),
        render::drops,
    ),
    call(
        "show vhost [PORT|all]",
        "VMs: connection, features, queues, addresses, counters, outages and guest agents",
        "show vhost all",
        |args| ("vhost.show", port_or_all(args)),
        render::vms,
    ),
];

/// The redirection table, which has as many entries as whoever names a size says.
fn reta(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let answer = switch.call("port.rss", port_or_all(args))?;
    let entries = answer["reta"].as_array().map_or(0, Vec::len);
    match args.get("SIZE").and_then(|size| size.parse::<usize>().ok()) {
        Some(size) if size != entries => Err(Failed::Input(format!(
            "the redirection table of port {} has {entries} entries; write {entries} for {size}, or leave out size and \
             masks for all of it",
            args.get("PORT").unwrap_or_default()
        ))),
        _ => Ok(answer),
    }
}

fn clear(args: &Args) -> (&'static str, Value) {
    let what = if args.has("xstats") { "xstats" } else { "stats" };
    ("port.clear", super::object([("what", what.into()), ("port", args.get("PORT").into())]))
}

/// One queue of a port: `port`, `direction` and what `port.queues` says of it.
fn queue(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let direction = if args.has("rxq") { "rx" } else { "tx" };
    let answer = switch.call("port.queues", port_or_all(args))?;
    let port = &answer["ports"][0];
    let wanted = number(args, "QUEUE");
    let queues = port[direction].as_array().map(Vec::as_slice).unwrap_or_default();
    match queues.iter().find(|queue| queue["queue"] == wanted) {
        Some(queue) => {
            let mut queue = queue.clone();
            queue["port"] = port["port"].clone();
            queue["direction"] = direction.into();
            Ok(queue)
        }
        None => Err(Failed::Input(format!(
            "port {} has {} {direction} queues and no queue {wanted}; they are counted from 0",
            args.get("PORT").unwrap_or_default(),
            queues.len()
        ))),
    }
}

/// What `port.info` says of the ports of one device, or of all.
fn devices(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let mut answer = switch.call("port.info", Value::Null)?;
    if let (Some(device), Some(ports)) = (args.get("DEVICE"), answer["ports"].as_array_mut()) {
        ports.retain(|port| port["device"] == device);
        if ports.is_empty() {
            let what = format!("no port is over the device {device}; `show device info all` lists them");
            return Err(Failed::Input(what));
        }
    }
    Ok(answer)
}
