"""Network namespaces and their cables. All names start with one prefix, so that sweep() finds them;
runs side by side are told apart by their lane.

Devices are made inside the namespaces only: nothing appears in the host's own network.
"""

import os
import shutil
import signal
from pathlib import Path

from shell import Failed, run, wait_for

EVERY = "adit-interop-"
LANE = os.environ.get("ADIT_INTEROP_LANE", "")
PREFIX = EVERY + LANE
RUNS = Path("/run/adit-interop")
RUN = RUNS / (LANE or "0")  # sockets and files of running guests


def sweep(prefix=PREFIX, folder=RUN):
    """Ends every process in this lane's namespaces and removes them, whoever left them."""
    listed = run("ip", "netns", "list").stdout.split("\n")
    for full in [line.split()[0] for line in listed if line.startswith(prefix)]:
        def empty(full=full):
            pids = run("ip", "netns", "pids", full, check=False).stdout.split()
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not pids
        wait_for(f"processes in {full} are gone", empty, 10)
        run("ip", "netns", "del", full)
    shutil.rmtree(folder, ignore_errors=True)


def sweep_all():
    """The same for every lane."""
    sweep(EVERY, RUNS)


class Namespace:
    """One network namespace, with loopback up and IPv6 addresses usable at once (no DAD)."""

    def __init__(self, name):
        self.name, self.full = name, self.full_name(name)
        run("ip", "netns", "add", self.full)
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.ip("link set lo up")

    @staticmethod
    def full_name(name):
        return PREFIX + name

    def inside(self, *words):
        """The command line that runs `words` in here."""
        return ["ip", "netns", "exec", self.full, *words]

    def run(self, *words, **options):
        return run(*self.inside(*words), **options)

    def ip(self, words):
        """One `ip` command, in one string; its output."""
        return run("ip", "-n", self.full, *words.split()).stdout

    def sysctl(self, key, value):
        self.run("sysctl", "-qw", f"{key}={value}")

    def router(self):
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)

    def address(self, device, *addresses):
        self.ip(f"link set {device} up")
        for address in addresses:
            self.ip(f"addr add {address} dev {device}")

    def tap(self, device):
        self.ip(f"tuntap add {device} mode tap")
        self.ip(f"link set {device} up")
        return device

    def routes(self):
        """All routes of both families, as sorted lines: to compare before with after."""
        both = self.ip("-4 route show table all") + self.ip("-6 route show table all")
        return sorted(" ".join(line.split()) for line in both.splitlines() if line.strip())

    def masquerade(self, device):
        rules = f'table ip nat {{ chain out {{ type nat hook postrouting priority srcnat; oifname "{device}" masquerade; }}; }}'
        self.run("nft", "-f", "-", text_in=rules)


def cable(a, device_a, b, device_b):
    """A veth pair between two namespaces, both ends up."""
    run("ip", "link", "add", device_a, "netns", a.full, "type", "veth", "peer", "name", device_b, "netns", b.full)
    a.ip(f"link set {device_a} up")
    b.ip(f"link set {device_b} up")


def has_table(namespace, table):
    """Whether nftables of the namespace holds a table of that name."""
    listed = namespace.run("nft", "list", "tables").stdout
    return any(line.split()[-1] == table for line in listed.splitlines() if line)


__all__ = ["Failed", "Namespace", "cable", "has_table", "sweep", "sweep_all", "RUN"]
