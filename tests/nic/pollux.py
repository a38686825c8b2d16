"""The switch on the NICs: learning, flooding, tags, rx queues, links, and two starts in one guest.

Port 0 is a trunk of all VLANs, VLAN 1 untagged; port 1 an access port of VLAN 10; port 2 a trunk of
VLANs 10 and 20. So all three are members of VLAN 10, and VLANs 1 and 20 leave some out.
"""

import re

from bench import FLOWS, HOSTS, NICS, PROBES, RING, Queues, hugepages_returned, no_dma_fault, vfio_in_use
from frames import BROADCAST, Tag, body, ether, udp
from guest import Failure

CONFIG = "/etc/pollux/pollux.toml"
VLANS = ['{ mode = "trunk", allowed = ["1-4094"], native = 1 }',
         '{ mode = "access", vid = 10, priority_tags = "never" }',
         '{ mode = "trunk", allowed = ["10", "20"] }']
ACCESS = 1  # the port whose frames carry no tag
MTU = 9000
PER_FLOW = 4
# Every frame goes through class queues and a shaper, which never holds one back for long.
PROFILE = """
[qos.profiles.nic]
traffic_classes = 2
egress_rate = { rate = "10Gbit", burst = "1MiB" }
"""


# What depends on the program's wording.

READY = r"\bready\b"
ACCOUNT, BALANCED = "accounting: ", ": balances"
LEAK = "didn't come home"


def link_said(port, state):
    return rf"\bport up{port}: link {state}\b"


def totals(lines):
    """From what it said while ending: port -> (frames received, frames sent).

    Read from a table whose heading begins with "port" and has a column of rx and one of tx frames."""
    found, columns = {}, None
    for line in lines:
        cells = [cell for cell in re.split(r"\s{2,}|\s*[|│┃]\s*", line.strip(" |│┃")) if cell]
        if cells and cells[0].lower() == "port":
            names = [cell.lower() for cell in cells]
            columns = [next((i for i, name in enumerate(names) if name.startswith(way)), 0) for way in ("rx", "tx")]
        elif columns and (port := re.fullmatch(r"up(\d+)", cells[0] if cells else "")) and len(cells) > max(columns):
            found.setdefault(int(port[1]), tuple(number(cells[column]) for column in columns))
    return found


def number(text):
    return int(re.sub(r"\D", "", text) or 0)


class Pollux:
    def __init__(self, addresses, queues):
        self.queues = queues
        text = "[switch]\ncores = [1]\nhugepages = true\n"
        for i, (address, vlan) in enumerate(zip(addresses, VLANS)):
            text += (f'\n[ports.up{i}]\ndevice = "{address}"\nrx_queues = {queues}\nrx_ring = {RING}\n'
                     f'tx_ring = {RING}\nmtu = {MTU}\nvlan = {vlan}\nqos = {{ profile = "nic" }}\n')
            if i == 0:
                text += "flow_control = { rx = true, tx = true }\n"
        text += PROFILE
        self.files = {CONFIG: text}

    def start(self, guest):
        since = guest.console.mark()
        guest.run(f"start /program run --config {CONFIG}")
        guest.expect(READY, since, timeout=180)

    def checks(self, bench):
        if not bench.check("pollux is ready on the NICs", self.start, bench.guest):
            return
        Run(bench).whole()
        if not bench.check("pollux starts again in the same guest", self.start, bench.guest):
            return
        Run(bench).short()
        bench.check("nothing came out twice or unasked", bench.no_strays)
        bench.check("no DMA fault in the guest's kernel", no_dma_fault, bench)


class Run:
    """The checks between one start of the switch and its end."""

    def __init__(self, bench):
        self.bench, self.guest = bench, bench.guest
        # For the closing table: what had gone in and come out before.
        self.sent = [wire.sent for wire in self.guest.wires]
        self.got = [wire.mark() for wire in self.guest.wires]
        self.tries = bench.tries

    def whole(self):
        check = self.bench.check
        check("it holds the NICs' IOMMU groups", vfio_in_use, self.bench)
        if not check("every port forwards to every other", self.all_up):
            return self.ending()
        check("the NIC pauses its link as the file says", self.pauses)
        check("an unknown address floods its VLAN", self.unknown)
        check("a learned address has its port alone", self.learned)
        check("a moved station is followed", self.moved)
        check("the access port's frames are tagged and untagged", self.push_pop)
        check("a trunk keeps PCP and DEI", self.priorities)
        check("the access port keeps a priority tag's PCP and DEI", self.priority_tags)
        check("VLANs reach their members only", self.members)
        check("what is not admitted is dropped", self.refused)
        check("frames of the MTU of 9000 pass, tag put on and taken off", self.jumbo)
        for kind, ingress, egress in [("tagged", 0, 1), ("untagged", 1, 0)]:
            queues = Queues(self.bench, ingress)
            check(f"flows of {kind} packets arrive once and in order", self.flows, ingress, egress)
            check("they came by all rx queues", queues.all_used)
        check("a link's loss and return are said, the others go on", self.link)
        return self.ending()

    def short(self):
        check = self.bench.check
        check("every port forwards to every other, after the second start", self.all_up)
        check("nothing was remembered: an unknown address floods", self.unknown)
        check("a learned address has its port alone, after the second start", self.learned)
        self.ending()

    # The parts of a check.

    def form(self, port, dst, src, payload, vid=10, pcp=0, dei=0, ethertype=0x88B5):
        """A frame of a VLAN as it looks on a port's wire."""
        tags = [] if port == ACCESS else [Tag(vid, pcp, dei)]
        return ether(dst, src, payload, *tags, ethertype=ethertype)

    def only(self, ingress, frame, egress):
        """Sends a frame, and holds what comes out against `egress`: port -> frame."""
        self.bench.send(ingress, frame)
        for port, wanted in egress.items():
            self.bench.arrives(port, wanted)
        # A broadcast overtakes nothing: once it is everywhere, so is all that was sent before it.
        after = body()
        source = PROBES[ingress]
        self.bench.send(ingress, self.form(ingress, BROADCAST, source, after))
        for port in range(NICS):
            if port != ingress:
                self.bench.arrives(port, self.form(port, BROADCAST, source, after))
        self.bench.no_strays()

    def unicast(self, ingress, dst, egress, src=None):
        """A frame of VLAN 10 from the station of a port, and the ports it must leave through."""
        payload, src = body(), src or HOSTS[ingress]
        self.only(ingress, self.form(ingress, dst, src, payload),
                  {port: self.form(port, dst, src, payload) for port in egress})

    # The checks.

    def all_up(self):
        for ingress in range(NICS):
            def form(port, payload, source=PROBES[ingress]):
                return self.form(port, BROADCAST, source, payload)
            for egress in range(NICS):
                if egress != ingress:
                    self.bench.try_until(ingress, form, egress)

    def pauses(self):
        said = self.guest.run("/program exec show port up0 flow_ctrl")
        if not any("rx pause on, tx pause on" in line for line in said):
            raise Failure(f"it says {said}")
        return said[-1]

    def unknown(self):
        self.unicast(0, HOSTS[1], [1, 2])

    def learned(self):
        self.unicast(1, HOSTS[0], [0])
        self.unicast(0, HOSTS[1], [1])
        self.unicast(2, HOSTS[1], [1])
        self.unicast(1, HOSTS[2], [2])

    def moved(self):
        self.unicast(2, HOSTS[1], [1], src=HOSTS[0])
        self.unicast(1, HOSTS[0], [2])
        self.unicast(0, HOSTS[1], [1])
        self.unicast(1, HOSTS[0], [0])

    def push_pop(self):
        payload = body()
        self.only(ACCESS, ether(BROADCAST, HOSTS[1], payload),
                  {port: ether(BROADCAST, HOSTS[1], payload, Tag(10)) for port in (0, 2)})
        payload = body()
        self.only(0, ether(HOSTS[1], HOSTS[0], payload, Tag(10, 6, 1)), {1: ether(HOSTS[1], HOSTS[0], payload)})

    def priorities(self):
        for pcp in range(8):
            for dei in range(2):
                frame = ether(HOSTS[2], HOSTS[0], body(), Tag(10, pcp, dei))
                self.only(0, frame, {2: frame})

    def priority_tags(self):
        for pcp in range(8):
            for dei in range(2):
                payload = body()
                self.only(ACCESS, ether(HOSTS[2], HOSTS[1], payload, Tag(0, pcp, dei)),
                          {2: ether(HOSTS[2], HOSTS[1], payload, Tag(10, pcp, dei))})

    def members(self):
        frame = ether(BROADCAST, HOSTS[0], body(), Tag(20, 3))
        self.only(0, frame, {2: frame})
        frame = ether(BROADCAST, HOSTS[2], body(), Tag(20, 4))
        self.only(2, frame, {0: frame})
        self.only(0, ether(BROADCAST, HOSTS[0], body()), {})

    def refused(self):
        for ingress, frame in [
            (ACCESS, ether(BROADCAST, HOSTS[1], body(), Tag(10))),
            (2, ether(BROADCAST, HOSTS[2], body())),
            (2, ether(BROADCAST, HOSTS[2], body(), Tag(0, 5))),
            (2, ether(BROADCAST, HOSTS[2], body(), Tag(30))),
            (0, ether(BROADCAST, HOSTS[0], body(), Tag(4095))),
            (0, ether("01:80:c2:00:00:0e", HOSTS[0], body(), Tag(10))),
            (0, ether(HOSTS[1], "01:00:5e:00:00:01", body(), Tag(10))),
            (0, ether(HOSTS[1], "00:00:00:00:00:00", body(), Tag(10))),
        ]:
            self.only(ingress, frame, {})

    def jumbo(self):
        payload = body(MTU)
        self.only(ACCESS, ether(HOSTS[0], HOSTS[1], payload), {0: ether(HOSTS[0], HOSTS[1], payload, Tag(10))})
        payload = body(MTU)
        self.only(0, ether(HOSTS[1], HOSTS[0], payload, Tag(10)), {1: ether(HOSTS[1], HOSTS[0], payload)})

    def flows(self, ingress, egress):
        ends = HOSTS[egress], HOSTS[ingress]
        packets = [(flow, udp(flow, body())) for _ in range(PER_FLOW) for flow in range(FLOWS)]
        since = self.guest.wires[egress].mark()
        for _, packet in packets:
            self.bench.send(ingress, self.form(ingress, *ends, packet, ethertype=0x0800))
        wanted = {self.form(egress, *ends, packet, ethertype=0x0800): flow for flow, packet in packets}
        for frame in wanted:
            self.bench.arrives(egress, frame)
        came = [frame for frame in self.guest.wires[egress].items[since:] if frame in wanted]
        for flow in range(FLOWS):
            sent = [frame for frame in wanted if wanted[frame] == flow]
            if [frame for frame in came if wanted[frame] == flow] != sent:
                raise Failure(f"flow {flow} came out in another order")
        self.bench.no_strays()
        return f"{FLOWS} flows of {PER_FLOW} frames"

    def link(self):
        try:
            self.link_changes("down")
            for ingress, egress in [(1, 2), (2, 1)]:
                payload = body()
                ends = HOSTS[egress], HOSTS[ingress]
                self.bench.send(ingress, self.form(ingress, *ends, payload))
                self.bench.arrives(egress, self.form(egress, *ends, payload))
        finally:
            self.link_changes("up")
        self.all_up()
        self.learned_after_link()

    def link_changes(self, state):
        since = self.guest.console.mark()
        self.guest.set_link(0, state == "up")
        self.guest.expect(link_said(0, state), since)

    def learned_after_link(self):
        """What was learned behind a port may be forgotten with its link, but is learned again."""
        payload = body()
        self.only(0, self.form(0, BROADCAST, HOSTS[0], payload),
                  {port: self.form(port, BROADCAST, HOSTS[0], payload) for port in (1, 2)})
        self.unicast(1, HOSTS[0], [0])

    def ending(self):
        """SIGTERM, as systemd sends it, and the closing table."""
        said = []

        def stop():
            since = self.guest.console.mark()
            self.guest.run("kill -TERM $(cat /run/pid)")
            status = int(self.guest.expect(r"@@ exited (\d+)", since, timeout=120)[1])
            said.extend(self.guest.console.items[since:])
            if status != 0:
                raise Failure(f"status {status}")
            for line in said:
                if LEAK in line:
                    raise Failure(line)

        def table():
            found = totals(said)
            # Frames sent while a link was still coming up may have been lost in the NIC.
            unsure = self.bench.tries - self.tries
            for port, wire in enumerate(self.guest.wires):
                if port not in found:
                    raise Failure(f"it has no row for up{port}")
                rx, tx = found[port]
                sent, got = wire.sent - self.sent[port], wire.mark() - self.got[port]
                if not sent - unsure <= rx <= sent:
                    raise Failure(f"up{port} received {rx} by the table, {sent} went in, {unsure} of them uncertain")
                if not got <= tx <= got + unsure:
                    raise Failure(f"up{port} sent {tx} by the table, {got} came out")
            return ", ".join(f"up{port} rx {rx} tx {tx}" for port, (rx, tx) in sorted(found.items()))

        def balance():
            line = next((line for line in said if ACCOUNT in line), None)
            if line is None or BALANCED not in line:
                raise Failure(line or "it says nothing of it")
            return line

        if not self.bench.check("SIGTERM ends it in order", stop):
            return
        self.bench.check("its closing table tells what went in and came out", table)
        self.bench.check("its accounting balances", balance)
        self.bench.check("hugepages are free again, and no file is left", hugepages_returned, self.bench)
