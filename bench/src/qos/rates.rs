//! Policers and shapers, each held against its rate: in the long run, and in any window.

use std::fmt;

use serde::Serialize;

use super::report::{Section, Verdict, bits, disturbances, mbits};
use super::tester::{Setup, Tester};
use super::traffic::{Flow, Mix, Outcome, Phase};
use crate::Result;
use crate::host::profile::{Limit, Profile};

/// Bits a second.
const RATES: [f64; 4] = [10e6, 100e6, 1e9, 5e9];
const QUICK_RATES: [f64; 2] = [100e6, 1e9];

const SIZES: [u16; 3] = [64, 594, 1518];

/// The burst: what the rate lets through in so many seconds, but at least so many octets.
const BURST_SECONDS: f64 = 0.002;
const LEAST_BURST: f64 = 16384.0;

/// What is offered, in parts of the rate, and what is the least that shows it.
const OFFERED: f64 = 1.5;
const ENOUGH: f64 = 1.05;

/// How far the rate may be off in the long run, in parts of it.
const TOLERANCE: f64 = 0.01;

/// Until the bucket is empty, several times over.
const WARM_UP: f64 = 0.3;

const PCP: u8 = 0;

/// Seconds by which one frame may come later than the next after it was metered: the receiver sees the two
/// closer together than the switch did.
const DELAY_VARIATION: f64 = 50e-6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// `ingress_rate` of the port by which frames come in.
    Policer,
    /// `egress_rate` of the port by which they leave.
    Shaper,
}

#[derive(Serialize)]
struct Case {
    kind: Kind,
    size: u16,
    limit: Limit,
    /// Bits a second that come through without any rate.
    capacity: f64,
    /// `None` if that isn't enough to show the rate.
    outcome: Option<Outcome>,
}

pub(super) fn run(tester: &Tester) -> Result<Section> {
    let header =
        ["case", "configured", "offered", "measured", "off, %", "burst", "excess", "seen", "without limit"];
    let title = "Rates: policers and shapers, one flow (Mbit/s; burst and the largest excess in octets)";
    let mut section = Section::new("rates", title, &header);
    section.notes.push(
        "excess: the most octets in any window above what the rate lets through in it, where the receiver's own \
         pauses don't explain them; seen: with them. It may be the burst, a frame, and what the rate lets \
         through in 50 us, by which frames are delayed differently on their way to the receiver"
            .to_owned(),
    );
    let capacities = capacities(tester)?;
    let mut cases = Vec::new();
    let rates = if tester.quick { &QUICK_RATES[..] } else { &RATES[..] };
    for kind in [Kind::Policer, Kind::Shaper] {
        for &rate in rates {
            cases.extend(measure(tester, kind, rate, &capacities)?);
        }
    }
    for case in &cases {
        section.rows.push(row(case));
        section.verdicts.extend(judge(case));
        let outcome = case.outcome.as_ref();
        section.notes.extend(outcome.and_then(|outcome| disturbances(&case.to_string(), outcome)));
    }
    section.with_figures(&cases)
}

/// What comes through of each size as fast as it goes, in bits a second.
fn capacities(tester: &Tester) -> Result<Vec<f64>> {
    let phase = |size| Phase {
        warm_up: WARM_UP,
        seconds: tester.seconds.min(1.0),
        flows: vec![Flow { pcp: PCP, mix: Mix::Only(size), rate: None }],
        limit: None,
    };
    let outcomes = tester.measure(&Setup::one_worker(tester, 1), &SIZES.map(phase))?;
    Ok(outcomes.iter().map(Outcome::rate).collect())
}

fn limit(rate: f64) -> Limit {
    Limit { rate, burst: (rate / 8.0 * BURST_SECONDS).max(LEAST_BURST) as u64 }
}

/// All sizes at one rate, by one switch.
fn measure(tester: &Tester, kind: Kind, rate: f64, capacities: &[f64]) -> Result<Vec<Case>> {
    let limit = limit(rate);
    let plain = Profile::strict("plain");
    let limited = match kind {
        Kind::Policer => Profile { ingress_rate: Some(limit), ..Profile::strict("limited") },
        Kind::Shaper => Profile { egress_rate: Some(limit), ..Profile::strict("limited") },
    };
    let (ingress, egress) = match kind {
        Kind::Policer => (limited.name, plain.name),
        Kind::Shaper => (plain.name, limited.name),
    };
    let setup = Setup {
        ingress: Some(ingress),
        egress: Some(egress),
        profiles: vec![plain, limited],
        ..Setup::one_worker(tester, 1)
    };
    let mut cases: Vec<_> = SIZES
        .into_iter()
        .zip(capacities)
        .map(|(size, &capacity)| Case { kind, size, limit, capacity, outcome: None })
        .collect();
    let reachable: Vec<_> = cases.iter_mut().filter(|case| case.capacity >= ENOUGH * rate).collect();
    let phases = reachable.iter().map(|case| Phase {
        warm_up: WARM_UP,
        seconds: tester.seconds,
        flows: vec![Flow { pcp: PCP, mix: Mix::Only(case.size), rate: Some(OFFERED * rate) }],
        limit: Some(rate),
    });
    let phases: Vec<_> = phases.collect();
    if !phases.is_empty() {
        let outcomes = tester.measure(&setup, &phases)?;
        for (case, outcome) in reachable.into_iter().zip(outcomes) {
            case.outcome = Some(outcome);
        }
    }
    Ok(cases)
}

fn row(case: &Case) -> Vec<String> {
    let Limit { rate, burst } = case.limit;
    let mut row = vec![case.to_string(), mbits(rate)];
    match &case.outcome {
        None => row.extend(["", "", "", ""].map(str::to_owned)),
        Some(outcome) => {
            let excess = outcome.excess.unwrap_or_default();
            row.push(mbits(outcome.offered()));
            row.push(format!("{:.3}", outcome.rate() / 1e6));
            row.push(format!("{:+.2}", 100.0 * (outcome.rate() / rate - 1.0)));
            row.push(burst.to_string());
            row.push(format!("{:.0}", excess.certain));
            row.push(format!("{:.0}", excess.seen));
        }
    }
    row.resize(8, String::new());
    row.push(mbits(case.capacity));
    row
}

fn judge(case: &Case) -> Vec<Verdict> {
    let Limit { rate, burst } = case.limit;
    let wanted = format!("{} within {:.0} %", bits(rate), 100.0 * TOLERANCE);
    let outcome = match &case.outcome {
        None => return vec![Verdict::not_reachable(case.to_string(), wanted, case.capacity)],
        Some(outcome) if outcome.offered() < ENOUGH * rate => {
            return vec![Verdict::not_reachable(case.to_string(), wanted, outcome.offered())];
        }
        Some(outcome) => outcome,
    };
    let off = outcome.rate() / rate - 1.0;
    let excess = outcome.excess.unwrap_or_default().certain;
    let late = (rate / 8.0 * DELAY_VARIATION) as u64;
    let most = burst + Mix::Only(case.size).longest() as u64 + late;
    vec![
        Verdict::new(
            case.to_string(),
            wanted,
            format!("{} ({:+.2} %)", bits(outcome.rate()), 100.0 * off),
            off.abs() <= TOLERANCE,
        ),
        Verdict::new(
            format!("{case}, excess"),
            format!("at most {most} octets"),
            format!("{excess:.0} octets"),
            excess <= most as f64,
        ),
    ]
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Policer => "policer",
            Kind::Shaper => "shaper",
        };
        let (rate, unit) = match self.limit.rate {
            rate @ 1e9.. => (rate / 1e9, "Gbit"),
            rate => (rate / 1e6, "Mbit"),
        };
        write!(f, "{kind}, {rate} {unit}, {} octets", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::report::Judgement;
    use crate::qos::traffic::{Amount, Excess, FlowOutcome};

    fn case(offered: u64, received: u64, certain: f64) -> Case {
        let flow = FlowOutcome {
            offered: Amount { frames: 1, octets: offered },
            received: Amount { frames: 1, octets: received },
            ..FlowOutcome::default()
        };
        let outcome = Outcome {
            seconds: 1.0,
            offered_seconds: 1.0,
            flows: vec![flow],
            excess: Some(Excess { seen: 2.0 * certain, certain }),
            ..Outcome::default()
        };
        Case { kind: Kind::Shaper, size: 64, limit: limit(8e6), capacity: 1e9, outcome: Some(outcome) }
    }

    fn judgements(case: &Case) -> Vec<Judgement> {
        judge(case).iter().map(|verdict| verdict.judgement).collect()
    }

    #[test]
    fn rate_and_excess_are_judged_where_enough_was_offered() {
        use Judgement::{Met, Missed, NotReachable};
        assert_eq!(judgements(&case(1_500_000, 1_009_000, 16_494.0)), [Met, Met]);
        assert_eq!(judgements(&case(1_500_000, 1_011_000, 16_495.0)), [Missed, Missed]);
        assert_eq!(judgements(&case(1_500_000, 989_000, 0.0)), [Missed, Met]);
        assert_eq!(judgements(&case(1_040_000, 1_000_000, 0.0)), [NotReachable]);
        let slow = Case { outcome: None, capacity: 5e6, ..case(0, 0, 0.0) };
        assert_eq!(judgements(&slow), [NotReachable]);
        assert_eq!(row(&slow).len(), row(&case(1, 1, 1.0)).len());
    }

    #[test]
    fn bursts_grow_with_the_rate() {
        assert_eq!([10e6, 1e9, 5e9].map(|rate| limit(rate).burst), [16_384, 250_000, 1_250_000]);
    }
}
