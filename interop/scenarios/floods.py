"""A flood of junk, as fast as it comes, costs sessions neither their life nor their throughput, and keeps nobody out."""

import ipaddress
import json
import os
import re
import statistics
import time

import bench as at
import junk
from bench import Bench
from compare import cpu_seconds
from net import Namespace, cable
from pcap import Capture, datagrams
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import Daemon, Failed, ping, wait_for

ALONE = True  # what another scenario took of the processors would count as the cost of the flood

CLIENTS = {"alice": "10.99.0.8", "bob": "10.99.0.9"}
# Strangers; what the server answers them ends at the sender.
FORGED = "10.128.0.0/9"
NEIGHBOURS = "10.99.0.128/25"  # may speak L2TP without IPsec
SINK = "10.99.0.77"
EACH = 4_000  # datagrams of each kind, alone
ROUNDS, SPELL = 5, 4  # how often both are measured, for how many seconds
LOST_AT_MOST = 0.20
LINES_PER_SECOND = 20  # about strangers, as crates/adit-server/src/control/budget.rs has it
GROWTH = 32 << 10  # KiB of memory
UP = [re.compile("IPv4 up"), re.compile("IPv6 up")]
EXPECTED = [re.compile("refused"), re.compile(r"`l2tp.plain-from`: lets in")]


def run(lab):
    own, others = processors()
    os.sched_setaffinity(0, others)  # and all that is started from here
    bench = Bench()
    bench.iperf(lab)
    adit = Adit(lab, bench.srv, log={"level": "info"}, l2tp={"plain-from": [NEIGHBOURS]})
    for thread in os.listdir(f"/proc/{adit.daemon.process.pid}/task"):
        os.sched_setaffinity(int(thread), own)
    sender = junk.Sender(lab, bench.wire, "junk", "10.99.0.66/24", "fd99::66/64")
    bench.srv.ip(f"route add {FORGED} via 10.99.0.66")
    homes = {user: home(bench, user, address) for user, address in CLIENTS.items()}
    before = adit.holdings()
    capture = Capture(lab, bench.srv, "outer", "outer", "udp", snap=2000)
    clients = {"alice": dial(lab, homes["alice"], "alice")}
    homes["alice"].run("ping", "-n", "-c", "5", "-i", "0.1", at.HOST4)
    capture.stop()
    overheard = junk.Overheard(list(datagrams(capture.path)), ipaddress.ip_address(CLIENTS["alice"]))
    kinds = junk.kinds(overheard, FORGED, NEIGHBOURS)
    victim = (junk.mac(bench.srv, "outer"), at.SERVER4)
    held = life(adit)
    memory, mark, started = resident(adit), adit.mark(), time.monotonic()

    counted(lab, adit, sender, victim, kinds)
    throughput(lab, bench, adit, sender, victim, kinds, homes["alice"])
    clients["bob"] = connect(lab, sender, victim, kinds, homes["bob"])

    lab.equal(life(adit), held, "the session that was there before the floods is the same, with the same SAs")
    lab.check(adit.session("bob"), "and so is the one that came meanwhile")
    for address in (at.HOST4, at.HOST6):
        for user, there in homes.items():
            done = there.run(*ping(address), check=False)
            lab.check(" 3 received" in done.stdout, f"{user} reaches {address}", done.stdout)
    grown = resident(adit) - memory
    lab.check(grown < GROWTH, f"the server grew by {grown >> 10} MiB, and at most by {GROWTH >> 10}", grown)
    lines, allowed = len(adit.log()[mark:].splitlines()), LINES_PER_SECOND * (time.monotonic() - started) + 100
    lab.check(lines < allowed, f"its log grew by {lines} lines, which is a number of seconds and not of datagrams", allowed)
    for user, client in clients.items():
        lab.check("connection is lost" not in client.said(), f"{user}'s client never had to connect again")
        lab.equal(client.stop(), 0, f"{user}'s client ends on SIGTERM with status")
    check_let_go(lab, adit, before, seconds=60)
    check_log(lab, adit, EXPECTED)


def home(bench, user, address):
    there = Namespace(user)
    cable(there, "wifi", bench.wire, f"to-{user}")
    bench.wire.ip(f"link set to-{user} master switch")
    there.address("wifi", f"{address}/24")
    return there


def dial(lab, there, user, seconds=20):
    for file, text in (("psk", PSK), (f"password-{user}", USERS[user])):
        (lab.out / file).write_text(text + "\n")
    words = [lab.binary, "connect", at.SERVER4, "--user", user, "--password-file", lab.out / f"password-{user}",
             "--psk-file", lab.out / "psk", "--no-dns"]
    client = lab.keep(Daemon(f"{user}'s adit connect", there.inside(*words), lab.out / f"{user}.log", env=Adit.environment()))
    for line in UP:
        client.wait_said(line, seconds)
    return client


def life(adit, user="alice"):
    """What would change if a session had to be made again."""
    session = adit.session(user)
    return {key: session[key] for key in ("id", "connected_at", "peer", "ipv4", "ipv6_prefixes")}


def resident(adit):
    """Memory of the server, in KiB."""
    with open(f"/proc/{adit.daemon.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])


def tally(adit):
    """What the server counted, and what it holds."""
    status = adit.status()
    return {**status["gauges"], **status["counters"]}


def counted(lab, adit, sender, victim, kinds):
    """Some of each kind, alone and no faster than anything reads: all of them turn up in the counters."""
    for kind in kinds:
        before = tally(adit)
        sent = sender.send(victim, [kind.line()], EACH / 20_000, 20_000)
        sent = int(sum(count for name, count in sent.items() if name != "seconds"))

        def seen(kind=kind, before=before):
            now = tally(adit)
            return sum(now[name] - before[name] for name in kind.counters)
        try:
            wait_for("all are counted", lambda: seen() >= sent * 0.99, 5)
        except Failed:
            pass  # the check says it
        lab.check(sent * 0.99 <= seen() <= sent * 1.01, f"{sent} of {kind.name} are counted as {' or '.join(kind.counters)}", seen())


def throughput(lab, bench, adit, sender, victim, kinds, client):
    """What the flood takes of the session's TCP throughput, each way.

    The sender, the client and both ends of the traffic share all processors but the one that the server
    has for itself. So that what the sender takes from the client does not count, the flood is never off:
    in every second spell it goes to a host of its own, whose sockets take in nothing.
    """
    sink = Namespace("sink")
    cable(sink, "out", bench.wire, "to-sink")
    bench.wire.ip("link set to-sink master switch")
    sink.address("out", f"{SINK}/24")
    deaf = lab.keep(Daemon("sink", sink.inside("python3", "-c", DEAF, "500", "1701", "4500"), lab.out / "sink.log"))
    deaf.wait_said(re.compile("deaf"), 10)
    targets = {"elsewhere": (junk.mac(sink, "out"), SINK), "at the server": victim}
    rates = {(way, target): [] for way in ("up", "down") for target in targets}
    junk_seen, spent = {target: 0 for target in targets}, {target: 0 for target in targets}
    for number in range(ROUNDS):
        for way, more in (("up", []), ("down", ["-R"])):
            # Each goes first as often as last
            for target in sorted(targets, reverse=number % 2):
                before = cpu_seconds(adit.daemon.process.pid)
                flood = sender.start(targets[target], [kind.line() for kind in kinds], SPELL + 1.5, 0)
                done = client.run("iperf3", "-c", at.HOST4, "-t", str(SPELL), "-O", "0.5", "-J", "--connect-timeout", "5000", *more,
                                  check=False, seconds=SPELL + 30)
                sent = sender.finish(flood, SPELL + 10)
                spent[target] += cpu_seconds(adit.daemon.process.pid) - before
                junk_seen[target] += sum(count for name, count in sent.items() if name != "seconds") / sent["seconds"] / ROUNDS / 2
                found = json.loads(done.stdout)
                if "end" not in found or "sum_received" not in found["end"]:
                    lab.check(False, f"round {number + 1}, {way}, the flood {target}: the transfer comes to its end", done.stdout[-600:])
                    continue
                rates[way, target].append(found["end"]["sum_received"]["bits_per_second"] / 1e6)
    for target, rate in junk_seen.items():
        lab.note(f"flood {target}: {rate / 1e3:.0f}k datagrams a second, {spent[target]:.1f} CPU seconds of the server")
    for way in ("up", "down"):
        calm, flooded = (statistics.median(rates[way, target] or [0]) for target in targets)
        lab.note(f"{way}: {calm:.0f} Mbit/s with the flood elsewhere {[round(r) for r in rates[way, 'elsewhere']]}, "
                 f"{flooded:.0f} with it at the server {[round(r) for r in rates[way, 'at the server']]}")
        lab.check(flooded > (1 - LOST_AT_MOST) * calm > 0, f"{way}: the flood costs the session {100 * (1 - flooded / max(calm, 1)):.0f} % of its throughput",
                  f"{flooded:.0f} of {calm:.0f} Mbit/s")


# Takes nothing out of its sockets, whose queues are as short as they can be.
DEAF = """
import socket, sys, time
held = []
for port in sys.argv[1:]:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    one.bind(("0.0.0.0", int(port)))
    held.append(one)
print("deaf", flush=True)
while True:
    time.sleep(3600)
"""


def processors():
    """One for the server, and those for all others: the same where there is one only."""
    every = sorted(os.sched_getaffinity(0))
    return every[:1], every[1:] or every


def connect(lab, sender, victim, kinds, there):
    """Somebody comes while the flood goes on."""
    flood = sender.start(victim, [kind.line() for kind in kinds], 30, 0)
    started = time.monotonic()
    client = dial(lab, there, "bob", 25)
    lab.check(flood.running, f"somebody new connects during the flood, in {time.monotonic() - started:.1f} s")
    flood.stop()
    return client
