use super::sync::Ordering;
use super::value::Value;
use super::{Fdb, Probe};
use pollux_net::PortId;

/// How often a lookup looks again because entries were being displaced. A displacement takes
/// microseconds and needs a nearly full pair of buckets; this many in one lookup's time don't happen.
const TRIES: usize = 8;

/// Any port does where ports aren't compared.
const NO_PORT: PortId = PortId::from_low_bits(0);

impl Fdb {
    /// The port the address was last seen on, or is configured for; `None` if it is unknown, older than
    /// the ageing time, or flushed. `now` in seconds.
    #[inline]
    pub fn lookup(&self, probe: &Probe, now: u32) -> Option<PortId> {
        let epoch = self.flushes.epoch();
        if let Some(slot) = self.table.primary(probe).find_primary(probe) {
            let value = slot.value();
            // Most stations that are sent to have sent within this second: then one comparison says it all.
            let usual = value.is_of_moment(Value::dynamic(probe.tag(), NO_PORT, epoch, now))
                || value.is_dynamic_of(probe.tag(), epoch) && value.age(now) < self.ageing();
            if usual && slot.holds(probe.key) {
                return Some(value.port());
            }
        }
        self.lookup_everywhere(probe, now)
    }

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
