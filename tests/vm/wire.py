"""A host in a network namespace on a port that takes nothing unfinished, and whether what reaches it is whole."""

import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading

from machine import Failure, die_with_parent

PREFIX = "plx-vm-"
MTU = 1500
PORT = 5001
ADDRESSES = ["10.7.0.9", "fd07::9"]
CLONE_NEWNET = 0x40000000
PACKET_STATISTICS = 6  # linux/if_packet.h

# Takes connections one after the other; of each the MD5 of what came.
SINK = f"""
import hashlib, socket
server = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    digest = hashlib.md5()
    while octets := connection.recv(1 << 16):
        digest.update(octets)
    connection.close()
    print(digest.hexdigest(), flush=True)
"""


class Wire:
    """The namespace, the pair of interfaces that leads to it, a program that takes connections."""

    def __init__(self):
        remove_orphans()
        self.namespace = f"{PREFIX}{os.getpid()}"
        self.port = f"plxv{os.getpid()}"
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.port, "mtu", MTU, "type", "veth",
            "peer", "name", "eth0", "mtu", MTU, "netns", self.namespace)
        self.inside("ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        for address, length in zip(ADDRESSES, (24, 64)):
            self.inside("ip", "addr", "add", f"{address}/{length}", "dev", "eth0", *(["nodad"] if ":" in address else []))
        self.inside("ip", "link", "set", "eth0", "up")
        run("ip", "link", "set", self.port, "up")
        self.sink = subprocess.Popen(["ip", "netns", "exec", self.namespace, sys.executable, "-c", SINK],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                     preexec_fn=die_with_parent)
        if self.sink.stdout.readline() != "listening\n":
            raise Failure("the namespace's host takes no connections")

    def inside(self, *command):
        run("ip", "netns", "exec", self.namespace, *command)

    def config(self, vlan):
        """The port as the switch's file has it."""
        return f'\n[ports.wire]\ndevice = "net_af_packet0,iface={self.port}"\nmtu = {MTU}\nvlan = {vlan}\n'

    def digest(self):
        """The MD5 of the connection that ended next."""
        return self.sink.stdout.readline().strip()

    def close(self):
        self.sink.kill()
        self.sink.wait()
        for command in (["link", "del", self.port], ["netns", "del", self.namespace]):
            subprocess.run(["ip", *command], stderr=subprocess.DEVNULL, check=False)


class Capture:
    """Every frame that reaches the wire's host while it is open."""

    def __init__(self, wire):
        self.frames = []
        self.running = True
        self.socket = None
        ready = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(wire.namespace, ready), daemon=True)
        self.thread.start()
        ready.wait()
        if not self.socket:
            raise Failure("no capture in the namespace")

    def _read(self, namespace, ready):
        try:
            # This thread alone is in the namespace.
            with open(f"/run/netns/{namespace}", "rb") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
            self.socket.settimeout(0.1)
            self.socket.bind(("eth0", 0))
        finally:
            ready.set()
        while True:
            try:
                frame, (_, _, kind, _, _) = self.socket.recvfrom(1 << 16)
            except TimeoutError:
                if not self.running:
                    return
            else:
                if kind != socket.PACKET_OUTGOING:
                    self.frames.append(frame)

    def close(self):
        """The frames."""
        self.running = False
        self.thread.join()
        _, missed = struct.unpack("II", self.socket.getsockopt(263, PACKET_STATISTICS, 8))  # SOL_PACKET
        self.socket.close()
        if missed:
            raise Failure(f"the capture missed {missed} frames")
        return self.frames


def check(frames):
    """Fails at the first frame that a wire wouldn't carry; how many were TCP, and the longest's octets."""
    tcp = longest = 0
    for frame in frames:
        longest = max(longest, len(frame))
        if len(frame) > 14 + MTU:
            raise Failure(f"a frame of {len(frame)} octets, with an MTU of {MTU}: {frame[:80].hex()}")
        ethertype, = struct.unpack_from("!H", frame, 12)
        if ethertype == 0x0800:
            header = 14 + (frame[14] & 15) * 4
            length, = struct.unpack_from("!H", frame, 16)
            if ones(frame[14:header]) != 0xffff:
                raise Failure(f"a wrong checksum of the IPv4 header: {frame[:80].hex()}")
            protocol, addresses, segment = frame[23], frame[26:34], frame[header:14 + length]
        elif ethertype == 0x86dd:
            length, = struct.unpack_from("!H", frame, 18)
            protocol, addresses, segment = frame[20], frame[22:54], frame[54:54 + length]
        else:
            continue
        if protocol != 6:
            continue
        tcp += 1
        if ones(addresses + struct.pack("!HH", protocol, len(segment)) + segment) != 0xffff:
            raise Failure(f"a wrong TCP checksum: {frame[:80].hex()}")
    return tcp, longest


def ones(octets):
    """The sum of RFC 1071, 0xffff where the checksum among the octets is right."""
    total = sum(struct.unpack(f"!{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2)))
    while total > 0xffff:
        total = (total >> 16) + (total & 0xffff)
    return total


def remove_orphans():
    """Namespaces of runs that were killed; their interfaces go along."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in (line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)):
        if not os.path.exists(f"/proc/{name.removeprefix(PREFIX)}"):
            subprocess.run(["ip", "netns", "del", name], check=False)


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
