//! The tables that people read.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use pollux_engine::{Accounting, PortTotals};

/// A table without frames: a header, then rows whose columns from `numeric_from` on hold numbers.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numeric_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(numeric_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Every port's totals, and under it every reason that dropped a frame.
pub fn totals(ports: &[(String, PortTotals)]) -> String {
    let row = |(name, totals): &(String, PortTotals)| {
        let numbers =
            [totals.rx_frames, totals.rx_bytes, totals.tx_frames, totals.tx_bytes, totals.dropped()].map(grouped);
        std::iter::once(name.clone()).chain(numbers).collect()
    };
    let header = ["port", "rx frames", "rx bytes", "tx frames", "tx bytes", "dropped"];
    let mut text = table(&header, ports.iter().map(row), 1).to_string();
    let reasons = ports.iter().flat_map(|(name, totals)| {
        totals
            .drops_by_reason()
            .map(move |(reason, frames)| vec![name.clone(), reason.to_string(), grouped(frames), reason.about().into()])
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

/// The balance, in a line.
pub fn accounting(sum: &Accounting) -> String {
    let Accounting { rx, replicated, tx, dropped, queued } = *sum;
    let verdict = if sum.balances() { "balances" } else { "DOES NOT BALANCE" };
    let [rx, replicated, tx, dropped, queued] = [rx, replicated, tx, dropped, queued].map(grouped);
    format!("accounting: rx {rx} + replicated {replicated} = tx {tx} + dropped {dropped} + queued {queued}: {verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_engine::Reason;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
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
