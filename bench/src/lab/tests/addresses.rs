//! What tests of the address table share: how a switch is made to forget, and who has to know whom.

use std::time::{Duration, Instant};

use super::Context;
use crate::Result;
use crate::host::interrupt;
use crate::systems::Kind;
use crate::tester::protocol::{Order, Rate, Stations, Stream};

/// The longest ageing time that is worth waiting for again and again.
const LONGEST_AGEING: Duration = Duration::from_secs(60);

/// Longer than the ageing time: entries age by whole seconds, and are looked at now and then.
const AGEING_MARGIN: Duration = Duration::from_secs(3);

/// How long a switch may take until addresses are gone that it was told to forget.
const FORGETTING: Duration = Duration::from_secs(20);

const TICK: Duration = Duration::from_millis(50);

/// The ports of RFC 2889, 5.7.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roles {
    /// Whose stations are learned.
    pub(super) learning: u8,
    /// Where the frames come from that show whether they were.
    pub(super) testing: u8,
}

impl Roles {
    /// Of at least three ports: all that aren't one of the two monitor.
    pub(super) fn of(ports: &[u8]) -> Self {
        Self { testing: ports[0], learning: ports[1] }
    }

    /// One frame to each of so many stations of the learning port, all from one station of the test port.
    pub(super) fn test(self, context: &Context<'_>, stations: u32, rate: f64) -> Stream {
        Stream {
            stations: Stations::FromOne,
            ..each_once(context.stream(self.testing, self.learning), stations, Rate::Frames(rate))
        }
    }

    /// One frame from each of so many stations of the learning port, all to one station of the test port.
    pub(super) fn learn(self, context: &Context<'_>, stations: u32, rate: Rate) -> Stream {
        Stream {
            stations: Stations::ToOne,
            ..each_once(context.stream(self.learning, self.testing), stations, rate)
        }
    }
}

fn each_once(stream: Stream, stations: u32, rate: Rate) -> Stream {
    let frames = Some(u64::from(stations));
    Stream { flows: stations, order: Order::Sequential, rate, frames, ..stream }
}

/// How the system is made to forget what it learned, before each trial.
pub(super) enum Forgetting {
    /// It is told to. So many addresses stay whatever it is told, as far as is known.
    Flush { staying: u64 },
    /// Nothing is sent until all have aged.
    Ageing(Duration),
}

impl Forgetting {
    /// Or why that can't be.
    pub(super) fn of(context: &mut Context<'_>) -> Result<Self, String> {
        if context.bed.system.control().is_some() {
            return Ok(Self::Flush { staying: 0 });
        }
        let ageing = Duration::from_secs(context.case.job.ageing_seconds.into());
        match ageing <= LONGEST_AGEING {
            true => Ok(Self::Ageing(ageing + AGEING_MARGIN)),
            false => Err(format!(
                "addresses have to be forgotten before each trial; nobody here can tell the system to, and to wait \
                 for its ageing time takes {} s: set that to {} s or less",
                ageing.as_secs(),
                LONGEST_AGEING.as_secs()
            )),
        }
    }

    /// Until the system knows nobody.
    pub(super) fn forget(&mut self, context: &mut Context<'_>) -> Result<()> {
        let staying = match self {
            Self::Ageing(time) => return interrupt::sleep(*time),
            Self::Flush { staying } => staying,
        };
        let Some(mut control) = context.bed.system.control() else { return Ok(()) };
        control.flush()?;
        let end = Instant::now() + FORGETTING;
        loop {
            match control.addresses()? {
                None => return Ok(()),
                Some(addresses) if addresses <= *staying => return Ok(()),
                Some(addresses) if Instant::now() >= end => {
                    *staying = addresses;
                    return Ok(());
                }
                Some(_) => interrupt::sleep(TICK)?,
            }
        }
    }

    /// Addresses that stay in the table and aren't of the test.
    pub(super) fn staying(&self) -> u64 {
        match self {
            Self::Flush { staying } => *staying,
            Self::Ageing(_) => 0,
        }
    }
}

/// The size of the system's table, where its configuration says it.
pub(super) fn configured(context: &Context<'_>) -> Option<u32> {
    match context.case.system {
        Kind::Pollux | Kind::Ovs => Some(context.case.job.fdb_capacity),
        Kind::Bridge | Kind::External | Kind::TestpmdIo | Kind::TestpmdMac => None,
    }
}
