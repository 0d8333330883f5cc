"""pppd logs in by PAP, CHAP, MS-CHAPv2 and EAP (MD5, TLS), whichever the server asks for; a wrong proof by none."""

import re
from dataclasses import dataclass

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pki import Authority
from server import PSK, USERS, Adit, check_let_go, check_log


@dataclass
class Case:
    method: str  # as ppp.auth has it
    asked: str  # what pppd shows of the server's LCP request
    proof: str  # what pppd shows of its own answer
    accepted: str  # and of what it is told
    refused: str  # and with a wrong password


CASES = [
    Case("mschapv2", "<auth chap MS-v2>", r"sent \[CHAP Response", r"rcvd \[CHAP Success .*S=", r"rcvd \[CHAP Failure .*E=691"),
    Case("chap", "<auth chap MD5>", r"sent \[CHAP Response", r"rcvd \[CHAP Success", r"rcvd \[CHAP Failure"),
    Case("pap", "<auth pap>", r"sent \[PAP AuthReq", r"rcvd \[PAP AuthAck", r"rcvd \[PAP AuthNak"),
    Case("eap-md5", "<auth eap>", r"sent \[EAP Response .*MD5", r"rcvd \[EAP Success", r"rcvd \[EAP Failure"),
    Case("eap-tls", "<auth eap>", r"sent \[EAP Response .*TLS", r"rcvd \[EAP Success", r"rcvd \[EAP Failure"),
]


def run(lab):
    bench = Bench()
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    client = None
    for case in CASES:
        lab.note(f"-- {case.method}")
        adit = Adit(lab, bench.srv, name=case.method, ppp={"auth": [case.method], **(tls(lab) if case.method == "eap-tls" else {})})
        if case.method == "eap-tls":
            users = adit.folder / "users.toml"
            users.write_text(users.read_text().replace("[users.alice]", "[users.alice]\ncertificate = true"))
        if case.method in ("chap", "eap-md5"):
            adit.command("user", "passwd", "--clear", "alice", text_in=USERS["alice"] + "\n")
        before = adit.holdings()
        if client is None:
            client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"], eap=True))
            client.configure()
        client.log_in_as("alice", USERS["alice"], case.method, proof(lab, guest, case, "alice"))
        attempt(lab, adit, client, case)
        check_let_go(lab, adit, before, what=f"{case.method}: in the end")
        lab.equal(adit.stop(), 0, f"{case.method}: the server ends on SIGTERM with status")
        check_log(lab, adit, [re.compile(r"login refused: (wrong password|the certificate is of mallory).*alice")])


def attempt(lab, adit, client, case):
    client.secure()
    client.dial()
    client.wait_online()
    lab.check(client.ping(at.HOST4) and client.ping(at.HOST6), f"{case.method}: both families pass", client.said)
    said = client.read(client.ppp)
    for what in (re.escape(case.asked), case.proof, case.accepted):
        lab.matches(said, re.compile(what), f"{case.method}: pppd's log holds {what}")
    lab.check(USERS["alice"] not in adit.log(), f"{case.method}: no password is in the server's log")
    client.disconnect()

    client.log_in_as("alice", "not this one", f"{case.method}-wrong", proof(lab, client.guest, case, "mallory"))
    client.secure()
    client.dial()
    client.guest.wait("pppd gives up", f"grep -qE '{case.refused}' {client.ppp} && ! pidof pppd", 30)
    lab.check(not client.addresses(), f"{case.method}: a wrong password leads to no address")
    client.disconnect()


def tls(lab):
    """The server's part of EAP-TLS, and the certificates of clients beside it."""
    folder = lab.out / "pki"
    folder.mkdir(mode=0o700)
    authority = Authority(folder, "users")
    authority.leaf("server", "DNS:vpn.example", "serverAuth")
    (folder / "server.key").chmod(0o600)
    for name in ("alice", "mallory"):
        authority.leaf(name, f"email:{name}@example")
    return {"tls-certificate": str(folder / "server.pem"), "tls-key.file": str(folder / "server.key"), "tls-ca": [str(authority.cert)]}


def proof(lab, guest, case, name):
    """Options of pppd for a client with the certificate of `name`."""
    if case.method != "eap-tls":
        return ()
    folder = lab.out / "pki"
    files = {"ca": "users.pem", "cert": f"{name}.pem", "key": f"{name}.key"}
    for option, file in files.items():
        guest.put(f"/etc/ppp/tls-{option}.pem", (folder / file).read_text())
    return [f"{option} /etc/ppp/tls-{option}.pem" for option in files]
