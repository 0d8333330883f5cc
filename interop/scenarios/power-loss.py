"""A client loses power while traffic flows to it, and is online again within seconds of dialling."""

import time

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_log
from shell import Daemon, wait_for

SECONDS = 10  # from dialling (its first IKE packet) to an answered ping in both families
# Long enough that a returning client finds its old session alive, also where a guest takes half a minute
# to boot, short enough to wait for the end of the one that never returns.
DPD = {"dpd.idle": "50s", "dpd.retry": "2s", "dpd.tries": 3}
GONE_SECONDS = 120
# What the server may say about peers that fell silent. Nothing: that is the peers' business (INFO).
EXPECTED = ()


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipsec=DPD)
    before = adit.holdings()
    tap = bench.plug("c1")

    guest, client = boot(lab, bench, tap, "first", "10.99.0.2")
    online(lab, client, "the first time")
    first = adit.session()
    pull_the_plug(lab, bench, adit, guest, client)

    guest, client = boot(lab, bench, tap, "second", "10.99.0.2")
    lab.equal(adit.session()["id"], first["id"], "when it returns the server still has the old session, number")
    online(lab, client, "with the same address and port")
    second = adit.session()
    lab.check(second["id"] != first["id"], "the returned client has a new session, and the old one is gone", (first, second))
    lab.equal(second["peer"], first["peer"], "it has the same address and port")
    old = unknown_spi(guest)
    lab.check(old > 0, f"packets of the old session had still come to it: {old}", old)
    lab.check(client.ping(at.HOST4, count=10) and client.ping(at.HOST6, count=10), "it pings a host behind the server in both families", client.said)
    lab.equal(unknown_spi(guest), old, "none comes any more; in all")
    pull_the_plug(lab, bench, adit, guest, client)

    guest, client = boot(lab, bench, tap, "third", "10.99.0.3")
    lab.equal(adit.session()["id"], second["id"], "when it returns the server still has the old session, number")
    online(lab, client, "from another address")
    lab.check(client.ping(at.HOST4) and client.ping(at.HOST6), "it pings a host behind the server in both families", client.said)
    wait_for("the silent session ends", lambda: len(adit.sessions()) == 1, GONE_SECONDS)
    lab.check(adit.session()["peer"].startswith("10.99.0.3:"), "the session that fell silent is gone, the living one is not", adit.sessions())

    client.hang_up()
    wait_for("the server has let go of all that its clients held", lambda: adit.holdings() == before, GONE_SECONDS)
    lab.check(True, "after all that the server holds what it held before")
    check_log(lab, adit, EXPECTED)


def boot(lab, bench, tap, name, address):
    guest = Guest(lab, name, bench.wire, tap)
    guest.card("vec0", f"{address}/24")
    client = LinuxClient(guest, Profile(address, psk=PSK, user="alice", password=USERS["alice"]), name)
    client.configure()
    return guest, client


def online(lab, client, how):
    started = time.monotonic()
    client.secure()
    client.dial()
    client.wait_online()
    for address in (at.HOST4, at.HOST6):
        wait_for(f"{address} answers", lambda address=address: client.ping(address, count=1), 20)
    took = time.monotonic() - started
    lab.check(took <= SECONDS, f"online {how} within {SECONDS} s of dialling: {took:.1f} s", f"{took:.1f} s")


def pull_the_plug(lab, bench, adit, guest, client):
    """While the host behind the server keeps sending to the client in both families."""
    for address in (client.ipv4(), client.ipv6()):
        words = bench.host.inside("ping", "-q", "-n", "-i", "0.003", "-s", "1000", address)
        lab.keep(Daemon(f"ping {address}", words, lab.out / "flood.log"))
    sent = adit.session()["tx_bytes"]
    wait_for("traffic flows to the client", lambda: adit.session()["tx_bytes"] > sent + 500_000, 20)
    guest.power_loss()


def unknown_spi(guest):
    """How many ESP packets arrived for which the guest has no SA."""
    return int(guest.run("awk '$1 == \"XfrmInNoStates\" { print $2 }' /proc/net/xfrm_stat").out)
