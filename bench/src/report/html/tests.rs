//! The page's text, and what a browser makes of it.

mod browser;

use super::*;
use crate::report::model::{Environment, FORMAT, Report};
use crate::report::sample::sample;

fn empty() -> Report {
    Report {
        format: FORMAT,
        title: "Nothing <yet> & \"none\"".to_owned(),
        started: "2026-12-01T08:12:09Z".to_owned(),
        ended: "2026-12-01T08:12:09Z".to_owned(),
        complete: true,
        cut_short: None,
        short: false,
        command: Vec::new(),
        environment: Environment::default(),
        self_test: Vec::new(),
        systems: Vec::new(),
        measurements: Vec::new(),
    }
}

#[test]
fn the_page_is_small_and_asks_nothing_of_a_network() {
    let page = page(&sample()).unwrap();
    assert!(page.len() < 1_500_000, "{} octets", page.len());
    for foreign in ["<script", "http://", "https://", "@import", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_report_without_anything_is_a_page_that_says_so() {
    let page = page(&empty()).unwrap();
    assert!(page.contains("Nothing &lt;yet&gt; &amp; "));
    for said in
        ["No throughput was measured.", "nothing here says that it was fast enough", "Nothing was measured."]
    {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn the_page_has_its_parts_in_order() {
    let page = page(&sample()).unwrap();
    let mut last = 0;
    for part in [
        "Cut short",
        "Interrupted after 201 of 204 measurements.",
        "id=\"verdict\"",
        "id=\"tester\"",
        "id=\"environment\"",
        "id=\"throughput\"",
        "id=\"peers\"",
        "id=\"fdb\"",
        "id=\"loss\"",
        "id=\"latency\"",
        "id=\"shares\"",
        "id=\"time\"",
        "id=\"measurements\"",
    ] {
        let place = page.find(part).unwrap_or_else(|| panic!("no {part}"));
        assert!(place > last, "{part}");
        last = place;
    }
}

#[test]
fn what_was_limited_disturbed_or_not_done_is_told() {
    let page = page(&sample()).unwrap();
    assert!(page.contains("tester-limited"));
    assert!(page.contains("1 disturbed round"));
    assert!(page.contains("testpmd (io) and testpmd (mac): not done. testpmd learns no addresses."));
    assert!(page.contains("Open vSwitch: Something else had the worker's CPU for 18 % of round 2."));
    assert!(
        page.contains(
            "The tester was the limit of testpmd (io) at 9000; testpmd (mac) at 9000: at least that."
        )
    );
}

#[test]
fn values_that_are_no_numbers_break_no_plot() {
    let mut report = sample();
    for measurement in &mut report.measurements {
        for figure in &mut measurement.figures {
            figure.rounds[0].value = f64::NAN;
            figure.rounds[1].value = f64::INFINITY;
        }
        for curve in &mut measurement.curves {
            curve.points.truncate(2);
            curve.points[0] = (0.0, f64::NEG_INFINITY);
        }
    }
    page(&report).unwrap();
}

#[test]
fn a_comparison_lists_what_differs() {
    use crate::report::compare::Comparison;
    let mut other = sample();
    other.systems[3].version = "3.3.0".to_owned();
    let page = comparison_page(&Comparison::of(&sample(), &other)).unwrap();
    assert!(page.contains("No figure differs beyond noise.") && page.contains("3.3.0"));
}
