"""What every program's checks share: running a check, and accounting for each frame that comes out."""

import re
import time
from collections import Counter

from frames import body, describe
from guest import Failure, Untried

FLOWS = 256
NICS = 3
RING = 512  # descriptors: enough for an emulated guest
# A station behind each NIC, and one more that is heard only of when a link is tried.
HOSTS = [f"02:00:00:00:00:{i:02x}" for i in range(NICS)]
PROBES = [f"02:00:00:00:ff:{i:02x}" for i in range(NICS)]


class Bench:
    """One program on one guest, and every frame that went in or came out."""

    def __init__(self, guest, program, results):
        self.guest, self.program = guest, program
        self.results = results  # PASS, FAIL and SKIP: how many
        self.expected = [Counter() for _ in guest.wires]  # frames that may leave, and how often
        self.tries = 0  # frames sent while it was not certain that the NIC took them

    def check(self, name, test, *arguments):
        """Runs one check and prints how it went; what it returns is told with it. True if it passed."""
        since, begin = self.guest.console.mark(), time.monotonic()
        try:
            said, result = test(*arguments), "PASS"
        except Untried as untried:
            said, result = str(untried), "SKIP"
        except Failure as failure:
            said, result = str(failure), "FAIL"
        note = f": {said}" if said else ""
        print(f"{result} {name}{note} ({time.monotonic() - begin:.1f} s)", flush=True)
        self.results[result] += 1
        if result == "FAIL":
            for line in self.guest.console.items[since:][-15:]:
                print(f"     | {line}")
            # Told once is enough: a stray frame is no fault of the checks that follow.
            for port, expected in enumerate(self.expected):
                expected.update(self.strays(port))
        return result == "PASS"

    def send(self, port, frame):
        self.guest.wires[port].send(frame)

    def arrives(self, port, frame, timeout=30):
        """Waits for a frame to leave through a port, byte for byte."""
        self.expected[port][frame] += 1
        if self.guest.wires[port].wait(lambda other: other == frame, timeout=timeout) is None:
            strays = self.strays(port)
            near = f"; it sent {describe(strays[-1])}" if strays else ""
            raise Failure(f"port {port} did not send {describe(frame)}{near}")

    def try_until(self, ingress, form, egress):
        """Sends until a frame comes out: a link is up some time after its program, or its cable.

        `form(port, payload)` is the frame as it looks at a port."""
        for _ in range(120):
            payload = body()  # each is a frame of its own, as those held back by the NIC come out later
            for port, expected in enumerate(self.expected):
                expected[form(port, payload)] += 1
            self.send(ingress, form(ingress, payload))
            self.tries += 1
            wanted = form(egress, payload)
            if self.guest.wires[egress].wait(lambda other: other == wanted, timeout=0.5) is not None:
                return
        raise Failure(f"nothing gets from port {ingress} to port {egress}")

    def strays(self, port):
        """What left through a port and should not have, or more often than it should have."""
        return list((Counter(self.guest.wires[port].items) - self.expected[port]).elements())

    def no_strays(self):
        for port in range(NICS):
            if strays := self.strays(port):
                raise Failure(f"port {port} also sent {len(strays)}, the first {describe(strays[0])}")


def environment(bench):
    """What the guest must be for the rest to mean anything."""
    def behind_iommu():
        groups = set()
        for line in bench.guest.console.items:
            nic = re.match(r"@@ nic \S+ id=\S+ driver=(\S*) group=(\S*) members=(\d+) domain=(\S*)", line)
            if nic:
                if nic[1] != "vfio-pci" or nic[3] != "1" or not nic[4].startswith("DMA"):
                    raise Failure(line)
                groups.add(nic[2])
        if len(groups) != NICS:
            raise Failure(f"{len(groups)} IOMMU groups for {NICS} NICs")
        return f"groups {', '.join(sorted(groups))}"

    return bench.check("NICs bound to vfio-pci, each in an IOMMU group of its own", behind_iommu)


def vfio_in_use(bench):
    """The program holds the NICs by way of their groups."""
    lines = bench.guest.run("ls -l /proc/$(cat /run/pid)/fd | grep -o '/dev/vfio/[0-9]*$'")
    if len(set(lines)) != NICS:
        raise Failure(f"it holds {', '.join(lines) or 'no group'}")


def no_dma_fault(bench):
    """The IOMMU let through all that the NICs did."""
    lines = bench.guest.run("dmesg | grep -iE 'dmar.*fault|vfio.*(error|fail)'")
    if lines:
        raise Failure(lines[0])


def hugepages_returned(bench):
    """Nothing holds memory, and no file is left of what did."""
    lines = bench.guest.run("grep HugePages_ /proc/meminfo; ls -A /dev/hugepages")
    counts = dict(re.findall(r"HugePages_(Total|Free):\s*(\d+)", "\n".join(lines)))
    if not counts or counts["Total"] != counts["Free"]:
        raise Failure("; ".join(lines))


class Queues:
    """How many descriptors a NIC fills on each of its rx queues from now on, by the NIC's own registers."""

    def __init__(self, bench, port):
        self._bench, self._port = bench, port
        self._before = self._heads()

    def all_used(self):
        """Fails unless every queue got frames; says how many each. They must be fewer than a ring holds."""
        if not self._before:
            raise Untried("this NIC has one")
        used = [(now - before) % RING for before, now in zip(self._before, self._heads())]
        if 0 in used:
            raise Failure(f"frames on each rx queue: {used}")
        return f"frames on each rx queue: {used}"

    def _heads(self):
        # RDH of the 82576, which the NIC moves on with every descriptor that it has filled.
        count = self._bench.program.queues
        if count == 1:
            return []
        return [self._bench.guest.register(self._port, 0xC010 + 0x40 * queue) for queue in range(count)]
