//! A VM's port and its other end, virtio_user, in one process.
#![allow(missing_docs)]

mod support;

use std::slice::from_ref;

use dpdk::{Device, Eal, Event, Mbuf, Mempool, Note, Port, PortConfig, Queues, Started, VhostPort};
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
    let mut vm = vm.start(&config, from_ref(&pool)).unwrap();
    assert!(socket.exists());
    assert!(!vm.events().is_link_up());
    assert_eq!(vm.vhost().unwrap().vid(), None);

    let devargs = format!("net_virtio_user0,path={},queues=1,queue_size=256", socket.display());
    let guest = Device::new(devargs).attach(&eal).unwrap();
    let mut guest = guest.start(&config, from_ref(&pool)).unwrap();

    wait("the link", || vm.events().is_link_up());
    assert_eq!(receiver.recv().unwrap(), Event::Port(vm.number()));
    assert!(vm.events().take().link);
    let vhost = vm.vhost().unwrap();
    wait("the queues", || vhost.is_rx_enabled(0) && vhost.is_tx_enabled(0));
    assert_eq!(vhost.ring_sizes(0), Some((256, 256)));
    assert!(vhost.negotiated_features().is_some_and(|features| features >> 32 & 1 == 1));
    assert!(vhost.negotiated_features().is_some_and(|features| features >> 11 & 0b1111 == 0), "segments");

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

/// The other end of a VM's port.
fn guest(eal: &Eal, pool: &Mempool, name: &str, arguments: &str, queues: u16) -> Port<Started> {
    let devargs = format!("{name},queues={queues},queue_size=256,{arguments}");
    let config = PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
    let port = Device::new(devargs).attach(eal).unwrap();
    port.start(&config, from_ref(pool)).unwrap()
}

/// One frame each way on queue 0.
fn ping(pool: &Mempool, ours: &mut Queues, theirs: &mut Queues) {
    for (tx, rx) in [(&mut ours.tx, &mut theirs.rx), (&mut theirs.tx, &mut ours.rx)] {
        send_all(&mut tx[0], vec![Mbuf::from_slice(pool, &frame(60)).unwrap()]);
        assert_eq!(receive(&mut rx[0], 1)[0].to_vec(), frame(60));
    }
}

#[test]
fn a_vm_comes_goes_and_comes_again() {
    let eal = eal();
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = PortConfig { rx_queues: 2, tx_queues: 2, ..PortConfig::default() };
    let vm = VhostPort::new(&socket).queues(2).attach(&eal).unwrap();
    let mut vm = vm.start(&config, from_ref(&pool)).unwrap();
    assert!(vm.setup().notes.iter().any(|note| matches!(note, Note::Unsupported(_))));
    let vhost = vm.vhost().unwrap().clone();
    let mut ours = vm.take_queues().unwrap();
    let path = format!("path={}", socket.display());
    for round in 0..3 {
        // One pair of queues, then two, then one again.
        let pairs = 1 + round % 2;
        let mut guest = guest(&eal, &pool, &format!("net_virtio_user{round}"), &path, pairs);
        wait("the link", || vm.events().is_link_up());
        wait("the queues", || {
            (0..2).all(|queue| {
                let enabled = vhost.is_rx_enabled(queue) && vhost.is_tx_enabled(queue);
                enabled == (queue < pairs)
            })
        });
        assert_eq!(vhost.ring_sizes(0), Some((256, 256)));
        assert!(vhost.vid().is_some() && vhost.negotiated_features().is_some());
        let mut theirs = guest.take_queues().unwrap();
        ping(&pool, &mut ours, &mut theirs);
        drop(theirs);
        guest.stop().unwrap().close();
        wait("the loss of the link", || !vm.events().is_link_up());
        assert_eq!((vhost.vid(), vhost.ring_sizes(0)), (None, None));
        assert!(!vhost.is_rx_enabled(0) && !vhost.is_tx_enabled(0));
        assert!(vm.events().take().link);
    }
    drop(ours);
    drop(vm);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_port_restarts_under_a_connected_vm() {
    let eal = eal();
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = PortConfig::default();
    let vm = VhostPort::new(&socket).attach(&eal).unwrap();
    let mut vm = vm.start(&config, from_ref(&pool)).unwrap();
    let path = format!("path={}", socket.display());
    let mut guest = guest(&eal, &pool, "net_virtio_user0", &path, 1);
    let mut theirs = guest.take_queues().unwrap();
    for _ in 0..3 {
        wait("the link", || vm.events().is_link_up() && vm.vhost().unwrap().is_tx_enabled(0));
        let mut ours = vm.take_queues().unwrap();
        ping(&pool, &mut ours, &mut theirs);
        drop(ours);
        vm = vm.stop().unwrap().start(&config, from_ref(&pool)).unwrap();
        assert!(vm.vhost().unwrap().vid().is_some());
    }
    drop((theirs, guest, vm));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_client_port_connects_when_its_vm_listens() {
    let eal = eal();
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm.sock");
    let config = PortConfig::default();
    let vm = VhostPort::new(&socket).client(true).attach(&eal).unwrap();
    let mut vm = vm.start(&config, from_ref(&pool)).unwrap();
    assert!(vm.vhost().unwrap().is_client());
    let arguments = format!("server=1,path={}", socket.display());
    let mut guest = guest(&eal, &pool, "net_virtio_user0", &arguments, 1);
    wait("the link", || vm.events().is_link_up() && vm.vhost().unwrap().is_tx_enabled(0));
    ping(&pool, &mut vm.take_queues().unwrap(), &mut guest.take_queues().unwrap());
}

#[test]
fn sockets_that_the_driver_cannot_take_are_refused() {
    let eal = eal();
    for path in ["", "/tmp/a,b", &format!("/tmp/{}", "x".repeat(103))] {
        let error = VhostPort::new(path).attach(&eal).unwrap_err();
        assert!(error.to_string().contains("path"), "{error}");
    }
    let pool = pool(&eal);
    let vm = VhostPort::new("/nonexistent/vm.sock").attach(&eal).unwrap();
    let refused = vm.start(&PortConfig::default(), from_ref(&pool)).unwrap_err();
    assert!(refused.to_string().contains("net_vhost"), "{refused}");
}
