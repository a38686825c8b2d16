//! Class 7 beside best effort that a port can't carry.
//!
//! The egress port is shaped to a rate. Class 7 is a tenth of that, best effort 1.9 times it, in equal parts by
//! all ingress ports. Class 7 is alone, beside the same best effort through a port that is wide enough for it,
//! and beside it through the port that isn't, by turns, several times. Delays with and without congestion are
//! held against each other within a round, and the round with the median of the ratios counts; loss and order
//! are of all rounds.

use serde::Serialize;

use super::report::{Section, Verdict, bits, disturbances, mbits, micros, percent};
use super::tester::{CATCH_UP_EARLY, Setup, Tester};
use super::traffic::{Flow, FlowOutcome, Mix, Outcome, Phase};
use crate::Result;
use crate::host::profile::{Limit, Profile};

/// What is offered of either, in parts of the rate.
const BEST_EFFORT: f64 = 1.9;

/// What the wide port is shaped to, in parts of the rate: all that is offered, and as much again.
const WIDE: f64 = 4.0;
const CONTROL: f64 = 0.1;

/// Priorities.
const BEST_EFFORT_PCP: u8 = 0;
const CONTROL_PCP: u8 = 7;

/// Octets that the shaper may send at once.
const BURST: u64 = 64 << 10;

/// The same where the worker that shapes may have to wait for its turn: what it doesn't send meanwhile isn't lost
/// to the rate.
const SHARED_BURST: u64 = 400_000;

/// How many times as long class 7 may take with congestion as without, at the 99th percentile.
const SLOWER: f64 = 2.0;

/// How far what is received may be off the rate, in parts of it: otherwise the port was congested by something
/// else or not at all, and the rest says nothing.
const SHAPED: f64 = 0.01;

/// The least that has to be offered, in parts of the rate.
const CONGESTED: f64 = 1.5;

const WARM_UP: f64 = 0.5;

/// Rounds: odd, so that one is in the middle.
const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;

/// The rate where worker and tester take turns on a CPU: what comes during a turn must fit into a ring.
const SHARED_RATE: f64 = 200e6;

/// Seconds that the tester may be behind there, and descriptors of its rings at least.
const SHARED_CATCH_UP: f64 = 0.02;
const SHARED_QUEUE_SIZE: u16 = 4096;

/// Sizes of best effort's frames, then of class 7's.
const SIZES: [(Mix, Mix); 3] =
    [(Mix::Imix, Mix::Imix), (Mix::Only(1518), Mix::Only(64)), (Mix::Only(64), Mix::Only(64))];

#[derive(Serialize)]
struct Case {
    name: String,
    rate: f64,
    sizes: (Mix, Mix),
    rounds: Vec<Round>,
}

#[derive(Default, Serialize)]
struct Round {
    alone: Outcome,
    carried: Outcome,
    congested: Outcome,
}

impl Round {
    /// How many times as long class 7 takes with congestion as without, at the 99th percentile.
    fn slower(&self) -> f64 {
        self.slower_than(&self.carried)
    }

    fn slower_than(&self, other: &Outcome) -> f64 {
        let p99 = |outcome: &Outcome| outcome.flows.first().map_or(f64::NAN, |flow| flow.delay.p99);
        p99(&self.congested) / p99(other)
    }

    fn outcomes(&self) -> [(&'static str, &Outcome); 3] {
        [("alone", &self.alone), ("uncongested", &self.carried), ("congested", &self.congested)]
    }

    fn is_disturbed(&self) -> bool {
        self.outcomes().iter().any(|(_, outcome)| outcome.disturbed)
    }
}

impl Case {
    /// The rounds that count for delays and rates: those that nothing disturbed, or all if there is none; by how
    /// much slower class 7 was.
    fn counted(&self) -> Vec<&Round> {
        let mut good: Vec<_> = self.rounds.iter().filter(|round| !round.is_disturbed()).collect();
        if good.is_empty() {
            good = self.rounds.iter().collect();
        }
        good.sort_by(|a, b| a.slower().total_cmp(&b.slower()));
        good
    }

    /// The one in the middle of those.
    fn middle(&self) -> Option<&Round> {
        let counted = self.counted();
        counted.get(counted.len() / 2).copied()
    }

    /// The sum over all rounds.
    fn sum(&self, number: impl Fn(&Round) -> u64) -> u64 {
        self.rounds.iter().map(number).sum()
    }
}

pub(super) fn run(tester: &Tester) -> Result<Section> {
    let header = [
        "case",
        "flow",
        "offered",
        "received",
        "loss, %",
        "lost",
        "reordered",
        "p50, us",
        "p99, us",
        "max, us",
    ];
    let title = "Strict priority: class 7 beside best effort, 2:1 into a shaped port (Mbit/s)";
    let mut section = Section::new("strict", title, &header);
    let mut cases = Vec::new();
    let sizes = if tester.quick { &SIZES[..1] } else { &SIZES[..] };
    for sizes in sizes {
        let setup = Setup { catch_up: CATCH_UP_EARLY, ..Setup::one_worker(tester, 2) };
        cases.push(measure(tester, setup, format!("1 worker, {}", named(*sizes)), tester.rate, *sizes)?);
    }
    match two_workers(tester) {
        Some((setup, shared)) => {
            let rate = if shared { tester.rate.min(SHARED_RATE) } else { tester.rate };
            let name = format!("2 workers, {}", named(SIZES[0]));
            if shared {
                section.notes.push(format!(
                    "2 workers: one shares its CPU with the tester, so delays include turns of the other; the \
                     rate is {}, the burst {SHARED_BURST} octets",
                    bits(rate)
                ));
            }
            cases.push(measure(tester, setup, name, rate, SIZES[0])?);
        }
        None => section.notes.push("2 workers: given up, as this machine has one CPU".to_owned()),
    }
    for case in &cases {
        section.rows.extend(rows(case));
        section.verdicts.extend(judge(case));
        let disturbed = case.rounds.iter().filter(|round| round.is_disturbed()).count();
        if disturbed > 0 {
            section.notes.push(format!(
                "{}: something else ran on the CPUs in {disturbed} of {} rounds",
                case.name,
                case.rounds.len()
            ));
        }
        for (name, outcome) in case.middle().iter().flat_map(|round| round.outcomes()) {
            section.notes.extend(disturbances(&format!("{}, {name}", case.name), outcome));
        }
    }
    section.with_figures(&cases)
}

fn named((best_effort, control): (Mix, Mix)) -> String {
    match best_effort == control {
        true => control.to_string(),
        false => format!("{control} beside {best_effort}"),
    }
}

/// Workers on two CPUs, of which the tester shares one if there is no third. Whether it does.
fn two_workers(tester: &Tester) -> Option<(Setup, bool)> {
    if tester.worker_cpu == tester.house_cpu {
        return None;
    }
    let third = tester.cpus.iter().copied().find(|cpu| ![tester.worker_cpu, tester.house_cpu].contains(cpu));
    let second = third.unwrap_or(tester.house_cpu);
    let shared = third.is_none();
    let mut cores = vec![tester.worker_cpu, second];
    cores.sort_unstable();
    let catch_up = if shared { SHARED_CATCH_UP } else { CATCH_UP_EARLY };
    let queue_size = if shared { tester.queue_size.max(SHARED_QUEUE_SIZE) } else { tester.queue_size };
    Some((Setup { cores, catch_up, queue_size, shared, ..Setup::one_worker(tester, 4) }, shared))
}

fn measure(tester: &Tester, setup: Setup, name: String, rate: f64, sizes: (Mix, Mix)) -> Result<Case> {
    let burst = if setup.shared { SHARED_BURST } else { BURST };
    let shaped = |name, rate| Profile { egress_rate: Some(Limit { rate, burst }), ..Profile::strict(name) };
    let setup = Setup {
        profiles: vec![Profile::strict("plain"), shaped("narrow", rate), shaped("wide", WIDE * rate)],
        ingress: Some("plain"),
        egress: Some("narrow"),
        ..setup
    };
    let wide = Setup { egress: Some("wide"), ..setup.clone() };
    let best_effort = Flow { pcp: BEST_EFFORT_PCP, mix: sizes.0, rate: Some(BEST_EFFORT * rate) };
    let control = Flow { pcp: CONTROL_PCP, mix: sizes.1, rate: Some(CONTROL * rate) };
    let phase = |flows, limit| Phase { warm_up: WARM_UP, seconds: tester.seconds, flows, limit: Some(limit) };
    let both = vec![control, best_effort];
    let narrow_phases = [phase(vec![control], rate), phase(both.clone(), rate)];
    let wide_phases = [phase(both, WIDE * rate)];
    let mut rounds = Vec::new();
    for _ in 0..if tester.quick { QUICK_ROUNDS } else { ROUNDS } {
        let mut narrow = tester.measure(&setup, &narrow_phases)?.into_iter();
        let mut wide = tester.measure(&wide, &wide_phases)?.into_iter();
        if let (Some(alone), Some(congested), Some(carried)) = (narrow.next(), narrow.next(), wide.next()) {
            rounds.push(Round { alone, carried, congested });
        }
    }
    Ok(Case { name, rate, sizes, rounds })
}

/// A flow: its name, which outcome of a round it is in, and where.
type Place = (&'static str, fn(&Round) -> &Outcome, usize);

const CONTROL_ALONE: Place = ("class 7 alone", |round| &round.alone, 0);
const CONTROL_CARRIED: Place = ("class 7, uncongested", |round| &round.carried, 0);
const BEST_EFFORT_CARRIED: Place = ("best effort, uncongested", |round| &round.carried, 1);
const CONTROL_BESIDE: Place = ("class 7, congested", |round| &round.congested, 0);
const BEST_EFFORT_BESIDE: Place = ("best effort, congested", |round| &round.congested, 1);

fn at(round: &Round, (_, outcome, number): Place) -> FlowOutcome {
    outcome(round).flows.get(number).cloned().unwrap_or_default()
}

fn rows(case: &Case) -> Vec<Vec<String>> {
    let Some(middle) = case.middle() else { return Vec::new() };
    let row = |place: Place| {
        let (name, outcome, _) = place;
        let (outcome, flow) = (outcome(middle), at(middle, place));
        let sum = |field: fn(&FlowOutcome) -> u64| case.sum(|round| field(&at(round, place)));
        vec![
            case.name.clone(),
            name.to_owned(),
            mbits(outcome.offered_of(&flow)),
            mbits(outcome.rate_of(&flow)),
            percent(flow.loss()),
            format!("{} of {}", sum(|flow| flow.lost), sum(|flow| flow.sent)),
            sum(|flow| flow.reordered).to_string(),
            micros(flow.delay.p50),
            micros(flow.delay.p99),
            micros(flow.delay.max),
        ]
    };
    [CONTROL_ALONE, CONTROL_CARRIED, BEST_EFFORT_CARRIED, CONTROL_BESIDE, BEST_EFFORT_BESIDE]
        .map(row)
        .to_vec()
}

fn judge(case: &Case) -> Vec<Verdict> {
    let counted = case.counted();
    let (Some(least), Some(middle), Some(most)) = (counted.first(), case.middle(), counted.last()) else {
        return Vec::new();
    };
    let congested = &middle.congested;
    let verdict = |what: &str, wanted: String, measured, met| {
        Verdict::new(format!("{}: {what}", case.name), wanted, measured, met)
    };
    if congested.offered() < CONGESTED * case.rate {
        let wanted = format!("{:.1} times {} offered", BEST_EFFORT + CONTROL, bits(case.rate));
        return vec![Verdict::not_reachable(case.name.clone(), wanted, congested.offered())];
    }
    let off = congested.rate() / case.rate - 1.0;
    let control = |field: fn(&FlowOutcome) -> u64| case.sum(|round| field(&at(round, CONTROL_BESIDE)));
    let (lost, sent) = (control(|flow| flow.lost), control(|flow| flow.sent));
    let reordered =
        case.sum(|round| round.outcomes().iter().map(|(_, outcome)| outcome.reordered()).sum::<u64>());
    vec![
        verdict(
            "received in all",
            format!("{} within {:.0} %", bits(case.rate), 100.0 * SHAPED),
            format!("{} ({:+.2} %)", bits(congested.rate()), 100.0 * off),
            off.abs() <= SHAPED,
        ),
        verdict("class 7 lost", "0".to_owned(), format!("{lost} of {sent}"), lost == 0 && sent > 0),
        verdict(
            "class 7 delay, p99",
            format!("at most {SLOWER} times uncongested"),
            format!(
                "{:.2} times ({:.2} to {:.2}); {:.2} times alone",
                middle.slower(),
                least.slower(),
                most.slower(),
                middle.slower_than(&middle.alone)
            ),
            middle.slower() <= SLOWER,
        ),
        verdict("reordered", "0".to_owned(), reordered.to_string(), reordered == 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::report::Judgement;
    use crate::qos::traffic::{Amount, Delay};

    fn outcome(flows: Vec<FlowOutcome>) -> Outcome {
        Outcome { seconds: 1.0, offered_seconds: 1.0, flows, ..Outcome::default() }
    }

    fn flow(octets: u64, lost: u64, p99: f64) -> FlowOutcome {
        FlowOutcome {
            received: Amount { frames: 10, octets },
            offered: Amount { frames: 20, octets: 2 * octets },
            sent: 10 + lost,
            lost,
            delay: Delay { p50: 1.0, p99, max: p99 },
            ..FlowOutcome::default()
        }
    }

    fn met(case: &Case) -> Vec<bool> {
        judge(case).iter().map(|verdict| verdict.judgement == Judgement::Met).collect()
    }

    #[test]
    fn each_criterion_is_judged_by_itself() {
        let round = |octets, lost, p99| Round {
            alone: outcome(vec![flow(100_000, 0, 8.0)]),
            carried: outcome(vec![flow(100_000, 0, 10.0)]),
            congested: outcome(vec![flow(100_000, lost, p99), flow(octets, 8, 900.0)]),
        };
        let case = |rounds| Case { name: "1 worker".to_owned(), rate: 8e6, sizes: SIZES[0], rounds };
        let good = case(vec![round(900_000, 0, 20.0), round(900_000, 0, 5.0), round(900_000, 0, 90.0)]);
        assert_eq!(met(&good), [true; 4]);
        assert_eq!(rows(&good).len(), 5);
        // A single loss counts, in whatever round.
        let bad = case(vec![round(920_000, 1, 10.0), round(920_000, 0, 20.1), round(920_000, 0, 90.0)]);
        assert_eq!(met(&bad), [false, false, false, true]);
        let nothing = case(vec![Round::default()]);
        assert_eq!(judge(&nothing)[0].judgement, Judgement::NotReachable);
        assert!(judge(&case(Vec::new())).is_empty());
    }

    #[test]
    fn disturbed_rounds_dont_count_for_delays_unless_all_were() {
        let round = |p99, disturbed| Round {
            alone: outcome(vec![flow(100_000, 0, 8.0)]),
            carried: outcome(vec![flow(100_000, 0, 10.0)]),
            congested: Outcome { disturbed, ..outcome(vec![flow(100_000, 0, p99)]) },
        };
        let case = |rounds| Case { name: "1 worker".to_owned(), rate: 8e6, sizes: SIZES[0], rounds };
        let slower = |case: Case| case.middle().map(Round::slower);
        assert_eq!(slower(case(vec![round(90.0, true), round(20.0, false), round(70.0, true)])), Some(2.0));
        assert_eq!(slower(case(vec![round(90.0, true), round(20.0, true), round(70.0, true)])), Some(7.0));
    }
}
