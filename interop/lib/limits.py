"""The largest packet of each family passes whole, and one byte more is answered with the MTU."""

import re

HEADERS = {4: 28, 6: 48}


def check_limits(lab, bench, name, mtu, addresses):
    """From the host behind the server, which knows nothing of the tunnel, to the client and back."""
    for family, address in addresses.items():
        forget(bench)
        fits = ping(bench, address, mtu - HEADERS[family])
        lab.check(" 2 received" in fits, f"{name}: {mtu} bytes of IPv{family} reach the client and come back", fits)
        more = ping(bench, address, mtu - HEADERS[family] + 1)
        lab.check(" 0 received" in more and told(more, family, mtu), f"{name}: one byte more is answered with the MTU", more)


def forget(bench):
    """What the host has learnt of an earlier session would keep it from asking."""
    for family in (4, 6):
        bench.host.run("ip", f"-{family}", "route", "flush", "cache")


def told(said, family, mtu):
    """Whether ping got the error with that MTU."""
    error = {4: rf"Frag needed and DF set \(mtu = {mtu}\)", 6: rf"Packet too big: mtu={mtu}"}[family]
    return re.search(error, said)


def ping(bench, address, size, count=2):
    done = bench.host.run("ping", "-n", "-M", "do", "-c", str(count), "-i", "0.3", "-W", "2", "-s", str(size), address, check=False)
    return done.stdout
