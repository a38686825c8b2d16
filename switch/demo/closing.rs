//! The closing tables, and what wasn't as it should be.

use std::fmt::Write;

use pollux_engine::PortTotals;

use super::configuration::{HOSTS, PORTS, VMS};
use super::host::Counters;
use super::load::Driven;
use super::ping::Pings;
use super::rates::{Flow, short};
use super::tcp::Transfer;
use crate::control::{KnownAddress, Stopped, report};
use crate::text;

/// Addresses shown of the FDB.
const SHOWN: usize = 12;

/// Everything that was measured.
pub(super) struct Findings {
    pub(super) ping: (Pings, Flow),
    pub(super) tcp: (Transfer, Flow),
    pub(super) load: Driven,
    pub(super) stopped: Stopped,
    pub(super) fdb: Vec<KnownAddress>,
    /// What the kernel counted at the hosts' ports.
    pub(super) kernel: [Counters; 2],
}

impl Findings {
    /// The tables.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("\n");
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}\n", self.scenes());
        let _ = writeln!(text, "{}", report::totals(&self.stopped.totals));
        for loss in self.kernel_losses() {
            let _ = writeln!(text, "{loss}");
        }
        let _ = writeln!(text, "\n{}\n", report::addresses(&self.fdb, SHOWN));
        let _ = writeln!(text, "{}", report::accounting(&self.stopped.accounting));
        text
    }

    fn scenes(&self) -> String {
        let row = |scene: &str, flow: &Flow, result: String| {
            vec![
                scene.to_owned(),
                format!("{:.1}", flow.seconds),
                figure(flow.frame_rate() / 1e6),
                figure(flow.layer2_rate() / 1e9),
                figure(flow.wire_rate() / 1e9),
                result,
            ]
        };
        let (pings, ping_flow) = &self.ping;
        let (transfer, tcp_flow) = &self.tcp;
        let rows = [
            row("ping", ping_flow, ping_result(pings)),
            row("tcp", tcp_flow, tcp_result(transfer)),
            row("vhost", &self.load.flow(), self.load_result()),
        ];
        let header = ["scene", "seconds", "Mpps", "Gbit/s", "with gaps", "result"];
        let mut table = text::table(&header, rows, 1);
        if let Some(column) = table.column_mut(header.len() - 1) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        table.to_string()
    }

    fn load_result(&self) -> String {
        let whole = &self.load.whole;
        let [left, right] = whole.received.map(text::grouped);
        let faults = &whole.faults;
        format!(
            "{left} frames to vm1, {right} to vm2; {} lost, {} reordered, {} duplicated, {} misdelivered",
            text::grouped(whole.missing),
            faults.reordered,
            faults.duplicated,
            faults.strange,
        )
    }

    /// What the rings of the hosts' packet sockets lost, by the kernel's counters beside the switch's.
    fn kernel_losses(&self) -> Vec<String> {
        let ports = PORTS[HOSTS].iter().zip(&self.kernel);
        let losses = ports.filter_map(|(name, kernel)| {
            let totals = self.totals(name)?;
            let before = kernel.from_host.saturating_sub(totals.rx_frames);
            let behind = totals.tx_frames.saturating_sub(kernel.to_host);
            let line = format!(
                "port {name}: its packet socket lost {} frames before the switch and {} behind it",
                text::grouped(before),
                text::grouped(behind)
            );
            (before + behind > 0).then_some(line)
        });
        losses.collect()
    }

    fn totals(&self, port: &str) -> Option<&PortTotals> {
        self.stopped.totals.iter().find_map(|(name, totals)| (name == port).then_some(totals))
    }

    /// What wasn't as it should be.
    pub(super) fn faults(&self) -> Vec<String> {
        let (pings, _) = &self.ping;
        let (transfer, _) = &self.tcp;
        let whole = &self.load.whole;
        let mut faults = Vec::new();
        let mut judge = |good: bool, fault: String| {
            if !good {
                faults.push(fault);
            }
        };
        judge(
            pings.sent > 0 && pings.back + pings.late == pings.sent,
            format!("{} of {} pings came back", pings.back + pings.late, pings.sent),
        );
        judge(
            transfer.matches(),
            format!(
                "what TCP delivered isn't what was sent: {} bytes with checksum {:016x}, of {} with {:016x}",
                transfer.received.bytes,
                transfer.received.checksum,
                transfer.sent.bytes,
                transfer.sent.checksum,
            ),
        );
        for (name, frames) in PORTS[VMS].iter().zip(self.load.window.received) {
            judge(
                frames > 0,
                format!("nothing arrived at {name} within the {:.1} s that count", self.load.window.seconds),
            );
        }
        judge(
            !whole.faults.any(),
            format!("frames between vm1 and vm2 didn't arrive once and in order: {:?}", whole.faults),
        );
        let dropped: u64 =
            PORTS[VMS].iter().filter_map(|name| self.totals(name)).map(PortTotals::dropped).sum();
        judge(
            whole.missing <= dropped,
            format!(
                "{} frames between vm1 and vm2 are lost, and the switch dropped {dropped} only",
                whole.missing
            ),
        );
        judge(self.stopped.accounting.balances(), "the accounting doesn't balance".to_owned());
        judge(self.stopped.mbufs_out == 0, format!("{} mbufs didn't come home", self.stopped.mbufs_out));
        faults.extend(self.stopped.failures.iter().cloned());
        faults
    }
}

/// A number with as many decimals as a small one needs.
fn figure(number: f64) -> String {
    let decimals = if number < 0.001 {
        6
    } else if number < 1.0 {
        4
    } else {
        2
    };
    format!("{number:.decimals$}")
}

fn ping_result(pings: &Pings) -> String {
    let rtt = pings
        .rtt
        .map(|[least, mean, most]| format!("; rtt {least:.3} / {mean:.3} / {most:.3} ms (min / mean / max)"));
    let late = if pings.late > 0 { format!(", {} of them late", pings.late) } else { String::new() };
    format!("{} of {} back{late}{}", pings.back + pings.late, pings.sent, rtt.unwrap_or_default())
}

fn tcp_result(transfer: &Transfer) -> String {
    let Transfer { sent, received } = transfer;
    let checksums = match transfer.matches() {
        true => format!("checksum {:016x} at both ends", received.checksum),
        false => format!("checksum {:016x} sent, {:016x} received", sent.checksum, received.checksum),
    };
    format!(
        "{} MiB, {} bit/s of goodput; {checksums}; {} segments sent again",
        received.bytes >> 20,
        short(transfer.goodput()),
        text::grouped(sent.sent_again),
    )
}
