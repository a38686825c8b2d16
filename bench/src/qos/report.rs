//! What a person reads, and what a program reads.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::traffic::Outcome;
use crate::host::table::{align_right, table};
use crate::{BenchError, Result};

/// A run, whole.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) processor: String,
    pub(super) cpus: usize,
    pub(super) version: String,
    pub(super) seconds: f64,
    pub(super) rate: f64,
    pub(super) sections: Vec<Section>,
}

/// What a section measured.
#[derive(Serialize)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) title: String,
    /// How to read the figures, and what was given up.
    pub(super) notes: Vec<String>,
    #[serde(skip)]
    pub(super) header: Vec<&'static str>,
    #[serde(skip)]
    pub(super) rows: Vec<Vec<String>>,
    pub(super) verdicts: Vec<Verdict>,
    /// Everything that was measured.
    pub(super) figures: serde_json::Value,
}

/// A criterion, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) case: String,
    pub(super) wanted: String,
    pub(super) measured: String,
    pub(super) judgement: Judgement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Judgement {
    Met,
    Missed,
    /// The tester or the switch can't bring about the case here.
    NotReachable,
}

impl Verdict {
    pub(super) fn new(
        case: impl Into<String>,
        wanted: impl Into<String>,
        measured: impl Into<String>,
        met: bool,
    ) -> Self {
        let judgement = if met { Judgement::Met } else { Judgement::Missed };
        Self { case: case.into(), wanted: wanted.into(), measured: measured.into(), judgement }
    }

    /// For a case in which only so many bits a second could be offered.
    pub(super) fn not_reachable(case: impl Into<String>, wanted: impl Into<String>, offered: f64) -> Self {
        let measured = format!("not reachable here: {} offered", bits(offered));
        Self { case: case.into(), wanted: wanted.into(), measured, judgement: Judgement::NotReachable }
    }
}

impl Section {
    pub(super) fn new(name: &'static str, title: impl Into<String>, header: &[&'static str]) -> Self {
        Self {
            name,
            title: title.into(),
            notes: Vec::new(),
            header: header.to_vec(),
            rows: Vec::new(),
            verdicts: Vec::new(),
            figures: serde_json::Value::Null,
        }
    }

    pub(super) fn with_figures(mut self, figures: &impl Serialize) -> Result<Self> {
        self.figures = serde_json::to_value(figures).map_err(|error| BenchError::process("report", error))?;
        Ok(self)
    }

    /// As text. Columns behind the first are figures.
    fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        if !self.rows.is_empty() {
            let mut table = table(&self.header, self.rows.clone());
            align_right(&mut table, 1..self.header.len());
            // Writing to a string doesn't fail.
            let _ = writeln!(text, "{table}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        if !self.verdicts.is_empty() {
            let rows = self.verdicts.iter().map(|verdict| {
                let judgement = match verdict.judgement {
                    Judgement::Met => "met",
                    Judgement::Missed => "MISSED",
                    Judgement::NotReachable => "-",
                };
                let Verdict { case, wanted, measured, .. } = verdict.clone();
                vec![case, wanted, measured, judgement.to_owned()]
            });
            let _ = writeln!(text, "{}", table(&["criterion", "wanted", "measured", ""], rows.collect()));
        }
        text
    }
}

impl Run {
    /// Everything, as text.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}, {} CPUs; {}\nwindows of {} s; rates and shares are of octets that the receiver got, of frames \
             without their check sequence\n(a 64-octet frame counts 60), as the switch counts them; sizes are \
             with it\n",
            self.processor, self.cpus, self.version, self.seconds
        );
        text.extend(self.sections.iter().map(Section::text));
        let count = |judgement| self.verdicts().filter(|verdict| verdict.judgement == judgement).count();
        let _ = write!(
            text,
            "\n{} criteria met, {} missed, {} not reachable here",
            count(Judgement::Met),
            self.missed(),
            count(Judgement::NotReachable)
        );
        text
    }

    /// How many criteria were missed.
    pub(super) fn missed(&self) -> usize {
        self.verdicts().filter(|verdict| verdict.judgement == Judgement::Missed).count()
    }

    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.sections.iter().flat_map(|section| &section.verdicts)
    }

    /// Writes everything as JSON.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_string_pretty(self).map_err(|error| BenchError::process("report", error))?;
        fs::write(path, text).map_err(BenchError::file(path))
    }
}

/// Bits a second.
pub(super) fn bits(rate: f64) -> String {
    match rate {
        1e9.. => format!("{:.3} Gbit/s", rate / 1e9),
        1e6.. => format!("{:.2} Mbit/s", rate / 1e6),
        _ => format!("{:.1} kbit/s", rate / 1e3),
    }
}

/// Millions of bits a second, as a table has them.
pub(super) fn mbits(rate: f64) -> String {
    format!("{:.1}", rate / 1e6)
}

/// Microseconds.
pub(super) fn micros(time: f64) -> String {
    match time {
        100.0.. => format!("{time:.0}"),
        _ => format!("{time:.1}"),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// What kept a measurement from being what it should, if anything did.
pub(super) fn disturbances(case: &str, outcome: &Outcome) -> Option<String> {
    let mut what = Vec::new();
    let mut note = |number: u64, text: &str| {
        if number > 0 {
            what.push(format!("{number} {text}"));
        }
    };
    note(outcome.strange, "frames that nobody sent");
    note(outcome.astray, "frames to ingress ports");
    note(outcome.flows.iter().map(|flow| flow.remarked).sum(), "frames with another priority than sent");
    note(outcome.pauses, "pauses of the tester of more than 1 ms");
    if outcome.pauses > 0 {
        what.push(format!("the longest of {} ms", micros(outcome.longest_pause / 1e3)));
    }
    if outcome.disturbed {
        what.push(format!(
            "disturbed: the tester had its CPU for {} % of the time, the worker for {} %",
            percent(outcome.cpu_share),
            percent(outcome.worker_share)
        ));
    }
    (!what.is_empty()).then(|| format!("{case}: {}", what.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        assert_eq!([9.876e9, 123.456e6, 64e3].map(bits), ["9.876 Gbit/s", "123.46 Mbit/s", "64.0 kbit/s"]);
        assert_eq!(
            (mbits(1e9), micros(12.34), micros(1234.5), percent(0.5263)),
            ("1000.0".to_owned(), "12.3".to_owned(), "1234".to_owned(), "52.63".to_owned())
        );
    }

    #[test]
    fn only_missed_criteria_are_missed() {
        let mut section = Section::new("rates", "Rates", &["case", "rate"]);
        section.rows.push(vec!["a".to_owned(), "1".to_owned()]);
        section.verdicts = vec![
            Verdict::new("a", "1", "1", true),
            Verdict::new("b", "1", "2", false),
            Verdict::not_reachable("c", "1", 3e9),
        ];
        let run = Run {
            processor: "p".to_owned(),
            cpus: 2,
            version: "v".to_owned(),
            seconds: 1.0,
            rate: 1e9,
            sections: vec![section],
        };
        assert_eq!(run.missed(), 1);
        let text = run.text();
        assert!(
            text.contains("MISSED") && text.contains("not reachable here: 3.000 Gbit/s offered"),
            "{text}"
        );
        assert!(text.ends_with("1 criteria met, 1 missed, 1 not reachable here"), "{text}");
    }

    #[test]
    fn disturbances_are_told() {
        let good = Outcome { cpu_share: 1.0, worker_share: 0.99, offered_seconds: 1.0, ..Outcome::default() };
        assert_eq!(disturbances("a", &good), None);
        let outcome =
            Outcome { strange: 2, pauses: 1, paused: 0.0025, longest_pause: 2500.0, ..good.clone() };
        let text = disturbances("a", &outcome).unwrap();
        assert_eq!(
            text,
            "a: 2 frames that nobody sent, 1 pauses of the tester of more than 1 ms, the longest of 2.5 ms"
        );
        let text = disturbances("a", &Outcome { worker_share: 0.5, disturbed: true, ..good }).unwrap();
        assert!(
            text.ends_with("the tester had its CPU for 100.00 % of the time, the worker for 50.00 %"),
            "{text}"
        );
    }
}
