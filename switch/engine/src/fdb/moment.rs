use super::table::Primaries;
use super::value::Value;
use super::{Fdb, FdbKey, Probe};
use pollux_net::PortId;

/// The table as a burst of frames sees it: the time, and the latest flush, are read once, and a flush that
/// comes meanwhile takes effect with the next burst.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    pub(super) fdb: &'a Fdb,
    pub(super) primaries: Primaries<'a>,
    pub(super) now: u32,
    ageing: i32,
    epoch: u16,
    /// A value learned now, but for tag and port.
    fresh: Value,
}

/// Any port does where ports aren't compared.
const NO_PORT: PortId = PortId::from_low_bits(0);

impl Fdb {
    /// The table at `now` seconds.
    #[inline(always)]
    pub fn at(&self, now: u32) -> Moment<'_> {
        let epoch = self.flushes.epoch();
        Moment {
            fdb: self,
            primaries: self.table.primaries(),
            now,
            ageing: self.ageing(),
            epoch,
            fresh: Value::dynamic(0, NO_PORT, epoch, now),
        }
    }
}

impl Moment<'_> {
    /// Hashes a key, once for all that follows.
    #[inline(always)]
    pub fn probe(&self, key: FdbKey) -> Probe {
        self.fdb.probe(key)
    }

    /// Has the key's bucket brought close. Worth it a few dozen cycles or more before it is used.
    #[inline(always)]
    pub fn prefetch(&self, probe: &Probe) {
        self.primaries.of(probe).prefetch();
    }

    /// What is learned now.
    #[inline(always)]
    pub(super) fn fresh(&self, tag: u16, port: PortId) -> Value {
        self.fresh.with_tag_and_port(tag, port)
    }

    /// Whether the value, with this tag, was learned this second.
    #[inline(always)]
    pub(super) fn is_of(&self, value: Value, tag: u16) -> bool {
        value.is_of_moment(self.fresh(tag, NO_PORT))
    }

    /// Whether the value is dynamic, has this tag, and lives; it may live and not be recognised as such
    /// here if there was a flush of something else since.
    #[inline(always)]
    pub(super) fn spares(&self, value: Value, tag: u16) -> bool {
        value.is_dynamic_of(tag, self.epoch) && value.age(self.now) < self.ageing
    }
}
