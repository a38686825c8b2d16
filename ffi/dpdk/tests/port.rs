//! Ports over virtual devices: life cycle, misuse, full rings, files, the kernel.
#![allow(missing_docs)]

mod support;

use std::slice::from_ref;

use arrayvec::ArrayVec;
use dpdk::{
    Device, Eal, FlowControl, Mbuf, Mempool, Note, PoolOptions, PortConfig, PriorityFlowControl,
    SharedTxQueue, VhostPort,
};
use pollux_net::Frame;
use support::*;

#[test]
fn dpdk_starts_once_a_process() {
    let eal = eal();
    let error = Eal::init(&options()).unwrap_err();
    assert!(error.to_string().contains("once in a process"), "{error}");
    assert!(eal.version().starts_with("DPDK "), "{}", eal.version());
    assert!(Eal::built_with() >= (22, 11, 0));
    assert!(eal.tsc_hz() > 100_000_000);
    assert!(!eal.has_hugepages());
    drop(eal);
    assert!(Eal::init(&options()).is_err(), "not even after its end");
}

#[test]
fn misuse_is_an_error_that_says_what() {
    let eal = eal();
    let pool = pool(&eal);
    for device in ["net_nonsense0", "nonsense", "", "0000:ff:1f.7"] {
        let error = Device::new(device).attach(&eal).unwrap_err();
        assert_eq!((error.call(), error.subject()), ("rte_dev_probe", device));
        assert_eq!(error.errno(), libc::ENODEV, "{error}");
        assert!(error.cure().is_some());
    }
    let port = Device::new("net_null0").attach(&eal).unwrap();
    let error = Device::new("net_null0").attach(&eal).unwrap_err();
    assert_eq!(error.errno(), libc::EEXIST, "{error}");

    let refused = port.start(&PortConfig::default(), &[]).unwrap_err();
    assert!(refused.to_string().contains("pool"), "{refused}");
    let config = PortConfig { rx_queues: 2, ..PortConfig::default() };
    let mut port = refused.port.start(&config, from_ref(&pool)).unwrap();
    let queues = port.take_queues().unwrap();
    assert!(port.take_queues().unwrap_err().to_string().contains("taken before"));
    let refused = port.stop().unwrap_err();
    assert!(refused.to_string().contains("rx 0, rx 1, tx 0"), "{refused}");
    let (mut rx, tx) = (queues.rx, queues.tx);
    rx.remove(0);
    drop(tx);
    let refused = refused.port.stop().unwrap_err();
    assert!(refused.to_string().contains("in use: rx 1"), "{refused}");
    drop(rx);
    let port = refused.port.stop().unwrap();
    port.close();
    Device::new("net_null0").attach(&eal).unwrap();
}

#[test]
fn whatever_is_dropped_first_all_ends_well() {
    let eal = eal();
    let pool = pool(&eal);
    let port = Device::new("net_null0").attach(&eal).unwrap();
    let mut port = port.start(&PortConfig::default(), from_ref(&pool)).unwrap();
    let mut queues = port.take_queues().unwrap();
    let runtime_dir = eal.runtime_dir().to_owned();
    drop(eal);
    drop(port);
    let mut burst = Burst::new();
    assert_eq!(queues.rx[0].receive(&mut burst), 32);
    assert_eq!(queues.tx[0].transmit(&mut burst), 32);
    assert_eq!(pool.in_use(), 0);
    drop(pool);
    assert!(runtime_dir.exists());
    drop(queues);
    assert!(!runtime_dir.exists());
}

#[test]
fn a_device_is_asked_what_it_can_do() {
    let eal = eal();
    let pool = pool(&eal);
    let port = Device::new("net_null0").attach(&eal).unwrap();
    let info = port.info().unwrap();
    assert_eq!((info.driver.as_str(), info.name.as_str()), ("net_null", "net_null0"));
    let config = PortConfig { rx_queues: 4, tx_queues: u16::MAX, mtu: 9000, ..PortConfig::default() };
    let plan = port.plan(&config, Mempool::DATA_ROOM).unwrap();
    assert_eq!(plan.config.tx_queues, info.max_tx_queues);
    let clamped =
        Note::Clamped { what: "tx_queues", asked: u16::MAX.into(), given: info.max_tx_queues.into() };
    assert!(plan.notes.contains(&clamped), "{:?}", plan.notes);
    assert!(plan.notes.iter().all(|note| !note.to_string().is_empty()));
    let config = PortConfig { rx_queues: 4, ..PortConfig::default() };
    let mut port = port.start(&config, from_ref(&pool)).unwrap();
    assert_eq!(port.setup().config.rx_queues, 4);
    let reta = port.reta().unwrap();
    assert_eq!(reta.len(), usize::from(info.reta_size));
    let table: Vec<u16> = (0..info.reta_size).map(|i| i % 4).collect();
    port.set_reta(&table).unwrap();
    assert_eq!(port.reta().unwrap(), table);
    assert!(port.set_reta(&[0]).is_err());
    assert!(port.set_reta(&vec![4; table.len()]).is_err());
    assert_eq!(port.mtu().unwrap(), 1500);
    port.reset_stats().unwrap();
    assert!(port.extended_stats().unwrap().iter().any(|(name, _)| name == "rx_good_packets"));
    assert_eq!(port.link().to_string(), "up at 10 Gbit/s");
    assert_eq!(port.rss_key().map_or(0, |key| key.len()), usize::from(info.rss_key_len));
    assert_eq!(port.rss().map(|rss| rss & info.rss), port.rss());
    assert_eq!((port.rx_burst_mode(0).as_str(), port.tx_burst_mode(9).as_str()), ("", ""));
}

#[test]
fn devices_without_a_wire_have_no_flow_control() {
    let eal = eal();
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let null = Device::new("net_null0").attach(&eal).unwrap();
    let vm = VhostPort::new(folder.path().join("vm.sock")).attach(&eal).unwrap();
    for port in [null, vm] {
        let mut port = port.start(&PortConfig::default(), from_ref(&pool)).unwrap();
        let mut priority = PriorityFlowControl { rx: true, priority: 7, ..PriorityFlowControl::default() };
        let errors = [
            port.flow_control().unwrap_err(),
            port.set_flow_control(&FlowControl { tx: true, ..FlowControl::default() }).unwrap_err(),
            port.set_priority_flow_control(&priority).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_unsupported());
            assert_eq!(error.subject(), port.name());
            assert!(error.to_string().contains("the device has no flow control"), "{error}");
        }
        priority.priority = 8;
        let error = port.set_priority_flow_control(&priority).unwrap_err();
        assert!(error.errno() == libc::EINVAL && error.to_string().contains("0 to 7"), "{error}");
    }
}

#[test]
fn a_full_ring_leaves_the_rest_in_order() {
    let eal = eal();
    let pool = pool(&eal);
    let port = Device::new("net_ring0").attach(&eal).unwrap();
    let mut port = port.start(&PortConfig::default(), from_ref(&pool)).unwrap();
    let mut queues = port.take_queues().unwrap();
    let (rx, tx) = (&mut queues.rx[0], &mut queues.tx[0]);
    let number = |mbuf: &Mbuf| u32::from_be_bytes(mbuf.head()[14..18].try_into().unwrap());
    let mut next = 0_u32;
    let mut filled = 0;
    let mut burst = Burst::new();
    loop {
        while !burst.is_full() {
            let mut mbuf = Mbuf::from_slice(&pool, &frame(60)).unwrap();
            mbuf.head_mut().unwrap()[14..18].copy_from_slice(&next.to_be_bytes());
            burst.push(mbuf);
            next += 1;
        }
        let sent = tx.transmit(&mut burst);
        filled += sent as u32;
        assert_eq!(burst.len(), 32 - sent);
        let kept: Vec<u32> = burst.iter().map(number).collect();
        assert_eq!(kept, (filled..next).collect::<Vec<_>>());
        if sent == 0 {
            break;
        }
    }
    assert!(filled > 100 && filled % 32 != 0, "{filled}");
    let mut received = ArrayVec::<Mbuf, 7>::new();
    for i in 0..filled {
        if received.is_empty() {
            assert!(rx.receive(&mut received) > 0);
        }
        assert_eq!(number(&received.remove(0)), i);
    }
    assert_eq!(rx.receive(&mut received), 0);
    assert_eq!(pool.in_use(), 32);
    Mbuf::free_burst(&mut burst);
    assert_eq!(pool.in_use(), 0);
    assert_eq!(tx.transmit(&mut burst), 0);
}

#[test]
fn a_burst_is_filled_behind_what_is_there() {
    let eal = eal();
    let pool = pool(&eal);
    let port = Device::new("net_null0").attach(&eal).unwrap();
    let mut port = port.start(&PortConfig::default(), from_ref(&pool)).unwrap();
    let mut queues = port.take_queues().unwrap();
    let mut burst = Burst::new();
    burst.push(Mbuf::from_slice(&pool, &frame(77)).unwrap());
    assert_eq!(queues.rx[0].receive(&mut burst), 31);
    assert_eq!(queues.rx[0].receive(&mut burst), 0);
    assert_eq!(burst[0].to_vec(), frame(77));
    assert_eq!(queues.tx[0].transmit(&mut burst), 32);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn starting_and_stopping_leaks_nothing() {
    let eal = eal();
    let pool = pool(&eal);
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let mut port = Some(Device::new("net_ring0").attach(&eal).unwrap());
    let before = (fds(), threads());
    for round in 0..20 {
        let started = port.take().unwrap().start(&PortConfig::default(), from_ref(&pool));
        let mut started = started.unwrap();
        let mut queues = started.take_queues().unwrap();
        send_all(&mut queues.tx[0], vec![Mbuf::from_slice(&pool, &frame(60 + round)).unwrap()]);
        assert_eq!(receive(&mut queues.rx[0], 1)[0].len(), 60 + round);
        drop(queues);
        port = Some(started.stop().unwrap());
        assert_eq!(pool.in_use(), 0);
    }
    drop(port);
    for i in 0..20 {
        let port = Device::new(format!("net_null{i}")).attach(&eal).unwrap();
        port.start(&PortConfig::default(), from_ref(&pool)).unwrap().stop().unwrap().close();
        drop(support::pool(&eal));
        assert_eq!(eal.reclaim(), 0);
    }
    assert_eq!((fds(), threads()), before);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn several_threads_share_a_tx_queue() {
    let eal = eal();
    let options = PoolOptions { mbufs: 4095, ..PoolOptions::default() };
    let pool = Mempool::create(&eal, &options).unwrap();
    let port = Device::new("net_ring0").attach(&eal).unwrap();
    let mut port = port.start(&PortConfig::default(), from_ref(&pool)).unwrap();
    let mut queues = port.take_queues().unwrap();
    let shared = SharedTxQueue::from(queues.tx.remove(0));
    const EACH: usize = 20_000;
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let (shared, pool, eal) = (shared.clone(), pool.clone(), eal.clone());
            scope.spawn(move || {
                let registered = eal.register_thread().unwrap();
                let mut burst = Burst::new();
                let mut sent = 0;
                let mut next = 0_u32;
                while sent < EACH {
                    while !burst.is_full() && (next as usize) < EACH {
                        let Some(mut mbuf) = Mbuf::from_slice(&pool, &frame(60)) else { break };
                        let head = mbuf.head_mut().unwrap();
                        head[14] = thread;
                        head[15..19].copy_from_slice(&next.to_be_bytes());
                        burst.push(mbuf);
                        next += 1;
                    }
                    sent += shared.transmit(&mut burst);
                    registered.pass();
                }
            });
        }
        let mut next = [0_u32; 3];
        wait("all frames", || {
            for mbuf in receive(&mut queues.rx[0], 1) {
                let head = mbuf.head();
                let from = &mut next[usize::from(head[14])];
                assert_eq!(u32::from_be_bytes(head[15..19].try_into().unwrap()), *from);
                *from += 1;
            }
            next == [EACH as u32; 3]
        });
    });
    assert_eq!(shared.transmit(&mut Burst::new()), 0);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn files_are_read_and_written() {
    let eal = eal();
    let pool = pool(&eal);
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
    let frames: Vec<Vec<u8>> = [14, 60, 1514, 9216].into_iter().map(frame).collect();
    std::fs::write(&input, capture(&frames)).unwrap();
    let devargs = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
    let port = Device::new(devargs).attach(&eal).unwrap();
    let config = PortConfig { mtu: 9216, ..PortConfig::default() };
    let mut port = port.start(&config, from_ref(&pool)).unwrap();
    let mut queues = port.take_queues().unwrap();
    let received = receive(&mut queues.rx[0], frames.len());
    assert_eq!(received.iter().map(Mbuf::to_vec).collect::<Vec<_>>(), frames);
    send_all(&mut queues.tx[0], received);
    drop(queues);
    port.stop().unwrap().close();
    assert_eq!(pool.in_use(), 0);
    let written = std::fs::read(&output).unwrap();
    for frame in &frames {
        assert!(written.windows(frame.len()).any(|window| window == frame), "{}", frame.len());
    }
}

/// A capture file with these frames.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65535, 1_u32] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        for word in [0, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn frames_reach_the_kernel_and_come_back() {
    if !std::path::Path::new("/dev/net/tun").exists() {
        eprintln!("skipped: the kernel has no tun device");
        return;
    }
    let eal = eal();
    let pool = pool(&eal);
    let iface = format!("plx{}", std::process::id() % 1_000_000);
    let config = PortConfig::default();
    let tap = match Device::new(format!("net_tap0,iface={iface}")).attach(&eal) {
        Ok(tap) => tap,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let mut tap = tap.start(&config, from_ref(&pool)).unwrap();
    wait("the tap's link", || tap.link().up);
    let packet = Device::new(format!("net_af_packet0,iface={iface}")).attach(&eal).unwrap();
    let mut packet = packet.start(&config, from_ref(&pool)).unwrap();
    let (mut a, mut b) = (tap.take_queues().unwrap(), packet.take_queues().unwrap());
    // The kernel says things of its own on a new interface.
    let ours = |mbuf: &Mbuf| mbuf.head().get(12..14) == Some(&[0x12, 0x34]);
    let mut burst = Burst::new();
    for len in [60, 500, 1514] {
        for (tx, rx) in [(&mut a.tx, &mut b.rx), (&mut b.tx, &mut a.rx)] {
            send_all(&mut tx[0], vec![Mbuf::from_slice(&pool, &frame(len)).unwrap()]);
            wait("the frame", || {
                burst.clear();
                rx[0].receive(&mut burst);
                burst.iter().any(|mbuf| ours(mbuf) && mbuf.to_vec() == frame(len))
            });
        }
    }
    burst.clear();
    drop((a, b));
    packet.stop().unwrap().close();
    assert!(tap.set_mtu(1400).unwrap());
    assert_eq!(tap.mtu().unwrap(), 1400);
    assert_eq!(*tap.info().unwrap().mtu.end(), 1504);
    assert!(tap.set_mtu(9000).is_err());
    tap.stop().unwrap().close();
    assert!(!std::path::Path::new("/sys/class/net").join(&iface).exists());
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn queues_interrupt_where_each_has_an_interrupt_of_its_own() {
    let eal = eal();
    let pool = pool(&eal);
    let config = PortConfig { rx_queues: 2, tx_queues: 2, rx_interrupts: true, ..PortConfig::default() };
    let interrupts = |device: Device, config: &PortConfig| {
        let mut port = device.attach(&eal).ok()?.start(config, from_ref(&pool)).unwrap();
        let mut queues = port.take_queues().unwrap();
        assert_eq!(queues.rx.len(), 2);
        Some(queues.rx.iter_mut().map(|queue| queue.has_interrupt()).collect::<Vec<_>>())
    };
    let none = Device::new("net_null0");
    assert_eq!(interrupts(none, &config), Some(vec![false; 2]), "it starts without");
    let tap = || Device::new(format!("net_tap0,iface=pli{}", std::process::id() % 1_000_000));
    let Some(came) = interrupts(tap(), &config) else {
        eprintln!("skipped: the kernel has no tun device");
        return;
    };
    assert_eq!(came, [true; 2]);
    let unasked = PortConfig { rx_interrupts: false, ..config };
    assert_eq!(interrupts(tap(), &unasked), Some(vec![false; 2]));
}
