use std::ops::RangeInclusive;

use pollux_net::{Dscp, Pcp, PcpCoding, TrafficClass};

use super::classes::ClassCount;
use crate::tree::{Key, Node, all, ends};

/// How many priorities there are.
const PRIORITIES: usize = 8;

/// Every priority as it was.
pub(crate) fn unchanged() -> [Pcp; PRIORITIES] {
    [0, 1, 2, 3, 4, 5, 6, 7].map(|value| Pcp::new(value).unwrap_or_default())
}

/// A priority.
pub(super) fn pcp(node: &Node<'_>) -> Option<Pcp> {
    Pcp::new(node.number(&(0..=7))?)
}

pub(super) fn coding(node: &Node<'_>) -> Option<PcpCoding> {
    node.choice(&PcpCoding::ALL.map(|coding| (coding.name(), coding)))
}

/// The class of each priority, unless the file says.
pub(super) fn recommended(classes: usize) -> [TrafficClass; PRIORITIES] {
    unchanged().map(|pcp| TrafficClass::recommended(pcp, classes))
}

/// The priority of each class, unless the file says; 0 for classes that aren't there.
pub(super) fn representatives(classes: usize) -> [Pcp; TrafficClass::COUNT] {
    let mut pcps = [Pcp::ZERO; TrafficClass::COUNT];
    for class in TrafficClass::all().take(classes) {
        pcps[class.index()] = class.representative(classes);
    }
    pcps
}

/// The class of each DSCP, unless the file says: that of the priority it stands for.
pub(super) fn by_priority(classes: &[TrafficClass; PRIORITIES]) -> [TrafficClass; Dscp::COUNT] {
    let mut map = [TrafficClass::default(); Dscp::COUNT];
    for dscp in Dscp::all() {
        map[dscp.index()] = classes[usize::from(dscp.priority().value())];
    }
    map
}

pub(super) fn priority_to_class(node: &Node<'_>, count: ClassCount) -> Option<[TrafficClass; PRIORITIES]> {
    let example = recommended(count.assumed()).map(TrafficClass::value);
    let cure = format!(
        "write 8 numbers from 0 to {}, the first for priority 0, as in {example:?}",
        count.assumed() - 1
    );
    map(node, Some(PRIORITIES), &cure, |item| count.class(item))
}

pub(super) fn class_to_priority(node: &Node<'_>, count: ClassCount) -> Option<[Pcp; TrafficClass::COUNT]> {
    let classes = count.assumed();
    let example = &representatives(classes).map(Pcp::value)[..classes];
    let cure = match classes {
        1 => "write one number from 0 to 7, as in [0]".to_owned(),
        _ => format!("write {classes} numbers from 0 to 7, the first for class 0, as in {example:?}"),
    };
    map(node, count.known(), &cure, pcp)
}

/// What a port makes of each priority that tags bring.
pub(super) fn regeneration(node: &Node<'_>) -> Option<[Pcp; PRIORITIES]> {
    let cure = "write 8 numbers from 0 to 7, the first for priority 0, as in [0, 1, 2, 3, 4, 5, 6, 7]";
    map(node, Some(PRIORITIES), cure, pcp)
}

/// A list of so many, if it is known how many.
fn map<T: Copy + Default>(
    node: &Node<'_>,
    count: Option<usize>,
    cure: &str,
    read: impl Fn(&Node<'_>) -> Option<T>,
) -> Option<[T; 8]> {
    let items = node.list(cure, read)?;
    if let Some(count) = count.filter(|count| *count != items.len()) {
        let entries = if items.len() == 1 { "entry" } else { "entries" };
        return node.refuse(format!("`{}` has {} {entries}, not {count}", node.path(), items.len()), cure);
    }
    let mut map = [T::default(); 8];
    for (slot, item) in map.iter_mut().zip(items) {
        *slot = item;
    }
    Some(map)
}

/// The classes of some DSCPs; the others keep theirs.
pub(super) fn dscp_to_class(
    node: &Node<'_>,
    count: ClassCount,
    mut classes: [TrafficClass; Dscp::COUNT],
) -> Option<[TrafficClass; Dscp::COUNT]> {
    let kind = node.path();
    let entries = node.entries()?;
    let entries = all(entries.iter().map(|(name, key, node)| {
        let dscps = dscps_of(name, key);
        let class = count.class(node);
        let dscps = dscps?;
        dscps.clone().try_for_each(|dscp| key.unique(kind, dscp, "this DSCP has a class already"))?;
        Some((dscps, class?))
    }));
    for (dscps, class) in entries? {
        classes[usize::from(*dscps.start())..=usize::from(*dscps.end())].fill(class);
    }
    Some(classes)
}

const DSCP_CURE: &str = "write a number from 0 to 63 or a name, as in \"ef\", \"cs6\" or \"af41\"";

/// A DSCP by number or name.
pub(super) fn dscp(node: &Node<'_>) -> Option<Dscp> {
    if node.is_integer() {
        return Dscp::new(node.number(&(0..=63))?);
    }
    let dscp = node.text(DSCP_CURE)?.parse().ok();
    dscp.or_else(|| node.refuse(format!("`{}` is no DSCP", node.path()), DSCP_CURE))
}

/// A DSCP by number or name, or a range of them.
pub(super) fn dscps(node: &Node<'_>) -> Option<RangeInclusive<u8>> {
    match node.as_str() {
        Some(text) => dscps_of(text, &node.as_key()),
        None => dscp(node).map(|dscp| dscp.value()..=dscp.value()),
    }
}

fn dscps_of(text: &str, key: &Key<'_>) -> Option<RangeInclusive<u8>> {
    let Some((first, last)) = ends(text, |end| end.parse::<Dscp>().ok()) else {
        return key.refuse("this is no DSCP", format!("{DSCP_CURE}, or a range, as in \"0-7\""));
    };
    if first > last {
        return key.refuse("this range runs backwards", format!("write \"{last}-{first}\""));
    }
    Some(first.value()..=last.value())
}
