//! From samples to figures.

use serde::Serialize;

use super::sample::Sample;
use super::scene::{Scene, System};

/// A system under one load, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) scene: Scene,
    pub(super) pairs: u32,
    pub(super) system: System,
    /// Frames a second, round by round.
    pub(super) rates: Vec<f64>,
    pub(super) median: f64,
    pub(super) best: f64,
    /// Time stamp counter's cycles a frame at the median rate.
    pub(super) median_cycles: f64,
    /// The same at the best rate.
    pub(super) best_cycles: f64,
    /// The median, over rounds, of Pollux's rate over this system's in the same round.
    pub(super) pollux_over_it: Option<f64>,
    /// The median, over rounds, of Pollux's cycles less this system's in the same round.
    pub(super) pollux_cycles_above_it: Option<f64>,
    /// Rounds in which somebody else ran on a CPU.
    pub(super) disturbed: usize,
}

/// The figures of every system in the order of their first samples.
pub(super) fn summarise(samples: &[Sample], tsc_hz: f64) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = Vec::new();
    for sample in samples {
        let known = |s: &Summary| (s.scene, s.pairs, s.system) == (sample.scene, sample.pairs, sample.system);
        if summaries.iter().any(known) {
            continue;
        }
        let of = |system| {
            let wanted =
                move |s: &&Sample| (s.scene, s.pairs, s.system) == (sample.scene, sample.pairs, system);
            samples.iter().filter(wanted)
        };
        let rates: Vec<_> = of(sample.system).map(|sample| sample.rate).collect();
        let in_pairs = |figure: &dyn Fn(f64, f64) -> f64| {
            let pairs = of(sample.system).filter_map(|its| {
                let ours = of(System::Pollux).find(|ours| ours.round == its.round)?;
                Some(figure(ours.rate, its.rate))
            });
            median(pairs.collect()).filter(|_| sample.system != System::Pollux)
        };
        let median_rate = median(rates.clone()).unwrap_or(0.0);
        let best = rates.iter().copied().fold(0.0, f64::max);
        summaries.push(Summary {
            scene: sample.scene,
            pairs: sample.pairs,
            system: sample.system,
            median: median_rate,
            best,
            median_cycles: tsc_hz / median_rate,
            best_cycles: tsc_hz / best,
            pollux_over_it: in_pairs(&|ours, its| ours / its),
            pollux_cycles_above_it: in_pairs(&|ours, its| tsc_hz / ours - tsc_hz / its),
            disturbed: of(sample.system).filter(|sample| sample.is_disturbed()).count(),
            rates,
        });
    }
    summaries
}

/// The middle one, or the mean of the middle two.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    match numbers.len() % 2 {
        1 => Some(upper),
        _ => Some((numbers[middle - 1] + upper) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(system: System, round: u32, rate: f64) -> Sample {
        Sample { scene: Scene::InProcess, pairs: 1, system, round, rate, worker_share: 1.0, load: None }
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let rounds = [(10.0, 10.0), (20.0, 10.0), (20.0, 20.0)];
        let samples: Vec<_> = rounds
            .into_iter()
            .zip(1..)
            .flat_map(|((ours, its), round)| {
                [sample(System::Ovs, round, its), sample(System::Pollux, round, ours)]
            })
            .collect();
        let [ovs, pollux] = &summarise(&samples, 100.0)[..] else { panic!("two systems") };
        assert_eq!((ovs.median, ovs.best, pollux.median), (10.0, 20.0, 20.0));
        assert_eq!(ovs.pollux_over_it, Some(1.0));
        assert_eq!(ovs.pollux_cycles_above_it, Some(0.0));
        assert_eq!(ovs.median_cycles, 10.0);
        assert_eq!(pollux.pollux_over_it, None);
    }
}
