//! One test a file. A test is a function of a [`Context`]: it asks for trials and says what it found.

mod address_capacity;
mod address_rate;
mod addresses;
mod back_to_back;
mod broadcast;
mod congestion;
mod context;
mod coupling;
mod errored;
mod flooding;
mod fully_meshed;
mod intervals;
mod isolation;
mod latency;
mod load;
mod loss;
mod many_to_one;
mod maximum_forwarding_rate;
mod one_to_many;
mod partially_meshed;
mod rates;
mod recovery;
mod reset;
pub(crate) mod rfc2889;
mod shares;
#[cfg(test)]
pub(crate) mod simulated;
mod soak;
mod throughput;

pub(crate) use context::{Context, Seen};

use std::time::Duration;

use crate::Result;
use crate::lab::name::Function;
use crate::report::model::{Better, Curve, Unit};
use crate::systems::{Job, Kind};
use crate::tester::protocol::Sizes;

/// What a test is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Case {
    pub(crate) system: Kind,
    pub(crate) topology: String,
    pub(crate) sizes: Sizes,
    /// Pairs of stations of each stream.
    pub(crate) flows: u32,
    pub(crate) round: u32,
    /// Frames a second, over all streams, that no trial goes beyond: what the links carry, or what the lab was told.
    pub(crate) most: Option<f64>,
    /// What the system was asked to be.
    pub(crate) job: Job,
}

/// How long and how exact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Whether this is a smoke run, where a test leaves out what takes long.
    pub(crate) short: bool,
    /// Seconds of a trial that decides (RFC 2544 wants 60), and of one that only narrows down.
    pub(crate) final_seconds: f64,
    pub(crate) first_seconds: f64,
    pub(crate) warm_up: f64,
    /// Seconds to wait for the last frames (RFC 2544 wants 2).
    pub(crate) drain: f64,
    /// Loss ratio that a partial drop rate allows.
    pub(crate) partial_loss: f64,
    /// The relative width at which a search ends.
    pub(crate) precision: f64,
    /// How often a disturbed trial is repeated.
    pub(crate) repeats: u32,
}

/// What a test found in one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) figures: Vec<Found>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) notes: Vec<String>,
    /// Why there is nothing else, where the test can't be done.
    pub(crate) not_done: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) better: Option<Better>,
    pub(crate) value: f64,
    pub(crate) expected: Option<f64>,
    pub(crate) disturbed: bool,
    pub(crate) tester_limited: bool,
}

/// What the lab knows of a test besides.
pub(crate) struct Test {
    /// As at the end of a name: `ndr`.
    pub(crate) id: &'static str,
    /// What it is, in a few words.
    pub(crate) title: &'static str,
    /// The standard and the clause.
    pub(crate) standard: &'static str,
    /// Ports of the system that it needs, the tester's all of them.
    pub(crate) ports: u8,
    pub(crate) run: fn(&mut Context<'_>) -> Result<Findings>,
    /// Roughly how long it takes.
    pub(crate) takes: fn(&Settings) -> Duration,
    /// Whether it makes sense with a system.
    pub(crate) takes_part: fn(Kind) -> bool,
    /// What it wants of the system beside the usual; the system is then started for it alone.
    pub(crate) job: Option<fn(&mut Job)>,
    /// Whether ports have to survive the system, so that it can be started anew under load.
    pub(crate) outlives: bool,
    /// What the system does with frames then.
    pub(crate) function: Function,
}

/// What most tests are like.
pub(crate) const USUAL: Test = Test {
    id: "",
    title: "",
    standard: "",
    ports: 2,
    run: |_| Ok(Findings::default()),
    takes: |_| Duration::ZERO,
    takes_part: |_| true,
    job: None,
    outlives: false,
    function: Function::L2,
};

/// All of them, in the order in which they are done.
pub(crate) const ALL: &[&Test] = &[
    &rates::NDR,
    &throughput::THROUGHPUT,
    &latency::LATENCY,
    &loss::LOSS,
    &back_to_back::BACK_TO_BACK,
    &recovery::RECOVERY,
    &reset::RESET,
    &soak::SOAK,
    &coupling::COUPLING,
    &shares::SHARES,
    &maximum_forwarding_rate::TEST,
    &errored::TEST,
    &isolation::TEST,
    &fully_meshed::TEST,
    &partially_meshed::TEST,
    &many_to_one::TEST,
    &one_to_many::TEST,
    &congestion::TEST,
    &broadcast::TEST,
    &flooding::TEST,
    &address_capacity::TEST,
    &address_rate::TEST,
];

/// What a trial takes beside its own times: stations make themselves known, and the outcome is told.
const AROUND_A_TRIAL: f64 = 0.03;

/// Trials of a search at most, and in a smoke run: more than it takes with a system that behaves the same twice.
const SEARCH: u32 = 400;
const SHORT_SEARCH: u32 = 20;

impl Settings {
    /// How many trials a search may ask for.
    pub(crate) fn search_trials(&self) -> u32 {
        if self.short { SHORT_SEARCH } else { SEARCH }
    }

    /// Roughly how long so many trials of so many seconds take.
    pub(crate) fn trials(&self, count: f64, seconds: f64) -> Duration {
        let each = self.warm_up + seconds + self.drain + AROUND_A_TRIAL;
        Duration::try_from_secs_f64(count * each).unwrap_or(Duration::MAX)
    }
}

impl Findings {
    /// Of a test that can't be done, and why.
    pub(crate) fn not_done(why: impl Into<String>) -> Self {
        Self { not_done: Some(why.into()), ..Self::default() }
    }
}

impl Found {
    /// A figure that nothing spoilt.
    pub(crate) fn new(name: impl Into<String>, unit: Unit, better: Option<Better>, value: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            better,
            value,
            expected: None,
            disturbed: false,
            tester_limited: false,
        }
    }

    /// The same, as certain as the trial that it comes from.
    pub(crate) fn from(self, seen: &Seen) -> Self {
        Self {
            disturbed: self.disturbed || seen.disturbed,
            tester_limited: self.tester_limited || seen.tester_limited,
            ..self
        }
    }

    /// The same, where the configuration says what is to be found.
    pub(crate) fn expecting(self, expected: f64) -> Self {
        Self { expected: Some(expected), ..self }
    }
}
