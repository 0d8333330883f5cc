"""What a packet costs adit with one session and with many: CPU time of the server by packets, under the same
load. With many each datagram is of another session, so that the kernel joins none of them. And what many
sessions cost that carry nothing."""

import statistics
import time

import load
from server import Adit
from shell import Daemon, wait_for

# Echo requests a second, of all sessions together; as many answers come back. A server with less to do
# sleeps between any two packets, and it is the waking up that costs.
RATE = 40_000
SECONDS = 6
# How often each number of sessions gets its turn: medians of all turns count.
TURNS = 3
# What the cost with many sessions may be of that with one.
GOAL = 1.5

# How long the server is watched while its sessions carry nothing: keepalives of either side come once or
# twice in that time. And what it may take of one core and of memory with ten thousand of them.
SPELL = 60
IDLE_CORE, IDLE_MB = 0.03, 250


def measure(lab, client, server, known, many, cpu_seconds):
    """Result: {sessions: {"us": CPU time for each packet, "rate": packets in a second}}."""
    turns = [{sessions: cost(lab, client, server, known, f"{sessions}-{turn}", sessions, cpu_seconds) for sessions in (1, many)}
             for turn in range(TURNS)]
    return {sessions: {key: statistics.median(turn[sessions][key] for turn in turns) for key in ("us", "rate")} for sessions in (1, many)}


def idle(lab, client, server, known, many, cpu_seconds):
    """Result: {"core": the part of one that the server takes, "mb": its memory in MB}."""
    wait_for("no session is left", lambda: server.adit.holdings()["sessions"] == 0, 120)
    words = [lab.binary, "bench", server.address, *known, "--sessions", many, "--no-traffic", "--hold", f"{SPELL + 30}s"]
    running = lab.keep(Daemon("adit bench", client.inside(*words), lab.out / "idle.log", env=Adit.environment()))
    wait_for(f"{many} sessions are up", lambda: server.adit.holdings()["sessions"] == many, 300)
    pid = server.daemon.process.pid
    # What the set-ups left to do is not what is asked for.
    wait_for("the server comes to rest", lambda: share(pid, 1, cpu_seconds) < 0.2, 60)
    found = {"core": share(pid, SPELL, cpu_seconds), "mb": load.resident(pid) * 1024 / 1e6}
    wait_for("they hang up", lambda: not running.running, 120)
    return found


def share(pid, seconds, cpu_seconds):
    """The part of one core that a process takes in that time."""
    spent = -cpu_seconds(pid)
    time.sleep(seconds)
    return (spent + cpu_seconds(pid)) / seconds


def cost(lab, client, server, known, name, sessions, cpu_seconds):
    words = [lab.binary, "bench", server.address, *known, "--sessions", sessions, "--without-ipv6", "--target", server.hosts["ipv4"],
             "--size", 1000, "--rate", RATE, "--spell", f"{SECONDS + 10}s"]
    running = lab.keep(Daemon("adit bench", client.inside(*words), lab.out / f"growth-{name}.log", env=Adit.environment()))

    def packets():
        counters = server.adit.status()["counters"]
        return counters["ip_in"] + counters["ip_out"]

    def flows():
        before = packets()
        time.sleep(0.5)
        return packets() - before > RATE / 2
    wait_for(f"{sessions} sessions are up and send", flows, 300)
    pid = server.daemon.process.pid
    spent, carried = -cpu_seconds(pid), -packets()
    time.sleep(SECONDS)
    spent, carried = spent + cpu_seconds(pid), carried + packets()
    wait_for("they hang up", lambda: not running.running, 120)
    return {"us": spent / carried * 1e6, "rate": carried / SECONDS}


def report(many, costs, idle):
    """The costs and their ratio, and those of idle sessions, as lines."""
    one, most = costs[1], costs[many]
    yield (f"CPU of the server for a packet: {one['us']:.2f} us with 1 session at {one['rate']:.0f} packets a second, "
           f"{most['us']:.2f} us with {many} at {most['rate']:.0f}: {most['us'] / one['us']:.2f} times as much ({GOAL} is the most)")
    yield (f"{many} sessions that carry nothing: {idle['core']:.2%} of a core, {idle['mb']:.0f} MB "
           f"({IDLE_CORE:.0%} and {IDLE_MB} MB are the most with 10000)")
