//! Six classes that share a shaped port by their weights, all of them saturated.
//!
//! Every class is offered the same, more than the largest share: what comes out in the proportions of the
//! weights went in in others.

use serde::Serialize;

use super::report::{Section, Verdict, bits, disturbances, mbits};
use super::tester::{Setup, Tester};
use super::traffic::{Flow, Mix, Outcome, Phase};
use crate::Result;
use crate::host::profile::{Limit, Profile, pcp_of};

/// Classes and their weights.
const WEIGHTS: [(u8, u16); 6] = [(5, 8), (4, 4), (3, 4), (2, 2), (1, 1), (0, 1)];

/// What every class is offered, in parts of the largest share.
const SATURATED: f64 = 1.2;

/// How far a share may be from its weight's, in parts of that.
const TOLERANCE: f64 = 0.03;

/// Frames a second through the port at most, so that almost three times as many can be offered.
const MOST_FRAMES: f64 = 1e6;

const BURST: u64 = 16 << 10;

/// Until every class has frames that wait.
const WARM_UP: f64 = 0.7;

const MIXES: [Mix; 4] = [Mix::Only(64), Mix::Only(594), Mix::Only(1518), Mix::Imix];

#[derive(Serialize)]
struct Case {
    mix: Mix,
    rate: f64,
    outcome: Outcome,
}

pub(super) fn run(tester: &Tester) -> Result<Section> {
    let header = [
        "frames", "rate", "received", "class 5", "class 4", "class 3", "class 2", "class 1", "class 0",
        "worst, %",
    ];
    let title = "Weighted sharing: classes 5 to 0 with weights 8:4:4:2:1:1, all saturated: shares in twentieths of \
                 the octets (rates in Mbit/s)";
    let mut section = Section::new("dwrr", title, &header);
    let mut cases = Vec::new();
    let mixes = if tester.quick { &MIXES[2..] } else { &MIXES[..] };
    for &mix in mixes {
        cases.push(measure(tester, mix)?);
    }
    for case in &cases {
        let shares = shares(&case.outcome);
        let worst = worst(&shares);
        let mut row = vec![case.mix.to_string(), mbits(case.rate), mbits(case.outcome.rate())];
        row.extend(shares.iter().map(|share| format!("{:.3}", share * total_weight())));
        row.push(format!("{:.2}", 100.0 * worst));
        section.rows.push(row);
        section.verdicts.push(judge(case, worst));
        let reordered = case.outcome.reordered();
        section.verdicts.push(Verdict::new(
            format!("{}: reordered", case.mix),
            "0",
            reordered.to_string(),
            reordered == 0,
        ));
        section.notes.extend(disturbances(&case.mix.to_string(), &case.outcome));
    }
    section.with_figures(&cases)
}

fn measure(tester: &Tester, mix: Mix) -> Result<Case> {
    let rate = tester.rate.min(MOST_FRAMES * 8.0 * mix.mean_len());
    let weights: Vec<_> = WEIGHTS.iter().map(|(class, weight)| format!("{class} = {weight}")).collect();
    let classes = format!("{{ strict = [7, 6], dwrr = {{ {} }} }}", weights.join(", "));
    let plain = Profile { classes, ..Profile::strict("plain") };
    let shaper = Limit { rate, burst: BURST };
    let setup = Setup {
        profiles: vec![plain.clone(), Profile { name: "shaped", egress_rate: Some(shaper), ..plain }],
        ingress: Some("plain"),
        egress: Some("shaped"),
        ..Setup::one_worker(tester, 2)
    };
    let (_, largest) = WEIGHTS[0];
    let each = SATURATED * rate * f64::from(largest) / total_weight();
    let flows = WEIGHTS.map(|(class, _)| Flow { pcp: pcp_of(class), mix, rate: Some(each) });
    let phase = Phase { warm_up: WARM_UP, seconds: tester.seconds, flows: flows.to_vec(), limit: Some(rate) };
    let outcome = tester.measure(&setup, &[phase])?.pop().unwrap_or_default();
    Ok(Case { mix, rate, outcome })
}

fn total_weight() -> f64 {
    WEIGHTS.iter().map(|(_, weight)| f64::from(*weight)).sum()
}

/// Each class's part of all octets received, in the order of [`WEIGHTS`].
fn shares(outcome: &Outcome) -> Vec<f64> {
    let octets = |flow: &super::traffic::FlowOutcome| flow.received.octets as f64;
    let all: f64 = outcome.flows.iter().map(octets).sum();
    outcome.flows.iter().map(|flow| octets(flow) / all.max(1.0)).collect()
}

/// The largest distance of a share from its weight's, in parts of that.
fn worst(shares: &[f64]) -> f64 {
    let distances = shares.iter().zip(WEIGHTS).map(|(share, (_, weight))| {
        let wanted = f64::from(weight) / total_weight();
        (share / wanted - 1.0).abs()
    });
    distances.fold(0.0, f64::max)
}

fn judge(case: &Case, worst: f64) -> Verdict {
    let name = format!("{}: shares", case.mix);
    let wanted = format!("within {:.0} % of the weights", 100.0 * TOLERANCE);
    let each = SATURATED * f64::from(WEIGHTS[0].1) / total_weight();
    let offered = case.outcome.offered();
    // A class that had less than its share to send says nothing.
    let saturated = each * WEIGHTS.len() as f64 * case.rate;
    if offered < 0.9 * saturated {
        return Verdict::not_reachable(name, format!("{wanted}, {} offered", bits(saturated)), offered);
    }
    Verdict::new(name, wanted, format!("{:.2} % off at most", 100.0 * worst), worst <= TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::report::Judgement;
    use crate::qos::traffic::{Amount, FlowOutcome};

    fn case(octets: [u64; 6], offered: u64) -> Case {
        let flows = octets.map(|octets| FlowOutcome {
            received: Amount { frames: 1, octets },
            offered: Amount { frames: 1, octets: offered },
            ..FlowOutcome::default()
        });
        let outcome =
            Outcome { seconds: 1.0, offered_seconds: 1.0, flows: flows.to_vec(), ..Outcome::default() };
        Case { mix: Mix::Imix, rate: 8.0 * 2000.0, outcome }
    }

    fn judgement(case: &Case) -> Judgement {
        judge(case, worst(&shares(&case.outcome))).judgement
    }

    #[test]
    fn shares_are_held_against_weights() {
        assert_eq!(judgement(&case([800, 400, 400, 200, 100, 100], 960)), Judgement::Met);
        assert_eq!(judgement(&case([800, 400, 400, 200, 96, 104], 960)), Judgement::Missed);
        assert_eq!(judgement(&case([333; 6], 960)), Judgement::Missed);
        assert_eq!(judgement(&case([800, 400, 400, 200, 100, 100], 500)), Judgement::NotReachable);
        let worst = worst(&shares(&case([800, 400, 400, 200, 98, 102], 960).outcome));
        assert!((worst - 0.02).abs() < 1e-9, "{worst}");
    }
}
