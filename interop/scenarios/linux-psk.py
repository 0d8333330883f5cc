"""A Linux client with a PSK gets IPv4 and IPv6 through UDP 4500, and everything about it is seen."""

import dual_stack as way
import net
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import PSK, USERS, Adit, check_log


def run(lab):
    bench = Bench()
    before = bench.srv.routes()
    adit = Adit(lab, bench.srv)
    wire = Capture(lab, bench.srv, "outer", "outer")
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24", "fd99::2/64")
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))

    client.configure()
    way.check_security(lab, client)
    client.dial()
    client.wait_online()
    session = adit.session()
    way.check_addresses(lab, client)
    way.check_session(lab, client, session, peer=r"10\.99\.0\.2:4500")
    way.check_link(lab, client, session)
    way.check_pings(lab, bench, client, session)

    bench.iperf(lab)
    syns = way.SynWatch(lab, bench, client)
    way.check_transfers(lab, adit, client)
    syns.check(session)
    way.check_wire(lab, wire, "10.99.0.2")

    lab.check(not net.has_table(bench.srv, "adit"), "no masquerading where the configuration says none")
    way.check_goodbye(lab, bench, adit, client, before)
    check_log(lab, adit)
