//! Seeing frames: captures and mirrors.

use serde_json::{Value, json};

use super::{Args, Does, Entry, call, edit, number, object, remove, set};
use crate::console::render;
use crate::console::run::Streams;

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        syntax: "capture start -|FILE [port PORTS] [direction rx|tx|both] [dropped] [filter EXPRESSION] [snap SNAP] \
                 [frames FRAMES] [bytes OCTETS] [seconds SECONDS] [name CAPTURE]",
        about: "writes frames into a new pcapng file, or with `-` to the standard output until ctrl-C",
        example: "capture start /tmp/vm1.pcapng port vm1 direction both filter \"tcp or udp\" snap 96 frames 100 name one",
        does: Does::Stream(Streams::Capture),
        reads: render::capture,
    },
    call(
        "show capture",
        "captures: where from, what for, how far",
        "show capture",
        |_| ("capture.list", Value::Null),
        render::captures,
    ),
    call(
        "capture show",
        "as `show capture`",
        "capture show",
        |_| ("capture.list", Value::Null),
        render::captures,
    ),
    call(
        "capture stop [CAPTURE]",
        "ends a capture: this one, or the only one",
        "capture stop one",
        |args| ("capture.stop", object([("name", args.get("CAPTURE").into())])),
        render::capture,
    ),
    call(
        "mirror add NAME from (port PORTS | vlan VID | drops) to (port PORT | vlan VID) [direction rx|tx|both] \
         [filter EXPRESSION] [snap SNAP]",
        "copies frames of ports, of a VLAN, or dropped ones to a port (SPAN) or into a VLAN (RSPAN)",
        "mirror add span from port vm1 to port null1 direction rx",
        |args| edit(set(&["mirrors", args.get("NAME").unwrap_or_default()], mirror(args))),
        render::changes,
    ),
    call(
        "mirror del MIRROR",
        "ends a mirror",
        "mirror del span",
        |args| edit(remove(&["mirrors", args.get("MIRROR").unwrap_or_default()])),
        render::changes,
    ),
    call(
        "mirror show",
        "mirrors: from where to where, and how many frames",
        "mirror show",
        |_| ("mirror.list", Value::Null),
        render::mirrors,
    ),
    call("show mirror", "as `mirror show`", "show mirror", |_| ("mirror.list", Value::Null), render::mirrors),
];

/// The parameters of `capture.start`.
pub(crate) fn capture(args: &Args) -> Value {
    object([
        ("name", args.get("CAPTURE").into()),
        ("ports", args.get("PORTS").map(names).into()),
        ("direction", args.after("direction").into()),
        ("dropped", args.has("dropped").then_some(true).into()),
        ("filter", args.get("EXPRESSION").into()),
        ("snap_length", number(args, "SNAP")),
        ("max_frames", number(args, "FRAMES")),
        ("max_bytes", number(args, "OCTETS")),
        ("max_seconds", number(args, "SECONDS")),
    ])
}

fn mirror(args: &Args) -> Value {
    let vid = |after: &str| args.after(after).and_then(|word| word.parse::<u16>().ok());
    let from = match args.after("from") {
        Some("port") => json!({ "ports": args.get("PORTS").map(names) }),
        Some("vlan") => json!({ "vlan": vid("vlan") }),
        _ => json!({ "dropped": true }),
    };
    // Behind `to` a VLAN is the last one.
    let to = match args.after("to") {
        Some("port") => json!({ "port": args.get("PORT") }),
        _ => json!({ "vlan": args.last("VID").and_then(|word| word.parse::<u16>().ok()) }),
    };
    object([
        ("from", from),
        ("to", to),
        ("direction", args.after("direction").into()),
        ("filter", args.get("EXPRESSION").into()),
        ("snap_length", number(args, "SNAP")),
    ])
}

fn names(list: &str) -> Value {
    list.split(',').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;

    #[test]
    fn mirrors_become_the_files_tables() {
        for (line, value) in [
            (
                "mirror add m from port a,b to vlan 9 snap 64 direction tx",
                json!({ "from": { "ports": ["a", "b"] }, "to": { "vlan": 9 }, "direction": "tx", "snap_length": 64 }),
            ),
            (
                "mirror add m from vlan 7 to vlan 9 filter \"tcp port 80\"",
                json!({ "from": { "vlan": 7 }, "to": { "vlan": 9 }, "filter": "tcp port 80" }),
            ),
            (
                "mirror add m from drops to port a",
                json!({ "from": { "dropped": true }, "to": { "port": "a" } }),
            ),
        ] {
            let (_, params) = Command::parse(line).unwrap().unwrap().call().unwrap();
            assert_eq!(params["edits"], json!([{ "set": ["mirrors", "m"], "value": value }]), "{line}");
        }
    }

    #[test]
    fn captures_are_bounded_in_any_order() {
        let line = "capture start - seconds 5 frames 7 bytes 8 dropped port a,b name c";
        let command = Command::parse(line).unwrap().unwrap();
        let params = json!({ "name": "c", "ports": ["a", "b"], "dropped": true, "max_frames": 7, "max_bytes": 8,
                             "max_seconds": 5 });
        assert_eq!(capture(&command.args), params);
    }
}
