//! Frames in both directions, for a while.

use std::time::{Duration, Instant};

use dpdk::RegisteredThread;

use super::front_end::FrontEnd;
use super::report::Report;
use crate::distance::Distance;
use crate::host::cpu;

/// Rounds between looks at the clock.
const ROUNDS_PER_LOOK: u32 = 256;

/// A slice: short against the time between two moves of a virtual processor.
const SLICE: Duration = Duration::from_millis(100);

/// Until the rings are as they were before the distance was measured.
const SETTLING: Duration = Duration::from_millis(5);

/// The share of a slice for which the load must have had its CPU.
const UNDISTURBED: f64 = 0.97;

pub(super) struct Traffic {
    pub(super) sides: [FrontEnd; 2],
    pub(super) thread: RegisteredThread,
}

impl Traffic {
    /// Receives, and sends if `sending`.
    pub(super) fn run(&mut self, duration: Duration, sending: bool) -> Report {
        let before = Report::of(&self.sides);
        let (start, used) = (Instant::now(), cpu::thread_time());
        while start.elapsed() < duration {
            for _ in 0..ROUNDS_PER_LOOK {
                for side in &mut self.sides {
                    side.receive();
                    if sending {
                        side.send();
                    }
                }
            }
            self.thread.pass();
        }
        let cpu_time = cpu::thread_time() - used;
        Report::of(&self.sides).since(&before, start.elapsed(), cpu_time)
    }

    /// Measures slice by slice until good ones make up `duration`: those at most `near` cycles away, in
    /// which nothing else ran here. Gives up after some time, with what there is; the rest of the slices
    /// is in the report too.
    pub(super) fn run_near(&mut self, duration: Duration, distance: &Distance, near: u64) -> Report {
        let end = Instant::now() + 2 * duration + Duration::from_secs(6);
        let mut all = Report::default();
        let mut good = Duration::ZERO;
        while good < duration && Instant::now() < end {
            let before = distance.measure();
            self.run(SETTLING, true);
            let mut slice = self.run(SLICE, true);
            let (Some(before), Some(after)) = (before, distance.measure()) else { break };
            let figures = slice.as_slice(before.max(after));
            if figures.round_trip <= near && figures.cpu_share >= UNDISTURBED {
                good += Duration::from_secs_f64(figures.seconds);
            }
            slice.slices.push(figures);
            all = all.and_then(slice);
        }
        all
    }
}
