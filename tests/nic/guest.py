"""A guest with emulated Intel NICs behind an emulated IOMMU, under QEMU without KVM.

Nothing is installed, no privilege is needed, and nothing outlives the test: the kernel is a Debian
package unpacked into a cache, the root is an initramfs made here, and every wire to the guest (its
serial ports, QEMU's monitor and the far end of each NIC) is an inherited socket pair, without a name
in any file system or a namespace to clean up.
"""

import ctypes
import json
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target" / "nic"

# What vfio-pci needs is found from the modules themselves; type1 is asked for at run time only.
MODULES = ["vfio-pci", "vfio_iommu_type1"]
KERNEL_NEEDS = ["CONFIG_INTEL_IOMMU=y", "CONFIG_IRQ_REMAP=y", "CONFIG_HUGETLBFS=y",
                "CONFIG_VFIO_PCI=m", "CONFIG_DEVTMPFS=y", "CONFIG_SERIAL_8250_CONSOLE=y"]
KERNEL_PACKAGES = ["linux-image-cloud-amd64", "linux-image-amd64"]

# The distribution's whole plugin folder would load too, but takes long without KVM.
PLUGINS = re.compile(r"librte_(bus_(pci|vdev)|mempool_(ring|stack)|net_(e1000|vhost|ring|null|tap))\.so\.\d+\.\d+$")

CPUS = 2
MEMORY_MB = 1536
HUGEPAGES = 384  # of 2 MB


class Failure(Exception):
    """Something the test waited for did not come, or came wrong."""


class Untried(Exception):
    """A check that this environment does not allow, and why."""


class Inbox:
    """What a thread has read so far, and waiting for more without sleeping."""

    def __init__(self):
        self.items = []
        self.closed = False
        self._changed = threading.Condition()

    def put(self, item):
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def mark(self):
        """The place from which what comes next can be waited for."""
        return len(self.items)

    def wait(self, wanted, since=0, timeout=60):
        """The first item from `since` on for which `wanted` is true; None if none comes in time."""
        deadline = time.monotonic() + timeout
        place = since
        with self._changed:
            while True:
                while place < len(self.items):
                    if wanted(self.items[place]):
                        return self.items[place]
                    place += 1
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    return None
                self._changed.wait(left)


class Wire(Inbox):
    """The far end of a NIC's cable: one datagram is one frame."""

    def __init__(self):
        super().__init__()
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        # A guest that takes nothing must not hang the test. A timeout would also make the socket
        # non-blocking for the reader, so only sending has one.
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, (60).to_bytes(8, "little") + bytes(8))
        self.sent = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with suppress(OSError):  # the guest is gone
            while frame := self.ours.recv(1 << 17):
                self.put(frame)
        self.close()

    def send(self, frame):
        try:
            self.ours.send(frame)
        except OSError as error:
            raise Failure(f"the NIC takes no frames: {error}") from None
        self.sent += 1


class Console(Inbox):
    """The guest's second serial port: commands go out, lines come in."""

    def __init__(self, log):
        super().__init__()
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._log = log
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with suppress(OSError), self.ours.makefile("rb") as lines, open(self._log, "wb", buffering=0) as log:
            for line in lines:
                log.write(line.rstrip(b"\r\n") + b"\n")
                self.put(re.sub(r"\x1b\[[0-9;]*m", "", line.decode(errors="replace")).strip())
        self.close()

    def send(self, line):
        with suppress(OSError):  # that the guest is gone, the lack of an answer tells
            self.ours.sendall(line.encode() + b"\n")


def address(nic):
    """Each NIC sits behind a root port of its own, as in a real host: so the firmware numbers the buses."""
    return f"0000:{1 + nic:02x}:00.0"


class Guest:
    """One running machine. `wires` are the far ends of its NICs, `addresses` their PCI addresses."""

    def __init__(self, folder, nics, model, qemu, link_events):
        self.folder, self.model, self.binary, self.link_events = folder, model, qemu, link_events
        self.qemu = None
        self._bars = {}
        self.addresses = [address(i) for i in range(nics)]
        self.wires = [Wire() for _ in range(nics)]
        self.console = Console(folder / "console.log")

    def launch(self, program, files):
        """Starts the machine with a program in it, at /program, and files: path -> text."""
        self.monitor, monitor_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        kernel, modules = kernel_files()
        image = self.folder / "initramfs"
        write_image(image, program, modules, files, self.addresses)

        command = [
            self.binary, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(CPUS), "-m", str(MEMORY_MB),
            "-machine", "q35,kernel-irqchip=split",
            # 48 bits, so that DPDK may use virtual addresses as DMA addresses, as on a real host.
            "-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48",
            "-kernel", str(kernel), "-initrd", str(image),
            # On a loaded host a timer that is set anew for each interrupt may be set too late, and the ticks
            # come too seldom for the kernel's test of them.
            "-append", "console=ttyS0 loglevel=5 panic=-1 intel_iommu=on iommu.passthrough=0 mitigations=off "
            "nohz=off highres=off no_timer_check",
            "-serial", f"file:{self.folder / 'kernel.log'}",
            "-chardev", f"socket,id=console,fd={self.console.theirs.fileno()}", "-serial", "chardev:console",
            "-chardev", f"socket,id=monitor,fd={monitor_theirs.fileno()}", "-mon", "chardev=monitor,mode=control",
        ]
        for i, wire in enumerate(self.wires):
            command += [
                "-netdev", f"dgram,id=wire{i},local.type=fd,local.str={wire.theirs.fileno()}",
                "-device", f"pcie-root-port,id=root{i},bus=pcie.0,addr={4 + i:#x},chassis={1 + i}",
                "-device", f"{self.model},id=nic{i},netdev=wire{i},bus=root{i},mac=52:54:00:00:00:{i:02x},romfile=",
            ]
        theirs = [self.console.theirs, monitor_theirs] + [wire.theirs for wire in self.wires]
        with open(self.folder / "qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         pass_fds=[s.fileno() for s in theirs], preexec_fn=die_with_parent)
        for end in theirs:
            end.close()
        self._replies = self.monitor.makefile("r")

    def boot(self):
        """Waits until the guest obeys."""
        self._ask("qmp_capabilities")
        self.expect("^@@ booted", timeout=300)

    def ticks(self):
        """Whether every CPU gets its timer's interrupts. QEMU 10.0 without KVM sometimes loses the end of
        one while Linux boots, more so on a loaded host: that CPU's APIC then holds back all others."""
        def counts():
            return [int(count) for count in self.run("grep LOC: /proc/interrupts")[0].split()[1:1 + CPUS]]

        first, deadline = counts(), time.monotonic() + 10
        while time.monotonic() < deadline:
            if all(now > before for before, now in zip(first, counts())):
                return True
        return False

    def close(self):
        """Ends the machine, however it is."""
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
        (self.folder / "initramfs").unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def expect(self, pattern, since=0, timeout=60):
        """The match of the first console line with `pattern` in it."""
        line = self.console.wait(lambda line: re.search(f"{pattern}|@@ exited", line), since, timeout)
        if line is None:
            raise Failure(f"no line with /{pattern}/ from the guest in {timeout} s{self._end()}")
        found = re.search(pattern, line)
        if not found:
            raise Failure(f"the program ended, status {line.split()[-1]}, before a line with /{pattern}/")
        return found

    def run(self, line, timeout=60):
        """Has the guest's shell run `line`; the lines it answers, which may follow a prompt of the program."""
        since = self.console.mark()
        self.console.send(line)
        self.expect(r"@@ done", since, timeout)
        return [text.split("@= ", 1)[1] for text in self.console.items[since:] if "@= " in text]

    def set_link(self, nic, up):
        """Plugs the cable of a NIC in or out."""
        if not self.link_events:
            raise Untried("in this QEMU, e1000e reports no more than its first link change")
        self._ask("set_link", name=f"nic{nic}", up=up)

    def register(self, nic, offset):
        """A register of a NIC, read past the program that owns it."""
        if nic not in self._bars:
            resources = self.run(f"cat /sys/bus/pci/devices/{self.addresses[nic]}/resource")
            self._bars[nic] = int(resources[0].split()[0], 16)
        command = {"command-line": f"xp /1wx {self._bars[nic] + offset:#x}"}
        return int(self._ask("human-monitor-command", **command).split()[-1], 16)

    def _ask(self, command, **arguments):
        with suppress(OSError):
            self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            for reply in map(json.loads, self._replies):
                if "return" in reply:
                    return reply["return"]
                if "error" in reply:
                    raise Failure(f"{command}: {reply['error']['desc']}")
        raise Failure(f"{command}: no answer{self._end()}")

    def _end(self):
        """Why the machine is gone, where it is."""
        try:
            self.qemu.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return ""
        logs = [self.folder / name for name in ("qemu.log", "kernel.log")]
        qemu, kernel = [log.read_text(errors="replace").strip() if log.exists() else "" for log in logs]
        panic = re.search(r"Kernel panic.*", kernel)
        return f"; the guest ended: {qemu or (panic[0] if panic else self.qemu.returncode)}"


def die_with_parent():
    """In the child: QEMU ends with the test, even if that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def kernel_files():
    """The guest's kernel and the folder with its modules, from a cache or from Debian's package."""
    faults = []
    for package in KERNEL_PACKAGES:
        depends = output("apt-cache", "depends", "--important", package)
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        if not found:
            faults.append(f"{package}: unknown to apt")
            continue
        root = TARGET / "kernel" / found[1]
        if not root.exists():
            unpack(found[1], root)
        config = next(root.glob("boot/config-*")).read_text().splitlines()
        lacks = [need for need in KERNEL_NEEDS if need not in config]
        if not lacks:
            return next(root.glob("boot/vmlinuz-*")), next(root.glob("lib/modules/*"))
        faults.append(f"{found[1]}: lacks {', '.join(lacks)}")
    raise Failure("no kernel for the guest: " + "; ".join(faults))


def unpack(package, root):
    """Downloads a package and unpacks it at `root`, all at once: another test may do the same."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as work:
        print(f"fetching {package}", flush=True)
        fetched = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", package], cwd=work,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if fetched.returncode != 0:
            raise Failure(f"{package} can't be fetched; if apt's list is old, `apt-get update`:\n{fetched.stderr}")
        deb = next(Path(work).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, Path(work) / "root"], check=True)
        try:
            (Path(work) / "root").rename(root)
        except OSError:
            if not root.exists():
                raise


def module_files(folder):
    """The modules wanted with what they depend on, in order of loading: name -> contents."""
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in folder.glob("kernel/**/*.ko*")}
    loaded = {}

    def load(name):
        name = name.replace("-", "_")
        if name in loaded:
            return
        if name not in paths:
            raise Failure(f"the kernel has no module {name}")
        data = paths[name].read_bytes()
        if paths[name].suffix == ".xz":
            data = lzma.decompress(data)
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in filter(None, (depends[1].decode() if depends else "").split(",")):
            load(other)
        loaded[name] = data

    for name in MODULES:
        load(name)
    return loaded


def write_image(path, program, modules, files, nics):
    """The guest's root: busybox, our init, the modules, and the program with all it links and loads."""
    busybox = shutil.which("busybox") or "/bin/busybox"
    binary = Path(shutil.which(program) or program).resolve()
    libraries = linked(binary)
    plugins = []
    for library in [p for name, p in libraries.items() if name.startswith("librte_eal.so")]:
        for folder in (library.resolve().parent / "dpdk").glob("pmds-*"):
            plugins += [p for p in folder.iterdir() if PLUGINS.match(p.name)]
    for plugin in plugins:
        libraries.update(linked(plugin))
        libraries[re.sub(r"\.\d+$", "", plugin.name)] = plugin
    libraries.update(linked(busybox))
    # The C library loads this one by itself when a thread is cancelled.
    if "libc.so.6" in libraries:
        libraries["libgcc_s.so.1"] = libraries["libc.so.6"].with_name("libgcc_s.so.1")

    modules = module_files(modules)
    with open(path, "wb") as out:
        archive = Archive(out)
        archive.add("init", (HERE / "init.sh").read_bytes(), 0o100755)
        archive.add("bin/busybox", Path(busybox).read_bytes(), 0o100755)
        archive.add("program", binary.read_bytes(), 0o100755)
        chosen = f"MODULES='{' '.join(modules)}'\nNICS='{' '.join(nics)}'\nHUGEPAGES={HUGEPAGES}\n"
        archive.add("etc/guest", chosen.encode())
        for name, data in modules.items():
            archive.add(f"modules/{name}.ko", data)
        for name, data in files.items():
            archive.add(name.lstrip("/"), data.encode())
        for name, library in libraries.items():
            # The loader where binaries name it, all else in one folder it searches.
            place = library if name.startswith("ld-linux") else Path("/lib") / name
            archive.add(str(place).lstrip("/"), library.read_bytes(), 0o100755)
        for plugin in plugins:
            # One file by either way: loaded twice, a driver would register twice.
            archive.add(str(plugin).lstrip("/"), b"/lib/" + re.sub(r"\.\d+$", "", plugin.name).encode(), 0o120777)
        archive.end()


def linked(binary):
    """What the loader would load for a file: name -> path."""
    text = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    if "not found" in text:
        raise Failure(f"{binary} lacks libraries:\n{text}")
    return {Path(path).name: Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", text, re.M)}


class Archive:
    """A cpio archive as the kernel takes it. Written here: device nodes need no privilege so."""

    def __init__(self, out):
        self._out = out
        self._made = set()
        self._entries = 0
        self.add("dev", b"", 0o040755)
        self.add("dev/console", b"", 0o020600, (5, 1))
        for folder in ["proc", "sys", "run", "tmp", "var"]:
            self.add(folder, b"", 0o040755)
        self.add("var/run", b"/run", 0o120777)

    def add(self, name, data, mode=0o100644, device=(0, 0)):
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in self._made:
                self.add(str(parent), b"", 0o040755)
        self._made.add(name)
        self._entries += 1
        fields = [self._entries, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        self._write(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        self._write(data)

    def end(self):
        self.add("TRAILER!!!", b"", 0)

    def _write(self, data):
        self._out.write(data)
        self._out.write(bytes(-len(data) % 4))


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
