#!/usr/bin/env python3
"""Runs a program on emulated Intel NICs behind an IOMMU and checks what it does with frames.

Prints a line for each check and exits with 1 if any failed. See README.md.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

sys.dont_write_bytecode = True  # the source tree is not ours to write to

from bench import NICS, Bench, environment
from guest import HERE, TARGET, Guest, address
from machine import Failure, output, own_folder
from pollux import Pollux
from testpmd import Testpmd

STARTS = 4


@contextmanager
def booted(new_guest, binary, files):
    """A guest that is up, with all of its CPUs."""
    begin = time.monotonic()
    for _ in range(STARTS):
        with new_guest() as guest:
            guest.launch(binary, files)
            guest.boot()
            if guest.ticks():
                print(f"the guest is up ({time.monotonic() - begin:.1f} s)", flush=True)
                yield guest
                return
        print("a CPU of the guest gets no interrupts, which is the emulation's fault: starting another", flush=True)
    raise Failure(f"{STARTS} guests had a CPU without interrupts")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pollux", metavar="BINARY", help="check this build of Pollux")
    what.add_argument("--testpmd", action="store_true", help="check the environment alone, with DPDK's testpmd")
    parser.add_argument("--nic", choices=["igb", "e1000e"], help="default: igb where QEMU has it")
    parser.add_argument("--qemu", default="qemu-system-x86_64", metavar="BINARY", help="the QEMU to use")
    options = parser.parse_args()
    if options.pollux and not os.access(options.pollux, os.X_OK):
        parser.error(f"{options.pollux} can't be run; build it with `make release`")
    # Whoever ends us ends the guest too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    subprocess.run([HERE / "setup.sh"], check=True)
    modern = '"igb"' in output(options.qemu, "-device", "help")
    nic = options.nic or ("igb" if modern else "e1000e")
    queues = 4 if nic == "igb" else 1
    print(f"{NICS} {nic} NICs of {queues} rx queues; {output(options.qemu, '--version').splitlines()[0]}", flush=True)

    folder = own_folder(TARGET)
    program = (Pollux if options.pollux else Testpmd)([address(i) for i in range(NICS)], queues)
    binary = options.pollux or Testpmd.binary
    counts = Counter()
    try:
        with booted(lambda: Guest(folder, NICS, nic, options.qemu, modern), binary, program.files) as guest:
            bench = Bench(guest, program, counts)
            if environment(bench):
                program.checks(bench)
    except Failure as failure:
        print(f"FAIL the guest is up: {failure}")
        counts["FAIL"] += 1
    skipped = f", {counts['SKIP']} skipped" if counts["SKIP"] else ""
    print(f"logs in {folder}\n{counts['PASS']} passed, {counts['FAIL']} failed{skipped}")
    sys.exit(counts["FAIL"] > 0)


if __name__ == "__main__":
    main()
