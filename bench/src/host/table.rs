//! Tables, and figures in as many digits as mean something.

use comfy_table::{CellAlignment, Table, presets};

/// A table without lines.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    table
}

/// Has the figures of these columns below each other.
pub(crate) fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for number in columns {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Millions a second.
pub(crate) fn mpps(rate: f64) -> String {
    let millions = rate / 1e6;
    match millions {
        10.0.. => format!("{millions:.1}"),
        1.0.. => format!("{millions:.2}"),
        _ => format!("{millions:.3}"),
    }
}
