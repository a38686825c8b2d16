"""A guest with emulated Intel NICs behind an emulated IOMMU, under QEMU without KVM.

Nothing is installed, no privilege is needed, and nothing outlives the test: the kernel is a Debian
package unpacked into a cache, the root is an initramfs made here, and every wire to the guest (its
serial ports, QEMU's monitor and the far end of each NIC) is an inherited socket pair, without a name
in any file system or a namespace to clean up.
"""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qemu"))

import machine
from machine import (Archive, Console, Failure, Inbox, Monitor, add_init, die_with_parent, kernel_files, linked,
                     module_files)

TARGET = machine.TARGET / "nic"

# What vfio-pci needs is found from the modules themselves; type1 is asked for at run time only.
MODULES = ["vfio-pci", "vfio_iommu_type1"]
KERNEL_NEEDS = ["CONFIG_INTEL_IOMMU=y", "CONFIG_IRQ_REMAP=y", "CONFIG_HUGETLBFS=y",
                "CONFIG_VFIO_PCI=m", "CONFIG_DEVTMPFS=y", "CONFIG_SERIAL_8250_CONSOLE=y"]

# The distribution's whole plugin folder would load too, but takes long without KVM.
PLUGINS = re.compile(r"librte_(bus_(pci|vdev)|mempool_(ring|stack)|net_(e1000|vhost|ring|null|tap))\.so\.\d+\.\d+$")

CPUS = 2
MEMORY_MB = 1536
HUGEPAGES = 384  # of 2 MB


class Untried(Exception):
    """A check that this environment does not allow, and why."""


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
        self.monitor = Monitor(self._end)
        kernel, modules = kernel_files(KERNEL_NEEDS)
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
            "-chardev", f"socket,id=monitor,fd={self.monitor.theirs.fileno()}", "-mon", "chardev=monitor,mode=control",
        ]
        for i, wire in enumerate(self.wires):
            command += [
                "-netdev", f"dgram,id=wire{i},local.type=fd,local.str={wire.theirs.fileno()}",
                "-device", f"pcie-root-port,id=root{i},bus=pcie.0,addr={4 + i:#x},chassis={1 + i}",
                "-device", f"{self.model},id=nic{i},netdev=wire{i},bus=root{i},mac=52:54:00:00:00:{i:02x},romfile=",
            ]
        theirs = [self.console.theirs, self.monitor.theirs] + [wire.theirs for wire in self.wires]
        with open(self.folder / "qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         pass_fds=[s.fileno() for s in theirs], preexec_fn=die_with_parent)
        for end in theirs:
            end.close()

    def boot(self):
        """Waits until the guest obeys."""
        self.monitor.ask("qmp_capabilities")
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
        self.monitor.ask("set_link", name=f"nic{nic}", up=up)

    def register(self, nic, offset):
        """A register of a NIC, read past the program that owns it."""
        if nic not in self._bars:
            resources = self.run(f"cat /sys/bus/pci/devices/{self.addresses[nic]}/resource")
            self._bars[nic] = int(resources[0].split()[0], 16)
        command = {"command-line": f"xp /1wx {self._bars[nic] + offset:#x}"}
        return int(self.monitor.ask("human-monitor-command", **command).split()[-1], 16)

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

    modules = module_files(modules, MODULES)
    with open(path, "wb") as out:
        archive = Archive(out)
        add_init(archive, HERE / "init.sh")
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
