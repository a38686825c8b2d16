//! Front ends with every kind of ring: split and packed, in order or not, with and without mergeable
//! buffers, one to four pairs of queues, whoever listens. Each test is one switch and a VM of each kind of
//! ring, and each VM sends to the next.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Switch, Virtio, Vm, wait};
use crate::vhost::{introduce, socket};

const MTU: u16 = 9000;

/// Descriptors of a ring: few, so that it goes round several times.
const RING: u16 = 256;

/// Lengths that follow one another in each flow. The buffers of a front end without mergeable ones hold
/// [`BUFFER`] octets of a frame.
const LENGTHS: [usize; 3] = [64, 1518, 9000];
const BUFFER: usize = 2048;

/// Frames of a VM in one round, over all its queues. Its target takes them all at once.
const ROUND: u32 = 48;
const ROUNDS: u32 = 30;

const _: () = {
    let buffers: usize = 1 + 1 + 9000usize.div_ceil(BUFFER);
    // A front end gives buffers back in lots of 32.
    assert!(ROUND as usize / LENGTHS.len() * buffers <= RING as usize - 32);
    // Four queues have a quarter of the frames each.
    assert!(ROUND * ROUNDS / 4 > RING as u32);
};

/// The eight kinds of ring.
fn kinds(queues: u16, listens: bool) -> Vec<Virtio> {
    let kind = |bits: u8| Virtio {
        queues,
        ring: RING,
        packed: bits & 4 != 0,
        in_order: bits & 2 != 0,
        mergeable: bits & 1 != 0,
        listens,
    };
    (0..8).map(kind).collect()
}

fn config(folder: &Path, workers: u16, kinds: &[Virtio]) -> String {
    let cores: Vec<_> = (0..workers).collect();
    let head = format!("[switch]\ncores = {cores:?}\nhugepages = false\n[fdb]\ncapacity = 1024\n");
    let ports = kinds.iter().zip(1..).map(|(kind, number)| {
        let (socket, role) = (socket(folder, number), if kind.listens { "client" } else { "server" });
        format!(
            "[ports.vm{number}]\nmtu = {MTU}\n\
             vhost_user = {{ socket = \"{}\", role = \"{role}\", queues = {} }}\n",
            socket.display(),
            kind.queues,
        )
    });
    head + &ports.collect::<String>()
}

/// The address of a VM's flow on one of its queues.
fn source(vm: &Vm, queue: u16) -> [u8; 6] {
    [2, 0, 0, 0, 0x20 + queue as u8, vm.mac[5]]
}

/// What a VM with this kind of ring has of a flow's first `sent` frames: their count, and their octets.
fn expected(kind: &Virtio, sent: u32) -> (u64, u64) {
    let lengths = LENGTHS.iter().copied().cycle().take(sent as usize);
    let taken = lengths.filter(|&len| kind.mergeable || len <= BUFFER);
    taken.fold((0, 0), |(count, octets), len| (count + 1, octets + len as u64))
}

/// Drops of each port by reason.
fn drops(switch: &Switch) -> Vec<BTreeMap<String, u64>> {
    let answer = switch.ask("show vhost");
    let vms = answer["vms"].as_array().unwrap();
    vms.iter().map(|vm| serde_json::from_value(vm["drops"].clone()).unwrap()).collect()
}

fn carries_every_kind(queues: u16, listens: bool) {
    let folder = TempDir::new().unwrap();
    let kinds = kinds(queues, listens);
    let workers = queues.min(2);
    let config = config(folder.path(), workers, &kinds);
    let launch = || -> Vec<Vm> {
        let vms = kinds.iter().zip(1..);
        vms.map(|(kind, number)| Vm::launch(&socket(folder.path(), number), number, kind)).collect()
    };
    let (switch, vms) = if listens {
        let vms = launch();
        (Switch::start(&config), vms)
    } else {
        (Switch::start(&config), launch())
    };
    let mut vms: Vec<_> = vms.into_iter().map(Vm::attached).collect();
    introduce(&mut vms.iter_mut().collect::<Vec<_>>());
    each_queue_reaches(&mut vms, queues);
    modes_are_as_asked(&switch, &kinds);

    let before = drops(&switch);
    let next = |number: usize| (number + 1) % kinds.len();
    let per_queue = ROUND / u32::from(queues);
    for round in 0..ROUNDS {
        for number in 0..vms.len() {
            let to = vms[next(number)].mac;
            for queue in 0..queues {
                let from = source(&vms[number], queue);
                vms[number].send_on(queue, to, from, "-", round * per_queue, per_queue, &LENGTHS);
            }
        }
        for number in 0..vms.len() {
            let flows: Vec<_> = (0..queues).map(|queue| source(&vms[number], queue)).collect();
            let (to, kind) = (&mut vms[next(number)], &kinds[next(number)]);
            let (count, _) = expected(kind, (round + 1) * per_queue);
            wait(&format!("round {round} to reach {kind:?}"), || {
                let mac = to.mac;
                let arrived = |&from: &[u8; 6]| to.received(from, mac, 0).count >= count;
                flows.iter().all(arrived).then_some(())
            });
        }
    }

    for number in 0..vms.len() {
        let flows: Vec<_> = (0..queues).map(|queue| source(&vms[number], queue)).collect();
        let (to, kind) = (&mut vms[next(number)], &kinds[next(number)]);
        for from in flows {
            let stream = to.received(from, to.mac, 0);
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{kind:?}");
            assert_eq!((stream.count, stream.octets), expected(kind, ROUNDS * per_queue), "{kind:?}");
        }
        // Each worker sends on queues of its own.
        let used = to.received_on_queues().into_iter().filter(|&frames| frames > 0).count();
        assert!(used >= usize::from(workers), "{used} queues of {kind:?}");
    }
    // A frame for which nothing has room is the receiving port's drop, and nothing else is dropped.
    let sent = ROUNDS * per_queue;
    let refused = |kind: &Virtio| u64::from(queues) * (u64::from(sent) - expected(kind, sent).0);
    for ((kind, before), mut after) in kinds.iter().zip(before).zip(drops(&switch)) {
        before.iter().for_each(|(reason, frames)| *after.get_mut(reason).unwrap() -= frames);
        after.retain(|_, frames| *frames > 0);
        let refused = Some(refused(kind)).filter(|&frames| frames > 0);
        let expected = refused.map(|frames| ("tx_full".to_owned(), frames));
        assert_eq!(after, expected.into_iter().collect(), "{kind:?}");
    }
    switch.stop();
    vms.into_iter().for_each(Vm::shut_down);
}

/// Sends on each queue of each VM until a frame arrives: the switch polls it, and knows the next VM's link.
fn each_queue_reaches(vms: &mut [Vm], queues: u16) {
    for number in 0..vms.len() {
        let next = (number + 1) % vms.len();
        let to = vms[next].mac;
        for queue in 0..queues {
            let from = [2, 0, 0, 0, 0x40 + queue as u8, number as u8];
            let mut sent = 0;
            wait("a frame from each queue", || {
                vms[number].send_on(queue, to, from, "-", sent, 1, &[64]);
                sent += 1;
                (vms[next].received(from, to, 0).count > 0).then_some(())
            });
        }
    }
}

/// Checks that each VM and the switch agreed on what the VM was to be.
fn modes_are_as_asked(switch: &Switch, kinds: &[Virtio]) {
    let answer = switch.ask("show vhost");
    for (vm, kind) in answer["vms"].as_array().unwrap().iter().zip(kinds) {
        let features = vm["vhost"]["features"].as_array().unwrap();
        let has = |name: &str| features.iter().any(|feature| feature == name);
        let modes = (has("RING_PACKED"), has("IN_ORDER"), has("MRG_RXBUF"));
        assert_eq!(modes, (kind.packed, kind.in_order, kind.mergeable), "{vm}");
        let pairs = vm["vhost"]["queues"].as_array().unwrap();
        assert_eq!(pairs.len(), usize::from(kind.queues));
        for pair in pairs {
            assert_eq!((&pair["rx_enabled"], &pair["tx_enabled"]), (&true.into(), &true.into()), "{vm}");
            assert_eq!((&pair["rx_ring"], &pair["tx_ring"]), (&RING.into(), &RING.into()), "{vm}");
        }
    }
}

/// A switch is killed and another started, and VMs that listen go on, whatever their rings.
#[test]
fn vms_with_every_kind_of_ring_outlive_the_switch() {
    const FRAMES: u32 = 90;
    let folder = TempDir::new().unwrap();
    let kinds = kinds(1, true);
    let config = config(folder.path(), 1, &kinds);
    let launched = kinds.iter().zip(1..);
    let vms = launched.map(|(kind, number)| Vm::launch(&socket(folder.path(), number), number, kind));
    let vms: Vec<_> = vms.collect();
    let mut switch = Switch::start(&config);
    let mut vms: Vec<_> = vms.into_iter().map(Vm::attached).collect();
    for life in 0..3 {
        if life > 0 {
            // virtio_user of DPDK 22.11 sets up packed rings anew when a switch connects, and gives whoever
            // is at them a millisecond to leave (virtio_user_dev_reset_queues_packed).
            vms.iter_mut().for_each(Vm::rest);
            switch.crash();
            switch = Switch::start(&config);
            wait("the VMs to be connected", || {
                let answer = switch.ask("show vhost");
                let connected = |vm: &serde_json::Value| vm["vhost"]["connected"] == true;
                answer["vms"].as_array().unwrap().iter().all(connected).then_some(())
            });
        }
        for number in 0..vms.len() {
            let next = (number + 1) % vms.len();
            let (to, kind) = (vms[next].mac, &kinds[next]);
            // The switch has heard none of their own addresses, and floods.
            let from = |what: u8| [2, 0, 0, what, life, number as u8];
            let mut sent = 0;
            wait(&format!("a frame to reach {kind:?} in life {life}"), || {
                vms[number].send_on(0, to, from(1), "-", sent, 1, &[64]);
                sent += 1;
                (vms[next].received(from(1), to, 0).count > 0).then_some(())
            });
            vms[number].send_on(0, to, from(2), "-", 0, FRAMES, &LENGTHS);
            let expected = expected(kind, FRAMES);
            let stream = wait(&format!("frames to reach {kind:?} in life {life}"), || {
                let stream = vms[next].received(from(2), to, 0);
                (stream.count >= expected.0).then_some(stream)
            });
            assert_eq!((stream.count, stream.octets), expected, "{kind:?} in life {life}");
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{kind:?} in life {life}");
        }
    }
    modes_are_as_asked(&switch, &kinds);
    switch.stop();
    vms.into_iter().for_each(Vm::shut_down);
}

macro_rules! tests {
    ($($name:ident: $queues:literal, $listens:literal;)*) => {
        $(#[test]
        fn $name() {
            carries_every_kind($queues, $listens);
        })*
    };
}

tests! {
    one_pair_where_the_switch_listens: 1, false;
    two_pairs_where_the_switch_listens: 2, false;
    three_pairs_where_the_switch_listens: 3, false;
    four_pairs_where_the_switch_listens: 4, false;
    one_pair_where_the_vms_listen: 1, true;
    two_pairs_where_the_vms_listen: 2, true;
    three_pairs_where_the_vms_listen: 3, true;
    four_pairs_where_the_vms_listen: 4, true;
}
