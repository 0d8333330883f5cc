"""The cabling of the scenarios.

    guest tap ──┐
                wire (a switch) ── srv (adit) ── host
    nat ────────┘
     └─ guest tap

A guest's second card may lead to `home`, the network it has without the tunnel: 10.44.0.1 and fd44::1,
and, behind it, the world: 203.0.113.5 and 2001:db8:ffff::5.

`srv` has 10.99.0.1 and fd99::1 outside, 192.0.2.1 and 2001:db8:b::1 inside. `host` stands behind it
and routes everything else back to it. `nat` translates 10.98.0.0/24 to 10.99.0.9.
"""

import re

from net import Namespace, cable
from shell import Daemon

SERVER4, SERVER6 = "10.99.0.1", "fd99::1"
INSIDE4, INSIDE6 = "192.0.2.1", "2001:db8:b::1"
HOST4, HOST6 = "192.0.2.2", "2001:db8:b::2"
HOME4, HOME6 = "10.44.0.1", "fd44::1"
WORLD4, WORLD6 = "203.0.113.5", "2001:db8:ffff::5"
NAT_OUTSIDE, NAT_INSIDE = "10.99.0.9", "10.98.0.1"


class Bench:
    def __init__(self):
        self.srv, self.wire, self.host = Namespace("srv"), Namespace("wire"), Namespace("host")
        self.nat = None
        # The server has to turn forwarding on by itself; IPv4's setting would come from the host.
        self.srv.sysctl("net.ipv4.ip_forward", 0)
        self.wire.ip("link add switch type bridge")
        self.wire.ip("link set switch up")
        cable(self.srv, "outer", self.wire, "to-srv")
        self.wire.ip("link set to-srv master switch")
        cable(self.srv, "inner", self.host, "lan")
        self.srv.address("outer", f"{SERVER4}/24", f"{SERVER6}/64")
        self.srv.address("inner", f"{INSIDE4}/24", f"{INSIDE6}/64")
        self.host.address("lan", f"{HOST4}/24", f"{HOST6}/64")
        self.host.ip(f"route add default via {INSIDE4}")
        self.host.ip(f"-6 route add default via {INSIDE6}")

    def plug(self, name):
        """A tap on the wire, for a guest's card."""
        tap = self.wire.tap(name)
        self.wire.ip(f"link set {name} master switch")
        return tap

    def plug_behind_nat(self, name):
        """A tap behind a router with NAT; the first one makes the router."""
        if self.nat is None:
            self.nat = Namespace("nat")
            cable(self.nat, "outside", self.wire, "to-nat")
            self.wire.ip("link set to-nat master switch")
            self.nat.address("outside", f"{NAT_OUTSIDE}/24")
            self.nat.ip("link add inside type bridge")
            self.nat.address("inside", f"{NAT_INSIDE}/24")
            self.nat.router()
            self.nat.masquerade("outside")
        self.nat.tap(name)
        self.nat.ip(f"link set {name} master inside")
        return name

    def plug_home(self, name):
        """A tap that leads to `home`, for a guest's second card."""
        self.home = Namespace("home")
        self.wire.ip("link add homes type bridge")
        self.wire.ip("link set homes up")
        cable(self.home, "rooms", self.wire, "to-home")
        self.home.address("rooms", f"{HOME4}/24", f"{HOME6}/64")
        self.home.address("lo", f"{WORLD4}/32", f"{WORLD6}/128")
        for device in (self.wire.tap(name), "to-home"):
            self.wire.ip(f"link set {device} master homes")
        return name

    def iperf(self, lab):
        """An iperf3 server on the host, for both families."""
        server = lab.keep(Daemon("iperf3", self.host.inside("iperf3", "-s", "--forceflush"), lab.out / "iperf3-server.log"))
        server.wait_said(re.compile("Server listening"), 10)
        return server
