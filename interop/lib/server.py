"""adit as the scenarios run it: configuration and users made through its own command line, the
server in its namespace, what it says and what it reports."""

import json
import re
from pathlib import Path

import net
from shell import Daemon, Failed, run, wait_for

READY = re.compile(r"\bready\b", re.I)
LEVEL = re.compile(r"\b(ERROR|WARN|INFO|DEBUG|TRACE)\b")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

POOL, PREFIX = "10.77.0.0/16", "2001:db8:77::/48"
DNS4, DNS6 = ["192.0.2.53", "192.0.2.54"], ["2001:db8:b::53", "2001:db8:b::54"]
PSK = "interop: a-long-pre-shared-key 7Qz"
USERS = {"alice": "correct horse 1", "bob": "battery staple 2", "carol": "zebra crossing 3"}


def base():
    """The configuration most scenarios use, as tables of TOML."""
    return {
        "ipsec": {"psk.file": "psk"},
        "ipv4": {"pool": POOL, "dns": DNS4, "masquerade": False},
        "ipv6": {"prefix": PREFIX, "dns": DNS6},
        "users": {"file": "users.toml"},
        "leases": {"file": "leases.redb"},
        "admin": {"socket": str(net.RUN / "adit.sock")},
        "log": {"level": "debug"},
    }


def toml(tables):
    # strings, numbers, booleans and lists of them are written alike in JSON and TOML
    def lines(table):
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if value is not None)
    return "\n".join(f"[[{name}]]\n" + lines(table) if several else f"[{name}]\n" + lines(table)
                     for name, value in tables.items() for several in [isinstance(value, list)]
                     for table in (value if several else [value]))


class Adit:
    """The server in `namespace`, ready for clients when the constructor returns."""

    def __init__(self, lab, namespace, name="adit", groups=None, **changes):
        """`changes`: more keys per table, over those of base(): ipsec={"legacy": True}; None takes one out. A list is an
        array of tables. `groups`: users by the group that they are in."""
        self.lab, self.namespace, self.binary = lab, namespace, lab.binary
        self.folder = Path(lab.out) / name
        self.folder.mkdir()
        net.RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
        tables = base()
        for table, keys in changes.items():
            if isinstance(keys, list):
                tables[table] = keys
            else:
                tables.setdefault(table, {}).update(keys)
        self.config = self.folder / "adit.toml"
        self.config.write_text(toml(tables))
        psk = self.folder / "psk"
        psk.write_text(PSK + "\n")
        psk.chmod(0o600)
        for user, password in USERS.items():
            self.command("user", "add", user, text_in=password + "\n")
        for group, users in (groups or {}).items():
            self.command("user", "group", "add", group)
            for user in users:
                self.command("user", "set", user, "--group", group)
        self.command("check")
        self.start(name)

    def start(self, log):
        """Starts the server; what it says goes to a file of that name."""
        words = self.namespace.inside(self.binary, "serve", "--config", self.config)
        self.daemon = self.lab.keep(Daemon("adit", words, self.lab.out / f"{log}.log", env=self.environment()))
        self.daemon.wait_said(READY, 20)

    @staticmethod
    def environment():
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NO_COLOR": "1", "RUST_BACKTRACE": "1"}

    def command(self, *words, **options):
        """Runs `adit WORDS --config FILE` beside the server."""
        return run(*self.namespace.inside(self.binary, *words, "--config", self.config), env=self.environment(), **options)

    def sessions(self):
        return json.loads(self.command("sessions", "--json").stdout)

    def session(self, user="alice"):
        """The one session of a user; Failed when there are more or none."""
        mine = [s for s in self.sessions() if s.get("user") == user]
        if len(mine) != 1:
            raise Failed(f"adit sessions: {len(mine)} sessions of {user}, not one: {mine}")
        return mine[0]

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def holdings(self):
        """How much of everything that clients occupy there is, with the routes of its namespace."""
        found = {}

        def walk(value):
            for key, inner in value.items():
                if isinstance(inner, dict):
                    walk(inner)
                elif key in HOLDINGS:
                    found[key] = inner
        walk(self.status())
        if missing := [name for name in HOLDINGS if name not in found]:
            raise Failed(f"adit status --json does not tell {', '.join(missing)}")
        return {**found, "routes": self.namespace.routes()}

    def log(self):
        return COLOUR.sub("", self.daemon.said())

    def mark(self):
        """The length of the log now: lines_since() gives what came after."""
        return len(self.log())

    def lines_since(self, mark, levels=("ERROR", "WARN", "INFO")):
        lines = self.log()[mark:].splitlines()
        return [line for line in lines if (level := LEVEL.search(line)) and level.group(1) in levels]

    def stop(self):
        """Asks it to end (SIGTERM); its exit status."""
        return self.daemon.stop()


HOLDINGS = ("sessions", "peers", "ike_sas", "esp_sas", "tunnels", "leases_ipv4", "leases_ipv6")


def check_let_go(lab, adit, before, seconds=20, what="when all have hung up"):
    """The server comes to hold what it held when it said `before`, and no more."""
    try:
        wait_for("the server lets go", lambda: adit.holdings() == before, seconds)
        left = None
    except Failed:
        now = adit.holdings()
        left = {name: (value, now[name]) for name, value in before.items() if now[name] != value}
    lab.check(not left, f"{what} the server holds what it held before", f"(before, {seconds} s later): {left}")


def check_log(lab, adit, expected=()):
    """No WARN or ERROR line but those that match one of `expected` (compiled patterns)."""
    bad = [line for line in adit.lines_since(0, ("ERROR", "WARN")) if not any(p.search(line) for p in expected)]
    panics = [line for line in adit.log().splitlines() if "panicked at" in line]
    lab.check(not bad + panics, "the server's log holds no unexpected WARN or ERROR", "\n        ".join(bad + panics))
