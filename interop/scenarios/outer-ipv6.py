"""IPv6 outside: strongSwan holds the SAs, in UDP and as protocol 50, and adit's L2TP rides on them."""

import ipaddress
import json
import shutil

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from server import PREFIX, PSK, USERS, Adit, check_let_go, check_log

CLIENT6 = "fd99::2"
STEPS = ["l2tp", "session", "lcp", "authentication", "ipcp", "ipv6cp", "router-advertisement", "dhcpv6", "echo-ipv4", "echo-ipv6", "end"]


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, listen={"esp": True})
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", f"{CLIENT6}/64")
    # The guest sees the host's files, but for /tmp, where the program may be
    mine = lab.out / "adit-in-guest"
    shutil.copy(lab.binary, mine)
    try:
        guest.put("/root/password", USERS["alice"])
        client = LinuxClient(guest, Profile(CLIENT6, server=at.SERVER6, psk=PSK, user="alice", password=USERS["alice"]))
        client.configure({"native": {"forceencaps": "no"}})
        for name, connection in (("udp", "l2tp"), ("native", "native")):
            attempt(lab, bench, adit, client, name, connection)
        client.hang_up()
    finally:
        mine.unlink()
    check_log(lab, adit)


def attempt(lab, bench, adit, client, name, connection):
    guest, before, udp = client.guest, adit.holdings(), name == "udp"
    wire = Capture(lab, bench.srv, "outer", f"outer-{name}")
    client.secure(connection=connection)
    sas, _, packets, encapsulated = client.esp()
    state = guest.run("ip xfrm state").out
    lab.check((sas, encapsulated) == (2, udp), f"{name}: one SA each way, " + ("in UDP 4500" if udp else "not in UDP"), state)
    lab.check(f"src {CLIENT6} dst {at.SERVER6}" in state and f"src {at.SERVER6} dst {CLIENT6}" in state,
              f"{name}: between {CLIENT6} and {at.SERVER6}", state)

    counters = adit.status()["counters"]
    done = guest.run(f"/run/out/adit-in-guest probe {at.SERVER6} --without-ipsec --local-port 1701 --user alice"
                     " --password-file /root/password --json 2>/run/out/probe.err", seconds=90, check=False)
    (lab.out / f"probe-{name}.json").write_text(done.out)
    steps = {row["step"]: row for row in json.loads(done.out or "[]") if row["address"]}
    bad = [row for row in steps.values() if row["outcome"] == "fail"]
    lab.check(done.status == 0 and not bad, f"{name}: adit's client gets through without IPsec of its own", bad or done.out[-800:])
    lab.equal([step for step in STEPS if steps.get(step, {}).get("outcome") != "ok"], [], f"{name}: steps that are missing or not ok")
    seen = " ".join(steps.get("router-advertisement", {}).get("seen", []))
    nets = [ipaddress.ip_network(word) for word in seen.replace(",", " ").split() if "/64" in word]
    pool = ipaddress.ip_network(PREFIX)
    lab.check(any(net.subnet_of(pool) for net in nets), f"{name}: a prefix of {pool} is advertised", seen)

    now = adit.status()["counters"]
    grown = {key: now[key] - counters[key] for key in ("ip_in", "ip_out", "auth_accepted", "l2tp_malformed", "esp_bad_icv")}
    lab.check(grown["auth_accepted"] == 1 and grown["ip_in"] >= 1 and grown["ip_out"] >= 1, f"{name}: the server counts a login and packets each way", grown)
    lab.check(not grown["esp_bad_icv"] and not grown["l2tp_malformed"], f"{name}: and nothing malformed", grown)
    after = client.esp()
    lab.check(after[0] == 2 and after[2] - packets >= 20, f"{name}: all of it went through strongSwan's SAs", (packets, after))

    guest.run(f"ipsec down {connection}")
    check_let_go(lab, adit, before, what=f"{name}: in the end")
    every = [p for p in wire.stop() if ipaddress.ip_address(CLIENT6) in (p.source, p.destination)]
    esp = sum(p.protocol == 50 for p in every)
    in_udp = sum(p.protocol == 17 and p.ports == (4500, 4500) for p in every)
    lab.check(in_udp > 20 and not esp if udp else esp > 20 and not in_udp,
              f"{name}: on the wire {in_udp} packets in UDP 4500, {esp} of protocol 50, over IPv6", (in_udp, esp))
    clear = [p for p in every if p.ports and 1701 in p.ports]
    lab.check(not clear, f"{name}: no clear L2TP packet crossed the wire", clear[:3])
