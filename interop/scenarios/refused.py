"""Who is refused hears why, the operator reads one clear line, and nothing is left behind."""

import re
from dataclasses import dataclass, field

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import LEVEL, PSK, USERS, Adit, check_let_go, check_log
from shell import Failed

LET_GO_SECONDS = 60  # half-open exchanges end by their own timer


@dataclass
class Case:
    name: str
    change: dict  # of the client's profile
    client_log: str  # charon or ppp
    answer: re.Pattern  # what the client must have been told
    operator: re.Pattern  # the one line that the operator must find
    fails_at: str  # "ipsec", "ppp", or "" when the session comes up
    pings: tuple = field(default=())  # what works nevertheless


def pattern(text):
    return re.compile(text, re.I)


CASES = [
    # Nobody has proved anything yet, so the answer cannot be protected: charon shows it and ignores it.
    Case("wrong-psk", {"psk": "something else"}, "charon",
         pattern(r"parsed INFORMATIONAL_V1 request \d+ \[ N\((AUTH_FAILED|PLD_MAL|INVAL_HASH)"),
         pattern(r"authentication failed: .*pre-shared key"), "ipsec"),
    Case("no-common-ike-proposal", {"ike": "3des-md5-modp1024"}, "charon",
         pattern(r"received NO_PROPOSAL_CHOSEN error notify"),
         pattern(r"phase 1 refused.*offered: 3DES.*allowed: AES.*ipsec.legacy.*3des-md5-modp1024.* in ipsec.ike"), "ipsec"),
    Case("no-common-esp-proposal", {"esp": "3des-md5"}, "charon",
         pattern(r"received NO_PROPOSAL_CHOSEN error notify"),
         pattern(r"Quick Mode refused.*offered: 3DES.*allowed: AES.*ipsec.legacy.*3des-md5.* in ipsec.esp"), "ipsec"),
    Case("wrong-password", {"password": "not this one"}, "ppp",
         pattern(r"rcvd \[CHAP Failure .*E=691"),
         pattern(r"login refused: wrong password.*alice"), "ppp"),
    Case("unknown-user", {"user": "mallory"}, "ppp",
         pattern(r"rcvd \[CHAP Failure .*E=691"),
         pattern(r"login refused: no such user.*mallory"), "ppp"),
    Case("ipv4-only", {"ipv6": False}, "ppp",
         pattern(r"sent \[LCP ProtRej .*80 57"),
         pattern(r"client refuses IPv6; IPv4 goes on"), "", (at.HOST4,)),
    Case("ipv6-only", {"ipv4": False}, "ppp",
         pattern(r"sent \[LCP ProtRej .*80 21"),
         pattern(r"client refuses IPv4; IPv6 goes on"), "", (at.HOST6,)),
]


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv)
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    for case in CASES:
        lab.note(f"-- {case.name}")
        try:
            attempt(lab, adit, guest, case)
        except Failed as problem:
            lab.check(False, f"{case.name}: stopped: {problem}")
            return
    check_log(lab, adit, [case.operator for case in CASES])


def attempt(lab, adit, guest, case):
    right = {"psk": PSK, "user": "alice", "password": USERS["alice"]}
    client = LinuxClient(guest, Profile("10.99.0.2", **{**right, **case.change}), case.name)
    before, mark = adit.holdings(), adit.mark()
    client.configure()
    up, text = client.secure(check=False)
    if case.fails_at == "ipsec":
        lab.check(not up, f"{case.name}: ipsec up fails", text)
    else:
        lab.check(up, f"{case.name}: ipsec up succeeds", text)
        client.dial()
    if case.fails_at == "ppp":
        guest.wait("pppd has ended", f"grep -q 'Connection terminated\\|Exit\\.' {client.ppp} && ! pidof pppd", 30)
        lab.check(not client.addresses(), f"{case.name}: the client got no address", client.addresses())
    elif not case.fails_at:
        works(lab, adit, client, case)
    log = getattr(client, case.client_log)
    lab.matches(client.read(log), case.answer, f"{case.name}: the client was told ({case.client_log}'s log)")
    client.hang_up()

    lines = [line for line in adit.lines_since(mark, ("WARN", "INFO")) if case.operator.search(line)]
    lab.check(len(lines) == 1, f"{case.name}: the operator finds one line: {LEVEL.split(lines[0])[-1].strip() if lines else ''}",
              lines or adit.lines_since(mark))
    check_let_go(lab, adit, before, LET_GO_SECONDS, f"{case.name}: in the end")


def works(lab, adit, client, case):
    """One family is missing: the other has to work."""
    client.wait_online()
    for address in case.pings:
        lab.check(client.ping(address), f"{case.name}: the other family works ({address})", client.said)
    session = adit.session()
    opened = {p: str(session[p]).lower() == "opened" for p in ("ipcp", "ipv6cp")}
    lab.equal(opened, {"ipcp": client.profile.ipv4, "ipv6cp": client.profile.ipv6}, f"{case.name}: sessions: what is opened")
