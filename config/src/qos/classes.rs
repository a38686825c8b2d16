use std::fmt;

use pollux_net::{Colour, TrafficClass};

use super::rates::{self, Policer, Shaper};
use crate::tree::{Key, Node, Table, all};
use crate::{Bytes, limits, units};

/// How classes share a port. Every class of the profile is in one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// Served first, in this order, each until it is empty.
    pub strict: Vec<TrafficClass>,
    /// Share what is left in proportion to their weights.
    pub dwrr: Vec<(TrafficClass, u16)>,
}

impl Classes {
    /// Strict priority for so many classes, the standard's default (IEEE 802.1Q-2022 clause 8.6.8.1).
    pub fn strict(classes: usize) -> Self {
        let highest_first = TrafficClass::descending().filter(|class| class.index() < classes);
        Self { strict: highest_first.collect(), dwrr: Vec::new() }
    }
}

/// What a profile says of one traffic class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassSettings {
    /// What of the class may come in. `None`: everything.
    pub ingress_rate: Option<Policer>,
    /// What the class may send before others share the rest. `None`: nothing is kept for it.
    pub min_rate: Option<Shaper>,
    /// What the class may send at most; at least `min_rate`. `None`: as much as the port.
    pub max_rate: Option<Shaper>,
    /// What its queue at a port holds.
    pub queue: Bytes,
    /// How its queue drops before it is full. `None`: not at all.
    pub wred: Option<Wred>,
}

impl Default for ClassSettings {
    fn default() -> Self {
        Self {
            ingress_rate: None,
            min_rate: None,
            max_rate: None,
            queue: limits::DEFAULT_CLASS_QUEUE,
            wred: None,
        }
    }
}

/// Weighted random early detection (Floyd and Jacobson 1993), a curve for each colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wred {
    /// By [`Colour`], at least one. `None`: that colour is dropped by a full queue only.
    pub curves: [Option<WredCurve>; Colour::COUNT],
    /// What a new length of the queue counts in its average: 2 to the power of minus this.
    pub weight: u8,
}

/// How likely a frame is dropped at which average length of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WredCurve {
    /// Up to here none is.
    pub min: Bytes,
    /// Beyond here all are. At least `min`, at most what the queue holds.
    pub max: Bytes,
    /// Its probability at `max`, to which it rises from `min` in a straight line.
    pub probability: Probability,
}

/// A probability above 0, up to 1. Displays as a decimal fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u32);

impl Probability {
    /// That of what always happens.
    pub const ONE: Self = Self(1_000_000_000);

    /// In thousand millionths, the steps in which it is kept.
    pub const fn per_billion(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.0) / f64::from(Self::ONE.0)).fmt(f)
    }
}

/// How many traffic classes a profile has, from 0 up. `None`: the file says it wrongly, and nothing
/// follows from it.
#[derive(Clone, Copy)]
pub(super) struct ClassCount(Option<usize>);

impl ClassCount {
    pub(super) fn read(table: &Table<'_>) -> Self {
        match table.find("traffic_classes") {
            Some(node) => Self(node.number(&limits::TRAFFIC_CLASSES)),
            None => Self(Some(TrafficClass::COUNT)),
        }
    }

    pub(super) const fn known(self) -> Option<usize> {
        self.0
    }

    /// The number, or the most where it isn't known.
    pub(super) fn assumed(self) -> usize {
        self.0.unwrap_or(TrafficClass::COUNT)
    }

    /// A class of the profile.
    pub(super) fn class(self, node: &Node<'_>) -> Option<TrafficClass> {
        let class = TrafficClass::new(node.number(&(0..=7))?)?;
        self.check(class, &node.as_key())
    }

    /// A class of the profile by the key that is its number.
    fn class_named(self, name: &str, key: &Key<'_>) -> Option<TrafficClass> {
        let class = match name.as_bytes() {
            [digit @ b'0'..=b'7'] => TrafficClass::new(digit - b'0'),
            _ => None,
        };
        let class = class.or_else(|| key.refuse("this is no traffic class", "write a number from 0 to 7"))?;
        self.check(class, key)
    }

    fn check(self, class: TrafficClass, key: &Key<'_>) -> Option<TrafficClass> {
        if class.index() < self.assumed() {
            return Some(class);
        }
        let what = format!("the profile has no traffic class {class}");
        let cure = match self.assumed() - 1 {
            0 => "write 0, its only one, or raise `traffic_classes`".to_owned(),
            highest => format!("write a number from 0 to {highest}, or raise `traffic_classes`"),
        };
        key.refuse(what, cure)
    }
}

/// The order in which classes are served.
pub(super) fn scheduling(node: &Node<'_>, count: ClassCount) -> Option<Classes> {
    node.table(|table| {
        let kind = table.node().path();
        let listed = "this class is listed already";
        let strict = |node: &Node<'_>| {
            node.list("write a list of classes, as in [7, 6]", |item| {
                let class = count.class(item)?;
                item.unique(kind, class, listed)?;
                Some(class)
            })
        };
        let dwrr = |node: &Node<'_>| {
            let entries = node.entries()?;
            all(entries.iter().map(|(name, key, node)| {
                let class = count.class_named(name, key);
                let weight = node.number(&limits::DWRR_WEIGHT);
                key.unique(kind, class?, listed)?;
                Some((class?, weight?))
            }))
        };
        // An absent key is an empty list; one at fault says nothing of what is missing.
        let strict = read_or_empty(table, "strict", strict);
        let dwrr = read_or_empty(table, "dwrr", dwrr);
        let classes = Classes { strict: strict?, dwrr: dwrr? };
        refuse_missing(table.node(), &classes, count.known()?)?;
        Some(classes)
    })
}

fn read_or_empty<T>(
    table: &Table<'_>,
    key: &'static str,
    read: impl FnOnce(&Node<'_>) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    match table.find(key) {
        Some(node) => read(&node),
        None => Some(Vec::new()),
    }
}

fn refuse_missing(node: &Node<'_>, classes: &Classes, count: usize) -> Option<()> {
    let listed = |class: &TrafficClass| {
        classes.strict.contains(class) || classes.dwrr.iter().any(|(listed, _)| listed == class)
    };
    let wanted = Classes::strict(count).strict;
    let missing: Vec<_> = wanted.iter().filter(|class| !listed(class)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Some(());
    }
    let what = format!("`{}` leaves classes out", node.path());
    node.refuse(what, format!("add {} to `strict` or, with a weight, to `dwrr`", missing.join(", ")))
}

/// The `class` table, whose keys are classes.
pub(super) fn settings(node: &Node<'_>, count: ClassCount) -> Option<[ClassSettings; TrafficClass::COUNT]> {
    let mut settings = [ClassSettings::default(); TrafficClass::COUNT];
    let entries = node.entries()?;
    let entries = all(entries.iter().map(|(name, key, node)| {
        let class = count.class_named(name, key);
        let read = node.table(read_settings);
        Some((class?, read?))
    }));
    for (class, read) in entries? {
        settings[class.index()] = read;
    }
    Some(settings)
}

fn read_settings(table: &Table<'_>) -> Option<ClassSettings> {
    let ingress_rate = table.get("ingress_rate", rates::policer);
    let min_rate = table.get("min_rate", rates::shaper);
    let max_rate = table.get("max_rate", rates::shaper);
    if let (Some(min), Some(max)) = (min_rate, max_rate)
        && min.octets_per_second > max.octets_per_second
    {
        table.get("min_rate", |node| {
            let most = rates::show(max.octets_per_second);
            let what = format!("`{}` is above `max_rate`", node.path());
            node.refuse::<()>(what, format!("write \"{most}\" at most, or raise `max_rate`"))
        });
    }
    let queue = match table.find("queue") {
        Some(node) => units::bytes(&node, &limits::CLASS_QUEUE, "256KiB"),
        None => Some(limits::DEFAULT_CLASS_QUEUE),
    };
    let wred = table.get("wred", |node| wred(node, queue));
    Some(ClassSettings { ingress_rate, min_rate, max_rate, queue: queue?, wred })
}

/// Curves under the bound of a queue, if that is known.
fn wred(node: &Node<'_>, queue: Option<Bytes>) -> Option<Wred> {
    node.table(|table| {
        let mut curves = [None; Colour::COUNT];
        for colour in Colour::ALL {
            curves[colour as usize] = table.get(colour.name(), |node| curve(node, queue));
        }
        let weight = table.get("weight", |node| node.number(&limits::WRED_WEIGHT));
        let colours = Colour::ALL.map(Colour::name);
        if colours.iter().all(|colour| table.find(colour).is_none()) {
            let what = format!("`{}` drops no colour", node.path());
            let cure = "add one, as in `yellow = { min = \"64KiB\", max = \"128KiB\", probability = 0.1 }`";
            return table.refuse_lack(&colours, what, cure);
        }
        Some(Wred { curves, weight: weight.unwrap_or(limits::DEFAULT_WRED_WEIGHT) })
    })
}

fn curve(node: &Node<'_>, queue: Option<Bytes>) -> Option<WredCurve> {
    let length = |node: &Node<'_>| units::bytes(node, &limits::WRED_LENGTH, "128KiB");
    node.table(|table| {
        let min = table.require("min", "add where dropping starts, as in `min = \"128KiB\"`", length);
        let max = table.require("max", "add where all is dropped, as in `max = \"256KiB\"`", |node| {
            let max = length(node)?;
            if let Some(min) = min.filter(|min| *min > max) {
                let what = format!("`{}` is below `min`", node.path());
                return node.refuse(what, format!("write \"{min}\" or more, or lower `min`"));
            }
            match queue.filter(|queue| max > *queue) {
                Some(queue) => {
                    let what = format!("`{}` is more than the queue holds", node.path());
                    node.refuse(what, format!("write \"{queue}\" at most, or raise `queue`"))
                }
                None => Some(max),
            }
        });
        let cure = "add how much is dropped at `max`, as in `probability = 0.1`";
        let probability = table.require("probability", cure, probability);
        Some(WredCurve { min: min?, max: max?, probability: probability? })
    })
}

fn probability(node: &Node<'_>) -> Option<Probability> {
    let cure = "write a number above 0, up to 1, as in 0.1";
    let steps = (node.fraction(cure)? * f64::from(Probability::ONE.0)).round();
    if (1.0..=f64::from(Probability::ONE.0)).contains(&steps) {
        Some(Probability(steps as u32))
    } else {
        node.refuse(format!("`{}` is no probability of dropping", node.path()), cure)
    }
}
