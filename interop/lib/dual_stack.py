"""The checks that every dual-stack session has to pass, whatever lies between client and server."""

import ipaddress
import json
import re

import bench as at
import pcap
import server
from shell import Failed, ping

MIB = 1 << 20
VOLUME = 50 * MIB


def check_security(lab, client):
    """Phase 1 and Quick Mode in UDP 4500."""
    client.secure()
    sas, _, _, encapsulated = client.esp()
    lab.equal(sas, 2, "the client's kernel holds one ESP SA each way")
    lab.check(encapsulated, "both are encapsulated in UDP 4500", client.guest.run("ip xfrm state").out)


def check_addresses(lab, client):
    """IPv4 from the pool; one global IPv6 address from adit's RA; default routes in both families."""
    guest = client.guest
    v4 = client.addresses("inet")
    pool = ipaddress.ip_network(server.POOL)
    lab.check(len(v4) == 1 and ipaddress.ip_address(v4[0]["local"]) in pool, f"one IPv4 address, from the pool {pool}", v4)

    v6 = [a for a in client.addresses("inet6") if a["scope"] == "global"]
    prefix = ipaddress.ip_network(server.PREFIX)
    one = len(v6) == 1
    lab.check(one and ipaddress.ip_address(v6[0]["local"]) in prefix, f"one global IPv6 address, from {prefix}", v6)
    lab.check(one and v6[0]["prefixlen"] == 64, "it has a /64", v6)
    lab.check(one and v6[0].get("dynamic"), "the client's kernel made it from a Router Advertisement", v6)

    for family, extra in (("-4", {}), ("-6", {"protocol": "ra"})):
        routes = guest.json(f"ip -j {family} route show default")
        through = [r for r in routes if r.get("dev") == "ppp0" and extra.items() <= r.items()]
        lab.check(len(routes) == 1 and through, f"IPv{family[1]} default route through the tunnel" + " from RA" * bool(extra), routes)


def check_link(lab, client, session):
    """Resolvers of both families, and what the RA and DHCPv6 say."""
    told = re.findall(r"^nameserver (\S+)", client.guest.run("cat /etc/ppp/resolv.conf").out, re.M)
    lab.equal(told, server.DNS4, "IPv4 resolvers by IPCP")
    answers = json.loads(client.guest.run("/run/guest/ask-link ppp0").out)
    ra, info = answers["advertisement"], answers["information"]
    if lab.check(ra, "a Router Solicitation is answered", ra):
        lab.equal(ra["rdnss"], server.DNS6, "IPv6 resolvers by RDNSS")
        lab.check(ra["lifetime"] > 0 and ra["other"] and not ra["managed"], "the RA is of a default router, flags O=1 M=0", ra)
        own = [p for p in ra["prefixes"] if ipaddress.ip_address(client.ipv6()) in ipaddress.ip_network(p["prefix"])]
        lab.check(len(ra["prefixes"]) == len(own) == 1 and own[0]["autonomous"] and not own[0]["on-link"],
                  "the RA holds one prefix, the client's, with A=1 L=0", ra["prefixes"])
        lab.equal(ra["mtu"], session["mtu"], "the RA gives the session's MTU")
        lab.check(not ra["link-layer-address"], "the RA has no link-layer address option", ra)
    if lab.check(info, "a DHCPv6 Information-Request is answered", info):
        lab.equal(info["dns"], server.DNS6, "IPv6 resolvers by DHCPv6")
        lab.check(info["server-id"] and info["client-id"], "its reply names client and server", info)


def check_pings(lab, bench, client, session):
    """Through the tunnel in both directions and families, also at the full MTU of the link."""
    peer4 = client.addresses("inet")[0].get("address")
    peer6 = next(a.get("address") for a in client.addresses("inet6") if a["scope"] == "link")
    for what, address in (
        ("the server's end of the link, IPv4", peer4), ("the server's end of the link, IPv6", f"{peer6}%ppp0"),
        ("the server, IPv4", at.INSIDE4), ("the server, IPv6", at.INSIDE6),
        ("a host behind the server, IPv4", at.HOST4), ("a host behind the server, IPv6", at.HOST6),
    ):
        lab.check(client.ping(address), f"the client pings {what} ({address})", client.said)
    device = client.guest.json("ip -j link show dev ppp0")[0]["mtu"]
    lab.note(f"link MTU: the server says {session['mtu']}, the client's device has {device}")
    for address, header in ((at.HOST4, 28), (at.HOST6, 48)):
        size = min(device, session["mtu"]) - header
        whole = client.ping(address, "-M", "do", "-s", size)
        lab.check(whole, f"a packet of the full link MTU reaches {address} and back", client.said)
    for address in (client.ipv4(), client.ipv6()):
        done = bench.host.run(*ping(address), check=False)
        lab.check(" 3 received" in done.stdout, f"the host behind the server pings the client ({address})", done.stdout)


class SynWatch:
    """Captures of SYNs behind the server and on the client's link, of clients with too big an MSS.

    A client's own MSS would fit its link already. So its routes are told to offer what an Ethernet
    has: only a clamp makes that smaller.
    """

    OFFERED = {4: 1460, 6: 1440}

    def __init__(self, lab, bench, client, masquerade=None):
        """`masquerade`: the IPv4 address by which hosts behind the server know the client."""
        self.lab, self.client, self.masquerade = lab, client, masquerade
        guest = client.guest
        guest.run(f"ip route replace {at.HOST4}/32 dev ppp0 advmss {self.OFFERED[4]}")
        router = next(r["gateway"] for r in guest.json("ip -j -6 route show default") if r.get("dev") == "ppp0")
        guest.run(f"ip -6 route replace {at.HOST6}/128 via {router} dev ppp0 advmss {self.OFFERED[6]}")
        wanted = "(ip and tcp[tcpflags] & tcp-syn != 0) or (ip6[6] == 6 and ip6[53] & 2 != 0)"
        self.lan = pcap.Capture(lab, bench.host, "lan", "lan-syn", wanted)
        self.log = f"/run/out/{client.name}.tcpdump.log"
        guest.run(f"tcpdump -i ppp0 -n -U -Z root -s 160 -w /run/out/link-syn.pcap '{wanted}' >{self.log} 2>&1 </dev/null &")
        guest.wait("tcpdump listens on ppp0", f"grep -q 'listening on' {self.log}", 10)

    def check(self, session):
        lab, client = self.lab, self.client
        client.guest.run("kill -INT $(pidof tcpdump)")
        client.guest.wait("tcpdump ends", "! pidof tcpdump", 10)
        lan, link = self.lan.stop(), list(pcap.read(lab.out / "link-syn.pcap"))
        guest4, guest6 = (ipaddress.ip_address(a) for a in (client.ipv4(), client.ipv6()))
        host4, host6 = ipaddress.ip_address(at.HOST4), ipaddress.ip_address(at.HOST6)
        clamp = {}
        shown4 = ipaddress.ip_address(self.masquerade) if self.masquerade else guest4
        for version, guest, shown, host in ((4, guest4, shown4, host4), (6, guest6, guest6, host6)):
            def seen(packets, source):
                return {p.mss for p in packets if p.syn and p.source == source}
            offered, arrived = seen(link, guest), seen(lan, shown)
            answered, returned = seen(lan, host), seen(link, host)
            said = session["mss"][f"ipv{version}"]
            lab.equal((offered, answered), ({self.OFFERED[version]},) * 2, f"IPv{version}: both ends offer the MSS of an Ethernet")
            lab.check(arrived == {said} and said < self.OFFERED[version], f"IPv{version}: SYNs of the client leave the server clamped to {said}", arrived)
            lab.equal(returned, {said}, f"IPv{version}: SYN-ACKs of the host reach the client clamped")
            clamp[version] = arrived
        lab.check({m - 20 for m in clamp[4]} == clamp[6] != set(), "the clamp of IPv6 is 20 bytes lower than that of IPv4", clamp)


def check_transfer(lab, client, address, reverse, volume=VOLUME):
    """Moves `volume` bytes by TCP."""
    way = "down" if reverse else "up"
    done = client.guest.run(f"iperf3 --connect-timeout 5000 -c {address} -n {volume} {'-R' * reverse} -J", seconds=240, check=False)
    try:
        end = json.loads(done.out)["end"]
        moved, rate = end["sum_received"]["bytes"], end["sum_received"]["bits_per_second"] / 1e6
    except (ValueError, KeyError):
        return lab.check(False, f"iperf3 {way} with {address}", done.out[-600:])
    return lab.check(done.status == 0 and moved > volume * 0.98, f"iperf3 {way} with {address}: {volume // MIB} MB at {rate:.0f} Mbit/s", moved)


def check_transfers(lab, adit, client):
    """50 MB each way in each family; the ESP counters of both ends must have grown by as much."""
    before, mine = adit.session(), client.esp()
    for address in (at.HOST4, at.HOST6):
        for reverse in (False, True):
            check_transfer(lab, client, address, reverse)
    after, now = adit.session(), client.esp()
    for way in ("rx_bytes", "tx_bytes"):
        grown = after[way] - before[way]
        lab.check(grown > 2 * VOLUME, f"the server's {way} grew by more than 100 MB", grown)
    lab.check(now[0] == mine[0] and now[1] - mine[1] > 4 * VOLUME, "the client's ESP counters grew by more than 200 MB", (mine, now))


def check_session(lab, client, session, peer):
    """All that `adit sessions --json` promises, with the values that are true here. `peer`: regex."""
    missing = [k for k in ("id user client peer encapsulation nat ike esp ipv4 ipv6_prefixes ipcp ipv6cp mtu mss dns "
                           "rx_bytes tx_bytes connected_at").split() if k not in session]
    if not lab.check(not missing, "adit sessions --json has every promised field", f"missing: {missing} in {session}"):
        raise Failed("no use in looking at the values")

    def plain(value):
        return re.sub(r"[^a-z0-9]", "", json.dumps(value).lower())
    for field, wanted in (("user", "alice"), ("client", "linux"), ("encapsulation", "udp"), ("nat", "client"),
                          ("ipcp", "opened"), ("ipv6cp", "opened")):
        lab.equal(str(session[field]).lower(), wanted, f"sessions: {field}")
    lab.check(re.fullmatch(peer, session["peer"]), f"sessions: peer is {peer}", session["peer"])
    ike = session["ike"]
    for field, wanted in (("encryption", "aes.*256"), ("hash", "sha1|sha"), ("group", "modp2048|14"), ("auth", "psk|presharedkey")):
        lab.check(field in ike and re.search(wanted, plain(ike[field])), f"sessions: ike {field} is {wanted}", ike)
    lab.check(re.search("aes.*256.*sha1", plain(session["esp"])), "sessions: esp is AES-256 with SHA-1", session["esp"])
    lab.equal(session["ipv4"], client.ipv4(), "sessions: ipv4 is the client's")
    nets = [ipaddress.ip_network(p) for p in session["ipv6_prefixes"]]
    lab.check([n.prefixlen for n in nets] == [64] and ipaddress.ip_address(client.ipv6()) in nets[0],
              "sessions: ipv6_prefixes is the client's /64", session["ipv6_prefixes"])
    lab.check(1280 <= session["mtu"] < 1500, "sessions: mtu leaves room for the encapsulation", session["mtu"])
    mss = session["mss"]
    lab.check(mss["ipv4"] == mss["ipv6"] + 20 <= session["mtu"] - 40, "sessions: mss fits the mtu in both families", mss)
    lab.equal(sorted(session["dns"]), sorted(server.DNS4 + server.DNS6), "sessions: dns of both families")


def check_wire(lab, capture, peer):
    """The outer path: everything in UDP 4500 (500 before the float), nothing clear, no fragment."""
    packets = [p for p in capture.stop() if ipaddress.ip_address(peer) in (p.source, p.destination)]
    big = [p for p in packets if p.protocol == 17 and p.ports and p.ports[1] == 4500 and p.length > 1300]
    lab.check(len(big) > VOLUME // 1500, f"{len(packets)} packets of the outer path captured, full-size UDP 4500 among them", len(big))
    clear = [p for p in packets if p.ports and 1701 in p.ports]
    lab.check(not clear, "no clear L2TP packet crossed the wire", clear[:3])
    lab.check(not any(p.protocol == 50 for p in packets), "no ESP outside of UDP crossed the wire")
    fragments = [p for p in packets if p.fragment]
    lab.check(not fragments, "no IP fragment crossed the wire", fragments[:3])


def check_goodbye(lab, bench, adit, client, before):
    """A stopped server tells its clients, ends well, and leaves its namespace as it was."""
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    client.guest.wait("ppp0 is gone", "! ip link show dev ppp0 2>/dev/null", 15)
    lab.matches(client.read(client.ppp), re.compile(r"terminated by peer|Modem hangup|rcvd \[LCP TermReq"), "the client's pppd was told")
    client.guest.wait("the SAs are deleted", "! ip xfrm state | grep -q espinudp", 15)
    lab.matches(client.read(client.charon), re.compile(r"received DELETE for ESP CHILD_SA"), "the client's charon was told")
    different = sorted(set(bench.srv.routes()) ^ set(before))
    lab.check(not different, "the server left no route behind", different)
