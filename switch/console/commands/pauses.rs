//! Pause frames, in testpmd's words.

use serde_json::{Value, json};

use super::{Args, Entry, call, number, object, switched};
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show port PORT flow_ctrl",
        "how a device pauses its link, and lets itself be paused",
        "show port null1 flow_ctrl",
        |args| ("port.flow_control", super::port_or_all(args)),
        render::flow_control,
    ),
    call(
        "set flow_ctrl rx on|off tx on|off HIGH LOW TIME XON [mac_ctrl_frame_fwd off] [autoneg on|off] PORT",
        "sets all of it",
        "set flow_ctrl rx on tx on 80 40 100 1 autoneg on null1",
        |args| flow_control(args, whole(args)),
        render::changes,
    ),
    call(
        "set flow_ctrl rx|tx|autoneg on|off PORT",
        "lets it be paused, lets it pause, negotiates it",
        "set flow_ctrl rx on null1",
        |args| {
            let key = args.word(2);
            flow_control(args, json!({ key: switched(args, key) }))
        },
        render::changes,
    ),
    call(
        "set flow_ctrl high_water HIGH PORT",
        "sets the fill at which the link's other end is paused",
        "set flow_ctrl high_water 80 null1",
        |args| flow_control(args, json!({ "high_water": number(args, "HIGH") })),
        render::changes,
    ),
    call(
        "set flow_ctrl low_water LOW PORT",
        "sets the fill at which it may go on",
        "set flow_ctrl low_water 40 null1",
        |args| flow_control(args, json!({ "low_water": number(args, "LOW") })),
        render::changes,
    ),
    call(
        "set flow_ctrl pause_time TIME PORT",
        "sets for how long it is paused",
        "set flow_ctrl pause_time 100 null1",
        |args| flow_control(args, json!({ "pause_time": number(args, "TIME") })),
        render::changes,
    ),
    call(
        "set flow_ctrl send_xon XON PORT",
        "sets whether it is told when it may go on",
        "set flow_ctrl send_xon 1 null1",
        |args| flow_control(args, json!({ "send_xon": xon(args) })),
        render::changes,
    ),
    call(
        "set pfc_ctrl rx on|off tx on|off HIGH LOW TIME PRIORITY PORT",
        "sets it for one priority",
        "set pfc_ctrl rx on tx on 80 40 100 3 null1",
        |args| {
            let keys = object([
                ("rx", switched(args, "rx").into()),
                ("tx", switched(args, "tx").into()),
                ("high_water", if_pausing(args, number(args, "HIGH"))),
                ("low_water", if_pausing(args, number(args, "LOW"))),
                ("pause_time", if_pausing(args, number(args, "TIME"))),
                ("priorities", json!([number(args, "PRIORITY")])),
            ]);
            let params = json!({ "port": args.get("PORT"), "priority_flow_control": keys });
            ("port.set_priority_flow_control", params)
        },
        render::changes,
    ),
];

fn whole(args: &Args) -> Value {
    object([
        ("rx", switched(args, "rx").into()),
        ("tx", switched(args, "tx").into()),
        ("high_water", if_pausing(args, number(args, "HIGH"))),
        ("low_water", if_pausing(args, number(args, "LOW"))),
        ("pause_time", if_pausing(args, number(args, "TIME"))),
        ("send_xon", if_pausing(args, xon(args).into())),
        ("autoneg", switched(args, "autoneg").into()),
    ])
}

/// A port that never asks for a pause has no use for the rest.
fn if_pausing(args: &Args, value: Value) -> Value {
    if switched(args, "tx") == Some(true) { value } else { Value::Null }
}

fn xon(args: &Args) -> Option<bool> {
    number(args, "XON").as_u64().map(|xon| xon != 0)
}

fn flow_control(args: &Args, keys: Value) -> (&'static str, Value) {
    ("port.set_flow_control", json!({ "port": args.get("PORT"), "flow_control": keys }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;

    fn keys(line: &str) -> Value {
        let (_, params) = Command::parse(line).unwrap().unwrap().call().unwrap();
        params["flow_control"].clone()
    }

    #[test]
    fn testpmds_words_become_the_files_keys() {
        assert_eq!(keys("set flow_ctrl rx on tx off 80 40 100 1 nic0"), json!({ "rx": true, "tx": false }));
        let all = keys("set flow_ctrl rx off tx on 80 40 100 1 mac_ctrl_frame_fwd off autoneg on nic0");
        let whole = json!({ "rx": false, "tx": true, "high_water": 80, "low_water": 40, "pause_time": 100,
                            "send_xon": true, "autoneg": true });
        assert_eq!(all, whole);
        assert_eq!(keys("set flow_ctrl autoneg off nic0"), json!({ "autoneg": false }));
        let one =
            Command::parse("set pfc_ctrl rx on tx on 80 40 100 3 nic0").unwrap().unwrap().call().unwrap();
        assert_eq!(one.1["priority_flow_control"]["priorities"], json!([3]));
    }
}
