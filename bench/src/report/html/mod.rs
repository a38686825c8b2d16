//! A report as one page that needs nothing else: no network, no script, no font.

mod comparison;
mod plot;
mod plots;
mod tables;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(super) use comparison::page as comparison_page;

use super::model::Report;
use super::summary::{self, OURS, Tally};
use super::text::{self, count, times};
use crate::Result;
use plots::Chapter;

/// The page of a report.
///
/// # Errors
///
/// None that come of what is in the report; what the drawing of plots says otherwise.
pub(super) fn page(report: &Report) -> Result<String> {
    let chapters = plots::chapters(report);
    let mut figures = Vec::new();
    for chapter in &chapters {
        figures.push(chapter_markup(chapter)?);
    }
    let body = html! {
        (head(report))
        nav aria-label="Contents" {
            a href="#verdict" { "Verdict" }
            a href="#tester" { "Tester" }
            a href="#environment" { "Environment" }
            @for chapter in &chapters { a href={ "#" (chapter.id) } { (chapter.title) } }
            a href="#measurements" { "All measurements" }
        }
        main {
            (verdict(report))
            (tables::self_test(report))
            (tables::environment(report))
            @for figure in figures { (figure) }
            (tables::measurements(report))
        }
        footer {
            p {
                "Made by " code { "pollux bench report" } " from a file of format " (report.format) ", which has every \
                 trial of this run. Figures are medians of rounds; where there are undisturbed rounds, only these count."
            }
        }
    };
    Ok(document(&report.title, &body))
}

fn document(title: &str, body: &Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) (PreEscaped(plot::style())) }
            }
            body { (body) }
        }
    };
    document.into_string()
}

fn head(report: &Report) -> Markup {
    let names: Vec<&str> = report.systems.iter().map(|system| system.name.as_str()).collect();
    html! {
        header {
            p class="kind" { "Pollux lab report" }
            h1 { (report.title) }
            p class="when" {
                (moment(&report.started)) " to " (moment(&report.ended)) " UTC"
                @if !names.is_empty() { " · " (text::listed(&names)) }
            }
            p class="state" {
                @if report.complete {
                    span class="tag good" { "Complete" } " Everything that was planned was measured."
                } @else {
                    span class="tag warn" { "Cut short" } " "
                    (sentence(report.cut_short.as_deref().unwrap_or("not everything that was planned was measured")))
                }
                @if report.short {
                    " " span class="tag" { "Short trials" } " Trials were as short as a smoke run's; the standards want longer ones."
                }
            }
        }
    }
}

/// With a capital letter first and a full stop last.
fn sentence(text: &str) -> String {
    let text = text::capital(text.trim_end_matches('.'));
    text + "."
}

/// "2026-12-01T08:12:09Z" as "2026-12-01 08:12:09".
fn moment(rfc3339: &str) -> String {
    rfc3339.trim_end_matches('Z').replacen('T', " ", 1)
}

/// How we stand: in a word for each peer, then every rate by size.
fn verdict(report: &Report) -> Markup {
    let boards = summary::boards(report);
    let peers: Vec<(usize, &str)> = report
        .systems
        .iter()
        .enumerate()
        .filter(|(_, system)| system.id != OURS)
        .map(|(place, system)| (place, system.name.as_str()))
        .collect();
    let we_are_here = peers.len() < report.systems.len();
    html! {
        section id="verdict" {
            h2 { "Verdict" }
            @if boards.is_empty() {
                p class="nothing" { "No throughput was measured." }
            }
            @if we_are_here && !peers.is_empty() {
                @for board in &boards {
                    @if let Some((_, rows, what)) = first_rate(board) {
                        @if rows.len() > 1 {
                            h3 { (what) " beside each peer: " (board.title()) }
                            ul class="tiles" {
                                @for (place, name) in &peers { (tile(name, &summary::tally(&rows, *place))) }
                            }
                        }
                    }
                }
                p class="note" {
                    "A ratio is Pollux's rate over the peer's, taken within a round, where both had the same conditions; then \
                     the median over rounds. Large figures are the median over sizes. Ahead means faster in every round."
                }
            }
            @for panel in summary::panels(&boards) { (tables::panel(report, &panel)) }
            @if !boards.is_empty() { (tables::board_legend()) }
        }
    }
}

/// The first rate of a board that was measured: its name, its rows, and in words what it is.
fn first_rate(board: &summary::Board) -> Option<(&'static str, Vec<&summary::Row>, String)> {
    let found = ["ndr", "throughput", "pdr", "forwarding_rate"].into_iter();
    let mut found = found.map(|figure| (figure, board.of(figure))).filter(|(_, rows)| !rows.is_empty());
    found.next().map(|(figure, rows)| (figure, rows, text::figure_title(figure)))
}

fn tile(name: &str, tally: &Tally) -> Markup {
    let (ahead, level, behind) = (tally.ahead, tally.level, tally.behind);
    let parts: Vec<String> = [(ahead, "ahead"), (level, "level"), (behind, "behind")]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{what} at {number}"))
        .collect();
    let class = match tally.ratio {
        Some(_) if behind > 0 => "behind",
        Some(_) if ahead > 0 => "ahead",
        _ => "level",
    };
    html! {
        li class=(class) {
            span class="of" { "Pollux / " (name) }
            @match tally.ratio {
                Some(ratio) => {
                    strong { (times(ratio.median)) "×" }
                    span class="range" { (times(ratio.low)) " to " (times(ratio.high)) " by size" }
                    span class="range" {
                        (text::capital(&parts.join(", "))) " of " (count(ahead + level + behind + tally.not_compared, "size"))
                        @if tally.not_compared > 0 { "; " (tally.not_compared) " not compared" }
                    }
                }
                None => {
                    strong { "–" }
                    span class="range" { "Not compared" }
                }
            }
        }
    }
}

fn chapter_markup(chapter: &Chapter) -> Result<Markup> {
    let mut plots = Vec::new();
    for plot in &chapter.plots {
        plots.push(plot.markup()?);
    }
    let mut more = Vec::new();
    for plot in &chapter.more {
        more.push(plot.markup()?);
    }
    Ok(html! {
        section id=(chapter.id) {
            h2 { (chapter.title) }
            div class="plots" { @for plot in plots { (plot) } }
            @if !more.is_empty() {
                details class="more" {
                    summary { "Other sizes: " (count(more.len(), "plot")) }
                    div class="plots" { @for plot in more { (plot) } }
                }
            }
        }
    })
}
