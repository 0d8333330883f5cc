"""`adit demo`: works on a machine of any state, and leaves nothing."""

import json

import shell


def run(lab):
    before = shell.run("ip", "-br", "link").stdout
    done = shell.run(lab.binary, "demo", "--json", check=False, seconds=60)
    (lab.out / "demo.json").write_text(done.stdout)
    if not lab.check(done.returncode == 0, "it ends with 0", done.stdout + done.stderr):
        return
    shown = json.loads(done.stdout)
    for family, header in (("ipv4", 40), ("ipv6", 60)):
        told = shown[family]
        lab.equal(told["mss"], told["mtu"] - header - 12, f"{family}: the MSS of a connection fits the MTU, with timestamps")
        lab.check(told["to_host_mbit"] > 10 and told["from_host_mbit"] > 10, f"{family}: traffic each way", told)
    lab.check(shell.run("ip", "-br", "link").stdout == before, "no interface stays")
