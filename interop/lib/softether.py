"""SoftEther as an L2TP/IPsec server in a namespace of its own, on empty folders of its own."""

import re

from net import Namespace, cable
from shell import Daemon, Failed, wait_for

ADDRESS = "10.99.0.20"
# Behind it, on its bridged TAP
HOST = "192.168.30.254"
FOLDERS = ("/run/softether", "/var/lib/softether", "/var/log/softether")
HOME = "softether"


def start(lab, bench, user, password, psk, nat=False):
    """The server, listening. With `nat` clients leave by its SecureNAT, which has a resolver at 192.168.30.1;
    without, a TAP called tap_lan in its namespace is their network. Result: the running program."""
    home = Namespace(HOME)
    cable(home, "outside", bench.wire, "to-softether")
    bench.wire.ip("link set to-softether master switch")
    home.address("outside", f"{ADDRESS}/24")
    mounts = "; ".join(f"mkdir -p {folder} && mount -t tmpfs none {folder}" for folder in FOLDERS)
    # A process namespace, too: what it forks ends with it.
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", f"{mounts}; exec vpnserver execsvc"]
    daemon = lab.keep(Daemon("SoftEther", home.inside(*words), lab.out / "softether.log"))

    def vpncmd(*words):
        done = home.run("vpncmd", "localhost", "/SERVER", *words, check=False, seconds=60)
        return done.returncode == 0
    wait_for("SoftEther takes orders", lambda: vpncmd("/CMD", "ServerInfoGet"), 60)
    hub = "/ADMINHUB:VPN"
    orders = [["/CMD", "HubCreate", "VPN", "/PASSWORD:none"],
              [hub, "/CMD", "SecureNatEnable"],
              [hub, "/CMD", "UserCreate", user, "/GROUP:none", "/REALNAME:none", "/NOTE:none"],
              [hub, "/CMD", "UserPasswordSet", user, f"/PASSWORD:{password}"]]
    if not nat:
        orders += [[hub, "/CMD", "NatDisable"], ["/CMD", "BridgeCreate", "VPN", "/DEVICE:lan", "/TAP:yes"]]
    orders.append(["/CMD", "IPsecEnable", "/L2TP:yes", "/L2TPRAW:no", "/ETHERIP:no", f"/PSK:{psk}", "/DEFAULTHUB:VPN"])
    for words in orders:
        if not vpncmd(*words):
            raise Failed(f"SoftEther refuses {' '.join(words)}")
    wait_for("SoftEther listens", lambda: ":500 " in home.run("ss", "-Hlun").stdout, 30)
    if not nat:
        wait_for("its TAP is there", lambda: "tap_lan" in home.ip("link"), 10)
        home.address("tap_lan", f"{HOST}/24")
    return daemon


def iperf(lab):
    """An iperf3 server on the TAP."""
    words = ["ip", "netns", "exec", Namespace.full_name(HOME), "iperf3", "-s", "--forceflush"]
    server = lab.keep(Daemon("iperf3", words, lab.out / "iperf3-softether.log"))
    server.wait_said(re.compile("Server listening"), 10)
    return server
