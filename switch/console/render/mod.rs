//! From an answer to what people read. Fields that aren't there read as nothing, so that a console can talk to a
//! switch of another version.

mod addresses;
mod config;
mod events;
mod frames;
mod ports;
mod qos;
mod queues;
mod stats;
mod vhost;
mod workers;

pub(super) use addresses::{fdb, fdb_info, flushed, removed, vlans};
pub(super) use config::{applied, changes, confirmed, diff, each_changes, edited, saved, text_of, would};
pub(super) use events::{event, forwarding, info};
pub(super) use frames::{capture, captures, mirrors};
pub(super) use ports::{capabilities, devices, flow_control, link, macs, offloads, port_info, port_list};
pub(super) use qos::qos;
pub(super) use queues::{descriptors, queue, queues, reta, rss_hash};
pub(super) use stats::{accounting, cleared, drops, port_stats, xstats};
pub(super) use vhost::vms;
pub(super) use workers::{pools, rebalance, workers};

use serde_json::Value;

use super::grammar::Args;
use crate::text::{grouped, table};

/// Text as it is.
pub(super) fn plain(args: &Args, answer: &Value) -> String {
    text_of(args, answer)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A value in words: text without its quotes, numbers with their thousands apart.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        Value::Array(_) => words(value),
        other => other.to_string(),
    }
}

fn words(value: &Value) -> String {
    let words: Vec<_> = list(value).map(text).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// A column of a table: its heading, and the field that it shows.
type Column = (&'static str, &'static str);

/// A table of what is listed: these fields of each, those of inner objects with a dot between.
fn listing(rows: &Value, columns: &[Column], numeric_from: usize) -> String {
    let header: Vec<_> = columns.iter().map(|(heading, _)| *heading).collect();
    let row = |row: &Value| columns.iter().map(|(_, field)| text(find(row, field))).collect();
    table(&header, list(rows).map(row), numeric_from).to_string()
}

fn find<'a>(value: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(value, |value, field| &value[field])
}

/// Lines of a name and a value, those that are there.
fn facts(of: &Value, fields: &[Column]) -> String {
    let there = fields.iter().filter(|(_, field)| !find(of, field).is_null());
    there.map(|(name, field)| format!("\n  {name}: {}", text(find(of, field)))).collect()
}

/// Octets per second in bits per second.
fn bits(octets: &Value) -> String {
    octets.as_u64().map_or("-".to_owned(), in_bits)
}

fn in_bits(octets_per_second: u64) -> String {
    let bits = octets_per_second as f64 * 8.0;
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    match units.iter().find(|(scale, _)| bits >= *scale) {
        Some((scale, unit)) => format!("{:.3} {unit}", bits / scale),
        None => format!("{bits} bit/s"),
    }
}
