//! Priorities: what a port makes of those that come, and what it sends.

use pollux_net::{FlowKey, FlowMatch, PcpCoding, Trust, Vid, dscp};

/// A port's classes and maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelProfile {
    /// How many classes there are.
    pub classes: usize,
    /// How tags tell priorities.
    pub coding: PcpCoding,
    /// What each received priority becomes.
    pub regeneration: [u8; 8],
    /// The class of each priority.
    pub priority_to_class: [u8; 8],
    /// The priority of each class.
    pub class_to_priority: [u8; 8],
    /// Whether frames leave with their class's priority, and not with their own.
    pub sends_class_priority: bool,
    /// The class of each DSCP.
    pub dscp_to_class: [u8; 64],
    /// Rules, the first that fits first, with the class that they give.
    pub rules: Vec<(FlowMatch, Option<u8>)>,
}

/// What a frame says of itself, or the port of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) pcp: u8,
    pub(crate) dei: bool,
    pub(crate) by_tag: bool,
}

/// What a frame is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    pub(crate) pcp: u8,
    pub(crate) dei: bool,
    /// The class that something else than its priority gave it, of how many.
    pub(crate) class: Option<(usize, u8)>,
}

/// IEEE 802.1Q-2022 table 6-3: the priority of each PCP, 7 first, and whether it may be dropped first.
fn decoding(coding: PcpCoding) -> [(u8, bool); 8] {
    let (no, yes) = (false, true);
    match coding {
        PcpCoding::P8D0 => [(7, no), (6, no), (5, no), (4, no), (3, no), (2, no), (1, no), (0, no)],
        PcpCoding::P7D1 => [(7, no), (6, no), (4, no), (4, yes), (3, no), (2, no), (1, no), (0, no)],
        PcpCoding::P6D2 => [(7, no), (6, no), (4, no), (4, yes), (2, no), (2, yes), (1, no), (0, no)],
        PcpCoding::P5D3 => [(7, no), (6, no), (4, no), (4, yes), (2, no), (2, yes), (0, no), (0, yes)],
    }
}

/// IEEE 802.1Q-2022 table 6-2: the PCP of each priority, 7 first, and of those that may be dropped first.
fn encoding(coding: PcpCoding) -> [(u8, u8); 8] {
    match coding {
        PcpCoding::P8D0 => [(7, 7), (6, 6), (5, 5), (4, 4), (3, 3), (2, 2), (1, 1), (0, 0)],
        PcpCoding::P7D1 => [(7, 7), (6, 6), (5, 4), (5, 4), (3, 3), (2, 2), (1, 1), (0, 0)],
        PcpCoding::P6D2 => [(7, 7), (6, 6), (5, 4), (5, 4), (3, 2), (3, 2), (1, 1), (0, 0)],
        PcpCoding::P5D3 => [(7, 7), (6, 6), (5, 4), (5, 4), (3, 2), (3, 2), (1, 0), (1, 0)],
    }
}

/// IEEE 802.1Q-2022 table 8-5: which priority stands for each class, by the number of classes.
fn stands_for(classes: usize, class: u8) -> u8 {
    let row: &[u8] = match classes {
        1 => &[0],
        2 => &[0, 7],
        3 => &[0, 5, 7],
        4 => &[0, 3, 5, 7],
        5 => &[0, 3, 5, 6, 7],
        6 => &[1, 0, 3, 5, 6, 7],
        7 => &[1, 0, 2, 3, 5, 6, 7],
        _ => &[1, 0, 2, 3, 4, 5, 6, 7],
    };
    row[usize::from(class)]
}

/// What a frame is worth behind the port that took it.
pub(crate) fn receive(
    profile: Option<&ModelProfile>,
    trust: Trust,
    said: Said,
    frame: &[u8],
    vid: Vid,
) -> Worth {
    let Said { pcp, dei, by_tag } = said;
    let Some(profile) = profile else { return Worth { pcp, dei, class: None } };
    // A tag's PCP is decoded, a port's default is a priority already.
    let (priority, coded) =
        if by_tag { decoding(profile.coding)[usize::from(7 - pcp)] } else { (pcp, false) };
    let mut pcp = profile.regeneration[usize::from(priority)];
    let mut dei = dei || coded;
    let mut decided = None;
    if trust == Trust::Dscp
        && let Some(dscp) = dscp(frame)
    {
        let class = profile.dscp_to_class[dscp.index()];
        decided = Some(class);
        pcp = profile.class_to_priority[usize::from(class)];
        // AFx2 and AFx3 (RFC 2597).
        dei = [12, 14, 20, 22, 28, 30, 36, 38].contains(&dscp.value());
    }
    let key = FlowKey::of(frame, vid);
    if let Some((_, Some(ruled))) = profile.rules.iter().find(|(rule, _)| rule.fits(&key)) {
        decided = Some(*ruled);
        pcp = profile.class_to_priority[usize::from(*ruled)];
    }
    Worth { pcp, dei, class: decided.map(|class| (profile.classes, class)) }
}

/// The PCP and DEI with which a port sends a frame of this worth, and whether its priority says anything.
pub(crate) fn send(profile: Option<&ModelProfile>, worth: Worth) -> (u8, bool, bool) {
    let Worth { mut pcp, dei, class } = worth;
    let Some(profile) = profile else { return (pcp, dei, pcp > 0 || dei) };
    if profile.sends_class_priority {
        let class = match class {
            None => profile.priority_to_class[usize::from(pcp)],
            Some((classes, class)) if classes == profile.classes => class,
            Some((classes, class)) => profile.priority_to_class[usize::from(stands_for(classes, class))],
        };
        pcp = profile.class_to_priority[usize::from(class)];
    }
    let (kept, droppable) = encoding(profile.coding)[usize::from(7 - pcp)];
    (if dei { droppable } else { kept }, dei, pcp > 0 || dei)
}
