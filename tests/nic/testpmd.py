"""DPDK's own test program, to tell a fault of this environment from a fault of Pollux.

It forwards port 0 to 1, 1 to 2 and 2 to 0, and changes nothing.
"""

from bench import FLOWS, HOSTS, NICS, PROBES, RING, Queues, hugepages_returned, no_dma_fault, vfio_in_use
from frames import BROADCAST, Tag, body, ether, udp
from guest import Failure


class Testpmd:
    binary = "dpdk-testpmd"

    def __init__(self, addresses, queues):
        self.addresses, self.queues = addresses, queues
        self.files = {}

    def start(self, guest):
        since = guest.console.mark()
        devices = " ".join(f"-a {address}" for address in self.addresses)
        guest.run(f"start /program -l 0-1 --huge-unlink --no-telemetry {devices} -- -i -a --nb-cores=1 "
                  f"--port-topology=chained --rxq={self.queues} --txq={self.queues} --rxd={RING} --txd={RING} "
                  "--rss-udp --max-pkt-len=9018 --enable-scatter --total-num-mbufs=16384")
        guest.expect(r"^nb forwarding cores=1", since, timeout=180)

    def command(self, guest, line, until):
        """Types at its prompt, and waits for what it says to that."""
        since = guest.console.mark()
        guest.run(f"echo '{line}' >/run/stdin")
        guest.expect(until, since)
        return guest.console.items[since:]

    def stop(self, guest):
        since = guest.console.mark()
        guest.run("echo quit >/run/stdin")
        status = int(guest.expect(r"@@ exited (\d+)", since, timeout=120)[1])
        if status != 0:
            raise Failure(f"status {status}")

    def checks(self, bench):
        guest = bench.guest

        def probe(_port, payload):
            return ether(BROADCAST, PROBES[0], payload)

        def forwarded(ingress, *tags, size=64):
            frame = ether(HOSTS[1], HOSTS[0], body(size), *tags)
            bench.send(ingress, frame)
            bench.arrives((ingress + 1) % NICS, frame)

        def every_way():
            for port in range(NICS):
                bench.try_until(port, probe, (port + 1) % NICS)
            for port in range(NICS):
                forwarded(port)
                forwarded(port, Tag(10, 5, 1))

        def flows():
            sent = [ether(HOSTS[1], HOSTS[0], udp(flow, body()), ethertype=0x0800) for flow in range(FLOWS)]
            for frame in sent:
                bench.send(0, frame)
            for frame in sent:
                bench.arrives(1, frame)

        def changed(up):
            since = guest.console.mark()
            guest.set_link(0, up)
            guest.expect(r"Port 0: link state change event", since)
            self.command(guest, "show port summary 0", rf"^0 .* {'up' if up else 'down'} ")

        def link():
            try:
                changed(False)
            finally:
                changed(True)
            bench.try_until(0, probe, 1)
            bench.try_until(2, probe, 0)

        def restart():
            self.command(guest, "stop", r"^Done\.")
            self.command(guest, "port stop all", r"^Done")
            self.command(guest, "port start all", r"^Done")
            self.command(guest, "start", r"nb forwarding cores=1")
            every_way()

        if not bench.check("testpmd starts on the NICs", self.start, guest):
            return
        bench.check("testpmd holds the NICs' IOMMU groups", vfio_in_use, bench)
        bench.check("frames pass every NIC, tags untouched", every_way)
        bench.check("a frame of 9014 bytes passes", lambda: forwarded(0, size=9000))
        queues = Queues(bench, 0)
        bench.check("flows of packets pass", flows)
        bench.check("they came by all rx queues", queues.all_used)
        bench.check("a link's loss and return are seen", link)
        bench.check("ports stop and start again", restart)
        bench.check("testpmd quits", self.stop, guest)
        bench.check("hugepages are free again", hugepages_returned, bench)
        bench.check("testpmd starts again in the same guest", self.start, guest)
        bench.check("frames pass after the second start", every_way)
        bench.check("testpmd quits again", self.stop, guest)
        bench.check("nothing came out twice or unasked", bench.no_strays)
        bench.check("no DMA fault in the guest's kernel", no_dma_fault, bench)
