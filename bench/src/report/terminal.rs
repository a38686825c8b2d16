//! A report on a terminal: a line as each measurement is done, and a summary in the end.

use std::fmt::Write;

use comfy_table::Table;

use super::compare::{Comparison, Judgement, RULE};
use super::model::{Better, Figure, Measurement, Report, Unit};
use super::summary::{self, Cell, HEADROOM, Row, Spread};
use super::text::{count, figure_title, percent, quantity, size_order, size_title, times, whole};
use crate::host::table::{align_right, mpps, table};

/// Figures that a line has room for.
const FEW: usize = 4;

/// What a measurement found, in one line.
pub(crate) fn line(measurement: &Measurement) -> String {
    let head = format!("{}  {}", measurement.name, measurement.system);
    if let Some(reason) = &measurement.not_done {
        return format!("{head}  not done: {reason}");
    }
    let shown = telling(&measurement.figures);
    let mut parts: Vec<String> = shown.iter().filter_map(|figure| figure_text(figure)).collect();
    let more = measurement.figures.len() - shown.len();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if measurement.figures.is_empty() && !measurement.curves.is_empty() {
        parts.push(count(measurement.curves.len(), "curve"));
    }
    format!("{head}  {}", parts.join(", "))
}

/// The figures that say most, where there are many.
fn telling(figures: &[Figure]) -> Vec<&Figure> {
    if figures.len() <= FEW {
        return figures.iter().collect();
    }
    let usual = ["latency_p50_at_50", "latency_p99_at_50", "latency_p50_at_90", "latency_p99_at_90"];
    let found: Vec<&Figure> = figures.iter().filter(|figure| usual.contains(&figure.name.as_str())).collect();
    match found.is_empty() {
        true => figures.iter().take(FEW).collect(),
        false => found,
    }
}

fn figure_text(figure: &Figure) -> Option<String> {
    let spread = Spread::of(figure.sorted())?;
    let mut text = figure_title(&figure.name).to_lowercase();
    // Writing to a string doesn't fail.
    let _ = write!(text, " {}{}", bound(figure.bound()), quantity(figure.unit, spread.median));
    if spread.low != spread.high {
        let _ = write!(text, " ({})", range(figure.unit, spread));
    }
    if let Some(expected) = figure.expected {
        let _ = write!(text, ", expected {}", quantity(figure.unit, expected));
    }
    if figure.rounds.iter().any(|sample| sample.disturbed) {
        text.push('*');
    }
    Some(text)
}

fn range(unit: Unit, spread: Spread) -> String {
    let (low, high) = (quantity(unit, spread.low), quantity(unit, spread.high));
    match low.unit == high.unit {
        true => format!("{}-{}", low.number, high.number),
        false => format!("{low}-{high}"),
    }
}

/// A run in a few tables: the tester first, then systems beside each other.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = format!("{}\n{} to {}\n", report.title, report.started, report.ended);
    if !report.complete {
        let why = report.cut_short.as_deref().unwrap_or("not everything that was planned was measured");
        let _ = writeln!(text, "cut short: {why}");
    }
    if report.short {
        text.push_str("trials were as short as a smoke run's\n");
    }
    for system in &report.systems {
        let _ = writeln!(text, "{}: {}", system.name, system.version);
    }
    for caution in &report.environment.cautions {
        let _ = writeln!(text, "caution: {caution}");
    }
    text.push_str(&self_test(report));
    text.push_str(&rates(report));
    text.push_str(&others(report));
    let not_done = report.measurements.iter().filter(|measurement| measurement.not_done.is_some()).count();
    if not_done > 0 {
        let _ =
            writeln!(text, "\n{} not done; the page and the file say why", count(not_done, "measurement"));
    }
    text
}

fn self_test(report: &Report) -> String {
    if report.self_test.is_empty() {
        return "\nThe tester wasn't measured against itself: nothing says that it was fast enough.\n"
            .to_owned();
    }
    let rows = report.self_test.iter().zip(summary::headroom(report)).map(|(test, row)| {
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let met = row.is_met().map(|met| if met { "met" } else { "NOT MET" }.to_owned());
        vec![
            size_title(&test.size),
            mpps(test.send_rate),
            mpps(test.receive_rate),
            mpps(test.both_rate),
            percent(test.both_busy),
            mpps(test.capability),
            or_nothing(test.latency_p50.map(|latency| quantity(Unit::Nanoseconds, latency).to_string())),
            or_nothing(row.fastest.as_ref().map(|(_, rate)| mpps(*rate))),
            or_nothing(row.fastest.map(|(system, _)| system)),
            or_nothing(row.ratio.map(times)),
            or_nothing(met),
        ]
    });
    let wanted = format!("{HEADROOM} times");
    let header = [
        "octets",
        "sent",
        "received",
        "both ways",
        "busy %",
        "could do",
        "latency",
        "fastest",
        "",
        "headroom",
        &wanted,
    ];
    let mut table = table(&header, rows.collect());
    align_right(&mut table, (0..8).chain([9]));
    section("The tester against itself, Mpps", &table)
}

fn section(title: &str, table: &Table) -> String {
    let table = table.to_string();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    format!("\n{title}\n{}\n", lines.join("\n"))
}

fn rates(report: &Report) -> String {
    let boards = summary::boards(report);
    let mut text = String::new();
    for panel in summary::panels(&boards) {
        let mut header = vec![panel.by];
        header.extend(report.systems.iter().map(|system| system.name.as_str()));
        for group in &panel.groups {
            let cells = group.rows.iter().map(|(label, row)| {
                let mut cells = vec![label.clone()];
                cells.extend(row.cells.iter().map(|cell| cell.as_ref().map(rate_cell).unwrap_or_default()));
                cells
            });
            let mut table = table(&header, cells.collect());
            align_right(&mut table, 0..header.len());
            text.push_str(&section(
                &format!("{}, Mpps: {}", figure_title(group.figure), panel.title),
                &table,
            ));
        }
    }
    let cells = || boards.iter().flat_map(|board| &board.rows).flat_map(|row| row.cells.iter().flatten());
    if cells().any(|cell| matches!(cell.ours_to_this, Some(Ok(_)))) {
        text.push_str("x: Pollux over it, round by round, then the median (lowest-highest)\n");
    }
    if cells().any(|cell| cell.tester_limited) {
        text.push_str(">=: tester-limited, so not compared\n");
    }
    if cells().any(|cell| cell.disturbed > 0) {
        text.push_str("*: something else took the CPUs' time in a round; where there are other rounds, only these count\n");
    }
    text
}

/// What stands before a value that the tester limited.
fn bound(bound: Option<Better>) -> &'static str {
    match bound {
        Some(Better::Higher) => ">=",
        Some(Better::Lower) => "<=",
        None => "",
    }
}

fn rate_cell(cell: &Cell) -> String {
    let disturbed = if cell.disturbed > 0 { "*" } else { "" };
    let rate = format!("{}{}{disturbed}", bound(cell.bound), mpps(cell.value.median));
    match cell.ours_to_this {
        Some(Ok(ratio)) if ratio.rounds > 1 => {
            let (middle, low, high) = (times(ratio.median), times(ratio.low), times(ratio.high));
            format!("{rate} x{middle} ({low}-{high})")
        }
        Some(Ok(ratio)) => format!("{rate} x{}", times(ratio.median)),
        _ => rate,
    }
}

/// What isn't about rates by size: each test at the smallest size that it was done with.
fn others(report: &Report) -> String {
    let rows = summary::rows(report);
    let smallest = |row: &Row| {
        let same = rows.iter().filter(|other| other.test == row.test);
        same.map(|other| size_order(&other.size)).min() == Some(size_order(&row.size))
    };
    let mut cells = Vec::new();
    let mut last = "";
    for row in rows.iter().filter(|row| !summary::is_rate_test(&row.test) && smallest(row)) {
        let many = rows.iter().filter(|other| other.name == row.name).count() > 2 * FEW;
        if many
            && !(row.figure.contains("_at_50")
                && ["p50", "p99"].contains(&row.figure.split('_').nth(1).unwrap_or("")))
        {
            continue;
        }
        let mut line =
            vec![if row.name == last { String::new() } else { row.name.clone() }, figure_title(&row.figure)];
        line.extend(row.cells.iter().map(|cell| {
            cell.as_ref()
                .map(|cell| quantity(row.unit, cell.value.median).to_string())
                .unwrap_or_else(|| "-".to_owned())
        }));
        last = &row.name;
        cells.push(line);
    }
    if cells.is_empty() {
        return String::new();
    }
    let mut header = vec!["name", "figure"];
    header.extend(report.systems.iter().map(|system| system.name.as_str()));
    let mut table = table(&header, cells);
    align_right(&mut table, 2..header.len());
    section("Everything else, medians", &table)
}

/// Two runs: what is beyond noise, what differs around them, and the rule.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let (a, b) = (&comparison.a, &comparison.b);
    let mut text = format!("A: {}, {}\nB: {}, {}\n", a.title, a.started, b.title, b.started);
    for (name, side) in [("A", a), ("B", b)] {
        if !side.complete {
            let _ = writeln!(text, "{name} was cut short");
        }
    }
    let _ = writeln!(
        text,
        "\n{} in both: {}, {}, {} different, {} within noise, {} not judged",
        count(comparison.changes.len(), "figure"),
        count(comparison.count(Judgement::Improvement), "improvement"),
        count(comparison.count(Judgement::Regression), "regression"),
        whole(comparison.count(Judgement::Different) as f64),
        whole(comparison.count(Judgement::WithinNoise) as f64),
        whole(comparison.not_judged() as f64),
    );
    let rows = comparison.changes.iter().filter(|change| change.judgement.is_beyond_noise()).map(|change| {
        let value = |spread: Spread| {
            format!("{} ({})", quantity(change.unit, spread.median), range(change.unit, spread))
        };
        vec![
            change.name.clone(),
            change.system.clone(),
            figure_title(&change.figure),
            value(change.a),
            value(change.b),
            change.ratio.map(times).unwrap_or_else(|| "-".to_owned()),
            change.judgement.text().to_owned(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let mut table = table(&["name", "system", "figure", "A", "B", "B/A", ""], rows);
        align_right(&mut table, 3..6);
        text.push_str(&section("Beyond noise", &table));
    }
    if !comparison.environment.is_empty() {
        let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let rows = comparison
            .environment
            .iter()
            .map(|it| vec![it.group.clone(), it.what.clone(), told(&it.a), told(&it.b)]);
        let table = table(&["what differs", "", "A", "B"], rows.collect());
        text.push_str(&section("Not the same conditions", &table));
    }
    for (name, only) in [("A", &comparison.only_a), ("B", &comparison.only_b)] {
        if !only.is_empty() {
            let _ = writeln!(text, "\nonly in {name}: {}", count(only.len(), "figure"));
        }
    }
    let _ = writeln!(text, "\n{}", RULE.join("\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{changed, sample};

    #[test]
    fn a_measurement_is_a_line() {
        let report = sample();
        let found = |test: &str, system: &str| {
            report.measurements.iter().find(|it| it.test == test && it.system == system).map(line).unwrap()
        };
        let rates = found("ndr", "pollux");
        assert!(rates.starts_with("64B-1c-vhost-vhost-l2-1mac-ndr  pollux  no-drop rate 1"), "{rates}");
        assert!(rates.contains(" Mpps (") && !rates.contains('\n'), "{rates}");
        let latency = found("latency", "ovs");
        assert!(latency.contains("latency p99 at 90 %") && latency.ends_with("20 more"), "{latency}");
        assert_eq!(
            found("addresses", "testpmd-io"),
            "64B-1c-3vhost-l2-1mac-addresses  testpmd-io  not done: testpmd learns no addresses."
        );
        let capacity = found("addresses", "pollux");
        assert!(
            capacity.ends_with("address capacity 131,072 addresses, expected 131,072 addresses"),
            "{capacity}"
        );
        assert!(found("loss", "pollux").ends_with("3 curves"));
    }

    #[test]
    fn the_summary_has_the_tester_first_and_marks_its_limits() {
        let text = summary(&sample());
        let tester = text.find("The tester against itself").unwrap();
        assert!(tester < text.find("No-drop rate, Mpps").unwrap());
        assert!(text.contains(">=") && text.contains("tester-limited, so not compared"));
        assert!(text.contains("cut short: Interrupted after 201 of 204 measurements."));
        assert!(text.contains("capacity"));
    }

    #[test]
    fn a_comparison_says_its_rule_and_what_is_beyond_it() {
        let worse = changed(|measurement, figure, value| {
            let one = measurement.system == "pollux" && measurement.size == "imix" && figure.name == "pdr";
            if one { value * 0.7 } else { value }
        });
        let text = comparison(&Comparison::of(&sample(), &worse));
        assert!(text.contains("0 improvements, 1 regression,"), "{text}");
        assert!(text.contains("Beyond noise: at least 3 rounds"), "{text}");
        assert!(text.contains("imix-1c-vhost-vhost-l2-1mac-ndr"), "{text}");
    }
}
