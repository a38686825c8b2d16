//! Ports that come and go, and files that change, while frames go on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Switch, Virtio, Vm, wait};
use crate::vhost::{config, introduce, reach, socket};

/// How often a port comes and goes in the short run; `POLLUX_CYCLES` asks for more.
const CYCLES: u32 = 8;

/// Ports that come and go side by side, so that their seconds of waiting for each other pass together.
const COMERS: u8 = 8;

fn cycles() -> u32 {
    std::env::var("POLLUX_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(CYCLES)
}

/// What a process holds: open files and threads.
fn held(switch: &Switch) -> [usize; 2] {
    let process = Path::new("/proc").join(switch.pid().to_string());
    ["fd", "task"].map(|what| std::fs::read_dir(process.join(what)).unwrap().count())
}

/// KiB of its own that a process has, in ordinary and huge pages.
fn memory(switch: &Switch) -> [u64; 2] {
    let status = std::fs::read_to_string(format!("/proc/{}/status", switch.pid())).unwrap();
    ["RssAnon:", "HugetlbPages:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap()
    })
}

fn attach(switch: &Switch, folder: &Path, number: u8) {
    let socket = socket(folder, number);
    let keys = format!("{{ vhost_user = {{ socket = \"{}\", role = \"server\" }} }}", socket.display());
    let answer = switch.ask(&format!("port attach vm{number} {keys}"));
    assert_eq!(answer["changes"]["attached"], json!([format!("vm{number}")]));
}

/// Two VMs talk while others come, are heard and go, again and again.
#[test]
fn ports_come_and_go_while_others_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    (3..3 + COMERS).for_each(|number| attach(&switch, folder.path(), number));
    let launch = |number| Vm::launch(&socket(folder.path(), number), number, &Virtio::default());
    let launched: Vec<_> = (3..3 + COMERS).map(launch).collect();
    let mut comers: Vec<_> = launched.into_iter().map(Vm::attached).collect();
    let go = |comers: &mut [Vm]| {
        for (number, comer) in (3..).zip(comers) {
            wait("a VM that comes to be heard", || {
                comer.send(crate::harness::frame::BROADCAST, "-", 0, 1);
                let vm = &switch.ask(&format!("show vhost vm{number}"))["vms"][0];
                (vm["network"]["mac_address"] == crate::front_end::format_mac(&comer.mac)).then_some(())
            });
            comer.leave();
            let answer = switch.ask(&format!("port detach vm{number}"));
            assert_eq!(answer["changes"]["detached"], json!([format!("vm{number}")]));
            assert!(!socket(folder.path(), number).exists());
        }
    };
    let come = |comers: &mut [Vm]| {
        (3..3 + COMERS).for_each(|number| attach(&switch, folder.path(), number));
        Vm::join(comers);
    };
    // The first leaves what DPDK keeps for those to come; a console's thread ends a moment after it.
    go(&mut comers);
    let at_rest = std::iter::repeat_with(|| held(&switch)).take(50).min().unwrap();
    let memory_at_rest = memory(&switch);

    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let (one, two, stop) = (&mut one, &mut two, &stop);
        let talk = scope.spawn(move || {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) || sent == 0 {
                sent += echo(two, one, sent);
            }
            sent
        });
        for _ in 0..cycles().div_ceil(COMERS.into()) {
            come(&mut comers);
            go(&mut comers);
        }
        stop.store(true, Ordering::Relaxed);
        talk.join().unwrap()
    });
    assert!(sent > 0);
    let after = wait(&format!("fds and threads to be {at_rest:?} again"), || {
        Some(held(&switch)).filter(|now| *now <= at_rest)
    });
    let memory_after = memory(&switch);
    let closing = switch.stop();
    for port in ["vm1", "vm2"] {
        // One VM speaks before the other is there; anything else would be our doing.
        let lost: Vec<_> =
            closing.port(port).drops.keys().filter(|reason| *reason != "no_destination").collect();
        assert!(lost.is_empty(), "{lost:?}\n{}", closing.stdout);
    }
    let cycles = cycles().next_multiple_of(COMERS.into());
    println!("{cycles} cycles, {sent} frames between the others, none lost, all mbufs home");
    println!("fds and threads: {at_rest:?} before, {after:?} after");
    println!("KiB in ordinary and huge pages: {memory_at_rest:?} before, {memory_after:?} after");
}

/// Sends some frames, and waits for all of them: not one may be lost. Returns how many.
fn echo(from: &mut Vm, to: &mut Vm, first: u32) -> u32 {
    const FRAMES: u32 = 50;
    from.send(to.mac, "-", first, FRAMES);
    let (source, target) = (from.mac, to.mac);
    wait("frames that were sent", || {
        let received = to.received(source, target, 0);
        assert_eq!((received.out_of_order, received.duplicates), (0, 0));
        (received.count >= u64::from(first + FRAMES)).then_some(())
    });
    FRAMES
}

#[test]
fn the_file_is_read_again_and_only_what_differs_changes() {
    let folder = TempDir::new().unwrap();
    let old = config(folder.path(), 2, "server");
    let switch = Switch::start(&old);
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let links = switch.stderr.count();

    // A third port, and the second VM in another VLAN.
    let new = config(folder.path(), 3, "server")
        .replacen("vid = 1", "vid = 7", 2)
        .replacen("vid = 7", "vid = 1", 1);
    switch.rewrite(&new);
    switch.signal(Signal::SIGHUP);
    switch.stderr.await_line(links, "attached vm3; changed vm2");
    let mut third = Vm::connect(&socket(folder.path(), 3), 3);
    reach(&mut one, &mut third);
    let before = switch.ask("show port stats vm1")["ports"][0]["dropped"].as_u64().unwrap();
    one.send(two.mac, "-", 5000, 10);
    wait("frames to be dropped or flooded to the third VM only", || {
        let dropped = switch.ask("show port stats vm1")["ports"][0]["dropped"].as_u64().unwrap() - before;
        (dropped + third.received(one.mac, two.mac, 0).count >= 10).then_some(())
    });
    assert_eq!(two.received(one.mac, two.mac, 0).count, 0, "VLANs are apart");

    // A bad file changes nothing, whatever good there is in it.
    switch.rewrite(&old.replace("[ports.vm2]", "[ports.vm2]\nmtu = 90000"));
    let lines = switch.stderr.count();
    switch.signal(Signal::SIGHUP);
    switch.stderr.await_line(lines, "is refused whole, and the switch runs as before");
    switch.stderr.await_line(lines, "`ports.vm2.mtu` is out of range");
    // Nor does one that only a restart could apply.
    switch.rewrite(&old.replace("cores = [0]", "cores = [1]"));
    switch.signal(Signal::SIGHUP);
    switch.stderr.await_line(lines, "`switch.cores` can't change while the switch runs");
    reach(&mut third, &mut one);

    // Back to the first.
    switch.rewrite(&old);
    let answer = switch.ask("config reload");
    assert_eq!(answer["changes"]["summary"], "detached vm3; changed vm2");
    reach(&mut one, &mut two);
    drop(third);
    switch.stop();
}

/// A port whose socket changes is made anew under its name; if it can't be, the old one is back.
#[test]
fn a_port_is_replaced_or_stays() {
    let folder = TempDir::new().unwrap();
    let old = config(folder.path(), 2, "server");
    let switch = Switch::start(&old);
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let elsewhere = folder.path().join("other.sock");
    let named = |path: &Path| old.replace(socket(folder.path(), 2).to_str().unwrap(), path.to_str().unwrap());
    switch.rewrite(&named(&elsewhere));
    assert_eq!(switch.ask("config reload")["changes"]["replaced"], json!(["vm2"]));
    assert!(!socket(folder.path(), 2).exists());
    let mut two = Vm::connect(&elsewhere, 2);
    introduce(&mut [&mut one, &mut two]);
    two.shut_down();

    // Another name, and the same socket.
    switch.rewrite(&named(&elsewhere).replace("ports.vm2", "ports.renamed"));
    let changes = switch.ask("config reload")["changes"].clone();
    assert_eq!((&changes["attached"], &changes["detached"]), (&json!(["renamed"]), &json!(["vm2"])));
    let mut two = Vm::connect(&elsewhere, 2);
    introduce(&mut [&mut one, &mut two]);
    two.shut_down();

    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("taken.sock")).unwrap();
    switch.rewrite(&named(&folder.path().join("taken.sock")));
    let refused = switch.exec("config reload");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("another process listens on"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    drop(listener);
    let mut two = Vm::connect(&elsewhere, 2);
    introduce(&mut [&mut one, &mut two]);
    switch.stop();
}
