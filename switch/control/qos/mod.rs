//! A port's priorities: from its profile in the file to what the data path applies, and what was counted of
//! it.

mod counted;
mod spec;

use std::sync::Arc;

use dpdk::{Eal, FlowAcl, Mbuf, RateMeter};
use pollux_config::{Config, Port, QosProfile, Rule};
use pollux_engine::qos::{EgressQos, IngressQos, PortQueues, Service, Storage};
use pollux_net::{FlowMatch, MeterSpec, Pcp, TrafficClass, Trust, WorkerId};

use super::StartError;
use crate::worker::DpdkPlatform;

pub use counted::{ClassDrops, ClassState, Colours, PolicerState, PortQosState, RateState, RuleState};
pub(super) use counted::{Measured, state};
pub(super) use spec::queue_mbufs;

type Snapshot = pollux_engine::Snapshot<DpdkPlatform>;

/// What a port's priorities are made of.
#[derive(Clone)]
pub(super) struct PortQos {
    /// What they were made from.
    settings: Settings,
    rules: Option<Arc<FlowAcl>>,
    ingress: Option<Arc<IngressQos<Arc<FlowAcl>, RateMeter>>>,
    egress: Option<Arc<EgressQos<Mbuf>>>,
    measured: Measured,
}

/// What a port's priorities depend on.
#[derive(Clone, PartialEq)]
struct Settings {
    trust: Trust,
    default_pcp: Pcp,
    pcp_regeneration: [Pcp; 8],
    /// `None`: the port names none.
    profile: Option<QosProfile>,
    service: Service,
}

/// Memory that a port's queues are to be given by the worker that serves them.
pub(super) struct Enlargement {
    pub(super) server: WorkerId,
    pub(super) queues: Arc<PortQueues<Mbuf>>,
    pub(super) storage: Storage<Mbuf>,
}

/// Makes the priorities of ports. Equal rules are built once.
pub(super) struct Maker<'a> {
    eal: &'a Eal,
    config: &'a Config,
    workers: usize,
    rules: Vec<(Vec<Rule>, Arc<FlowAcl>)>,
}

impl<'a> Maker<'a> {
    /// `live`: what ports have already.
    pub(super) fn new<'q>(
        eal: &'a Eal,
        config: &'a Config,
        workers: usize,
        live: impl Iterator<Item = &'q PortQos>,
    ) -> Self {
        let rules =
            live.filter_map(|qos| Some((qos.settings.profile.as_ref()?.rules.clone(), qos.rules.clone()?)));
        Self { eal, config, workers, rules: rules.collect() }
    }

    /// What `port` is to have whose first receive queue `poller` polls: what it has, as far as nothing differs.
    /// What must grow before is added to `enlargements`.
    pub(super) fn make(
        &mut self,
        port: &Port,
        poller: usize,
        before: Option<&PortQos>,
        enlargements: &mut Vec<Enlargement>,
    ) -> Result<Option<PortQos>, StartError> {
        let profile = self.config.profile_of(port).cloned();
        let settings = Settings {
            trust: port.vlan.trust,
            default_pcp: port.vlan.default_pcp,
            pcp_regeneration: port.pcp_regeneration,
            service: spec::service(port, profile.as_ref(), poller, self.workers),
            profile,
        };
        if let Some(before) = before.filter(|before| before.settings == settings) {
            return Ok(Some(before.clone()));
        }
        let egress = self.egress(&settings, before, enlargements);
        let spec = spec::ingress(port, settings.profile.as_ref());
        let rules = match settings.profile.as_ref().filter(|profile| !profile.rules.is_empty()) {
            Some(profile) => Some(self.rules_of(profile)?),
            None => None,
        };
        let meters = settings.profile.as_ref().map(spec::meters).unwrap_or_default();
        let meters = meters.iter().map(|spec| meter(port, spec)).collect::<Result<_, _>>()?;
        let ingress = spec.map(|spec| Arc::new(IngressQos::new(&spec, rules.clone(), meters)));
        if ingress.is_none() && egress.is_none() {
            return Ok(None);
        }
        Ok(Some(PortQos { settings, rules, ingress, egress, measured: Measured::default() }))
    }

    fn egress(
        &self,
        settings: &Settings,
        before: Option<&PortQos>,
        enlargements: &mut Vec<Enlargement>,
    ) -> Option<Arc<EgressQos<Mbuf>>> {
        let live = before.and_then(|before| Some((before, before.egress.as_ref()?)));
        if let Some((before, egress)) = live
            && before.settings.profile == settings.profile
            && before.settings.service == settings.service
        {
            return Some(egress.clone());
        }
        let plain = QosProfile::plain("", TrafficClass::COUNT);
        let (profile, queues) = match (&settings.profile, live) {
            (None, None) => return None,
            // What waits still leaves.
            (None, Some((_, egress))) => (&plain, egress.queues().clone()),
            (Some(profile), Some((_, egress))) => {
                let queues = egress.queues().clone();
                let storage = Storage::new(spec::frames_waiting(profile));
                enlargements.push(Enlargement {
                    server: settings.service.server,
                    queues: queues.clone(),
                    storage,
                });
                (profile, queues)
            }
            (Some(profile), None) => {
                let queues = Arc::new(PortQueues::new(self.workers));
                // Nobody uses them yet.
                drop(queues.enlarge(Storage::new(spec::frames_waiting(profile))));
                (profile, queues)
            }
        };
        Some(Arc::new(EgressQos::new(&spec::egress(profile, settings.service), queues, self.eal.tsc_hz())))
    }

    fn rules_of(&mut self, profile: &QosProfile) -> Result<Arc<FlowAcl>, StartError> {
        if let Some((_, built)) = self.rules.iter().find(|(rules, _)| *rules == profile.rules) {
            return Ok(built.clone());
        }
        let matches: Vec<FlowMatch> = profile.rules.iter().map(|rule| rule.matches.clone()).collect();
        let failed = |error| StartError::Rules(profile.name.clone(), error);
        let built = Arc::new(FlowAcl::build(self.eal, &matches).map_err(failed)?);
        self.rules.push((profile.rules.clone(), built.clone()));
        Ok(built)
    }
}

fn meter(port: &Port, spec: &MeterSpec) -> Result<RateMeter, StartError> {
    let failed = |error| StartError::Port(port.name.clone(), error);
    RateMeter::new(spec, pollux_cpu::cycles()).map_err(failed)
}

impl PortQos {
    /// Adds a port's priorities to what workers are to see.
    pub(super) fn add_to(&self, mut snapshot: Snapshot, port: pollux_net::PortId) -> Snapshot {
        if let Some(ingress) = &self.ingress {
            snapshot = snapshot.with_ingress(port, ingress.clone());
        }
        match &self.egress {
            Some(egress) => snapshot.with_egress(port, egress.clone()),
            None => snapshot,
        }
    }

    /// The queues, if there are any.
    pub(super) fn queues(&self) -> Option<&PortQueues<Mbuf>> {
        self.egress.as_ref().map(|egress| &**egress.queues())
    }

    /// Lets go of queues that nothing waits in and no profile has any more. Returns whether it did.
    pub(super) fn let_go(&mut self) -> bool {
        let ended = self.settings.profile.is_none() && self.egress.is_some() && self.waiting() == 0;
        if ended {
            self.egress = None;
        }
        ended
    }

    /// Frames that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.queues().map_or(0, PortQueues::waiting)
    }
}
