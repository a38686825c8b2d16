//! Processors, and how much of one a polling thread really had.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::process::output;
use crate::distance;
use crate::{BenchError, Result};

/// Keeps this thread, and whatever it starts, to one processor.
pub(crate) fn stay_on(cpu: usize) -> Result<()> {
    let done = distance::pin_to(cpu);
    done.map_err(|error| BenchError::Host(format!("can't run on CPU {cpu} ({error}): name another")))
}

/// Whether this thread may run on a processor.
pub(crate) fn is_there(cpu: usize) -> bool {
    sched_getaffinity(Pid::from_raw(0)).and_then(|set| set.is_set(cpu)).unwrap_or(false)
}

/// The processors that this thread may run on.
pub(crate) fn all() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// Processors as the kernel's files have them: groups of 32 in hexadecimal, the highest first.
pub(crate) fn mask(cpus: &[usize]) -> String {
    let groups = cpus.iter().max().map_or(1, |cpu| cpu / 32 + 1);
    let group = |number: usize| {
        let bits = cpus.iter().filter(|cpu| **cpu / 32 == number);
        format!("{:08x}", bits.fold(0u32, |mask, cpu| mask | 1 << (cpu % 32)))
    };
    (0..groups).rev().map(group).collect::<Vec<_>>().join(",")
}

/// Time stamp counter's cycles a second.
pub(crate) fn tsc_hz() -> f64 {
    let (time, cycles) = (Instant::now(), pollux_cpu::cycles());
    std::thread::sleep(Duration::from_millis(200));
    let cycles = pollux_cpu::cycles() - cycles;
    cycles as f64 / time.elapsed().as_secs_f64()
}

/// How long this thread has run.
pub(crate) fn thread_time() -> Duration {
    // Every Linux has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// The busiest thread that is bound to `cpu`, and how long it has run. That is a switch's worker:
/// nothing else of it is bound to that processor.
pub(crate) fn worker(process: u32, cpu: usize) -> Result<(u32, Duration)> {
    let tasks = format!("/proc/{process}/task");
    let threads = fs::read_dir(&tasks).map_err(BenchError::file(&tasks))?;
    let bound = format!("Cpus_allowed_list:\t{cpu}");
    let times = threads.flatten().filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        status.lines().find(|line| *line == bound)?;
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let time = times.split(' ').next()?.parse().ok()?;
        Some((thread.file_name().to_str()?.parse().ok()?, Duration::from_nanos(time)))
    });
    let longest = times.max_by_key(|(_, time)| *time);
    longest.ok_or_else(|| {
        let what = format!("no thread is bound to CPU {cpu}");
        BenchError::process(format_args!("process {process}"), what)
    })
}

/// Where the kernel groups threads by session, nice values count within a group only, and groups have one of
/// their own (sched(7)).
const AUTOGROUP: &str = "/proc/self/autogroup";

/// Lets what this session runs go before other sessions, until it is dropped.
pub(crate) struct FavouredSession {
    /// The nice value that it had, where there are such groups.
    before: Option<String>,
}

impl FavouredSession {
    pub(crate) fn new() -> Self {
        let text = fs::read_to_string(AUTOGROUP).unwrap_or_default();
        let before = text.trim().rsplit_once("nice ").map(|(_, nice)| nice.to_owned());
        // Without it the figures are those of a busier machine.
        Self { before: before.filter(|_| fs::write(AUTOGROUP, "-20").is_ok()) }
    }
}

impl Drop for FavouredSession {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(AUTOGROUP, before);
        }
    }
}

/// Lets a thread run before other ordinary ones.
pub(crate) fn favour(thread: u32) -> Result<()> {
    output(Command::new("renice").args(["-n", "-20", "-p"]).arg(thread.to_string())).map(drop)
}

/// Lets a thread run before all ordinary ones.
pub(crate) fn prefer_thread(thread: u32, priority: u32) -> Result<()> {
    prefer(Command::new("chrt").arg("--fifo"), thread, priority)
}

/// Lets all threads of a process run before all ordinary ones.
pub(crate) fn prefer_process(process: u32, priority: u32) -> Result<()> {
    prefer(Command::new("chrt").args(["--all-tasks", "--fifo"]), process, priority)
}

fn prefer(command: &mut Command, task: u32, priority: u32) -> Result<()> {
    output(command.arg("--pid").arg(priority.to_string()).arg(task.to_string())).map(drop)
}

/// What the processor calls itself.
pub(crate) fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "unknown".to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_as_the_kernel_writes_them() {
        assert_eq!(mask(&[1]), "00000002");
        assert_eq!(mask(&[0, 3, 33]), "00000002,00000009");
        assert_eq!(mask(&[130]), "00000004,00000000,00000000,00000000,00000000");
    }
}
