"""What every guest of the tests is made of: a kernel from Debian's package, a root made here, a console.

Nothing is installed and no privilege is needed: the kernel's package is unpacked into a cache, and the
root is an initramfs.
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

TARGET = Path(__file__).resolve().parent.parent.parent / "target"

KERNEL_PACKAGES = ["linux-image-cloud-amd64", "linux-image-amd64"]


class Failure(Exception):
    """Something the test waited for did not come, or came wrong."""


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


class Monitor:
    """QEMU's monitor. `end` tells why the machine is gone, where it is."""

    def __init__(self, end):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._replies = self.ours.makefile("r")
        self._end = end

    def ask(self, command, **arguments):
        """What a command returns."""
        with suppress(OSError):
            self.ours.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            for reply in map(json.loads, self._replies):
                if "return" in reply:
                    return reply["return"]
                if "error" in reply:
                    raise Failure(f"{command}: {reply['error']['desc']}")
        raise Failure(f"{command}: no answer{self._end()}")


def own_folder(target):
    """A folder for this run's logs. Those of runs that are over make room for it."""
    for old in target.glob("run.*"):
        if not os.path.exists(f"/proc/{old.suffix[1:]}"):
            shutil.rmtree(old, ignore_errors=True)
    folder = target / f"run.{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def die_with_parent():
    """In the child: QEMU ends with the test, even if that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def kernel_files(needs):
    """A kernel with these lines in its configuration and the folder with its modules, from a cache or from
    Debian's package."""
    faults = []
    for package in KERNEL_PACKAGES:
        depends = output("apt-cache", "depends", "--important", package)
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        if not found:
            faults.append(f"{package}: unknown to apt")
            continue
        root = TARGET / "guest-kernel" / found[1]
        if not root.exists():
            unpack(found[1], root)
        config = next(root.glob("boot/config-*")).read_text().splitlines()
        lacks = [need for need in needs if need not in config]
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


def module_files(folder, names):
    """The modules of these names with what they depend on, in order of loading: name -> contents."""
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

    for name in names:
        load(name)
    return loaded


def add_init(archive, script):
    """The guest's first process, and how it obeys."""
    archive.add("init", script.read_bytes(), 0o100755)
    archive.add("etc/obey", (Path(__file__).resolve().parent / "obey.sh").read_bytes())


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
