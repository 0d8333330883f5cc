"""A server with nothing but an on-link /64: a client gets addresses of it, and hosts of the link find them."""

import ipaddress
import re

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import wait_for

LINK = ipaddress.ip_network("2001:db8:b::/64")
STALE = "2001:db8:b::dead"


def proxies(bench):
    return bench.srv.ip("-6 neigh show proxy").split("\n")


def run(lab):
    bench = Bench()
    # The host has no route but that of its link, so it has to ask for the client there.
    bench.host.ip("-6 route del default")
    settings = ("net.ipv6.conf.inner.proxy_ndp", "net.ipv6.neigh.inner.proxy_delay")
    kept = [bench.srv.run("sysctl", "-n", key).stdout for key in settings]
    # What a killed server left (protocol 173 is ours), and what somebody else set up.
    bench.srv.ip(f"-6 neigh add proxy {STALE} dev inner protocol 173")
    bench.srv.ip("-6 neigh add proxy 2001:db8:b::beef dev inner")
    before_routes, adit = bench.srv.routes(), Adit(lab, bench.srv, ipv6={"prefix": str(LINK), "nd-proxy": "inner"})
    lab.check(not any(STALE in line for line in proxies(bench)), "what a killed server left is gone", proxies(bench))
    before = adit.holdings()
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))
    client.configure()
    client.secure()
    wire = Capture(lab, bench.host, "lan", "lan")
    client.dial()
    client.wait_online()
    own = client.ipv6()
    lab.check(ipaddress.ip_address(own) in LINK, f"the client's address is of {LINK}", own)
    # Linux asks nobody on its side of PPP, and may send before the server has asked the link.
    wait_for("the server knows that nobody else has it", lambda: adit.session()["ipv6_prefixes"], 5)
    lab.check(client.ping(at.HOST6), f"a host of the link answers ({at.HOST6})", client.said)
    pinged = bench.host.run("ping", "-6", "-c", "3", "-W", "2", own, check=False)
    lab.check(pinged.returncode == 0, "the host reaches the client", pinged.stdout)
    known = bench.host.ip(f"-6 neigh show {own}")
    lab.matches(known, re.compile(r"lladdr \S+.*router"), "it learnt a router's link-layer address for the client")
    lab.equal(adit.session()["ipv6_prefixes"], [f"{own}/128"], "sessions: ipv6_prefixes")

    # A second address, as privacy extensions make them.
    other = "2001:db8:b::a:b:c"
    guest.run(f"ip -6 addr add {other}/128 dev ppp0")
    guest.wait("the second address works", f"ping -6 -c 1 -W 2 -I {other} {at.HOST6}", 15)
    lab.equal(len(adit.session()["ipv6_prefixes"]), 2, "the session has both addresses")
    # One that the host has.
    guest.run(f"ip -6 addr add {at.HOST6}/128 dev ppp0; ping -6 -c 2 -W 2 -I {at.HOST6} {at.INSIDE6}", check=False)
    lab.equal(len(adit.session()["ipv6_prefixes"]), 2, "and not the host's")
    lab.check(sum(p.source == ipaddress.ip_address(own) for p in wire.stop()) >= 3, "the link sees the client's own address")
    guest.run(f"ip -6 addr del {at.HOST6}/128 dev ppp0")

    client.hang_up()
    check_let_go(lab, adit, before)
    bench.host.ip("-6 neigh flush all")
    gone = bench.host.run("ping", "-6", "-c", "1", "-W", "2", own, check=False)
    lab.check(gone.returncode != 0, "nobody answers for the client any more", gone.stdout)
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    left = [line for line in proxies(bench) if line]
    lab.check(len(left) == 1 and "beef" in left[0], "of the answers for others only those of others are left", left)
    lab.equal([bench.srv.run("sysctl", "-n", key).stdout for key in settings], kept, "the settings are as they were")
    different = sorted(set(bench.srv.routes()) ^ set(before_routes))
    lab.check(not different, "the server left no route behind", different)
    check_log(lab, adit, [re.compile("the client wants an address")])
