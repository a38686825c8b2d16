//! Which port is a member of which VLAN.

use pollux_net::VidSet;
use serde_json::{Map, Value, json};

use super::{Args, Caller, Entry, Failed, call, edit, number, object, set, steps, switched};
use crate::console::grammar::argument;
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show vlan [VID]",
        "VLANs, and which ports send them untagged and tagged",
        "show vlan",
        |args| ("vlan.list", object([("vlan", number(args, "VID"))])),
        render::vlans,
    ),
    call(
        "set port PORT vlan access VID [priority_tags never|if-nonzero|always]",
        "makes it an access port: takes untagged frames, sends untagged",
        "set port vm1 vlan access 10",
        |args| {
            mode(args, object([("mode", "access".into()), ("vid", number(args, "VID")), priority_tags(args)]))
        },
        render::changes,
    ),
    call(
        "set port PORT vlan trunk allowed VIDS [native VID] [native_tagged on|off] \
         [priority_tags never|if-nonzero|always]",
        "makes it a trunk: takes and sends tags; untagged is the native VLAN",
        "set port vm2 vlan trunk allowed 10,20-29 native 10",
        |args| {
            let mode_of = object([
                ("mode", "trunk".into()),
                ("allowed", list(args.get("VIDS").unwrap_or_default())),
                ("native", number(args, "VID")),
                ("native_tagged", switched(args, "native_tagged").into()),
                priority_tags(args),
            ]);
            mode(args, mode_of)
        },
        render::changes,
    ),
    call(
        "set port PORT vlan dot1q-tunnel VID [allowed VIDS] [ethertype ETHERTYPE] \
         [priority_tags never|if-nonzero|always]",
        "makes it a tunnel (802.1ad): whatever comes gets the service tag VID",
        "set port vm1 vlan dot1q-tunnel 100 allowed 0-4094 ethertype 0x88a8",
        |args| {
            let ethertype = args.get("ETHERTYPE").and_then(|text| argument::toml(text).ok());
            let mode_of = object([
                ("mode", "dot1q-tunnel".into()),
                ("vid", number(args, "VID")),
                ("allowed", args.get("VIDS").map(list).into()),
                ("ethertype", ethertype.into()),
                priority_tags(args),
            ]);
            mode(args, mode_of)
        },
        render::changes,
    ),
    steps(
        "rx_vlan add|rm VID|all PORT",
        "adds a VLAN to those that a trunk takes, or takes it away",
        "rx_vlan add 30 vm2",
        allow,
        render::changes,
    ),
    steps(
        "tx_vlan set pvid PORT VID on|off",
        "sets the VLAN that a port takes and sends untagged: an access port's own, or a trunk's native one",
        "tx_vlan set pvid vm2 20 on",
        |args, switch| set_native(args, switch, args.has("on")),
        render::changes,
    ),
    steps(
        "tx_vlan set PORT VID",
        "as `tx_vlan set pvid PORT VID on`",
        "tx_vlan set vm2 21",
        |args, switch| set_native(args, switch, true),
        render::changes,
    ),
    steps(
        "tx_vlan reset PORT",
        "takes a trunk's native VLAN away: untagged frames are then dropped",
        "tx_vlan reset vm2",
        |args, switch| set_native(args, switch, false),
        render::changes,
    ),
];

fn mode(args: &Args, mode: Value) -> (&'static str, Value) {
    edit(set(&["ports", args.get("PORT").unwrap_or_default(), "vlan"], mode))
}

fn priority_tags(args: &Args) -> (&'static str, Value) {
    ("priority_tags", args.after("priority_tags").into())
}

/// VLANs as the file lists them.
fn list(vids: &str) -> Value {
    vids.split(',').map(|range| range.parse::<u16>().map_or_else(|_| range.into(), Value::from)).collect()
}

/// What is listed, whichever way the file does it.
fn listed(allowed: &Value) -> VidSet {
    let ranges = allowed.as_array().into_iter().flatten().map(|range| match range.as_str() {
        Some(text) => text.to_owned(),
        None => range.to_string(),
    });
    argument::vids(&ranges.collect::<Vec<_>>().join(",")).unwrap_or(VidSet::EMPTY)
}

fn allow(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let (port, keys) = steps::port_keys(args, switch)?;
    let vlan = &keys.get("vlan").cloned().unwrap_or_default();
    let what = args.get("VID").unwrap_or("1-4094");
    if vlan["mode"] != "trunk" && vlan["allowed"].is_null() {
        return Err(Failed::Input(no_list(&port, vlan, what)));
    }
    let change = argument::vids(what).unwrap_or(VidSet::EMPTY);
    let allowed = listed(&vlan["allowed"]);
    let allowed: VidSet = if args.has("add") {
        allowed.iter().chain(change.iter()).collect()
    } else {
        allowed.iter().filter(|&vid| !change.contains(vid)).collect()
    };
    let value = if allowed.is_empty() { json!([]) } else { list(&allowed.to_string()) };
    steps::edit_each(&[port], switch, |port| set(&["ports", port, "vlan", "allowed"], value.clone()))
}

/// Why this port lists no VLANs, and the command that would have it do what was asked for.
fn no_list(port: &str, vlan: &Value, what: &str) -> String {
    let vid = vlan["vid"].as_u64().unwrap_or(1);
    match vlan["mode"].as_str() {
        Some("dot1q-tunnel") => format!(
            "port {port} is a tunnel that takes every customer VLAN; write \
             `set port {port} vlan dot1q-tunnel {vid} allowed VIDS` to choose some"
        ),
        _ => format!(
            "port {port} is an access port of VLAN {vid} and takes no tags; write `set port {port} vlan access VID` \
             for another VLAN, or `set port {port} vlan trunk allowed {vid},{what} native {vid}` for several"
        ),
    }
}

fn set_native(args: &Args, switch: &mut dyn Caller, on: bool) -> Result<Value, Failed> {
    let (port, keys) = steps::port_keys(args, switch)?;
    let vlan = &keys.get("vlan").cloned().unwrap_or_default();
    let vid = number(args, "VID");
    let edits = match (vlan["mode"].as_str(), on) {
        (Some("trunk"), true) => vec![set(&["ports", &port, "vlan", "native"], vid)],
        (Some("trunk"), false) => without_native(&port, vlan),
        (Some("dot1q-tunnel"), _) => {
            return Err(Failed::Input(format!(
                "port {port} is a tunnel: what comes from it gets the service tag {}, and what it sends has none; \
                 write `set port {port} vlan dot1q-tunnel VID` for another",
                vlan["vid"]
            )));
        }
        (_, true) => {
            let mut access = vlan.as_object().cloned().unwrap_or_else(Map::new);
            access.insert("mode".to_owned(), "access".into());
            access.insert("vid".to_owned(), vid);
            vec![set(&["ports", &port, "vlan"], access)]
        }
        (_, false) => {
            return Err(Failed::Input(format!(
                "port {port} is an access port, which is always in one VLAN; write `set port {port} vlan access VID` \
                 for another"
            )));
        }
    };
    Ok(switch.call("config.edit", json!({ "edits": edits }))?)
}

fn without_native(port: &str, vlan: &Value) -> Vec<Value> {
    let keys = ["native", "native_tagged"].into_iter().filter(|key| !vlan[key].is_null());
    keys.map(|key| super::remove(&["ports", port, "vlan", key])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;
    use crate::console::fake::Fake;

    fn edits(line: &str, config: &str) -> Result<Value, String> {
        let mut fake = Fake::new(config);
        let answer = Command::parse(line).unwrap().unwrap().ask(&mut fake);
        answer.map_err(|failed| failed.to_string())?;
        let (_, params) = fake.calls.pop().unwrap();
        Ok(params["edits"].clone())
    }

    #[test]
    fn modes_become_the_files_tables() {
        let edits = |line: &str| Command::parse(line).unwrap().unwrap().call().unwrap().1["edits"][0].clone();
        assert_eq!(
            edits("set port vm1 vlan trunk allowed 10,20-29 native_tagged on native 10"),
            json!({ "set": ["ports", "vm1", "vlan"], "value": {
                "mode": "trunk", "allowed": [10, "20-29"], "native": 10, "native_tagged": true } })
        );
        let tunnel = edits("set port 2 vlan dot1q-tunnel 100 ethertype 0x88a8 allowed 0");
        let value = json!({ "mode": "dot1q-tunnel", "vid": 100, "allowed": [0], "ethertype": 0x88a8 });
        assert_eq!(tunnel["value"], value);
        assert_eq!(edits("set port vm1 vlan access 10")["value"], json!({ "mode": "access", "vid": 10 }));
    }

    #[test]
    fn vlans_are_added_to_trunks_only() {
        let trunk = "[ports.a]\nvlan = { mode = \"trunk\", allowed = [10, \"20-29\"], native = 10 }\n";
        let allowed = json!(["ports", "a", "vlan", "allowed"]);
        let added = edits("rx_vlan add 11 a", trunk).unwrap();
        assert_eq!(added, json!([{ "set": allowed, "value": ["10-11", "20-29"] }]));
        let removed = edits("rx_vlan rm 25 a", trunk).unwrap();
        assert_eq!(removed[0]["value"], json!([10, "20-24", "26-29"]));
        assert_eq!(edits("rx_vlan add all a", trunk).unwrap()[0]["value"], json!(["1-4094"]));
        assert_eq!(edits("rx_vlan rm all a", trunk).unwrap()[0]["value"], json!([]));
        let access = "[ports.a]\nvlan = { mode = \"access\", vid = 7 }\n";
        let refusal = edits("rx_vlan add 11 a", access).unwrap_err();
        assert!(refusal.contains("`set port a vlan trunk allowed 7,11 native 7`"), "{refusal}");
        let native = edits("tx_vlan set pvid a 20 on", trunk).unwrap();
        assert_eq!(native, json!([{ "set": ["ports", "a", "vlan", "native"], "value": 20 }]));
        let reset = edits("tx_vlan reset a", trunk).unwrap();
        assert_eq!(reset, json!([{ "remove": ["ports", "a", "vlan", "native"] }]));
        let access_set = edits("tx_vlan set a 8", "[ports.a]\n").unwrap();
        assert_eq!(access_set[0]["value"], json!({ "mode": "access", "vid": 8 }));
        assert!(edits("tx_vlan reset a", access).unwrap_err().contains("set port a vlan access"));
    }
}
