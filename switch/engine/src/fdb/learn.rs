use super::flush::Flushes;
use super::stripe::{Event, Held};
use super::table::Slot;
use super::{Fdb, Moment, Probe, Value};
use pollux_net::PortId;

/// What a source address was worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// It was there already, on this port.
    Known,
    /// It wasn't there, or had died, and is now.
    New,
    /// It was last seen on this other port.
    Moved {
        /// Where it was.
        from: PortId,
    },
    /// The table is as it was.
    Refused(Refusal),
}

/// Why an address wasn't learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another thread is adding or removing it, or an address that shares its lock.
    Busy,
    /// The table is full and no entry was found that may go.
    Full,
    /// It is configured for another port.
    Static,
}

/// How often a change is tried again that another thread's change of the same entry beat.
const TRIES: usize = 4;

impl Moment<'_> {
    /// Notes that the address was seen on `port` at this moment. Writes nothing if it was seen there
    /// within this second.
    #[inline(always)]
    pub fn learn(&self, probe: &Probe, port: PortId) -> Learned {
        if let Some(slot) = self.primaries.of(probe).find_primary(probe)
            && slot.value() == self.fresh(probe.tag(), port)
        {
            return Learned::Known;
        }
        self.fdb.learn_everywhere(probe, port, self.now)
    }
}

impl Fdb {
    /// What isn't in its primary bucket, or not as it should be, or not there at all.
    #[inline(never)]
    fn learn_everywhere(&self, probe: &Probe, port: PortId, now: u32) -> Learned {
        match self.freshen(probe, port, now) {
            Some(learned) => learned,
            None => self.learn_new(probe, port, now),
        }
    }

    #[cold]
    fn learn_new(&self, probe: &Probe, port: PortId, now: u32) -> Learned {
        let Some(held) = self.stripes.try_lock(probe) else {
            self.stripes.count(probe, Event::RefusedBusy);
            return Learned::Refused(Refusal::Busy);
        };
        // It may have come since; from here on nobody else adds it.
        if let Some(learned) = self.freshen(probe, port, now) {
            return learned;
        }
        self.add_dynamic(probe, port, now, &held)
    }

    fn add_dynamic(&self, probe: &Probe, port: PortId, now: u32, held: &Held<'_>) -> Learned {
        let value = Value::dynamic(probe.tag(), port, self.flushes.epoch(), now);
        if self.add(probe, value, now, held) {
            self.stripes.count(probe, Event::Learned);
            Learned::New
        } else {
            self.stripes.count(probe, Event::RefusedFull);
            Learned::Refused(Refusal::Full)
        }
    }

    /// Brings the address's entry up to date, or finds none.
    fn freshen(&self, probe: &Probe, port: PortId, now: u32) -> Option<Learned> {
        let slots = self.table.both(probe).into_iter();
        slots
            .filter_map(|bucket| bucket.find(probe.key))
            .find_map(|slot| self.freshen_slot(slot, probe, port, now))
    }

    /// `None` if the slot's entry is on its way out.
    fn freshen_slot(&self, slot: Slot<'_>, probe: &Probe, port: PortId, now: u32) -> Option<Learned> {
        for _ in 0..TRIES {
            let old = slot.value();
            if !old.is_of(probe.tag()) || !slot.holds(probe.key) {
                return None;
            }
            if old.is_static() {
                return Some(self.meet_static(old, probe, port));
            }
            let live = self.is_live(probe.key, old, now);
            let new = self.fresher(old, live, probe, port, now);
            if new == old {
                return Some(Learned::Known);
            }
            if slot.replace(old, new) {
                self.population.account(old, new);
                return Some(self.outcome(old, live, probe, port));
            }
        }
        self.stripes.count(probe, Event::RefusedBusy);
        Some(Learned::Refused(Refusal::Busy))
    }

    /// What the value becomes. Neither stamp nor epoch goes back: another worker's clock may be a
    /// second ahead, and it may have seen a later flush.
    fn fresher(&self, old: Value, live: bool, probe: &Probe, port: PortId, now: u32) -> Value {
        let epoch = self.flushes.epoch();
        let new = Value::dynamic(probe.tag(), port, epoch, now);
        if !live {
            return new;
        }
        let new = new.with_epoch(Flushes::later(epoch, old.epoch()));
        if old.age(now) < 0 { new.with_stamp_of(old) } else { new }
    }

    fn meet_static(&self, entry: Value, probe: &Probe, port: PortId) -> Learned {
        if entry.port() == port {
            return Learned::Known;
        }
        self.stripes.count(probe, Event::RefusedStatic);
        Learned::Refused(Refusal::Static)
    }

    fn outcome(&self, old: Value, live: bool, probe: &Probe, port: PortId) -> Learned {
        let from = old.port();
        if !live {
            self.stripes.count(probe, Event::Learned);
            Learned::New
        } else if from == port {
            Learned::Known
        } else {
            self.stripes.count(probe, Event::Moved);
            Learned::Moved { from }
        }
    }
}
