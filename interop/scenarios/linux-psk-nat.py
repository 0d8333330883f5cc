"""The same client behind a NAT: its phase 1 ID is the private address; the server masquerades IPv4."""

import re

import bench as at
import dual_stack as way
import net
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import PSK, USERS, Adit, check_log
from shell import wait_for

PRIVATE = "10.98.0.2"
# charon: ... between OWN-ADDRESS[OWN-ID]...SERVER[ITS-ID]
IDENTITY = re.compile(rf"IKE_SA l2tp\[1\] established between {re.escape(PRIVATE)}\[{re.escape(PRIVATE)}\]")
NATTED = re.compile("local host is behind NAT")


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipv4={"masquerade": True})
    wire = Capture(lab, bench.srv, "outer", "outer")
    tap = bench.plug_behind_nat("c1")
    guest = Guest(lab, "client", bench.nat, tap)
    guest.card("vec0", f"{PRIVATE}/24")
    guest.run(f"ip route add {at.SERVER4} via {at.NAT_INSIDE}")
    # Encapsulation is not forced here: the NAT has to be found.
    client = LinuxClient(guest, Profile(PRIVATE, psk=PSK, user="alice", password=USERS["alice"], force_encapsulation=False))
    before = adit.holdings()

    client.configure()
    way.check_security(lab, client)
    charon = client.read(client.charon)
    lab.matches(charon, IDENTITY, f"the client's phase 1 ID is its private address, {PRIVATE}")
    lab.matches(charon, NATTED, "the client found the NAT")
    client.dial()
    client.wait_online()
    session = adit.session()
    way.check_addresses(lab, client)
    way.check_session(lab, client, session, peer=rf"{re.escape(at.NAT_OUTSIDE)}:\d+")
    way.check_link(lab, client, session)
    lab.check(net.has_table(bench.srv, "adit"), "the server has its nftables table for IPv4")
    lan = Capture(lab, bench.host, "lan", "lan-ping", "icmp or icmp6")
    lab.check(client.ping(at.HOST4) and client.ping(at.HOST6), "the client pings a host behind the server in both families", client.said)
    seen = {str(p.source) for p in lan.stop()}
    lab.check(at.INSIDE4 in seen and client.ipv4() not in seen, "the host sees IPv4 from the server's own address", seen)
    lab.check(client.ipv6() in seen, "the host sees IPv6 from the client's own address: no NAT66", seen)

    bench.iperf(lab)
    syns = way.SynWatch(lab, bench, client, masquerade=at.INSIDE4)
    way.check_transfers(lab, adit, client)
    syns.check(session)
    way.check_wire(lab, wire, at.NAT_OUTSIDE)

    client.hang_up(tunnel_first=True)
    wait_for("the server has let go of all that the client held", lambda: adit.holdings() == before, 15)
    lab.check(True, "after the client has hung up the server holds what it held before")
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    lab.check(not net.has_table(bench.srv, "adit"), "the server removed its nftables table")
    check_log(lab, adit)

