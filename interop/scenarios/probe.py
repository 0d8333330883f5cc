"""`adit probe` tells what adit, SoftEther, and strongSwan with xl2tpd offer and negotiate."""

import json
import re

import bench as at
import softether as peer
from bench import Bench
from guest import Guest
from net import Namespace, cable
from server import DNS4, PREFIX, PSK, USERS, Adit, check_let_go, check_log

USER, PASSWORD = "alice", USERS["alice"]
SWAN = "10.99.0.30"
CONNECTED = ["udp-500", "udp-4500", "main-mode", "quick-mode", "l2tp", "session", "lcp", "authentication", "ipcp", "echo-ipv4", "end"]
IPV6 = ["ipv6cp", "router-advertisement", "dhcpv6", "echo-ipv6"]


class Prober:
    """`adit probe` in a namespace of its own on the wire."""

    def __init__(self, lab, bench):
        self.lab, self.home = lab, Namespace("probe")
        cable(self.home, "outside", bench.wire, "to-probe")
        bench.wire.ip("link set to-probe master switch")
        self.home.address("outside", "10.99.0.7/24", "fd99::7/64")
        self.psk, self.password = lab.out / "psk", lab.out / "password"
        self.psk.write_text(PSK + "\n")
        self.password.write_text(PASSWORD + "\n")

    def ask(self, name, host, *words, login=True):
        """Result: exit status, and the steps by name. The whole answer stays in NAME.json."""
        known = ["--psk-file", self.psk, "--user", USER, "--password-file", self.password] if login else []
        done = self.home.run(self.lab.binary, "probe", host, "--json", *known, *words, check=False, seconds=240)
        (self.lab.out / f"{name}.json").write_text(done.stdout)
        return done.returncode, {row["step"]: row for row in json.loads(done.stdout or "[]")}

    def check(self, name, steps, wanted):
        """All of the steps `wanted` are there and ok."""
        bad = {step: steps.get(step) for step in wanted if steps.get(step, {}).get("outcome") != "ok"}
        self.lab.check(not bad, f"{name}: ok are {', '.join(wanted)}", bad)


def seen(steps, name):
    return "; ".join(steps.get(name, {}).get("seen", []))


def outcomes(steps, outcome):
    """The names of the steps that ended so."""
    return sorted(name for name, row in steps.items() if row["outcome"] == outcome)


def run(lab):
    bench = Bench()
    prober = Prober(lab, bench)
    adit(lab, bench, prober)
    softether(lab, bench, prober)
    strongswan(lab, bench, prober)


def adit(lab, bench, prober):
    server = Adit(lab, bench.srv)
    before, mark = server.holdings(), server.mark()
    for family, address in (("IPv4", at.SERVER4), ("IPv6", at.SERVER6)):
        name = f"adit over {family}"
        status, steps = prober.ask(name.replace(" ", "-"), address)
        lab.equal(status, 0, f"{name}: exit status")
        prober.check(name, steps, CONNECTED + IPV6)
        lab.equal(outcomes(steps, "fail") + outcomes(steps, "warn"), [], f"{name}: steps that failed or are warned of")
        lab.matches(seen(steps, "main-mode"), re.compile(r"^AES-CBC-256/SHA2-384/ECP-384"), f"{name}: the first of the server's list in phase 1")
        lab.matches(seen(steps, "quick-mode"), re.compile(r"^AES-GCM-256; transport mode, in UDP"), f"{name}: and in Quick Mode")
        lab.check(all(dns in seen(steps, "ipcp") for dns in DNS4), f"{name}: the resolvers of IPCP", seen(steps, "ipcp"))
        lab.check(PREFIX.split("::")[0] in seen(steps, "router-advertisement"), f"{name}: a prefix of {PREFIX}", seen(steps, "router-advertisement"))
        check_let_go(lab, server, before, what=f"{name}: in the end")
    lines = [line for line in server.lines_since(mark) if "IPv6 up" in line and USER in line]
    lab.equal(len(lines), 2, "the server saw it log in, times")

    prober.psk.write_text("another key\n")
    status, steps = prober.ask("adit-wrong-psk", at.SERVER4)
    prober.psk.write_text(PSK + "\n")
    failed = outcomes(steps, "fail")
    lab.check(status == 1 and failed == ["main-mode"] and steps["main-mode"]["advice"], "a wrong key: main mode fails, with advice", (status, failed))
    prober.password.write_text("not this one\n")
    status, steps = prober.ask("adit-wrong-password", at.SERVER4)
    prober.password.write_text(PASSWORD + "\n")
    failed = outcomes(steps, "fail")
    lab.check(status == 1 and failed == ["authentication"] and steps["authentication"]["advice"], "a wrong password: authentication fails, with advice", (status, failed))

    lab.equal(server.stop(), 0, "the server ends on SIGTERM with status")
    status, steps = prober.ask("nobody", at.SERVER4, login=False)
    lab.check(status == 1 and steps["udp-500"]["outcome"] == "fail", "without a server the first step fails", steps.get("udp-500"))
    # It asks for what is weak, and for aggressive mode, to see that neither is taken
    check_log(lab, server, [re.compile(text) for text in ("authentication failed", "login refused: wrong password",
                                                          r"phase 1 refused.*offered: AES-CBC-256/SHA2-256/MODP-1024 with PSK,",
                                                          r"phase 1 refused.*exchange type 4")])


def softether(lab, bench, prober):
    peer.start(lab, bench, USER, PASSWORD, PSK, nat=True)
    _, steps = prober.ask("softether", peer.ADDRESS)
    prober.check("SoftEther", steps, CONNECTED)
    lab.matches(seen(steps, "main-mode"), re.compile(r"^AES-CBC-256/SHA"), "SoftEther: AES-256 in phase 1")
    lab.matches(seen(steps, "quick-mode"), re.compile(r"^AES-CBC-\d+/HMAC-SHA1-96; transport mode, in UDP"), "SoftEther: AES with SHA-1 in UDP")
    lab.matches(seen(steps, "ipcp"), re.compile(r"^192\.168\.30\.\d+; .*resolvers 192\.168\.30\.1"), "SoftEther: an address and a resolver of its SecureNAT")
    lab.equal(outcomes(steps, "fail"), ["echo-ipv6", "router-advertisement"], "SoftEther: it serves no IPv6")
    lab.equal(outcomes(steps, "warn"), ["aggressive-mode", "as android", "as android7"], "SoftEther: and takes what is weak")
    lab.matches(steps["as android"]["advice"] or "", re.compile("MODP-1024"), "SoftEther: which is")


def strongswan(lab, bench, prober):
    """strongSwan, xl2tpd and pppd as a server, in a guest."""
    guest = Guest(lab, "swan", bench.wire, bench.plug("c1"))
    guest.card("vec0", f"{SWAN}/24")
    guest.put("/etc/ipsec.conf", f"""
conn l2tp
    keyexchange=ikev1
    authby=secret
    type=transport
    left={SWAN}
    leftprotoport=udp/1701
    right=%any
    rightprotoport=udp/%any
    ike=aes256-sha256-modp2048!
    esp=aes128gcm16,aes256-sha1!
    auto=add
""")
    guest.put("/etc/ipsec.secrets", f': PSK "{PSK}"')
    guest.put("/etc/xl2tpd/xl2tpd.conf", """
[global]
port = 1701
[lns default]
ip range = 10.55.0.10-10.55.0.20
local ip = 10.55.0.1
require authentication = yes
name = swan
pppoptfile = /etc/ppp/options.swan
length bit = yes
""")
    guest.put("/etc/ppp/options.swan", "\n".join([
        "nodetach", "debug", "logfile /run/out/swan.ppp.log", "require-mschap-v2", "ms-dns 10.55.0.53", "mtu 1400", "mru 1400",
        "noccp", "+ipv6"]))
    guest.put("/etc/ppp/chap-secrets", f'"{USER}" * "{PASSWORD}" *')
    guest.run("ipsec start --nofork </dev/null >/run/out/swan.log 2>&1 &")
    guest.run("mkdir -p /run/xl2tpd; xl2tpd -D -c /etc/xl2tpd/xl2tpd.conf </dev/null >/run/out/swan.xl2tpd.log 2>&1 &")
    guest.wait("strongSwan has the connection", "ipsec statusall 2>/dev/null | grep -q 'l2tp: '", 40)

    _, steps = prober.ask("strongswan", SWAN)
    prober.check("strongSwan", steps, [*CONNECTED, "ipv6cp", "echo-ipv6"])
    lab.matches(seen(steps, "vendor-ids"), re.compile("DPD"), "strongSwan: its vendor IDs have names")
    lab.matches(seen(steps, "main-mode"), re.compile(r"^AES-CBC-256/SHA2-256/MODP-2048"), "strongSwan: what its configuration allows in phase 1")
    lab.matches(seen(steps, "quick-mode"), re.compile(r"^AES-(GCM-128|CBC-256/HMAC-SHA1-96); transport mode"), "strongSwan: and in Quick Mode")
    lab.matches(seen(steps, "ipcp"), re.compile(r"^10\.55\.0\.1\d; server 10\.55\.0\.1; resolvers 10\.55\.0\.53"), "strongSwan: what xl2tpd and pppd hand out")
    lab.equal(outcomes(steps, "fail"), ["router-advertisement"], "strongSwan: nobody advertises a prefix")
    lab.equal([name for name in outcomes(steps, "warn") if "windows" in name], ["as windows10", "as windows7"],
              "strongSwan: who cannot connect with this configuration")
    guest.wait("pppd is told that the session ends", "grep -q 'LCP TermReq' /run/out/swan.ppp.log && ! pidof pppd", 20)
    lab.check("INSTALLED" not in guest.run("ipsec statusall").out, "strongSwan: the probe deleted its SAs", guest.run("ipsec statusall").out)
