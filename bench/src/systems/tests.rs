//! Every system on every topology: a few frames cross, its counters tell them, and nothing of it is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pollux_net::Mac;
use serde_json::json;

use super::{Job, Kind, Memory, PortCounters, System};
use crate::host::{cpu, folder};
use crate::tester::Tester;
use crate::tester::TesterProcess;
use crate::tester::protocol::{Outcome, PROTOCOL, PortSetup, Setup};
use crate::wires::{Options, Topology, Wires, lay};
use crate::{BenchError, Result};

/// Frames of each stream: the rings hold them all, whoever has its CPU meanwhile.
const FRAMES: u64 = 50;

const PATIENCE: Duration = Duration::from_secs(30);

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The environment's variable that makes a test the tester.
const TESTER: &str = "POLLUX_BENCH_TESTER";

/// A process of this test is the tester's where it is asked to be; else it is asked here.
#[test]
fn a_process_of_these_tests_is_the_tester() {
    if std::env::var_os(TESTER).is_some() {
        crate::tester::serve().unwrap();
        return;
    }
    let folder = folder().unwrap();
    let port = PortSetup { device: "net_null0".to_owned(), rx_ring: 256, tx_ring: 256 };
    let tester = start_tester(folder.path(), vec![port], 1518).unwrap();
    assert_eq!(tester.ready().ports[0].driver, "net_null");
    tester.stop().unwrap();
}

fn start_tester(folder: &Path, ports: Vec<PortSetup>, largest_frame: u16) -> Result<TesterProcess> {
    let this = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let test = concat!(module_path!(), "::a_process_of_these_tests_is_the_tester");
    let test = test.split_once("::").map_or(test, |(_, test)| test);
    let words = ["env", &format!("{TESTER}=1"), &this.display().to_string(), "--exact", test, "--nocapture"];
    let setup = Setup {
        protocol: PROTOCOL,
        cpus: vec![cpu::all()[0]],
        neighbour: None,
        ordinary_memory: Some(192),
        largest_frame,
        ports,
    };
    let folder = folder.join("tester");
    std::fs::create_dir_all(&folder).map_err(BenchError::file(&folder))?;
    TesterProcess::start(&words.map(str::to_owned), &folder, &setup)
}

/// A system, connected. What is above uses what is below.
struct Rig {
    tester: TesterProcess,
    system: Box<dyn System>,
    _wires: Wires,
    /// With sockets, and what processes write.
    folder: tempfile::TempDir,
}

impl Rig {
    fn new(kind: Kind, topology: &str, largest_frame: u16, front_ends_listen: bool) -> Result<Self> {
        let folder = folder()?;
        let cpus = cpu::all();
        let (house_cpu, worker_cpu) = (cpus[0], cpus[cpus.len() - 1]);
        let topology: Topology = topology.parse().map_err(BenchError::Input)?;
        let mut wires = lay(
            topology,
            &Options {
                folder: folder.path().to_owned(),
                ring: 256,
                largest_frame,
                memory: Memory::Ordinary,
                front_ends_listen,
                front_end: String::new(),
                guest_cpus: vec![house_cpu],
                tester_nics: Vec::new(),
                system_nics: Vec::new(),
            },
        )?;
        let job = Job {
            ports: wires.system_ports.clone(),
            worker_cpus: vec![worker_cpu],
            house_cpu,
            memory: Memory::Ordinary,
            largest_frame,
            fdb_capacity: 4096,
            ageing_seconds: 300,
            pollux: pollux(),
            more_toml: String::new(),
            ovs_flow_limit: 200_000,
            namespace: wires.namespace().map(Path::to_owned),
            favoured: true,
            kept_mbufs: 0,
        };
        let private = folder.path().join("system");
        std::fs::create_dir(&private).map_err(BenchError::file(&private))?;
        let system = super::start(kind, &job, &private)?;
        if !front_ends_listen {
            for port in &job.ports {
                if let super::PortKind::Vhost { socket, .. } = &port.kind {
                    crate::host::wait_for_socket(socket)?;
                }
            }
        }
        wires.start_guests()?;
        let tester = start_tester(folder.path(), wires.tester_ports.clone(), largest_frame)?;
        let mut rig = Self { tester, system, _wires: wires, folder };
        rig.greet();
        Ok(rig)
    }

    /// Waits until the path is there both ways, and nothing is under way on it.
    fn greet(&mut self) {
        if let Err(error) = self.tester.greet(PATIENCE) {
            panic!("{error}; it counted {:?}", self.system.counters());
        }
        // Greetings wait in rings while whoever hands them on has to share its CPU.
        let quiet = || self.exchange(64).is_ok_and(|outcome| outcome.loss_ratio() == 0.0);
        wait("greetings to pass", quiet);
    }

    /// Sends a few frames of a size from the first port to the last, and back.
    fn exchange(&mut self, size: u16) -> Result<Outcome> {
        let last = self.tester.ready().ports.len() as u8 - 1;
        let stream = |from: u8, to: u8| {
            json!({
                "name": format!("{from} to {to}"),
                "from": from,
                "to": { "port": to },
                "sizes": { "only": size },
                "flows": 4,
                "rate": "max",
                "frames": FRAMES,
            })
        };
        let trial = json!({
            "streams": [stream(0, last), stream(last, 0)],
            "learn": { "rate": 200.0, "repeats": 1, "settle": 0.05, "to": "broadcast" },
            "warm_up": 0.0,
            "seconds": 0.3,
            "drain": 5.0,
            "latency": false,
        });
        self.tester.trial(&serde_json::from_value(trial).unwrap())
    }

    /// Has frames of these sizes cross, and looks whether the system counts them.
    fn cross(&mut self, sizes: &[u16]) {
        for &size in sizes {
            let before = self.system.counters().unwrap();
            let outcome = self.exchange(size).unwrap();
            for stream in &outcome.streams {
                let (name, leaked) = (&stream.name, &stream.leaked);
                let counts = (stream.received, stream.lost, stream.duplicated, stream.reordered);
                assert_eq!(counts, (FRAMES, 0, 0, 0), "{size} octets, {name}: {outcome:?}");
                assert!(leaked.is_empty(), "{size} octets, {name}: {leaked:?}");
            }
            self.await_counted(&before);
        }
    }

    /// Waits until the first port's counters, and those of the tester's last, have grown by a stream each way.
    fn await_counted(&mut self, before: &[PortCounters]) {
        let last = self.tester.ready().ports.len() - 1;
        wait("the counters to tell", || {
            let now = self.system.counters().unwrap();
            [0, last].into_iter().all(|port| {
                let (now, before) = (&now[port], &before[port]);
                (now.received - before.received).min(now.sent - before.sent) >= FRAMES
            })
        });
    }

    /// Ends all in order, and looks whether it is gone.
    fn end(self) {
        let Self { tester, system, _wires: wires, folder } = self;
        tester.stop().unwrap();
        system.stop().unwrap();
        let namespace = wires.namespace().map(Path::to_owned);
        drop(wires);
        assert!(namespace.is_none_or(|file| !file.exists()));
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        let left = left.filter(|entry| entry.path().is_socket());
        assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), [""; 0]);
    }
}

trait IsSocket {
    fn is_socket(&self) -> bool;
}

impl IsSocket for PathBuf {
    fn is_socket(&self) -> bool {
        use std::os::unix::fs::FileTypeExt;
        // Where links lead, and where they lead to nothing.
        std::fs::metadata(self).is_ok_and(|data| data.file_type().is_socket())
    }
}

/// The switch, as it is built beside these tests.
fn pollux() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).unwrap();
    let path = folder.join("pollux");
    assert!(path.exists(), "no {}: build it first (cargo build --bin pollux)", path.display());
    path
}

/// Frames of all sizes on two sockets, whoever makes them, and after a crash where front ends survive it.
fn on_sockets(kind: Kind) {
    let mut rig = Rig::new(kind, "vhost-vhost", 9000, true).unwrap();
    rig.cross(&[64, 1518, 9000]);
    rig.end();
    let mut rig = Rig::new(kind, "vhost-vhost", 1518, false).unwrap();
    match kind {
        Kind::Ovs => assert!(matches!(rig.system.counters(), Err(BenchError::Unsupported(_)))),
        _ => rig.cross(&[64]),
    }
    rig.end();
    let mut rig = Rig::new(kind, "vhost-vhost", 1518, true).unwrap();
    rig.cross(&[64]);
    let workers = rig.system.workers().unwrap();
    assert_eq!(workers.len(), 1);
    assert!(rig.system.worker_time().unwrap().unwrap() > Duration::ZERO);
    rig.system.crash_and_start().unwrap();
    assert_ne!(rig.system.workers().unwrap(), workers);
    rig.greet();
    rig.cross(&[1518]);
    rig.system.restart().unwrap();
    rig.greet();
    rig.cross(&[64]);
    rig.end();
}

fn on_cables(kind: Kind) {
    let mut rig = Rig::new(kind, "veth-veth", 1518, true).unwrap();
    rig.cross(&[64, 1518]);
    rig.end();
}

fn with_jumbos_on_cables(kind: Kind) {
    let mut rig = Rig::new(kind, "veth-veth", 9000, true).unwrap();
    rig.cross(&[64, 9000]);
    rig.end();
}

fn with_guests(kind: Kind) {
    let mut rig = Rig::new(kind, "veth-vm2-vhost", 1518, true).unwrap();
    rig.cross(&[64, 1518]);
    rig.end();
}

#[test]
fn pollux_on_sockets() {
    on_sockets(Kind::Pollux);
}

#[test]
fn pollux_on_cables() {
    on_cables(Kind::Pollux);
}

#[test]
fn pollux_with_jumbos_on_cables() {
    with_jumbos_on_cables(Kind::Pollux);
}

#[test]
fn pollux_with_guests() {
    with_guests(Kind::Pollux);
}

#[test]
fn testpmd_on_sockets() {
    on_sockets(Kind::TestpmdIo);
}

#[test]
fn testpmd_on_cables() {
    on_cables(Kind::TestpmdIo);
}

#[test]
fn testpmd_with_jumbos_on_cables() {
    with_jumbos_on_cables(Kind::TestpmdIo);
}

#[test]
fn testpmd_with_guests() {
    with_guests(Kind::TestpmdIo);
}

#[test]
fn ovs_on_sockets() {
    on_sockets(Kind::Ovs);
}

#[test]
fn ovs_on_cables() {
    on_cables(Kind::Ovs);
}

#[test]
fn ovs_with_jumbos_on_cables() {
    with_jumbos_on_cables(Kind::Ovs);
}

#[test]
fn ovs_with_guests() {
    with_guests(Kind::Ovs);
}

#[test]
fn the_bridge_on_cables() {
    let mut rig = Rig::new(Kind::Bridge, "veth-veth", 9000, true).unwrap();
    rig.cross(&[64, 1518, 9000]);
    let error = rig.system.crash_and_start().unwrap_err();
    assert!(matches!(error, BenchError::Unsupported(_)), "{error}");
    rig.system.restart().unwrap();
    rig.greet();
    rig.cross(&[64]);
    rig.end();
}

/// Four ports of one VLAN: frames for one station go to its port alone.
#[test]
fn meshes_have_more_ports() {
    for (kind, topology) in [(Kind::Pollux, "vhostx4"), (Kind::Bridge, "vethx4")] {
        let mut rig = Rig::new(kind, topology, 1518, false).unwrap();
        rig.cross(&[64]);
        rig.end();
    }
}

/// Static addresses, a setting, the table: each as the system has it.
fn changes(kind: Kind, topology: &str) {
    let mut rig = Rig::new(kind, topology, 1518, true).unwrap();
    let mut control = rig.system.control().unwrap();
    rig.cross(&[64]);
    let mac: Mac = "02:aa:bb:cc:dd:01".parse().unwrap();
    let learned = control.addresses().unwrap().unwrap();
    assert!(learned >= 8, "{learned} addresses");
    control.set_entry(1, mac, true).unwrap();
    assert_eq!(control.addresses().unwrap(), Some(learned), "what is static isn't learned");
    control.set_entry(1, mac, false).unwrap();
    control.change_setting(1).unwrap();
    control.change_setting(2).unwrap();
    control.flush().unwrap();
    // Those that are forgotten may count a while longer.
    wait("the table to be empty", || control.addresses().unwrap() == Some(0));
    rig.cross(&[64]);
    rig.end();
}

#[test]
fn pollux_changes_as_it_is_told() {
    changes(Kind::Pollux, "vhost-vhost");
}

#[test]
fn ovs_changes_as_it_is_told() {
    changes(Kind::Ovs, "vhost-vhost");
}

#[test]
fn the_bridge_changes_as_it_is_told() {
    changes(Kind::Bridge, "veth-veth");
}

/// testpmd knows two ports and no more.
#[test]
fn what_a_system_cant_do_is_refused_with_the_reason() {
    let Err(error) = Rig::new(Kind::TestpmdMac, "vhostx4", 1518, true) else { panic!("four ports") };
    assert!(error.to_string().starts_with("testpmd mac: it hands each port's frames"), "{error}");
    let Err(error) = Rig::new(Kind::Bridge, "vhost-vhost", 1518, true) else { panic!("sockets") };
    assert!(error.to_string().contains("kernel's interfaces only"), "{error}");
}
