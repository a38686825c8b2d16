//! Traffic by hand: one trial from the command line, and a table of what came of it.

use std::io::Write;
use std::str::FromStr;

use comfy_table::Table;

use super::course::Stop;
use super::engine::Engine;
use super::protocol::{
    Latency, Learn, LearnTo, Order, Outcome, PROTOCOL, Payload, PortSetup, Rate, Setup, Sizes, Stream, Tag,
    Target, Trial,
};
use super::sizes::SMALLEST;
use crate::host::{Hugepages, cpu, interrupt, table};
use crate::{BenchError, Result};

/// MiB of hugepages that are reserved, besides those that rings need.
const MEMORY: u64 = 96;
/// MiB of ordinary memory, which is reserved at the start.
const ORDINARY_MEMORY: u32 = 256;

/// Octets on the wire besides those of a frame: preamble, start and gap (IEEE 802.3).
const WIRE_OVERHEAD: f64 = 20.0;

/// `pollux bench traffic`.
#[derive(Debug, clap::Args)]
pub struct TrafficArgs {
    /// A port: a PCI address, or a vdev as DPDK calls it (`net_virtio_user0,path=/run/vm1.sock`); once for each
    #[arg(long = "port", required = true)]
    ports: Vec<String>,
    /// A stream from port to port, by their numbers from 0; to `all` is broadcast; once for each. Default: both ways
    /// between the first two ports
    #[arg(long = "stream", value_name = "FROM>TO")]
    streams: Vec<Route>,
    /// Frames a second of each stream: `max`, a number, or bits on the wire a second (`1Gbit`)
    #[arg(long, default_value = "max")]
    rate: Speed,
    /// Sizes of frames, with the check sequence: `64`, `imix`, or `64:7,594:4,1518:1`
    #[arg(long, default_value = "64")]
    size: Sizes,
    /// Pairs of stations of each stream
    #[arg(long, default_value_t = 1)]
    flows: u32,
    /// The order in which they send
    #[arg(long, value_enum, default_value = "sequential")]
    order: Order,
    /// What is behind the addresses
    #[arg(long, value_enum, default_value = "udp")]
    payload: Payload,
    /// Sends frames with a tag of this VLAN
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=4094))]
    vlan: Option<u16>,
    /// The priority in the tag; without a VLAN, in a tag without one
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=7))]
    pcp: Option<u8>,
    /// Seconds to send
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Seconds of the same traffic before
    #[arg(long, default_value_t = 0.0)]
    warm_up: f64,
    /// Seconds to wait for the last frames
    #[arg(long, default_value_t = 0.5)]
    drain: f64,
    /// Frames of each stream, at most
    #[arg(long)]
    frames: Option<u64>,
    /// Frames a second by which stations make themselves known before, so that a switch needn't flood
    #[arg(long)]
    learn: Option<f64>,
    /// Seconds to wait until each port hears from each other; 0 begins at once
    #[arg(long, default_value_t = 0.0)]
    greet: f64,
    /// Measures how long frames take
    #[arg(long)]
    latency: bool,
    /// Descriptors of each ring
    #[arg(long, default_value_t = 1024)]
    ring: u16,
    /// A CPU that polls; ports are dealt out to them; once for each. Default: the first there is
    #[arg(long = "cpu")]
    cpus: Vec<usize>,
    /// Takes ordinary memory instead of hugepages
    #[arg(long)]
    no_huge: bool,
    /// Prints everything as JSON
    #[arg(long)]
    json: bool,
}

/// From one port to another, or to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    from: u8,
    to: Target,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.trim().parse().map_err(|_| format!("`{text}` is no port's number"));
        let (from, to) = text.split_once('>').ok_or("a stream is as in 0>1, or 0>all")?;
        let to = match to.trim() {
            "all" => Target::Broadcast,
            to => Target::Port(port(to)?),
        };
        Ok(Self { from: port(from)?, to })
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Max,
    Frames(f64),
    Bits(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate: it is max, 1000000, 1.5M, or 1Gbit");
        if text == "max" {
            return Ok(Self::Max);
        }
        let (number, bits) = match text.strip_suffix("bit") {
            Some(number) => (number, true),
            None => (text.strip_suffix("pps").unwrap_or(text), false),
        };
        let (number, factor) = match number.chars().last() {
            Some('k' | 'K') => (&number[..number.len() - 1], 1e3),
            Some('M') => (&number[..number.len() - 1], 1e6),
            Some('G') => (&number[..number.len() - 1], 1e9),
            _ => (number, 1.0),
        };
        let value = number.trim().parse::<f64>().map_err(|_| wrong())? * factor;
        match value.is_finite() && value > 0.0 {
            true => Ok(if bits { Self::Bits(value) } else { Self::Frames(value) }),
            false => Err(wrong()),
        }
    }
}

impl Speed {
    fn of(self, sizes: &Sizes) -> Rate {
        match self {
            Self::Max => Rate::Max,
            Self::Frames(frames) => Rate::Frames(frames),
            Self::Bits(bits) => Rate::Frames(bits / 8.0 / (sizes.mean() + WIRE_OVERHEAD)),
        }
    }
}

/// Sends, receives, and prints a table.
pub(crate) fn run(args: &TrafficArgs) -> Result<()> {
    interrupt::watch()?;
    let _favoured = cpu::FavouredSession::new();
    let setup = args.setup();
    let trial = args.trial()?;
    let rings: u64 = setup.ports.iter().map(|port| u64::from(port.rx_ring) + u64::from(port.tx_ring)).sum();
    let octets = rings * (2 * 2500 + u64::from(setup.largest_frame));
    let _hugepages = match args.no_huge {
        true => None,
        false => Some(Hugepages::reserve(MEMORY + octets / (1 << 20))?),
    };
    let mut engine = Engine::start(&setup, Stop::default())?;
    if args.greet > 0.0 {
        engine.greet(args.greet)?;
    }
    let outcome = engine.trial(&trial)?;
    drop(engine);
    let text = match args.json {
        true => serde_json::to_string_pretty(&outcome)
            .map_err(|error| BenchError::process("the tester", error))?,
        false => text(&outcome),
    };
    writeln!(std::io::stdout(), "{text}").map_err(BenchError::io("printing the figures"))
}

impl TrafficArgs {
    fn setup(&self) -> Setup {
        let port =
            |device: &String| PortSetup { device: device.clone(), rx_ring: self.ring, tx_ring: self.ring };
        Setup {
            protocol: PROTOCOL,
            cpus: if self.cpus.is_empty() {
                cpu::all().into_iter().take(1).collect()
            } else {
                self.cpus.clone()
            },
            neighbour: None,
            ordinary_memory: self.no_huge.then_some(ORDINARY_MEMORY),
            largest_frame: self.size.largest().max(SMALLEST),
            ports: self.ports.iter().map(port).collect(),
        }
    }

    fn trial(&self) -> Result<Trial> {
        let both = [(0, 1), (1, 0)].map(|(from, to)| Route { from, to: Target::Port(to) });
        let routes = match &self.streams[..] {
            [] if self.ports.len() < 2 => {
                return Err(BenchError::Input(
                    "one port: name another, or a stream with --stream".to_owned(),
                ));
            }
            [] => &both[..],
            routes => routes,
        };
        let tag = (self.vlan.is_some() || self.pcp.is_some()).then(|| Tag {
            vid: self.vlan.unwrap_or(0),
            pcp: self.pcp.unwrap_or(0),
            dei: false,
            ethertype: 0x8100,
        });
        let stream = |route: &Route| Stream {
            name: match route.to {
                Target::Port(to) => format!("{}>{to}", route.from),
                _ => format!("{}>all", route.from),
            },
            from: route.from,
            to: route.to,
            sizes: self.size.clone(),
            tag,
            payload: self.payload,
            flows: self.flows,
            first_station: 0,
            stations: Default::default(),
            order: self.order,
            rate: self.rate.of(&self.size),
            frames: self.frames,
        };
        let learn = |rate| Learn { rate, repeats: 1, settle: 0.1, to: LearnTo::Sender };
        Ok(Trial {
            streams: routes.iter().map(stream).collect(),
            learn: self.learn.map(learn),
            warm_up: self.warm_up,
            seconds: self.seconds,
            drain: self.drain,
            latency: self.latency,
            interval: None,
            takes: Default::default(),
        })
    }
}

fn text(outcome: &Outcome) -> String {
    let mut parts = vec![streams(outcome).to_string()];
    let timed: Vec<_> =
        outcome.streams.iter().filter_map(|stream| Some((&stream.name, stream.latency.as_ref()?))).collect();
    if !timed.is_empty() {
        parts.push(latencies(&timed).to_string());
    }
    let tester = &outcome.tester;
    parts.push(format!(
        "{:.3} s; the tester was busy for {:.0} % of them, had its CPU for {:.1} %, and paused for {:.0} us at the \
         longest; {:.0} % of its bursts found a full ring; {} frames given up",
        outcome.seconds,
        100.0 * tester.busy,
        100.0 * tester.cpu_share,
        tester.longest_pause,
        100.0 * tester.blocked,
        tester.given_up,
    ));
    for (number, port) in outcome.ports.iter().enumerate() {
        if port.foreign + port.stale + port.device_lost > 0 {
            parts.push(format!(
                "port {number}: {} frames of others, {} of before, {} lost by the device",
                port.foreign, port.stale, port.device_lost
            ));
        }
    }
    parts.join("\n\n")
}

fn streams(outcome: &Outcome) -> Table {
    let rows = outcome.streams.iter().map(|stream| {
        let leaked: u64 = stream.leaked.values().sum();
        let rate = |frames: u64| if outcome.seconds > 0.0 { frames as f64 / outcome.seconds } else { 0.0 };
        let counts = [
            stream.intended,
            stream.offered,
            stream.received,
            stream.sent,
            stream.lost,
            stream.duplicated,
            stream.reordered,
            leaked,
            stream.remarked,
        ];
        let mut row = vec![stream.name.clone()];
        row.extend(counts.map(|count| count.to_string()));
        row.extend([rate(stream.offered), stream.forwarding_rate].map(table::mpps));
        row
    });
    let header = [
        "stream",
        "intended",
        "offered",
        "received",
        "sent",
        "lost",
        "duplicated",
        "reordered",
        "leaked",
        "remarked",
        "Mpps sent",
        "Mpps received",
    ];
    let mut table = table::table(&header, rows.collect());
    table::align_right(&mut table, 1..header.len());
    table
}

/// In microseconds. What delays vary by is what they have above the shortest (RFC 5481, 4.2).
fn latencies(timed: &[(&String, &Latency)]) -> Table {
    let micros = |nanos: f64| format!("{:.2}", nanos / 1e3);
    let rows = timed.iter().map(|(name, latency)| {
        let values = [
            latency.min,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p99_9,
            latency.p99_99,
            latency.max,
            latency.p99 - latency.min,
            latency.p99_9 - latency.min,
        ];
        std::iter::once((*name).clone()).chain(values.map(micros)).collect()
    });
    let header = ["us", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max", "PDV p99", "PDV p99.9"];
    let mut table = table::table(&header, rows.collect());
    table::align_right(&mut table, 1..header.len());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_rates_are_read_as_people_write_them() {
        assert_eq!("0>1".parse(), Ok(Route { from: 0, to: Target::Port(1) }));
        assert_eq!("3 > all".parse(), Ok(Route { from: 3, to: Target::Broadcast }));
        assert!(["", "0", "0-1", "a>1", "0>256"].iter().all(|text| text.parse::<Route>().is_err()));
        let speed = |text: &str| text.parse::<Speed>();
        assert_eq!(speed("max"), Ok(Speed::Max));
        assert_eq!(speed("1000000"), Ok(Speed::Frames(1e6)));
        assert_eq!(speed("1.5Mpps"), Ok(Speed::Frames(1.5e6)));
        assert_eq!(speed("10Gbit"), Ok(Speed::Bits(1e10)));
        assert!(["", "-1", "0", "fast", "1Tbit", "kbit"].iter().all(|text| speed(text).is_err()));
        let Rate::Frames(rate) = Speed::Bits(1e10).of(&Sizes::Only(64)) else { panic!("a rate") };
        assert!((rate - 14_880_952.0).abs() < 1.0, "{rate}");
    }
}
