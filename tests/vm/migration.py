"""What a VM loses that moves to another port: Pollux and Open vSwitch by turns."""

import statistics

from machine import Failure
from turns import arrivals_through, by_turns, longest_wait

ROUNDS = 5
# There and back, so that each switch has had every move of each kind.
PORTS = ("other", "vm1")


def beside_open_vswitch(lab):
    """Both switches' losses; see `by_turns` for `lab`, whose VM 1 moves."""
    return compare(by_turns(lab, ROUNDS, measure))


def measure(lab, _):
    """Moves VM 1 to each port under VM 2's ping: of each move, how many pings are lost, the longest time
    without a reply and QEMU's count of how long the VM stood still, in ms."""
    moves = []
    for port in PORTS:
        arrivals, downtime = arrivals_through(lambda: lab.move(port), lab.two, lab.one)
        lost = max(arrivals) - min(arrivals) + 1 - len(arrivals)
        moves.append((lost, longest_wait(arrivals), downtime))
    return moves


def compare(found):
    """Prints the losses as a table, and fails if Pollux's are more."""
    medians = {}
    print(f"     {'':<12}  {'pings lost':<{2 * len(PORTS) * ROUNDS}}  median  longest wait  stood still")
    for name, rounds in found.items():
        lost, waits, downtimes = zip(*(move for moves in rounds for move in moves))
        medians[name] = statistics.median(lost)
        each = " ".join(str(count) for count in lost)
        print(f"     {name:<12}  {each:<{2 * len(PORTS) * ROUNDS}}  {medians[name]:>6g}  "
              f"{statistics.median(waits):>9g} ms  {statistics.median(downtimes):>8g} ms")
    ours, theirs = medians.values()
    # Which ping a moment falls on is chance.
    if ours > theirs + 1:
        raise Failure(f"Pollux's median of {ours:g} lost pings is more than Open vSwitch's of {theirs:g}")
    return f"{ours:g} pings lost in the median, Open vSwitch {theirs:g}"
