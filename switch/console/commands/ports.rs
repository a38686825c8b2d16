//! Adding, removing and configuring ports.

use serde_json::{Value, json};

use super::{Args, Caller, Entry, Failed, call, edit, number, object, set, steps};
use crate::console::grammar::argument;
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "port attach NAME TABLE",
        "adds a port; TABLE has the keys below [ports.NAME] in the file",
        "port attach null1 { device = \"net_null1\", rx_ring = 64, tx_ring = 64 }",
        |args| {
            let keys = argument::toml(args.get("TABLE").unwrap_or_default()).unwrap_or_default();
            ("port.attach", json!({ "name": args.get("NAME"), "port": keys }))
        },
        render::changes,
    ),
    call(
        "port attach NAME device DEVICE [vlan VID]",
        "adds a port over a device, as an access port of a VLAN",
        "port attach null2 device net_null2 vlan 10",
        |args| attach(args, "device", args.get("DEVICE").into()),
        render::changes,
    ),
    call(
        "port attach NAME vhost_user SOCKET [client|server] [queues QUEUES] [vlan VID]",
        "adds a VM's port, as an access port of a VLAN",
        "port attach vm3 vhost_user /tmp/vm3.sock server vlan 10",
        |args| {
            let role = ["client", "server"].into_iter().find(|role| args.has(role));
            let socket = ("socket", args.get("SOCKET").into());
            let vhost = object([socket, ("role", role.into()), ("queues", number(args, "QUEUES"))]);
            attach(args, "vhost_user", vhost)
        },
        render::changes,
    ),
    call(
        "port detach|close PORT",
        "takes a port away",
        "port detach vm3",
        |args| ("port.detach", json!({ "name": args.get("PORT") })),
        render::changes,
    ),
    steps(
        "device detach DEVICE",
        "takes away the port over a device",
        "device detach net_null2",
        detach_device,
        render::changes,
    ),
    steps(
        "port start|stop PORT|all",
        "lets a port take part, or not; stopped, it stays where it is",
        "port start vm1",
        |args, switch| {
            let ports = steps::names(args, switch)?;
            let enabled = args.has("start");
            steps::edit_each(&ports, switch, |port| set(&["ports", port, "enabled"], enabled))
        },
        render::changes,
    ),
    steps(
        "port reset PORT|all",
        "stops a port and starts it anew",
        "port reset vm1",
        |args, switch| steps::each(args, switch, "port.reset"),
        render::each_changes,
    ),
    call(
        "port config mtu PORT MTU",
        "sets the MTU",
        "port config mtu vm1 1500",
        |args| edit(set(&["ports", port(args), "mtu"], number(args, "MTU"))),
        render::changes,
    ),
    steps(
        "port config PORT|all rxq QUEUES",
        "sets how many receive queues a device has; the port is made anew",
        "port config all rxq 1",
        |args, switch| device_key(args, switch, "rx_queues", number(args, "QUEUES")),
        render::changes,
    ),
    steps(
        "port config PORT|all rxd|txd DESCRIPTORS",
        "sets a device's rings; the port is made anew",
        "port config all rxd 128",
        |args, switch| {
            let key = if args.has("rxd") { "rx_ring" } else { "tx_ring" };
            device_key(args, switch, key, number(args, "DESCRIPTORS"))
        },
        render::changes,
    ),
    steps(
        "set promisc PORT|all on|off",
        "has a device receive what is for other stations, as a switch's port must",
        "set promisc all on",
        |args, switch| device_key(args, switch, "promiscuous", on(args).into()),
        render::changes,
    ),
    steps(
        "set allmulti PORT|all on|off",
        "has a device receive all multicast",
        "set allmulti all on",
        |args, switch| device_key(args, switch, "allmulticast", on(args).into()),
        render::changes,
    ),
    call(
        "set link-up|link-down port PORT",
        "sets a device's link",
        "set link-up port null1",
        |args| ("port.set_link", json!({ "port": args.get("PORT"), "up": args.has("link-up") })),
        render::link,
    ),
    call(
        "mac_addr add|remove PORT MAC",
        "adds a MAC address to a device's filter, or takes it away",
        "mac_addr add null1 02:00:00:00:00:77",
        |args| {
            let method = if args.has("add") { "port.add_mac" } else { "port.remove_mac" };
            (method, json!({ "port": args.get("PORT"), "mac": args.get("MAC") }))
        },
        render::macs,
    ),
];

fn port(args: &Args) -> &str {
    args.get("PORT").unwrap_or_default()
}

/// Whether the last word is `on`.
fn on(args: &Args) -> bool {
    args.has("on")
}

fn attach(args: &Args, kind: &str, of: Value) -> (&'static str, Value) {
    let vlan = args.get("VID").map(|_| json!({ "mode": "access", "vid": number(args, "VID") }));
    ("port.attach", json!({ "name": args.get("NAME"), "port": object([(kind, of), ("vlan", vlan.into())]) }))
}

fn device_key(args: &Args, switch: &mut dyn Caller, key: &str, value: Value) -> Result<Value, Failed> {
    let ports = steps::devices(args, switch)?;
    steps::edit_each(&ports, switch, |port| set(&["ports", port, key], value.clone()))
}

fn detach_device(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let device = args.get("DEVICE").unwrap_or_default();
    let ports = steps::list(&Args::default(), switch)?;
    let name = ports.iter().find(|port| port["device"] == device).map(|port| port["port"].clone());
    let name = name.ok_or_else(|| {
        Failed::Input(format!("no port is over the device {device}; `show device info all` lists them"))
    })?;
    Ok(switch.call("port.detach", json!({ "name": name }))?)
}
