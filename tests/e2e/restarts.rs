//! Starting and stopping a hundred times leaves nothing.

use std::collections::BTreeSet;
use std::path::Path;

use arrayvec::ArrayVec;
use dpdk::{Device, Eal, EalOptions, Mbuf, Mempool, PoolOptions, PortConfig, VhostPort};
use tempfile::TempDir;

use crate::harness::{Namespace, Switch, pages, wait};

const TIMES: usize = 100;

/// Processes of their own, half of them on hugepages.
#[test]
fn a_hundred_switches_leave_nothing_behind() {
    let namespace = Namespace::new("sw");
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = |hugepages: bool| {
        format!(
            "[switch]\ncores = [0]\nhugepages = {hugepages}\n\
             [fdb]\ncapacity = 1024\n\
             [ports.tap]\ndevice = \"net_tap0,iface=tap0\"\nrx_ring = 64\ntx_ring = 64\n\
             [ports.vm]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n",
            socket.display(),
        )
    };
    let _pages = pages::Pages::reserve(128 << 20);
    let free = pages::free();
    let huge_files = files_of_dpdk();
    for time in 0..TIMES {
        let switch = Switch::start_in(&namespace, &config(time % 2 == 0));
        assert!(socket.exists());
        switch.stop();
        assert!(!socket.exists(), "the socket is left after {time} times");
    }
    wait("the hugepages to come back", || (pages::free() >= free).then_some(()));
    assert_eq!(files_of_dpdk().difference(&huge_files).count(), 0, "{:?}", files_of_dpdk());
    let links = namespace.exec(&["ip", "-o", "link"]);
    let links = String::from_utf8(links.stdout).unwrap();
    assert_eq!(links.lines().count(), 1, "only the loopback is left:\n{links}");
}

/// Files that hugepages would be in, were they not anonymous.
fn files_of_dpdk() -> BTreeSet<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let folders = mounts.lines().filter(|line| line.contains(" hugetlbfs "));
    let folders = folders.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned);
    let mine = |name: &String| name.starts_with("pollux-");
    let names = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(mine).collect()
}

/// The same ports again and again, in one process.
#[test]
fn a_hundred_attached_ports_leave_nothing_in_the_process() {
    crate::harness::require_root();
    let folder = TempDir::new().unwrap();
    let eal = Eal::init(&EalOptions {
        file_prefix: format!("pollux-e2e-{}", std::process::id()),
        hugepages: false,
        memory: Some(256),
        ..EalOptions::default()
    })
    .unwrap();
    let pool = Mempool::create(&eal, &PoolOptions::default()).unwrap();
    let once = || {
        let config =
            PortConfig { rx_queues: 2, tx_queues: 2, rx_ring: 256, tx_ring: 256, ..PortConfig::default() };
        let null = Device::new("net_null0").attach(&eal).unwrap();
        let vm = VhostPort::new(folder.path().join("vm.sock")).queues(2).attach(&eal).unwrap();
        let mut null = null.start(&config, std::slice::from_ref(&pool)).unwrap();
        let mut vm = vm.start(&config, std::slice::from_ref(&pool)).unwrap();
        let mut queues = null.take_queues().unwrap();
        let mut burst = ArrayVec::<Mbuf, 32>::new();
        assert_eq!(queues.rx[1].receive(&mut burst), 32);
        assert_eq!(queues.tx[1].transmit(&mut burst), 32);
        drop((queues, vm.take_queues().unwrap()));
        vm.stop().unwrap().close();
        null.stop().unwrap().close();
        assert_eq!(pool.in_use(), 0);
    };
    let held = || ["fd", "task"].map(|what| entries(&Path::new("/proc/self").join(what)));
    // The first makes what DPDK keeps for the rest: the vhost library's threads.
    once();
    let before = held();
    (0..TIMES).for_each(|_| once());
    assert_eq!(held(), before, "fds and threads grew");
    assert_eq!(entries(folder.path()), 0);
    drop(pool);
    let runtime_dir = eal.runtime_dir().to_owned();
    drop(eal);
    assert!(!runtime_dir.exists());
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
