//! What people read of a switch that has stopped, and of addresses.

use comfy_table::CellAlignment;
use pollux_engine::{Accounting, PortTotals};

use super::KnownAddress;
use crate::text::{grouped, table};

/// Every port's totals, and under it every reason that dropped a frame.
pub fn totals(ports: &[(String, PortTotals)]) -> String {
    let row = |(name, totals): &(String, PortTotals)| {
        let numbers =
            [totals.rx_frames, totals.rx_bytes, totals.tx_frames, totals.tx_bytes, totals.dropped()]
                .map(grouped);
        std::iter::once(name.clone()).chain(numbers).collect()
    };
    let header = ["port", "rx frames", "rx bytes", "tx frames", "tx bytes", "dropped"];
    let mut text = table(&header, ports.iter().map(row), 1).to_string();
    let reasons = ports.iter().flat_map(|(name, totals)| {
        totals.drops_by_reason().map(move |(reason, frames)| {
            vec![name.clone(), reason.to_string(), grouped(frames), reason.about().into()]
        })
    });
    let reasons: Vec<_> = reasons.collect();
    if !reasons.is_empty() {
        let mut drops = table(&["port", "dropped because", "frames", ""], reasons, usize::MAX);
        if let Some(column) = drops.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push_str("\n\n");
        text.push_str(&drops.to_string());
    }
    text
}

/// The first `most` addresses, and how many more there are.
pub fn addresses(known: &[KnownAddress], most: usize) -> String {
    let row = |KnownAddress { port, entry }: &KnownAddress| {
        let age = if entry.is_static { "static".to_owned() } else { format!("{} s", entry.age) };
        vec![entry.key.mac().to_string(), entry.key.vid().to_string(), port.clone(), age]
    };
    let mut text = table(&["address", "vid", "port", "age"], known.iter().take(most).map(row), 3).to_string();
    if known.len() > most {
        text.push_str(&format!("\nand {} more", grouped((known.len() - most) as u64)));
    }
    text
}

/// The balance, in a line.
pub fn accounting(sum: &Accounting) -> String {
    let Accounting { rx, replicated, tx, dropped, queued } = *sum;
    let verdict = if sum.balances() { "balances" } else { "DOES NOT BALANCE" };
    let [rx, replicated, tx, dropped, queued] = [rx, replicated, tx, dropped, queued].map(grouped);
    format!(
        "accounting: rx {rx} + replicated {replicated} = tx {tx} + dropped {dropped} + queued {queued}: {verdict}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_engine::Reason;
    use pollux_engine::fdb::{FdbEntry, FdbKey};
    use pollux_net::{Mac, PortId, Vid};

    #[test]
    fn the_first_addresses_are_shown_and_the_others_counted() {
        let known = |number: u8| KnownAddress {
            port: "vm1".to_owned(),
            entry: FdbEntry {
                key: FdbKey::new(Vid::DEFAULT, Mac::new([2, 0, 0, 0, 0, number])),
                port: PortId::from_low_bits(0),
                is_static: number == 1,
                age: 7,
            },
        };
        let text = addresses(&[known(1), known(2), known(3)], 2);
        assert!(text.contains("static") && text.contains("7 s") && text.ends_with("and 1 more"), "{text}");
        assert!(!addresses(&[known(1)], 2).contains("more"));
    }

    #[test]
    fn drops_are_named_under_the_totals() {
        let mut totals = PortTotals { rx_frames: 5, ..PortTotals::default() };
        totals.drops[Reason::Runt.index()] = 5;
        let text = super::totals(&[("vm1".to_owned(), totals)]);
        assert!(text.contains("runt") && text.contains("Shorter than"), "{text}");
        assert!(!super::totals(&[("vm1".to_owned(), PortTotals::default())]).contains("because"));
    }
}
