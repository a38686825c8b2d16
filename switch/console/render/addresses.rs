//! How addresses and VLANs read.

use serde_json::Value;

use super::{Column, list, pairs, text};
use crate::console::grammar::Args;
use crate::text::{grouped, table};

pub(crate) fn fdb(_: &Args, answer: &Value) -> String {
    let row = |entry: &Value| {
        let age = match (&entry["static"], &entry["age_seconds"]) {
            (Value::Bool(true), _) => "static".to_owned(),
            (_, Value::Null) => "-".to_owned(),
            (_, age) => format!("{} s", text(age)),
        };
        vec![text(&entry["vlan"]), text(&entry["mac"]), text(&entry["port"]), age]
    };
    let rows: Vec<_> = list(&answer["entries"]).map(row).collect();
    let many = rows.len() as u64;
    if rows.is_empty() {
        return "no address is known".to_owned();
    }
    format!("{}\n{} addresses", table(&["vlan", "address", "port", "age"], rows, 3), grouped(many))
}

const INFO: [Column; 11] = [
    ("entries", "entries"),
    ("capacity", "capacity"),
    ("ageing time in seconds", "ageing_seconds"),
    ("learned", "learned"),
    ("moved", "moved"),
    ("aged", "aged"),
    ("flushed", "flushed"),
    ("evicted for others", "evicted"),
    ("not learned, as others were writing", "refused_busy"),
    ("not learned for lack of room", "refused_full"),
    ("not learned, as a static entry says otherwise", "refused_static"),
];

pub(crate) fn fdb_info(_: &Args, answer: &Value) -> String {
    let ports: String = pairs(&answer["ports"])
        .map(|(port, entries)| format!("\n  at port {port}: {}", text(entries)))
        .collect();
    format!("fdb:{}{ports}", super::facts(answer, &INFO))
}

pub(crate) fn removed(_: &Args, answer: &Value) -> String {
    match answer["removed"].as_bool() {
        Some(true) => "removed".to_owned(),
        Some(false) => "there was no such entry".to_owned(),
        None => text(&answer["removed"]),
    }
}

pub(crate) fn flushed(_: &Args, answer: &Value) -> String {
    format!("forgotten: {} addresses", text(&answer["flushed"]))
}

pub(crate) fn vlans(_: &Args, answer: &Value) -> String {
    let row = |vlan: &Value| ["vids", "untagged", "tagged"].map(|field| text(&vlan[field])).to_vec();
    let rows: Vec<_> = list(&answer["vlans"]).map(row).collect();
    if rows.is_empty() {
        return "no port is a member".to_owned();
    }
    table(&["vlan", "sent untagged by", "sent tagged by"], rows, usize::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_read_with_their_age() {
        let answer = json!({ "entries": [
            { "vlan": 10, "mac": "02:00:00:00:00:01", "port": "vm1", "static": true },
            { "vlan": 10, "mac": "02:00:00:00:00:02", "port": "vm2", "static": false, "age_seconds": 7 } ] });
        let text = fdb(&Args::default(), &answer);
        assert!(text.contains("static") && text.contains("7 s") && text.ends_with("2 addresses"), "{text}");
        let vlan = json!({ "vlans": [{ "vids": "10,20-29", "untagged": ["a", "b"], "tagged": [] }] });
        assert!(vlans(&Args::default(), &vlan).contains("a b"));
    }
}
