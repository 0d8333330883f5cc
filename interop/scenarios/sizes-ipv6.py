"""The same over IPv6: the largest packet of each family passes whole, one byte more gets an ICMP error."""

import ipaddress

import bench as at
from bench import Bench
from laptop import LAPTOP6, Laptop
from limits import check_limits
from pcap import Capture
from server import Adit, check_let_go, check_log

WIRE_MTU = 1500
# Each suite with what its packets grow by, as in `sizes`.
SUITES = {"aes256-sha1": 16, "aes256-sha256": 16, "aes256gcm16": 4}


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv)
    laptop = Laptop(lab, bench)
    for suite, block in SUITES.items():
        before = adit.holdings()
        client = laptop.dial(suite, at.SERVER6, "--esp", suite)
        mtu = adit.session()["mtu"]
        lab.equal(laptop.mtu(), mtu, f"{suite}: the client's device has the session's MTU")
        wire = Capture(lab, bench.srv, "outer", f"outer-{suite}")
        counters = adit.status()["counters"]
        check_limits(lab, bench, suite, mtu, laptop.addresses())
        now = adit.status()["counters"]
        lab.check(now["too_big"] - counters["too_big"] >= 2, f"{suite}: the server counts what was too big", now["too_big"])
        packets = [p for p in wire.stop() if ipaddress.ip_address(LAPTOP6) in (p.source, p.destination)]
        largest = max((p.length for p in packets if p.protocol == 17 and 4500 in p.ports), default=0)
        lab.check(not any(p.fragment for p in packets), f"{suite}: no outer fragment", len(packets))
        lab.check(WIRE_MTU - block < largest <= WIRE_MTU,
                  f"{suite}: the largest outer packet, {largest} bytes, leaves no room for another block", largest)
        lab.equal(client.stop(), 0, f"{suite}: the client ends with status")
        check_let_go(lab, adit, before, what=f"{suite}: in the end")
    check_log(lab, adit)
