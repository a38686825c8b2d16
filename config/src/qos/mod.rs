use pollux_net::{Dscp, Pcp, PcpCoding, TrafficClass};

use crate::Bytes;
use crate::port::check_name;
use crate::tree::{Key, Node, Table};

mod classes;
mod maps;
mod port;
mod rates;
mod rules;

pub use classes::{ClassSettings, Classes, Probability, Wred, WredCurve};
pub use rates::{Policer, PolicerAction, Remark, Shaper};
pub use rules::Rule;

pub(crate) use maps::unchanged;
pub(crate) use port::{PortQos, read as read_port};

use classes::ClassCount;

/// How ports that name it treat priorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QosProfile {
    /// What the file calls it.
    pub name: String,
    /// How many traffic classes there are, 1 to 8: 0 and those that follow it. No class in the profile
    /// is another.
    pub traffic_classes: usize,
    /// How tags tell priority and drop precedence.
    pub coding: PcpCoding,
    /// The class of each priority.
    pub priority_to_class: [TrafficClass; 8],
    /// The priority that each class is sent with; 0 for classes that aren't there.
    pub class_to_priority: [Pcp; TrafficClass::COUNT],
    /// Whether frames leave with their class's priority: the file says so with `class_to_pcp`. Otherwise they
    /// keep their own.
    pub sends_class_priority: bool,
    /// The class of each DSCP, where ports trust it.
    pub dscp_to_class: [TrafficClass; Dscp::COUNT],
    /// In which order classes are served.
    pub classes: Classes,
    /// What may come in. `None`: everything.
    pub ingress_rate: Option<Policer>,
    /// What may leave. `None`: everything.
    pub egress_rate: Option<Shaper>,
    /// What is said of single classes. Their `min_rate`s together are at most `egress_rate`.
    pub class: [ClassSettings; TrafficClass::COUNT],
    /// What happens to frames of some kinds: the first rule that fits counts. At most
    /// [`MAX_RULES`](crate::limits::MAX_RULES).
    pub rules: Vec<Rule>,
}

impl QosProfile {
    /// The smallest burst in octets of all policers; `None` if none counts octets. A frame passes if any of a
    /// policer's bursts holds it.
    pub(crate) fn smallest_policed_burst(&self) -> Option<Bytes> {
        let classes = self.class.iter().filter_map(|class| class.ingress_rate.as_ref());
        let rules = self.rules.iter().filter_map(|rule| rule.policer.as_ref());
        let policers = self.ingress_rate.iter().chain(classes).chain(rules);
        policers.filter_map(Policer::largest_burst).min()
    }

    /// What a profile is that says no more than how many traffic classes it has, 1 to 8.
    pub fn plain(name: &str, traffic_classes: usize) -> Self {
        let priority_to_class = maps::recommended(traffic_classes);
        Self {
            name: name.to_owned(),
            traffic_classes,
            coding: PcpCoding::default(),
            priority_to_class,
            class_to_priority: maps::representatives(traffic_classes),
            sends_class_priority: false,
            dscp_to_class: maps::by_priority(&priority_to_class),
            classes: Classes::strict(traffic_classes),
            ingress_rate: None,
            egress_rate: None,
            class: [ClassSettings::default(); TrafficClass::COUNT],
            rules: Vec::new(),
        }
    }
}

/// A QoS profile's name, and the profile unless it is at fault.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) profile: Option<QosProfile>,
}

/// Reads the `qos` table.
pub(crate) fn read_all(node: &Node<'_>) -> Option<Vec<Entry>> {
    node.table(|table| table.get("profiles", read_profiles))
}

fn read_profiles(node: &Node<'_>) -> Option<Vec<Entry>> {
    let entries = node.entries()?;
    let profiles = entries
        .iter()
        .map(|(name, key, node)| Entry { name: (*name).to_owned(), profile: read_profile(name, key, node) });
    Some(profiles.collect())
}

fn read_profile(name: &str, key: &Key<'_>, node: &Node<'_>) -> Option<QosProfile> {
    let named = check_name(name, key, "QoS profile");
    let profile = node.table(|table| {
        let count = ClassCount::read(table);
        let plain = QosProfile::plain(name, count.assumed());
        let coding = table.get("pcp_coding", maps::coding);
        let priority_to_class = table.get("pcp_to_class", |node| maps::priority_to_class(node, count));
        let priority_to_class = priority_to_class.unwrap_or(plain.priority_to_class);
        let class_to_priority = table.get("class_to_pcp", |node| maps::class_to_priority(node, count));
        let by_priority = maps::by_priority(&priority_to_class);
        let dscp_to_class = table.get("dscp_to_class", |node| maps::dscp_to_class(node, count, by_priority));
        let classes = table.get("classes", |node| classes::scheduling(node, count));
        let profile = QosProfile {
            coding: coding.unwrap_or_default(),
            priority_to_class,
            sends_class_priority: class_to_priority.is_some(),
            class_to_priority: class_to_priority.unwrap_or(plain.class_to_priority),
            dscp_to_class: dscp_to_class.unwrap_or(by_priority),
            classes: classes.unwrap_or(plain.classes),
            ingress_rate: table.get("ingress_rate", rates::policer),
            egress_rate: table.get("egress_rate", rates::shaper),
            class: table.get("class", |node| classes::settings(node, count)).unwrap_or_default(),
            rules: table.get("rules", |node| rules::read(node, count)).unwrap_or_default(),
            ..plain
        };
        refuse_guarantees_beyond_the_port(table, &profile);
        Some(profile)
    });
    named.and(profile)
}

/// Refuses an egress rate that leaves too little for what classes are guaranteed.
fn refuse_guarantees_beyond_the_port(table: &Table<'_>, profile: &QosProfile) {
    let guarantees = profile.class.iter().filter_map(|class| class.min_rate);
    let guaranteed: u64 = guarantees.map(|rate| rate.octets_per_second).sum();
    if profile.egress_rate.is_some_and(|rate| guaranteed > rate.octets_per_second) {
        table.get("egress_rate", |node| {
            let guaranteed = rates::show(guaranteed);
            let what = format!("the classes' `min_rate`s are {guaranteed} together, more than `egress_rate`");
            node.refuse::<()>(what, format!("lower them, or raise this to \"{guaranteed}\""))
        });
    }
}
