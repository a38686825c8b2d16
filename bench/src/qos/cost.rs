//! What a profile costs where nothing is congested, and what scheduling costs where every frame goes through the
//! queues: Pollux beside itself, as the peers are measured.

use super::report::{Section, Verdict};
use super::tester::Tester;
use crate::Result;
use crate::host::table::mpps;
use crate::peers::{Cost, cost};

/// What is to be left of the rate, with a profile on both ports, and with its scheduler at work.
const PROFILE: f64 = 0.95;
const SCHEDULED: f64 = 0.7;

pub(super) fn run(tester: &Tester, rounds: u32, in_process: bool) -> Result<Section> {
    let header = ["ports", "profiles", "Mpps by round", "median", "ratio", "cycles more"];
    let title = format!(
        "Cost: 64-octet frames of 1,000 pairs, no congestion; medians of {rounds} rounds, alternating, ratios within \
         a round"
    );
    let mut section = Section::new("cost", title, &header);
    let costs =
        cost(&tester.pollux, tester.worker_cpu, tester.house_cpu, tester.seconds, rounds, in_process)?;
    section.notes.push(
        "profile: on both ports, strict, without rates; scheduled: the same with an egress_rate of 100 Gbit/s on \
         both"
            .to_owned(),
    );
    if costs.iter().any(|cost| cost.disturbed) {
        section.notes.push("* something else ran on the CPUs, or they were far from each other".to_owned());
    }
    for cost in &costs {
        section.rows.push(row(cost));
        section.verdicts.extend(judge(cost));
    }
    section.with_figures(&costs)
}

fn row(cost: &Cost) -> Vec<String> {
    let rates: Vec<_> = cost.rates.iter().map(|rate| mpps(*rate)).collect();
    let mark = if cost.disturbed { " *" } else { "" };
    let of = |figure: Option<f64>, digits: usize| figure.map(|figure| format!("{figure:.digits$}"));
    vec![
        cost.ports.to_owned(),
        cost.profiles.to_owned(),
        rates.join(" ") + mark,
        mpps(cost.median),
        of(cost.ratio, 3).unwrap_or_default(),
        of(cost.cycles_more, 1).unwrap_or_default(),
    ]
}

fn judge(cost: &Cost) -> Option<Verdict> {
    let least = if cost.scheduled { SCHEDULED } else { PROFILE };
    let ratio = cost.ratio?;
    Some(Verdict::new(
        format!("{}: {}", cost.ports, cost.profiles),
        format!("at least {least} of the rate without"),
        format!("{ratio:.3}"),
        ratio >= least,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::report::Judgement;

    #[test]
    fn each_has_its_own_least() {
        let cost = |ratio, scheduled| Cost {
            ports: "vhost",
            profiles: "profile",
            rates: vec![1e7],
            median: 1e7,
            ratio,
            cycles_more: None,
            scheduled,
            disturbed: false,
        };
        let judged = |ratio, scheduled| judge(&cost(ratio, scheduled)).map(|verdict| verdict.judgement);
        assert_eq!(judged(None, false), None);
        assert_eq!(judged(Some(0.94), false), Some(Judgement::Missed));
        assert_eq!(judged(Some(0.94), true), Some(Judgement::Met));
        assert_eq!(judged(Some(0.69), true), Some(Judgement::Missed));
        assert_eq!(row(&cost(None, true)).len(), 6);
    }
}
