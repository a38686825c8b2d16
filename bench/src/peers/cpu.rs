//! Processors, and how much of one a polling thread really had.

use std::fs;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{BenchError, Result};

/// Keeps this thread, and whatever it starts, to one processor.
pub(super) fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    let done = sched_setaffinity(None, &set);
    done.map_err(|error| BenchError::Host(format!("can't run on CPU {cpu} ({error}): name another")))
}

/// Whether this thread may run on a processor.
pub(super) fn is_there(cpu: usize) -> bool {
    cpu < CpuSet::MAX_CPU && sched_getaffinity(None).is_ok_and(|set| set.is_set(cpu))
}

/// Time stamp counter's cycles a second.
pub(super) fn tsc_hz() -> f64 {
    let (time, cycles) = (Instant::now(), pollux_cpu::cycles());
    std::thread::sleep(Duration::from_millis(200));
    let cycles = pollux_cpu::cycles() - cycles;
    cycles as f64 / time.elapsed().as_secs_f64()
}

/// How long the busiest thread that is bound to `cpu` has run. That is a switch's worker: nothing else
/// is bound to its processor.
pub(super) fn time_on(process: u32, cpu: usize) -> Result<Duration> {
    let tasks = format!("/proc/{process}/task");
    let threads = fs::read_dir(&tasks).map_err(BenchError::file(&tasks))?;
    let bound = format!("Cpus_allowed_list:\t{cpu}");
    let times = threads.flatten().filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        status.lines().find(|line| *line == bound)?;
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse().ok()
    });
    let longest = times.max();
    let longest = longest.ok_or_else(|| {
        BenchError::process(
            format_args!("process {process}"),
            format_args!("no thread is bound to CPU {cpu}"),
        )
    })?;
    Ok(Duration::from_nanos(longest))
}

/// What the processor calls itself.
pub(super) fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "unknown".to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}
