//! Where a run is made: what RFC 8204, 3.3 and RFC 2544, 7 want told. Everything is read from the host; what it doesn't
//! tell isn't there.

use std::fs;
use std::path::PathBuf;

use crate::report::model::{Environment, FactGroup};
use crate::systems::Memory;

/// The share of its time that a hypervisor may take from the host before a figure suffers.
const STOLEN: f64 = 0.001;

/// What of a run decides which facts matter.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The CPUs that poll for systems, and that of everything else.
    pub(crate) worker_cpus: Vec<usize>,
    pub(crate) house_cpu: usize,
    pub(crate) memory: Memory,
    /// Whether frames go over NICs.
    pub(crate) has_nics: bool,
}

/// A host, as its files tell.
pub(crate) struct Host {
    root: PathBuf,
}

/// Time that the processors had, in ticks, and what of it a hypervisor took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ticks {
    all: u64,
    stolen: u64,
}

impl Host {
    /// This one.
    pub(crate) fn new() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// Facts and cautions.
    pub(crate) fn environment(&self, setting: &Setting) -> Environment {
        let groups = [
            ("Processor", self.processor(setting)),
            ("Kernel", self.kernel()),
            ("Memory", self.memory(setting)),
            ("Machine", self.machine()),
            ("CPUs of the run", cpus(setting)),
        ];
        let groups = groups.into_iter().filter(|(_, facts)| !facts.is_empty());
        let groups = groups.map(|(name, facts)| FactGroup { name: name.to_owned(), facts });
        Environment { groups: groups.collect(), cautions: self.cautions(setting) }
    }

    /// How the processors' time was spent so far.
    pub(crate) fn ticks(&self) -> Option<Ticks> {
        let text = self.text("proc/stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        // The times as a guest are in the first two already (proc_stat(5)).
        Some(Ticks { all: numbers.iter().take(8).sum(), stolen: *numbers.get(7)? })
    }

    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let text = text.trim_matches(['\0', '\n', ' ', '\t']).to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// A value of a file of lines `key : value`.
    fn value(&self, path: &str, key: &str) -> Option<String> {
        let text = self.text(path)?;
        let pair = text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == key);
        pair.map(|(_, value)| value.trim().to_owned())
    }

    fn names(&self, folder: &str, begin: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let numbered = |name: &String| {
            name.strip_prefix(begin)
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        let mut names: Vec<String> = names.filter(numbered).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    fn processor(&self, setting: &Setting) -> Vec<(String, String)> {
        let mut facts = Facts::default();
        let info = |key: &str| self.value("proc/cpuinfo", key);
        facts.add("model", info("model name"));
        facts.add("microcode", info("microcode"));
        facts.add("family, model, stepping", join([info("cpu family"), info("model"), info("stepping")]));
        facts.add("cache", info("cache size"));
        facts.add("CPUs online", self.text("sys/devices/system/cpu/online"));
        facts.add("sockets", self.sockets().map(|count| count.to_string()));
        let nodes = self.names("sys/devices/system/node", "node");
        facts.add("NUMA nodes", (!nodes.is_empty()).then(|| nodes.len().to_string()));
        facts.add("SMT", self.text("sys/devices/system/cpu/smt/control"));
        let worker = setting.worker_cpus.first().copied().unwrap_or_default();
        facts.add(
            "governor",
            self.text(&format!("sys/devices/system/cpu/cpu{worker}/cpufreq/scaling_governor")),
        );
        facts.add("turbo", self.turbo().map(|is_on| if is_on { "on" } else { "off" }.to_owned()));
        facts.add("idle driver", self.text("sys/devices/system/cpu/cpuidle/current_driver"));
        facts.add("hypervisor", self.hypervisor());
        facts.0
    }

    fn sockets(&self) -> Option<usize> {
        let text = self.text("proc/cpuinfo")?;
        let mut sockets: Vec<&str> = text.lines().filter(|line| line.starts_with("physical id")).collect();
        sockets.sort_unstable();
        sockets.dedup();
        (!sockets.is_empty()).then_some(sockets.len())
    }

    fn turbo(&self) -> Option<bool> {
        match self.text("sys/devices/system/cpu/intel_pstate/no_turbo") {
            Some(off) => Some(off == "0"),
            None => self.text("sys/devices/system/cpu/cpufreq/boost").map(|on| on == "1"),
        }
    }

    /// What the processor runs under, if it says that it does.
    fn hypervisor(&self) -> Option<String> {
        let flags = self.value("proc/cpuinfo", "flags")?;
        flags.split_whitespace().find(|flag| *flag == "hypervisor")?;
        let vendor = self.text("sys/class/dmi/id/sys_vendor").or_else(|| self.text("sys/hypervisor/type"));
        Some(vendor.unwrap_or_else(|| "a hypervisor that doesn't say which".to_owned()))
    }

    fn kernel(&self) -> Vec<(String, String)> {
        let mut facts = Facts::default();
        facts.add("version", self.text("proc/sys/kernel/osrelease"));
        facts.add("build", self.text("proc/sys/kernel/version"));
        facts.add("distribution", self.distribution());
        facts.add("command line", self.text("proc/cmdline"));
        facts.add("isolated CPUs", Some(self.list("sys/devices/system/cpu/isolated")));
        facts.add("CPUs without ticks", Some(self.list("sys/devices/system/cpu/nohz_full")));
        let rcu = self.argument("rcu_nocbs").unwrap_or_else(|| "none".to_owned());
        facts.add("CPUs without RCU callbacks", Some(rcu));
        facts.add("default CPUs of interrupts", self.text("proc/irq/default_smp_affinity"));
        facts.add("interrupts are balanced", self.text("run/irqbalance.pid").map(|_| "yes".to_owned()));
        facts.add("clock", self.text("sys/devices/system/clocksource/clocksource0/current_clocksource"));
        facts.add("real-time share", self.real_time_share());
        for name in self.vulnerabilities() {
            let text = self.text(&format!("sys/devices/system/cpu/vulnerabilities/{name}"));
            facts.add(&format!("mitigation of {name}"), text.filter(|text| text != "Not affected"));
        }
        facts.0
    }

    fn vulnerabilities(&self) -> Vec<String> {
        let folder = self.root.join("sys/devices/system/cpu/vulnerabilities");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn distribution(&self) -> Option<String> {
        let text = self.text("etc/os-release")?;
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    }

    fn real_time_share(&self) -> Option<String> {
        let runtime: f64 = self.text("proc/sys/kernel/sched_rt_runtime_us")?.parse().ok()?;
        let period: f64 = self.text("proc/sys/kernel/sched_rt_period_us")?.parse().ok()?;
        Some(if runtime < 0.0 { "all".to_owned() } else { format!("{:.2}", runtime / period) })
    }

    /// A list of CPUs, or that there are none.
    fn list(&self, path: &str) -> String {
        match self.text(path) {
            Some(list) if list != "(null)" => list,
            _ => "none".to_owned(),
        }
    }

    /// An argument of the kernel's command line.
    fn argument(&self, name: &str) -> Option<String> {
        let line = self.text("proc/cmdline")?;
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    }

    fn memory(&self, setting: &Setting) -> Vec<(String, String)> {
        let mut facts = Facts::default();
        facts.add("installed", self.value("proc/meminfo", "MemTotal"));
        for name in self.names("sys/kernel/mm/hugepages", "hugepages-") {
            let count = |what: &str| self.text(&format!("sys/kernel/mm/hugepages/{name}/{what}"));
            let pages = count("nr_hugepages").zip(count("free_hugepages"));
            let size = name.trim_start_matches("hugepages-");
            facts.add(
                &format!("hugepages of {size} before the run"),
                pages.map(|(all, free)| format!("{all}, {free} of them free")),
            );
        }
        facts.add("transparent hugepages", self.text("sys/kernel/mm/transparent_hugepage/enabled"));
        let what = match setting.memory {
            Memory::Hugepages => "hugepages of 2 MiB",
            Memory::Ordinary => "ordinary pages",
        };
        facts.add("systems and tester use", Some(what.to_owned()));
        facts.0
    }

    fn machine(&self) -> Vec<(String, String)> {
        let mut facts = Facts::default();
        let dmi = |name: &str| self.text(&format!("sys/class/dmi/id/{name}"));
        facts.add("maker", dmi("sys_vendor"));
        facts.add("product", dmi("product_name"));
        facts.add("board", join([dmi("board_vendor"), dmi("board_name"), None]));
        facts.add("BIOS", join([dmi("bios_vendor"), dmi("bios_version"), dmi("bios_date")]));
        facts.0
    }

    fn cautions(&self, setting: &Setting) -> Vec<String> {
        let mut cautions = Vec::new();
        let mut caution = |text: String| cautions.push(text);
        let isolated = self.list("sys/devices/system/cpu/isolated");
        let outside: Vec<String> = setting
            .worker_cpus
            .iter()
            .chain([&setting.house_cpu])
            .filter(|cpu| !is_listed(&isolated, **cpu))
            .map(usize::to_string)
            .collect();
        if !outside.is_empty() {
            caution(format!(
                "CPUs {} aren't isolated (isolcpus): whatever the kernel puts there takes time from what is measured.",
                outside.join(", ")
            ));
        }
        if let Some(name) = self.hypervisor() {
            caution(format!(
                "The host is a virtual machine ({name}): its CPUs are moved about and shared by others, and no clock \
                 tells when."
            ));
        }
        let worker = setting.worker_cpus.first().copied().unwrap_or_default();
        let governor = self.text(&format!("sys/devices/system/cpu/cpu{worker}/cpufreq/scaling_governor"));
        if let Some(governor) = governor.filter(|governor| governor != "performance") {
            caution(format!("The governor of the CPUs' clock is {governor}, not performance."));
        }
        let siblings =
            self.text(&format!("sys/devices/system/cpu/cpu{worker}/topology/thread_siblings_list"));
        if let Some(siblings) = siblings.filter(|list| list.contains([',', '-'])) {
            caution(format!(
                "CPU {worker} shares its core with others ({siblings}): switch SMT off, or keep them idle."
            ));
        }
        if self.turbo() == Some(true) {
            caution("Turbo is on: how fast a core is depends on what the others do.".to_owned());
        }
        let polling = setting.worker_cpus.len() + 1;
        let online = self.names("sys/devices/system/cpu", "cpu").len();
        if online > 0 && online <= polling {
            caution(format!(
                "All {online} CPUs poll: the kernel, and what tells and counts, run beside the tester."
            ));
        }
        if setting.memory == Memory::Ordinary {
            caution("Memory is of ordinary pages, which costs every system TLB misses.".to_owned());
        }
        if !setting.has_nics {
            caution(
                "No frame goes over a NIC: ports are front ends in memory or interfaces of the kernel, with no line \
                 rate, and with the tester's share of each copy in the figures."
                    .to_owned(),
            );
        }
        cautions
    }
}

impl Ticks {
    /// A caution, if a hypervisor took much since `before`.
    pub(crate) fn caution_since(self, before: Self) -> Option<String> {
        let share = self.stolen_since(before);
        (share > STOLEN)
            .then(|| format!("The hypervisor took {:.1} % of the CPUs' time during the run.", 100.0 * share))
    }

    /// The share that a hypervisor took since `before`.
    pub(crate) fn stolen_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        match all {
            0 => 0.0,
            _ => self.stolen.saturating_sub(before.stolen) as f64 / all as f64,
        }
    }
}

/// Facts that are there.
#[derive(Default)]
struct Facts(Vec<(String, String)>);

impl Facts {
    fn add(&mut self, what: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (what.to_owned(), value)));
    }
}

fn join(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn cpus(setting: &Setting) -> Vec<(String, String)> {
    let workers: Vec<String> = setting.worker_cpus.iter().map(usize::to_string).collect();
    vec![
        ("poll for the system".to_owned(), workers.join(", ")),
        ("polls for the tester, and does the rest".to_owned(), setting.house_cpu.to_string()),
    ]
}

/// Whether a list as the kernel writes them (`2-5,8`) has a CPU.
fn is_listed(list: &str, cpu: usize) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = first.trim().parse::<usize>().ok().zip(last.trim().parse::<usize>().ok());
        bounds.is_some_and(|(first, last)| (first..=last).contains(&cpu))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree {
        folder: tempfile::TempDir,
    }

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self { folder }
        }

        fn host(&self) -> Host {
            Host { root: self.folder.path().to_owned() }
        }
    }

    fn setting() -> Setting {
        Setting { worker_cpus: vec![1], house_cpu: 0, memory: Memory::Hugepages, has_nics: false }
    }

    fn fact<'a>(environment: &'a Environment, what: &str) -> Option<&'a str> {
        let mut facts = environment.groups.iter().flat_map(|group| &group.facts);
        facts.find(|(name, _)| name == what).map(|(_, value)| value.as_str())
    }

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\nmicrocode\t: 0x1\n\
                           physical id\t: 0\nflags\t\t: fpu hypervisor sse\n\nprocessor\t: 1\nphysical id\t: 1\n";

    #[test]
    fn facts_are_read_and_what_is_missing_is_left_out() {
        let tree = Tree::new(&[
            ("proc/cpuinfo", CPUINFO),
            ("proc/cmdline", "quiet isolcpus=1 rcu_nocbs=1-3\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "10\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "4\n"),
            ("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n"),
            ("sys/devices/system/cpu/vulnerabilities/other", "Not affected\n"),
        ]);
        let environment = tree.host().environment(&setting());
        assert_eq!(fact(&environment, "model"), Some("Some CPU @ 2.60GHz"));
        assert_eq!(fact(&environment, "sockets"), Some("2"));
        assert_eq!(fact(&environment, "CPUs without RCU callbacks"), Some("1-3"));
        assert_eq!(fact(&environment, "isolated CPUs"), Some("none"));
        assert_eq!(fact(&environment, "hugepages of 2048kB before the run"), Some("10, 4 of them free"));
        assert_eq!(fact(&environment, "mitigation of meltdown"), Some("Mitigation: PTI"));
        assert_eq!(fact(&environment, "mitigation of other"), None);
        assert_eq!(fact(&environment, "governor"), None);
        assert_eq!(fact(&environment, "BIOS"), None);
        assert!(environment.groups.iter().all(|group| group.name != "Machine"));
    }

    #[test]
    fn a_poor_host_is_warned_of() {
        let tree = Tree::new(&[
            ("proc/cpuinfo", CPUINFO),
            ("sys/devices/system/cpu/cpu0/online", "1"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n"),
        ]);
        let ordinary = Setting { memory: Memory::Ordinary, ..setting() };
        let cautions = tree.host().environment(&ordinary).cautions.join("\n");
        for what in ["isolated", "virtual machine", "powersave", "SMT", "All 2 CPUs", "ordinary", "No frame"]
        {
            assert!(cautions.contains(what), "{what}: {cautions}");
        }
    }

    #[test]
    fn a_good_host_is_not() {
        let tree = Tree::new(&[
            ("proc/cpuinfo", "model name: a CPU\nflags: fpu\n"),
            ("sys/devices/system/cpu/isolated", "0-5\n"),
            ("sys/devices/system/cpu/cpu0/online", "1\n"),
            ("sys/devices/system/cpu/cpu2/online", "1\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
        ]);
        let environment = tree.host().environment(&Setting { has_nics: true, ..setting() });
        assert!(environment.cautions.is_empty(), "{:?}", environment.cautions);
        assert_eq!(fact(&environment, "isolated CPUs"), Some("0-5"));
    }

    #[test]
    fn stolen_time_is_a_share_of_all() {
        let at = |text: &str| Tree::new(&[("proc/stat", text)]).host().ticks().unwrap();
        let before = at("cpu  100 0 50 800 10 0 5 35 20 0\ncpu0 1 2 3\n");
        assert_eq!(before, Ticks { all: 1000, stolen: 35 });
        let after = at("cpu  1000 0 50 800 10 0 5 135 20 0\n");
        assert!((after.stolen_since(before) - 0.1).abs() < 1e-9);
        assert!(after.caution_since(before).unwrap().contains("10.0 %"));
        assert_eq!(before.caution_since(before), None);
    }

    #[test]
    fn this_host_has_a_model_and_a_kernel() {
        let environment = Host::new().environment(&setting());
        assert!(fact(&environment, "version").is_some());
        assert!(Host::new().ticks().unwrap().all > 0);
    }

    #[test]
    fn lists_of_cpus_are_read() {
        assert!(is_listed("2-5,8", 4) && is_listed("2-5,8", 8) && is_listed("1", 1));
        assert!(!is_listed("2-5,8", 6) && !is_listed("none", 0) && !is_listed("", 0));
    }
}
