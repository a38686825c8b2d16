//! The page's tables.

use maud::{Markup, html};

use super::plot::micro;
use crate::host::table::mpps;
use crate::report::model::{Better, Measurement, Report, Unit};
use crate::report::summary::{self, Cell, HEADROOM, Panel, Standing};
use crate::report::text::{
    self, capital, count, figure_title, percent, quantity, size_title, test_title, times,
};

/// Rates by figure, everybody beside each other.
pub(super) fn panel(report: &Report, panel: &Panel<'_>) -> Markup {
    html! {
        h3 { "Rates by " (panel.by) ": " (panel.title) span class="unit" { "Mpps, medians; below, Pollux over the peer" } }
        div class="scroll" {
            table class="board" {
                thead {
                    tr {
                        th scope="col" { (if panel.by == "frame size" { "Octets".to_owned() } else { capital(panel.by) }) }
                        @for system in &report.systems { th scope="col" { (system.name) } }
                    }
                }
                @for group in &panel.groups {
                    tbody {
                        tr class="group" { th scope="rowgroup" colspan=(report.systems.len() + 1) { span { (group.what) } } }
                        @for (label, row) in &group.rows {
                            tr {
                                th scope="row" { (label) }
                                @for cell in &row.cells { (rate_cell(cell.as_ref())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What stands before a value that the tester limited.
fn bound(bound: Option<Better>) -> &'static str {
    match bound {
        Some(Better::Higher) => "≥ ",
        Some(Better::Lower) => "≤ ",
        None => "",
    }
}

fn rate_cell(cell: Option<&Cell>) -> Markup {
    let Some(cell) = cell else {
        return html! { td class="nothing" { "–" } };
    };
    html! {
        td class=[cell.tester_limited.then_some("limited")] {
            span class="value" {
                (bound(cell.bound))
                (mpps(cell.value.median))
                @if cell.disturbed > 0 { sup title={ (count(cell.disturbed, "disturbed round")) } { "†" } }
            }
            (ratio_line(cell))
        }
    }
}

fn ratio_line(cell: &Cell) -> Markup {
    html! {
        @match cell.ours_to_this {
            Some(Ok(ratio)) => {
                span class={ "ratio " (standing_class(cell.standing)) } {
                    (times(ratio.median)) "×"
                    @if ratio.rounds > 1 { " " small { (times(ratio.low)) "–" (times(ratio.high)) } }
                }
            }
            Some(Err(refusal)) => { span class="ratio refused" { (refusal.reason()) } }
            None => {
                @if cell.tester_limited { span class="ratio refused" { "tester-limited" } }
                @else if cell.value.rounds > 1 {
                    span class="ratio" { small { (mpps(cell.value.low)) "–" (mpps(cell.value.high)) } }
                }
            }
        }
    }
}

fn standing_class(standing: Option<Standing>) -> &'static str {
    match standing {
        Some(Standing::Ahead) => "ahead",
        Some(Standing::Behind) => "behind",
        Some(Standing::Level) | None => "level",
    }
}

/// What the signs in the boards mean.
pub(super) fn board_legend() -> Markup {
    html! {
        p class="note signs" {
            span class="ratio ahead" { "1.20×" } " Pollux ahead in every round. "
            span class="ratio behind" { "0.90×" } " behind in every round. "
            span class="ratio level" { "1.02×" } " rounds differ about it. Small figures are the lowest and highest round. "
            "≥ tester-limited: the system may do more, and isn't compared. "
            "† something else took the CPUs' time in a round: where there are other rounds, only these count, and ratios are of these alone."
        }
    }
}

/// The tester against itself, and against what it measured.
pub(super) fn self_test(report: &Report) -> Markup {
    let headroom = summary::headroom(report);
    let name = |id: &str| {
        let system = report.systems.iter().find(|system| system.id == id);
        system.map_or(id.to_owned(), |system| system.name.clone())
    };
    let missed = headroom.iter().filter(|row| row.is_met() == Some(false)).count();
    let compared = headroom.iter().filter(|row| row.ratio.is_some()).count();
    html! {
        section id="tester" {
            h2 { "The tester" }
            @if report.self_test.is_empty() {
                p class="nothing" { "The tester wasn't measured against itself: nothing here says that it was fast enough." }
            } @else {
                p class="lead" {
                    "Tester to tester with no switch between, before anything else. "
                    @if compared == 0 { "No switch was measured at these sizes." }
                    @else if missed == 0 {
                        "At each size it could do at least " (HEADROOM) " times the fastest switch."
                    } @else {
                        "At " (missed) " of " (count(compared, "size")) " it could do less than " (HEADROOM)
                        " times the fastest switch: trials there that it limited are marked."
                    }
                }
                div class="scroll" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Octets" }
                                th scope="col" { "One way, sent" }
                                th scope="col" { "received" }
                                th scope="col" { "Both ways, each" }
                                th scope="col" { "Busy" }
                                th scope="col" { "Could do" }
                                th scope="col" { "Latency p50" }
                                th scope="col" { "Fastest switch" }
                                th scope="col" { "Headroom" }
                                th scope="col" { (HEADROOM) " times" }
                            }
                        }
                        tbody {
                            @for (test, row) in report.self_test.iter().zip(&headroom) {
                                tr {
                                    th scope="row" { (size_title(&test.size)) }
                                    td { (rate(test.send_rate)) }
                                    td { (rate(test.receive_rate)) }
                                    td { (rate(test.both_rate)) }
                                    td { (percent(test.both_busy)) " %" }
                                    td { (rate(test.capability)) }
                                    td { @if let Some(latency) = test.latency_p50 { (value(Unit::Nanoseconds, latency)) } }
                                    td {
                                        @if let Some((system, fastest)) = &row.fastest { (name(system)) ", " (rate(*fastest)) }
                                        @else { "–" }
                                    }
                                    td { @if let Some(ratio) = row.ratio { (times(ratio)) "×" } @else { "–" } }
                                    td {
                                        @match row.is_met() {
                                            Some(true) => span class="ahead" { "met" },
                                            Some(false) => span class="behind" { "not met" },
                                            None => "–",
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                p class="note" {
                    "Frames a second. “Could do” is the rate both ways over the share of its time that the half which \
                     measures switches was busy; headroom is that over the fastest switch's best rate at the size."
                }
            }
        }
    }
}

fn rate(value: f64) -> Markup {
    self::value(Unit::FramesPerSecond, value)
}

/// A value with its unit.
pub(super) fn value(unit: Unit, value: f64) -> Markup {
    let quantity = quantity(unit, value);
    html! { (quantity.number) @if !quantity.unit.is_empty() { span class="u" { " " (micro(quantity.unit)) } } }
}

/// Where it was measured, what of that is in the way, and who was measured.
pub(super) fn environment(report: &Report) -> Markup {
    let environment = &report.environment;
    html! {
        section id="environment" {
            h2 { "Environment" }
            @if !environment.cautions.is_empty() {
                div class="cautions" {
                    h3 { "What makes these figures worse or less certain" }
                    ul { @for caution in &environment.cautions { li { (caution) } } }
                }
            }
            div class="facts" {
                @for group in &environment.groups { (facts(&group.name, None, &group.facts)) }
                @for system in &report.systems { (facts(&system.name, Some(&system.version), &system.settings)) }
            }
            @if !report.command.is_empty() {
                p class="command" { span { "Command" } code { (report.command.join(" ")) } }
            }
        }
    }
}

fn facts(name: &str, version: Option<&str>, facts: &[(String, String)]) -> Markup {
    html! {
        div class="fact-group" {
            h3 { (name) }
            dl {
                @if let Some(version) = version { div { dt { "version" } dd { (version) } } }
                @for (what, value) in facts { div { dt { (what) } dd class=[value.trim().contains('\n').then_some("lines")] { (value.trim()) } } }
            }
        }
    }
}

/// Everything that was measured, by test and name.
pub(super) fn measurements(report: &Report) -> Markup {
    let groups = summary::by_name(report);
    let mut tests: Vec<&str> = Vec::new();
    for group in &groups {
        if !tests.contains(&group[0].test.as_str()) {
            tests.push(&group[0].test);
        }
    }
    html! {
        section id="measurements" {
            h2 { "All measurements" }
            @if groups.is_empty() { p class="nothing" { "Nothing was measured." } }
            @else {
                p class="note" {
                    "Medians, with the lowest and highest round below where they differ. “Expected” is what the \
                     configuration says. † some rounds were disturbed. ≥ and ≤: the tester was the limit."
                }
            }
            @for test in tests {
                @let same: Vec<_> = groups.iter().filter(|group| group[0].test == test).collect();
                details class="test" {
                    summary {
                        strong { (test_title(test)) }
                        span { (standard(&same[0][0].standard)) }
                        span { (count(same.len(), "name")) }
                    }
                    div class="scroll" { (test_table(report, &same)) }
                }
            }
        }
    }
}

fn standard(standard: &str) -> &str {
    match standard {
        "none" | "-" | "" => "no standard",
        _ => standard,
    }
}

fn test_table(report: &Report, groups: &[&Vec<&Measurement>]) -> Markup {
    let columns = report.systems.len() + 3;
    html! {
        table class="measured" {
            thead {
                tr {
                    th scope="col" { "Figure" }
                    th scope="col" { "Rounds" }
                    th scope="col" { "Expected" }
                    @for system in &report.systems { th scope="col" { (system.name) } }
                }
            }
            @for group in groups {
                tbody {
                    tr class="group" { th scope="rowgroup" colspan=(columns) { span { code { (group[0].name) } } } }
                    @for row in summary::rows_of(report, group) {
                        tr {
                            th scope="row" { (figure_title(&row.figure)) }
                            td { (rounds(&row.cells)) }
                            td { @if let Some(expected) = row.cells.iter().flatten().find_map(|cell| cell.expected) {
                                (value(row.unit, expected))
                            } }
                            @for cell in &row.cells { (value_cell(row.unit, cell.as_ref())) }
                        }
                    }
                    @for line in remarks(report, group) {
                        tr class="remark" { td colspan=(columns) { (line) } }
                    }
                }
            }
        }
    }
}

fn rounds(cells: &[Option<Cell>]) -> String {
    let rounds = || cells.iter().flatten().map(|cell| cell.rounds);
    match (rounds().min(), rounds().max()) {
        (Some(least), Some(most)) if least != most => format!("{least}–{most}"),
        (_, Some(most)) => most.to_string(),
        _ => String::new(),
    }
}

fn value_cell(unit: Unit, cell: Option<&Cell>) -> Markup {
    let Some(cell) = cell else {
        return html! { td class="nothing" { "–" } };
    };
    let off = cell.expected.is_some_and(|expected| !is_as_expected(expected, cell.value.median));
    html! {
        td class=[off.then_some("off")] {
            (bound(cell.bound))
            (value(unit, cell.value.median))
            @if cell.disturbed > 0 { sup title={ (count(cell.disturbed, "disturbed round")) } { "†" } }
            @if cell.value.low != cell.value.high {
                small { (quantity(unit, cell.value.low).number) "–" (value(unit, cell.value.high)) }
            }
        }
    }
}

/// Within two in a hundred of what was to be found.
fn is_as_expected(expected: f64, found: f64) -> bool {
    (found - expected).abs() <= 0.02 * expected.abs()
}

/// What is to be said of a name besides figures: reasons for what wasn't done, and notes, by whom.
fn remarks(report: &Report, group: &[&Measurement]) -> Vec<String> {
    let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
    let mut add = |system: &str, line: String| {
        let found = report.systems.iter().find(|known| known.id == system);
        let name = found.map_or("", |system| system.name.as_str());
        match lines.iter_mut().find(|(_, known)| *known == line) {
            Some((names, _)) => names.push(name),
            None => lines.push((vec![name], line)),
        }
    };
    for measurement in group {
        if let Some(reason) = &measurement.not_done {
            add(&measurement.system, format!("not done. {reason}"));
        }
        for note in &measurement.notes {
            add(&measurement.system, note.clone());
        }
    }
    lines.into_iter().map(|(names, line)| format!("{}: {line}", text::listed(&names))).collect()
}
