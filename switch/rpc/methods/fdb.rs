//! Addresses.

use pollux_engine::fdb::FdbKey;
use pollux_net::{Mac, Vid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{described, refused};
use super::{Arguments, Failure, Method, Reply, resolve, resolve_any};
use crate::control::{AddressFilter, Running};
use crate::rpc::Code;

pub(super) const METHODS: &[(&str, Method)] =
    &[("fdb.list", list), ("fdb.info", info), ("fdb.add", add), ("fdb.remove", remove), ("fdb.flush", flush)];

/// Entries in one answer, at most.
const MAX_ENTRIES: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    vlan: Option<u16>,
    port: Option<String>,
    mac: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let List { vlan, port, mac, after, limit } = arguments.parse()?;
    let filter = AddressFilter {
        vid: vlan.map(vid).transpose()?,
        port: resolve_any(running, port.as_deref())?,
        mac: mac.as_deref().map(self::mac).transpose()?,
    };
    let limit = limit.unwrap_or(MAX_ENTRIES).clamp(1, MAX_ENTRIES);
    let (known, next) = running.switch.addresses_after(after, limit, &filter);
    let entries: Vec<_> = known
        .iter()
        .map(|known| {
            json!({
                "vlan": known.entry.key.vid().value(),
                "mac": known.entry.key.mac().to_string(),
                "port": known.port,
                "static": known.entry.is_static,
                "age_seconds": known.entry.age,
            })
        })
        .collect();
    Ok(json!({ "entries": entries, "next": next }).into())
}

fn info(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    let fdb = running.switch.fdb();
    let counters = fdb.counters();
    let ports: serde_json::Map<_, _> = running
        .switch
        .addresses_by_port()
        .into_iter()
        .map(|(port, entries)| (port, entries.into()))
        .collect();
    let info = json!({
        "entries": fdb.len(),
        "capacity": fdb.capacity(),
        "ageing_seconds": fdb.ageing_seconds(),
        "ports": ports,
        "learned": counters.learned,
        "moved": counters.moved,
        "aged": counters.aged,
        "flushed": counters.flushed,
        "evicted": counters.evicted,
        "refused_busy": counters.refused_busy,
        "refused_full": counters.refused_full,
        "refused_static": counters.refused_static,
    });
    Ok(info.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    vlan: u16,
    mac: String,
    port: String,
}

fn add(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Add { vlan, mac, port } = arguments.parse()?;
    let (vid, mac, port) = (vid(vlan)?, self::mac(&mac)?, resolve(running, &port)?);
    let changes = running.add_static(vid, mac, &port).map_err(refused)?;
    Ok(json!({ "changes": described(&changes) }).into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    vlan: u16,
    mac: String,
}

fn remove(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Remove { vlan, mac } = arguments.parse()?;
    let (vid, mac) = (vid(vlan)?, self::mac(&mac)?);
    let changes = running.remove_static(vid, mac).map_err(refused)?;
    let removed = changes.is_some() || running.switch.fdb().remove(FdbKey::new(vid, mac));
    if !removed {
        let what = format!("{mac} isn't known in VLAN {vid}: `show fdb mac {mac}` tells where it is");
        return Err(Failure::new(Code::Input, what));
    }
    let changes = changes.map_or(Value::Null, |changes| described(&changes));
    Ok(json!({ "removed": true, "changes": changes }).into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flush {
    vlan: Option<u16>,
    port: Option<String>,
}

fn flush(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Flush { vlan, port } = arguments.parse()?;
    let vid = vlan.map(vid).transpose()?;
    let port = resolve_any(running, port.as_deref())?;
    Ok(json!({ "flushed": running.switch.flush_addresses(vid, port) }).into())
}

/// A VLAN of a call.
pub(super) fn vid(number: u16) -> Result<Vid, Failure> {
    Vid::new(number)
        .ok_or_else(|| Failure::new(Code::Input, format!("there is no VLAN {number}: VIDs are 1 to 4094")))
}

/// An address of a call.
pub(super) fn mac(text: &str) -> Result<Mac, Failure> {
    let what =
        || format!("{text:?} is no MAC address: write six hexadecimal octets, as in 02:00:00:00:00:01");
    text.parse().map_err(|_| Failure::new(Code::Input, what()))
}
