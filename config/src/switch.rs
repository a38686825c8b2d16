use pollux_net::MAX_WORKERS;

use crate::tree::Node;
use crate::{Bytes, Rebalance, Rest, Watchdog, limits, units, work};

/// What belongs to the whole process.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    /// CPUs that poll, one worker each, in the file's order and without repeats. `None`: all but the
    /// first.
    pub cores: Option<Vec<usize>>,
    /// Whether packet memory is hugepages.
    pub hugepages: bool,
    /// Packet memory, a whole number of MiB. `None`: worked out from the ports.
    pub memory: Option<Bytes>,
    /// Frames that a worker takes from a queue at once, at most.
    pub burst: u16,
    /// What workers do that find nothing to do.
    pub rest: Rest,
    /// When receive queues go to other workers.
    pub rebalance: Rebalance,
    /// When it is looked into that something stands still.
    pub watchdog: Watchdog,
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            cores: None,
            hugepages: true,
            memory: None,
            burst: *limits::RX_BURST.end(),
            rest: Rest::default(),
            rebalance: Rebalance::default(),
            watchdog: Watchdog::default(),
        }
    }
}

pub(crate) fn read(node: &Node<'_>) -> Option<Switch> {
    node.table(|table| {
        Some(Switch {
            cores: table.get("cores", cores),
            hugepages: table.get("hugepages", Node::boolean).unwrap_or(true),
            memory: table.get("memory", memory),
            burst: table
                .get("burst", |node| node.number(&limits::RX_BURST))
                .unwrap_or(*limits::RX_BURST.end()),
            rest: table.get("rest", work::rest).unwrap_or_default(),
            rebalance: table.get("rebalance", work::rebalance).unwrap_or_default(),
            watchdog: table.get("watchdog", work::watchdog).unwrap_or_default(),
        })
    })
}

fn cores(node: &Node<'_>) -> Option<Vec<usize>> {
    let cores = node.list("write a list of CPU numbers, as in [2, 3]", |item| {
        let core = item.number(&limits::CORES)?;
        item.unique("core", core, "this core is listed already")?;
        Some(core)
    })?;
    if cores.is_empty() {
        let cure = "list at least one CPU, or leave `cores` out for all but the first";
        return node.refuse("no core would poll", cure);
    }
    if cores.len() > MAX_WORKERS {
        return node
            .refuse(format!("{} cores are listed", cores.len()), format!("list {MAX_WORKERS} at most"));
    }
    Some(cores)
}

fn memory(node: &Node<'_>) -> Option<Bytes> {
    let memory = units::bytes(node, &limits::MEMORY, "1GiB")?;
    let whole = memory.get() % Bytes::mib(1).get() == 0;
    if whole {
        Some(memory)
    } else {
        node.refuse(format!("`{}` is not a whole number of MiB", node.path()), "write it in MiB or GiB")
    }
}
