//! The switch on hugepages: how soon it is ready, and what it takes.

use std::fmt::Write;

use tempfile::TempDir;

use crate::harness::{Switch, pages, wait};

/// What two NICs with full rings and eight VMs may take in all.
const PROMISED: u64 = 1_200_000_000;

#[test]
fn two_ports_with_full_rings_and_eight_vms_keep_to_their_memory() {
    let folder = TempDir::new().unwrap();
    let mut config = "[switch]\ncores = [0, 1]\n".to_owned();
    for number in 0..2 {
        let device = format!("net_null{number},no-rx=1");
        let rings = "rx_ring = 4096\ntx_ring = 4096\nmtu = 9000";
        writeln!(config, "[ports.nic{number}]\ndevice = \"{device}\"\n{rings}").unwrap();
    }
    for number in 0..8 {
        let socket = folder.path().join(format!("vm{number}.sock"));
        let socket = socket.display();
        writeln!(
            config,
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{socket}\", role = \"server\", queues = 2 }}"
        )
        .unwrap();
    }
    let _pages = pages::Pages::reserve(512 << 20);
    let before = pages::free();
    let switch = Switch::start(&config);
    let taken = pages::of_process(switch.pid());
    let said = switch.stdout.text();
    let closing = switch.stop();
    for line in said.lines().filter(|line| line.starts_with("ready") || line.starts_with("memory")) {
        println!("{line}");
    }
    println!("{} MiB of hugepages were taken", taken >> 20);

    let planned = said.split_once("memory: ").and_then(|(_, rest)| rest.split_once(" MiB of hugepages"));
    let planned: u64 = planned.expect("memory is printed").0.parse().unwrap();
    assert!(planned << 20 <= PROMISED, "{planned} MiB are planned");
    assert!(taken > 0 && taken <= PROMISED, "{taken} octets are taken");
    // What is said and checked before the start is what is needed.
    assert!(taken <= planned << 20, "{} MiB are taken, {planned} were planned", taken >> 20);
    assert_eq!(closing.ports.len(), 10);
    wait("the hugepages to come back", || (pages::free() >= before).then_some(()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
