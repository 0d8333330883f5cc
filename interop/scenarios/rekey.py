"""Five clients with steady traffic, while each end replaces both kinds of SAs: nothing is lost."""

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


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipsec=SERVER)
    before = adit.holdings()
    clients = [boot(lab, bench, number) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(online, clients))
    sessions, start = adit.sessions(), rekeyed(adit)
    streams = [Stream(lab, bench.host, address, INTERVAL, SIZE)
               for client in clients for address in (client.ipv4(), client.ipv6())]

    wanted = CLIENTS * TIMES
    for kind in ("IKE", "ESP"):
        for client in clients * TIMES:
            count = rekeyed(adit)["client", kind]
            client.rekey(kind, lambda: rekeyed(adit)["client", kind] > count)
    # The rest comes by itself.
    for kind in ("ESP", "IKE"):
        wait_for(f"the server has replaced {wanted} {kind} SAs", lambda: grown(start, rekeyed(adit))["server", kind] >= wanted, 240)
    for stream in streams:
        stream.check_lossless(f"to {stream.address}", least=50 / INTERVAL)

    for (end, kind), times in grown(start, rekeyed(adit)).items():
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


def rekeyed(adit):
    """How many SAs of each kind were made on the word of each end."""
    counters = adit.status()["counters"]
    server = {"ESP": counters["child_rekeys_started"] - counters["child_failed"],
              "IKE": counters["ike_rekeys_started"] - counters["ike_rekeys_failed"]}
    every = {"ESP": counters["child_established"], "IKE": counters["ike_established"]}
    return {("server", kind): server[kind] for kind in server} | {("client", kind): every[kind] - server[kind] for kind in server}


def grown(before, after):
    return {key: after[key] - before[key] for key in before}
