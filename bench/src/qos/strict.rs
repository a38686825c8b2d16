//! Class 7 beside best effort that a port can't carry.
//!
//! The egress port is shaped to a rate. Best effort fills 1.9 times that, class 7 a tenth of it, in equal
//! parts by all ingress ports. First class 7 is alone, then beside best effort.

use serde::Serialize;

use super::report::{Section, Verdict, bits, disturbances, mbits, micros, percent};
use super::tester::{CATCH_UP_EARLY, Setup, Tester};
use super::traffic::{Flow, FlowOutcome, Mix, Outcome, Phase};
use crate::Result;
use crate::lab::profile::{Limit, Profile};

/// What is offered of either, in parts of the rate.
const BEST_EFFORT: f64 = 1.9;
const CONTROL: f64 = 0.1;

/// Priorities.
const BEST_EFFORT_PCP: u8 = 0;
const CONTROL_PCP: u8 = 7;

/// Octets that the shaper may send at once.
const BURST: u64 = 16 << 10;

/// How many times as long class 7 may take beside best effort, at the 99th percentile.
const SLOWER: f64 = 2.0;

/// How far what is received may be off the rate, in parts of it: otherwise the port was congested by something
/// else or not at all, and the rest says nothing.
const SHAPED: f64 = 0.01;

/// The least that has to be offered, in parts of the rate.
const CONGESTED: f64 = 1.5;

const WARM_UP: f64 = 0.5;

/// The rate where worker and tester take turns on a CPU: what comes during a turn must fit into a ring.
const SHARED_RATE: f64 = 200e6;

/// Seconds that the tester may be behind there.
const SHARED_CATCH_UP: f64 = 0.02;

/// Sizes of best effort's frames, then of class 7's.
const SIZES: [(Mix, Mix); 3] =
    [(Mix::Imix, Mix::Imix), (Mix::Only(1518), Mix::Only(64)), (Mix::Only(64), Mix::Only(64))];

#[derive(Serialize)]
struct Case {
    name: String,
    rate: f64,
    sizes: (Mix, Mix),
    alone: Outcome,
    congested: Outcome,
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
                    "2 workers: one shares its CPU with the tester, so delays include turns of the other, and \
                     the rate is {}",
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
        for (what, outcome) in [("alone", &case.alone), ("beside", &case.congested)] {
            section.notes.extend(disturbances(&format!("{}, {what}", case.name), outcome));
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
    Some((Setup { cores, catch_up, shared, ..Setup::one_worker(tester, 4) }, shared))
}

fn measure(tester: &Tester, setup: Setup, name: String, rate: f64, sizes: (Mix, Mix)) -> Result<Case> {
    let shaper = Limit { rate, burst: BURST };
    let setup = Setup {
        profiles: vec![
            Profile::strict("plain"),
            Profile { egress_rate: Some(shaper), ..Profile::strict("shaped") },
        ],
        ingress: Some("plain"),
        egress: Some("shaped"),
        ..setup
    };
    let best_effort = Flow { pcp: BEST_EFFORT_PCP, mix: sizes.0, rate: Some(BEST_EFFORT * rate) };
    let control = Flow { pcp: CONTROL_PCP, mix: sizes.1, rate: Some(CONTROL * rate) };
    let phase = |flows| Phase { warm_up: WARM_UP, seconds: tester.seconds, flows, limit: Some(rate) };
    let outcomes = tester.measure(&setup, &[phase(vec![control]), phase(vec![control, best_effort])])?;
    let [alone, congested] = <[Outcome; 2]>::try_from(outcomes).unwrap_or_default();
    Ok(Case { name, rate, sizes, alone, congested })
}

/// Class 7 alone, class 7 beside best effort, best effort.
fn flows(case: &Case) -> [(&'static str, &Outcome, FlowOutcome); 3] {
    let flow = |outcome: &Outcome, number: usize| outcome.flows.get(number).cloned().unwrap_or_default();
    [
        ("class 7 alone", &case.alone, flow(&case.alone, 0)),
        ("class 7 beside", &case.congested, flow(&case.congested, 0)),
        ("best effort", &case.congested, flow(&case.congested, 1)),
    ]
}

fn rows(case: &Case) -> Vec<Vec<String>> {
    let row = |(name, outcome, flow): (&str, &Outcome, FlowOutcome)| {
        vec![
            case.name.clone(),
            name.to_owned(),
            mbits(outcome.offered_of(&flow)),
            mbits(outcome.rate_of(&flow)),
            percent(flow.loss()),
            format!("{} of {}", flow.lost, flow.sent),
            flow.reordered.to_string(),
            micros(flow.delay.p50),
            micros(flow.delay.p99),
            micros(flow.delay.max),
        ]
    };
    flows(case).into_iter().map(row).collect()
}

fn judge(case: &Case) -> Vec<Verdict> {
    let [(_, _, alone), (_, _, beside), _] = flows(case);
    let verdict = |what: &str, wanted: String, measured, met| {
        Verdict::new(format!("{}: {what}", case.name), wanted, measured, met)
    };
    if case.congested.offered() < CONGESTED * case.rate {
        let wanted = format!("{:.1} times {} offered", BEST_EFFORT + CONTROL, bits(case.rate));
        return vec![Verdict::not_reachable(case.name.clone(), wanted, case.congested.offered())];
    }
    let off = case.congested.rate() / case.rate - 1.0;
    let ratio = beside.delay.p99 / alone.delay.p99;
    let reordered = case.alone.reordered() + case.congested.reordered();
    vec![
        verdict(
            "received in all",
            format!("{} within {:.0} %", bits(case.rate), 100.0 * SHAPED),
            format!("{} ({:+.2} %)", bits(case.congested.rate()), 100.0 * off),
            off.abs() <= SHAPED,
        ),
        verdict(
            "class 7 lost",
            "0".to_owned(),
            format!("{} of {}", beside.lost, beside.sent),
            beside.lost == 0 && beside.sent > 0,
        ),
        verdict(
            "class 7 delay, p99",
            format!("at most {SLOWER} times alone"),
            format!("{ratio:.2} times"),
            ratio <= SLOWER,
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
        let good = Case {
            name: "1 worker".to_owned(),
            rate: 8e6,
            sizes: SIZES[0],
            alone: outcome(vec![flow(100_000, 0, 10.0)]),
            congested: outcome(vec![flow(100_000, 0, 20.0), flow(900_000, 8, 900.0)]),
        };
        assert_eq!(met(&good), [true; 4]);
        assert_eq!(rows(&good).len(), 3);
        let bad = Case { congested: outcome(vec![flow(100_000, 1, 20.1), flow(920_000, 8, 900.0)]), ..good };
        assert_eq!(met(&bad), [false, false, false, true]);
        let nothing = Case { congested: Outcome::default(), ..bad };
        assert_eq!(judge(&nothing)[0].judgement, Judgement::NotReachable);
    }
}
