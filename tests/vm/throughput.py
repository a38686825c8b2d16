"""TCP between two guests with TSO and without, by turns."""

import json
import statistics

from machine import Failure

ROUNDS = 5
SECONDS = 3
LEAST = 2  # times


def with_and_without_tso(lab):
    """Fails if TSO doesn't make TCP between the two guests at least twice as fast."""
    one, two = lab.one, lab.two
    for guest in (one, two):
        guest.run("ip link set eth0 mtu 1500")
    rates = {"on": [], "off": []}
    for _ in range(ROUNDS):
        for tso, measured in rates.items():
            one.run(f"ethtool -K eth0 tso {tso}")
            two.background("iperf3 -s -1")
            said = "\n".join(one.run(f"iperf3 -J -t {SECONDS} -c {two.address}", timeout=60))
            measured.append(json.loads(said[said.index("{"):])["end"]["sum_received"]["bits_per_second"] / 1e9)
    for guest in (one, two):
        guest.run(f"ethtool -K eth0 tso on; ip link set eth0 mtu {guest.mtu}")
    for tso, measured in rates.items():
        print(f"     TSO {tso:<3} {' '.join(f'{rate:.2f}' for rate in measured)} Gbit/s, "
              f"median {statistics.median(measured):.2f}")
    times = statistics.median(with_tso / without for with_tso, without in zip(*rates.values()))
    if times < LEAST:
        raise Failure(f"only {times:.2f} times as fast")
    return f"{times:.2f} times as fast"
