"""Split tunnel: the configured prefixes of both families go in, everything else goes its own way."""

import ipaddress

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import DNS4, PSK, USERS, Adit, check_let_go, check_log

ROUTE4, ROUTE6 = "192.0.2.0/24", "2001:db8:b::/64"
OUTER = ipaddress.ip_network("10.99.0.0/24")


def run(lab):
    bench = Bench()
    # No resolvers inside the tunnel's prefixes but these
    adit = Adit(lab, bench.srv, ipv4={"routes": [ROUTE4], "domain": "corp.example"}, ipv6={"routes": [ROUTE6]})
    before = adit.holdings()
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"), bench.plug_home("h1"))
    guest.card("vec0", "10.99.0.2/24")
    guest.card("vec1", "10.44.0.2/24", "fd44::2/64")
    guest.run(f"ip route add default via {at.HOME4} metric 600; ip -6 route add default via {at.HOME6} metric 1024")
    guest.run("sysctl -qw net.ipv6.conf.default.accept_ra_rt_info_max_plen=128")
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"], default_route=False))
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()

    # What Windows does by itself: ask by DHCPINFORM, and take the routes.
    answer = guest.json(f"/run/guest/ask-dhcp ppp0 {client.ipv4()}")
    if lab.check(answer, "DHCPINFORM is answered", answer):
        nets = [net for net, _ in answer["routes"]]
        lab.equal(nets, [ROUTE4], "option 121 has the route")
        lab.equal(answer["microsoft-routes"], answer["routes"], "option 249 says the same")
        lab.equal(answer["dns"], DNS4, "it has the resolvers")
        lab.equal(answer["domain"], "corp.example", "and the domain")
        lab.check(answer["offered"] == "0.0.0.0" and not answer["lease"], "it leases nothing", answer)
        for net in nets:
            guest.run(f"ip route add {net} dev ppp0")
    told = guest.json("/run/guest/ask-link ppp0")["advertisement"]
    lab.equal((told["routes"], told["lifetime"]), ([ROUTE6], 0), "the RA has the route, and is of no default router")
    guest.wait("the kernel has the advertised route", f"ip -6 route show {ROUTE6} dev ppp0 | grep -q ra", 20)

    home, tunnel = Capture(lab, bench.home, "rooms", "home"), Capture(lab, bench.host, "lan", "lan")
    for family, inside, outside in (("IPv4", at.HOST4, at.WORLD4), ("IPv6", at.HOST6, at.WORLD6)):
        lab.check(client.ping(inside), f"{family}: a host of the prefix answers ({inside})", client.said)
        lab.check(client.ping(outside), f"{family}: the rest of the world answers ({outside})", client.said)
    inside, outside = tunnel.stop(), home.stop()
    for family, net, own, world in (("IPv4", ROUTE4, client.ipv4(), at.WORLD4), ("IPv6", ROUTE6, client.ipv6(), at.WORLD6)):
        net, own, world = ipaddress.ip_network(net), ipaddress.ip_address(own), ipaddress.ip_address(world)
        lab.check(sum(p.source == own for p in inside) >= 3, f"{family}: the prefix is reached with the tunnel's address", own)
        leaked = [p for p in outside if p.destination in net or p.source in net or own in (p.source, p.destination)]
        lab.check(not leaked, f"{family}: nothing of the tunnel leaves by the other card", leaked[:3])
        lab.check(sum(p.destination == world for p in outside) >= 3, f"{family}: the rest leaves by it")
        lab.check(not any(world in (p.source, p.destination) for p in inside), f"{family}: and not through the tunnel")
    client.hang_up()
    check_let_go(lab, adit, before)
    check_log(lab, adit)
