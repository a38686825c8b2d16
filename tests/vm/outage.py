"""How long VMs are cut off when their switch is killed and started again: Pollux and Open vSwitch by turns."""

import re
import statistics

from machine import Failure
from ovs import OpenVSwitch

ROUNDS = 5
INTERVAL = 50  # ms between two pings
LONGEST = 1500  # ms


def beside_open_vswitch(lab):
    """Both switches' outages with the same two guests, whose sockets QEMU makes, in a folder of their own.
    `lab` is new, with both its ports clients."""
    peer = OpenVSwitch(lab.folder / "ovs", [lab.folder / "vm1.sock", lab.folder / "vm2.sock"])
    measured = {"Pollux": [], "Open vSwitch": []}
    try:
        # What a guest negotiates as it boots, the other switch must have too; that one wouldn't take ECN.
        for guest in (lab.one, lab.two):
            guest.properties = ",host_ecn=off"
        peer.start()
        lab.boot()
        peer.kill()
        for _ in range(ROUNDS):
            for name, switch in zip(measured, (lab.switch, peer)):
                switch.start()
                lab.settle()
                measured[name].append(measure(lab, switch))
                switch.kill()
    finally:
        lab.close()
        peer.close()
    return compare(measured)


def measure(lab, switch):
    """Kills the switch under a ping and starts it again: the longest time without a reply in ms, seconds
    until it was ready."""
    console = lab.one.console
    begin = console.mark()
    lab.one.background(f"ping -i {INTERVAL / 1000} {lab.two.address}", "/dev/ttyS1")
    await_replies(console, begin, 20)
    switch.kill()
    killed = console.mark()
    ready = switch.start()
    await_replies(console, killed, 40)
    lab.one.run("killall ping")
    found = (re.search(r"seq=(\d+) .*time=([\d.]+) ms", line) for line in console.items[begin:])
    arrivals = sorted(int(reply[1]) * INTERVAL + float(reply[2]) for reply in found if reply)
    return round(max(later - earlier for earlier, later in zip(arrivals, arrivals[1:]))), ready


def await_replies(console, since, count):
    """Waits for so many replies from `since` on."""
    found = 0

    def wanted(line):
        nonlocal found
        found += len(re.findall(r"bytes from .* seq=", line))
        return found >= count

    if not console.wait(wanted, since):
        raise Failure(f"{found} of {count} pings come back within a minute")


def compare(measured):
    """Prints the outages, and fails if Pollux's are too long."""
    medians = {}
    for name, values in measured.items():
        outages, ready = zip(*values)
        medians[name] = statistics.median(outages)
        print(f"     {name:<12} {' '.join(f'{ms:>5}' for ms in outages)} ms, median {medians[name]:>5} ms; "
              f"ready after {' '.join(f'{seconds:.2f}' for seconds in ready)} s")
    ours, theirs = medians.values()
    # A ping's interval is as fine as this tells.
    if ours > theirs + INTERVAL:
        raise Failure(f"Pollux's median of {ours} ms is longer than Open vSwitch's of {theirs} ms")
    if ours >= LONGEST:
        raise Failure(f"an outage of {ours} ms, with {LONGEST} ms the limit")
    return f"{ours} ms, Open vSwitch {theirs} ms"
