//! Workers, their queues and memory.

use serde_json::{Value, json};

use super::{Args, Caller, Entry, Failed, call, edit, number, object, set, steps};
use crate::console::grammar::argument;
use crate::console::render;

pub(super) static ENTRIES: &[Entry] = &[
    call(
        "show workers",
        "workers: CPU, load, queues, frames, whether one is stuck",
        "show workers",
        |_| ("worker.list", Value::Null),
        render::workers,
    ),
    call(
        "show config cores",
        "as `show workers`",
        "show config cores",
        |_| ("worker.list", Value::Null),
        render::workers,
    ),
    call(
        "rebalance [dry-run]",
        "moves receive queues between workers to even their load; with dry-run only says which",
        "rebalance dry-run",
        |args| ("worker.rebalance", object([("dry_run", args.has("dry-run").then_some(true).into())])),
        render::rebalance,
    ),
    call(
        "set burst BURST",
        "sets how many frames a worker takes from a queue at once",
        "set burst 32",
        burst,
        render::changes,
    ),
    call(
        "port config all burst BURST",
        "as `set burst BURST`",
        "port config all burst 32",
        burst,
        render::changes,
    ),
    call(
        "set switch NAME VALUE",
        "sets a key below [switch] in the file, if it can change while the switch runs",
        "set switch burst 32",
        |args| {
            let value = argument::toml(args.get("VALUE").unwrap_or_default()).unwrap_or_default();
            edit(set(&["switch", args.get("NAME").unwrap_or_default()], value))
        },
        render::changes,
    ),
    call(
        "set log global off|error|warn|info|debug|trace",
        "sets what the log tells of areas that have no level of their own",
        "set log global info",
        |args| edit(set(&["log", "level"], args.word(3))),
        render::edited,
    ),
    call(
        "set log config|dpdk|metrics|ports|rpc|workers off|error|warn|info|debug|trace",
        "sets what the log tells of one area",
        "set log dpdk error",
        |args| edit(set(&["log", "areas", args.word(2)], args.word(3))),
        render::edited,
    ),
    steps(
        "set record-core-cycles on",
        "says that each worker's cycles are counted, as they always are",
        "set record-core-cycles on",
        |_, switch| Ok(switch.call("worker.list", Value::Null)?),
        render::workers,
    ),
    call(
        "show memory",
        "pools of packet memory, and how much of each is in use",
        "show memory",
        |_| ("memory.show", Value::Null),
        render::pools,
    ),
    steps(
        "dump_mempool [POOL]",
        "DPDK's own words about its pools, or about one",
        "dump_mempool",
        mempool,
        render::text_of,
    ),
    call(
        "dump_memzone",
        "DPDK's own words about its memory zones",
        "dump_memzone",
        |_| ("memory.dump", json!({ "what": "memzone" })),
        render::text_of,
    ),
    call(
        "dump_physmem",
        "DPDK's own words about its memory",
        "dump_physmem",
        |_| ("memory.dump", json!({ "what": "physmem" })),
        render::text_of,
    ),
];

fn burst(args: &Args) -> (&'static str, Value) {
    edit(set(&["switch", "burst"], number(args, "BURST")))
}

/// What DPDK writes of its pools; of one, from its own heading to the next one's.
fn mempool(args: &Args, switch: &mut dyn Caller) -> Result<Value, Failed> {
    let answer = switch.call("memory.dump", json!({ "what": "mempool" }))?;
    let Some(pool) = args.get("POOL") else { return Ok(answer) };
    let text = answer["text"].as_str().unwrap_or_default();
    let mut parts = Vec::<String>::new();
    for line in text.lines() {
        if line.starts_with("mempool <") || parts.is_empty() {
            parts.push(String::new());
        }
        let part = parts.last_mut().expect("a part was begun");
        part.push_str(line);
        part.push('\n');
    }
    match parts.into_iter().find(|part| part.starts_with(&format!("mempool <{pool}>"))) {
        Some(part) => Ok(json!({ "text": part })),
        None => Err(Failed::Input(format!("there is no pool {pool}; `show memory` lists them"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;
    use pollux_config::{LogArea, LogLevel};

    #[test]
    fn every_area_and_level_of_the_log_can_be_set() {
        for (level, _) in LogLevel::WORDS {
            let edit = |of: &str| {
                let line = format!("set log {of} {level}");
                Command::parse(&line).unwrap().unwrap().call().unwrap().1["edits"][0].clone()
            };
            assert_eq!(edit("global"), json!({ "set": ["log", "level"], "value": level }));
            for (area, _) in LogArea::ALL {
                assert_eq!(edit(area), json!({ "set": ["log", "areas", area], "value": level }));
            }
        }
    }
}
