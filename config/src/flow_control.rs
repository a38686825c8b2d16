use pollux_net::Pcp;

use crate::limits;
use crate::tree::{Node, Table};

/// Pause frames between a port's device and its link partner (IEEE 802.3-2022 annex 31B).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowControl {
    /// Whether we stop when the partner says so.
    pub rx: bool,
    /// Whether we tell the partner to stop.
    pub tx: bool,
    /// When we do. Nothing is set if `tx` isn't.
    pub thresholds: PauseThresholds,
    /// Whether we tell the partner to go on before its time is up. `None`: as the device does.
    pub send_xon: Option<bool>,
    /// Whether the two agree on all this by autonegotiation. `None`: as the device does.
    pub autoneg: Option<bool>,
}

/// Pause frames for some priorities alone (IEEE 802.1Q-2022 clause 36).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PriorityFlowControl {
    /// The priorities that can be paused, at least one, without repeats.
    pub priorities: Vec<Pcp>,
    /// Whether we stop when the partner says so.
    pub rx: bool,
    /// Whether we tell the partner to stop.
    pub tx: bool,
    /// When we do. Nothing is set if `tx` isn't.
    pub thresholds: PauseThresholds,
}

/// When a device pauses its partner. What is `None` is the device's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PauseThresholds {
    /// The fill of its packet buffer at which it says stop, in the unit of its driver.
    pub high_water: Option<u32>,
    /// The fill at which it says go, below `high_water`.
    pub low_water: Option<u32>,
    /// For how long the partner is to stop, in the time of 512 bits.
    pub pause_time: Option<u16>,
}

/// Keys of a port that are about pause frames.
pub(crate) const KEYS: [&str; 2] = ["flow_control", "priority_flow_control"];

/// Keys that only say how the partner is paused.
const TX_KEYS: [&str; 4] = ["high_water", "low_water", "pause_time", "send_xon"];

pub(crate) fn read(node: &Node<'_>) -> Option<FlowControl> {
    node.table(|table| {
        let (rx, tx) = directions(table);
        let thresholds = thresholds(table);
        let send_xon = table.get("send_xon", Node::boolean);
        let autoneg = table.get("autoneg", Node::boolean);
        refuse_without_tx(table, tx);
        Some(FlowControl { rx, tx, thresholds: thresholds?, send_xon, autoneg })
    })
}

pub(crate) fn read_by_priority(node: &Node<'_>) -> Option<PriorityFlowControl> {
    node.table(|table| {
        let cure = "add the priorities that can be paused, as in `priorities = [3, 4]`";
        let priorities = table.require("priorities", cure, priorities);
        let (rx, tx) = directions(table);
        let thresholds = thresholds(table);
        refuse_without_tx(table, tx);
        Some(PriorityFlowControl { priorities: priorities?, rx, tx, thresholds: thresholds? })
    })
}

fn directions(table: &Table<'_>) -> (bool, bool) {
    let on = |key| table.get(key, Node::boolean).unwrap_or(true);
    (on("rx"), on("tx"))
}

fn thresholds(table: &Table<'_>) -> Option<PauseThresholds> {
    let fill = |node: &Node<'_>| node.number(&limits::PAUSE_FILL);
    let high_water = table.get("high_water", fill);
    let low_water = table.get("low_water", fill);
    let pause_time = table.get("pause_time", |node| node.number(&limits::PAUSE_TIME));
    if let (Some(high), Some(low)) = (high_water, low_water)
        && low >= high
    {
        return table.get("low_water", |node| {
            node.refuse(
                format!("`{}` is not below `high_water`", node.path()),
                "write less, or raise `high_water`",
            )
        });
    }
    Some(PauseThresholds { high_water, low_water, pause_time })
}

fn refuse_without_tx(table: &Table<'_>, tx: bool) {
    if !tx {
        let what = "has no meaning with `tx = false`: the partner isn't paused";
        table.refuse_keys(&TX_KEYS, what, "remove it, or write `tx = true`");
    }
}

fn priorities(node: &Node<'_>) -> Option<Vec<Pcp>> {
    let cure = "write a list of priorities, as in [3, 4]";
    let kind = node.path();
    let priorities = node.list(cure, |item| {
        let pcp = Pcp::new(item.number(&(0..=7))?)?;
        item.unique(kind, pcp, "this priority is listed already")?;
        Some(pcp)
    })?;
    if priorities.is_empty() {
        return node.refuse("no priority could be paused", "list one, or remove `priority_flow_control`");
    }
    Some(priorities)
}
