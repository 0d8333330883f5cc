"""The NAT forgets its mapping in the middle of a transfer: another port, then another address."""

import json

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import wait_for

PRIVATE = "10.98.0.2"
OTHER = "10.99.0.8"
VOLUME = 150 << 20
MOVE_SECONDS = 20


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv)
    before = adit.holdings()
    tap = bench.plug_behind_nat("c1")
    bench.nat.ip(f"addr add {OTHER}/24 dev outside")
    guest = Guest(lab, "client", bench.nat, tap)
    guest.card("vec0", f"{PRIVATE}/24")
    guest.run(f"ip route add {at.SERVER4} via {at.NAT_INSIDE}")
    client = LinuxClient(guest, Profile(PRIVATE, psk=PSK, user="alice", password=USERS["alice"], force_encapsulation=False))
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()
    bench.iperf(lab)
    # Whoever only receives tells nobody where it went; a phone or a PC always has something to say.
    guest.run(f"ping -n -i 0.2 {at.HOST6} </dev/null >/run/out/background.log 2>&1 &")

    first = adit.session()
    lab.equal(first["peer"], f"{at.NAT_OUTSIDE}:4500", "before, the server sees the client at")
    transfer(lab, adit, bench, client, at.HOST4, False, first, f"{at.NAT_OUTSIDE}:5001", "another port, upload")
    transfer(lab, adit, bench, client, at.HOST6, True, first, f"{OTHER}:5002", "another address, download")
    lab.equal(adit.status()["counters"]["endpoint_moved"], 2, "the server counted the moves")

    # IKE follows: both kinds of SA can be replaced from where the client is now.
    for kind, counter in (("ESP", "child_established"), ("IKE", "ike_established")):
        count = adit.status()["counters"][counter]
        client.rekey(kind, lambda: adit.status()["counters"][counter] > count)
        lab.check(True, f"the client replaces its {kind} SA from the new address")
    lab.check(client.ping(at.HOST4) and client.ping(at.HOST6), "pings pass in both families", client.said)
    same = adit.session()
    lab.check(same["id"] == first["id"] and same["peer"] == f"{OTHER}:5002", "still the same session at the new address", same)
    client.hang_up()
    check_let_go(lab, adit, before)
    check_log(lab, adit)


def transfer(lab, adit, bench, client, address, reverse, first, wanted, what):
    """One TCP transfer, in the middle of which the NAT maps the client to `wanted`."""
    guest = client.guest
    log = f"/run/out/iperf-{'down' if reverse else 'up'}.json"
    guest.run(f"(iperf3 --connect-timeout 5000 -c {address} -n {VOLUME} {'-R' * reverse} -J; echo $? >{log}.status) </dev/null >{log} 2>&1 &")
    way = "tx_bytes" if reverse else "rx_bytes"
    start = adit.session()[way]
    wait_for("a third is through", lambda: adit.session()[way] > start + VOLUME // 3, 60)
    remap(bench, wanted)
    wait_for(f"the server sees the client at {wanted}", lambda: adit.session()["peer"] == wanted, MOVE_SECONDS)
    moved = adit.session()
    lab.check(moved["id"] == first["id"], f"{what}: the session is the same, now at {wanted}", moved)
    guest.wait("iperf3 ends", f"test -s {log}.status", 120)
    done = json.loads(guest.run(f"cat {log}").out)
    received = done.get("end", {}).get("sum_received", {}).get("bytes", 0)
    late = adit.session()[way] - moved[way]
    lab.check(guest.run(f"cat {log}.status").out.strip() == "0" and received >= VOLUME * 0.98 and late > VOLUME // 10,
              f"{what}: the transfer went on: {late >> 20} of {received >> 20} MiB after the move", (done.get("error"), received, late))
    lab.equal(len(adit.sessions()), 1, f"{what}: sessions")


def remap(bench, wanted):
    """Another mapping for all that comes, and no memory of the old one."""
    address, port = wanted.rsplit(":", 1)
    rules = f"""
flush chain ip nat out
add rule ip nat out oifname "outside" udp sport 4500 snat to {address}:{port}
add rule ip nat out oifname "outside" masquerade
"""
    bench.nat.run("nft", "-f", "-", text_in=rules)
    bench.nat.run("conntrack", "-F")
