"""Without a NAT and with `listen.esp` the same client uses ESP as IP protocol 50, without UDP."""

import dual_stack as way
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import PSK, USERS, Adit, check_log


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, listen={"esp": True})
    wire = Capture(lab, bench.srv, "outer", "outer")
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    profile = Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"], force_encapsulation=False)
    client = LinuxClient(guest, profile)
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()

    session = adit.session()
    lab.equal(session["encapsulation"], "esp", "adit sessions: encapsulation")
    lab.equal(session["nat"], "none", "adit sessions: nat")
    way.check_addresses(lab, client)
    way.check_pings(lab, bench, client, session)
    client.hang_up()
    packets = wire.stop()
    lab.check(any(packet.protocol == 50 for packet in packets), "ESP crossed the wire as protocol 50", len(packets))
    lab.check(not any(packet.ports and 4500 in packet.ports for packet in packets),
              "nothing went through UDP 4500", len(packets))
    check_log(lab, adit)
