//! A port's priorities: from its profile in the file to what the data path applies, and what was counted of
//! it.

mod counted;
mod spec;

use std::sync::Arc;

use dpdk::{Eal, FlowAcl, Mbuf, RateMeter};
use hashbrown::HashMap;
use pollux_config::{Config, Port, QosProfile};
use pollux_engine::qos::{EgressQos, IngressQos, PortQueues, Service, Storage};
use pollux_net::{FlowMatch, MeterSpec, WorkerId};

use super::StartError;
use crate::worker::DpdkPlatform;

pub use counted::{ClassState, Colours, PolicerState, PortQosState, RateState, RuleState};
pub(super) use counted::{Measured, state};
pub(super) use spec::queue_mbufs;

type Snapshot = pollux_engine::Snapshot<DpdkPlatform>;

/// What a port's priorities are made of.
pub(super) struct PortQos {
    /// What they were made from.
    settings: Settings,
    ingress: Option<Arc<IngressQos<Arc<FlowAcl>, RateMeter>>>,
    egress: Option<Arc<EgressQos<Mbuf>>>,
    pub(super) measured: Measured,
}

/// What a port's priorities depend on.
#[derive(Clone, PartialEq)]
struct Settings {
    /// The port with what the file says of it.
    port: Port,
    /// `None`: the port names none.
    profile: Option<QosProfile>,
    service: Service,
}

/// Memory that a worker's queues are to be given.
pub(super) struct Enlargement {
    pub(super) worker: WorkerId,
    pub(super) queues: Arc<PortQueues<Mbuf>>,
    pub(super) storage: Storage<Mbuf>,
}

/// Makes the priorities of ports. Profiles' rules are built once.
pub(super) struct Maker<'a> {
    eal: &'a Eal,
    config: &'a Config,
    workers: usize,
    rules: HashMap<String, Arc<FlowAcl>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(eal: &'a Eal, config: &'a Config, workers: usize) -> Self {
        Self { eal, config, workers, rules: HashMap::new() }
    }

    /// What `port` is to have whose first receive queue `poller` polls: what it has, if nothing differs. What
    /// must grow before is added to `enlargements`.
    pub(super) fn make(
        &mut self,
        port: &Port,
        poller: usize,
        before: Option<&PortQos>,
        enlargements: &mut Vec<Enlargement>,
    ) -> Result<Option<PortQos>, StartError> {
        let profile = self.config.profile_of(port).cloned();
        let service = spec::service(port, profile.as_ref(), poller, self.workers);
        let settings = Settings { port: port.clone(), profile, service };
        if let Some(before) = before.filter(|before| before.settings == settings) {
            return Ok(Some(before.again()));
        }
        let queues = before.and_then(|before| before.egress.as_ref()).map(|egress| egress.queues().clone());
        let egress = match (&settings.profile, queues) {
            (None, None) => None,
            // A port that had classes keeps its queues, so that what waits in them leaves.
            (profile, queues) => {
                let plain = QosProfile::plain("", 8);
                let profile = profile.as_ref().unwrap_or(&plain);
                Some(self.egress(profile, service, queues, enlargements))
            }
        };
        let ingress = spec::ingress(port, settings.profile.as_ref()).map(|spec| {
            let plain = Vec::new();
            let profile = settings.profile.as_ref();
            let rules = match profile.filter(|profile| !profile.rules.is_empty()) {
                Some(profile) => Some(self.rules_of(profile)?),
                None => None,
            };
            let meters = profile.map_or(plain, spec::meters);
            let meters = meters.iter().map(|spec| self.meter(port, spec)).collect::<Result<_, _>>()?;
            Ok::<_, StartError>(Arc::new(IngressQos::new(&spec, rules, meters)))
        });
        let ingress = ingress.transpose()?;
        if ingress.is_none() && egress.is_none() {
            return Ok(None);
        }
        Ok(Some(PortQos { settings, ingress, egress, measured: Measured::default() }))
    }

    fn egress(
        &self,
        profile: &QosProfile,
        service: Service,
        queues: Option<Arc<PortQueues<Mbuf>>>,
        enlargements: &mut Vec<Enlargement>,
    ) -> Arc<EgressQos<Mbuf>> {
        let fresh = queues.is_none();
        let queues = queues.unwrap_or_else(|| Arc::new(PortQueues::new(self.workers)));
        for worker in spec::servers(service, self.workers) {
            let storage = Storage::new(spec::frames_waiting(profile));
            if fresh {
                // Nobody uses them yet.
                drop(queues.enlarge(worker, storage));
            } else {
                enlargements.push(Enlargement { worker, queues: queues.clone(), storage });
            }
        }
        Arc::new(EgressQos::new(&spec::egress(profile, service), queues, self.eal.tsc_hz()))
    }

    fn rules_of(&mut self, profile: &QosProfile) -> Result<Arc<FlowAcl>, StartError> {
        if let Some(rules) = self.rules.get(&profile.name) {
            return Ok(rules.clone());
        }
        let matches: Vec<FlowMatch> = profile.rules.iter().map(|rule| rule.matches.clone()).collect();
        let failed = |error| StartError::Rules(profile.name.clone(), error);
        let rules = Arc::new(FlowAcl::build(self.eal, &matches).map_err(failed)?);
        self.rules.insert(profile.name.clone(), rules.clone());
        Ok(rules)
    }

    fn meter(&self, port: &Port, spec: &MeterSpec) -> Result<RateMeter, StartError> {
        let failed = |error| StartError::Port(port.name.clone(), error);
        RateMeter::new(spec, pollux_cpu::cycles()).map_err(failed)
    }
}

impl PortQos {
    fn again(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            ingress: self.ingress.clone(),
            egress: self.egress.clone(),
            measured: self.measured.clone(),
        }
    }

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

    /// Frames that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.queues().map_or(0, PortQueues::waiting)
    }
}
