"""`ipv6.mode = "block"`: IPv6 fails at once instead of going past a tunnel that has none; IPv4 works."""

import ipaddress
import json

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import DNS4, PSK, USERS, Adit, check_let_go, check_log

MILLISECONDS = 100
CONNECT = """
import errno, json, socket, time
found = []
for address in {addresses}:
    tries = []
    for _ in range(3):
        with socket.socket(socket.AF_INET6) as tcp:
            tcp.settimeout(5)
            started = time.monotonic()
            error = tcp.connect_ex((address, 80))
            tries.append([(time.monotonic() - started) * 1000, errno.errorcode.get(error, str(error))])
    found.append([address, sorted(tries)])
print(json.dumps(found))
"""
REFUSED = {"EACCES", "ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED"}


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipv6={"mode": "block", "prefix": None, "dns": None})
    before = adit.holdings()
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"), bench.plug_home("h1"))
    guest.card("vec0", "10.99.0.2/24")
    guest.card("vec1", "10.44.0.2/24", "fd44::2/64")
    # As a home router's advertisement would have it
    guest.run(f"ip route add default via {at.HOME4} metric 600; ip -6 route add default via {at.HOME6} metric 1024 pref medium")
    guest.wait("without the tunnel IPv6 goes out by the other card", f"ping -n -c 1 -W 1 {at.WORLD6}", 20)
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()

    home = Capture(lab, bench.home, "rooms", "home")
    somewhere = [at.WORLD6, at.HOST6, "2a00:1450::1"]
    found = json.loads(guest.run(f"python3 - <<'END'{CONNECT.format(addresses=somewhere)}END").out)
    for address, tries in found:
        # The one in the middle: a busy machine may hold up a guest for longer, once.
        took, words = tries[1][0], {word for _, word in tries}
        lab.check(words <= REFUSED and took < MILLISECONDS,
                  f"connections to {address} are refused in {took:.0f} ms ({', '.join(words)})", tries)
    said = guest.run(f"ping -n -c 2 -i 0.2 -W 2 {at.WORLD6}", check=False).out
    lab.check(" 0 received" in said and "+2 errors" in said, "pings get an ICMPv6 error each", said)
    lab.check(client.ping(at.HOST4), "IPv4 goes through the tunnel", client.said)
    leaked = [p for p in home.stop() if p.version == 6 and not p.destination.is_link_local and not p.destination.is_multicast
              and p.destination != ipaddress.ip_address(at.HOME6)]
    lab.check(not leaked, "nothing of IPv6 left by the other card", leaked[:3])
    lab.equal(adit.session()["dns"], DNS4, "sessions: dns is IPv4's alone")
    client.hang_up()
    check_let_go(lab, adit, before)
    check_log(lab, adit)
