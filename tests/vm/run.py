#!/usr/bin/env python3
"""Runs two real guests on vhost-user ports, one of each role, and checks what they see of the switch.

Prints a line for each check and exits with 1 if any failed. See README.md.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True  # the source tree is not ours to write to

from guest import HERE, Guest, lost  # first: it says where the others are
from machine import TARGET, Failure, own_folder

import migration
import outage
from switch import Switch
from throughput import with_and_without_tso
from wire import ADDRESSES, PORT as WIRE_PORT, Capture, Wire, check as check_frames

PORT = """
[ports.{name}]
vhost_user = {{ socket = "{folder}/{name}.sock", queues = 2, role = "{role}", guest_agent = "{folder}/{name}.agent.sock" }}
vlan = {vlan}
mtu = 9000
"""
VLAN = '{ mode = "trunk", allowed = [1, 7], native = 1 }'
# The switch's part at each socket.
ROLES = {"vm1": "client", "vm2": "server", "other": "client"}
CLIENTS = dict.fromkeys(ROLES, "client")
# What is measured beside Open vSwitch, at length.
COMPARED = {"outage": outage, "migration": migration}


class Lab:
    """The switch and its two VMs, maybe a host on a wire; every check's outcome."""

    def __init__(self, folder, binary, roles, wire=None):
        self.folder, self.ports, self.wire = folder, list(roles), wire
        ports = [PORT.format(folder=folder, name=name, role=role, vlan=VLAN) for name, role in roles.items()]
        if wire:
            ports.append(wire.config(VLAN))
        self.switch = Switch(binary, folder, "".join(ports))
        self.one = Guest(folder, 1, "vm1", listens=roles["vm1"] == "client")
        self.two = Guest(folder, 2, "vm2", listens=roles["vm2"] == "client")
        self.passed = self.failed = 0

    def check(self, what, body):
        begin = time.monotonic()
        try:
            detail = body()
        except Failure as failure:
            self.failed += 1
            print(f"FAIL {what}: {failure}", flush=True)
        else:
            self.passed += 1
            detail = f": {detail}" if detail else ""
            print(f"ok   {what}{detail} ({time.monotonic() - begin:.1f} s)", flush=True)

    def boot(self):
        """Both guests, at once."""
        for guest in (self.one, self.two):
            guest.launch()
        for guest in (self.one, self.two):
            guest.boot()

    def settle(self):
        """Until the first ping comes back: a link may be a second old."""
        for _ in range(60):
            if not lost(self.one.run(f"ping -c 1 -W 1 {self.two.address}", may_fail=True))[1]:
                return
        raise Failure("no ping comes back within a minute")

    def move(self, port):
        """Moves VM 1 into a new QEMU on another port; for how many ms it stood still, by QEMU's count."""
        target = Guest(self.folder, self.one.number, port, listens=True, name=f"vm1.on-{port}")
        target.properties = self.one.properties
        source, self.one = self.one, target
        return source.migrate(target)

    def close(self):
        for part in (self.one, self.two, self.switch, self.wire):
            if part:
                part.close()


def ping(source, target, count, options=""):
    """All of `count` pings come back."""
    lines = source.run(f"ping -c {count} -i 0.05 {options} {target}", may_fail=True)
    sent, missing = lost(lines)
    if missing:
        raise Failure(f"{missing} of {sent} pings to {target} are lost")
    return f"{sent} of {sent}"


def send_file(source, target, mib):
    """A file of random octets arrives as it was."""
    source.run(f"dd if=/dev/urandom of=/run/file bs=1M count={mib} 2>/dev/null")
    wanted = source.run("md5sum </run/file")[0].split()[0]
    target.run("rm -f /run/sum")
    # Its input stays open: it would hang up at its end.
    target.background("sleep 300 | nc -l -p 5001 | md5sum", "/run/sum")
    begin = time.monotonic()
    source.run(f"nc {target.address} 5001 </run/file", timeout=300)
    took = time.monotonic() - begin
    for _ in range(100):
        got = target.run("cat /run/sum 2>/dev/null; true")
        if got:
            break
        target.run("sleep 0.1")
    if not got or got[0].split()[0] != wanted:
        raise Failure(f"md5 {got} instead of {wanted}")
    return f"{mib} MiB in {took:.1f} s, md5 equal"


def udp(source, target):
    """Datagrams that are cut into fragments, as they are longer than the MTU."""
    target.background("iperf3 -s -1")
    said = source.run(f"iperf3 -u -b 4M -l 12000 -t 2 -J -c {target.address}", timeout=60)
    said = "\n".join(said)
    total = json.loads(said[said.index("{"):])["end"]["sum"]
    if total["lost_packets"] or not total["packets"]:
        raise Failure(f"{total['lost_packets']} of {total['packets']} datagrams are lost")
    return f"{total['packets']} datagrams of 12000 octets"


def add_vlan(guest):
    guest.run(f"ip link add link eth0 name eth0.7 type vlan id 7; ip link set eth0.7 up; "
              f"ip addr add 10.7.7.{guest.number}/24 dev eth0.7")


def vlans(lab):
    for guest in (lab.one, lab.two):
        add_vlan(guest)
    return ping(lab.one, "10.7.7.2", 20)


def offloads(lab):
    combinations = [("on", "off"), ("off", "off"), ("on", "on")]
    for tx, tso in combinations:
        for guest in (lab.one, lab.two):
            guest.run(f"ethtool -K eth0 tx {tx}; ethtool -K eth0 tso {tso}; ethtool -K eth0 gso {tso}; true")
        send_file(lab.one, lab.two, 2)
        send_file(lab.two, lab.one, 2)
    return f"{len(combinations)} combinations both ways"


def to_a_wire(lab):
    """What a guest leaves to be cut and summed reaches a port that does neither as a wire's frames."""
    one = lab.one
    one.run("ip addr show dev eth0 | grep -q fd07::1 || { echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; "
            "ip addr add fd07::1/64 dev eth0; }")
    one.run("dd if=/dev/urandom of=/run/file bs=1M count=8 2>/dev/null")
    wanted = one.run("md5sum </run/file")[0].split()[0]
    features = lab.switch.features("vm1")
    if not {"CSUM", "HOST_TSO4", "HOST_TSO6"} <= set(features):
        raise Failure(f"the guest leaves nothing to others: {features}")
    told = []
    for address in ADDRESSES:
        before = lab.switch.received("vm1")
        capture = Capture(lab.wire)
        one.run(f"nc {address} {WIRE_PORT} </run/file", timeout=60)
        got = lab.wire.digest()
        sent = lab.switch.received("vm1") - before
        tcp, longest = check_frames(capture.close())
        if got != wanted:
            raise Failure(f"md5 {got} instead of {wanted} at {address}")
        # Else nothing had to be cut.
        if sent >= tcp:
            raise Failure(f"the guest sent {sent} frames, and {tcp} left")
        told.append(f"{sent} frames became {tcp} of up to {longest} octets")
    return "; ".join(told)


def turn_off(lab):
    """A port that no longer offers anything, under a guest that goes on with what it has."""
    before = lab.switch.features("vm1")
    lab.switch.change('role = "client"', 'role = "client", offloads = []')
    lab.settle()
    if lab.switch.features("vm1") != before:
        raise Failure(f"the guest had {before} and has {lab.switch.features('vm1')}")
    send_file(lab.one, lab.two, 2)
    send_file(lab.two, lab.one, 2)
    return to_a_wire(lab)


def queues(lab):
    lab.two.background(f"ping -c 60 -i 0.05 {lab.one.address}", "/run/ping")
    for count in (2, 1, 2):
        lab.one.run(f"ethtool -L eth0 combined {count}")
        lab.one.run("sleep 0.5")
    lab.two.run("sleep 3")
    sent, missing = lost(lab.two.run("cat /run/ping"))
    # A queue that goes takes what is in it along.
    if missing > 3:
        raise Failure(f"{missing} of {sent} pings are lost")
    on = [pair["rx_enabled"] for pair in lab.switch.ask("show", "vhost", "vm1")["vms"][0]["vhost"]["queues"]]
    if on != [True, True]:
        raise Failure(f"the switch has queues {on}")
    return f"{missing} of {sent} pings lost"


def rebind(lab):
    device = lab.one.run("basename $(readlink /sys/class/net/eth0/device)")[0]
    driver = "/sys/bus/virtio/drivers/virtio_net"
    lab.one.run(f"echo {device} >{driver}/unbind")
    lab.one.run(f"echo {device} >{driver}/bind; sleep 1")
    lab.one.set_up()
    add_vlan(lab.one)
    lab.settle()
    return ping(lab.one, lab.two.address, 20)


def agent(lab):
    """The guest's agent tells what the guest calls its interface, and the addresses that we gave it."""
    def told():
        return lab.switch.ask("show", "vhost", "vm1")["vms"][0]["guest"]

    if not (error := told()["error"] or "").startswith("no answer"):
        raise Failure(f"before the agent runs, the reason is {error!r}")
    lab.one.run("hostname one")
    lab.one.start_agent()
    for _ in range(30):
        if told()["interfaces"]:
            break
    check_agent(lab, "vm1")
    # An agent talks to one client: the one that is there, here us, as libvirt would be.
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(lab.one.agent))
        if not (error := told()["error"] or "").startswith("no answer"):
            raise Failure(f"while another client has the agent, the reason is {error!r}")
    return check_agent(lab, "vm1")


def check_agent(lab, port):
    """What `pollux exec` says of VM 1's interface, on the port where it is."""
    guest = lab.switch.ask("show", "vhost", port)["vms"][0]["guest"]
    wanted = ("eth0", lab.one.mac, f"{lab.one.address}/24")
    for found in guest["interfaces"] or []:
        if (found["name"], found["mac_address"]) == wanted[:2] and wanted[2] in found["ip_addresses"]:
            return f"{guest['host_name']}: {' '.join(wanted)}"
    raise Failure(f"no {' '.join(wanted)} on {port}: {guest}")


def restart(lab):
    """Kills the switch under a ping and starts it again: the ping goes on by itself."""
    lab.one.background(f"ping -c 100 -i 0.05 {lab.two.address}", "/run/ping")
    lab.one.run("sleep 1")
    lab.switch.kill()
    began = lab.switch.start()
    while not (lines := lab.one.run("grep received /run/ping; true")):
        lab.one.run("sleep 0.1")
    sent, missing = lost(lines)
    if sent - missing < 40:
        raise Failure(f"{missing} of {sent} pings are lost: the VMs aren't back")
    ping(lab.one, lab.two.address, 20)
    return f"ready after {began:.2f} s, {missing} of {sent} pings lost"


def move(lab):
    """Moves VM 1 to another port and back, under a ping and under a file that goes to it."""
    lab.two.run("dd if=/dev/urandom of=/run/file bs=1M count=48 2>/dev/null")
    wanted = lab.two.run("md5sum </run/file")[0].split()[0]
    told = []
    for port in ("other", "vm1"):
        lab.one.run("rm -f /run/sum")
        lab.one.background("sleep 300 | nc -l -p 5001 | md5sum", "/run/sum")
        lab.two.background(f"ping -c 120 -i 0.05 {lab.one.address}", "/run/ping")
        lab.two.background(f"nc {lab.one.address} 5001 </run/file")
        downtime = lab.move(port)
        under_way = not lab.one.run("cat /run/sum")
        for _ in range(300):
            if lab.one.run("cat /run/sum"):
                break
            lab.one.run("sleep 0.1")
        got = lab.one.run("cat /run/sum")
        if not got or got[0].split()[0] != wanted:
            raise Failure(f"md5 {got} instead of {wanted} after the move to {port}")
        while not (lines := lab.two.run("grep received /run/ping; true")):
            lab.two.run("sleep 0.1")
        sent, missing = lost(lines)
        vms = {vm["port"]: vm["network"] for vm in lab.switch.ask("show", "vhost")["vms"]}
        if vms[port]["mac_address"] != lab.one.mac:
            raise Failure(f"the address isn't on {port}: {vms}")
        ping(lab.two, "10.7.7.1", 10)
        check_agent(lab, port)
        file = "under way" if under_way else "through"
        told.append(f"to {port} {missing} of {sent} pings lost, the file {file}, {downtime} ms by QEMU's count")
    return "; ".join(told)


def checks(lab, long):
    one, two = lab.one, lab.two
    lab.check("a first ping comes back", lab.settle)
    if lab.failed:
        return
    print(f"     VM 1 negotiated {' '.join(lab.switch.features('vm1'))}")
    lab.check("ping, one way", lambda: ping(one, two.address, 50))
    lab.check("ping, the other", lambda: ping(two, one.address, 50))
    lab.check("ping of 8000 octets", lambda: ping(one, two.address, 20, "-s 8000"))
    lab.check("VLAN sub-interfaces", lambda: vlans(lab))
    lab.check("a file over TCP", lambda: send_file(one, two, 16))
    lab.check("a datagram over UDP", lambda: udp(one, two))
    lab.check("offloads on and off", lambda: offloads(lab))
    lab.check("segments and checksums to a wire", lambda: to_a_wire(lab))
    lab.check("offloads turned off under the guest", lambda: turn_off(lab))
    if long:
        lab.check("TCP with TSO and without", lambda: with_and_without_tso(lab))
    lab.check("queues under traffic", lambda: queues(lab))
    lab.check("the driver unbound and bound", lambda: rebind(lab))
    lab.check("the guest's agent", lambda: agent(lab))
    lab.check("live migration there and back", lambda: move(lab))
    lab.check("the switch killed and started", lambda: restart(lab))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pollux", metavar="BINARY", required=True, help="the build of Pollux to check")
    parser.add_argument("--long", action="store_true", help="compare with Open vSwitch too")
    options = parser.parse_args()
    if not os.access(options.pollux, os.X_OK):
        parser.error(f"{options.pollux} can't be run; build it with `make release`")
    # Whoever ends us ends the guests too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    purposes = ["vm", "peers"] if options.long else ["vm"]
    subprocess.run([HERE.parent.parent / "scripts" / "setup.sh", *purposes], check=True)

    folder = own_folder(TARGET / "vm")
    lab = Lab(folder, options.pollux, ROLES, Wire())
    try:
        begin = time.monotonic()
        lab.switch.start()
        lab.boot()
        print(f"two guests are up ({time.monotonic() - begin:.1f} s)", flush=True)
        checks(lab, options.long)
        lab.check("every frame is accounted for", lab.switch.stop)
        if options.long:
            lab.close()  # its guests would take the cores
            for name, comparison in COMPARED.items():
                (folder / name).mkdir()
                other = Lab(folder / name, options.pollux, CLIENTS)
                lab.check(f"{name} beside Open vSwitch", lambda: comparison.beside_open_vswitch(other))
    except Failure as failure:
        lab.failed += 1
        print(f"FAIL {failure}", flush=True)
    except Exception:
        lab.failed += 1
        traceback.print_exc()
    finally:
        lab.close()
    print(f"logs in {folder}\n{lab.passed} passed, {lab.failed} failed")
    sys.exit(lab.failed > 0)


if __name__ == "__main__":
    main()
