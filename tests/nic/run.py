#!/usr/bin/env python3
"""Runs a program on emulated Intel NICs behind an IOMMU and checks what it does with frames.

Prints a line for each check and exits with 1 if any failed. See README.md.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True  # the source tree is not ours to write to

from bench import NICS, Bench, environment
from guest import HERE, TARGET, Failure, Guest, output
from pollux import Pollux
from testpmd import Testpmd


def own_folder():
    """A folder for this run's logs. Those of runs that are over make room for it."""
    for old in TARGET.glob("run.*"):
        if not os.path.exists(f"/proc/{old.suffix[1:]}"):
            shutil.rmtree(old, ignore_errors=True)
    folder = TARGET / f"run.{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pollux", metavar="BINARY", help="check this build of Pollux")
    what.add_argument("--testpmd", action="store_true", help="check the environment alone, with DPDK's testpmd")
    parser.add_argument("--nic", choices=["igb", "e1000e"], help="default: igb where QEMU has it")
    parser.add_argument("--qemu", default="qemu-system-x86_64", metavar="BINARY", help="the QEMU to use")
    options = parser.parse_args()
    # Whoever ends us ends the guest too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    subprocess.run([HERE / "setup.sh"], check=True)
    modern = '"igb"' in output(options.qemu, "-device", "help")
    nic = options.nic or ("igb" if modern else "e1000e")
    queues = 4 if nic == "igb" else 1
    print(f"{NICS} {nic} NICs of {queues} rx queues; {output(options.qemu, '--version').splitlines()[0]}", flush=True)

    folder = own_folder()
    try:
        with Guest(folder, NICS, nic, options.qemu, link_events=modern) as guest:
            program = (Pollux if options.pollux else Testpmd)(guest.addresses, queues)
            guest.launch(options.pollux or program.binary, program.files)
            bench = Bench(guest, program)
            if bench.check("the guest boots", guest.boot) and environment(bench):
                program.checks(bench)
    except Failure as failure:
        sys.exit(f"tests/nic: {failure}")
    counts = bench.results
    skipped = f", {counts['SKIP']} skipped" if counts["SKIP"] else ""
    print(f"logs in {folder}\n{counts['PASS']} passed, {counts['FAIL']} failed{skipped}")
    sys.exit(counts["FAIL"] > 0)


if __name__ == "__main__":
    main()
