//! Under systemd, without systemd: its protocol, its journal, its rights.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::harness::{PATIENCE, RawSocket, Switch, Vm, frame, wait};
use crate::vhost::{config, socket};

/// What the switch tells a supervisor, a message an item.
struct Supervisor(Receiver<String>);

impl Supervisor {
    /// Listens on a thread, so that the switch never finds the socket full.
    fn listen(socket: &Path) -> Self {
        let socket = UnixDatagram::bind(socket).unwrap();
        let (heard, messages) = channel();
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(len) = socket.recv(&mut octets) {
                if heard.send(String::from_utf8_lossy(&octets[..len]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self(messages)
    }

    /// The next message that has this line, and those before it.
    fn await_line(&self, line: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let message = self.0.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|_| panic!("waited in vain for {line} after {before:?}"));
            if message.lines().any(|other| other == line) {
                return (message, before);
            }
            before.push(message);
            assert!(before.len() < 10_000, "waited in vain for {line} after {:?}", &before[..10]);
        }
    }
}

#[test]
fn a_supervisor_hears_when_it_is_ready_goes_on_reads_its_file_and_stops() {
    let folder = TempDir::new().unwrap();
    let supervisor = Supervisor::listen(&folder.path().join("notify.sock"));
    let file = config(folder.path(), 1, "server");
    let mut switch = Switch::launch_with(&file, |command| {
        command.env("NOTIFY_SOCKET", folder.path().join("notify.sock")).env("WATCHDOG_USEC", "60000");
    });
    let (ready, before) = supervisor.await_line("READY=1");
    assert!(before.is_empty(), "{before:?}");
    assert!(ready.contains("STATUS=1 ports, 0 with a link; 1 workers"), "{ready}");
    // The worker polls: a VM that comes now is heard.
    let mut vm = Vm::connect(&socket(folder.path(), 1), 1);
    wait("a frame to be received", || {
        vm.send(frame::BROADCAST, "-", 0, 1);
        let received = switch.ask("show port stats all")["accounting"]["rx"].as_u64();
        (received > Some(0)).then_some(())
    });
    for _ in 0..5 {
        supervisor.await_line("WATCHDOG=1");
    }
    switch.rewrite(&file.replace("vid = 1", "vid = 2"));
    switch.signal(Signal::SIGHUP);
    let (reloading, _) = supervisor.await_line("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let (ready, _) = supervisor.await_line("READY=1");
    assert!(ready.contains("STATUS=1 ports, 1 with a link; 1 workers"), "{ready}");
    vm.shut_down();
    supervisor.await_line("STATUS=1 ports, 0 with a link; 1 workers");
    switch.signal(Signal::SIGTERM);
    supervisor.await_line("STOPPING=1");
    switch.closing();
    assert!(supervisor.0.try_recv().is_err(), "nothing is said after that");
}

#[test]
fn a_supervisor_that_hears_nothing_is_not_waited_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify.sock");
    let deaf = UnixDatagram::bind(&path).unwrap();
    let switch = Switch::launch_with(&config(folder.path(), 1, "server"), |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000");
    });
    let switch = switch.ready();
    // Far more than wait in the socket.
    for _ in 0..100 {
        switch.ask("show port stats all");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    drop(deaf);
    switch.stop();
}

/// An entry's fields, each `NAME=value`, or in the form for values of any octets: a name, a length, a value.
fn fields(entry: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = entry;
    while let Some(end) = rest.iter().position(|&octet| octet == b'\n') {
        let text = |octets: &[u8]| String::from_utf8(octets.to_owned()).unwrap();
        let line = text(&rest[..end]);
        rest = &rest[end + 1..];
        if let Some((name, value)) = line.split_once('=') {
            fields.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (len, value) = rest.split_at(8);
        let len = u64::from_le_bytes(len.try_into().unwrap()) as usize;
        fields.insert(line, text(&value[..len]));
        rest = &value[len + 1..];
    }
    fields
}

/// The journal's socket is at a fixed place, so that the switch gets folders of its own there.
#[test]
fn the_journal_gets_levels_and_areas() {
    let folder = TempDir::new().unwrap();
    let journal = UnixDatagram::bind(folder.path().join("socket")).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                  mount --bind \"$1\" /run/systemd/journal && shift && \
                  JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
    let file =
        config(folder.path(), 1, "server") + "[log]\nlevel = \"warn\"\nareas = { config = \"info\" }\n";
    let around = ["unshare", "--mount", "sh", "-c", script, "sh", folder.path().to_str().unwrap()];
    let switch = Switch::launch_within(&around, &file);
    let entry = |text: &str| {
        wait(text, || {
            let mut octets = [0; 16 << 10];
            let len = journal.recv(&mut octets).expect("an entry");
            let fields = fields(&octets[..len]);
            // The first is empty: it only tells whether somebody listens.
            fields.get("MESSAGE").is_some_and(|message| message.contains(text)).then_some(fields)
        })
    };
    switch.stdout.await_line(0, "ready after");
    switch.rewrite(&file.replace("vid = 1", "vid = 2"));
    switch.signal(Signal::SIGHUP);
    let changed = entry("changed vm1");
    assert_eq!((&*changed["PRIORITY"], &*changed["TARGET"]), ("5", "config"));
    switch.rewrite(&file.replace("cores = [0]", "cores = [0, 1]"));
    switch.signal(Signal::SIGHUP);
    assert_eq!(entry("refused whole")["PRIORITY"], "3");
    assert!(!switch.stderr.text().contains("refused whole"), "{}", switch.stderr.text());
    switch.stop();
}

#[test]
fn the_log_tells_what_the_file_says_and_changes_with_it() {
    let folder = TempDir::new().unwrap();
    let plain = config(folder.path(), 1, "server");
    let quiet = format!("{plain}[log]\nlevel = \"error\"\n");
    let switch = Switch::start(&quiet);
    let come_and_go = || Vm::connect(&socket(folder.path(), 1), 1).shut_down();
    come_and_go();
    switch.ask("show port stats all");
    assert_eq!(switch.stderr.text(), "", "links and calls aren't told");
    switch.rewrite(&format!("{plain}[log]\nareas = {{ rpc = \"debug\", ports = \"warn\" }}\n"));
    assert_eq!(switch.ask("config reload")["changes"]["summary"], "set log.level, log.areas");
    switch.ask("show port stats all");
    let from = switch.stderr.await_line(0, "rpc: port.stats");
    come_and_go();
    switch.rewrite(&plain);
    switch.ask("config reload");
    Vm::connect(&socket(folder.path(), 1), 1).shut_down();
    let links = switch.await_link(from, "vm1", true);
    assert_eq!(
        switch.stderr.since(from)[..links - from].iter().filter(|line| line.contains("link up")).count(),
        1
    );
    switch.stop();

    let own = |command: &mut Command| {
        command.env("POLLUX_LOG", "off");
    };
    let switch = Switch::launch_with(&plain, own);
    switch.stdout.await_line(0, "ready after");
    switch.rewrite(&format!("{plain}[log]\nlevel = \"trace\"\n"));
    switch.ask("config reload");
    assert_eq!(switch.stderr.text(), "", "the environment has the last word");
    switch.stop();
}

#[test]
fn the_control_socket_is_for_whom_the_file_says() {
    let folder = TempDir::new().unwrap();
    let plain = config(folder.path(), 1, "server");
    let switch = Switch::start(&format!("{plain}[control]\nmode = \"0620\"\ngroup = \"daemon\"\n"));
    let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    let access = || {
        let metadata = switch.socket().symlink_metadata().unwrap();
        (metadata.permissions().mode() & 0o777, metadata.gid())
    };
    assert_eq!(access(), (0o620, daemon));
    switch.rewrite(&format!("{plain}[control]\nmode = \"0666\"\ngroup = \"daemon\"\n"));
    assert_eq!(switch.ask("config reload")["changes"]["summary"], "set control.mode");
    assert_eq!(access(), (0o666, daemon));
    switch.rewrite(&format!("{plain}[control]\ngroup = \"nobody-has-this\"\n"));
    let refused = switch.exec("config reload");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("there is no group nobody-has-this"), "{said}");
    assert_eq!((refused.status.code(), access()), (Some(2), (0o666, daemon)));
    switch.stop();
}

/// The lines of a unit's section that set `key`.
fn settings(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// Ports of every kind that needs a right, with the capabilities of the unit and no other.
#[test]
fn the_units_capabilities_are_enough() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/pollux.service");
    let unit = fs::read_to_string(unit).unwrap();
    let capabilities = settings(&unit, "CapabilityBoundingSet");
    assert!((1..8).contains(&capabilities.len()), "{capabilities:?}");
    let kept =
        capabilities.iter().map(|name| format!(",+{}", name.strip_prefix("CAP_").unwrap().to_lowercase()));
    let kept: String = std::iter::once("-all".to_owned()).chain(kept).collect();

    let folder = TempDir::new().unwrap();
    let lab = crate::harness::Lab::new();
    let host = lab.host(1, 1500);
    // Another user's socket in a folder of another user, as QEMU's is.
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let listener = UnixListener::bind(theirs.join("vm2.sock")).unwrap();
    for path in [theirs.join("vm2.sock"), theirs.clone()] {
        std::os::unix::fs::chown(&path, Some(1), Some(1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    listener.set_nonblocking(true).unwrap();
    let server = config(folder.path(), 1, "server").replace("\"server\"", "\"server\", group = \"daemon\"");
    let file = format!(
        "{server}[ports.vm2]\nvhost_user = {{ socket = \"{}\" }}\n\
         [ports.wire]\ndevice = \"net_af_packet0,iface={}\"\n[ports.tap]\ndevice = \"net_tap0,iface=pxtap\"\n\
         [control]\ngroup = \"daemon\"\n",
        theirs.join("vm2.sock").display(),
        host.port,
    );
    let name = lab.switch.name();
    let around = ["ip", "netns", "exec", name, "setpriv", "--bounding-set", &kept, "--no-new-privs"];
    let switch = Switch::launch_within(&around, &file).ready();
    wait("the switch to connect to the VM's socket", || listener.accept().ok());
    let (from, at_tap) = (host.raw(), RawSocket::open(&lab.switch, "pxtap"));
    let octets = frame::build(frame::BROADCAST, host.mac(), "-", 7, 64);
    wait("a frame from the interface to come out of the tap", || {
        from.send(&octets);
        at_tap.receive().filter(|octets| frame::number(octets) == Some(7))
    });
    switch.stop();
}
