use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lines, PATIENCE, require_root, runtime_dir, wait};
use crate::front_end::{DEVICE, QUEUES, format_mac};

/// A process that is a VM to the switch. It ends with this value.
pub struct Vm {
    child: Child,
    lines: Lines,
    errors: Lines,
    pub mac: [u8; 6],
    /// Frames that it has sent by being told to.
    pub sent: u64,
}

/// What a VM received of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub count: u64,
    /// The number of the last frame.
    pub last: u32,
    pub out_of_order: u64,
    pub duplicates: u64,
    /// The lengths of all its frames.
    pub octets: u64,
}

/// How a ping went.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    pub echoed: u64,
    pub seconds: f64,
}

/// What a VM's device is to be like; by default as DPDK's is.
#[derive(Clone, Copy, Debug)]
pub struct Virtio {
    /// Pairs of queues.
    pub queues: u16,
    pub ring: u16,
    pub packed: bool,
    pub in_order: bool,
    /// Whether a frame may take several of its buffers.
    pub mergeable: bool,
    /// Whether the switch connects to the VM.
    pub listens: bool,
}

impl Default for Virtio {
    fn default() -> Self {
        Self { queues: 1, ring: 1024, packed: false, in_order: true, mergeable: true, listens: false }
    }
}

impl Virtio {
    fn arguments(&self) -> String {
        let Self { queues, ring, packed, in_order, mergeable, listens } = *self;
        let [packed, in_order, mergeable, listens] = [packed, in_order, mergeable, listens].map(u8::from);
        format!(
            "queues={queues},queue_size={ring},packed_vq={packed},in_order={in_order},\
             mrg_rxbuf={mergeable},server={listens}"
        )
    }
}

impl Vm {
    /// A VM with one pair of queues on `socket`, where the switch listens.
    pub fn connect(socket: &Path, number: u8) -> Self {
        Self::launch(socket, number, &Virtio::default()).attached()
    }

    /// A VM with this many pairs of queues.
    pub fn connect_with_queues(socket: &Path, number: u8, queues: u16) -> Self {
        Self::launch(socket, number, &Virtio { queues, ..Virtio::default() }).attached()
    }

    /// A VM that listens on `socket`. It is attached once the switch has connected.
    pub fn listen(socket: &Path, number: u8) -> Self {
        Self::launch(socket, number, &Virtio { listens: true, ..Virtio::default() })
    }

    /// A VM with such a device. It is attached once both sides have met.
    pub fn launch(socket: &Path, number: u8, virtio: &Virtio) -> Self {
        require_root();
        let mac = [2, 0, 0, 0, 9, number];
        let (path, arguments) = (socket.display(), virtio.arguments());
        let device = format!("net_virtio_user0,path={path},{arguments},mac={}", format_mac(&mac));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "front_end::streams_are_judged", "--nocapture"])
            .env(DEVICE, device)
            .env(QUEUES, virtio.queues.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let errors = Lines::of(child.stderr.take().unwrap());
        Self { child, lines, errors, mac, sent: 0 }
    }

    /// Waits until both sides know of each other.
    pub fn attached(self) -> Self {
        self.answer(0, |line| line.ends_with("attached").then_some(()));
        self
    }

    /// Sends `count` frames numbered from `first`, and returns when the switch's side has room for all.
    pub fn send(&mut self, to: [u8; 6], tags: &str, first: u32, count: u32) {
        self.send_on(0, to, self.mac, tags, first, count, &[64]);
    }

    /// The same on any queue, from any address, of lengths that take turns.
    pub fn send_on(
        &mut self,
        queue: u16,
        to: [u8; 6],
        from: [u8; 6],
        tags: &str,
        first: u32,
        count: u32,
        lengths: &[usize],
    ) {
        let (to, from) = (format_mac(&to), format_mac(&from));
        let before = self.lines.count();
        let lengths = lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("/");
        self.say(&format!("send {to} {from} {tags} {first} {count} {lengths} {queue}"));
        self.answer(before, |line| (line == format!("sent {count}")).then_some(()));
        self.sent += u64::from(count);
    }

    /// Has it take its device away. What it has received is forgotten.
    pub fn leave(&mut self) {
        let before = self.lines.count();
        self.say("leave");
        self.answer(before, |line| (line == "left").then_some(()));
    }

    /// Has VMs that left make their devices anew, all at once.
    pub fn join(vms: &mut [Self]) {
        let before: Vec<_> = vms.iter_mut().map(|vm| (vm.lines.count(), vm.say("join")).0).collect();
        for (vm, before) in vms.iter_mut().zip(before) {
            vm.answer(before, |line| (line == "attached").then_some(()));
        }
    }

    /// Has it leave its queues alone until it is told something else.
    pub fn rest(&mut self) {
        let before = self.lines.count();
        self.say("rest");
        self.answer(before, |line| (line == "resting").then_some(()));
    }

    /// Has it send back what comes for it.
    pub fn echo(&mut self) {
        let own = format_mac(&self.mac);
        self.say(&format!("echo {own}"));
    }

    /// Sends `count` frames numbered from `first` to a VM that echoes, as fast as it does, and each of them
    /// to `also` too.
    pub fn ping(&mut self, to: [u8; 6], also: &[[u8; 6]], first: u32, count: u32) -> Ping {
        let (to, from) = (format_mac(&to), format_mac(&self.mac));
        let also = also.iter().map(|mac| format_mac(mac)).collect::<Vec<_>>().join("/");
        let also = if also.is_empty() { "-" } else { &also };
        let before = self.lines.count();
        self.say(&format!("ping {to} {from} {also} {first} {count}"));
        // It waits for echoes for as long as this, after the last that came.
        let answer = self.lines.find_within(20 * PATIENCE, |lines| {
            lines[before..].iter().find_map(|line| line.strip_prefix("pinged ").map(str::to_owned))
        });
        let answer = answer.unwrap_or_else(|| panic!("no ping:\n{}", self.errors.text()));
        let (echoed, micros) = answer.split_once(' ').unwrap();
        Ping { echoed: echoed.parse().unwrap(), seconds: micros.parse::<f64>().unwrap() / 1e6 }
    }

    /// What has arrived so far from `from` for `to` with this PCP.
    pub fn received(&mut self, from: [u8; 6], to: [u8; 6], pcp: u8) -> Received {
        let key = (format!("{}.{pcp}", format_mac(&from)), format_mac(&to));
        self.report()
            .into_iter()
            .find(|(from, to, _)| (from, to) == (&key.0, &key.1))
            .map_or(Received::default(), |(_, _, received)| received)
    }

    /// Every stream that arrived so far: source with PCP, destination, what came.
    pub fn report(&mut self) -> Vec<(String, String, Received)> {
        let before = self.lines.count();
        self.say("report");
        self.answer(before, |line| (line == "end").then_some(()));
        self.lines.since(before).iter().filter_map(|line| parse_stream(line)).collect()
    }

    /// How many frames came on each of its queues so far.
    pub fn received_on_queues(&mut self) -> Vec<u64> {
        let before = self.lines.count();
        self.say("report");
        self.answer(before, |line| (line == "end").then_some(()));
        let counts = self.answer(before, |line| line.strip_prefix("queues ").map(str::to_owned));
        counts.split(' ').map(|count| count.parse().unwrap()).collect()
    }

    /// Lets it take and give nothing for as long as `body` runs.
    pub fn while_stopped<T>(&mut self, body: impl FnOnce() -> T) -> T {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        wait("all its threads to stop", || self.is_stopped().then_some(()));
        let result = body();
        kill(pid, Signal::SIGCONT).unwrap();
        result
    }

    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut states = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")));
        // The state stands behind the name, which is in parentheses.
        states.all(|stat| stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|s| s.starts_with('T'))))
    }

    /// Ends it as a VM's shutdown does.
    pub fn shut_down(mut self) {
        drop(self.child.stdin.take());
        let status = wait("the VM to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}\n{}", self.lines.to_end(), self.errors.to_end());
    }

    /// Ends it as a crash of the hypervisor does.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn say(&mut self, line: &str) {
        let said = writeln!(self.child.stdin.as_mut().expect("it listens"), "{line}");
        assert!(said.is_ok(), "the VM is gone:\n{}", self.errors.to_end());
    }

    fn answer<T>(&self, from: usize, look: impl Fn(&str) -> Option<T>) -> T {
        let found = self.lines.find(|lines| lines[from..].iter().find_map(|line| look(line)));
        found
            .unwrap_or_else(|| panic!("the VM has no answer:\n{}\n{}", self.lines.text(), self.errors.text()))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = std::fs::remove_dir_all(runtime_dir(&format!("pollux-e2e-{}", self.child.id())));
    }
}

fn parse_stream(line: &str) -> Option<(String, String, Received)> {
    let words: Vec<_> = line.strip_prefix("stream ")?.split(' ').collect();
    let [from, to, numbers @ ..] = &words[..] else { return None };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().unwrap()).collect();
    let [count, last, out_of_order, duplicates, octets] = numbers[..] else { return None };
    let received = Received { count, last: last as u32, out_of_order, duplicates, octets };
    Some(((*from).to_owned(), (*to).to_owned(), received))
}
