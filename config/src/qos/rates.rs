use std::ops::RangeInclusive;

use pollux_net::{Colour, Dscp, MeterAlgorithm, MeterSpec, Pcp, RateUnit};

use super::maps;
use crate::tree::{Node, Table};
use crate::units::{self, Dimension};
use crate::{Bytes, limits};

/// A meter, and what becomes of the frames that it colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policer {
    /// Its rates and bursts, within [`limits`].
    pub meter: MeterSpec,
    /// What is done to green, yellow and red frames, by [`Colour`].
    pub actions: [PolicerAction; Colour::COUNT],
}

/// What a policer does to the frames of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicerAction {
    /// They go on in their new colour.
    Pass,
    /// They are dropped.
    Drop,
    /// They go on in their new colour, with other marks.
    Remark(Remark),
}

/// Marks that a policer gives, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remark {
    /// The priority. `None`: what it was.
    pub pcp: Option<Pcp>,
    /// Whether the tag says drop eligible. `None`: what the colour says.
    pub dei: Option<bool>,
    /// The DSCP of the IP packet, if there is one. `None`: what it was.
    pub dscp: Option<Dscp>,
}

/// A rate that holds frames back rather than drop them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shaper {
    /// Octets per second, within [`limits::BIT_RATE`].
    pub octets_per_second: u64,
    /// What may leave at once: a frame at least.
    pub burst: Bytes,
    /// What of a frame counts. Never [`RateUnit::Frames`].
    pub unit: RateUnit,
}

impl Policer {
    /// Octets of the longest frame that can pass; `None` if it counts frames, which pass whatever their
    /// length.
    pub(super) fn largest_burst(&self) -> Option<Bytes> {
        if self.meter.unit == RateUnit::Frames {
            return None;
        }
        let burst = match self.meter.algorithm {
            MeterAlgorithm::SrTcm { cbs, ebs, .. } | MeterAlgorithm::TrTcm4115 { cbs, ebs, .. } => {
                cbs.max(ebs)
            }
            MeterAlgorithm::TrTcm { pbs, .. } => pbs,
        };
        Some(Bytes::new(burst))
    }
}

/// What of a frame counts, as the file has it.
const COUNTS: [(&str, RateUnit); 2] = [("frame", RateUnit::Octets), ("wire", RateUnit::WireOctets)];

/// The ways in which a policer can be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    OneRate,
    SrTcm,
    TrTcm,
    TrTcm4115,
}

const ALGORITHMS: [(&str, Form); 3] =
    [("srtcm", Form::SrTcm), ("trtcm", Form::TrTcm), ("trtcm-4115", Form::TrTcm4115)];

const FORMS_CURE: &str =
    "add `algorithm = \"srtcm\"`, `algorithm = \"trtcm\"` or `algorithm = \"trtcm-4115\"`";

/// Every key of some form, those of one rate first.
const FORM_KEYS: [&str; 8] = ["rate", "burst", "cir", "cbs", "pir", "pbs", "eir", "ebs"];

impl Form {
    fn read(table: &Table<'_>) -> Option<Self> {
        let algorithm = table.find("algorithm");
        // Every form's keys are known in any form.
        let has = FORM_KEYS.map(|key| table.find(key).is_some());
        if let Some(node) = algorithm {
            return node.choice(&ALGORITHMS);
        }
        let (of_one_rate, of_others) = has.split_at(Self::OneRate.keys().len());
        if of_one_rate.contains(&true) || !of_others.contains(&true) {
            return Some(Self::OneRate);
        }
        table.refuse_lack(&["algorithm"], format!("`{}` lacks `algorithm`", table.node().path()), FORMS_CURE)
    }

    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::OneRate => &["rate", "burst"],
            Self::SrTcm => &["cir", "cbs", "ebs"],
            Self::TrTcm => &["cir", "cbs", "pir", "pbs"],
            Self::TrTcm4115 => &["cir", "cbs", "eir", "ebs"],
        }
    }

    fn refuse_keys_of_others(self, table: &Table<'_>) {
        let others: Vec<_> = FORM_KEYS.into_iter().filter(|key| !self.keys().contains(key)).collect();
        let own: Vec<_> = self.keys().iter().map(|key| format!("`{key}`")).collect();
        let own = own.join(", ");
        match ALGORITHMS.iter().find(|(_, form)| *form == self) {
            Some((word, _)) => {
                let what = format!("has no meaning with `algorithm = \"{word}\"`");
                table.refuse_keys(&others, &what, &format!("remove it: a meter of this kind has {own}"));
            }
            None => {
                let cure = format!("remove it, or {FORMS_CURE} and its own keys");
                table.refuse_keys(&others, "has no meaning without `algorithm`", &cure);
            }
        }
    }
}

/// A rate as the file has it.
#[derive(Clone, Copy)]
struct Rate {
    /// Bits or frames per second.
    quantity: u64,
    unit: RateUnit,
}

impl Rate {
    /// In the unit.
    fn per_second(self) -> u64 {
        self.within(1_000_000_000) as u64
    }

    /// What passes in so many nanoseconds, in the unit.
    fn within(self, nanos: u64) -> u128 {
        let units = u128::from(self.quantity) * u128::from(nanos) / 1_000_000_000;
        if self.counts_frames() { units } else { units / 8 }
    }

    fn counts_frames(self) -> bool {
        self.unit == RateUnit::Frames
    }

    fn show(self) -> String {
        let dimension = if self.counts_frames() { Dimension::PacketRate } else { Dimension::BitRate };
        dimension.show(self.quantity)
    }
}

/// A table of rates and bursts.
#[derive(Clone, Copy)]
struct Reading<'t, 'd> {
    table: &'t Table<'d>,
    /// What its rates are in.
    dimensions: &'static [Dimension],
    /// What rates in bits count.
    count: RateUnit,
}

impl<'t, 'd> Reading<'t, 'd> {
    fn of(table: &'t Table<'d>, dimensions: &'static [Dimension]) -> Self {
        let count = table.get("count", |node| node.choice(&COUNTS));
        Self { table, dimensions, count: count.unwrap_or_default() }
    }

    fn rate(self, key: &'static str) -> Option<Rate> {
        self.table.require(key, &format!("add `{key}`, as in `{key} = \"2Gbit\"`"), |node| {
            let (dimension, quantity) = units::quantity(node, self.dimensions, "2Gbit")?;
            let (range, unit) = match dimension {
                Dimension::PacketRate => (limits::PACKET_RATE, RateUnit::Frames),
                _ => (limits::BIT_RATE, self.count),
            };
            let quantity = units::check_range(node, dimension, quantity, &range)?;
            Some(Rate { quantity, unit })
        })
    }

    /// A second rate, which counts what the first does.
    fn rate_beside(self, key: &'static str, (first_key, first): (&str, Option<Rate>)) -> Option<Rate> {
        let rate = self.rate(key)?;
        if rate.unit == first?.unit {
            return Some(rate);
        }
        let counted = if rate.counts_frames() { ["packets", "bits"] } else { ["bits", "packets"] };
        let what = format!("`{key}` is in {}, but `{first_key}` in {}", counted[0], counted[1]);
        self.refuse(key, what, "write both in bits or both in packets")
    }

    /// Octets or frames that may come at once, as the rate counts.
    fn burst(self, key: &'static str, rate: Option<Rate>) -> Option<u64> {
        let cure = format!("add `{key}`, as in `{key} = \"1MiB\"` or `{key} = \"10ms\"`");
        self.table.require(key, &cure, |node| {
            let (dimension, burst) = units::quantity(node, &[Dimension::Octets, Dimension::Time], "1MiB")?;
            let rate = rate?;
            match dimension {
                Dimension::Time => burst_in_time(node, rate, burst),
                _ if rate.counts_frames() => {
                    let what = format!("`{}` is a size, but the rate counts packets", node.path());
                    node.refuse(what, "write a time, as in \"10ms\"")
                }
                _ => units::check_range(node, Dimension::Octets, burst, &bursts(rate.unit)),
            }
        })
    }

    fn refuse<T>(self, key: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Option<T> {
        self.table.get(key, |node| node.refuse(what, cure))
    }
}

/// What bursts can be, in what the rate counts. A bucket smaller than a frame would stop that frame for
/// ever.
fn bursts(unit: RateUnit) -> RangeInclusive<u64> {
    let octets = match unit {
        RateUnit::Frames => return limits::BURST_PACKETS,
        RateUnit::Octets => limits::BURST,
        RateUnit::WireOctets => limits::WIRE_BURST,
    };
    octets.start().get()..=octets.end().get()
}

/// A burst in time is what the rate lets through in it.
fn burst_in_time(node: &Node<'_>, rate: Rate, nanos: u64) -> Option<u64> {
    let range = bursts(rate.unit);
    let (passing, show): (_, fn(u64) -> String) = if rate.counts_frames() {
        ("packets", |packets| packets.to_string())
    } else {
        ("octets", |octets| Bytes::new(octets).to_string())
    };
    let burst = rate.within(nanos);
    let fitting = u64::try_from(burst).ok().filter(|burst| range.contains(burst));
    fitting.or_else(|| {
        let what = format!("`{}` is {burst} {passing} at this rate", node.path());
        let (least, most) = (show(*range.start()), show(*range.end()));
        node.refuse(what, format!("write a time in which {least} to {most} pass"))
    })
}

/// A rate and a burst in bits that frames wait for.
pub(super) fn shaper(node: &Node<'_>) -> Option<Shaper> {
    node.table(|table| {
        let reading = Reading::of(table, &[Dimension::BitRate]);
        let rate = reading.rate("rate");
        let burst = reading.burst("burst", rate);
        let rate = rate?;
        Some(Shaper { octets_per_second: rate.per_second(), burst: Bytes::new(burst?), unit: rate.unit })
    })
}

/// A shaper's rate as the file would have it.
pub(super) fn show(octets_per_second: u64) -> String {
    Dimension::BitRate.show(octets_per_second * 8)
}

/// A meter in one of its forms, and what becomes of the colours.
pub(super) fn policer(node: &Node<'_>) -> Option<Policer> {
    node.table(|table| {
        let form = Form::read(table);
        let reading = Reading::of(table, &[Dimension::BitRate, Dimension::PacketRate]);
        let meter = form.and_then(|form| algorithm(form, reading));
        let colour_aware = table.get("colour_aware", Node::boolean);
        let mut actions = [PolicerAction::Pass, PolicerAction::Pass, PolicerAction::Drop];
        for colour in Colour::ALL {
            if let Some(action) = table.get(colour.name(), action) {
                actions[colour as usize] = action;
            }
        }
        let form = form?;
        form.refuse_keys_of_others(table);
        if form == Form::OneRate {
            let what = "has no meaning with one rate, above which frames are red";
            table.refuse_keys(&["yellow"], what, "write `red`, or an `algorithm` that has yellow");
        }
        let (algorithm, unit) = meter?;
        if unit == RateUnit::Frames {
            let what = "has no meaning with a rate in packets, which all count alike";
            table.refuse_keys(&["count"], what, "remove it, or write the rate in bits");
        }
        // One rate has no yellow: aware of colours, it would turn all that comes yellow red.
        let colour_aware = colour_aware.unwrap_or(form != Form::OneRate);
        Some(Policer { meter: MeterSpec { algorithm, unit, colour_aware }, actions })
    })
}

/// Rates and bursts, and what they count.
fn algorithm(form: Form, reading: Reading<'_, '_>) -> Option<(MeterAlgorithm, RateUnit)> {
    let (rate_key, burst_key) = if form == Form::OneRate { ("rate", "burst") } else { ("cir", "cbs") };
    let committed = reading.rate(rate_key);
    let cbs = reading.burst(burst_key, committed);
    let beside = |key| reading.rate_beside(key, (rate_key, committed));
    let cir = committed.map(Rate::per_second);
    let algorithm = match form {
        Form::OneRate => MeterAlgorithm::SrTcm { cir: cir?, cbs: cbs?, ebs: 0 },
        Form::SrTcm => {
            let ebs = reading.burst("ebs", committed);
            MeterAlgorithm::SrTcm { cir: cir?, cbs: cbs?, ebs: ebs? }
        }
        Form::TrTcm => {
            let peak = beside("pir");
            let pbs = reading.burst("pbs", peak);
            let pir = peak_above(reading, committed?, peak?)?.per_second();
            MeterAlgorithm::TrTcm { cir: cir?, cbs: cbs?, pir, pbs: pbs? }
        }
        Form::TrTcm4115 => {
            let excess = beside("eir");
            let ebs = reading.burst("ebs", excess);
            MeterAlgorithm::TrTcm4115 { cir: cir?, cbs: cbs?, eir: excess?.per_second(), ebs: ebs? }
        }
    };
    Some((algorithm, committed?.unit))
}

fn peak_above(reading: Reading<'_, '_>, committed: Rate, peak: Rate) -> Option<Rate> {
    if peak.quantity >= committed.quantity {
        return Some(peak);
    }
    reading.refuse(
        "pir",
        "the peak rate is below the committed one, `cir`",
        format!("write at least \"{}\"", committed.show()),
    )
}

fn action(node: &Node<'_>) -> Option<PolicerAction> {
    if node.is_table() {
        return remark(node).map(PolicerAction::Remark);
    }
    if node.as_str().is_some() {
        return node.choice(&[("pass", PolicerAction::Pass), ("drop", PolicerAction::Drop)]);
    }
    node.refuse_type("string", "write \"pass\", \"drop\", or marks, as in { dei = true }")
}

fn remark(node: &Node<'_>) -> Option<Remark> {
    node.table(|table| {
        if table.is_empty() {
            let what = format!("`{}` marks nothing", node.path());
            return node.refuse(what, "add `pcp`, `dei` or `dscp`, or write \"pass\"");
        }
        Some(Remark {
            pcp: table.get("pcp", maps::pcp),
            dei: table.get("dei", Node::boolean),
            dscp: table.get("dscp", maps::dscp),
        })
    })
}
