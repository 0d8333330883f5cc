"""The largest packet of each family passes whole, one byte more gets an ICMP error, and TCP needs no ICMP."""

import ipaddress

import bench as at
import dual_stack as way
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from limits import check_limits
from pcap import Capture
from server import PSK, USERS, Adit, check_let_go, check_log

WIRE_MTU = 1500
# Each suite with what its packets grow by: a block of the cipher, and with GCM the four bytes of RFC 4303 2.4.
SUITES = {"sha1": ("aes256-sha1", 16), "sha256": ("aes256-sha256", 16), "gcm": ("aes256gcm16", 4)}
# strongSwan takes connections for one another that agree in phase 1, so each has a proposal that no other has.
PHASE1 = ["aes256-sha384-ecp384", "aes128-sha1-modp2048", "aes256-sha256-modp2048",
          "aes128-sha256-modp2048", "aes256-sha256-ecp256", "aes128-sha256-ecp256"]
VOLUME = 100 << 20


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, listen={"esp": True})
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    # It would take more than fits; the server says what does.
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"], mtu=WIRE_MTU))
    # strongSwan's list has room for names of twelve letters
    names = {f"{suite}-{'udp' if udp else 'esp'}": (suite, udp) for suite in SUITES for udp in (True, False)}
    client.configure({name: {"ike": ike + "!", "esp": SUITES[suite][0] + "!", "forceencaps": "yes" if udp else "no"}
                      for (name, (suite, udp)), ike in zip(names.items(), PHASE1, strict=True)})
    bench.iperf(lab)
    for number, (name, (suite, udp)) in enumerate(names.items()):
        before = adit.holdings()
        client.secure(connection=name)
        client.dial()
        client.wait_online()
        if number == 0:
            without_icmp(lab, bench, adit, client)
        sizes(lab, bench, adit, client, name, SUITES[suite][1], udp)
        client.disconnect(name)
        check_let_go(lab, adit, before, what=f"{name}: in the end")
    client.hang_up()
    check_log(lab, adit)


def sizes(lab, bench, adit, client, name, block, udp):
    mtu = adit.session()["mtu"]
    lab.equal(client.guest.json("ip -j link show dev ppp0")[0]["mtu"], mtu, f"{name}: the client's device has the session's MTU")
    wire = Capture(lab, bench.srv, "outer", f"outer-{name}")
    counters = adit.status()["counters"]
    check_limits(lab, bench, name, mtu, {4: client.ipv4(), 6: client.ipv6()})
    now = adit.status()["counters"]
    lab.check(now["too_big"] - counters["too_big"] >= 2, f"{name}: the server counts what was too big", now["too_big"])
    packets = [p for p in wire.stop() if ipaddress.ip_address(client.profile.address) in (p.source, p.destination)]
    ours = [p for p in packets if (p.protocol == 17 and p.ports and 4500 in p.ports if udp else p.protocol == 50)]
    lab.check(not any(p.fragment for p in packets), f"{name}: no outer fragment", len(packets))
    largest = max((p.length for p in ours), default=0)
    lab.check(WIRE_MTU - block < largest <= WIRE_MTU, f"{name}: the largest outer packet, {largest} bytes, leaves no room for another block", largest)


def without_icmp(lab, bench, adit, client):
    """Nobody hears an ICMP error on either side: the clamp alone has to do."""
    for rule in ("add table inet deaf", "add chain inet deaf in { type filter hook input priority 0; }",
                 "add rule inet deaf in ip protocol icmp drop", "add rule inet deaf in icmpv6 type packet-too-big drop"):
        bench.host.run("nft", rule)
    start = adit.status()["counters"]
    for address in (at.HOST4, at.HOST6):
        for reverse in (False, True):
            way.check_transfer(lab, client, address, reverse, VOLUME)
    now = adit.status()["counters"]
    lab.check(now["mss_clamped"] - start["mss_clamped"] >= 4, "the server clamped the MSS", now["mss_clamped"] - start["mss_clamped"])
    lab.equal(now["too_big"] - start["too_big"], 0, "packets too big for the link meanwhile")
    bench.host.run("nft", "delete table inet deaf")
