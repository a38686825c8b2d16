//! Two reports as a page.

use maud::{Markup, html};

use super::tables::value;
use super::{document, moment};
use crate::Result;
use crate::report::compare::{Change, Comparison, Judgement, RULE, Side};
use crate::report::model::{Better, Unit};
use crate::report::summary::Spread;
use crate::report::text::{capital, count, figure_title, quantity, times};

/// The page of a comparison.
///
/// # Errors
///
/// None so far; pages with plots have some.
pub(in crate::report) fn page(comparison: &Comparison) -> Result<String> {
    let beyond: Vec<&Change> =
        comparison.changes.iter().filter(|it| it.judgement.is_beyond_noise()).collect();
    let tile = |judgement: Judgement, what: &str, class: &str| {
        let number = comparison.count(judgement);
        html! {
            li class=(if number > 0 { class } else { "level" }) {
                span class="of" { (capital(what)) }
                strong { (number) }
            }
        }
    };
    let body = html! {
        header {
            p class="kind" { "Pollux lab comparison" }
            h1 { "What changed beyond noise" }
            (side("A", &comparison.a))
            (side("B", &comparison.b))
        }
        main {
            section id="verdict" {
                h2 { "Verdict" }
                ul class="tiles" {
                    (tile(Judgement::Regression, "regressions", "behind"))
                    (tile(Judgement::Improvement, "improvements", "ahead"))
                    (tile(Judgement::WithinNoise, "within noise", "level"))
                    li class="level" { span class="of" { "Not judged" } strong { (comparison.not_judged()) } }
                }
                p class="note" { (RULE.join(" ")) }
                @if beyond.is_empty() { p { "No figure differs beyond noise." } }
                @else { (flat(&beyond)) }
            }
            section id="environment" {
                h2 { "Conditions" }
                @if comparison.environment.is_empty() {
                    p { "Both reports tell the same of the host, the systems and their settings." }
                } @else {
                    div class="cautions" {
                        h3 { "Not the same in both: differences of figures may come from these" }
                        div class="scroll" { (environment(comparison)) }
                    }
                }
            }
            section id="measurements" {
                h2 { "All figures" }
                @if comparison.changes.is_empty() { p class="nothing" { "The reports have no figure in common." } }
                @else { (changes(&comparison.changes.iter().collect::<Vec<_>>())) }
                (only("A", &comparison.only_a))
                (only("B", &comparison.only_b))
            }
        }
    };
    Ok(document(&format!("{} and {}", comparison.a.title, comparison.b.title), &body))
}

fn side(name: &str, side: &Side) -> Markup {
    html! {
        p class="when" {
            strong { (name) " " } (side.title) " · " (moment(&side.started)) " UTC"
            @if !side.complete { " · " span class="tag warn" { "Cut short" } }
            @if side.short { " · " span class="tag" { "Short trials" } }
        }
    }
}

/// Changes of all names, regressions first.
fn flat(changes: &[&Change]) -> Markup {
    html! {
        div class="scroll" {
            table class="measured flat" {
                (heading("Name"))
                tbody {
                    @for change in changes {
                        tr { th scope="row" { code { (change.name) } small { (figure_title(&change.figure)) } } (cells(change)) }
                    }
                }
            }
        }
    }
}

/// Changes by name.
fn changes(changes: &[&Change]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for change in changes {
        if !names.contains(&change.name.as_str()) {
            names.push(&change.name);
        }
    }
    html! {
        div class="scroll" {
            table class="measured" {
                (heading("Figure"))
                @for name in names {
                    tbody {
                        tr class="group" { th scope="rowgroup" colspan="7" { span { code { (name) } } } }
                        @for change in changes.iter().filter(|change| change.name == name) {
                            tr {
                                th scope="row" { (figure_title(&change.figure)) }
                                (cells(change))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn heading(first: &str) -> Markup {
    html! {
        thead {
            tr {
                @for what in [first, "System", "A", "B", "B / A", "Better", "Verdict"] { th scope="col" { (what) } }
            }
        }
    }
}

/// What is behind a change's name.
fn cells(change: &Change) -> Markup {
    html! {
        td { (change.system) }
        td { (spread(change.unit, change.a)) }
        td { (spread(change.unit, change.b)) }
        td { @if let Some(ratio) = change.ratio { (times(ratio)) "×" } @else { "–" } }
        td class="u" {
            @match change.better {
                Some(Better::Higher) => "higher",
                Some(Better::Lower) => "lower",
                None => "–",
            }
        }
        td class=(class(change.judgement)) { (change.judgement.text()) }
    }
}

fn class(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Improvement => "ahead",
        Judgement::Regression => "behind",
        Judgement::Different => "",
        _ => "u",
    }
}

fn spread(unit: Unit, spread: Spread) -> Markup {
    html! {
        (value(unit, spread.median))
        @if spread.low != spread.high {
            small { (quantity(unit, spread.low).number) "–" (value(unit, spread.high)) }
        }
    }
}

fn environment(comparison: &Comparison) -> Markup {
    let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    html! {
        table class="differences" {
            thead { tr { th scope="col" { "Of" } th scope="col" { "What" } th scope="col" { "A" } th scope="col" { "B" } } }
            tbody {
                @for it in &comparison.environment {
                    tr {
                        th scope="row" { (it.group) }
                        td { (it.what) }
                        td { (told(&it.a)) }
                        td { (told(&it.b)) }
                    }
                }
            }
        }
    }
}

fn only(name: &str, figures: &[(String, String, String)]) -> Markup {
    html! {
        @if !figures.is_empty() {
            details class="test" {
                summary { strong { "Only in " (name) } span { (count(figures.len(), "figure")) } }
                ul { @for (name, system, figure) in figures { li { code { (name) } ", " (system) ": " (figure_title(figure)) } } }
            }
        }
    }
}
