//! What a run of the lab found: everything that a report shows is in here, and nothing that wasn't measured.
//!
//! The file is one JSON object; `docs/report.schema.json` describes it, and is made from these types. Rates are in
//! frames a second, times in seconds unless the field says otherwise, sizes in octets with the check sequence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tester::protocol::{Outcome, Trial};

/// The version of the format. Fields may be added without a new one.
pub(crate) const FORMAT: u32 = 1;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Report {
    pub(crate) format: u32,
    /// What the run was called.
    pub(crate) title: String,
    /// RFC 3339, in UTC.
    pub(crate) started: String,
    /// RFC 3339; of the last figure.
    pub(crate) ended: String,
    /// Whether everything that was planned was measured. If not, `cut_short` says why.
    pub(crate) complete: bool,
    pub(crate) cut_short: Option<String>,
    /// Whether trials were as short as a smoke run's.
    pub(crate) short: bool,
    /// The command line.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Environment,
    /// The tester against itself, first of all.
    pub(crate) self_test: Vec<SelfTest>,
    /// Who was measured.
    pub(crate) systems: Vec<SystemRecord>,
    pub(crate) measurements: Vec<Measurement>,
}

/// Where it was measured: what RFC 8204, section 3.3, and RFC 2544, section 7, want told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Environment {
    /// Groups of facts, as (what, value), in the order to show them.
    pub(crate) groups: Vec<FactGroup>,
    /// What of the host makes figures worse or less certain, in words.
    pub(crate) cautions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FactGroup {
    pub(crate) name: String,
    pub(crate) facts: Vec<(String, String)>,
}

/// Tester to tester, with no switch between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SelfTest {
    /// As in names of measurements: 64B, 1518B, imix.
    pub(crate) size: String,
    /// Frames a second that one half sent and the other received: one way, and the other way.
    pub(crate) send_rate: f64,
    pub(crate) receive_rate: f64,
    /// Frames a second each way, both ways at once.
    pub(crate) both_rate: f64,
    /// The share of its time that the half which measures switches was busy meanwhile.
    pub(crate) both_busy: f64,
    /// Frames a second that this half could send and receive were the other half never in its way: the rate over
    /// the busy share.
    pub(crate) capability: f64,
    /// The median latency without a switch, in nanoseconds.
    pub(crate) latency_p50: Option<f64>,
    pub(crate) trials: Vec<TrialRecord>,
}

/// Who was measured, and as what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SystemRecord {
    /// As in `Measurement::system`: `pollux`, `testpmd-mac`, `ovs`, `bridge`, `external`.
    pub(crate) id: String,
    /// As people call it.
    pub(crate) name: String,
    pub(crate) version: String,
    /// What was set, as (what, value).
    pub(crate) settings: Vec<(String, String)>,
}

/// One test of one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Measurement {
    /// By the grammar of `lab::name`, without the system: what has the same name can be compared.
    pub(crate) name: String,
    /// The test, in its short form, as at the end of the name: `ndr`, `latency`, `loss`, …
    pub(crate) test: String,
    /// The standard and clause that it follows.
    pub(crate) standard: String,
    /// The id of the system.
    pub(crate) system: String,
    /// The parts of the name, for tables and plots: `vhost-vhost`, `64B`, 1000.
    pub(crate) topology: String,
    pub(crate) size: String,
    pub(crate) flows: u32,
    pub(crate) cores: u32,
    /// Why there are no figures, where the test can't be done here, or not with this system.
    pub(crate) not_done: Option<String>,
    /// Numbers, one a round each.
    pub(crate) figures: Vec<Figure>,
    pub(crate) curves: Vec<Curve>,
    /// What else is to be said, in sentences.
    pub(crate) notes: Vec<String>,
    /// Everything that was sent and came, in the order of the trials.
    pub(crate) trials: Vec<TrialRecord>,
}

/// A number, as often as it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figure {
    /// `ndr`, `pdr`, `forwarding_rate`, `latency_p99_at_50`, `recovery_time`, …
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// Which way is better; `None` where neither is.
    pub(crate) better: Option<Better>,
    /// One a round.
    pub(crate) rounds: Vec<Sample>,
    /// What was to be found, where there is such a value (what the configuration says).
    pub(crate) expected: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Sample {
    /// Counted from 0; systems take turns within a round.
    pub(crate) round: u32,
    pub(crate) value: f64,
    /// Whether something else took the CPUs' time meanwhile.
    pub(crate) disturbed: bool,
    /// Whether the tester was what limited it: such values say "at least", and aren't compared.
    pub(crate) tester_limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    FramesPerSecond,
    Frames,
    Nanoseconds,
    Seconds,
    /// 1 is all.
    Share,
    Addresses,
    AddressesPerSecond,
    ChangesPerSecond,
    BitsPerSecond,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// Numbers over numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Curve {
    /// `loss`, `latency_at_50`, `queue_shares`, …
    pub(crate) name: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) round: u32,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) unit: Unit,
    pub(crate) logarithmic: bool,
}

/// A trial, as it was asked for and as it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrialRecord {
    pub(crate) round: u32,
    /// What it was for, in a few words.
    pub(crate) purpose: String,
    /// Seconds since the run began.
    pub(crate) at: f64,
    pub(crate) trial: Trial,
    pub(crate) outcome: Outcome,
    /// The share of the window that the switch's workers had their CPUs, where that can be known.
    pub(crate) worker_share: Option<f64>,
    /// What the system under test counted meanwhile, by its own names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counters: BTreeMap<String, u64>,
}

impl Measurement {
    /// A figure by its name.
    pub(crate) fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

impl Figure {
    /// The values that count, in order of size: undisturbed ones where there are any.
    pub(crate) fn sorted(&self) -> Vec<f64> {
        let calm = self.rounds.iter().any(|sample| !sample.disturbed);
        let counted = self.rounds.iter().filter(|sample| !calm || !sample.disturbed);
        let mut values: Vec<f64> = counted.map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The median of the values that count.
    pub(crate) fn median(&self) -> Option<f64> {
        let values = self.sorted();
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            count if count % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    /// Which way the system itself may be better than the value says, where the tester was the limit.
    pub(crate) fn bound(&self) -> Option<Better> {
        self.better.filter(|_| self.is_tester_limited())
    }

    /// Whether the tester was the limit in most rounds.
    pub(crate) fn is_tester_limited(&self) -> bool {
        2 * self.rounds.iter().filter(|sample| sample.tester_limited).count() > self.rounds.len()
    }
}
