//! How far apart two processors are: the time that a cache line takes there and back.
//!
//! It is no constant on a virtual machine. A hypervisor that moves virtual processors about puts them
//! now on neighbouring cores, now on cores that share no cache, and a switch whose rings are shared by
//! two of them is up to twice as fast in one case as in the other. So it has to be known with every
//! figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::{BenchError, Result};

/// Round trips of a measurement, of which the median counts.
const ROUND_TRIPS: usize = 400;

/// A line that goes to and fro between the thread that measures and one on another processor.
pub(crate) struct Distance {
    line: Arc<Line>,
    echo: Option<JoinHandle<()>>,
}

/// Alone in its cache line, and in the one that the processor fetches beside it.
#[derive(Default)]
#[repr(align(128))]
struct Line {
    /// Odd when it goes out, even when it has come back.
    ball: AtomicU64,
    over: AtomicBool,
}

impl Distance {
    /// From wherever `measure` is called to `cpu`.
    pub(crate) fn to(cpu: usize) -> Result<Self> {
        let line = Arc::new(Line::default());
        let echoed = line.clone();
        let echo = thread::Builder::new().name("echo".to_owned()).spawn(move || {
            if pin_to(cpu).is_ok() {
                echoed.echo();
            }
        });
        Ok(Self { line, echo: Some(echo.map_err(BenchError::io("starting a thread"))?) })
    }

    /// Cycles of the time stamp counter for a round trip. Takes less than a millisecond if the other
    /// processor is free; `None` if it isn't there.
    pub(crate) fn measure(&self) -> Option<u64> {
        let echo = self.echo.as_ref()?;
        echo.thread().unpark();
        let mut trips = [0; ROUND_TRIPS];
        for trip in &mut trips {
            let start = pollux_cpu::cycles();
            let out = self.line.ball.load(Ordering::Relaxed) + 1;
            self.line.ball.store(out, Ordering::Release);
            let mut spins = 0u64;
            while self.line.ball.load(Ordering::Acquire) == out {
                spins += 1;
                if spins.is_multiple_of(1 << 16) && echo.is_finished() {
                    return None;
                }
            }
            *trip = pollux_cpu::cycles() - start;
        }
        trips.sort_unstable();
        Some(trips[ROUND_TRIPS / 2])
    }
}

impl Line {
    fn echo(&self) {
        loop {
            thread::park();
            for _ in 0..ROUND_TRIPS {
                loop {
                    if self.over.load(Ordering::Relaxed) {
                        return;
                    }
                    let ball = self.ball.load(Ordering::Acquire);
                    if ball % 2 == 1 {
                        self.ball.store(ball + 1, Ordering::Release);
                        break;
                    }
                }
            }
        }
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.line.over.store(true, Ordering::Relaxed);
        if let Some(echo) = self.echo.take() {
            echo.thread().unpark();
            // It has nothing to say.
            let _ = echo.join();
        }
    }
}

/// Keeps the calling thread to one processor.
pub(crate) fn pin_to(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_again_and_again() {
        let here = Distance::to(0).unwrap();
        for _ in 0..3 {
            assert!(here.measure().unwrap() > 0);
        }
    }

    #[test]
    fn a_processor_that_isnt_there_has_no_distance() {
        assert_eq!(Distance::to(CpuSet::count() - 1).unwrap().measure(), None);
    }
}
