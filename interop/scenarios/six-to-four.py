"""Packets to 6to4 hosts leave straight in protocol 41, answers come natively; nothing gets in that way."""

import ipaddress
import re
import shutil

import shell
from guest import Guest
from net import Namespace, cable
from pcap import Capture
from server import PSK, USERS, base, toml

# None of the special ranges; nothing of it leaves the bench.
OWN, HOST4, BEHIND = "20.0.0.1", "20.0.0.2", "2001:db8:b::2"
HOST6 = "2002:1400:2::1"  # with 20.0.0.2 in it
REFUSED = {"a private address": "2002:a63:1::1", "a relay": "2002:c058:6301::1", "the server itself": "2002:1400:1::9",
           "an address that is nothing but one of IPv4": f"::{HOST4}"}
HOME = "/run/out/adit"
PROTOCOL_41 = 41


def run(lab):
    """The kernel of the host may have no 6to4, so the server runs in a guest. Who sends is a host behind it: to the
    kernel, clients are no different."""
    wire, behind = Namespace("wire"), Namespace("behind")
    for bridge, taps in (("outside", ("t0", "t2")), ("inside", ("t1",))):
        wire.ip(f"link add {bridge} type bridge")
        wire.ip(f"link set {bridge} up")
        for tap in taps:
            wire.tap(tap)
            wire.ip(f"link set {tap} master {bridge}")
    cable(behind, "lan", wire, "to-behind")
    wire.ip("link set to-behind master inside")
    behind.address("lan", f"{BEHIND}/64")
    behind.ip("-6 route add default via 2001:db8:b::1")
    server, host = Guest(lab, "server", wire, "t0", "t1"), Guest(lab, "host", wire, "t2")
    server.card("vec0", f"{OWN}/24", "2001:db8:a::1/64")
    server.card("vec1", "2001:db8:b::1/64")
    server.run(f"ip route add default via {HOST4}")
    # A host with 6to4 and, for what it sends, a native way as well.
    host.card("vec0", f"{HOST4}/24", "2001:db8:a::2/64")
    host.run(f"ip tunnel add relayless mode sit remote any local {HOST4} ttl 64; ip link set relayless up")
    host.run(f"ip addr add {HOST6}/16 dev relayless; ip -6 route add 2001:db8:b::/64 via 2001:db8:a::1")

    before = routes(server)
    start(lab, server)
    link = server.json("ip -d -j link show adit-6to4")[0]
    lab.equal((link["linkinfo"]["info_kind"], link["mtu"], link["linkinfo"]["info_data"]["local"]), ("sit", 1280, OWN),
              "the server made an interface that sends from its public address")

    outside, inside = Capture(lab, wire, "outside", "outside"), Capture(lab, behind, "lan", "inside")
    said = behind.run(*shell.ping(HOST6), check=False).stdout
    lab.check(" 3 received" in said, f"a host behind the server reaches {HOST6}", said)
    for what, address in REFUSED.items():
        said = behind.run(*shell.ping(address, count=1), check=False).stdout
        lab.check("Destination unreachable" in said and " 0 received" in said, f"{what} is refused at once ({address})", said)
    # Packets to behind the server from within protocol 41, with an address that seems to be native.
    host.run("ip addr add 2001:db8:c::7/128 dev relayless; ip -6 route add 2001:db8:b::/96 dev relayless via ::20.0.0.1")
    said = host.run(f"ping -n -c 3 -i 0.2 -W 1 -I 2001:db8:c::7 {BEHIND}", check=False).out
    lab.check(" 0 received" in said, "what comes in protocol 41 gets nowhere", said)
    host.run("ip -6 route del 2001:db8:b::/96 dev relayless")
    wrapped = [p for p in outside.stop() if p.protocol == PROTOCOL_41]
    ways = {(str(p.source), str(p.destination)) for p in wrapped}
    lab.equal(ways, {(OWN, HOST4), (HOST4, OWN)}, "protocol 41 went between the two only")
    lab.equal(sum(str(p.source) == OWN for p in wrapped), 3, "of the answered pings, and nothing more, from the server")
    forged = ipaddress.ip_address("2001:db8:c::7")
    lab.check(not any(p.source == forged for p in inside.stop()), "nothing of it reached the network behind the server")

    server.run("kill -9 $(pidof adit-in-guest)")
    server.wait("it is dead", "! pidof adit-in-guest", 10)
    start(lab, server)
    said = behind.run(*shell.ping(HOST6), check=False).stdout
    lab.check(" 3 received" in said, "a server that starts after one that was killed takes over", said)
    server.run("kill $(pidof adit-in-guest)")
    server.wait("it ends", "! pidof adit-in-guest", 20)
    lab.equal(routes(server), before, "the routes are as they were")
    gone = server.run("ip link show adit-6to4; ip -6 rule", check=False).out
    lab.check("does not exist" in gone and "iif" not in gone, "interface and rule are gone", gone)
    log = (lab.out / "adit.log").read_text()
    lab.check(not re.search("WARN|ERROR|panicked", log), "the server's log holds no WARN or ERROR", log[-1500:])


def start(lab, server):
    """adit in the guest, with a name of its own, and the lines that it says."""
    folder = lab.out / "adit"
    if not folder.exists():
        folder.mkdir()
        shutil.copy(lab.binary, folder / "adit-in-guest")
        tables = base()
        tables["ipv6"]["six-to-four"] = True
        tables["admin"]["socket"] = "/run/adit.sock"
        (folder / "adit.toml").write_text(toml(tables))
        (folder / "psk").write_text(PSK)
        (folder / "psk").chmod(0o600)
        shell.run(lab.binary, "user", "add", "alice", "--file", folder / "users.toml", text_in=USERS["alice"] + "\n")
    log = lab.out / "adit.log"
    log.touch()
    said = len(log.read_text())
    server.run(f"NO_COLOR=1 {HOME}/adit-in-guest serve --config {HOME}/adit.toml >>/run/out/adit.log 2>&1 </dev/null &")
    shell.wait_for("the server is ready", lambda: " ready" in log.read_text()[said:], 30)


def routes(guest):
    return sorted(line.strip() for line in guest.run("ip route; ip -6 route").out.splitlines())
