//! What goes into the report of what a run found: each round beside the ones before.

use super::plan::{BedPlan, Item};
use super::tests::Findings;
use crate::report::model::{Environment, FactGroup, Figure, Measurement, Sample, SystemRecord};

/// A measurement of which nothing is known yet.
pub(super) fn measurement(plan: &BedPlan, item: &Item) -> Measurement {
    Measurement {
        name: item.name.to_string(),
        test: item.test.id.to_owned(),
        standard: item.test.standard.to_owned(),
        system: plan.system.id().to_owned(),
        topology: item.name.topology.clone(),
        size: item.name.sizes.label(),
        flows: item.name.flows,
        cores: item.name.cores,
        not_done: None,
        figures: Vec::new(),
        curves: Vec::new(),
        notes: Vec::new(),
        trials: Vec::new(),
    }
}

/// Puts what a test found in a round into it.
pub(super) fn add(measurement: &mut Measurement, round: u32, findings: Findings) {
    // JSON has no other numbers.
    let figures = findings.figures.into_iter().filter(|found| found.value.is_finite());
    measurement.figures.extend(figures.map(|found| Figure {
        name: found.name,
        unit: found.unit,
        better: found.better,
        rounds: vec![Sample {
            round,
            value: found.value,
            disturbed: found.disturbed,
            tester_limited: found.tester_limited,
        }],
        expected: found.expected,
    }));
    measurement.curves.extend(findings.curves);
    measurement.notes.extend(findings.notes);
    measurement.not_done = findings.not_done;
}

/// Puts a round beside the ones before. A test that wasn't done in one round only is told in a note.
pub(super) fn merge(before: &mut Measurement, found: Measurement, round: u32) {
    for figure in found.figures {
        match before.figures.iter_mut().find(|known| known.name == figure.name) {
            Some(known) => known.rounds.extend(figure.rounds),
            None => before.figures.push(figure),
        }
    }
    let has_figures = !before.figures.is_empty() || !before.curves.is_empty() || !found.curves.is_empty();
    let note = |round: u32, why: String| format!("Not done in round {}: {why}", round + 1);
    let mut notes = found.notes;
    match (before.not_done.take(), found.not_done) {
        (Some(why), _) if has_figures => notes.push(note(round.saturating_sub(1), why)),
        (_, Some(why)) if has_figures => notes.push(note(round, why)),
        (first, second) => before.not_done = first.or(second),
    }
    before.curves.extend(found.curves);
    notes.retain(|note| !before.notes.contains(note));
    before.notes.extend(notes);
    before.trials.extend(found.trials);
}

/// What is set of a system on another topology, or for a test alone, goes beside what is known, where it differs.
pub(super) fn add_settings(record: &mut SystemRecord, plan: &BedPlan, settings: Vec<(String, String)>) {
    for (what, value) in settings {
        let there = match plan.alone {
            Some(test) => format!("{what}, for {}", test.id),
            None => format!("{what}, {}", plan.topology),
        };
        let known = |(name, old): &(String, String)| (*name == what && *old == value) || *name == there;
        if record.settings.iter().any(known) {
            continue;
        }
        let is_new = record.settings.iter().all(|(name, _)| *name != what);
        record.settings.push((if is_new { what } else { there }, value));
    }
}

/// What the tester is on a bed, where that isn't known yet: by the first topology without, by others with its name.
pub(super) fn add_tester(environment: &mut Environment, plan: &BedPlan, facts: Vec<(String, String)>) {
    const NAME: &str = "Tester";
    let known = |group: &&FactGroup| group.name.starts_with(NAME);
    if environment.groups.iter().filter(known).any(|group| group.facts == facts) {
        return;
    }
    let name = match environment.groups.iter().any(|group| known(&group)) {
        true => format!("{NAME}, {}", plan.topology),
        false => NAME.to_owned(),
    };
    if environment.groups.iter().all(|group| group.name != name) {
        environment.groups.push(FactGroup { name, facts });
    }
}
