"""Five clients with steady traffic, while each end replaces both kinds of SAs: nothing is lost."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import wait_for
from stream import Stream

CLIENTS = 5
TIMES = 2  # for each client, kind of SA, and end: ten in all
# The client replaces SAs when it is told to. Else it leaves its IKE SA to the server, whose turn comes
# when 92 to 96 % of the lifetime that it offers are over. The server does not replace shorter ones.
CLIENT = """
    ikelifetime=60s
    margintime=0s
    rekeyfuzz=0%
"""
# The server replaces the ESP SAs by volume, every 40 s at the rate below.
SERVER = {"esp-lifetime-bytes": "16MiB"}
INTERVAL, SIZE = 0.008, 1300  # of the traffic in each family

LINE = re.compile(r' (phase 1 established|Quick Mode done) peer=(\S+) .* role="(\w+)"')
KIND = {"phase 1 established": "IKE", "Quick Mode done": "ESP"}
END = {"initiator": "server", "responder": "client"}


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipsec=SERVER)
    before = adit.holdings()
    clients = [boot(lab, bench, number) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(online, clients))
    sessions, start = adit.sessions(), established(adit)
    streams = [Stream(lab, bench.host, address, INTERVAL, SIZE)
               for client in clients for address in (client.ipv4(), client.ipv6())]

    wanted = CLIENTS * TIMES
    for kind in ("IKE", "ESP"):
        for client in clients * TIMES:
            peer = f"{client.profile.address}:"
            count = established(adit, peer)["client", kind]
            client.rekey(kind, lambda: established(adit, peer)["client", kind] > count)
    # The rest comes by itself.
    for kind in ("ESP", "IKE"):
        wait_for(f"the server has replaced {wanted} {kind} SAs",
                 lambda: (established(adit) - start)["server", kind] >= wanted, 240)
    for stream in streams:
        stream.check_lossless(f"to {stream.address}", least=50 / INTERVAL)

    replaced = established(adit) - start
    for end in ("server", "client"):
        for kind in ("ESP", "IKE"):
            times = replaced[end, kind]
            lab.check(times >= wanted, f"the {end} replaced {times} {kind} SAs, at least {wanted}", times)
    lab.equal(adit.status()["counters"]["ike_rekeys_failed"], 0, "main modes of the server that came to nothing")
    lab.equal({s["id"] for s in adit.sessions()}, {s["id"] for s in sessions}, "they are the same sessions as before, numbers")
    holdings = adit.holdings()
    lab.check(holdings["esp_sas"] <= 16 * CLIENTS and holdings["ike_sas"] <= 3 * CLIENTS and holdings["peers"] == CLIENTS,
              "the replaced SAs do not pile up", holdings)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(LinuxClient.hang_up, clients))
    check_let_go(lab, adit, before)
    check_log(lab, adit)


def boot(lab, bench, number):
    name, address = f"c{number}", f"10.99.0.{number + 2}"
    guest = Guest(lab, name, bench.wire, bench.plug(name), memory="128M")
    guest.card("vec0", f"{address}/24")
    profile = Profile(address, psk=PSK, user="alice", password=USERS["alice"], lifetimes=CLIENT)
    return LinuxClient(guest, profile, name)


def online(client):
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()


def established(adit, whose=""):
    """How many SAs of each kind came up with peers whose address and port begin so, by the end that asked for them."""
    lines = LINE.findall(adit.log())
    return Counter((END[role], KIND[what]) for what, peer, role in lines if peer.startswith(whose))
