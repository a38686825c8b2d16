"""Frames as the tests send and expect them: whole, byte for byte."""

import itertools
import struct
from typing import NamedTuple

BROADCAST = "ff:ff:ff:ff:ff:ff"
EXPERIMENT = 0x88B5  # IEEE 802's ethertype for local experiments; not IP, so RSS leaves it on queue 0

_serial = itertools.count(1)


class Tag(NamedTuple):
    """An 802.1Q tag; 802.1ad's with another TPID."""

    vid: int
    pcp: int = 0
    dei: int = 0
    tpid: int = 0x8100


def body(size=64):
    """A payload like no other of this run, so that every frame can be told from every other."""
    return struct.pack("!QQ", 0x706F6C6C7578, next(_serial)).ljust(size, b"\xa5")


def ether(dst, src, payload, *tags, ethertype=EXPERIMENT):
    """An Ethernet frame without its checksum, tags from the outermost on."""
    head = bytes.fromhex((dst + src).replace(":", ""))
    for tag in tags:
        head += struct.pack("!HH", tag.tpid, tag.pcp << 13 | tag.dei << 12 | tag.vid)
    return head + struct.pack("!H", ethertype) + payload


def udp(flow, payload):
    """An IPv4/UDP packet of flow number `flow`: neighbours differ in addresses and ports."""
    length = 8 + len(payload)
    segment = struct.pack("!HHHH", 1024 + flow * 7 % 50000, 4789 + flow % 13, length, 0) + payload
    head = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 20 + length, 0, 0, 64, 17, 0,
                       10, 0, flow >> 8, flow & 255, 10, 1, flow & 255, flow >> 8)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + head[12:] + segment


def describe(frame):
    """A frame in few words, for a report."""
    dst, src = frame[:6].hex(":"), frame[6:12].hex(":")
    tags, place = [], 12
    while frame[place:place + 2] in (b"\x81\x00", b"\x88\xa8") and len(frame) >= place + 4:
        tpid, control = struct.unpack_from("!HH", frame, place)
        tags.append(f"{tpid:#06x} vid {control & 4095} pcp {control >> 13} dei {control >> 12 & 1}")
        place += 4
    return f"{src} > {dst} [{'; '.join(tags) or 'untagged'}] type {frame[place:place + 2].hex()} {len(frame)} bytes"
