//! What a person reads, and what a program reads.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::sample::Sample;
use super::scene::Cpus;
use super::summary::Summary;
use super::targets::Verdict;
use crate::host::table::{align_right, mpps, table};
use crate::load::Payload;
use crate::{BenchError, Result};

/// A run, whole.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) processor: String,
    pub(super) tsc_hz: f64,
    pub(super) cpus: Cpus,
    pub(super) versions: Vec<String>,
    /// Cycles up to which a round trip between the CPUs is near.
    pub(super) near: Option<u64>,
    pub(super) rounds: u32,
    pub(super) window_seconds: f64,
    pub(super) seed: u64,
    pub(super) payload: Payload,
    pub(super) queue_size: u16,
    pub(super) summaries: Vec<Summary>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) samples: Vec<Sample>,
}

impl Run {
    /// Everything, as text.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}, time stamp counter {:.3} GHz; {}\n64-byte frames ({}), one switch core (CPU {}), everything else on \
             CPU {}; {} rounds of {} s\n",
            self.processor,
            self.tsc_hz / 1e9,
            self.versions.join("; "),
            self.payload.name(),
            self.cpus.worker,
            self.cpus.house,
            self.rounds,
            self.window_seconds,
        );
        let mut scenes: Vec<_> = self.summaries.iter().map(|summary| summary.scene).collect();
        scenes.dedup();
        for scene in scenes {
            let rows = self.summaries.iter().filter(|summary| summary.scene == scene).map(row);
            let header = [
                "pairs",
                "system",
                "Mpps by round",
                "median",
                "best",
                "cycles",
                "best",
                "Pollux/it",
                "Pollux cycles",
                "when far",
            ];
            let mut table = table(&header, rows.collect());
            align_right(&mut table, [0, 3, 4, 5, 6, 7, 8, 9]);
            text.push_str(&format!("\n{}\n{table}\n", scene.title()));
        }
        let faults = self.faults();
        if !faults.is_empty() {
            text.push_str(&format!("\n{}\n", faults.join("\n")));
        }
        if !self.verdicts.is_empty() {
            let header = ["scene", "pairs", "beside", "wanted", "measured", ""];
            let rows = self.verdicts.iter().map(Verdict::row).collect();
            text.push_str(&format!("\n{}\n", table(&header, rows)));
        }
        text
    }

    /// What should not have been: frames out of order, or rounds in which others used the CPUs.
    fn faults(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for sample in &self.samples {
            let Some(load) = &sample.load else { continue };
            let faults = load.report.faults;
            if !faults.is_clean() {
                let (system, pairs, round) = (sample.system.name(), sample.pairs, sample.round);
                lines.push(format!("{system}, {pairs} pairs, round {round}: {faults}"));
            }
        }
        if self.samples.iter().any(Sample::is_disturbed) {
            lines.push(
                "* disturbed: something else ran on the CPUs, or they were far from each other; doesn't count"
                    .to_owned(),
            );
        }
        lines
    }

    /// Writes everything as JSON.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_string_pretty(self).map_err(|error| BenchError::process("report", error))?;
        fs::write(path, text).map_err(BenchError::file(path))
    }
}

fn row(summary: &Summary) -> Vec<String> {
    let rates = summary.rates.iter().zip(&summary.disturbed);
    let rates = rates.map(|(rate, disturbed)| mpps(*rate) + if *disturbed { "*" } else { "" });
    let or_nothing = |figure: Option<String>| figure.unwrap_or_default();
    vec![
        summary.pairs.to_string(),
        summary.system.name().to_owned(),
        rates.collect::<Vec<_>>().join(" "),
        mpps(summary.median),
        mpps(summary.best),
        cycles(summary.median_cycles),
        cycles(summary.best_cycles),
        or_nothing(summary.pollux_over_it.map(|ratio| format!("{ratio:.2}"))),
        or_nothing(summary.pollux_cycles_above_it.map(|more| format!("{more:+.0}"))),
        or_nothing(summary.far_median.map(mpps)),
    ]
}

pub(super) fn cycles(cycles: f64) -> String {
    match cycles {
        1000.0.. => format!("{cycles:.0}"),
        _ => format!("{cycles:.1}"),
    }
}
