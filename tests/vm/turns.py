"""Pollux and Open vSwitch by turns with the same guests, and what a ping between these tells."""

import re

from machine import Failure
from ovs import OpenVSwitch

INTERVAL = 50  # ms between two pings


def by_turns(lab, rounds, measure):
    """What `measure` finds with each switch in each round: a list for each, by its name. `lab` is new, in a
    folder of its own, and all its ports are clients, so that QEMU makes the sockets."""
    peer = OpenVSwitch(lab.folder / "ovs", [lab.folder / f"{port}.sock" for port in lab.ports])
    found = {"Pollux": [], "Open vSwitch": []}
    try:
        # What a guest negotiates as it boots, the other switch must have too; that one wouldn't take ECN.
        for guest in (lab.one, lab.two):
            guest.properties = ",host_ecn=off"
        peer.start()
        lab.boot()
        peer.kill()
        for _ in range(rounds):
            for name, switch in zip(found, (lab.switch, peer)):
                switch.start()
                lab.settle()
                found[name].append(measure(lab, switch))
                switch.kill()
    finally:
        lab.close()
        peer.close()
    return found


def arrivals_through(disturb, source, target):
    """Pings one guest from another while `disturb` is called: when each reply came, in ms, by its number; and
    what `disturb` returns."""
    console = source.console
    begin = console.mark()
    source.background(f"ping -i {INTERVAL / 1000} {target.address}", "/dev/ttyS1")
    await_replies(console, begin, 20)
    result = disturb()
    await_replies(console, console.mark(), 40)
    source.run("killall ping")
    found = (re.search(r"seq=(\d+) .*time=([\d.]+) ms", line) for line in console.items[begin:])
    return {int(reply[1]): int(reply[1]) * INTERVAL + float(reply[2]) for reply in found if reply}, result


def longest_wait(arrivals):
    """The longest time without a reply, in ms."""
    times = sorted(arrivals.values())
    return round(max(later - earlier for earlier, later in zip(times, times[1:])))


def await_replies(console, since, count):
    """Waits for so many replies from `since` on."""
    found = 0

    def wanted(line):
        nonlocal found
        found += len(re.findall(r"bytes from .* seq=", line))
        return found >= count

    if not console.wait(wanted, since):
        raise Failure(f"{found} of {count} pings come back within a minute")
