"""adit's client role against l2tpns, which speaks L2TP without IPsec: up, traffic, a clean end."""

import json
import re

from bench import Bench
from guest import Guest
from net import Namespace, cable
from server import USERS

USER, PASSWORD, SECRET = "alice", USERS["alice"], "between l2tpns and RADIUS"
L2TPNS = "10.99.0.40"
STEPS = ["l2tp", "session", "authentication", "ipcp", "echo-ipv4", "end"]
CONFIG = f"""
set debug 4
set log_file "/run/out/l2tpns.log"
set pid_file "/run/l2tpns.pid"
set primary_dns 10.55.0.53
set primary_radius 127.0.0.1
set radius_secret "{SECRET}"
set radius_authtypes "chap"
set bind_address {L2TPNS}
set peer_address 10.55.0.1
set iftun_address 10.55.0.1
set cluster_interface "vec0"
set cluster_hb_timeout 20
"""


def run(lab):
    bench = Bench()
    guest = Guest(lab, "l2tpns", bench.wire, bench.plug("c1"), memory="512M")
    guest.card("vec0", f"{L2TPNS}/24")
    guest.put("/etc/l2tpns/startup-config", CONFIG)
    guest.put("/etc/l2tpns/ip_pool", "10.55.0.16/28\n")
    guest.put("/etc/l2tpns/users", "")
    guest.run(f"/run/guest/radius '{SECRET}' '{USER}' '{PASSWORD}' >/run/out/radius.log 2>&1 </dev/null &")
    guest.wait("RADIUS is ready", "grep -q ready /run/out/radius.log", 10)
    guest.run("modprobe tun; mkdir -p /dev/net; test -e /dev/net/tun || mknod /dev/net/tun c 10 200")
    guest.run("l2tpns >/run/out/l2tpns.out 2>&1 </dev/null &")
    guest.wait("l2tpns serves", "ss -Hlun 'sport = 1701' | grep -q . && grep -qi 'master' /run/out/l2tpns.log", 60)

    probe = Namespace("probe")
    cable(probe, "outside", bench.wire, "to-probe")
    bench.wire.ip("link set to-probe master switch")
    probe.address("outside", "10.99.0.7/24")
    password = lab.out / "password"
    for name, text in (("right", PASSWORD), ("wrong", "not this one")):
        password.write_text(text + "\n")
        done = probe.run(lab.binary, "probe", L2TPNS, "--without-ipsec", "--user", USER, "--password-file", password, "--json",
                         check=False, seconds=120)
        (lab.out / f"probe-{name}.json").write_text(done.stdout)
        steps = {row["step"]: row for row in json.loads(done.stdout or "[]")}
        said = {step: (row["outcome"], row["seen"]) for step, row in steps.items()}
        if name == "right":
            bad = [step for step in STEPS if steps.get(step, {}).get("outcome") != "ok"]
            lab.check(not bad, f"ok are {', '.join(STEPS)}", said)
            lab.equal(said.get("lcp", ("",))[0], "warn", "LCP comes up, with a warning of CHAP-MD5")
            lab.check("10.55.0." in str(said.get("ipcp")), "an address of the pool is handed out", said.get("ipcp"))
        else:
            failed = [step for step, row in steps.items() if row["outcome"] == "fail"]
            lab.check(done.returncode == 1 and failed == ["authentication"], "a wrong password fails at authentication", (failed, said))
    lab.matches(guest.run("cat /run/out/radius.log").out, re.compile(rf"{USER} accepted\n{USER} rejected"), "RADIUS saw both")
    log = guest.run("cat /run/out/l2tpns.log").out
    lab.matches(log, re.compile("StopCCN|Shutting down tunnel|CDN", re.I), "l2tpns was told of the end")
