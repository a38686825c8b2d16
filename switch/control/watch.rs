//! What the control thread does while the switch runs: it takes up what happened to ports, moves the
//! clock on and ages the FDB.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::{Happening, LinkChange, Switch};

/// How often the clock moves on and the FDB is swept while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// Part of the FDB that one tick sweeps, so that dead entries are gone within about ten seconds.
const SWEEPS_PER_PASS: usize = 100;

impl Switch {
    /// Lets other threads have [`watch`](Self::watch) return.
    pub fn waker(&self) -> dpdk::Waker {
        self.eal.waker()
    }

    /// Waits for events, moves the clock on and ages the FDB. Returns by `until`, when something happened,
    /// or when a [`waker`](Self::waker) asked for it.
    pub fn watch(&mut self, until: Instant) -> Vec<Happening> {
        loop {
            let now = Instant::now();
            let wake = self.next_look.min(until);
            let mut asked = false;
            let mut happened = match self.events.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(first) => {
                    let events: Vec<_> = std::iter::once(first).chain(self.events.try_iter()).collect();
                    asked = events.contains(&dpdk::Event::Woken);
                    self.look_at(|number| events.contains(&dpdk::Event::Port(number)))
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Vec::new(),
            };
            // However many events come: the clock goes on.
            if Instant::now() >= self.next_look {
                happened.extend(self.tick());
            }
            if asked || !happened.is_empty() || Instant::now() >= until {
                return happened;
            }
        }
    }

    fn tick(&mut self) -> Vec<Happening> {
        self.next_look = Instant::now() + TICK;
        let now = self.started.elapsed().as_secs() as u32;
        let second_passed = now != self.shared.now_seconds();
        self.shared.set_now_seconds(now);
        self.shared.fdb.sweep(now, self.shared.fdb.buckets().div_ceil(SWEEPS_PER_PASS));
        self.shared.reclaim();
        self.follow_moved_stations();
        self.look_at_captures();
        let mut happened = self.look_at_workers();
        happened.extend(self.look_at_devices());
        if !second_passed {
            return happened;
        }
        self.look_at_qos();
        // Devices without link events are asked once a second, the others as a precaution.
        happened.extend(self.look_at(|_| true));
        happened.extend(self.count_happenings());
        self.marks.add(self.mark());
        happened.extend(self.rebalance_when_due());
        happened
    }

    /// Measures rates, and takes queues away that a port without profile has emptied.
    fn look_at_qos(&mut self) {
        let now = Instant::now();
        let mut ended = false;
        for qos in self.ports.iter_mut().filter_map(|port| port.qos.as_mut()) {
            qos.measure(now);
            ended |= qos.let_go();
        }
        if ended {
            let tables = super::snapshot(&self.config, &self.ports, &[], &self.taps);
            self.shared.publish(tables, self.rest_plans());
        }
    }

    /// Takes up what happened to the ports whose numbers in DPDK are `among` those to look at.
    pub(super) fn look_at(&mut self, among: impl Fn(u16) -> bool) -> Vec<Happening> {
        let mut changes = Vec::new();
        for port in self.ports.iter_mut().filter(|port| among(port.device.number())) {
            if let Some(link) = port.refresh() {
                self.shared.set_link(port.id, port.passes());
                if !link.up {
                    self.moved = None;
                }
                if port.device.vhost().is_some() {
                    changes.push(Happening::Vm { port: port.name.clone(), up: link.up });
                }
                changes.push(Happening::Link(LinkChange { port: port.name.clone(), link }));
            }
        }
        changes
    }
}
