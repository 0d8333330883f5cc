"""Two servers, one client: throughput each way in each family, and what it costs the server; then many
sessions at once, see load.py and growth.py. And the bare loop in the same run, the least that carrying packets can
cost: how much of its goodput per core adit reaches.

The client is `adit connect` in a namespace of its own, with AES-256-CBC and HMAC-SHA-1 for both, or
the other end of the bare loop. The other end of the traffic is a host behind the server, by cable behind
adit and the bare loop, by a bridged TAP behind SoftEther. Servers take turns, so that all see the same machine.
"""

import argparse
import json
import os
import re
import statistics

import bare_loop
import bench as at
import growth
import load
import softether
from bench import Bench
from net import Namespace, cable
from server import PSK, USERS, Adit
from shell import Daemon, Failed, wait_for

USER = "alice"
OFFER = ["--ike", "aes256-sha1-modp2048", "--esp", "aes256-sha1"]
# What adit is to reach of the bare loop's goodput per core.
GOAL = 0.7
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """Of a process and of all that it has started."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and descends(int(entry), pid):
            with open(f"/proc/{entry}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICK


def descends(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            with open(f"/proc/{pid}/stat") as stat:
                pid = int(stat.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return False
    return False


class Server:
    """What is compared: a name, its outer address, the host behind it by family, and its process."""

    def __init__(self, name, address, hosts, daemon):
        self.name, self.address, self.hosts, self.daemon = name, address, hosts, daemon

    def dial(self, lab, client):
        """A connection with each family up; it has a stop()."""
        words = [lab.binary, "connect", self.address, "--user", USER, "--password-file", lab.out / "bench-password",
                 "--psk-file", lab.out / "bench-psk", "--no-dns", *OFFER]
        log = lab.out / f"connect-{self.name}.log"
        log.unlink(missing_ok=True)
        dialled = lab.keep(Daemon("adit connect", client.inside(*words), log, env=Adit.environment()))
        for family in self.hosts:
            name = "IPv4" if family == "ipv4" else "IPv6"
            wait_for(f"{name} is up", lambda: re.search(f"{name} up", dialled.said()), 30)
        return dialled


class BareLoop:
    """The same of the bare loop, whose inner packets are as large as those of adit's sessions."""

    name = "bare-loop"
    hosts = {"ipv4": at.HOST4, "ipv6": at.HOST6}

    def __init__(self, lab, program, bench, adit):
        self.program, self.adit = program, adit
        self.end = bare_loop.serve(lab, program, bench)
        self.daemon = self.end.daemon

    def dial(self, lab, client):
        return bare_loop.dial(lab, self.program, client, self.end, self.adit.mtu)


class AditServer(Server):
    """adit, which knows how large the packets of its session are."""

    def __init__(self, adit):
        super().__init__("adit", at.SERVER4, {"ipv4": at.HOST4, "ipv6": at.HOST6}, adit.daemon)
        self.adit, self.mtu = adit, None

    def dial(self, lab, client):
        dialled = super().dial(lab, client)
        self.mtu = self.adit.session(USER)["mtu"]
        return dialled


def servers(lab, bench):
    """Those that are compared, by each other."""
    yield AditServer(Adit(lab, bench.srv, log={"level": "info"}, ipv4={"dns": [at.HOST4]}, ipv6={"dns": [at.HOST6]}))
    daemon = softether.start(lab, bench, USER, USERS[USER], PSK)
    yield Server("softether", softether.ADDRESS, {"ipv4": softether.HOST}, daemon)


def run(lab, program, seconds, rounds, sessions, many):
    """`program`: the bare loop. Result: {server: {family: {direction: {"mbit": ..., "cpu_s_per_gb": ...}}}}, medians of all
    rounds, and what else was asked for: "of_ipv4", see `beside_ipv4`, "sessions" as {server: what load.measure gives},
    "us_per_packet" and "idle", see growth.py."""
    bench = Bench()
    client = Namespace("laptop")
    cable(client, "wifi", bench.wire, "to-laptop")
    bench.wire.ip("link set to-laptop master switch")
    client.address("wifi", "10.99.0.8/24", "fd99::8/64")
    for file, text in (("bench-psk", PSK), ("bench-password", USERS[USER])):
        (lab.out / file).write_text(text + "\n")
    iperf = [bench.iperf(lab)]
    found = {}
    every = list(servers(lab, bench))
    iperf.append(softether.iperf(lab))
    bare = BareLoop(lab, program, bench, every[0])
    for number in range(rounds):
        for server in [*every, bare]:
            lab.note(f"-- round {number + 1}, {server.name}")
            for family, way, mbit, cost in measure(lab, client, server, seconds, list(server.hosts)[:: -1 if number % 2 else 1]):
                lab.note(f"{server.name:<10} {family} {way:<4} {mbit:7.0f} Mbit/s  {cost:6.2f} CPU s/GB")
                found.setdefault(server.name, {}).setdefault(family, {}).setdefault(way, []).append((mbit, cost))
    if rounds:
        lab.note(f"packets of the bare loop: {bare.end.stop()}")
    known = ["--user", USER, "--password-file", lab.out / "bench-password", "--psk-file", lab.out / "bench-psk", *OFFER]
    more = {"of_ipv4": beside_ipv4(found.get("adit", {}))}
    if sessions:
        more["sessions"] = {server.name: load.measure(lab, client, server, known, sessions) for server in every}
    if many:
        # The first: what the process once had it does not give back to the system.
        more["idle"] = growth.idle(lab, client, every[0], known, many, cpu_seconds)
        more["us_per_packet"] = growth.measure(lab, client, every[0], known, many, cpu_seconds)
    found = {name: {family: {way: {"mbit": statistics.median(m for m, _ in runs), "cpu_s_per_gb": statistics.median(c for _, c in runs)}
                            for way, runs in ways.items()} for family, ways in families.items()} for name, families in found.items()}
    return found, more


def beside_ipv4(families):
    """Throughput with IPv6 inside over that with IPv4 right before or after it, as {direction: median of all rounds}."""
    return {way: statistics.median(six / four for (four, _), (six, _) in zip(runs, families["ipv6"][way], strict=True))
            for way, runs in families.get("ipv4", {}).items()}


def measure(lab, client, server, seconds, families):
    """One connection; gives (family, direction, Mbit/s, CPU seconds of the server per GB). Transfers of both families
    follow each other in each direction: the machine changes with time."""
    dialled = server.dial(lab, client)
    for family in families:
        wait_for("the host answers", lambda: client.run("ping", "-n", "-c", "1", "-W", "1", server.hosts[family], check=False).returncode == 0, 15)
    for way, more in (("up", []), ("down", ["-R"])):
        for family in families:
            host = server.hosts[family]
            before = cpu_seconds(server.daemon.process.pid)
            done = client.run("iperf3", "-c", host, "-t", str(seconds), "-O", "1", "-J", *more, check=False, seconds=seconds + 30)
            spent = cpu_seconds(server.daemon.process.pid) - before
            try:
                end = json.loads(done.stdout)["end"]["sum_received"]
            except (ValueError, KeyError):
                raise Failed(f"iperf3 {way} with {host}: {done.stdout[-600:]}") from None
            # The first second is left out of the rate, and is as costly as the others.
            moved = end["bits_per_second"] * (seconds + 1) / 8e9
            yield family, way, end["bits_per_second"] / 1e6, spent / moved if moved else float("inf")
    dialled.stop()


def share(found):
    """adit's goodput per core over that of the bare loop, as {family: {direction: ...}}."""
    bare = found.get(BareLoop.name, {})
    return {family: {way: bare[family][way]["cpu_s_per_gb"] / mine["cpu_s_per_gb"] for way, mine in ways.items()}
            for family, ways in found.get("adit", {}).items() if family in bare}


def report(found, of_ipv4):
    """All servers, adit against each, and its IPv6 against its IPv4, as lines."""
    yield f"{'':<12}{'':<6}{'adit':>10}{'SoftEther':>12}{'ratio':>8}{'bare loop':>12}{'share':>8}"
    for family, ways in found.get("adit", {}).items():
        for way, mine in ways.items():
            theirs = found["softether"].get(family, {}).get(way)
            bare = found[BareLoop.name][family][way]
            for key, name, better in (("mbit", "Mbit/s", 1), ("cpu_s_per_gb", "CPU s/GB", -1)):
                other = f"{theirs[key]:>12.2f}{(mine[key] / theirs[key]) ** better:>8.1f}" if theirs else f"{'-':>12}{'-':>8}"
                of_bare = (mine[key] / bare[key]) ** better
                yield f"{family} {way:<6} {name:<9}{mine[key]:>8.2f}{other}{bare[key]:>12.2f}{of_bare:>8.0%}"
    parts = [f"{family} {way} {part:.0%}" for family, ways in share(found).items() for way, part in ways.items()]
    if parts:
        yield f"goodput per core, of the bare loop's ({GOAL:.0%} is the goal): {', '.join(parts)}"
    if of_ipv4:
        parts = [f"{way} {ratio - 1:+.1%}" for way, ratio in of_ipv4.items()]
        yield f"throughput of adit with IPv6 inside, against IPv4 in the same round: {', '.join(parts)}"


def main(lab, program, words):
    parser = argparse.ArgumentParser(prog="interop/bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="length of each transfer")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server gets its turn")
    parser.add_argument("--sessions", type=int, default=load.MOST, choices=range(load.MOST + 1), metavar="N",
                        help=f"sessions at once, for set-ups a second and memory; 0: none, at most {load.MOST}")
    parser.add_argument("--many", type=int, default=10_000, metavar="N", help="sessions at once with adit, for the cost of a packet beside one session, and for what they take while idle; 0: none")
    parser.add_argument("--out", help="also write the figures here, as JSON")
    parser.add_argument("--plot", help="also draw them here, as SVG")
    options = parser.parse_args(words)
    found, more = run(lab, program, options.seconds, options.rounds, options.sessions, options.many)
    lines = [*report(found, more["of_ipv4"])]
    if options.sessions:
        lines += load.report(more["sessions"])
    if options.many:
        lines += growth.report(options.many, more["us_per_packet"], more["idle"])
    for line in lines:
        print(line, flush=True)
    if options.out:
        with open(options.out, "w") as file:
            json.dump(found | more | {"of_bare_loop": share(found), "of_bare_loop_goal": GOAL}, file, indent=2)
    if options.plot:
        with open(options.plot, "w") as file:
            file.write(load.drawing(found, more.get("sessions", {}), share(found), GOAL))
