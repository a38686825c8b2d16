use super::sync::Ordering;
use super::{Fdb, Moment, Probe};
use pollux_net::PortId;

/// How often a lookup looks again because entries were being displaced. A displacement takes
/// microseconds and needs a nearly full pair of buckets; this many in one lookup's time don't happen.
const TRIES: usize = 8;

impl Moment<'_> {
    /// The port the address was last seen on, or is configured for; `None` if it is unknown, older than
    /// the ageing time, or flushed.
    #[inline(always)]
    pub fn lookup(&self, probe: &Probe) -> Option<PortId> {
        if let Some(slot) = self.primaries.of(probe).find_primary(probe) {
            let value = slot.value();
            // Most stations that are sent to have sent within this second: then one comparison says it all.
            let usual = self.is_of(value, probe.tag()) || self.spares(value, probe.tag());
            if usual && slot.holds(probe.key) {
                return Some(value.port());
            }
        }
        self.fdb.lookup_everywhere(probe, self.now)
    }
}

impl Fdb {
    /// What isn't in its primary bucket, static, older than the latest flush, or not there at all.
    #[inline(never)]
    fn lookup_everywhere(&self, probe: &Probe, now: u32) -> Option<PortId> {
        for _ in 0..TRIES {
            let displacements = self.displacements.0.load(Ordering::Acquire);
            for bucket in self.table.both(probe) {
                let Some(slot) = bucket.find(probe.key) else {
                    continue;
                };
                let value = slot.value();
                let its_own = value.is_of(probe.tag()) && slot.holds(probe.key);
                if its_own && self.is_live(probe.key, value, now) {
                    return Some(value.port());
                }
            }
            if self.displacements.0.load(Ordering::Acquire) == displacements {
                break;
            }
        }
        None
    }
}
