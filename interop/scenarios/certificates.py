"""Clients with RSA and ECDSA certificates, alone and in a chain; revoked and strange ones are refused."""

import re
from dataclasses import dataclass

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from pcap import Capture
from pki import Authority
from server import USERS, Adit, check_let_go, check_log

SERVER = "vpn.example"
FRAGMENT = 132  # the payload type of fragments of IKEv1 messages
LET_GO_SECONDS = 60


@dataclass
class Case:
    name: str  # also of the certificate
    authority: str
    auth: str  # what adit calls the method
    chain: bool = False
    identity: str = ""  # the subject, unless it is said
    refused: re.Pattern = None  # the line that the operator finds


def refusal(why):
    return re.compile(rf"certificate refused.*{why}", re.I)


RSA = [
    Case("rsa", "root", "rsa"),
    Case("chain", "intermediate", "rsa", chain=True, identity="chain.example"),
    Case("revoked", "root", "rsa", refused=refusal("revoked")),
    Case("stranger", "strange", "rsa", refused=refusal("issued by .*strange.*no configured authority")),
]
ECDSA = [Case("p256", "curve", "ecdsa-256", identity="p256.example")]


def run(lab):
    folder = lab.out / "pki"
    folder.mkdir(mode=0o700)
    root = Authority(folder, "root")
    ca = {"root": root, "intermediate": Authority(folder, "intermediate", parent=root),
          "strange": Authority(folder, "strange"), "curve": Authority(folder, "curve", "p256")}
    serials = {case.name: ca[case.authority].leaf(case.name, f"DNS:{case.name}.example") for case in RSA + ECDSA}
    names = f"DNS:{SERVER},IP:{at.SERVER4}"
    ca["intermediate"].leaf("server-rsa", names, "serverAuth")
    ca["curve"].leaf("server-p256", names, "serverAuth")
    for name, authority in ca.items():
        authority.revoke(*([serials["revoked"]] if name == "root" else []))
    chain = folder / "server-rsa-chain.pem"
    chain.write_text((folder / "server-rsa.pem").read_text() + ca["intermediate"].cert.read_text())

    bench = Bench()
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    for own, key, trusted, cases in ((chain, "server-rsa", ["root", "intermediate"], RSA),
                                     (folder / "server-p256.pem", "server-p256", ["curve"], ECDSA)):
        (folder / f"{key}.key").chmod(0o600)
        adit = Adit(lab, bench.srv, name=key, ipsec={
            "certificate": str(own), "key.file": str(folder / f"{key}.key"),
            # the intermediate is not believed by itself: it has to come with its chain
            "ca": [str(ca[name].cert) for name in trusted if name != "intermediate"],
            "crl": [str(ca[name].crl) for name in trusted]})
        for case in cases:
            lab.note(f"-- {case.name}")
            attempt(lab, bench, adit, guest, folder, ca, key, case)
        lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
        check_log(lab, adit, [case.refused for case in cases if case.refused])


def attempt(lab, bench, adit, guest, folder, ca, own, case):
    """`own`: the name of the server's certificate."""
    before, mark = adit.holdings(), adit.mark()
    counters = adit.status()["counters"]
    wire = Capture(lab, bench.srv, "outer", f"outer-{case.name}")
    profile = Profile("10.99.0.2", user="alice", password=USERS["alice"])
    client = LinuxClient(guest, profile, case.name)
    guest.run("rm -rf /etc/ipsec.d; mkdir -p /etc/ipsec.d/cacerts /etc/ipsec.d/certs /etc/ipsec.d/private")
    for name in {case.authority, "root", "curve"}:
        # What strongSwan finds here it believes, and sends along with certificates that it issued
        guest.put(f"/etc/ipsec.d/cacerts/{name}.pem", ca[name].cert.read_text())
    guest.put("/etc/ipsec.d/certs/client.pem", (folder / f"{case.name}.pem").read_text())
    guest.put("/etc/ipsec.d/private/client.key", (folder / f"{case.name}.key").read_text())
    identity = {"leftid": "@" + case.identity} if case.identity else {}
    kind = "RSA" if case.auth == "rsa" else "ECDSA"
    client.configure({"cert": {
        "authby": "pubkey", "leftcert": "client.pem", "leftsendcert": "always", "rightid": f'"CN={own}"',
        "fragmentation": "yes", **identity}}, secrets=f": {kind} client.key")
    up, text = client.secure(check=False, connection="cert")
    if case.refused:
        lab.check(not up, f"{case.name}: ipsec up fails", text)
        lines = [line for line in adit.lines_since(mark, ("WARN", "INFO")) if case.refused.search(line)]
        why = lines[0].split("WARN")[-1].strip() if lines else ""
        lab.check(len(lines) == 1, f"{case.name}: the operator finds one line: {why}", adit.lines_since(mark))
        failed = adit.status()["counters"]["ike_authentication_failed"] - counters["ike_authentication_failed"]
        lab.equal(failed, 1, f"{case.name}: the server counted a failed authentication")
    elif lab.check(up, f"{case.name}: ipsec up succeeds", text):
        client.dial()
        client.wait_online()
        lab.check(client.ping(at.HOST4) and client.ping(at.HOST6), f"{case.name}: both families pass", client.said)
        session = adit.session()
        lab.equal(session["ike"]["auth"], case.auth, f"{case.name}: sessions: auth")
        lines = adit.lines_since(mark)
        lab.check(any(f'"CN={case.name}"' in line for line in lines), f"{case.name}: the log names the subject", lines)
        charon = client.read(client.charon)
        lab.matches(charon, re.compile(rf"authentication of 'CN=server-.*' with {kind}.* successful"), f"{case.name}: the client checked the server's signature")
    client.hang_up()
    check_let_go(lab, adit, before, LET_GO_SECONDS, f"{case.name}: in the end")

    packets = wire.stop()
    fragments = {str(p.source): sum(1 for q in packets if q.source == p.source and q.ike == FRAGMENT) for p in packets if p.protocol == 17}
    lab.note(f"IKE fragments: {fragments}")
    if case.chain:
        lab.check(all(fragments.get(end, 0) >= 2 for end in ("10.99.0.2", at.SERVER4)), f"{case.name}: both ends sent IKE messages in fragments", fragments)
        longest = max(p.length for p in packets if p.ike)
        lab.check(longest <= 1280, f"{case.name}: no IKE packet is longer than 1280 bytes: {longest}", longest)
        lab.check(not any(p.fragment for p in packets), f"{case.name}: no IP fragment crossed the wire")
