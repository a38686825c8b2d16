//! Two reports beside each other, and which differences are beyond noise.
//!
//! A lab's rounds are few, so the rule is one that few values can carry. A difference is beyond noise if both
//! reports have at least [`ROUNDS`] rounds that nothing disturbed and the tester didn't limit, if no value of one
//! lies within the range of the other, and if the medians are farther apart than [`DEVIATIONS`] times the scaled
//! median absolute deviation of both (added as squares) and than [`FLOOR`] of the larger one, which is about what a
//! search is exact to. Three rounds of the very same lie apart by chance in one comparison of ten, five in one of
//! 126; that the deviations are asked for too makes it rarer. Rounds of one run share its start, its memory and its
//! day: what differs between two runs of the same can still be that.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Better, Figure, Report, Unit};
use super::summary::{Spread, median};
use crate::host::FOLDER_PREFIX;

/// Rounds that count which each report needs.
pub(super) const ROUNDS: usize = 3;
/// How many deviations apart medians have to be.
const DEVIATIONS: f64 = 3.0;
/// What makes a median absolute deviation of a normal distribution its standard deviation.
const SCALE: f64 = 1.4826;
/// The relative difference that is never beyond noise.
const FLOOR: f64 = 0.01;

/// The rule, for whoever reads a comparison.
pub(super) const RULE: [&str; 4] = [
    "Beyond noise: at least 3 rounds in each report that nothing disturbed and the tester didn't limit; no value of",
    "one within the range of the other; medians farther apart than 3 times the scaled median absolute deviation of",
    "both, and than 1 %. Three rounds of the same lie apart by chance in one comparison of ten at most, so of many",
    "figures a few may. Rounds of one run share its start and its day, which can differ from another run's too.",
];

/// Two reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) a: Side,
    pub(crate) b: Side,
    /// What differs of where they were measured, and of what.
    pub(crate) environment: Vec<Difference>,
    /// In the order of the first report.
    pub(crate) changes: Vec<Change>,
    /// Figures that only one of them has, as (name, system, figure).
    pub(crate) only_a: Vec<(String, String, String)>,
    pub(crate) only_b: Vec<(String, String, String)>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Side {
    pub(crate) title: String,
    pub(crate) started: String,
    pub(crate) complete: bool,
    pub(crate) short: bool,
}

/// A fact that isn't the same in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) group: String,
    pub(crate) what: String,
    /// `None` where a report doesn't say.
    pub(crate) a: Option<String>,
    pub(crate) b: Option<String>,
}

/// A figure in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) name: String,
    /// The system, as people call it.
    pub(crate) system: String,
    pub(crate) figure: String,
    pub(crate) unit: Unit,
    pub(crate) better: Option<Better>,
    /// Of the rounds that count.
    pub(crate) a: Spread,
    pub(crate) b: Spread,
    /// The second's median over the first's; `None` over zero.
    pub(crate) ratio: Option<f64>,
    /// How far apart medians have to be at least, in the figure's unit.
    pub(crate) noise: f64,
    pub(crate) judgement: Judgement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judgement {
    Improvement,
    Regression,
    /// Beyond noise, where neither way is better.
    Different,
    WithinNoise,
    /// Not judged: the tester was the limit of one or the other.
    TesterLimited,
    /// Not judged: with fewer rounds than needed undisturbed.
    Disturbed,
    /// Not judged: there are fewer rounds than needed.
    TooFewRounds,
}

impl Judgement {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Improvement => "improvement",
            Self::Regression => "regression",
            Self::Different => "different",
            Self::WithinNoise => "within noise",
            Self::TesterLimited => "not judged: tester-limited",
            Self::Disturbed => "not judged: disturbed",
            Self::TooFewRounds => "not judged: too few rounds",
        }
    }

    /// Whether it is beyond noise.
    pub(super) fn is_beyond_noise(self) -> bool {
        matches!(self, Self::Improvement | Self::Regression | Self::Different)
    }
}

impl Comparison {
    pub(super) fn of(a: &Report, b: &Report) -> Self {
        let (in_a, in_b) = (figures(a), figures(b));
        let places: BTreeMap<&Key<'_>, &Figure> = in_b.iter().map(|(key, figure)| (key, *figure)).collect();
        let known: BTreeMap<&Key<'_>, &Figure> = in_a.iter().map(|(key, figure)| (key, *figure)).collect();
        let mut changes = Vec::new();
        for (key, figure) in &in_a {
            if let Some(other) = places.get(key) {
                changes.extend(change(a, key, figure, other));
            }
        }
        let missing = |these: &[(Key<'_>, &Figure)], those: &BTreeMap<&Key<'_>, &Figure>, report: &Report| {
            let missing = these.iter().filter(|(key, _)| !those.contains_key(key));
            let missing =
                missing.map(|(key, _)| (key.0.to_owned(), system_name(report, key.1), key.2.to_owned()));
            missing.collect()
        };
        Self {
            a: Side::of(a),
            b: Side::of(b),
            environment: differences(a, b),
            changes,
            only_a: missing(&in_a, &places, a),
            only_b: missing(&in_b, &known, b),
        }
    }

    /// How many figures are judged so.
    pub(super) fn count(&self, wanted: Judgement) -> usize {
        self.changes.iter().filter(|change| change.judgement == wanted).count()
    }

    /// How many figures aren't judged.
    pub(super) fn not_judged(&self) -> usize {
        let judged = |change: &&Change| {
            change.judgement.is_beyond_noise() || change.judgement == Judgement::WithinNoise
        };
        self.changes.len() - self.changes.iter().filter(judged).count()
    }
}

impl Side {
    fn of(report: &Report) -> Self {
        Self {
            title: report.title.clone(),
            started: report.started.clone(),
            complete: report.complete,
            short: report.short,
        }
    }
}

/// The name of a measurement, the id of its system, and the name of a figure.
type Key<'a> = (&'a str, &'a str, &'a str);

fn figures(report: &Report) -> Vec<(Key<'_>, &Figure)> {
    let measured = report.measurements.iter();
    let all = measured.flat_map(|it| {
        it.figures.iter().map(|figure| ((it.name.as_str(), it.system.as_str(), figure.name.as_str()), figure))
    });
    all.collect()
}

fn system_name(report: &Report, id: &str) -> String {
    let system = report.systems.iter().find(|system| system.id == id);
    system.map_or(id, |system| &system.name).to_owned()
}

fn change(report: &Report, key: &Key<'_>, a: &Figure, b: &Figure) -> Option<Change> {
    let (spread_a, spread_b) = (Spread::of(a.sorted())?, Spread::of(b.sorted())?);
    let noise = noise(&a.sorted(), &b.sorted());
    Some(Change {
        name: key.0.to_owned(),
        system: system_name(report, key.1),
        figure: key.2.to_owned(),
        unit: a.unit,
        better: a.better,
        a: spread_a,
        b: spread_b,
        ratio: (spread_a.median != 0.0).then(|| spread_b.median / spread_a.median),
        noise,
        judgement: judge(a, b, spread_a, spread_b, noise),
    })
}

fn judge(a: &Figure, b: &Figure, spread_a: Spread, spread_b: Spread, noise: f64) -> Judgement {
    // Of few rounds, even one at the tester's limit moves the median.
    if [a, b].iter().any(|figure| figure.rounds.iter().any(|sample| sample.tester_limited)) {
        return Judgement::TesterLimited;
    }
    let calm = |figure: &Figure| figure.rounds.iter().filter(|sample| !sample.disturbed).count();
    if calm(a).min(calm(b)) < ROUNDS {
        return match a.rounds.len().min(b.rounds.len()) < ROUNDS {
            true => Judgement::TooFewRounds,
            false => Judgement::Disturbed,
        };
    }
    let apart = spread_b.low > spread_a.high || spread_b.high < spread_a.low;
    let difference = spread_b.median - spread_a.median;
    if !apart || difference.abs() <= noise {
        return Judgement::WithinNoise;
    }
    match a.better {
        None => Judgement::Different,
        Some(better) if (better == Better::Higher) == (difference > 0.0) => Judgement::Improvement,
        Some(_) => Judgement::Regression,
    }
}

/// What medians have to be apart at least.
fn noise(a: &[f64], b: &[f64]) -> f64 {
    let deviation = |values: &[f64]| {
        let middle = median(values).unwrap_or(0.0);
        let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        distances.sort_by(f64::total_cmp);
        SCALE * median(&distances).unwrap_or(0.0)
    };
    let size = median(a).unwrap_or(0.0).abs().max(median(b).unwrap_or(0.0).abs());
    (DEVIATIONS * deviation(a).hypot(deviation(b))).max(FLOOR * size)
}

/// What is told of where and what, and isn't the same.
fn differences(a: &Report, b: &Report) -> Vec<Difference> {
    let (in_a, in_b) = (facts(a), facts(b));
    let in_either =
        in_a.iter().chain(in_b.iter().filter(|(key, _)| !in_a.iter().any(|(known, _)| known == key)));
    let value = |facts: &[((String, String), String)], key: &(String, String)| {
        facts.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let all = in_either.map(|(key, _)| Difference {
        group: key.0.clone(),
        what: key.1.clone(),
        a: value(&in_a, key),
        b: value(&in_b, key),
    });
    all.filter(|difference| difference.a != difference.b).collect()
}

/// All that a report tells, as ((group, what), value).
fn facts(report: &Report) -> Vec<((String, String), String)> {
    let mut facts = Vec::new();
    let mut add = |group: &str, what: &str, value: &str| {
        facts.push(((group.to_owned(), what.to_owned()), without_folders(value)));
    };
    for group in &report.environment.groups {
        for (what, value) in &group.facts {
            add(&group.name, what, value);
        }
    }
    for system in &report.systems {
        add(&system.name, "version", &system.version);
        for (what, value) in &system.settings {
            add(&system.name, what, value);
        }
    }
    add("Run", "trials", if report.short { "short" } else { "of full length" });
    for caution in &report.environment.cautions {
        add("Caution", caution, "said");
    }
    facts
}

/// A value whose temporary folders have the same name in every run.
fn without_folders(value: &str) -> String {
    let mut parts = value.split(FOLDER_PREFIX);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(FOLDER_PREFIX);
        text.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Sample;
    use crate::report::sample::{changed, sample};

    fn figure(values: &[f64]) -> Figure {
        let sample = |(round, value): (usize, &f64)| Sample {
            round: round as u32,
            value: *value,
            disturbed: false,
            tester_limited: false,
        };
        Figure {
            name: "ndr".to_owned(),
            unit: Unit::FramesPerSecond,
            better: Some(Better::Higher),
            rounds: values.iter().enumerate().map(sample).collect(),
            expected: None,
        }
    }

    fn judged(a: &Figure, b: &Figure) -> Judgement {
        change(&sample(), &("name", "pollux", "ndr"), a, b).unwrap().judgement
    }

    #[test]
    fn ranges_have_to_lie_apart() {
        let before = figure(&[10.0, 10.1, 10.2]);
        assert_eq!(judged(&before, &figure(&[11.0, 11.1, 11.2])), Judgement::Improvement);
        assert_eq!(judged(&before, &figure(&[9.0, 9.1, 9.2])), Judgement::Regression);
        assert_eq!(judged(&before, &figure(&[10.15, 12.0, 12.1])), Judgement::WithinNoise);
        assert_eq!(judged(&before, &before.clone()), Judgement::WithinNoise);
    }

    #[test]
    fn medians_have_to_lie_three_deviations_and_a_hundredth_apart() {
        // Apart, but by less than the values waver.
        assert_eq!(judged(&figure(&[9.0, 10.0, 11.0]), &figure(&[11.1, 12.0, 13.0])), Judgement::WithinNoise);
        // Apart and still, but by less than a search is exact to.
        assert_eq!(judged(&figure(&[10.0; 3]), &figure(&[10.05; 3])), Judgement::WithinNoise);
        assert_eq!(judged(&figure(&[10.0; 3]), &figure(&[10.2; 3])), Judgement::Improvement);
    }

    #[test]
    fn lower_may_be_better_or_neither() {
        let (mut a, mut b) = (figure(&[10.0; 3]), figure(&[12.0; 3]));
        a.better = Some(Better::Lower);
        b.better = Some(Better::Lower);
        assert_eq!(judged(&a, &b), Judgement::Regression);
        assert_eq!(judged(&b, &a), Judgement::Improvement);
        a.better = None;
        assert_eq!(judged(&a, &b), Judgement::Different);
    }

    #[test]
    fn few_disturbed_and_limited_rounds_are_not_judged() {
        let (a, mut b) = (figure(&[10.0; 3]), figure(&[20.0; 3]));
        assert_eq!(judged(&figure(&[10.0]), &b), Judgement::TooFewRounds);
        assert_eq!(judged(&figure(&[10.0; 2]), &b), Judgement::TooFewRounds);
        b.rounds[2].disturbed = true;
        assert_eq!(judged(&a, &b), Judgement::Disturbed);
        b.rounds[1].tester_limited = true;
        assert_eq!(judged(&a, &b), Judgement::TesterLimited);
    }

    #[test]
    fn zero_is_compared_without_a_ratio() {
        let found =
            change(&sample(), &("name", "pollux", "ndr"), &figure(&[0.0; 3]), &figure(&[1.0; 3])).unwrap();
        assert_eq!((found.ratio, found.judgement), (None, Judgement::Improvement));
        assert_eq!(judged(&figure(&[0.0; 3]), &figure(&[0.0; 3])), Judgement::WithinNoise);
    }

    #[test]
    fn temporary_folders_are_no_difference() {
        let arguments = |name: &str| {
            let mut report = sample();
            let value = format!("iface=/tmp/{FOLDER_PREFIX}{name}/w/t0,client=0 /tmp/{FOLDER_PREFIX}{name}");
            report.systems[1].settings.push(("arguments".to_owned(), value));
            report
        };
        assert_eq!(differences(&arguments("Xeie0a"), &arguments("yXvzAH")), []);
        let mut other = arguments("yXvzAH");
        other.systems[1].settings[3].1.push_str(" --rxd=512");
        assert_eq!(differences(&arguments("Xeie0a"), &other).len(), 1);
    }

    #[test]
    fn two_reports_match_by_name_system_and_figure() {
        let a = sample();
        let mut b = changed(|measurement, figure, value| {
            let slower = measurement.system == "pollux" && measurement.size == "64B" && figure.name == "pdr";
            if slower { value * 0.8 } else { value }
        });
        b.environment.groups[0].facts[0].1 = "another".to_owned();
        b.systems[3].version = "3.3.0".to_owned();
        let gone = b.measurements.pop().unwrap();
        let comparison = Comparison::of(&a, &b);
        let regressions: Vec<&Change> =
            comparison.changes.iter().filter(|change| change.judgement == Judgement::Regression).collect();
        assert_eq!(regressions.len(), 6, "one for each number of flows");
        assert!(regressions.iter().all(|change| (change.ratio.unwrap() - 0.8).abs() < 1e-9));
        assert_eq!(comparison.count(Judgement::Improvement), 0);
        let differ: Vec<(&str, &str)> =
            comparison.environment.iter().map(|it| (it.group.as_str(), it.what.as_str())).collect();
        assert_eq!(differ, [("Processor", "model"), ("Open vSwitch", "version")]);
        assert_eq!(comparison.only_a.len(), gone.figures.len());
        assert_eq!(comparison.only_b, []);
    }
}
