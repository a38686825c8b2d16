//! DPDK's own forwarder: each port's frames go to one other port.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Access, Control, Job, PortCounters, PortKind, System, dpdk};
use crate::Result;
use crate::host::{Process, keep_runtime_files};

pub(crate) const PROGRAM: &str = "dpdk-testpmd";

/// Octets of data that an mbuf has room for, and the head that it has besides.
pub(crate) const DATA_ROOM: u16 = 2048;
pub(crate) const HEADROOM: u16 = 128;

/// Room for a tag or two that DPDK adds to what it is told, and the check sequence that some devices keep.
const SPARE: u16 = 32;

pub(crate) struct Testpmd {
    process: Process,
    job: Job,
    folder: PathBuf,
    mode: &'static str,
}

pub(super) fn supports(job: &Job) -> Result<(), String> {
    pairs(job).map(drop)
}

/// The job's ports, each beside the one that it hands its frames to: it knows no VLANs, so there have to be two
/// ports of each.
fn pairs(job: &Job) -> Result<Vec<usize>, String> {
    if job.ports.len() == 2 && job.is_one_vlan() {
        return Ok(vec![0, 1]);
    }
    let mut vlans = BTreeMap::<u16, Vec<usize>>::new();
    for (number, port) in job.ports.iter().enumerate() {
        match port.access {
            Access::Vlan(vid) => vlans.entry(vid).or_default().push(number),
            Access::Trunk { .. } | Access::Tagged(_) => {
                return Err(format!("it neither adds nor takes off tags, as port {} is to", port.name));
            }
        }
    }
    match vlans.iter().find(|(_, ports)| ports.len() != 2) {
        Some((vid, ports)) => Err(format!(
            "it hands each port's frames to one other port, and VLAN {vid} has {}: give each VLAN two",
            ports.len()
        )),
        None => Ok(vlans.into_values().flatten().collect()),
    }
}

/// The number that DPDK gives each port: NICs first, in the order of their addresses.
fn numbers(job: &Job) -> Vec<usize> {
    let mut order: Vec<_> = (0..job.ports.len()).collect();
    // NICs, as they have an address, then the others as they are named.
    order.sort_by_key(|number| {
        let address = dpdk::pci_address(&job.ports[*number]);
        (address.is_none(), address)
    });
    let mut numbers = vec![0; order.len()];
    for (id, port) in order.into_iter().enumerate() {
        numbers[port] = id;
    }
    numbers
}

impl Testpmd {
    pub(crate) fn start(job: &Job, folder: &Path, mode: &'static str) -> Result<Self> {
        Ok(Self { process: launch(job, folder, mode)?, job: job.clone(), folder: folder.to_owned(), mode })
    }
}

fn launch(job: &Job, folder: &Path, mode: &str) -> Result<Process> {
    let name = format!("testpmd {mode}");
    let mut process = Process::start_in(job.place(), &name, Path::new("stdbuf"), |command| {
        keep_runtime_files(command, folder);
        // It would keep what it says to itself until there is a page of it.
        command.args(["--output=L", PROGRAM]).args(arguments(job, mode));
    })?;
    let forwards = format!("{mode} packet forwarding - ports={}", job.ports.len());
    let patience = Duration::from_secs(30);
    process.wait_for("forwarding", patience, |line| line.contains(&forwards).then_some(()))?;
    Ok(process)
}

fn arguments(job: &Job, mode: &str) -> Vec<String> {
    let room = if job.is_jumbo() { job.largest_frame.max(DATA_ROOM) + SPARE } else { DATA_ROOM };
    let mbuf = room + HEADROOM;
    let mut words = dpdk::environment(job, dpdk::pool_mib(job.mbufs(), mbuf.into()));
    words.extend(["--lcores".to_owned(), dpdk::lcores(job), "--main-lcore".to_owned(), "0".to_owned()]);
    for (number, port) in job.ports.iter().enumerate().filter(|(_, port)| dpdk::pci_address(port).is_none()) {
        words.extend(["--vdev".to_owned(), dpdk::device(number, port, job.largest_frame)]);
    }
    words.extend(["--", "-i", "--auto-start"].map(str::to_owned));
    words.push(format!("--nb-cores={}", job.worker_cpus.len()));
    words.push(format!("--forward-mode={mode}"));
    words.push(format!("--total-num-mbufs={}", job.mbufs()));
    words.push(format!("--mbuf-size={mbuf}"));
    let numbers = numbers(job);
    let pairs = pairs(job).unwrap_or_else(|_| (0..numbers.len()).collect());
    let list: Vec<_> = pairs.into_iter().map(|port| numbers[port].to_string()).collect();
    words.push(format!("--portlist={}", list.join(",")));
    // Where rings are the front end's, or the kernel's, it makes no difference.
    if job.ports.iter().any(|port| matches!(port.kind, PortKind::Device(_))) {
        words.push(format!("--rxd={ring}", ring = job.longest_ring()));
        words.push(format!("--txd={ring}", ring = job.longest_ring()));
        if job.is_jumbo() {
            words.push(format!("--max-pkt-len={}", job.largest_frame));
        }
    }
    words
}

impl System for Testpmd {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        self.process.say("show port stats all")?;
        self.process.say("show fwd stats all")?;
        let mut tables = Tables::new(self.job.ports.len());
        self.process.wait_for("statistics", Duration::from_secs(5), |line| tables.read(line))?;
        Ok(numbers(&self.job).into_iter().map(|number| tables.ports[number].clone()).collect())
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        super::worker_time(self.process.id(), &self.job)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        super::workers(self.process.id(), &self.job)
    }

    fn crash_and_start(&mut self) -> Result<()> {
        self.process.kill()?;
        super::remove_sockets(&self.job)?;
        self.process = launch(&self.job, &self.folder, self.mode)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.process.say("quit")?;
        self.process.wait()?;
        self.process = launch(&self.job, &self.folder, self.mode)?;
        Ok(())
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        None
    }

    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = super::common_settings(&self.job);
        settings.push(("arguments".to_owned(), arguments(&self.job, self.mode).join(" ")));
        settings
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.process.say("quit")?;
        self.process.wait()
    }
}

/// Its tables of statistics: those of its devices, then those of its forwarding.
struct Tables {
    ports: Vec<PortCounters>,
    /// The port of the table that is being read.
    port: Option<usize>,
    /// Whether that is one of forwarding.
    forwarding: bool,
}

impl Tables {
    fn new(ports: usize) -> Self {
        Self { ports: vec![PortCounters::default(); ports], port: None, forwarding: false }
    }

    /// Takes a line; says when it was the last one that is needed.
    fn read(&mut self, line: &str) -> Option<()> {
        if line.contains("Accumulated forward statistics") {
            return Some(());
        }
        if let Some((_, rest)) = line.split_once("statistics for port ") {
            self.forwarding = line.contains("Forward statistics");
            self.port = rest.split_whitespace().next().and_then(|number| number.parse().ok());
            return None;
        }
        let counters = self.ports.get_mut(self.port?)?;
        let mut words = line.split_whitespace();
        while let (Some(what), Some(number)) = (words.next(), words.next()) {
            let number = number.parse().unwrap_or(0);
            match (self.forwarding, what) {
                (false, "RX-packets:") => counters.received = number,
                (false, "TX-packets:") => counters.sent = number,
                (false, "RX-missed:" | "RX-errors:" | "RX-nombuf:" | "TX-errors:")
                | (true, "RX-dropped:" | "TX-dropped:")
                    if number > 0 =>
                {
                    counters.drops.insert(what.trim_end_matches(':').to_owned(), number);
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let text = "\
  ######################## NIC statistics for port 0  ########################
  RX-packets: 46333952   RX-missed: 12         RX-bytes:  2780037120
  RX-errors: 0
  RX-nombuf:  0         
  TX-packets: 46333920   TX-errors: 0          TX-bytes:  2780035200

  Throughput (since last show)
  Rx-pps:            9          Rx-bps:            7
  ######################## NIC statistics for port 1  ########################
  RX-packets: 7          RX-missed: 0          RX-bytes:  2780046720
  TX-packets: 80         TX-errors: 0          TX-bytes:  2780046720

  ---------------------- Forward statistics for port 0  ----------------------
  RX-packets: 46333952       RX-dropped: 0             RX-total: 46333952
  TX-packets: 46333920       TX-dropped: 32            TX-total: 46333952
  ----------------------------------------------------------------------------
  ---------------------- Forward statistics for port 1  ----------------------
  RX-packets: 7              RX-dropped: 0             RX-total: 7
  TX-packets: 7              TX-dropped: 0             TX-total: 7
  +++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++";
        let mut tables = Tables::new(2);
        assert_eq!(text.lines().filter_map(|line| tables.read(line)).count(), 1);
        let drops = [("RX-missed".to_owned(), 12), ("TX-dropped".to_owned(), 32)];
        let first = PortCounters { received: 46_333_952, sent: 46_333_920, drops: drops.into() };
        assert_eq!(tables.ports[0], first);
        assert_eq!(tables.ports[1], PortCounters { received: 7, sent: 80, drops: BTreeMap::new() });
    }

    #[test]
    fn ports_of_a_vlan_hand_frames_to_each_other() {
        let mut job = Job::of_sockets("/s", 4, true);
        for (port, vid) in job.ports.iter_mut().zip([101, 102, 101, 102]) {
            port.access = Access::Vlan(vid);
        }
        assert_eq!(pairs(&job), Ok(vec![0, 2, 1, 3]));
        assert!(arguments(&job, "io").contains(&"--portlist=0,2,1,3".to_owned()));
        // DPDK numbers NICs first, by their addresses.
        for (port, address) in [(1, "0000:05:00.0"), (3, "0000:04:00.0")] {
            job.ports[port].kind = PortKind::Device(address.to_owned());
        }
        assert_eq!(numbers(&job), [2, 1, 3, 0]);
        assert!(arguments(&job, "io").contains(&"--portlist=2,3,1,0".to_owned()));
        job.ports[0].access = Access::Vlan(102);
        assert!(supports(&job).unwrap_err().contains("VLAN 101 has 1"));
        job.ports[0].access = Access::Trunk { native: 1 };
        assert!(supports(&job).unwrap_err().contains("port p0"));
    }

    #[test]
    fn two_ports_may_be_trunks_of_the_same_kind() {
        let mut job = Job::of_sockets("/s", 2, true);
        job.ports.iter_mut().for_each(|port| port.access = Access::Trunk { native: 1 });
        assert_eq!(supports(&job), Ok(()));
    }

    #[test]
    fn mbufs_hold_the_largest_frame() {
        let job = Job { largest_frame: 9000, ..Job::of_sockets("/s", 2, true) };
        assert!(arguments(&job, "io").contains(&"--mbuf-size=9160".to_owned()));
        let job = Job::of_sockets("/s", 2, true);
        assert!(arguments(&job, "io").contains(&"--mbuf-size=2176".to_owned()));
    }
}
