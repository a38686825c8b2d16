//! What came in each interval of a trial.

use super::Context;
use crate::report::model::{Axis, Curve, TrialRecord, Unit};
use crate::tester::protocol::Outcome;

/// Points of a curve at most: as many as one sees.
const POINTS: usize = 400;

/// Frames received in each interval, over all streams.
pub(super) fn received(outcome: &Outcome) -> Vec<u64> {
    let count = outcome.streams.iter().map(|stream| stream.intervals.len()).max().unwrap_or(0);
    let sum = |index: usize| outcome.streams.iter().filter_map(|stream| stream.intervals.get(index)).sum();
    (0..count).map(sum).collect()
}

/// Frames received a second, by the time.
pub(super) fn curve(context: &Context<'_>, name: &str, interval: f64, received: &[u64]) -> Curve {
    let step = received.len().div_ceil(POINTS).max(1);
    let width = interval * step as f64;
    // A last chunk that is shorter than the others would look like loss.
    let sums = received.chunks_exact(step).map(|chunk| chunk.iter().sum::<u64>() as f64);
    Curve {
        name: name.to_owned(),
        x: Axis { label: "time".to_owned(), unit: Unit::Seconds, logarithmic: false },
        y: Axis { label: "frames received".to_owned(), unit: Unit::FramesPerSecond, logarithmic: false },
        round: context.case.round,
        points: sums.enumerate().map(|(index, sum)| (index as f64 * width, sum / width)).collect(),
    }
}

/// Keeps a trial's intervals in fewer, longer ones: the finer are in what was made of them.
pub(super) fn coarsen(record: &mut TrialRecord) {
    let Some(interval) = record.trial.interval else { return };
    let count = record.outcome.streams.iter().map(|stream| stream.intervals.len()).max().unwrap_or(0);
    let step = count.div_ceil(POINTS).max(1);
    record.trial.interval = Some(interval * step as f64);
    for stream in &mut record.outcome.streams {
        stream.intervals = stream.intervals.chunks(step).map(|chunk| chunk.iter().sum()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;
    use crate::tester::protocol::{StreamOutcome, Trial};

    fn outcome(intervals: &[&[u64]]) -> Outcome {
        let stream =
            |intervals: &&[u64]| StreamOutcome { intervals: intervals.to_vec(), ..Default::default() };
        Outcome { streams: intervals.iter().map(stream).collect(), ..Outcome::default() }
    }

    #[test]
    fn streams_add_up() {
        assert_eq!(received(&outcome(&[&[1, 2, 3], &[10, 20]])), [11, 22, 3]);
        assert!(received(&outcome(&[])).is_empty());
    }

    #[test]
    fn many_intervals_are_kept_in_few_that_hold_the_same() {
        let mut simulation = Simulation::new(Device::default());
        let mut context = simulation.context();
        let trial = context.at_rate(context.both_ways(), 1000.0, 5.0);
        let seen = context.trial("soak", &Trial { interval: Some(0.001), ..trial }).unwrap();
        let fine = received(&seen.outcome);
        assert_eq!(fine.len(), 5000);
        let curve = curve(&context, "received", 0.001, &fine);
        assert!(curve.points.len() <= POINTS, "{}", curve.points.len());
        let mut record = context.trials[0].clone();
        coarsen(&mut record);
        let coarse = received(&record.outcome);
        assert!(coarse.len() <= POINTS);
        assert_eq!(coarse.iter().sum::<u64>(), fine.iter().sum::<u64>());
        assert!((record.trial.interval.unwrap() - 0.013).abs() < 1e-9);
    }
}
