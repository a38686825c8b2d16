//! A VM that stops reading, and what that costs the others.

use pollux::text::{grouped, table};
use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, wait};
use crate::vhost::{config, introduce, only, reach, socket};

/// A phase is so many rounds of so many frames, its rate the median of its rounds'.
const ROUNDS: u32 = 5;
const FRAMES: u32 = 10_000;
const PHASE: u64 = ROUNDS as u64 * FRAMES as u64;

/// How two VMs fared beside a third.
struct Fared {
    /// Frames a second, each way.
    rate: u64,
    /// Frames, or their echoes, that were lost between the two.
    lost: u64,
    floods_lost: u64,
    /// Frames that the third VM's ring had no room for.
    refused: u64,
}

/// Frames that the third VM was given, and those that its ring had no room for.
fn to_third(switch: &Switch) -> (u64, u64) {
    let vm = &switch.ask("show vhost vm3")["vms"][0];
    (vm["network"]["rx_packets"].as_u64().unwrap(), vm["drops"]["tx_full"].as_u64().unwrap_or(0))
}

/// Runs `send`, and waits until the third VM was given, or refused, all of its `count` frames. Returns how
/// many were refused, and what `send` did.
fn refused<T>(switch: &Switch, count: u64, send: impl FnOnce() -> T) -> (u64, T) {
    let (given, before) = to_third(switch);
    let result = send();
    let after = wait("frames for the third VM", || {
        let (now, refused) = to_third(switch);
        (now + refused >= given + before + count).then_some(refused)
    });
    (after - before, result)
}

/// Has one VM send frames to another that echoes them, and each to the third too, and to all.
fn measure(switch: &Switch, one: &mut Vm, two: &mut Vm, third: [u8; 6], first: u32) -> Fared {
    let from = one.mac;
    let before = two.received(from, frame::BROADCAST, 0).count;
    let mut ping = |round| one.ping(two.mac, &[third, frame::BROADCAST], first + round * FRAMES, FRAMES);
    let (refused, pings) = refused(switch, 2 * PHASE, || (0..ROUNDS).map(&mut ping).collect::<Vec<_>>());
    let floods = wait("floods to arrive or to be dropped", || {
        let arrived = two.received(from, frame::BROADCAST, 0).count - before;
        let dropped = switch.ask("show vhost vm2")["vms"][0]["drops"]["tx_full"].as_u64();
        (arrived + dropped.unwrap_or(0) >= PHASE).then_some(arrived)
    });
    let mut rates: Vec<_> = pings.iter().map(|ping| (ping.echoed as f64 / ping.seconds) as u64).collect();
    rates.sort_unstable();
    let echoed: u64 = pings.iter().map(|ping| ping.echoed).sum();
    Fared { rate: rates[rates.len() / 2], lost: PHASE - echoed, floods_lost: PHASE - floods, refused }
}

/// Its ring fills, and no other; whoever sends to it goes on sending to others. What that does to their rate
/// is printed only: it is the machine's as much as the switch's.
#[test]
fn a_vm_that_reads_nothing_holds_nobody_up() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 3, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    let mut third = Vm::connect(&socket(folder.path(), 3), 3);
    introduce(&mut [&mut one, &mut two, &mut third]);
    let mac3 = third.mac;
    two.echo();

    let before = measure(&switch, &mut one, &mut two, mac3, 0);
    let (filled, meanwhile) = third.while_stopped(|| {
        // More than its ring of 1,024 holds.
        let (filled, ()) = refused(&switch, 2_000, || one.send(mac3, "-", 0, 2_000));
        (filled, measure(&switch, &mut one, &mut two, mac3, PHASE as u32))
    });
    reach(&mut one, &mut third);
    let after = measure(&switch, &mut one, &mut two, mac3, 2 * PHASE as u32);

    let all = [("reads", before), ("is stopped", meanwhile), ("reads again", after)];
    let row = |(third, fared): &(&str, Fared)| {
        let numbers = [fared.rate, fared.lost, fared.floods_lost, fared.refused].map(grouped);
        std::iter::once((*third).to_owned()).chain(numbers).collect()
    };
    let header = ["third VM", "frames/s each way", "lost", "floods lost", "tx_full at the third"];
    println!("{}", table(&header, all.iter().map(row), 1));

    for (third, fared) in &all {
        assert_eq!((fared.lost, fared.floods_lost), (0, 0), "between the others when the third {third}");
    }
    assert!(filled > 0);
    assert_eq!(all[1].1.refused, 2 * PHASE, "a full ring takes nothing");
    let (mac1, mac2) = (one.mac, two.mac);
    for (vm, from) in [(&mut two, mac1), (&mut one, mac2)] {
        let stream = vm.received(from, vm.mac, 0);
        assert_eq!((stream.count, stream.out_of_order, stream.duplicates), (3 * PHASE, 0, 0));
    }
    let in_all: u64 = third.report().iter().map(|(_, _, stream)| stream.count).sum();
    let closing = switch.stop();
    assert_eq!(in_all, closing.port("vm3").tx_frames, "{}", closing.stdout);
    only(&closing, "vm1", &["no_destination"]);
    only(&closing, "vm2", &["no_destination"]);
    only(&closing, "vm3", &["no_destination", "tx_full"]);
}
