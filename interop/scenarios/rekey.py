"""Traffic at a steady rate while both ends replace the SAs, by time and by volume: nothing is lost."""

import re

from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_log
from shell import Daemon, wait_for

BY_CLIENT = 3
PACKETS = 15_000  # in each family, one in 4 ms
# The client replaces its IKE SA every 25 s; its ESP SAs when it is told to.
CLIENT = """
    ikelifetime=35s
    margintime=10s
    rekeyfuzz=0%
"""
# The server replaces the ESP SAs by volume, after some 20 s of the traffic below.
SERVER = {"esp-lifetime-bytes": "16MiB"}
SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipsec=SERVER)
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    profile = Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"], lifetimes=CLIENT)
    client = LinuxClient(guest, profile)
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()
    session = adit.session()
    before = adit.status()["counters"]

    pings = [flood(lab, bench, address) for address in (client.ipv4(), client.ipv6())]
    for _ in range(BY_CLIENT):
        rekeyed_by_client(adit, guest)
    for ping in pings:
        ping.wait_said(SUMMARY, 150)
        sent, received = (int(number) for number in SUMMARY.search(ping.said()).groups())
        lab.check(sent == PACKETS == received, f"every one of {sent} packets came back", f"{received} of {sent}")

    after = adit.status()["counters"]
    grown = {name: after[name] - before[name] for name in ("child_established", "child_rekeys_started", "ike_established")}
    lab.check(grown["child_rekeys_started"] >= 1, f"the server replaced ESP SAs: {grown['child_rekeys_started']} times", grown)
    by_client = grown["child_established"] - grown["child_rekeys_started"]
    lab.check(by_client >= BY_CLIENT, f"so did the client: {by_client} times", grown)
    lab.check(grown["ike_established"] >= 2, f"the client replaced its IKE SA: {grown['ike_established']} times", grown)
    lab.equal(adit.session()["id"], session["id"], "it is the same session as before, number")
    holdings = adit.holdings()
    lab.check(holdings["esp_sas"] <= 16 and holdings["ike_sas"] <= 3 and holdings["peers"] == 1,
              "the replaced SAs do not pile up", holdings)
    client.hang_up()
    check_log(lab, adit)


def rekeyed_by_client(adit, guest):
    """Makes the client replace its newest ESP SA, and waits until it has."""
    def by_client():
        counters = adit.status()["counters"]
        return counters["child_established"] - counters["child_rekeys_started"]
    before = by_client()
    guest.run("ipsec stroke rekey 'l2tp{*}'")
    wait_for("the client has replaced its ESP SA", lambda: by_client() > before, 20)


def flood(lab, bench, address):
    words = bench.host.inside("ping", "-q", "-n", "-i", "0.004", "-s", "1300", "-c", str(PACKETS), address)
    return lab.keep(Daemon(f"ping {address}", words, lab.out / f"ping-{'6' if ':' in address else '4'}.log"))
