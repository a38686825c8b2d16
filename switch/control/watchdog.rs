//! Notices what stands still: a worker that finishes no round, a device that takes no frame.
//!
//! Only time counts in which the watcher itself was awake: where the kernel, or a hypervisor, has stopped the
//! whole process, nothing stands still.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pollux_config::Changes;
use pollux_engine::{PortTotals, Reason};

use super::ports::LivePort;
use super::{Happening, Switch};

/// The longest time between two looks that counts.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// For how long a port isn't reset again after the first time, and at most; it doubles each time.
const BACK_OFF: Duration = Duration::from_secs(10);
const MOST_BACK_OFF: Duration = Duration::from_secs(640);

/// After so long without a reset, the next one is the first again.
const FORGIVEN: Duration = Duration::from_secs(3600);

/// Something that should move on.
#[derive(Clone, Debug)]
struct Progress {
    count: u64,
    looked: Instant,
    still: Duration,
    told: bool,
}

/// What is new about it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum News {
    /// It has stood still for longer than it may.
    Stands(Duration),
    /// It goes on, after so long.
    GoesOn(Duration),
}

impl Progress {
    fn new(count: u64, now: Instant) -> Self {
        Self { count, looked: now, still: Duration::ZERO, told: false }
    }

    /// What is new: it has come to `count`. Time in which it wasn't `asked` to move on doesn't count.
    fn look(&mut self, count: u64, asked: bool, now: Instant, patience: Duration) -> Option<News> {
        let passed = now.saturating_duration_since(self.looked).min(LONGEST_LOOK);
        self.looked = now;
        if count != self.count {
            self.count = count;
            let still = std::mem::take(&mut self.still);
            return std::mem::take(&mut self.told).then_some(News::GoesOn(still));
        }
        if asked {
            self.still += passed;
        }
        if self.told || self.still < patience {
            return None;
        }
        self.told = true;
        Some(News::Stands(self.still))
    }
}

/// A port that sends.
#[derive(Clone, Debug)]
struct Sending {
    progress: Progress,
    /// Frames that it was offered and that didn't leave.
    refused: u64,
}

/// A port that takes nothing.
struct Stuck {
    port: String,
    /// For how long.
    still: Duration,
    /// Whether that is news.
    first: bool,
}

/// When a port was reset.
#[derive(Clone, Copy, Debug)]
struct Resets {
    count: u64,
    last: Instant,
    back_off: Duration,
}

/// What is watched.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    workers: Vec<Progress>,
    ports: BTreeMap<String, Sending>,
    resets: BTreeMap<String, Resets>,
}

impl Watchdog {
    /// For how long a worker has stood still, if that is too long.
    pub(super) fn stuck_seconds(&self, worker: usize) -> f64 {
        let stuck = self.workers.get(worker).filter(|progress| progress.told);
        stuck.map_or(0.0, |progress| progress.still.as_secs_f64())
    }

    /// Whether the port may be reset now; if so, it is noted, and when it may be again.
    fn may_reset(&mut self, port: &str, now: Instant) -> Option<Duration> {
        let before = self.resets.get(port).copied();
        let again = before.filter(|resets| now.saturating_duration_since(resets.last) < FORGIVEN);
        if again.is_some_and(|resets| now.saturating_duration_since(resets.last) < resets.back_off) {
            return None;
        }
        let back_off = again.map_or(BACK_OFF, |resets| (resets.back_off * 2).min(MOST_BACK_OFF));
        let count = before.map_or(0, |resets| resets.count) + 1;
        self.resets.insert(port.to_owned(), Resets { count, last: now, back_off });
        Some(back_off)
    }
}

impl Switch {
    /// Whether all workers go on. Whoever has the process restarted when it hangs asks this first.
    pub fn is_healthy(&self) -> bool {
        self.watchdog.workers.iter().all(|progress| !progress.told)
    }

    /// How often the port of this name was reset because its device took no frame any more.
    pub(super) fn resets_of(&self, port: &str) -> u64 {
        self.watchdog.resets.get(port).map_or(0, |resets| resets.count)
    }

    /// Looks whether workers go on.
    pub(super) fn look_at_workers(&mut self) -> Vec<Happening> {
        let (now, patience) = (Instant::now(), self.config.switch.watchdog.worker);
        let rounds = self.shared.stats.iter().map(|stats| stats.work.totals().rounds);
        let rounds: Vec<_> = rounds.collect();
        let watched = &mut self.watchdog.workers;
        watched.extend(rounds.iter().skip(watched.len()).map(|&rounds| Progress::new(rounds, now)));
        let cpus = &self.plan.cpus;
        let news = watched.iter_mut().zip(rounds).zip(cpus).enumerate();
        let happened = news.filter_map(|(worker, ((progress, rounds), &cpu))| {
            let worker = worker as u8;
            Some(match progress.look(rounds, true, now, patience)? {
                News::Stands(still) => {
                    Happening::Worker { worker, cpu, stuck: true, seconds: still.as_secs_f64() }
                }
                News::GoesOn(still) => {
                    Happening::Worker { worker, cpu, stuck: false, seconds: still.as_secs_f64() }
                }
            })
        });
        happened.collect()
    }

    /// Looks whether devices take frames, and resets those that don't.
    pub(super) fn look_at_devices(&mut self) -> Vec<Happening> {
        let stuck = self.stuck_devices();
        stuck.into_iter().filter_map(|stuck| self.handle_stuck(stuck)).collect()
    }

    /// Ports that have taken nothing for too long, and for how long. A VM that doesn't read is none of them: that
    /// is its own business.
    fn stuck_devices(&mut self) -> Vec<Stuck> {
        let (now, patience) = (Instant::now(), self.config.switch.watchdog.tx);
        let sends = |port: &&LivePort| {
            port.link.up && port.device.vhost().is_none() && port.device.setup().config.tx_queues > 0
        };
        let devices = self.ports.iter().filter(sends);
        let refused = |totals: &PortTotals| {
            let drops = [Reason::TxFull, Reason::QueueFull, Reason::Wred];
            drops.iter().map(|reason| totals.drops[reason.index()]).sum::<u64>()
        };
        let devices = devices.map(|port| {
            let totals = self.totals_of(port);
            (port.name.clone(), totals.tx_frames, refused(&totals), port.waiting() > 0)
        });
        let devices: Vec<_> = devices.collect();
        let watched = &mut self.watchdog.ports;
        watched.retain(|name, _| devices.iter().any(|(device, ..)| device == name));
        let mut stuck = Vec::new();
        for (name, sent, refused, waiting) in devices {
            let new = || Sending { progress: Progress::new(sent, now), refused };
            let sending = watched.entry(name.clone()).or_insert_with(new);
            let asked = refused != sending.refused || waiting;
            sending.refused = refused;
            let news = sending.progress.look(sent, asked, now, patience);
            // It may be reset later, when that is allowed again.
            if sending.progress.told {
                stuck.push(Stuck { port: name, still: sending.progress.still, first: news.is_some() });
            }
        }
        stuck
    }

    /// Has a port that takes nothing taken away and made anew, where that is wanted and not too often.
    fn handle_stuck(&mut self, stuck: Stuck) -> Option<Happening> {
        let Stuck { port, still, first } = stuck;
        let what = format!(
            "has a link and took no frame for {:.1} s, though it was offered some",
            still.as_secs_f64()
        );
        let leave =
            |why: &str| Happening::Reset { port: port.clone(), why: format!("{what}: {why}"), done: false };
        if !self.config.switch.watchdog.reset {
            return first.then(|| leave("`switch.watchdog` says not to reset it"));
        }
        let Some(back_off) = self.watchdog.may_reset(&port, Instant::now()) else {
            return first.then(|| leave("it was reset just before, and not again for a while"));
        };
        let changes = Changes { replaced: vec![port.clone()], ..Changes::default() };
        let done = self.carry_out(&changes, self.config.clone());
        self.watchdog.ports.remove(&port);
        Some(match done {
            Ok(()) => {
                let why = format!("{what}: it was reset, and isn't again for {} s", back_off.as_secs());
                Happening::Reset { port, why, done: true }
            }
            Err(error) => {
                Happening::Reset { port, why: format!("{what}, and its reset failed: {error}"), done: false }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    /// A clock that is set by hand.
    struct Clock(Instant);

    impl Clock {
        fn passes(&mut self, ms: u64) -> Instant {
            self.0 += Duration::from_millis(ms);
            self.0
        }
    }

    #[test]
    fn what_stands_still_is_told_once_and_that_it_goes_on() {
        let mut clock = Clock(Instant::now());
        let mut progress = Progress::new(7, clock.0);
        assert_eq!(progress.look(8, true, clock.passes(400), PATIENCE), None);
        assert_eq!(progress.look(8, true, clock.passes(400), PATIENCE), None);
        assert_eq!(progress.look(8, true, clock.passes(400), PATIENCE), None);
        let stands = News::Stands(Duration::from_millis(1200));
        assert_eq!(progress.look(8, true, clock.passes(400), PATIENCE), Some(stands));
        assert_eq!(progress.look(8, true, clock.passes(400), PATIENCE), None);
        let goes_on = News::GoesOn(Duration::from_millis(1600));
        assert_eq!(progress.look(9, true, clock.passes(400), PATIENCE), Some(goes_on));
        assert_eq!(progress.look(9, true, clock.passes(400), PATIENCE), None);
    }

    #[test]
    fn a_watcher_that_slept_itself_counts_little() {
        let mut clock = Clock(Instant::now());
        let mut progress = Progress::new(0, clock.0);
        assert_eq!(progress.look(0, true, clock.passes(3_600_000), PATIENCE), None);
        assert_eq!(progress.look(1, true, clock.passes(10), PATIENCE), None);
        assert_eq!(progress.still, Duration::ZERO);
    }

    #[test]
    fn what_has_nothing_to_do_doesnt_stand_still() {
        let mut clock = Clock(Instant::now());
        let mut progress = Progress::new(0, clock.0);
        for _ in 0..10 {
            assert_eq!(progress.look(0, false, clock.passes(400), PATIENCE), None);
        }
        assert_eq!(progress.look(0, true, clock.passes(400), PATIENCE), None);
        assert_eq!(progress.look(0, false, clock.passes(400), PATIENCE), None);
        assert_eq!(progress.look(0, true, clock.passes(400), PATIENCE), None);
        let stands = News::Stands(Duration::from_millis(1200));
        assert_eq!(progress.look(0, true, clock.passes(400), PATIENCE), Some(stands));
    }

    #[test]
    fn resets_come_ever_more_seldom() {
        let mut clock = Clock(Instant::now());
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.may_reset("a", clock.0), Some(BACK_OFF));
        assert_eq!(watchdog.may_reset("a", clock.passes(9_999)), None);
        assert_eq!(watchdog.may_reset("b", clock.0), Some(BACK_OFF), "each port for itself");
        assert_eq!(watchdog.may_reset("a", clock.passes(1)), Some(BACK_OFF * 2));
        assert_eq!(watchdog.may_reset("a", clock.passes(19_999)), None);
        assert_eq!(watchdog.may_reset("a", clock.passes(1)), Some(BACK_OFF * 4));
        for _ in 0..10 {
            watchdog.may_reset("a", clock.passes(MOST_BACK_OFF.as_millis() as u64));
        }
        assert_eq!(watchdog.may_reset("a", clock.passes(640_000)), Some(MOST_BACK_OFF));
        assert_eq!(watchdog.may_reset("a", clock.passes(3_600_000)), Some(BACK_OFF));
        assert_eq!(watchdog.resets["a"].count, 15);
    }
}
