"""A narrow link behind the first hop: the server hears of it, and everything goes on. What is made up changes nothing."""

import ipaddress
import re

import bench as at
from bench import Bench
from laptop import LAPTOP4, LAPTOP6, ROUTER4, Laptop
from limits import HEADERS, check_limits, forget, send, told
from pcap import Capture
from server import Adit, check_let_go, check_log

NARROW = 1400
FORGE = """
import socket, struct, sys
def total(data):
    words = struct.unpack(f"!{len(data) // 2}H", data)
    folded = sum(words)
    while folded >> 16:
        folded = (folded & 0xffff) + (folded >> 16)
    return ~folded & 0xffff
server, client, port, mtu, quote = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), bytes.fromhex(sys.argv[5])
udp = struct.pack("!4H", 4500, port, 8 + len(quote), 0) + quote
if ":" in server:
    ends = [socket.inet_pton(socket.AF_INET6, end) for end in (server, client)]
    about = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + b"".join(ends) + udp
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    message = struct.pack("!BBHI", 2, 0, 0, mtu) + about
else:
    ends = [socket.inet_aton(end) for end in (server, client)]
    about = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + b"".join(ends) + udp
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + about
    message = message[:2] + struct.pack("!H", total(message)) + message[4:]
raw.sendto(message, (server, 0))
"""


def run(lab):
    bench = Bench()
    bench.iperf(lab)
    adit = Adit(lab, bench.srv)
    laptop = Laptop(lab, bench)
    for name, server, client in (("IPv4", at.SERVER4, ROUTER4), ("IPv6", at.SERVER6, LAPTOP6)):
        before = adit.holdings()
        laptop.narrow(1500)
        session = laptop.dial(f"over-{name}", server)
        made_up(lab, bench, adit, f"over {name}", server)
        wire = Capture(lab, bench.srv, "outer", f"outer-{name}")
        narrow(lab, bench, adit, laptop, f"over {name}")
        sent = [p for p in wire.stop() if p.source == ipaddress.ip_address(server) and p.destination == ipaddress.ip_address(client)]
        lab.check(len(sent) > 1000 and not any(p.fragment for p in sent), f"over {name}: the server sent no outer fragment", len(sent))
        lab.equal(session.stop(), 0, f"over {name}: the client ends with status")
        check_let_go(lab, adit, before, what=f"over {name}: in the end")
    check_log(lab, adit)


def made_up(lab, bench, adit, name, server):
    """ICMP errors of somebody on the wire, about the session's own addresses and ports."""
    port = int(re.search(r":(\d+)$", adit.session()["peer"]).group(1))
    peer = adit.session()["peer"].rsplit(":", 1)[0].strip("[]")
    mtu, start = adit.session()["mtu"], adit.status()["counters"]
    spi = "deadbeef00000001" + "00" * 8
    for what, told_mtu, quote in (("another SPI", 1300, spi), ("68 bytes", 68, ""), ("1279 bytes", 1279, ""), ("no news", 1500, "")):
        bench.host.run("python3", "-c", FORGE, server, peer, str(port), str(told_mtu), quote)
        lab.equal(adit.session()["mtu"], mtu, f"{name}: the session's MTU after an error that tells of {what}")
    bench.host.run("python3", "-c", FORGE, server, "10.99.0.77" if "." in server else "fd99::77", "4500", "1300", spi)
    grown = {key: adit.status()["counters"][key] - start[key] for key in ("path_mtu_foreign", "path_mtu_absurd", "path_mtu_unknown", "path_mtu_lowered")}
    lab.equal(grown, {"path_mtu_foreign": 1, "path_mtu_absurd": 2, "path_mtu_unknown": 1, "path_mtu_lowered": 0}, f"{name}: they are counted")


def narrow(lab, bench, adit, laptop, name):
    wide, start = adit.session()["mtu"], adit.status()["counters"]
    addresses = laptop.addresses()
    laptop.narrow(NARROW)
    forget(bench)
    lost = send(bench, addresses[4], wide - HEADERS[4], "-i", 0.3, "-c", 4)
    mtu = adit.session()["mtu"]
    lab.check(wide - 140 < mtu < wide - 80, f"{name}: the session's MTU follows the path, {wide} to {mtu}", mtu)
    lab.check(" 0 received" in lost and told(lost, 4, mtu), f"{name}: the sender of a big packet is told", lost)
    check_limits(lab, bench, f"{name}, {NARROW} bytes wide", mtu, addresses)
    said = adit.session()["mss"]
    lab.equal((said["ipv4"], said["ipv6"]), (mtu - 40, mtu - 60), f"{name}: the clamp follows")
    for address in (at.HOST4, at.HOST6):
        for words in ([], ["-R"]):
            done = laptop.space.run("iperf3", "-c", address, "-n", "20M", "--connect-timeout", "5000", *words, check=False, seconds=120)
            rate = re.search(r"([\d.]+ \wbits/sec)\s+receiver", done.stdout)
            lab.check(rate, f"{name}: 20 MB {'from' if words else 'to'} {address} at {rate and rate.group(1)}", done.stdout + done.stderr)
    now = adit.status()["counters"]
    lab.equal(now["path_mtu_lowered"] - start["path_mtu_lowered"], 1, f"{name}: paths found to be narrow")
