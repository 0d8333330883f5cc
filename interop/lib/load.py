"""Many sessions with each of two servers from one `adit bench`: how fast they come up, and what each
costs the server in memory. And a drawing of all that `interop/bench` found, as SVG."""

import json
import os
from html import escape

from server import Adit
from shell import Daemon, Failed, wait_for

# As many as SoftEther's range of addresses has room for, with those of the first few below.
MOST = 150
FIRST = 20
# Set-ups at once. With too many of them SoftEther loses some.
AT_ONCE = 20
HOLD = "4s"

BAR, GAP, LABEL, WIDTH = 18, 10, 230, 420
COLOURS = {"adit": "#2a7de1", "softether": "#b8b8b8", "bare-loop": "#6b4fa0", "goal": "#e1a12a"}


def family_of(pid):
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    found += [int(child) for child in children.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def resident(pid):
    """KB in memory of a process and of all that it has started."""
    total = 0
    for each in family_of(pid):
        try:
            with open(f"/proc/{each}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def measure(lab, client, server, known, sessions):
    """Result: {"setups_s", "setup_ms", "kb"}: set-ups a second, the median set-up, KB for each session.
    The first few sessions do not count: they fill what is made once."""
    pid = server.daemon.process.pid
    _, told = load(lab, client, server, known, FIRST, pid)
    before = resident(pid)
    most, told = load(lab, client, server, known, sessions, pid)
    setups = told["setups"]
    return {"setups_s": setups["up"] / setups["seconds"], "setup_ms": setups["milliseconds"]["p50"],
            "kb": max(most - before, 0) / setups["up"]}


def load(lab, client, server, known, sessions, pid):
    """Result: the most memory that the server had, and the report."""
    name = f"load-{server.name}-{sessions}"
    words = [lab.binary, "bench", server.address, *known, "--sessions", sessions, "--concurrency", AT_ONCE,
             "--hold", HOLD, "--no-traffic", "--json"]
    if "ipv6" not in server.hosts:
        words.append("--without-ipv6")
    report = lab.out / f"{name}.json"
    # A shell keeps the report apart from what else is said.
    shell = ["sh", "-c", 'report=$1; shift; exec "$@" > "$report"', "sh", report, *words]
    running = lab.keep(Daemon("adit bench", client.inside(*shell), lab.out / f"{name}.log", env=Adit.environment()))
    most = 0

    def ended():
        nonlocal most
        most = max(most, resident(pid))
        return not running.running
    wait_for(f"{sessions} sessions with {server.name} come and go", ended, 300)
    told = json.loads(report.read_text() or "{}")
    if not told or told["setups"]["up"] < 0.9 * sessions:
        raise Failed(f"{server.name}: {told.get('setups', running.said()[-800:])}")
    return most, told


def report(loads):
    """Both servers and their ratios, as lines."""
    for key, name, better in (("setups_s", "set-ups/s", 1), ("setup_ms", "median ms", -1), ("kb", "KB/session", -1)):
        mine, theirs = loads["adit"][key], loads["softether"][key]
        ratio = (mine / theirs) ** better if mine and theirs else float("nan")
        yield f"{'sessions':<12} {name:<10}{mine:>8.2f}{theirs:>12.2f}{ratio:>8.1f}"


def rows(found, loads, share, goal):
    """What is drawn: a name and a value of each server, and of what adit reaches of the bare loop beside the goal."""
    for family, ways in found.get("adit", {}).items():
        for way in ways:
            for key, unit in (("mbit", "Mbit/s"), ("cpu_s_per_gb", "CPU s/GB")):
                values = {name: of[family][way][key] for name, of in found.items() if family in of}
                yield f"{family} {way}, {unit}", values
            if part := share.get(family, {}).get(way):
                yield f"{family} {way}, % of the bare loop's", {"adit": 100 * part, "goal": 100 * goal}
    for key, name in (("setups_s", "set-ups a second"), ("setup_ms", "median set-up, ms"), ("kb", "KB for each session")):
        if loads:
            yield name, {server: of[key] for server, of in loads.items()}


def drawing(found, loads, share, goal):
    """Bars of the servers side by side, each row on a scale of its own."""
    parts, y = [], GAP
    for name, values in rows(found, loads, share, goal):
        parts.append(f'<text x="{LABEL - 8}" y="{y + BAR * len(values) / 2 + 4}" text-anchor="end">{escape(name)}</text>')
        largest = max(values.values()) or 1
        for server, value in values.items():
            length = max(1, round(WIDTH * value / largest))
            parts.append(f'<rect x="{LABEL}" y="{y}" width="{length}" height="{BAR - 2}" fill="{COLOURS[server]}"/>')
            parts.append(f'<text x="{LABEL + length + 6}" y="{y + BAR - 5}">{value:.4g} {escape(server)}</text>')
            y += BAR
        y += GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 150}" height="{y}" '
            f'font-family="sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n")
