//! The search for the highest load that a device carries: pure functions of what a trial answers.
//!
//! [`binary`] is the plain search of RFC 2544, 26.1. [`several_goals`] follows the reasoning of the multiple loss
//! ratio search (draft-ietf-bmwg-mlrsearch): several goals share their trials, short trials narrow down where long
//! ones decide, and a load is judged by the time for which it exceeded a goal, so that one unlucky trial doesn't
//! decide.

use crate::Result;

/// Loads below this share of the highest are not looked for: a device that loses frames there loses them always.
const LEAST: f64 = 1.0 / 2000.0;

/// By how much an interval grows with each step of a bound that isn't found yet.
const EXPANSION: f64 = 2.0;

/// Two loads that differ by less are one.
const SAME: f64 = 1e-9;

/// What a trial answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    /// Frames lost of those intended, as a share.
    pub(crate) loss: f64,
    /// Whether something else than the device may have decided that.
    pub(crate) disturbed: bool,
    pub(crate) tester_limited: bool,
}

/// A load and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    /// In the unit of the search.
    pub(crate) rate: f64,
    /// Whether most of its trials were disturbed.
    pub(crate) disturbed: bool,
    pub(crate) tester_limited: bool,
}

/// Where a goal was found to lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    /// The highest load that met it; `None`: not even the least did.
    pub(crate) lower: Option<Bound>,
    /// The lowest load that didn't; `None`: even the highest did.
    pub(crate) upper: Option<Bound>,
    /// Whether trials ran out before the interval was narrow. What no long trial decided, short ones did then.
    pub(crate) is_rough: bool,
}

impl Interval {
    /// The load that was found; 0 if there is none.
    pub(crate) fn rate(&self) -> f64 {
        self.lower.as_ref().map_or(0.0, |bound| bound.rate)
    }

    /// Whether what decided was disturbed: the load that lost frames, or the highest there was.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.decided().is_some_and(|bound| bound.disturbed)
    }

    /// Whether the tester may be what was found.
    pub(crate) fn is_tester_limited(&self) -> bool {
        self.decided().is_some_and(|bound| bound.tester_limited)
    }

    fn decided(&self) -> Option<&Bound> {
        self.upper.as_ref().or(self.lower.as_ref())
    }
}

/// The highest load of at most `most` without any loss, to a share of `precision`, by halving the interval.
/// `trial` is asked about loads.
pub(crate) fn binary(
    most: f64,
    precision: f64,
    mut trial: impl FnMut(f64) -> Result<Answer>,
) -> Result<Interval> {
    let bound = |rate: f64, answer: Answer| Bound {
        rate,
        disturbed: answer.disturbed,
        tester_limited: answer.tester_limited,
    };
    let mut found = Interval::default();
    let mut rate = most;
    loop {
        let answer = trial(rate)?;
        let side = if answer.loss > 0.0 { &mut found.upper } else { &mut found.lower };
        *side = Some(bound(rate, answer));
        let Some(upper) = found.upper.as_ref().map(|bound| bound.rate) else { return Ok(found) };
        let lower = found.rate();
        if upper - lower <= precision * upper || upper <= most * LEAST {
            return Ok(found);
        }
        rate = (upper + lower) / 2.0;
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Goal {
    /// The share of frames that a trial may lose.
    pub(crate) loss: f64,
    /// The share of the time for which trials may lose more.
    pub(crate) exceed: f64,
    /// Seconds of a trial that narrows down, and of one that decides.
    pub(crate) first_seconds: f64,
    pub(crate) final_seconds: f64,
    /// Seconds of trials that are enough to decide on a load.
    pub(crate) enough: f64,
    /// The width of the interval in the end, as a share of its upper bound.
    pub(crate) width: f64,
}

impl Goal {
    /// By the short trials alone, and not so exact.
    fn narrowing(self) -> Self {
        Self {
            final_seconds: self.first_seconds,
            enough: self.first_seconds,
            width: (2.0 * self.width).max(0.02),
            ..self
        }
    }

    /// What the trials of a load say, once they are enough.
    fn judge(&self, load: &Load) -> Option<Side> {
        let mut sums = [[0.0; 2]; 2];
        for (seconds, answer) in &load.trials {
            let long = *seconds >= self.final_seconds * (1.0 - SAME);
            sums[usize::from(long)][usize::from(answer.loss > self.loss)] += seconds;
        }
        let [[short_good, short_bad], [good, bad]] = sums;
        // Short trials say nothing good of a load, but what they say against it counts, as far as other short
        // ones don't make up for it.
        let makes_up = short_good * self.exceed / (1.0 - self.exceed);
        let bad = bad + (short_bad - makes_up).max(0.0);
        let whole = (good + bad).max(self.enough);
        let missing = whole - good - bad;
        if (bad + missing) <= self.exceed * whole * (1.0 + SAME) {
            Some(Side::Lower)
        } else if bad > self.exceed * whole * (1.0 + SAME) {
            Some(Side::Upper)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

/// A load and its trials.
#[derive(Clone, Debug)]
struct Load {
    rate: f64,
    /// Seconds, and what came of them.
    trials: Vec<(f64, Answer)>,
}

impl Load {
    fn bound(&self) -> Bound {
        let most = |field: fn(&Answer) -> bool| {
            2 * self.trials.iter().filter(|(_, answer)| field(answer)).count() > self.trials.len()
        };
        Bound {
            rate: self.rate,
            disturbed: most(|answer| answer.disturbed),
            tester_limited: most(|answer| answer.tester_limited),
        }
    }
}

/// The loads that were tried, in order.
#[derive(Debug, Default)]
struct Loads(Vec<Load>);

impl Loads {
    fn add(&mut self, rate: f64, seconds: f64, answer: Answer) {
        let same = |load: &&mut Load| (load.rate - rate).abs() <= SAME * rate;
        match self.0.iter_mut().find(same) {
            Some(load) => load.trials.push((seconds, answer)),
            None => {
                let place = self.0.partition_point(|load| load.rate < rate);
                self.0.insert(place, Load { rate, trials: vec![(seconds, answer)] });
            }
        }
    }

    /// Loads with a trial as long as a goal wants it, that is not enough to decide.
    fn begun(&self, goal: &Goal) -> impl Iterator<Item = f64> {
        let is_long = |(seconds, _): &(f64, Answer)| *seconds >= goal.final_seconds * (1.0 - SAME);
        let undecided = self.0.iter().filter(|load| goal.judge(load).is_none());
        undecided.filter(move |load| load.trials.iter().any(is_long)).map(|load| load.rate)
    }

    /// The lowest load that misses a goal, and the highest below it that meets it.
    fn interval(&self, goal: &Goal) -> (Option<&Load>, Option<&Load>) {
        let upper = self.0.iter().position(|load| goal.judge(load) == Some(Side::Upper));
        let below = &self.0[..upper.unwrap_or(self.0.len())];
        let lower = below.iter().rfind(|load| goal.judge(load) == Some(Side::Lower));
        (lower, upper.map(|index| &self.0[index]))
    }
}

/// Where each goal lies, at loads of at most `most`. `guess` is where the first trial is made: a maximum forwarding
/// rate is a good one. `trial` is asked about a load for so many seconds, `trials` times at most. Goals are best given
/// the loosest first.
pub(crate) fn several_goals(
    most: f64,
    guess: f64,
    goals: &[Goal],
    trials: u32,
    mut trial: impl FnMut(f64, f64) -> Result<Answer>,
) -> Result<Vec<Interval>> {
    let mut loads = Loads::default();
    let mut left = trials;
    let narrowing: Vec<Goal> = goals.iter().map(|goal| goal.narrowing()).collect();
    let first = narrowing.iter().map(|goal| (goal, None));
    for (goal, hints) in first.chain(goals.iter().zip(narrowing.iter().map(Some))) {
        let mut step = goal.width;
        while let Some(rate) = next(&loads, goal, hints, most, guess, &mut step) {
            if left == 0 {
                break;
            }
            left -= 1;
            let answer = trial(rate, goal.final_seconds)?;
            loads.add(rate, goal.final_seconds, answer);
        }
    }
    let found = goals.iter().zip(&narrowing).map(|(goal, narrowing)| {
        let is_rough = next(&loads, goal, Some(narrowing), most, guess, &mut 1.0).is_some();
        let (lower, upper) = loads.interval(goal);
        let (short_lower, short_upper) = loads.interval(narrowing);
        let is_below = |load: &&Load| upper.is_none_or(|upper| load.rate < upper.rate);
        let lower = lower.or(short_lower.filter(|load| is_rough && is_below(load)));
        let is_above = |load: &&Load| lower.is_none_or(|lower| load.rate > lower.rate);
        let upper = upper.or(short_upper.filter(|load| is_rough && is_above(load)));
        Interval { lower: lower.map(Load::bound), upper: upper.map(Load::bound), is_rough }
    });
    Ok(found.collect())
}

/// The load that is to be tried next for a goal; `None` when it is found.
fn next(
    loads: &Loads,
    goal: &Goal,
    hints: Option<&Goal>,
    most: f64,
    guess: f64,
    step: &mut f64,
) -> Option<f64> {
    let rate = |load: Option<&Load>| load.map(|load| load.rate);
    let (lower, upper) = loads.interval(goal);
    let (lower, upper) = (rate(lower), rate(upper));
    let (hinted_lower, hinted_upper) = hints.map_or((None, None), |hint| loads.interval(hint));
    let least = most * LEAST;
    let inside = |rate: &f64| {
        lower.is_none_or(|lower| *rate > lower * (1.0 + SAME))
            && upper.is_none_or(|upper| *rate < upper * (1.0 - SAME))
    };
    let is_found = match (lower, upper) {
        (None, None) => false,
        (Some(lower), None) => lower >= most * (1.0 - SAME),
        (None, Some(upper)) => upper <= least * (1.0 + SAME),
        (Some(lower), Some(upper)) => upper - lower <= goal.width * upper * (1.0 + SAME),
    };
    if is_found {
        return None;
    }
    let hinted = [rate(hinted_lower), rate(hinted_upper)].into_iter().flatten().find(inside);
    if let Some(rate) = loads.begun(goal).find(inside).or(hinted) {
        return Some(rate);
    }
    let mut expand = || 1.0 + std::mem::replace(step, *step * EXPANSION);
    let rate = match (lower, upper) {
        (None, None) => guess,
        (Some(lower), None) => lower * expand(),
        (None, Some(upper)) => upper / expand(),
        (Some(lower), Some(upper)) => (lower * upper).sqrt(),
    };
    Some(rate.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Loses what is above its capacity, and a share of the rest.
    fn device(capacity: f64, base_loss: f64) -> impl Fn(f64) -> Answer {
        move |rate| answer(1.0 - (capacity / rate).min(1.0) * (1.0 - base_loss))
    }

    fn answer(loss: f64) -> Answer {
        Answer { loss, disturbed: false, tester_limited: false }
    }

    fn goal(loss: f64) -> Goal {
        Goal { loss, exceed: 0.5, first_seconds: 0.1, final_seconds: 1.0, enough: 3.0, width: 0.01 }
    }

    const MOST: f64 = 10e6;

    #[test]
    fn halving_ends_next_to_the_capacity() {
        let device = device(3_210_000.0, 0.0);
        let mut trials = 0;
        let found = binary(MOST, 0.001, |rate| {
            trials += 1;
            Ok(device(rate))
        })
        .unwrap();
        assert!((3_206_000.0..=3_210_000.0).contains(&found.rate()), "{found:?}");
        assert!(trials <= 14, "{trials}");
    }

    #[test]
    fn halving_tries_the_highest_first_and_gives_up_at_the_least() {
        let found = binary(MOST, 0.001, |rate| Ok(device(MOST, 0.0)(rate))).unwrap();
        assert_eq!((found.rate(), found.upper), (MOST, None));
        let found = binary(MOST, 0.001, |rate| Ok(device(MOST, 1e-6)(rate))).unwrap();
        assert_eq!(found.lower, None);
    }

    #[test]
    fn goals_are_found_together() {
        let device = device(4e6, 0.0);
        let (mut long, mut short) = (0, 0);
        let found = several_goals(MOST, 4.1e6, &[goal(0.005), goal(0.0)], 400, |rate, seconds| {
            *if seconds < 1.0 { &mut short } else { &mut long } += 1;
            Ok(device(rate))
        })
        .unwrap();
        let [partial, none] = [found[0].rate(), found[1].rate()];
        assert!((3.96e6..=4.0e6).contains(&none), "{none}");
        assert!((3.96e6..=4.021e6).contains(&partial) && partial >= none, "{partial}");
        assert!(long <= 16 && short <= 12, "{long} {short}");
    }

    #[test]
    fn a_device_without_loss_is_done_at_once() {
        let mut trials = 0;
        let found = several_goals(MOST, MOST, &[goal(0.005), goal(0.0)], 400, |_, _| {
            trials += 1;
            Ok(answer(0.0))
        })
        .unwrap();
        assert!(
            found.iter().all(|interval| interval.rate() == MOST && interval.upper.is_none()),
            "{found:?}"
        );
        assert!(trials <= 4, "{trials}");
    }

    #[test]
    fn a_device_that_always_loses_has_a_partial_rate_only() {
        let device = device(4e6, 1e-4);
        let mut trials = 0;
        let found = several_goals(MOST, 4e6, &[goal(0.005), goal(0.0)], 400, |rate, _| {
            trials += 1;
            Ok(device(rate))
        })
        .unwrap();
        assert!(found[0].rate() > 3.9e6, "{found:?}");
        assert_eq!(found[1].lower, None);
        assert!(trials < 60, "{trials}");
    }

    #[test]
    fn a_device_that_loses_all_is_given_up() {
        let found = several_goals(MOST, 0.0, &[goal(0.0)], 400, |_, _| Ok(answer(1.0))).unwrap();
        assert_eq!((found[0].rate(), &found[0].lower), (0.0, &None));
    }

    #[test]
    fn one_unlucky_trial_does_not_decide() {
        let device = device(4e6, 0.0);
        for unlucky in 0..12 {
            let mut trials = 0;
            let found = several_goals(MOST, 4.2e6, &[goal(0.0)], 400, |rate, seconds| {
                trials += 1;
                let is_unlucky = seconds == 1.0 && trials % 12 == unlucky;
                Ok(if is_unlucky { answer(0.5) } else { device(rate) })
            })
            .unwrap();
            assert!((3.95e6..=4.0e6).contains(&found[0].rate()), "{unlucky}: {found:?}");
        }
    }

    #[test]
    fn a_load_is_judged_by_the_time_that_exceeded() {
        let goal = goal(0.0);
        let judge = |trials: &[(f64, f64)]| {
            let trials = trials.iter().map(|(seconds, loss)| (*seconds, answer(*loss))).collect();
            goal.judge(&Load { rate: 1.0, trials })
        };
        assert_eq!(judge(&[]), None);
        assert_eq!(judge(&[(1.0, 0.0)]), None);
        assert_eq!(judge(&[(1.0, 0.0), (1.0, 0.0)]), Some(Side::Lower));
        assert_eq!(judge(&[(1.0, 0.1), (1.0, 0.1)]), Some(Side::Upper));
        assert_eq!(judge(&[(1.0, 0.1), (1.0, 0.0)]), None);
        assert_eq!(judge(&[(1.0, 0.1), (1.0, 0.0), (1.0, 0.0)]), Some(Side::Lower));
        // Short trials can speak against a load, not for it.
        assert_eq!(judge(&[(0.1, 0.0); 40]), None);
        assert_eq!(judge(&[(0.1, 0.1); 16]), Some(Side::Upper));
        assert_eq!(judge(&[(0.1, 0.1), (0.1, 0.0), (1.0, 0.0), (1.0, 0.0)]), Some(Side::Lower));
    }

    #[test]
    fn a_search_that_runs_out_of_trials_says_what_it_knows() {
        let device = device(4e6, 0.0);
        for trials in 1..20 {
            let mut asked = 0;
            let found = several_goals(MOST, 4.2e6, &[goal(0.005), goal(0.0)], trials, |rate, _| {
                asked += 1;
                Ok(device(rate))
            })
            .unwrap();
            assert!(asked <= trials);
            assert!(!found[1].is_rough || asked == trials, "{trials}: {found:?}");
            assert!(found[1].is_rough || trials >= 5, "{trials}: {found:?}");
            assert!(found.iter().all(|interval| interval.rate() <= 4.03e6), "{trials}: {found:?}");
            if trials > 6 {
                assert!(found[1].rate() > 3.5e6, "{trials}: {found:?}");
            }
        }
    }

    #[test]
    fn errors_end_a_search() {
        let failing = |_: f64, _: f64| Err(crate::BenchError::Interrupted);
        several_goals(MOST, MOST, &[goal(0.0)], 400, failing).unwrap_err();
        binary(MOST, 0.01, |_| Err(crate::BenchError::Interrupted)).unwrap_err();
    }

    proptest! {
        #[test]
        fn any_capacity_is_found_from_any_guess(
            capacity in 0.002..1.2f64,
            guess in 0.0..1.5f64,
            width in 0.002..0.1f64,
        ) {
            let device = device(capacity * MOST, 0.0);
            let goals = [Goal { width, ..goal(0.005) }, Goal { width, ..goal(0.0) }];
            let mut trials = 0;
            let found = several_goals(MOST, guess * MOST, &goals, 400, |rate, _| {
                trials += 1;
                assert!(rate > 0.0 && rate <= MOST);
                Ok(device(rate))
            }).unwrap();
            let most = (capacity * MOST).min(MOST);
            prop_assert!(found[1].rate() <= most * (1.0 + 1e-9));
            prop_assert!(found[1].rate() >= most * (1.0 - width) * (1.0 - 1e-6), "{:?} of {}", found, most);
            prop_assert!(found[0].rate() >= found[1].rate());
            prop_assert!(trials < 80, "{} trials", trials);
        }

        #[test]
        fn noise_moves_the_result_no_further_than_it_goes(
            capacity in 0.05..0.9f64,
            draws in prop::collection::vec(-0.02..0.02f64, 97),
        ) {
            let mut trials = 0;
            let found = several_goals(MOST, capacity * MOST, &[goal(0.005), goal(0.0)], 400, |rate, _| {
                trials += 1;
                Ok(device(capacity * MOST * (1.0 + draws[trials % draws.len()]), 0.0)(rate))
            }).unwrap();
            for interval in &found {
                let share = interval.rate() / (capacity * MOST);
                prop_assert!((0.95..1.03).contains(&share), "{}", share);
            }
            prop_assert!(trials < 200);
        }
    }
}
