//! Two workers on ports of two queues: flows keep their order.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, pcap, wait};
use crate::vhost::{introduce, socket};

const FLOWS: u8 = 8;

fn station(side: u8, flow: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0x10 + side, flow]
}

/// A NIC's queues, each with flows of its own as RSS deals them out; both sides send at once.
#[test]
fn flows_through_two_workers_keep_their_order() {
    const FRAMES: u32 = 4_000;
    let folder = TempDir::new().unwrap();
    let file = |side: u8, queue: u8, end: &str| folder.path().join(format!("{side}.{queue}.{end}"));
    let mut config = "[switch]\ncores = [0, 1]\nhugepages = false\n".to_owned();
    for side in 0..2 {
        for queue in 0..2 {
            // Interleaved: every flow of this queue, number by number.
            let flows = (0..FLOWS).filter(|flow| flow % 2 == queue);
            let frames = (0..FRAMES).flat_map(|number| {
                let build =
                    move |flow| frame::build(station(1 - side, flow), station(side, flow), "-", number, 64);
                flows.clone().map(build)
            });
            pcap::write(&file(side, queue, "in"), &frames.collect::<Vec<_>>());
        }
        let queues = [0, 1].map(|queue| (file(side, queue, "in"), file(side, queue, "out")));
        let queues = queues.each_ref().map(|(from, to)| (from.as_path(), to.as_path()));
        let device = pcap::device(usize::from(side), &queues);
        config += &format!("[ports.p{side}]\ndevice = \"{device}\"\nrx_queues = 2\n");
    }
    // All stations are known: a first frame is no flood.
    for (side, flow) in (0..2).flat_map(|side| (0..FLOWS).map(move |flow| (side, flow))) {
        let mac = crate::front_end::format_mac(&station(side, flow));
        config += &format!("[[fdb.static]]\nmac = \"{mac}\"\nvid = 1\nport = \"p{side}\"\n");
    }
    let switch = Switch::start(&config);
    let sent = 2 * u64::from(FLOWS) * u64::from(FRAMES);
    switch.await_received(sent);
    let closing = switch.stop();

    for side in 0..2 {
        let mut flows = BTreeMap::<u8, Vec<u32>>::new();
        for queue in 0..2 {
            let mut here = BTreeMap::<u8, Vec<u32>>::new();
            for octets in pcap::read(&file(side, queue, "out")) {
                assert_eq!(octets[..5], station(side, 0)[..5], "a frame for the other side");
                here.entry(octets[11]).or_default().push(frame::number(&octets).unwrap());
            }
            for (flow, numbers) in here {
                assert!(flows.insert(flow, numbers).is_none(), "flow {flow} is sent on both queues");
            }
        }
        assert_eq!(flows.len(), usize::from(FLOWS));
        for (flow, numbers) in flows {
            assert!(numbers.into_iter().eq(0..FRAMES), "flow {flow} to side {side} is out of order");
        }
        assert_eq!(closing.port(&format!("p{side}")).tx_frames, sent / 2);
    }
}

/// Two VMs, with so many pairs of queues.
fn config(folder: &Path, cores: &str, queues: [u16; 2]) -> String {
    let ports = (1..).zip(queues).map(|(number, queues)| {
        let socket = socket(folder, number);
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{}\", role = \"server\", queues = {queues} }}\n",
            socket.display(),
        )
    });
    format!("[switch]\ncores = {cores}\nhugepages = false\n") + &ports.collect::<String>()
}

/// A VM has two queues too, or one: both workers then share it.
#[test]
fn workers_share_a_vms_queues() {
    const FRAMES: u32 = 5_000;
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), "[0, 1]", [2, 1]));
    let mut many = Vm::connect_with_queues(&socket(folder.path(), 1), 1, 2);
    let mut one = Vm::connect(&socket(folder.path(), 2), 2);
    let to = one.mac;
    // One flow on each queue, and a stranger who finds out when its worker has taken note of all links.
    let flows = [(0, [2, 0, 0, 0, 8, 1]), (1, [2, 0, 0, 0, 8, 2])];
    let stranger = [2, 0, 0, 0, 8, 3];
    for (queue, _) in flows {
        let before = one.received(stranger, to, 0).count;
        wait("the first frames", || {
            one.send(many.mac, "-", 0, 1);
            many.send_on(queue, to, stranger, "-", 0, 1, &[64]);
            (one.received(stranger, to, 0).count > before).then_some(())
        });
    }
    for first in (0..FRAMES).step_by(250) {
        for (queue, source) in flows {
            many.send_on(queue, to, source, "-", first, 250, &[64]);
        }
    }
    wait("all frames to be received or dropped", || {
        let received: u64 = flows.iter().map(|&(_, source)| one.received(source, to, 0).count).sum();
        let dropped = switch.counters().get("vm2").map_or(0, |live| live.dropped);
        (received + dropped >= 2 * u64::from(FRAMES)).then_some(())
    });
    let streams = flows.map(|(_, source)| one.received(source, to, 0));
    let closing = switch.stop();
    for stream in &streams {
        assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{streams:?}");
    }
    let received: u64 = streams.iter().map(|stream| stream.count).sum();
    assert_eq!(received + closing.drops("vm2", "tx_full"), 2 * u64::from(FRAMES), "{}", closing.stdout);
}

/// A worker that has several of a VM's queues to itself deals flows out over them.
#[test]
fn one_worker_uses_all_of_a_vms_queues() {
    const FRAMES: u32 = 200;
    const SOURCES: u8 = 32;
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), "[0]", [1, 4]));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut many = Vm::connect_with_queues(&socket(folder.path(), 2), 2, 4);
    let to = many.mac;
    introduce(&mut [&mut one, &mut many]);
    let sources: Vec<_> = (0..SOURCES).map(|flow| [2, 0, 0, 0, 0x30, flow]).collect();
    for first in (0..FRAMES).step_by(10) {
        for &source in &sources {
            one.send_on(0, to, source, "-", first, 10, &[64]);
        }
        // No more than the smallest share of the rings, which may all be one queue's.
        wait("what was sent", || {
            let all = |&source: &[u8; 6]| many.received(source, to, 0).count == u64::from(first) + 10;
            sources.iter().all(all).then_some(())
        });
    }
    for source in sources {
        let stream = many.received(source, to, 0);
        assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{stream:?}");
    }
    let used = many.received_on_queues();
    assert!(used.iter().all(|&frames| frames > 0), "{used:?}");
    switch.stop();
}
