"""One client connects again and again, each time with other ciphers, in UDP and as protocol 50."""

import re
from dataclasses import dataclass

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import Failed

CIPHERS = {"aes128": "AES-CBC-128", "aes256": "AES-CBC-256", "aes128gcm16": "AES-GCM-128", "aes256gcm16": "AES-GCM-256"}
HASHES = {"sha1": "SHA1", "sha256": "SHA2-256", "sha384": "SHA2-384"}
MACS = {"sha1": "HMAC-SHA1-96", "sha256": "HMAC-SHA2-256-128", "sha384": "HMAC-SHA2-384-192"}
GROUPS = {"modp2048": "MODP-2048", "ecp256": "ECP-256", "ecp384": "ECP-384"}
CHARON_GROUPS = {"modp2048": "MODP_2048", "ecp256": "ECP_256", "ecp384": "ECP_384"}
# What `ip xfrm state` calls them: the algorithm, bits of the key (with the salt of GCM), bits of the ICV.
KERNEL = {
    "aes128": ("enc", "cbc(aes)", 128), "aes256": ("enc", "cbc(aes)", 256),
    "aes128gcm16": ("aead", "rfc4106(gcm(aes))", 160, 128), "aes256gcm16": ("aead", "rfc4106(gcm(aes))", 288, 128),
    "sha1": ("auth-trunc", "hmac(sha1)", 160, 96), "sha256": ("auth-trunc", "hmac(sha256)", 256, 128),
    "sha384": ("auth-trunc", "hmac(sha384)", 384, 192),
}
ALGORITHM = re.compile(r"^\s+(enc|aead|auth-trunc) (\S+) 0x([0-9a-f]+)(?: (\d+))?$", re.M)


@dataclass
class Case:
    """As in ipsec.conf: cipher-hash-group for phase 1, cipher[-mac]-group for ESP. The group is PFS."""

    ike: str
    esp: str

    def __str__(self):
        return f"IKE {self.ike}, ESP {self.esp}"


CASES = [
    Case("aes128-sha1-modp2048", "aes128-sha1-ecp384"),
    Case("aes128-sha256-ecp256", "aes128-sha256-modp2048"),
    Case("aes128-sha384-ecp384", "aes128-sha384-ecp256"),
    Case("aes256-sha1-ecp384", "aes256-sha1-ecp256"),
    Case("aes256-sha256-modp2048", "aes256-sha256-ecp384"),
    Case("aes256-sha384-ecp256", "aes256-sha384-modp2048"),
    Case("aes128-sha256-ecp384", "aes128gcm16-modp2048"),
    Case("aes256-sha384-modp2048", "aes256gcm16-ecp384"),
]


def run(lab):
    bench = Bench()
    # The server allows all of them at once: it is the client's offer that decides.
    allowed = {"ike": [case.ike for case in CASES], "esp": [case.esp.rsplit("-", 1)[0] for case in CASES]}
    adit = Adit(lab, bench.srv, listen={"esp": True}, ipsec=allowed)
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))
    attempts = {f"{'udp' if udp else 'native'}-{number}": (case, udp)
                for number, case in enumerate(CASES, 1) for udp in (True, False)}
    client.configure({name: {"ike": case.ike + "!", "esp": case.esp + "!", "forceencaps": "yes" if udp else "no"}
                      for name, (case, udp) in attempts.items()})
    for name, (case, udp) in attempts.items():
        try:
            attempt(lab, adit, client, name, case, udp)
        except Failed as problem:
            lab.check(False, f"{name}: stopped: {problem}")
            return
    client.hang_up()
    check_log(lab, adit)


def attempt(lab, adit, client, name, case, udp):
    lab.note(f"-- {name}: {case}")
    guest, before = client.guest, adit.holdings()
    client.secure(connection=name)
    client.dial()
    client.wait_online()
    start, mine = adit.session(), client.esp()
    lab.check(client.ping(at.HOST4), f"{name}: IPv4 passes", client.said)
    lab.check(client.ping(at.HOST6), f"{name}: IPv6 passes", client.said)
    session, now = adit.session(), client.esp()

    cipher, digest, group = case.ike.split("-")
    wanted = {"encryption": CIPHERS[cipher], "hash": HASHES[digest], "group": GROUPS[group], "auth": "psk"}
    lab.equal(session["ike"], wanted, f"{name}: sessions: ike")
    *suite, pfs = case.esp.split("-")
    lab.equal(session["esp"], "/".join([CIPHERS[suite[0]], *(MACS[mac] for mac in suite[1:])]), f"{name}: sessions: esp")
    lab.equal(session["encapsulation"], "udp" if udp else "esp", f"{name}: sessions: encapsulation")

    xfrm = guest.run("ip xfrm state").out
    algorithms = sorted((kind, name, len(key) * 4, *([int(icv)] if icv else []))
                        for kind, name, key, icv in ALGORITHM.findall(xfrm))
    lab.equal(algorithms, sorted(2 * [KERNEL[word] for word in suite]), f"{name}: the client's kernel uses, each way")
    lab.check((now[0], now[3]) == (2, udp), f"{name}: on two SAs, " + ("in UDP" if udp else "not in UDP"), now)
    status = guest.run("ipsec statusall").out
    lab.matches(status, re.compile(rf"{name}\{{\d+\}}:  \S*/{CHARON_GROUPS[pfs]}, "), f"{name}: perfect forward secrecy by {GROUPS[pfs]}")
    # Ten packets at least: three questions and answers in each family, less what was under way
    lab.check(now[2] - mine[2] >= 12 and now[1] - mine[1] >= 12 * 84, f"{name}: the client's ESP counters grew", (mine, now))
    grown = [session[way] - start[way] for way in ("rx_packets", "tx_packets")]
    lab.check(min(grown) >= 6, f"{name}: so did the server's, each way", grown)

    client.disconnect(name)
    check_let_go(lab, adit, before, what=f"{name}: in the end")
