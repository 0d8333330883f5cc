"""`adit connect` on a laptop behind a router that masquerades IPv4 and routes IPv6."""

import re

import bench as at
from net import Namespace, cable
from server import PSK, USERS, Adit
from shell import Daemon

LAPTOP4, LAPTOP6 = "10.44.0.2", "fd44::2"
ROUTER4, ROUTER6 = "10.99.0.8", "fd99::8"
UP = [re.compile(r"IPv4 up"), re.compile(r"IPv6 up")]


class Laptop:
    """The laptop (`wifi`) and its router (`rooms` to the laptop, `outside` to the wire)."""

    def __init__(self, lab, bench):
        self.lab, self.space, self.home = lab, Namespace("laptop"), Namespace("home")
        cable(self.space, "wifi", self.home, "rooms")
        self.space.address("wifi", f"{LAPTOP4}/24", f"{LAPTOP6}/64")
        self.home.address("rooms", f"{at.HOME4}/24", f"{at.HOME6}/64")
        cable(self.home, "outside", bench.wire, "to-home")
        bench.wire.ip("link set to-home master switch")
        self.home.address("outside", f"{ROUTER4}/24", f"{ROUTER6}/64")
        self.home.router()
        self.home.masquerade("outside")
        self.space.ip(f"route add default via {at.HOME4}")
        self.space.ip(f"-6 route add default via {at.HOME6}")
        bench.srv.ip(f"-6 route add fd44::/64 via {ROUTER6}")

    def narrow(self, mtu):
        """The way between laptop and router takes no larger packets from here on."""
        self.home.ip(f"link set rooms mtu {mtu}")
        self.space.ip(f"link set wifi mtu {mtu}")

    def dial(self, name, server, *words):
        """`adit connect`, both families up."""
        lab = self.lab
        for file, text in (("psk", PSK), ("password", USERS["alice"])):
            (lab.out / file).write_text(text + "\n")
        command = [lab.binary, "connect", server, "--user", "alice", "--password-file", lab.out / "password",
                   "--psk-file", lab.out / "psk", "--no-dns", "--log", "debug", *words]
        daemon = lab.keep(Daemon(f"adit connect {name}", self.space.inside(*command), lab.out / f"{name}.log", env=Adit.environment()))
        for line in UP:
            daemon.wait_said(line, 20)
        return daemon

    def addresses(self):
        """The addresses in the tunnel, by family."""
        shown = self.space.ip("addr show dev adit0")
        return {4: re.search(r"inet (\S+?)[/ ]", shown).group(1), 6: re.search(r"inet6 (\S+)/128", shown).group(1)}

    def mtu(self):
        return int(re.search(r"mtu (\d+)", self.space.ip("link show adit0")).group(1))
