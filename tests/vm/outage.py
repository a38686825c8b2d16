"""How long VMs are cut off when their switch is killed and started again: Pollux and Open vSwitch by turns."""

import statistics

from machine import Failure
from turns import INTERVAL, arrivals_through, by_turns, longest_wait

ROUNDS = 5
LONGEST = 1500  # ms


def beside_open_vswitch(lab):
    """Both switches' outages; see `by_turns` for `lab`."""
    return compare(by_turns(lab, ROUNDS, measure))


def measure(lab, switch):
    """Kills the switch under a ping and starts it again: the longest time without a reply in ms, seconds
    until it was ready."""
    def restart():
        switch.kill()
        return switch.start()

    arrivals, ready = arrivals_through(restart, lab.one, lab.two)
    return longest_wait(arrivals), ready


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
