"""The largest packet of each family passes whole, and one byte more is answered with the MTU."""

import re

from shell import ping

HEADERS = {4: 28, 6: 48}


def check_limits(lab, bench, name, mtu, addresses):
    """From the host behind the server, which knows nothing of the tunnel, to the client and back."""
    for family, address in addresses.items():
        forget(bench)
        fits = send(bench, address, mtu - HEADERS[family])
        lab.check(" 2 received" in fits, f"{name}: {mtu} bytes of IPv{family} reach the client and come back", fits)
        more = send(bench, address, mtu - HEADERS[family] + 1)
        lab.check(" 0 received" in more and told(more, family, mtu), f"{name}: one byte more is answered with the MTU", more)


def forget(bench):
    """What the host has learnt of an earlier session would keep it from asking."""
    for family in (4, 6):
        bench.host.run("ip", f"-{family}", "route", "flush", "cache")


def told(said, family, mtu):
    """Whether ping got the error with that MTU."""
    error = {4: rf"Frag needed and DF set \(mtu = {mtu}\)", 6: rf"Packet too big: mtu={mtu}"}[family]
    return re.search(error, said)


def send(bench, address, size, *options):
    """What ping on the host says of packets of that size, one by one: a train would be captured as one packet."""
    return bench.host.run(*ping(address, "-M", "do", "-s", size, "-l", 1, "-i", 1, *options, count=2), check=False).stdout
