//! What workers do: their load, who polls what, their rest, and that they are missed when they stand still.

use std::path::Path;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Namespace, RawSocket, Switch, Vm, frame, wait};
use crate::vhost::{introduce, socket};

fn vms(folder: &Path, settings: &str, count: u8) -> String {
    let ports = (1..=count).map(|number| {
        let socket = socket(folder, number);
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n",
            socket.display()
        )
    });
    format!("[switch]\nhugepages = false\n{settings}\n") + &ports.collect::<String>()
}

fn workers(switch: &Switch) -> Vec<Value> {
    switch.call("worker.list", json!({}))["workers"].as_array().expect("workers").clone()
}

/// The part of a worker's time between two looks for which it slept. What others take of its CPU isn't in it.
fn asleep(before: &Value, now: &Value) -> f64 {
    let spent = |key: &str| now[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    let asleep = spent("asleep_cycles");
    asleep as f64 / (asleep + spent("busy_cycles") + spent("idle_cycles")).max(1) as f64
}

/// A worker that rests leaves its CPU to others, and frames still pass; what it does is told.
#[test]
fn an_idle_switch_that_rests_uses_little_of_its_cpu() {
    let folder = TempDir::new().unwrap();
    let config = |rest: &str| vms(folder.path(), &format!("cores = [1]\nrest = {rest}"), 2);
    let switch = Switch::start(&config("\"never\""));
    let mut pair = [1, 2].map(|number| Vm::connect(&socket(folder.path(), number), number));
    let [one, two] = &mut pair;
    introduce(&mut [one, two]);
    one.rest();
    two.rest();
    let before = &workers(&switch)[0];
    assert_eq!((&before["rest"]["mode"], &before["sleeps"]), (&json!("never"), &json!(0)), "{before}");

    switch.rewrite(&config("\"sleep\""));
    switch.signal(Signal::SIGHUP);
    wait("the worker to rest", || (workers(&switch)[0]["sleeps"].as_u64()? > 0).then_some(()));
    let since = workers(&switch)[0].clone();
    wait("the worker to sleep for most of the time", || {
        let now = &workers(&switch)[0];
        let enough = now["sleeps"].as_u64()? > since["sleeps"].as_u64()? + 1_000;
        (enough && asleep(&since, now) > 0.75).then_some(())
    });
    let after = &workers(&switch)[0];
    assert_eq!(after["rest"], json!({ "mode": "sleep", "why": null }));
    assert!(after["asleep_cycles"].as_u64() > Some(0), "{after}");

    let count = two.received(one.mac, two.mac, 0).count;
    one.send(two.mac, "-", 0, 200);
    wait("frames that wake it", || (two.received(one.mac, two.mac, 0).count >= count + 200).then_some(()));
    let stream = two.received(one.mac, two.mac, 0);
    assert_eq!((stream.duplicates, stream.out_of_order), (0, 0), "{stream:?}");

    // A VM's port can't interrupt: the worker sleeps instead, and says why.
    switch.rewrite(&config("{ mode = \"interrupt\", after = \"1ms\" }"));
    switch.signal(Signal::SIGHUP);
    let rest = wait("the reason", || {
        Some(workers(&switch)[0]["rest"].clone()).filter(|rest| rest["why"].is_string())
    });
    assert_eq!(rest["mode"], "sleep");
    assert!(rest["why"].as_str().unwrap().starts_with("it polls vm1: a VM's port"), "{rest}");
    switch.stop();
}

/// A worker whose devices interrupt waits for them, and is woken by a frame.
#[test]
fn a_worker_is_woken_by_interrupts_where_all_its_ports_have_them() {
    let namespace = Namespace::new("taps");
    let settings = "[switch]\ncores = [1]\nhugepages = false\n";
    let rest = "rest = { mode = \"interrupt\", timeout = \"1s\" }\n";
    let tap = |number: u8| {
        format!(
            "[ports.tap{number}]\ndevice = \"net_tap{number},iface=tap{number}\"\nrx_ring = 256\ntx_ring = 256\n"
        )
    };
    let switch = Switch::start_in(&namespace, &format!("{settings}{rest}{}{}", tap(0), tap(1)));
    assert_eq!(workers(&switch)[0]["rest"], json!({ "mode": "interrupt", "why": null }));
    let [from, to] = ["tap0", "tap1"].map(|interface| RawSocket::open(&namespace, interface));
    let frame = frame::build([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], "-", 7, 64);
    let interrupts = || workers(&switch)[0]["interrupts"].as_u64().unwrap();
    let before = interrupts();
    wait("a frame that wakes the worker", || {
        from.send(&frame);
        let came = std::iter::from_fn(|| to.receive()).any(|octets| octets[..12] == frame[..12]);
        (came && interrupts() > before).then_some(())
    });
    // What was started without interrupts sleeps.
    switch.rewrite(&format!("{settings}{}{}", tap(0), tap(1)));
    switch.signal(Signal::SIGHUP);
    wait("polling", || (workers(&switch)[0]["rest"]["mode"] == "never").then_some(()));
    switch.rewrite(&format!("{settings}{rest}{}", tap(0)));
    switch.signal(Signal::SIGHUP);
    wait("waiting", || (workers(&switch)[0]["rest"]["mode"] == "interrupt").then_some(()));
    switch.stop();
}

/// Two busy queues of one worker, while the other has nothing to do: one of them moves, and no frame is lost
/// or overtaken.
#[test]
fn a_busy_queue_goes_to_the_idle_worker_while_frames_come() {
    const BATCH: u32 = 50;
    let folder = TempDir::new().unwrap();
    // vm1 and vm3 are polled by worker 0, vm2 by worker 1.
    let switch = Switch::start(&vms(folder.path(), "cores = [0, 1]\nrebalance = { improvement = 0.05 }", 3));
    let mut all = [1, 2, 3].map(|number| Vm::connect(&socket(folder.path(), number), number));
    let [one, two, three] = &mut all;
    introduce(&mut [one, two, three]);
    let to = two.mac;
    let before = [&*one, &*three].map(|vm| vm.mac).map(|from| two.received(from, to, 0).count);
    let (mut sent, mut moved) = (0, None);
    let mut batches_after = 0;
    while batches_after < 40 {
        for vm in [&mut *one, &mut *three] {
            vm.send(to, "-", 1_000 + sent, BATCH);
        }
        sent += BATCH;
        wait("what was sent", || {
            let came =
                |(from, before): ([u8; 6], u64)| two.received(from, to, 0).count >= before + u64::from(sent);
            [(one.mac, before[0]), (three.mac, before[1])].into_iter().all(came).then_some(())
        });
        match &moved {
            Some(_) => batches_after += 1,
            None => {
                let dry = switch.call("worker.rebalance", json!({ "dry_run": true }));
                assert_eq!(dry["applied"], false, "{dry}");
                if dry["moves"].as_array().is_some_and(|moves| !moves.is_empty()) {
                    let done = switch.call("worker.rebalance", json!({}));
                    moved = Some(done).filter(|done| done["applied"] == true);
                }
            }
        }
    }
    let done = moved.expect("the loop ends after it");
    let step = &done["moves"][0];
    assert_eq!((&step["from"], &step["to"], &step["queue"]), (&json!(0), &json!(1), &json!(0)), "{done}");
    let peak = |loads: &Value| loads.as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max);
    assert!(peak(&done["after"]) < peak(&done["before"]), "{done}");
    let now = workers(&switch);
    let polled = |worker: usize| {
        now[worker]["queues"].as_array().unwrap().iter().any(|queue| queue["port"] == step["port"])
    };
    assert!(!polled(0) && polled(1), "{now:?}");
    for vm in [&*one, &*three] {
        let stream = two.received(vm.mac, to, 0);
        assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{stream:?}");
    }
    let again = switch.call("worker.rebalance", json!({ "dry_run": true }));
    assert_eq!(again["moves"], json!([]), "{again}");
    // The port that moved goes, queues and all.
    let name = step["port"].as_str().unwrap();
    switch.call("port.detach", json!({ "name": name }));
    switch.stop();
}

/// A worker whose thread is held is reported, and that it goes on.
#[test]
fn a_worker_that_is_held_is_reported() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&vms(folder.path(), "cores = [1]\nwatchdog = \"500ms\"", 1));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", switch.pid())).unwrap();
    let is_worker =
        |folder: &Path| std::fs::read_to_string(folder.join("comm")).is_ok_and(|name| name == "pollux-w0\n");
    let worker = tasks.map(|task| task.unwrap().path()).find(|task| is_worker(task)).expect("a worker");
    let worker = Pid::from_raw(worker.file_name().unwrap().to_str().unwrap().parse().unwrap());
    ptrace::seize(worker, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(worker).unwrap();
    waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap();
    let line = switch.stderr.await_line(0, "worker 0 has finished no round for");
    let stuck = workers(&switch)[0]["stuck_seconds"].as_f64().unwrap();
    ptrace::detach(worker, None).unwrap();
    assert!(stuck >= 0.5, "{stuck}");
    switch.stderr.await_line(line, "worker 0 on CPU 1 goes on after");
    assert_eq!(workers(&switch)[0]["stuck_seconds"], 0.0);
    switch.stop();
}

/// The far end of a device of the switch that reads nothing.
struct Deaf {
    _port: dpdk::Port<dpdk::Started>,
    _pool: dpdk::Mempool,
}

impl Deaf {
    fn listen(socket: &Path) -> Self {
        let options = dpdk::EalOptions {
            file_prefix: format!("pollux-deaf-{}", std::process::id()),
            hugepages: false,
            memory: Some(64),
            ..dpdk::EalOptions::default()
        };
        let eal = dpdk::Eal::init(&options).expect("DPDK starts without hugepages");
        let pool = dpdk::PoolOptions { mbufs: 1023, ..dpdk::PoolOptions::default() };
        let pool = dpdk::Mempool::create(&eal, &pool).unwrap();
        let port = dpdk::VhostPort::new(socket).attach(&eal).unwrap();
        let port = port.start(&dpdk::PortConfig::default(), std::slice::from_ref(&pool)).unwrap();
        Self { _port: port, _pool: pool }
    }
}

/// A device that takes nothing any more is stopped and started again.
#[test]
fn a_device_that_takes_nothing_is_reset() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deaf.sock");
    let _deaf = Deaf::listen(&path);
    let device = format!("net_virtio_user0,path={},queue_size=256", path.display());
    let settings = format!(
        "cores = [1]\nwatchdog = {{ tx = \"500ms\" }}\n[ports.stuck]\ndevice = \"{device}\"\nrx_queues = 1"
    );
    let switch = Switch::start(&vms(folder.path(), &settings, 1));
    let mut vm = Vm::connect(&socket(folder.path(), 1), 1);
    let mut sent = 0;
    let mut send = |count| {
        vm.send([2, 0, 0, 0, 0, 99], "-", sent, count);
        sent += count;
    };
    wait("the reset", || {
        send(100);
        switch.stderr.text().contains("port stuck has a link and took no frame").then_some(())
    });
    switch.stderr.await_line(0, "it was reset, and isn't again for 10 s");
    wait("the port to take frames again", || {
        send(10);
        let ports = switch.call("port.stats", json!({ "port": "stuck" }));
        (ports["ports"][0]["tx_frames"].as_u64()? > 0).then_some(())
    });
    switch.stop();
}
