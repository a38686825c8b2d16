//! DPDK in hugepages. Runs where `POLLUX_TEST_HUGEPAGES` names a mounted hugetlbfs with 256 MiB free.
#![allow(missing_docs)]

mod support;

use std::slice::from_ref;

use dpdk::{Device, Eal, EalOptions, Mbuf, PortConfig, VhostPort};
use support::*;

fn hugetlbfs() -> Option<String> {
    let folder = std::env::var("POLLUX_TEST_HUGEPAGES").ok();
    if folder.is_none() {
        eprintln!("skipped: POLLUX_TEST_HUGEPAGES names no hugetlbfs");
    }
    folder
}

/// Files of this process.
fn files(folder: &str) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let prefix = options().file_prefix;
    names.filter(|name| name.to_str().unwrap().starts_with(&prefix)).count()
}

#[test]
fn no_file_that_could_be_left_behind() {
    let Some(hugetlbfs) = hugetlbfs() else { return };
    let eal = Eal::init(&EalOptions {
        hugepages: true,
        memory: Some(64),
        extra: vec![format!("--huge-dir={hugetlbfs}")],
        ..options()
    })
    .unwrap();
    assert!(eal.has_hugepages());
    let pool = pool(&eal);
    assert_eq!(files(&hugetlbfs), 0, "its files are unlinked at once");
    drop(Mbuf::from_slice(&pool, &frame(1514)).unwrap());
}

#[test]
fn shared_files_are_removed_at_the_end() {
    let Some(hugetlbfs) = hugetlbfs() else { return };
    let eal = Eal::init(&EalOptions {
        hugepages: true,
        shared_memory: true,
        memory: Some(64),
        extra: vec![format!("--huge-dir={hugetlbfs}")],
        ..options()
    })
    .unwrap();
    assert!(files(&hugetlbfs) > 0);

    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = PortConfig::default();
    let vm = VhostPort::new(&socket).attach(&eal).unwrap();
    let mut vm = vm.start(&config, from_ref(&pool)).unwrap();
    let guest = Device::new(format!("net_virtio_user0,path={}", socket.display()));
    let guest = guest.attach(&eal).unwrap();
    let mut guest = guest.start(&config, from_ref(&pool)).unwrap();
    wait("the link", || vm.events().is_link_up() && vm.vhost().unwrap().is_tx_enabled(0));
    let (mut ours, mut theirs) = (vm.take_queues().unwrap(), guest.take_queues().unwrap());
    send_all(&mut ours.tx[0], vec![Mbuf::from_slice(&pool, &frame(1514)).unwrap()]);
    assert_eq!(receive(&mut theirs.rx[0], 1)[0].to_vec(), frame(1514));
    drop((ours, theirs, guest, vm));
    assert_eq!(pool.in_use(), 0);
    drop(pool);
    let runtime_dir = eal.runtime_dir().to_owned();
    drop(eal);
    assert_eq!(files(&hugetlbfs), 0);
    assert!(!runtime_dir.exists());
}
