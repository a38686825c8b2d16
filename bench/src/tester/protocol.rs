//! What the lab and a tester tell each other: lines of JSON, one request and one answer at a time, over the
//! tester's standard input and output.
//!
//! The first line to the tester is a [`Setup`], answered by [`Ready`]; then come [`Request`]s, each answered by a
//! [`Reply`]. The end of its input ends the tester.
//!
//! Sizes are those by which frames are called: octets with the check sequence, which lies in no memory here. Rates
//! are in frames a second.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of these lines. Both sides have to be of the same.
pub(crate) const PROTOCOL: u32 = 1;

/// What a tester is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) protocol: u32,
    /// The CPUs that poll; ports are dealt out to them in turn.
    pub(crate) cpus: Vec<usize>,
    /// The CPU of what polls for the device under test, if it is on this host: how far it is gets measured.
    #[serde(default)]
    pub(crate) neighbour: Option<usize>,
    /// MiB of ordinary memory; `None`: hugepages.
    pub(crate) ordinary_memory: Option<u32>,
    /// The largest frame that will be sent.
    pub(crate) largest_frame: u16,
    pub(crate) ports: Vec<PortSetup>,
}

/// A port of the tester.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PortSetup {
    /// A PCI address, or a DPDK vdev string.
    pub(crate) device: String,
    pub(crate) rx_ring: u16,
    pub(crate) tx_ring: u16,
}

/// A tester that is about to test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) protocol: u32,
    /// The version of DPDK.
    pub(crate) dpdk: String,
    pub(crate) tsc_hz: u64,
    /// In the order of [`Setup::ports`].
    pub(crate) ports: Vec<PortReady>,
}

/// What became of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PortReady {
    pub(crate) device: String,
    pub(crate) driver: String,
    pub(crate) rx_ring: u16,
    pub(crate) tx_ring: u16,
    /// Mbit/s, where the device knows.
    pub(crate) link_mbits: Option<u32>,
}

/// What a tester is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Sends a few frames between all ports until each port received from each other, so that whatever takes its
    /// time to begin has begun. Answered by [`Reply::Done`].
    Greet {
        /// Seconds to wait at most.
        patience: f64,
    },
    /// Sends and receives. Answered by [`Reply::Outcome`].
    Trial(Trial),
    /// Makes it one of several testers that face each other. Answered by [`Reply::Done`].
    Face(Facing),
}

/// Which part a tester has among several that are told the same trials at the same time: each sends the streams
/// that come from its ports, and receives what comes to them. Whoever sends a stream knows how many frames that
/// are, whoever receives it, how many came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facing {
    /// The number of the tester's first port.
    pub(crate) first_port: u8,
    /// How many ports all testers have.
    pub(crate) all_ports: u8,
    /// What the next trial's frames are known by; the same for all.
    pub(crate) epoch: u16,
}

/// What a tester answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Done,
    Outcome(Box<Outcome>),
    /// Why not. The tester goes on.
    Error(String),
}

/// Streams at the same time, and what to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Trial {
    /// At most 256.
    pub(crate) streams: Vec<Stream>,
    /// Before anything else, frames of the stations that streams go to, so that a switch knows where they are.
    #[serde(default)]
    pub(crate) learn: Option<Learn>,
    /// Seconds of the same traffic before the window. Its frames are checked as the others, but in no rate and no
    /// latency.
    pub(crate) warm_up: f64,
    /// Seconds of the window.
    pub(crate) seconds: f64,
    /// Seconds to wait for the last frames; the wait ends earlier when all have come.
    pub(crate) drain: f64,
    /// Whether to measure latency.
    pub(crate) latency: bool,
    /// Seconds of an interval whose received frames are counted apart, from the start of the window to the end
    /// of the drain.
    #[serde(default)]
    pub(crate) interval: Option<f64>,
    /// Frames a second that ports take at most, by their numbers, from the start of the trial to the end of the
    /// window: slow receivers, where there is no line that has a rate of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) takes: BTreeMap<u8, f64>,
}

/// How stations are made known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Learn {
    /// Frames a second by each port.
    pub(crate) rate: f64,
    /// How often each station says that it is there.
    pub(crate) repeats: u32,
    /// Seconds to wait afterwards.
    pub(crate) settle: f64,
    /// Where these frames go to.
    pub(crate) to: LearnTo,
}

/// Where frames of stations that make themselves known go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LearnTo {
    /// To the first station of the stream's sending port (RFC 2889, 5.7.1 wants them not flooded).
    Sender,
    /// To everybody.
    Broadcast,
}

/// Frames from one port, numbered on their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stream {
    /// What it is called in reports.
    #[serde(default)]
    pub(crate) name: String,
    /// The number of the port that it is sent by.
    pub(crate) from: u8,
    pub(crate) to: Target,
    pub(crate) sizes: Sizes,
    #[serde(default)]
    pub(crate) tag: Option<Tag>,
    /// What is behind the addresses and the tag.
    #[serde(default)]
    pub(crate) payload: Payload,
    /// Pairs of stations: flow f is from the sending port's station `first_station` + f to the target's of the
    /// same number. Each has IP addresses and UDP ports of its own too.
    pub(crate) flows: u32,
    #[serde(default)]
    pub(crate) first_station: u32,
    /// Which of the flows' stations are one and the same.
    #[serde(default)]
    pub(crate) stations: Stations,
    #[serde(default)]
    pub(crate) order: Order,
    pub(crate) rate: Rate,
    /// Frames at most, within the window; a stream with a limit sends nothing in the warm-up.
    #[serde(default)]
    pub(crate) frames: Option<u64>,
}

/// Which stations the flows of a stream go between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stations {
    /// Each flow has a sender and a receiver of its own.
    #[default]
    Pairs,
    /// All flows are from the sending port's `first_station`, to stations of their own.
    FromOne,
    /// All flows are to the receiving port's `first_station`, from stations of their own.
    ToOne,
}

/// Who is meant to receive a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// The stations of the port of this number. What comes to another port has leaked.
    Port(u8),
    /// Everybody: frames are for the broadcast address, and every port but the sender's is to get each.
    Broadcast,
    /// Stations of the port of this number that never speak: every port but the sender's is to get each frame.
    Unknown(u8),
    /// Nobody: frames that a switch has to drop. What comes to any port has leaked.
    Nobody(Flaw),
}

/// What is wrong with frames that a switch has to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flaw {
    /// The source is a group address.
    GroupSource,
    /// The source is all zeros.
    ZeroSource,
    /// A tag with VID 4095.
    ReservedVid,
    /// The destination is one of 01-80-C2-00-00-00..0F.
    LinkLocal,
    /// The destination's station is behind the port that it comes from.
    SamePort,
}

/// Sizes of frames, in a round that repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sizes {
    Only(u16),
    /// 64, 594 and 1518 octets, seven to four to one.
    Imix,
    /// Sizes, and how often each comes in a round.
    Mix(Vec<(u16, u16)>),
}

/// A tag of IEEE 802.1Q, clause 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tag {
    pub(crate) vid: u16,
    pub(crate) pcp: u8,
    #[serde(default)]
    pub(crate) dei: bool,
    /// 0x8100 unless it says otherwise.
    #[serde(default = "customer_tag")]
    pub(crate) ethertype: u16,
}

fn customer_tag() -> u16 {
    0x8100
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Payload {
    /// IPv4 and UDP
    #[default]
    Udp,
    /// No IP: the EtherType for experiments (IEEE 802, 0x88B5)
    Plain,
}

/// The order in which a stream's flows send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Each in turn, in the order of their numbers
    #[default]
    Sequential,
    /// Each in turn, in an order that a generator drew
    Shuffled,
    /// One drawn for each frame
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rate {
    /// As many as the port takes; nothing counts as intended but not sent.
    Max,
    /// Frames a second.
    Frames(f64),
}

/// What came of a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Outcome {
    /// Seconds in which frames were sent, as measured.
    pub(crate) seconds: f64,
    /// In the trial's order.
    pub(crate) streams: Vec<StreamOutcome>,
    /// In the setup's order.
    pub(crate) ports: Vec<PortOutcome>,
    pub(crate) tester: TesterLoad,
}

/// What came of a stream. All frames count from the start of the trial but where it says "window".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StreamOutcome {
    pub(crate) name: String,
    /// Frames that it was time for in the window, sent or not.
    pub(crate) intended: u64,
    /// Frames that the port took in the window, and octets, without check sequences.
    pub(crate) offered: u64,
    pub(crate) offered_octets: u64,
    /// Frames of the window that came, each once, to where they belong; of streams that belong to several ports,
    /// the mean of these.
    pub(crate) received: u64,
    pub(crate) received_octets: u64,
    /// Frames received a second, by the times of the first and last that came while the window was open: what was
    /// forwarded under load.
    pub(crate) forwarding_rate: f64,
    /// Frames sent since the start of the trial, warm-up included.
    pub(crate) sent: u64,
    /// Of those, the ones that never came. Of streams that belong to several ports, over all of them.
    pub(crate) lost: u64,
    /// Frames that came again.
    pub(crate) duplicated: u64,
    /// Frames that came after a later one of their flow.
    pub(crate) reordered: u64,
    /// Frames that came to a port where they don't belong, by that port's number.
    pub(crate) leaked: BTreeMap<u8, u64>,
    /// Frames that came with another tag or priority than the sender gave them, where they came with any.
    pub(crate) remarked: u64,
    /// Flows of which at least one frame never came.
    pub(crate) flows_with_loss: u32,
    /// Of the window's frames.
    pub(crate) latency: Option<Latency>,
    /// Of streams that belong to several ports: the same by port, without distributions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) latency_of_ports: BTreeMap<u8, Latency>,
    /// Frames received in each interval, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) intervals: Vec<u64>,
}

/// From the moment before a frame was given to its port to the moment that it was found at the other, in
/// nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Latency {
    pub(crate) frames: u64,
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
    /// What of the distribution is kept: a latency, and the share of frames with at most that, for a plot.
    pub(crate) distribution: Vec<(f64, f64)>,
}

/// What a port saw in the whole trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PortOutcome {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Frames that are of no trial: nobody here sent them.
    pub(crate) foreign: u64,
    /// Frames of another trial, too late.
    pub(crate) stale: u64,
    /// What the device itself says it lost (no descriptor, no mbuf, errors).
    pub(crate) device_lost: u64,
}

/// How the tester itself fared in the window. Of several CPUs, the worst.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TesterLoad {
    /// The share of its time that it had something to do: not waiting for frames, for room in a ring, or for the
    /// time to send. At 1 the tester is the limit.
    pub(crate) busy: f64,
    /// The share of bursts that a port hadn't room for all of: near 1, who takes frames is the limit.
    pub(crate) blocked: f64,
    /// The share of the time that the system gave it its CPU.
    pub(crate) cpu_share: f64,
    /// The longest time between two looks at its ports, in microseconds, and how much all those over 100 us make,
    /// in seconds.
    pub(crate) longest_pause: f64,
    pub(crate) paused: f64,
    /// Frames that it was time for and that were given up, since the tester had been held up too long itself.
    pub(crate) given_up: u64,
    /// Cycles that a cache line takes to the neighbour's CPU and back, the longer of before and after.
    pub(crate) round_trip: Option<u64>,
}

impl Stream {
    /// The sending port's stations that it is from, by their numbers.
    pub(crate) fn senders(&self) -> Range<u32> {
        self.numbers(self.stations == Stations::FromOne)
    }

    /// The target's stations that it is to.
    pub(crate) fn receivers(&self) -> Range<u32> {
        self.numbers(self.stations == Stations::ToOne)
    }

    fn numbers(&self, one: bool) -> Range<u32> {
        let count = if one { self.flows.min(1) } else { self.flows };
        self.first_station..self.first_station.saturating_add(count)
    }
}

impl Outcome {
    /// Frames intended but not received, as a share.
    pub(crate) fn loss_ratio(&self) -> f64 {
        let sum = |field: fn(&StreamOutcome) -> u64| self.streams.iter().map(field).sum::<u64>();
        let intended = sum(|stream| stream.intended.max(stream.offered));
        match intended {
            0 => 0.0,
            _ => intended.saturating_sub(sum(|stream| stream.received)) as f64 / intended as f64,
        }
    }

    /// Frames received a second under load, over all streams.
    pub(crate) fn forwarding_rate(&self) -> f64 {
        self.streams.iter().map(|stream| stream.forwarding_rate).sum()
    }

    /// Frames offered a second, over all streams.
    pub(crate) fn offered_rate(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.streams.iter().map(|stream| stream.offered).sum::<u64>() as f64 / self.seconds,
            false => 0.0,
        }
    }
}
