use super::Fdb;
use super::value::Value;
use pollux_net::PortId;

/// What a burst of frames is learned and looked up by: the time, and the latest flush. Read once a burst:
/// a flush that comes meanwhile takes effect with the next.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    now: u32,
    ageing: i32,
    epoch: u16,
    /// A value learned now, but for tag and port.
    fresh: Value,
}

/// Any port does where ports aren't compared.
const NO_PORT: PortId = PortId::from_low_bits(0);

impl Moment {
    /// Whole seconds, as [`Fdb::moment`] was given.
    #[inline(always)]
    pub fn now(&self) -> u32 {
        self.now
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

impl Fdb {
    /// Now, `now` in seconds.
    #[inline(always)]
    pub fn moment(&self, now: u32) -> Moment {
        let epoch = self.flushes.epoch();
        Moment { now, ageing: self.ageing(), epoch, fresh: Value::dynamic(0, NO_PORT, epoch, now) }
    }
}
