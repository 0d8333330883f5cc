"""Floods: kinds of junk, and the program that sends them, `interop/junk`."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from net import Namespace, cable
from shell import Daemon, Failed, run, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
MARKER = bytes(4)  # before IKE on port 4500 (RFC 3948 2.2)
QUICK = 32  # the exchange type (RFC 2409 5.5)


def program():
    """Builds the sender, where cargo puts it."""
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    if subprocess.run([cargo, "build", "-q", "-p", "adit-junk"], cwd=ROOT).returncode:
        raise Failed("the sender of junk does not build")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return (ROOT / target / "debug" / "adit-junk").resolve()


def anything(count):
    return ".." * count


class Sender:
    """A namespace on the wire that sends junk from any address."""

    def __init__(self, lab, wire, name, *addresses):
        self.lab, self.program, self.runs = lab, program(), 0
        self.namespace = Namespace(name)
        cable(self.namespace, "out", wire, f"to-{name}")
        wire.ip(f"link set to-{name} master switch")
        self.namespace.address("out", *addresses)

    def words(self, victim, seconds, rate):
        mac, address = victim
        return [self.program, "out", mac, address, str(seconds), str(rate)]

    def send(self, victim, templates, seconds, rate):
        """Sends to (MAC, address) to the end. Result: how many of each name."""
        done = self.namespace.run(*self.words(victim, seconds, rate), text_in="\n".join(templates), seconds=seconds + 30)
        return self.counts(done.stdout)

    def start(self, victim, templates, seconds, rate):
        """The same in the background; `finish` gives its result."""
        self.runs += 1
        file = self.lab.out / f"{self.namespace.name}-{self.runs}"
        file.with_suffix(".in").write_text("\n".join(templates))
        words = ["sh", "-c", f'exec "$@" <{file}.in', "junk", *self.words(victim, seconds, rate)]
        return self.lab.keep(Daemon("junk", self.namespace.inside(*words), file.with_suffix(".out")))

    def finish(self, daemon, seconds):
        wait_for("the flood ends", lambda: not daemon.running, seconds)
        return self.counts(daemon.said())

    @staticmethod
    def counts(said):
        try:
            return {name: float(number) for name, number in (line.split() for line in said.splitlines())}
        except ValueError:
            raise Failed(f"junk: {said[-600:]}") from None


def mac(namespace, device):
    return json.loads(run("ip", "-n", namespace.full, "-j", "link", "show", device).stdout)[0]["address"]


class Overheard:
    """What a listener on the way knows of one client: datagrams of its, as pcap.datagrams() has them."""

    def __init__(self, datagrams, address):
        mine = [d for d in datagrams if d.source == address]
        self.address = address
        self.first = self._one("first message", (d for d in mine if d.ports[1] == 500))
        ike = [d for d in mine if d.ports[1] == 4500 and d.data[:4] == MARKER]
        self.quick = self._one("Quick Mode", (d for d in ike if d.data[22] == QUICK))
        self.esp = self._one("ESP packet", reversed([d for d in mine if d.ports[1] == 4500 and d.data[:4] != MARKER and len(d.data) > 40]))
        self.endpoint = f"{address}:{self.esp.ports[0]}"

    @staticmethod
    def _one(what, found):
        if (one := next(iter(found), None)) is None:
            raise Failed(f"no {what} of the client was seen")
        return one


@dataclass(frozen=True)
class Kind:
    name: str
    share: int
    source: str
    port: int
    payload: str
    counters: list

    def line(self, share=None):
        """The template; without spaces in its name."""
        return f"{self.name.replace(' ', '-')} {share or self.share} {self.source} {self.port} {self.payload}"


def kinds(overheard, forged, plain):
    """What a stranger or a listener can send: each with the counters that count it.

    `forged` is the network of the strangers, `plain` one that may speak L2TP without IPsec.
    """
    first, quick, esp = overheard.first.data, overheard.quick.data, overheard.esp.data
    there = overheard.endpoint
    # The marker and both cookies, what the message is, a message ID, and a body that nobody has encrypted
    spoken = f"{quick[:20].hex()}{{}}{anything(4)}{quick[28:32].hex()}{anything(len(quick) - 32)}"
    return [
        Kind("random to 500", 10, forged, 500, anything(100), ["unread", "ike_malformed"]),
        Kind("random after the marker", 10, forged, 4500, MARKER.hex() + anything(100), ["unread", "ike_malformed"]),
        Kind("IKE with unknown cookies", 10, forged, 500, f"{anything(16)}05100201000000000000{100:04x}{anything(72)}", ["unread", "ike_unknown_cookie"]),
        Kind("first messages", 10, forged, 500, anything(8) + first[8:].hex(), ["half_open", "ike_half_open_expired", "ike_unkept", "ike_unanswered"]),
        Kind("first messages with a bad SA", 10, forged, 500, anything(8) + first[8:28].hex() + anything(len(first) - 28), ["ike_exchanges_refused", "ike_unanswered"]),
        Kind("a first message again", 5, f"{overheard.address}:{overheard.first.ports[0]}", 500, first.hex(), ["ike_refused"]),
        Kind("Quick Mode that nobody encrypted", 5, there, 4500, spoken.format("08102001"), ["ike_refused"]),
        Kind("Informational that nobody encrypted", 5, there, 4500, spoken.format("08100501"), ["ike_refused"]),
        Kind("ESP with an unknown SPI", 10, forged, 4500, anything(100), ["unread", "esp_unknown_spi"]),
        Kind("forged ESP", 5, there, 4500, esp[:4].hex() + "0000ffff" + anything(92), ["esp_bad_icv"]),
        Kind("large forged ESP", 5, there, 4500, esp[:4].hex() + "0000ffff" + anything(1292), ["esp_bad_icv"]),
        Kind("forged ESP from elsewhere", 5, forged, 4500, esp[:4].hex() + "0000ffff" + anything(92), ["esp_bad_icv"]),
        Kind("replayed ESP", 5, there, 4500, esp.hex(), ["esp_replayed"]),
        Kind("keepalives", 2, forged, 4500, "ff", ["unread", "keepalives"]),
        Kind("L2TP from elsewhere", 5, forged, 1701, anything(100), ["plain_foreign"]),
        Kind("random to 1701", 5, plain, 1701, anything(100), ["l2tp_malformed", "l2tp_unknown"]),
    ]
