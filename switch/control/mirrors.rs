//! Mirrors as they run: what the file says of them, with their filters compiled and their counts.

use std::sync::Arc;

use dpdk::{Eal, PacketFilter};
use pollux_config::{Config, Directions, MirrorFrom as From, MirrorTo as To};
use pollux_engine::tap::{Mirror, MirrorCounts, MirrorFrom, MirrorTo};
use pollux_net::PortId;
use serde::Serialize;

use super::StartError;
use super::ports::LivePort;

/// A mirror that runs.
pub(super) struct LiveMirror {
    config: pollux_config::Mirror,
    filter: Option<Arc<PacketFilter>>,
    counts: Arc<MirrorCounts>,
}

/// A mirror, as people and programs see it; `docs/capture.md` describes the fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the page has them")]
pub struct MirrorState {
    pub name: String,
    pub from: Source,
    pub direction: Option<&'static str>,
    pub to: Target,
    pub filter: Option<String>,
    pub snap_length: Option<u32>,
    pub frames: u64,
    pub bytes: u64,
    pub lost: u64,
}

/// What a mirror copies, in the file's words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// These ports.
    Ports(Vec<String>),
    /// This VLAN.
    Vlan(u16),
    /// What is dropped.
    Dropped(bool),
}

/// Where copies go, in the file's words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This port.
    Port(String),
    /// This VLAN.
    Vlan(u16),
}

/// The mirrors of `config`. Those that are among `live` as they are keep their counts; a filter that one of them
/// has is there already.
pub(super) fn prepare(
    eal: &Eal,
    config: &Config,
    live: &[LiveMirror],
    workers: usize,
) -> Result<Vec<LiveMirror>, StartError> {
    let made = config.mirrors.iter().map(|mirror| {
        if let Some(same) = live.iter().find(|live| live.config == *mirror) {
            return Ok(LiveMirror {
                config: mirror.clone(),
                filter: same.filter.clone(),
                counts: same.counts.clone(),
            });
        }
        let compiled = live.iter().find(|live| live.config.filter == mirror.filter);
        let filter = match (compiled, mirror.filter.as_deref()) {
            (Some(same), _) => same.filter.clone(),
            (None, None) => None,
            (None, Some(filter)) => {
                let filter = PacketFilter::compile(eal, filter);
                Some(Arc::new(filter.map_err(|error| StartError::Mirror(mirror.name.clone(), error))?))
            }
        };
        let counts = Arc::new(MirrorCounts::new(workers));
        Ok(LiveMirror { config: mirror.clone(), filter, counts })
    });
    made.collect()
}

impl LiveMirror {
    /// As workers see it, with the numbers that its ports have now; `None` if what it needs isn't there.
    pub(super) fn of(&self, ports: &[LivePort]) -> Option<Mirror<Arc<PacketFilter>>> {
        let number = |name: &String| -> Option<PortId> {
            ports.iter().find(|port| port.name == *name).map(|port| port.id)
        };
        let from = match &self.config.from {
            &From::Vlan(vid, Directions { rx, tx }) => MirrorFrom::Vlan { vid, rx, tx },
            From::Ports(names, Directions { rx, tx }) => {
                let ports = names.iter().filter_map(number).collect();
                MirrorFrom::Ports { ports, rx: *rx, tx: *tx }
            }
            From::Dropped => MirrorFrom::Drops,
        };
        let to = match &self.config.to {
            To::Port(name) => MirrorTo::Port(number(name)?),
            To::Vlan(vid) => MirrorTo::Vlan(*vid),
        };
        let snap_length = self.config.snap_length.map(|len| len as usize);
        Some(Mirror { from, to, filter: self.filter.clone(), snap_length, counts: self.counts.clone() })
    }

    pub(super) fn state(&self) -> MirrorState {
        let Self { config, counts, .. } = self;
        let totals = counts.totals();
        let (from, directions) = match &config.from {
            From::Ports(names, directions) => (Source::Ports(names.clone()), Some(*directions)),
            From::Vlan(vid, directions) => (Source::Vlan(vid.value()), Some(*directions)),
            From::Dropped => (Source::Dropped(true), None),
        };
        MirrorState {
            name: config.name.clone(),
            from,
            direction: directions.and_then(Directions::word),
            to: match &config.to {
                To::Port(name) => Target::Port(name.clone()),
                To::Vlan(vid) => Target::Vlan(vid.value()),
            },
            filter: config.filter.clone(),
            snap_length: config.snap_length,
            frames: totals.frames,
            bytes: totals.octets,
            lost: totals.lost,
        }
    }
}
