//! Priorities, rates and queues.

use serde_json::{Value, json};

use super::{Args, Entry, call, edit, number, object, remove, set};
use crate::console::grammar::argument;
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show qos [PORT|all]",
        "classes, queues, shapers, policers and rules: configured, measured, dropped",
        "show qos",
        |args| ("qos.show", super::port_or_all(args)),
        render::qos,
    ),
    call(
        "set qos profile PROFILE TABLE",
        "sets a profile as a whole; TABLE has the keys below [qos.profiles.NAME] in the file",
        "set qos profile silver { traffic_classes = 4 }",
        |args| profile(args, &[], table(args)),
        render::edited,
    ),
    call(
        "set qos profile PROFILE ingress_rate|egress_rate rate RATE burst OCTETS_OR_TIME [count frame|wire]",
        "sets what a port polices, or what it is shaped to",
        "set qos profile gold egress_rate rate 1Gbit burst 1MiB",
        |args| profile(args, &[args.word(4)], rate(args)),
        render::edited,
    ),
    call(
        "set qos profile PROFILE class CLASS ingress_rate|min_rate|max_rate rate RATE burst OCTETS_OR_TIME \
         [count frame|wire]",
        "sets what a class is policed to, gets before all others, or gets at most",
        "set qos profile gold class 0 max_rate rate 500Mbit burst 256KiB",
        |args| profile(args, &["class", args.word(5), args.word(6)], rate(args)),
        render::edited,
    ),
    call(
        "set qos profile PROFILE class CLASS queue BYTES",
        "sets how much of a class may wait at a port",
        "set qos profile gold class 0 queue 512KiB",
        |args| profile(args, &["class", args.word(5), "queue"], args.get("BYTES").into()),
        render::edited,
    ),
    call(
        "set qos profile PROFILE class CLASS ingress_rate|wred TABLE",
        "sets a class's policer or early drops, as the file has them",
        "set qos profile gold class 1 wred { yellow = { min = \"64KiB\", max = \"128KiB\", probability = 0.1 } }",
        |args| profile(args, &["class", args.word(5), args.word(6)], table(args)),
        render::edited,
    ),
    call(
        "set qos profile PROFILE classes [strict CLASSES] [dwrr WEIGHTS]",
        "sets which classes are served first, in which order, and how the others share",
        "set qos profile gold classes strict 7,6 dwrr 5=8,4=4,3=4,2=2,1=1,0=1",
        |args| {
            let strict = args.get("CLASSES").map(numbers);
            let dwrr = args.get("WEIGHTS").and_then(argument::weights);
            profile(args, &["classes"], object([("strict", strict.into()), ("dwrr", dwrr.into())]))
        },
        render::edited,
    ),
    call(
        "set qos profile PROFILE traffic_classes COUNT",
        "sets how many classes there are",
        "set qos profile silver traffic_classes 2",
        |args| profile(args, &["traffic_classes"], number(args, "COUNT")),
        render::edited,
    ),
    call(
        "set qos profile PROFILE pcp_coding 8P0D|7P1D|6P2D|5P3D",
        "sets how a PCP tells priority and drop eligibility",
        "set qos profile gold pcp_coding 7P1D",
        |args| profile(args, &["pcp_coding"], args.word(5).into()),
        render::edited,
    ),
    call(
        "set qos profile PROFILE pcp_to_class|class_to_pcp PCPS",
        "sets each priority's class, or the priority that each class leaves with",
        "set qos profile gold pcp_to_class 1,0,2,3,4,5,6,7",
        |args| profile(args, &[args.word(4)], args.get("PCPS").map(numbers).into()),
        render::edited,
    ),
    call(
        "set qos profile PROFILE dscp_to_class|ingress_rate|egress_rate TABLE",
        "sets DSCPs' classes, a policer or a shaper, as the file has them",
        "set qos profile gold dscp_to_class { ef = 5, \"8-15\" = 0 }",
        |args| profile(args, &[args.word(4)], table(args)),
        render::edited,
    ),
    call(
        "set qos profile PROFILE rules VALUE",
        "sets the rules, a list in brackets",
        "set qos profile gold rules [{ name = \"bulk\", match = { protocol = \"tcp\", destination_port = \"6881-6889\" }, class = 0 }]",
        |args| profile(args, &["rules"], value(args)),
        render::edited,
    ),
    call(
        "set qos port PORT profile none|PROFILE",
        "gives a port a profile, or none",
        "set qos port vm1 profile gold",
        |args| match args.get("PROFILE") {
            Some(profile) => edit(set(&port(args, "profile"), profile)),
            None => edit(remove(&port(args, "profile"))),
        },
        render::edited,
    ),
    call(
        "set qos port PORT trust pcp|dscp|port",
        "sets what tells a frame's priority: its tag, its DSCP, or the port",
        "set qos port vm1 trust pcp",
        |args| edit(set(&port(args, "trust"), args.word(5))),
        render::edited,
    ),
    call(
        "set qos port PORT default_pcp PCP",
        "sets the priority of frames that tell none",
        "set qos port vm1 default_pcp 1",
        |args| edit(set(&port(args, "default_pcp"), number(args, "PCP"))),
        render::edited,
    ),
    call(
        "set qos port PORT pcp_regeneration PCPS",
        "sets what each priority that comes in becomes",
        "set qos port vm1 pcp_regeneration 0,1,2,3,4,5,5,5",
        |args| edit(set(&port(args, "pcp_regeneration"), args.get("PCPS").map(numbers))),
        render::edited,
    ),
    call(
        "del qos port PORT trust|default_pcp|pcp_regeneration",
        "sets it as it is by default",
        "del qos port vm1 pcp_regeneration",
        |args| edit(remove(&port(args, args.word(4)))),
        render::edited,
    ),
    call(
        "del qos profile PROFILE class CLASS [ingress_rate|min_rate|max_rate|queue|wred]",
        "takes away what a profile says of a class",
        "del qos profile gold class 1 wred",
        |args| {
            let path = ["qos", "profiles", args.word(3), "class", args.word(5), args.word(6)];
            let length = if args.word(6).is_empty() { 5 } else { 6 };
            edit(remove(&path[..length]))
        },
        render::edited,
    ),
    call(
        "del qos profile PROFILE \
         [traffic_classes|pcp_coding|pcp_to_class|class_to_pcp|dscp_to_class|classes|ingress_rate|egress_rate|rules]",
        "takes a profile away, or what it says of something",
        "del qos profile silver",
        |args| {
            let path = ["qos", "profiles", args.word(3), args.word(4)];
            let length = if args.word(4).is_empty() { 3 } else { 4 };
            edit(remove(&path[..length]))
        },
        render::edited,
    ),
];

fn profile(args: &Args, keys: &[&str], value: Value) -> (&'static str, Value) {
    let mut path = vec!["qos", "profiles", args.get("PROFILE").unwrap_or_default()];
    path.extend(keys);
    edit(set(&path, value))
}

fn port<'a>(args: &'a Args, key: &'a str) -> [&'a str; 4] {
    ["ports", args.get("PORT").unwrap_or_default(), "qos", key]
}

fn rate(args: &Args) -> Value {
    object([
        ("rate", args.get("RATE").into()),
        ("burst", args.get("OCTETS_OR_TIME").into()),
        ("count", args.after("count").into()),
    ])
}

fn numbers(list: &str) -> Value {
    list.split(',').filter_map(|number| number.parse::<u8>().ok()).collect()
}

fn table(args: &Args) -> Value {
    argument::toml(args.get("TABLE").unwrap_or_default()).unwrap_or(json!({}))
}

fn value(args: &Args) -> Value {
    argument::toml(args.get("VALUE").unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;

    #[test]
    fn words_become_the_files_keys() {
        for (line, keys, value) in [
            (
                "set qos profile gold egress_rate rate 1Gbit burst 1MiB",
                "gold.egress_rate",
                json!({ "rate": "1Gbit", "burst": "1MiB" }),
            ),
            (
                "set qos profile gold class 0 max_rate rate 1Gbit burst 10ms count wire",
                "gold.class.0.max_rate",
                json!({ "rate": "1Gbit", "burst": "10ms", "count": "wire" }),
            ),
            (
                "set qos profile g classes strict 7,6 dwrr 5=8,4=4",
                "g.classes",
                json!({ "strict": [7, 6], "dwrr": { "5": 8, "4": 4 } }),
            ),
            ("set qos profile g pcp_coding 7P1D", "g.pcp_coding", json!("7P1D")),
            ("set qos profile g class_to_pcp 1,0", "g.class_to_pcp", json!([1, 0])),
            ("set qos profile g class 3 queue 1MiB", "g.class.3.queue", json!("1MiB")),
            ("set qos profile g { traffic_classes = 2 }", "g", json!({ "traffic_classes": 2 })),
            ("set qos profile g rules []", "g.rules", json!([])),
        ] {
            let (_, params) = Command::parse(line).unwrap().unwrap().call().unwrap();
            let path: Vec<_> = ["qos", "profiles"].into_iter().chain(keys.split('.')).collect();
            assert_eq!(params["edits"], json!([{ "set": path, "value": value }]), "{line}");
        }
        for (line, path) in [
            ("del qos profile gold", json!(["qos", "profiles", "gold"])),
            ("del qos profile gold rules", json!(["qos", "profiles", "gold", "rules"])),
            ("del qos profile gold class 0", json!(["qos", "profiles", "gold", "class", "0"])),
            ("del qos profile gold class 0 wred", json!(["qos", "profiles", "gold", "class", "0", "wred"])),
            ("set qos port vm1 profile none", json!(["ports", "vm1", "qos", "profile"])),
        ] {
            let (_, params) = Command::parse(line).unwrap().unwrap().call().unwrap();
            assert_eq!(params["edits"], json!([{ "remove": path }]), "{line}");
        }
    }
}
