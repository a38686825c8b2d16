//! What Pollux is to reach beside its peers, and whether it did.

use serde::Serialize;

use super::scene::{Scene, System};
use super::summary::Summary;

/// A promise.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Target {
    scene: Scene,
    pairs: u32,
    peer: System,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Wanted {
    /// At most so many cycles a frame above the peer's, at the median.
    CyclesAbove(f64),
    /// At least so many times the peer's rate: the median of the rounds' ratios.
    Ratio(f64),
    /// At most so many times the peer's rate: the median of the rounds' ratios.
    AtMost(f64),
    /// As `Ratio`, and the best round against the peer's best too.
    RatioAndBest(f64),
}

/// A promise, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    target: Target,
    /// The median of the rounds, then the best against the best where that counts.
    measured: Vec<f64>,
    pub(super) reached: bool,
}

const TARGETS: [Target; 15] = [
    target(Scene::InProcess, 1000, System::TestpmdMac, Wanted::CyclesAbove(40.0)),
    target(Scene::InProcess, 100_000, System::TestpmdMac, Wanted::CyclesAbove(60.0)),
    target(Scene::InProcess, 1, System::Ovs, Wanted::Ratio(1.5)),
    target(Scene::InProcess, 1000, System::Ovs, Wanted::Ratio(3.5)),
    target(Scene::InProcess, 10_000, System::Ovs, Wanted::Ratio(10.0)),
    target(Scene::InProcess, 100_000, System::Ovs, Wanted::Ratio(100.0)),
    target(Scene::Vhost, 1, System::TestpmdMac, Wanted::RatioAndBest(0.95)),
    target(Scene::Vhost, 1000, System::TestpmdMac, Wanted::RatioAndBest(0.95)),
    target(Scene::Vhost, 1, System::Ovs, Wanted::Ratio(1.2)),
    target(Scene::Vhost, 1000, System::Ovs, Wanted::Ratio(1.8)),
    target(Scene::Vhost, 10_000, System::Ovs, Wanted::Ratio(8.0)),
    // A tag costs at most a tenth of the rate; a second worker brings at least eight tenths more.
    target(Scene::InProcess, 1, System::PolluxTags, Wanted::AtMost(1.0 / 0.9)),
    target(Scene::InProcess, 1000, System::PolluxTags, Wanted::AtMost(1.0 / 0.9)),
    target(Scene::InProcess, 1000, System::PolluxTwoWorkers, Wanted::AtMost(1.0 / 1.8)),
    target(Scene::InProcess, 100_000, System::PolluxTwoWorkers, Wanted::AtMost(1.0 / 1.8)),
];

const fn target(scene: Scene, pairs: u32, peer: System, wanted: Wanted) -> Target {
    Target { scene, pairs, peer, wanted }
}

/// The verdicts on those promises of which both sides were measured.
pub(super) fn judge(summaries: &[Summary]) -> Vec<Verdict> {
    TARGETS.iter().filter_map(|target| target.judge(summaries)).collect()
}

impl Target {
    fn judge(&self, summaries: &[Summary]) -> Option<Verdict> {
        let find = |system| {
            let wanted = |s: &&Summary| (s.scene, s.pairs, s.system) == (self.scene, self.pairs, system);
            summaries.iter().find(wanted)
        };
        let (ours, its) = (find(System::Pollux)?, find(self.peer)?);
        let (measured, reached) = match self.wanted {
            Wanted::CyclesAbove(most) => {
                let above = its.pollux_cycles_above_it?;
                (vec![above], above <= most)
            }
            Wanted::Ratio(least) => {
                let ratio = its.pollux_over_it?;
                (vec![ratio], ratio >= least)
            }
            Wanted::AtMost(most) => {
                let ratio = its.pollux_over_it?;
                (vec![ratio], ratio <= most)
            }
            Wanted::RatioAndBest(least) => {
                let (ratio, best) = (its.pollux_over_it?, ours.best / its.best);
                (vec![ratio, best], ratio >= least && best >= least)
            }
        };
        Some(Verdict { target: *self, measured, reached })
    }
}

impl Verdict {
    /// The cells of a row: where, against whom, wanted, measured, whether reached.
    pub(super) fn row(&self) -> Vec<String> {
        let Target { scene, pairs, peer, wanted } = self.target;
        let (wanted, measured) = match (wanted, &self.measured[..]) {
            (Wanted::CyclesAbove(most), [above, ..]) => {
                (format!("at most {most} cycles more"), format!("{above:.1} more"))
            }
            (Wanted::Ratio(least), [ratio, ..]) => {
                (format!("at least {least} times"), format!("{ratio:.2} times"))
            }
            (Wanted::AtMost(most), [ratio, ..]) => {
                (format!("at most {most:.2} times"), format!("{ratio:.2} times"))
            }
            (Wanted::RatioAndBest(least), [ratio, best, ..]) => {
                (format!("at least {least} times"), format!("{ratio:.2} times, best {best:.2}"))
            }
            _ => Default::default(),
        };
        let verdict = if self.reached { "reached" } else { "MISSED" };
        vec![
            scene.name().to_owned(),
            pairs.to_string(),
            peer.name().to_owned(),
            wanted,
            measured,
            verdict.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(system: System, median: f64, over: Option<f64>) -> Summary {
        Summary {
            scene: Scene::Vhost,
            pairs: 1,
            system,
            rates: vec![median],
            disturbed: vec![false],
            median,
            best: median,
            median_cycles: 1e9 / median,
            best_cycles: 1e9 / median,
            pollux_over_it: over,
            pollux_cycles_above_it: None,
            far_median: None,
        }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let ours = summary(System::Pollux, 8e6, None);
        assert!(judge(std::slice::from_ref(&ours)).is_empty());
        let mac = summary(System::TestpmdMac, 8.1e6, Some(8.0 / 8.1));
        let ovs = summary(System::Ovs, 7e6, Some(8.0 / 7.0));
        let verdicts = judge(&[ours, mac, ovs]);
        assert_eq!(verdicts.iter().map(|v| v.reached).collect::<Vec<_>>(), [true, false]);
    }
}
