//! Which address is at which port.

use serde_json::{Value, json};

use super::{Args, Caller, Entry, Failed, call, edit, number, object, set, steps};
use crate::console::render;

/// Entries that are asked for at once.
const PAGE: u64 = 1_000;

pub(super) static ENTRIES: &[Entry] = &[
    steps(
        "show fdb [vlan VID] [port PORT] [mac MAC]",
        "known addresses: VLAN, address, port, age",
        "show fdb vlan 10",
        entries,
        render::fdb,
    ),
    call(
        "show fdb info",
        "how many addresses are known, where, and how they came and went",
        "show fdb info",
        |_| ("fdb.info", Value::Null),
        render::fdb_info,
    ),
    call(
        "add fdb vlan VID mac MAC port PORT",
        "adds a static entry, which neither ages nor moves",
        "add fdb vlan 20 mac 02:00:00:00:00:99 port vm2",
        |args| {
            let params =
                json!({ "vlan": number(args, "VID"), "mac": args.get("MAC"), "port": args.get("PORT") });
            ("fdb.add", params)
        },
        render::changes,
    ),
    call(
        "del fdb vlan VID mac MAC",
        "takes an entry away, learned or static",
        "del fdb vlan 20 mac 02:00:00:00:00:99",
        |args| ("fdb.remove", json!({ "vlan": number(args, "VID"), "mac": args.get("MAC") })),
        render::removed,
    ),
    call(
        "flush fdb [vlan VID] [port PORT]",
        "forgets what was learned: all, or of a VLAN, or of a port",
        "flush fdb port vm1",
        |args| ("fdb.flush", object([("vlan", number(args, "VID")), ("port", args.get("PORT").into())])),
        render::flushed,
    ),
    call(
        "set fdb ageing_time DURATION",
        "sets after how long a silent station is forgotten",
        "set fdb ageing_time 300s",
        |args| edit(set(&["fdb", "ageing_time"], args.get("DURATION"))),
        render::changes,
    ),
];

/// All pages of `fdb.list`: `entries`, by VLAN and address.
fn entries(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let mut entries: Vec<Value> = Vec::new();
    let mut after = Value::Null;
    loop {
        let params = object([
            ("vlan", number(args, "VID")),
            ("port", args.get("PORT").into()),
            ("mac", args.get("MAC").into()),
            ("after", after),
            ("limit", PAGE.into()),
        ]);
        let mut page = switch.call("fdb.list", params)?;
        if let Value::Array(page) = page["entries"].take() {
            entries.extend(page);
        }
        after = page["next"].take();
        if after.is_null() {
            break;
        }
    }
    // What moved meanwhile may have come twice; the later page is right.
    let key = |entry: &Value| (entry["vlan"].as_u64(), entry["mac"].as_str().map(str::to_owned));
    entries.reverse();
    entries.sort_by_cached_key(key);
    entries.dedup_by_key(|entry| key(entry));
    Ok(json!({ "entries": entries }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;
    use crate::console::fake::Fake;

    #[test]
    fn all_pages_are_one_listing() {
        let entry = |mac: &str, port: &str| json!({ "vlan": 1, "mac": mac, "port": port });
        let mut fake = Fake::new("")
            .answer("fdb.list", json!({ "entries": [entry("b", "one"), entry("c", "one")], "next": "7" }))
            .answer("fdb.list", json!({ "entries": [entry("a", "two"), entry("b", "two")], "next": null }));
        let answer = Command::parse("show fdb vlan 1").unwrap().unwrap().ask(&mut fake).unwrap();
        assert_eq!(answer["entries"], json!([entry("a", "two"), entry("b", "two"), entry("c", "one")]));
        assert_eq!(fake.calls[1].1, json!({ "vlan": 1, "after": "7", "limit": 1000 }));
    }
}
