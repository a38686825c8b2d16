//! What is measured, in which order, and how long that takes.
//!
//! Rounds are outermost, and systems take turns in each, so that what drifts on the host touches all of them. Within a
//! round a system is started once for all that it is measured with on the same wires.

use std::fmt::Write;
use std::time::Duration;

use super::name::{self, Name};
use super::tests::{Settings, Test};
use crate::systems::Kind;
use crate::tester::protocol::Sizes;
use crate::wires::{End, Topology};

/// What is chosen of everything that can be measured.
#[derive(Clone)]
pub(crate) struct Choice {
    /// Who is measured on what.
    pub(crate) teams: Vec<(Topology, Vec<Kind>)>,
    /// Of these the first is what tests use that don't go through all.
    pub(crate) sizes: Vec<Sizes>,
    pub(crate) flows: Vec<u32>,
    pub(crate) tests: Vec<&'static Test>,
    /// Patterns of names; none: all.
    pub(crate) only: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) cores: u32,
    pub(crate) settings: Settings,
}

/// A plan.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    pub(crate) beds: Vec<BedPlan>,
}

/// What is measured with a system that is started once.
#[derive(Clone)]
pub(crate) struct BedPlan {
    pub(crate) round: u32,
    pub(crate) system: Kind,
    pub(crate) topology: Topology,
    /// The test that the system is started for alone.
    pub(crate) alone: Option<&'static Test>,
    pub(crate) items: Vec<Item>,
}

/// A measurement.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Name,
    pub(crate) test: &'static Test,
}

/// Tests that go through all sizes and all rounds even in a smoke run, and the one that goes through all flows.
const EVERYWHERE: [&str; 2] = ["ndr", "throughput"];
const BY_FLOWS: &str = "ndr";

/// Tests that go through all sizes but in a smoke run.
const BY_SIZES: [&str; 5] = ["ndr", "throughput", "latency", "loss", "back-to-back"];

/// Ports of the bed on which tests run that need more than two.
const MESH: u8 = 4;

impl Choice {
    pub(crate) fn plan(&self) -> Plan {
        let mut beds = Vec::new();
        for round in 0..self.rounds {
            for (place, (topology, systems)) in self.teams.iter().enumerate() {
                let turns = round as usize % systems.len().max(1);
                let (later, first) = systems.split_at(turns);
                // In a smoke run one topology has to do for what needs more ports.
                let scenes = self.scenes(*topology).into_iter();
                for scene in scenes.filter(|scene| {
                    !self.settings.short || place == 0 || scene.topology.ports() <= topology.ports()
                }) {
                    let systems = first.iter().chain(later);
                    beds.extend(systems.map(|system| self.bed(round, *system, &scene)));
                }
            }
        }
        beds.retain(|bed| !bed.items.is_empty());
        Plan { beds }
    }

    /// The beds that tests need on a topology.
    fn scenes(&self, topology: Topology) -> Vec<Scene> {
        let usual = |test: &&'static Test| !test.is_alone();
        let (few, many): (Vec<_>, Vec<_>) =
            self.tests.iter().filter(|test| usual(test)).partition(|test| test.ports <= topology.ports());
        let mut scenes = vec![Scene { topology, alone: None, tests: few }];
        if let Some(mesh) = topology.with_ports(MESH).filter(|_| !many.is_empty()) {
            let tests = many.into_iter().filter(|test| test.ports <= MESH).collect();
            scenes.push(Scene { topology: mesh, alone: None, tests });
        }
        let alone = self.tests.iter().copied().filter(|test| test.is_alone());
        scenes.extend(alone.filter_map(|test| {
            let topology = topology.with_ports(test.ports.max(topology.ports()))?;
            Some(Scene { topology, alone: Some(test), tests: vec![test] })
        }));
        scenes
    }

    fn bed(&self, round: u32, system: Kind, scene: &Scene) -> BedPlan {
        let tests = scene.tests.iter().filter(|test| (test.takes_part)(system));
        let tests = tests.filter(|test| round == 0 || !self.settings.short || EVERYWHERE.contains(&test.id));
        let items = tests.flat_map(|test| self.items(round, test, scene.topology));
        BedPlan {
            round,
            system,
            topology: scene.topology,
            alone: scene.alone,
            items: items.filter(|item| self.is_chosen(&item.name)).collect(),
        }
    }

    fn items(&self, round: u32, test: &'static Test, topology: Topology) -> Vec<Item> {
        let item = |sizes: &Sizes, flows: u32| Item { name: self.name(test, topology, sizes, flows), test };
        let by_sizes = match self.settings.short {
            true => EVERYWHERE.contains(&test.id),
            false => BY_SIZES.contains(&test.id),
        };
        let sizes = if by_sizes { &self.sizes[..] } else { &self.sizes[..self.sizes.len().min(1)] };
        let Some(usual) = self.flows.first().copied() else { return Vec::new() };
        let mut items: Vec<Item> = sizes.iter().map(|sizes| item(sizes, usual)).collect();
        // How a table grows costs a system what it costs in one round as well as in all.
        if test.id == BY_FLOWS && topology.ports() == 2 && (round == 0 || !self.settings.short) {
            let more = self
                .sizes
                .iter()
                .take(1)
                .flat_map(|size| self.flows[1..].iter().map(move |flows| (size, *flows)));
            items.extend(more.map(|(sizes, flows)| item(sizes, flows)));
        }
        items
    }

    fn name(&self, test: &'static Test, topology: Topology, sizes: &Sizes, flows: u32) -> Name {
        Name {
            sizes: sizes.clone(),
            cores: self.cores,
            topology: topology.to_string(),
            function: test.function,
            flows,
            test: test.id.to_owned(),
        }
    }

    fn is_chosen(&self, name: &Name) -> bool {
        let name = name.to_string();
        self.only.is_empty() || self.only.iter().any(|pattern| name::matches(pattern, &name))
    }
}

struct Scene {
    topology: Topology,
    alone: Option<&'static Test>,
    tests: Vec<&'static Test>,
}

impl Test {
    /// Whether a system has to be started for it alone.
    fn is_alone(&self) -> bool {
        self.job.is_some() || self.outlives
    }
}

/// Who is measured on a topology unless told otherwise.
pub(crate) fn usual_systems(topology: Topology) -> Vec<Kind> {
    match topology.first {
        End::Veth => vec![Kind::Pollux, Kind::Bridge],
        _ => vec![Kind::Pollux, Kind::TestpmdMac, Kind::TestpmdIo, Kind::Ovs],
    }
}

/// Whether a system can be on a topology at all.
pub(crate) fn is_possible(system: Kind, topology: Topology) -> bool {
    let all = |end: End| topology.first == end && topology.last == end && topology.guests == 0;
    match system {
        Kind::Bridge => all(End::Veth),
        Kind::External => all(End::Phy),
        _ => true,
    }
}

/// How long it takes to start a system and the tester, and to stop both.
fn start_takes(system: Kind) -> Duration {
    match system {
        Kind::Pollux | Kind::TestpmdIo | Kind::TestpmdMac => Duration::from_secs(4),
        Kind::Ovs => Duration::from_secs(10),
        Kind::Bridge | Kind::External => Duration::from_secs(3),
    }
}

/// How long a system is under load before it is measured with so many stations. Open vSwitch takes its time to fill its
/// caches: it sends a frame of each new flow to a slower path, and lets their number grow step by step.
pub(crate) fn settles(system: Kind, flows: u32) -> Duration {
    let flows = Duration::from_millis(u64::from(flows));
    match system {
        Kind::Ovs => Duration::from_secs(2) + (flows / 2).min(Duration::from_secs(10)),
        _ => Duration::from_millis(300) + (flows / 100).min(Duration::from_secs(1)),
    }
}

/// How much longer than undisturbed a run takes: disturbed trials are repeated.
const REPEATED: f64 = 1.1;

impl BedPlan {
    /// Roughly how long all of it takes.
    pub(crate) fn takes(&self, settings: &Settings) -> Duration {
        let mut flows: Vec<u32> = self.items.iter().map(|item| item.name.flows).collect();
        flows.dedup();
        let settle: Duration = flows.into_iter().map(|flows| settles(self.system, flows)).sum();
        let tests: Duration = self.items.iter().map(|item| item.takes(settings)).sum();
        start_takes(self.system) + settle + tests
    }
}

impl Item {
    /// Roughly how long it takes.
    pub(crate) fn takes(&self, settings: &Settings) -> Duration {
        (self.test.takes)(settings).mul_f64(REPEATED)
    }
}

impl Plan {
    /// Roughly how long all of it takes.
    pub(crate) fn takes(&self, settings: &Settings) -> Duration {
        self.beds.iter().map(|bed| bed.takes(settings)).sum()
    }

    /// Measurements, each once a round.
    pub(crate) fn count(&self) -> usize {
        self.beds.iter().map(|bed| bed.items.len()).sum()
    }

    /// What is to be done, bed by bed, and what it takes.
    pub(crate) fn list(&self, settings: &Settings) -> String {
        let mut text = String::new();
        let mut told: Vec<&str> = Vec::new();
        for test in self.beds.iter().flat_map(|bed| &bed.items).map(|item| item.test) {
            if !told.contains(&test.id) {
                told.push(test.id);
                line(&mut text, format_args!("{:<14} {} ({})", test.id, test.title, test.standard));
            }
        }
        let mut round = None;
        for bed in &self.beds {
            if round != Some(bed.round) {
                round = Some(bed.round);
                line(&mut text, format_args!("round {}", bed.round + 1));
            }
            let tests: Duration = bed.items.iter().map(|item| item.takes(settings)).sum();
            let around = bed.takes(settings).saturating_sub(tests);
            line(
                &mut text,
                format_args!(
                    "  {} on {}: {:.0} s to start, settle and stop, {:.0} s of tests",
                    bed.system.name(),
                    bed.topology,
                    around.as_secs_f64(),
                    tests.as_secs_f64()
                ),
            );
            for item in &bed.items {
                line(
                    &mut text,
                    format_args!("    {:<48} {:6.1} s", item.name, item.takes(settings).as_secs_f64()),
                );
            }
        }
        line(
            &mut text,
            format_args!(
                "{} measurements with {} starts of a system: {:.1} min",
                self.count(),
                self.beds.len(),
                self.takes(settings).as_secs_f64() / 60.0
            ),
        );
        text
    }
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string doesn't fail.
    let _ = writeln!(text, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::command;
    use crate::lab::tests::ALL;
    use crate::lab::tests::simulated::settings;

    fn choice(rounds: u32) -> Choice {
        let vhost: Topology = "vhost-vhost".parse().unwrap();
        let veth: Topology = "veth-veth".parse().unwrap();
        Choice {
            teams: vec![(vhost, usual_systems(vhost)), (veth, usual_systems(veth))],
            sizes: vec![Sizes::Only(64), Sizes::Imix],
            flows: vec![1, 1000],
            tests: ALL.to_vec(),
            only: Vec::new(),
            rounds,
            cores: 1,
            settings: settings(),
        }
    }

    fn short(rounds: u32) -> Choice {
        Choice { settings: Settings { short: true, ..settings() }, ..choice(rounds) }
    }

    #[test]
    fn the_suite_of_make_bench_lab_takes_less_than_22_minutes() {
        let takes = command::planned(&["--short"]).unwrap();
        assert!(takes < Duration::from_secs(22 * 60), "{} s", takes.as_secs());
    }

    #[test]
    fn rounds_are_outermost_and_systems_take_turns() {
        let plan = choice(3).plan();
        assert!(plan.beds.is_sorted_by_key(|bed| bed.round));
        let first = |round: u32| {
            let bed = plan.beds.iter().find(|bed| bed.round == round);
            bed.map(|bed| bed.system)
        };
        assert_eq!([0, 1, 2].map(first), [Kind::Pollux, Kind::TestpmdMac, Kind::TestpmdIo].map(Some));
    }

    #[test]
    fn nothing_is_measured_twice_in_a_round() {
        let plan = choice(2).plan();
        let mut seen = std::collections::HashSet::new();
        for bed in &plan.beds {
            for item in &bed.items {
                assert!(seen.insert((bed.round, bed.system, item.name.to_string())), "{}", item.name);
                assert_eq!(item.name.to_string().parse(), Ok(item.name.clone()));
            }
        }
        let ids = |bed: &BedPlan| bed.items.iter().map(|item| item.test.id).collect::<Vec<_>>();
        let of_pollux: Vec<_> =
            plan.beds.iter().filter(|bed| bed.system == Kind::Pollux).flat_map(ids).collect();
        assert!(ALL.iter().all(|test| of_pollux.contains(&test.id)), "{of_pollux:?}");
    }

    #[test]
    fn a_smoke_run_repeats_only_what_is_compared() {
        let plan = short(2).plan();
        let later = plan.beds.iter().filter(|bed| bed.round == 1).flat_map(|bed| &bed.items);
        assert!(later.clone().all(|item| EVERYWHERE.contains(&item.test.id) && item.name.flows == 1));
        assert!(later.clone().any(|item| item.name.sizes == Sizes::Imix));
        let once = |item: &&Item| item.test.id == "latency" && item.name.sizes != Sizes::Only(64);
        assert_eq!(plan.beds.iter().flat_map(|bed| &bed.items).filter(once).count(), 0);
    }

    #[test]
    fn tests_have_the_ports_that_they_need() {
        for bed in choice(1).plan().beds {
            for item in &bed.items {
                assert!(item.test.ports <= bed.topology.ports(), "{}", item.name);
                assert_eq!(item.name.topology, bed.topology.to_string());
                assert!(bed.alone.is_none_or(|test| test.id == item.test.id));
            }
        }
    }

    #[test]
    fn patterns_choose_and_may_leave_nothing() {
        let only = |pattern: &str| Choice { only: vec![pattern.to_owned()], ..choice(1) }.plan();
        let plan = only("64B-*-vhost-vhost-*-1kmac-ndr");
        assert_eq!(plan.count(), 4);
        assert!(only("nothing").beds.is_empty());
    }

    #[test]
    fn the_list_adds_up() {
        let choice = choice(1);
        let text = choice.plan().list(&choice.settings);
        assert!(text.contains("  Pollux on vhost-vhost: "), "{text}");
        assert!(text.contains("64B-1c-vhost-vhost-l2-1mac-ndr"), "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with(&format!("{} measurements", choice.plan().count())), "{last}");
    }

    #[test]
    fn a_bridge_is_on_interfaces_only() {
        let on = |topology: &str| is_possible(Kind::Bridge, topology.parse().unwrap());
        assert_eq!(
            ["veth-veth", "vhost-vhost", "veth-vm-veth", "phy-veth"].map(on),
            [true, false, false, false]
        );
    }
}
