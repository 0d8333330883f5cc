"""Captures: a tcpdump that is known to listen, and a reader of what it wrote."""

import ipaddress
import re
import signal
import struct
from dataclasses import dataclass

from shell import Daemon, Failed

LISTENING = re.compile(r"listening on ")
DROPPED = re.compile(r"^(\d+) packets? dropped by (?:kernel|interface)", re.M)
ETHERNET, RAW, COOKED, COOKED2 = 1, 101, 113, 276


class Capture:
    """tcpdump on a device of a namespace, from here on until stop()."""

    def __init__(self, lab, namespace, device, name, wanted="ip or ip6", snap=160):
        self.path = lab.out / f"{name}.pcap"
        words = ["tcpdump", "-i", device, "-n", "-U", "-Z", "root", "-s", str(snap), "-B", "65536",
                 "--immediate-mode", "-w", self.path, wanted]
        self.daemon = lab.keep(Daemon(f"tcpdump on {device}", namespace.inside(*words), lab.out / f"{name}.tcpdump.log"))
        self.daemon.wait_said(LISTENING, 10)

    def stop(self):
        """Ends the capture. Result: its packets; Failed when the kernel lost any of them."""
        self.daemon.stop(signal.SIGINT)
        lost = [int(n) for n in DROPPED.findall(self.daemon.said())]
        if not lost or any(lost):
            raise Failed(f"{self.daemon.name} lost packets: {self.daemon.said()[-400:]}")
        return list(read(self.path))


@dataclass(slots=True)
class Packet:
    """An IP packet: what the checks ask about, None where it has no such field."""

    source: object
    destination: object
    length: int  # of the IP packet, as its header says
    protocol: int
    fragment: bool
    ports: tuple = None
    syn: bool = False
    ack: bool = False
    mss: int = None
    ike: int = None  # the type of the first payload of an IKE message

    @property
    def version(self):
        return self.source.version


@dataclass(slots=True)
class Datagram:
    """A UDP datagram, as far as it was kept."""

    source: object
    ports: tuple
    data: bytes


def read(path):
    """Yields a Packet for each IPv4 or IPv6 packet of a pcap file."""
    return (packet for data in packets(path) if (packet := decode(data)))


def datagrams(path):
    """Yields a Datagram for each of IPv4 that is no fragment."""
    for data in packets(path):
        packet = decode(data)
        if packet and packet.version == 4 and packet.protocol == 17 and packet.ports and not packet.fragment:
            yield Datagram(packet.source, packet.ports, data[(data[0] & 15) * 4 + 8:packet.length])


def packets(path):
    """Yields each IP packet of a pcap file as it is."""
    with open(path, "rb") as file:
        head = file.read(24)
        order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(head[:4])
        if order is None or len(head) < 24:
            raise Failed(f"{path} is no pcap file")
        link = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
        while len(record := file.read(16)) == 16:
            kept = struct.unpack(order + "IIII", record)[2]
            yield strip(link, file.read(kept))


def strip(link, frame):
    """The IP packet of a captured frame; empty for anything else."""
    if link == RAW:
        return frame
    kind, start = {ETHERNET: (12, 14), COOKED: (14, 16), COOKED2: (0, 20)}[link]
    known = frame[kind:kind + 2] in (b"\x08\x00", b"\x86\xdd")
    return frame[start:] if known else b""


def decode(data):
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        length, _, offset = struct.unpack("!HHH", data[2:8])
        packet = Packet(ipaddress.IPv4Address(data[12:16]), ipaddress.IPv4Address(data[16:20]),
                        length, data[9], bool(offset & 0x3FFF))
        upper, first = data[(data[0] & 15) * 4:], not offset & 0x1FFF
    elif version == 6 and len(data) >= 40:
        protocol, upper, first = data[6], data[40:], True
        fragment = protocol == 44 and len(upper) >= 8
        if fragment:
            protocol, first = upper[0], not struct.unpack("!H", upper[2:4])[0] & 0xFFF8
            upper = upper[8:]
        packet = Packet(ipaddress.IPv6Address(data[8:24]), ipaddress.IPv6Address(data[24:40]),
                        struct.unpack("!H", data[4:6])[0] + 40, protocol, fragment)
    else:
        return None
    if first and packet.protocol in (6, 17) and len(upper) >= 4:
        packet.ports = struct.unpack("!HH", upper[:4])
        if packet.protocol == 6 and len(upper) >= 20:
            packet.syn, packet.ack = bool(upper[13] & 2), bool(upper[13] & 16)
            packet.mss = mss(upper[20:(upper[12] >> 4) * 4])
        elif packet.protocol == 17:
            packet.ike = ike(packet.ports, upper[8:])
    return packet


def ike(ports, data):
    """The type of the first payload of an IKEv1 message in UDP; None for anything else."""
    if 4500 in ports and data[:4] == bytes(4):
        data = data[4:]
    elif 500 not in ports:
        return None
    return data[16] if len(data) >= 28 and data[17] == 0x10 else None


def mss(options):
    """The value of the maximum segment size option; None without one."""
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            return None
        if options[0] == 2 and options[1] == 4:
            return struct.unpack("!H", options[2:4])[0]
        options = options[options[1]:]
    return None
