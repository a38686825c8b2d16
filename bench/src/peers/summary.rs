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
    /// Whether each round was disturbed. Those that were don't count below, unless all were.
    pub(super) disturbed: Vec<bool>,
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
    /// Frames a second at the median of those rounds in which the two CPUs were far from each other.
    pub(super) far_median: Option<f64>,
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
            let wanted = |s: &&Sample| (s.scene, s.pairs, s.system) == (sample.scene, sample.pairs, system);
            samples.iter().filter(wanted).collect::<Vec<_>>()
        };
        let (its, ours) = (of(sample.system), of(System::Pollux));
        summaries.push(Summary::of(&its, counted(&its), &counted(&ours), tsc_hz));
    }
    summaries
}

/// The rounds that count: those that nothing disturbed, or all if there is none.
fn counted<'a>(samples: &[&'a Sample]) -> Vec<&'a Sample> {
    let good: Vec<_> = samples.iter().copied().filter(|sample| !sample.is_disturbed()).collect();
    if good.is_empty() { samples.to_vec() } else { good }
}

impl Summary {
    /// The figures of a system from all of its samples, those of them that count, and Pollux's.
    fn of(all: &[&Sample], counted: Vec<&Sample>, ours: &[&Sample], tsc_hz: f64) -> Self {
        let sample = all[0];
        let rates: Vec<_> = counted.iter().map(|sample| sample.rate).collect();
        let best = rates.iter().copied().fold(0.0, f64::max);
        let middle = median(rates).unwrap_or(0.0);
        let by_round = |figure: &dyn Fn(f64, f64) -> f64| {
            let figures = counted.iter().filter_map(|its| {
                let ours = ours.iter().find(|ours| ours.round == its.round)?;
                Some(figure(ours.rate, its.rate))
            });
            median(figures.collect()).filter(|_| sample.system != System::Pollux)
        };
        Self {
            scene: sample.scene,
            pairs: sample.pairs,
            system: sample.system,
            rates: all.iter().map(|sample| sample.rate).collect(),
            disturbed: all.iter().map(|sample| sample.is_disturbed()).collect(),
            median: middle,
            best,
            median_cycles: tsc_hz / middle,
            best_cycles: tsc_hz / best,
            pollux_over_it: by_round(&|ours, its| ours / its),
            pollux_cycles_above_it: by_round(&|ours, its| tsc_hz / ours - tsc_hz / its),
            far_median: median(all.iter().filter_map(|sample| sample.load.as_ref()?.far_rate).collect()),
        }
    }
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

    #[test]
    fn disturbed_rounds_dont_count_unless_all_were() {
        let mut samples = vec![sample(System::Ovs, 1, 10.0), sample(System::Ovs, 2, 5.0)];
        samples[1].worker_share = 0.5;
        let [ovs] = &summarise(&samples, 100.0)[..] else { panic!("one system") };
        assert_eq!((ovs.median, &ovs.disturbed[..]), (10.0, &[false, true][..]));
        samples[0].worker_share = 0.5;
        let [ovs] = &summarise(&samples, 100.0)[..] else { panic!("one system") };
        assert_eq!(ovs.median, 7.5);
    }
}
