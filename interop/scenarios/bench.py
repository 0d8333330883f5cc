"""`adit bench` loads adit with many sessions, measures both families, and leaves nothing on the server."""

import json
import os
import re

import bench as at
from bench import Bench
from load import resident
from net import Namespace, cable
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import Failed, wait_for

SESSIONS = 40
# Set up and ended, that many times SESSIONS
CYCLES = 8
# KB that the server may take more after them: a session that stays takes more than 10, each
GROWTH = 3072


def run(lab):
    bench = Bench()
    # Its log is not to be the bottleneck.
    adit = Adit(lab, bench.srv, log={"level": "info"})
    load = Namespace("load")
    cable(load, "outside", bench.wire, "to-load")
    bench.wire.ip("link set to-load master switch")
    load.address("outside", "10.99.0.8/24", "fd99::8/64")
    psk, password = lab.out / "psk", lab.out / "password"
    psk.write_text(PSK + "\n")
    password.write_text(USERS["alice"] + "\n")
    before = adit.holdings()

    def ask(name, host, *words):
        """Result: exit status, the report, and what was said beside it."""
        known = ["--user", "alice", "--password-file", password, "--psk-file", psk, "--ike", "aes256-sha256-ecp256", "--json"]
        done = load.run(lab.binary, "bench", host, *known, *words, check=False, seconds=120)
        (lab.out / f"{name}.json").write_text(done.stdout)
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    for family, server in (("IPv4", at.SERVER4), ("IPv6", at.SERVER6)):
        status, told, said = ask(f"over-{family}", server, "--sessions", str(SESSIONS), "--spell", "2s", "--rate", "500",
                                 "--target", at.HOST4, "--target", at.HOST6)
        if not lab.equal(status, 0, f"over {family}: exit status"):
            lab.note(said)
            continue
        lab.equal((told["setups"]["up"], told["setups"]["failed"]), (SESSIONS, 0), f"over {family}: sessions up and failed")
        lab.note(f"{SESSIONS / told['setups']['seconds']:.0f} set-ups a second, median {told['setups']['milliseconds']['p50']:.0f} ms")
        lab.equal([(row["family"], row["size"]) for row in told["traffic"]],
                  [("ipv4", 128), ("ipv4", 1280), ("ipv6", 128), ("ipv6", 1280)], f"over {family}: spells of traffic")
        for row in told["traffic"]:
            what = f"over {family}, inside {row['family']}, {row['size']} bytes"
            lab.equal(row["sessions"], SESSIONS, f"{what}: sessions that sent")
            lab.check(900 <= row["sent"] <= 1000 and row["received"] >= 0.99 * row["sent"], f"{what}: as many as asked for, and all came back", row)
        lab.equal(told["ended"], {"clean": SESSIONS, "unanswered": 0}, f"over {family}: how they ended")
        check_let_go(lab, adit, before, seconds=60, what=f"over {family}: at the end")

    check_cycles(lab, adit, ask, before)

    status, told, _ = ask("end-of-tunnel", at.SERVER4, "--sessions", "2", "--spell", "1s", "--hold", "1s", "--size", "100", "--rate", "100")
    lab.check(status == 0 and all(row["lost"] == 0 for row in told["traffic"]), "without a target the far end of each tunnel answers", told)

    password.write_text("not this one\n")
    status, told, said = ask("refused", at.SERVER4, "--sessions", "2")
    lab.equal((status, told["setups"]["failed"], told["traffic"]), (1, 2, []), "with a wrong password: exit status, failures, traffic")
    lab.check(all(why.startswith("authentication: ") for why in told["setups"]["failures"]), "which fail at authentication", told["setups"]["failures"])
    lab.check("2 of 2 sessions did not come up" in said, "and it says so", said)
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    check_log(lab, adit, [re.compile("authentication failed"), re.compile("login refused: wrong password")])


def check_cycles(lab, adit, ask, idle):
    """The kernel and the process hold after many set-ups what they held after the first ones; `idle` is what the server holds of nobody."""
    pid = adit.daemon.process.pid

    def held():
        rules = adit.namespace.run("nft", "--stateless", "list", "ruleset").stdout
        return {**adit.holdings(), "rules": rules, "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
    for number in range(CYCLES + 1):
        if number == 1:
            check_let_go(lab, adit, idle, seconds=60, what="after the first set-ups")
            before, memory = held(), resident(pid)
        status, told, said = ask(f"cycle-{number}", at.SERVER4, "--sessions", str(SESSIONS), "--no-traffic")
        if not lab.equal((status, told["setups"]["up"], told["ended"]["clean"]), (0, SESSIONS, SESSIONS), f"cycle {number}: up and ended"):
            lab.note(said)
            return
    what = f"after {CYCLES * SESSIONS} set-ups descriptors, routes, firewall, SAs and leases are what they were"
    try:
        wait_for(what, lambda: held() == before, 60)
        left = None
    except Failed:
        now = held()
        left = {name: (value, now[name]) for name, value in before.items() if now[name] != value}
    lab.check(not left, what, f"(before, now): {left}")
    grown = resident(pid) - memory
    lab.check(grown < GROWTH, f"and it has not grown ({grown} KB)", f"{memory} KB before")
