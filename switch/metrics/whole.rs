//! The switch as a whole: what it is, the balance, addresses, memory.

use std::fmt::Result;

use pollux_engine::fdb::FdbCounters;
use pollux_engine::{PortTotals, Reason};

use super::families::Families;
use crate::control::Numbers;

pub(super) fn encode(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let build = [("version", env!("POLLUX_VERSION")), ("dpdk", &*numbers.dpdk)];
    to.gauge("build_info", "The versions that run.", [(build, 1)])?;
    let uptime = numbers.uptime.as_secs_f64();
    to.gauge("uptime_seconds", "For how long the switch has been running.", [([], uptime)])?;
    balance(to, numbers)?;
    departed(to, &numbers.departed)?;
    addresses(to, numbers)?;
    memory(to, numbers)
}

/// `receive + replicated = transmit + dropped + queued`, over all ports that ever were.
fn balance(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let sum = &numbers.accounting;
    for (name, help, frames) in [
        (
            "receive_frames",
            "Frames received on all ports since the start, those that are gone included.",
            sum.rx,
        ),
        ("replicated_frames", "Frames that floods and cutting added.", sum.replicated),
        ("transmit_frames", "Frames sent on all ports.", sum.tx),
        ("dropped_frames", "Frames dropped on all ports for any reason.", sum.dropped),
    ] {
        to.counter(name, help, [([], frames)])?;
    }
    let help = "Frames inside the switch: receive + replicated = transmit + dropped + queued.";
    to.gauge("queued_frames", help, [([], sum.queued)])
}

/// Apart from those of ports: a rate over them would show what happened long ago when a port goes.
fn departed(to: &mut Families<'_>, totals: &PortTotals) -> Result {
    for (name, help, count) in [
        ("detached_receive_frames", "Frames that ports that are gone had received.", totals.rx_frames),
        ("detached_receive_bytes", "Octets that ports that are gone had received.", totals.rx_bytes),
        ("detached_transmit_frames", "Frames that ports that are gone had sent.", totals.tx_frames),
        ("detached_transmit_bytes", "Octets that ports that are gone had sent.", totals.tx_bytes),
        ("detached_replicated_frames", "Frames added to those of ports that are gone.", totals.replicated),
    ] {
        to.counter(name, help, [([], count)])?;
    }
    let drops = Reason::ALL.iter().map(|reason| ([("reason", reason.name())], totals.drops[reason.index()]));
    to.counter("detached_drops", "Frames dropped on ports that are gone.", drops)
}

fn addresses(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let fdb = &numbers.fdb;
    for (name, help, entries) in [
        ("fdb_capacity_entries", "Addresses that the FDB has room for.", fdb.capacity),
        ("fdb_entries", "Addresses in the FDB, static ones included.", fdb.entries),
        ("fdb_static_entries", "Static addresses in the FDB.", fdb.statics),
    ] {
        to.gauge(name, help, [([], entries as u64)])?;
    }
    let FdbCounters { learned, moved, aged, flushed, evicted, displaced, .. } = fdb.counters;
    for (name, help, count) in [
        ("fdb_learned", "Addresses learned that weren't there.", learned),
        ("fdb_moved", "Addresses seen on another port than before.", moved),
        ("fdb_aged", "Addresses removed because nothing came from them for the ageing time.", aged),
        ("fdb_flushed", "Addresses removed after a flush of their port or VLAN.", flushed),
        ("fdb_evicted", "Living addresses removed to make room for others.", evicted),
        ("fdb_displaced", "Addresses put into their other bucket to make room.", displaced),
    ] {
        to.counter(name, help, [([], count)])?;
    }
    let FdbCounters { refused_busy, refused_full, refused_static, .. } = fdb.counters;
    let refused = [("busy", refused_busy), ("full", refused_full), ("static", refused_static)];
    let refused = refused.map(|(reason, frames)| ([("reason", reason)], frames));
    let help = "Frames whose source wasn't learned: another worker was at work there, there was no room, or it \
                is static on another port.";
    to.counter("fdb_not_learned", help, refused)
}

fn memory(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let sockets: Vec<_> = numbers.pools.iter().map(|pool| (pool.socket.to_string(), pool)).collect();
    let labelled = || sockets.iter().map(|(socket, pool)| ([("numa_socket", &**socket)], *pool));
    let sizes = labelled().map(|(labels, pool)| (labels, u64::from(pool.mbufs)));
    to.gauge("pool_mbufs", "Mbufs of packet memory.", sizes)?;
    let used = labelled().map(|(labels, pool)| (labels, u64::from(pool.in_use)));
    to.gauge("pool_mbufs_in_use", "Mbufs that are in rings, queues and hands.", used)
}
