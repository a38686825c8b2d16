//! A VM's port and its other end, virtio_user, in one process.
#![allow(missing_docs)]

mod support;

use dpdk::{Device, Mbuf, PortConfig, VhostPort};
use support::*;

#[test]
fn frames_cross_between_vhost_and_virtio_user() {
    let eal = eal();
    let receiver = eal.take_event_receiver().expect("taken for the first time");
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = PortConfig::default();

    let vm = VhostPort::new(&socket).attach(&eal).unwrap();
    assert!(!socket.exists());
    let mut vm = vm.start(&config, &[pool.clone()]).unwrap();
    assert!(socket.exists());
    assert!(!vm.events().is_link_up());
    assert_eq!(vm.vhost().unwrap().vid(), None);

    let devargs = format!("net_virtio_user0,path={},queues=1,queue_size=256", socket.display());
    let guest = Device::new(devargs).attach(&eal).unwrap();
    let mut guest = guest.start(&config, &[pool.clone()]).unwrap();

    wait("the link", || vm.events().is_link_up());
    assert_eq!(receiver.recv().unwrap(), vm.number());
    assert!(vm.events().take().link);
    let vhost = vm.vhost().unwrap();
    wait("the queues", || vhost.is_rx_enabled(0) && vhost.is_tx_enabled(0));
    assert_eq!(vhost.ring_sizes(0), Some((256, 256)));
    assert!(vhost.negotiated_features().is_some_and(|features| features >> 32 & 1 == 1));

    let mut ours = vm.take_queues().unwrap();
    let mut theirs = guest.take_queues().unwrap();
    for len in [60, 1514, 9216] {
        let sent: Vec<_> = (0..100).map(|i| frame(len + i % 3)).collect();
        let mbufs = |frames: &[Vec<u8>]| -> Vec<_> {
            frames.iter().map(|octets| Mbuf::from_slice(&pool, octets).unwrap()).collect()
        };
        for (batch, mbufs) in sent.chunks(20).map(|batch| (batch, mbufs(batch))) {
            send_all(&mut ours.tx[0], mbufs);
            let received = receive(&mut theirs.rx[0], batch.len());
            assert_eq!(received.iter().map(Mbuf::to_vec).collect::<Vec<_>>(), batch);
            send_all(&mut theirs.tx[0], received);
            let received = receive(&mut ours.rx[0], batch.len());
            assert_eq!(received.iter().map(Mbuf::to_vec).collect::<Vec<_>>(), batch);
        }
    }
    assert!(vm.stats().unwrap().rx_packets >= 300);

    drop(theirs);
    guest.stop().unwrap().close();
    wait("the loss of the link", || !vm.events().is_link_up());
    drop(ours);
    vm.stop().unwrap().close();
    assert!(!socket.exists());
    assert_eq!(pool.in_use(), 0);
    drop(pool);
    let runtime_dir = eal.runtime_dir().to_owned();
    drop(eal);
    assert!(!runtime_dir.exists());
}
