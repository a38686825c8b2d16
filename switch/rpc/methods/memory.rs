//! Packet memory.

use dpdk::Dump;
use serde::Deserialize;
use serde_json::json;

use super::{Arguments, Failure, Method, Reply};
use crate::control::Running;

pub(super) const METHODS: &[(&str, Method)] = &[("memory.show", show), ("memory.dump", dump)];

fn show(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(json!({ "pools": running.switch.pools() }).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Mempool,
    Memzone,
    Physmem,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    what: What,
}

fn dump(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Wanted { what } = arguments.parse()?;
    let what = match what {
        What::Mempool => Dump::Mempools,
        What::Memzone => Dump::Memzones,
        What::Physmem => Dump::PhysicalMemory,
    };
    Ok(json!({ "text": running.switch.dump(what) }).into())
}
