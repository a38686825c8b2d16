"""A VM on a vhost-user port: QEMU without KVM, Debian's kernel, a root of busybox, ethtool, iperf3 and
qemu-guest-agent."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qemu"))

from machine import (Archive, Console, Failure, Monitor, add_init, die_with_parent, kernel_files, linked,
                     module_files)

KERNEL_NEEDS = ["CONFIG_DEVTMPFS=y", "CONFIG_SERIAL_8250_CONSOLE=y"]
MODULES = ["virtio_pci", "virtio_net", "virtio_console", "8021q"]
PROGRAMS = ["ethtool", "iperf3", "qemu-ga"]


class Guest:
    """One VM. `number` makes its addresses, `name` its files; `listens` says that it makes the socket."""

    def __init__(self, folder, number, port, listens, name=None, queues=2, mtu=9000):
        self.folder, self.number, self.port, self.listens = folder, number, port, listens
        self.name = name or f"vm{number}"
        self.queues, self.mtu = queues, mtu
        # More of QEMU's for the NIC.
        self.properties = ""
        self.address = f"10.7.0.{number}"
        self.mac = f"52:54:00:00:07:{number:02x}"
        self.agent = folder / f"{port}.agent.sock"
        self.console = Console(folder / f"{self.name}.console.log")
        self.qemu = None

    def launch(self, incoming=None):
        """Starts the machine, or one that waits for another's state on a socket."""
        self.monitor = Monitor(self._end)
        kernel, modules = kernel_files(KERNEL_NEEDS)
        image = self.folder / f"{self.name}.initramfs"
        write_image(image, modules)
        side = "server=on,wait=off" if self.listens else "reconnect=1"
        device = f"virtio-net-pci,netdev=net,mac={self.mac},vectors=0,host_mtu={self.mtu},romfile="
        if self.queues > 1:
            device += ",mq=on"
        device += self.properties
        # Without KVM a string instruction that is one to a processor is a loop over octets: copies would be
        # all that a guest's TCP does.
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", "pc,memory-backend=memory", "-accel", "tcg", "-cpu", "max,erms=off,fsrm=off", "-smp", "1", "-m", "256",
            "-object", "memory-backend-memfd,id=memory,size=256M,share=on",
            "-kernel", str(kernel), "-initrd", str(image),
            "-append", "console=ttyS0 loglevel=5 panic=-1 mitigations=off no_timer_check tsc=reliable",
            "-serial", f"file:{self.folder / f'{self.name}.kernel.log'}",
            "-chardev", f"socket,id=console,fd={self.console.theirs.fileno()}", "-serial", "chardev:console",
            "-chardev", f"socket,id=monitor,fd={self.monitor.theirs.fileno()}", "-mon", "chardev=monitor,mode=control",
            "-chardev", f"socket,id=net,path={self.folder / self.port}.sock,{side}",
            "-netdev", f"vhost-user,id=net,chardev=net,queues={self.queues}", "-device", device,
            "-chardev", f"socket,id=agent,path={self.agent},server=on,wait=off",
            "-device", "virtio-serial-pci,id=serial,vectors=0",
            "-device", "virtserialport,bus=serial.0,chardev=agent,name=org.qemu.guest_agent.0",
        ]
        if incoming:
            command += ["-incoming", f"unix:{incoming}"]
        theirs = [self.console.theirs, self.monitor.theirs]
        with open(self.folder / f"{self.name}.qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         pass_fds=[end.fileno() for end in theirs], preexec_fn=die_with_parent)
        for end in theirs:
            end.close()
        self.monitor.ask("qmp_capabilities")

    def boot(self):
        """Waits until the guest obeys, and gives its interface an address."""
        if not self.console.wait(lambda line: "@@ booted" in line, timeout=300):
            raise Failure(f"VM {self.number} doesn't boot{self._end()}")
        self.set_up()

    def set_up(self):
        """The interface as an administrator would have it."""
        self.run(f"ip link set eth0 mtu {self.mtu} up; ip addr add {self.address}/24 dev eth0")

    def start_agent(self):
        """The guest's agent, as a distribution's service would start it."""
        # It opens its channel by a link that udev would make.
        self.run("mkdir /dev/virtio-ports; for port in /sys/class/virtio-ports/*; do "
                 "ln -s /dev/${port##*/} /dev/virtio-ports/$(cat $port/name); done; "
                 "qemu-ga -d -l /run/qemu-ga.log -f /run/qemu-ga.pid -t /run")

    def run(self, line, timeout=120, may_fail=False):
        """Has the guest's shell run `line`; the lines that it answers."""
        since = self.console.mark()
        self.console.send(line)
        done = self.console.wait(lambda text: text.startswith("@@ done"), since, timeout)
        if done is None:
            raise Failure(f"VM {self.number} doesn't answer `{line}` in {timeout} s{self._end()}")
        answer = [text.split("@= ", 1)[1] for text in self.console.items[since:] if "@= " in text]
        if not may_fail and done.split()[-1] != "0":
            raise Failure(f"VM {self.number}: `{line}` fails: {answer}")
        return answer

    def background(self, line, output="/dev/null"):
        """Has the guest's shell run `line` beside what comes next, its output in a file."""
        self.run(f"{{ {line}; }} >{output} 2>&1 </dev/null & sleep 0.3")

    def migrate(self, target):
        """Moves the running guest into `target`, which becomes it; this machine ends."""
        path = self.folder / f"{self.name}.state"
        path.unlink(missing_ok=True)  # an earlier move's
        target.launch(incoming=path)
        deadline = time.monotonic() + 60
        while not path.exists():
            if time.monotonic() > deadline:
                raise Failure(f"{target.name} doesn't wait for the state{target._end()}")
            time.sleep(0.01)
        self.monitor.ask("migrate", uri=f"unix:{path}")
        while (status := self.monitor.ask("query-migrate").get("status")) != "completed":
            if status == "failed" or time.monotonic() > deadline:
                raise Failure(f"the migration is {status}{self._end()}{target._end()}")
            time.sleep(0.01)
        downtime = self.monitor.ask("query-migrate")["downtime"]
        self.close()
        return downtime

    def close(self):
        """Ends the machine, however it is."""
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
        (self.folder / f"{self.name}.initramfs").unlink(missing_ok=True)

    def _end(self):
        if self.qemu.poll() is None:
            return ""
        log = (self.folder / f"{self.name}.qemu.log").read_text(errors="replace").strip()
        return f"; QEMU ended, status {self.qemu.returncode}: {log}"


def write_image(path, modules):
    """The guest's root."""
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    libraries = {}
    modules = module_files(modules, MODULES)
    with open(path, "wb") as out:
        archive = Archive(out)
        add_init(archive, HERE / "init.sh")
        archive.add("bin/busybox", busybox.read_bytes(), 0o100755)
        libraries.update(linked(busybox))
        for name in PROGRAMS:
            program = Path(shutil.which(name) or f"/usr/sbin/{name}").resolve()
            archive.add(f"sbin/{name}", program.read_bytes(), 0o100755)
            libraries.update(linked(program))
        archive.add("etc/guest", f"MODULES='{' '.join(modules)}'\n".encode())
        for name, data in modules.items():
            archive.add(f"modules/{name}.ko", data)
        for name, library in libraries.items():
            place = library if name.startswith("ld-linux") else Path("/lib") / name
            archive.add(str(place).lstrip("/"), library.read_bytes(), 0o100755)
        archive.end()


def lost(lines):
    """Of a ping's closing lines: how many were sent, and how many of them were lost."""
    found = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", "\n".join(lines))
    if not found:
        raise Failure(f"ping says {lines[-3:]}")
    sent, received = int(found[1]), int(found[2])
    return sent, sent - received
