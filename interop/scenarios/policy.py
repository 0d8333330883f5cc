"""Rules of a policy, each probed once in each family; forged sources, and neighbours; rates of a user and of a rule."""

import ipaddress
import json
import re

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import FOLDER, Guest
from pcap import Capture
from server import POOL, PREFIX, PSK, USERS, Adit, check_let_go, check_log
from shell import Daemon, Failed, wait_for

HOST = [at.HOST4, at.HOST6]
POLICY = [
    {"name": "web", "users": ["alice"], "to": HOST, "protocol": "tcp", "ports": [8080], "action": "accept"},
    {"name": "slow", "users": ["alice"], "to": HOST, "protocol": "tcp", "ports": [5202], "action": "accept", "rate": "10Mbit"},
    {"name": "no other tcp", "users": ["alice"], "to": HOST, "protocol": "tcp", "action": "reject"},
    {"name": "no pings", "users": ["alice"], "to": HOST, "protocol": "icmp", "action": "drop"},
    {"name": "no names", "groups": ["staff"], "to": HOST, "protocol": "udp", "ports": [53, "5000-5010"], "action": "drop"},
    {"name": "desk", "users": ["bob"], "from": HOST, "protocol": "tcp", "ports": ["7000-7010"], "action": "reject"},
    {"name": "greetings", "users": ["alice"], "to": ["clients"], "protocol": "icmp", "action": "accept"},
    {"name": "chat", "users": ["bob"], "from": ["clients"], "protocol": "tcp", "ports": [9000], "action": "accept"},
]
APART = "ip_between_clients"
# Who asks whom, for what, what comes of it, and what of the server has counted that.
PROBES = [
    ("alice", "host", "tcp 8080", "answered", "web"),
    ("alice", "host", "tcp 8081", "prohibited", "no other tcp"),
    ("alice", "host", "udp 53", "answered", None),
    ("alice", "host", "icmp", "silent", "no pings"),
    ("bob", "host", "tcp 8081", "answered", None),
    ("bob", "host", "icmp", "answered", None),
    ("bob", "host", "udp 53", "silent", "no names"),
    ("bob", "host", "udp 5010", "silent", "no names"),
    ("bob", "host", "udp 5011", "answered", None),
    ("host", "bob", "tcp 7000", "prohibited", "desk"),
    ("host", "bob", "tcp 7011", "answered", None),
    ("host", "alice", "icmp", "silent", "no pings"),
    ("alice", "bob", "icmp", "answered", "greetings"),
    ("bob", "alice", "icmp", "prohibited", APART),
    ("alice", "bob", "tcp 9000", "answered", "chat"),
    ("alice", "bob", "tcp 7011", "prohibited", APART),
    ("bob", "alice", "tcp 9000", "prohibited", APART),
    ("bob", "alice", "udp 53", "prohibited", APART),
]
PORTS = [53, 5010, 5011, 7000, 7011, 8080, 8081, 9000]


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, groups={"staff": ["bob"]}, policy=POLICY)
    before = adit.holdings()
    answers = lab.keep(Daemon("answers", bench.host.inside(FOLDER / "answer", *PORTS), lab.out / "answers.log"))
    answers.wait_said(re.compile("listens"), 10)
    clients = {user: online(lab, bench, user, number) for number, user in enumerate(("alice", "bob"))}
    addresses = {"host": HOST, **{user: [client.ipv4(), client.ipv6()] for user, client in clients.items()}}

    for whose, whom, what, comes, counted in PROBES:
        found, counts = [], []
        for address in addresses[whom]:
            words = f"knock {what.split()[0]} {address} {' '.join(what.split()[1:])}"
            was = count_of(adit, counted)
            if whose == "host":
                found.append(bench.host.run(FOLDER / "knock", *words.split()[1:]).stdout.strip())
            else:
                found.append(clients[whose].guest.run(f"/run/guest/{words}").out.strip())
            counts.append(counted is None or count_of(adit, counted) > was)
        lab.equal(found, [comes] * 2, f"{whose} asks {whom} for {what}, in IPv4 and in IPv6")
        if counted:
            lab.check(all(counts), f"that is counted under {counted!r} in both", counts)

    for user, client in clients.items():
        redirects = client.guest.run("nstat -asz IcmpInRedirects Icmp6InRedirects").out
        lab.check(re.findall(r"Redirects +(\d+)", redirects) == ["0", "0"], f"nobody tells {user} of other ways between clients", redirects)
    check_sources(lab, bench, adit, clients["bob"], addresses)
    check_rates(lab, bench, adit, clients)

    for client in clients.values():
        client.hang_up()
    check_let_go(lab, adit, before)
    check_log(lab, adit)


def online(lab, bench, user, number):
    own = f"10.99.0.{2 + number}"
    guest = Guest(lab, user, bench.wire, bench.plug(f"c{number}"))
    guest.card("vec0", f"{own}/24")
    client = LinuxClient(guest, Profile(own, psk=PSK, user=user, password=USERS[user]), user)
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()
    guest.run(f"/run/guest/answer {' '.join(map(str, PORTS))} >/run/out/{user}.answers.log 2>&1 </dev/null &")
    guest.wait("it listens", f"grep -q listens /run/out/{user}.answers.log", 20)
    return client


def count_of(adit, name, of_rule="packets"):
    """What a rule or a counter of that name has counted."""
    status = adit.status()
    counts = {**status["counters"], **{rule["name"]: rule[of_rule] for rule in status["policy"]}}
    return counts[name] if name else None


def check_rates(lab, bench, adit, clients):
    """By TCP, each way in each family; a user's rate holds for the session that runs."""
    bench.iperf(lab)
    other = lab.keep(Daemon("iperf3", bench.host.inside("iperf3", "-s", "-p", "5202", "--forceflush"), lab.out / "iperf3-slow.log"))
    other.wait_said(re.compile("Server listening"), 10)
    free = [speed(clients["bob"], address, 5201, False, 3) for address in HOST]
    lab.note(f"without a rate: {free[0]:.0f} and {free[1]:.0f} Mbit/s")
    lab.check(min(free) > 30, "without a rate there is much more than 20 Mbit/s", free)
    adit.command("user", "set", "bob", "--rate", "20Mbit")
    wait_for("the server reads the users again", lambda: "users file read again" in adit.log(), 30)
    for user, port, rate, counted in (("bob", 5201, 20, "rate_exceeded"), ("alice", 5202, 10, "slow")):
        for address in HOST:
            for reverse in (False, True):
                was = count_of(adit, counted, "over_rate")
                found = speed(clients[user], address, port, reverse, 8)
                lab.check(0.85 * rate < found < 1.05 * rate,
                          f"{user} {'gets' if reverse else 'sends'} {found:.1f} Mbit/s of {rate}, with {address}", found)
                lab.check(count_of(adit, counted, "over_rate") > was, f"what was more is counted under {counted!r}")


def speed(client, address, port, reverse, seconds):
    """Mbit/s of what TCP delivers."""
    done = client.guest.run(f"iperf3 -c {address} -p {port} -t {seconds} {'-R' * reverse} -J", seconds=60, check=False)
    try:
        return json.loads(done.out)["end"]["sum_received"]["bits_per_second"] / 1e6
    except (ValueError, KeyError):
        raise Failed(f"iperf3 with {address}: {done.out[-600:]}") from None


def check_sources(lab, bench, adit, client, addresses):
    """From addresses that are a neighbour's, nobody's and somebody's far away."""
    wire = Capture(lab, bench.host, "lan", "sources")
    forged = {4: [addresses["alice"][0], str(ipaddress.ip_network(POOL)[0x4321]), "198.51.100.7"],
              6: [addresses["alice"][1], str(ipaddress.ip_network(PREFIX)[0x4321 << 64 | 7]), "2001:db8:dead::7"]}
    for family, sources in forged.items():
        target = HOST[family == 6]
        for source in sources:
            was = count_of(adit, "ip_spoofed")
            client.guest.run(f"ip addr add {source}/{32 if family == 4 else 128} dev ppp0 {'nodad' * (family == 6)}")
            client.guest.run(f"ping -n -c 3 -i 0.2 -W 1 -I {source} {target}", check=False)
            client.guest.run(f"ip addr del {source}/{32 if family == 4 else 128} dev ppp0")
            lab.equal(count_of(adit, "ip_spoofed") - was, 3, f"IPv{family}: packets from {source} that go nowhere")
        lab.check(client.ping(target), f"IPv{family}: the client's own address still works", client.said)
    seen = {str(packet.source) for packet in wire.stop()}
    lab.check(not seen & {*forged[4], *forged[6]} and {*addresses["bob"]} <= seen,
              "behind the server only the client's own addresses are seen", seen)
