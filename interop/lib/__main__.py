"""Command line of the interop runner: picks scenarios, runs each in a lab of its own, counts.

Whatever happens, no namespace, guest or server of this runner stays behind; what an earlier run
left because it was killed is removed first.
"""

import fcntl
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lab
import net

INTEROP = Path(__file__).resolve().parent.parent
ROOT = INTEROP.parent
OUT = INTEROP / "out"


def scenarios():
    """Name of each scenario to its file, in the order of the names."""
    return {f.stem: f for f in sorted((INTEROP / "scenarios").glob("*.py"), key=lambda f: f.stem)}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program():
    """The server to test: $ADIT_BIN, or a fresh build of this tree."""
    if given := os.environ.get("ADIT_BIN"):
        path = Path(given).resolve()
        if not os.access(path, os.X_OK):
            sys.exit(f"interop: ADIT_BIN={given} is not a program")
        return path
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    profile = ["--release"] if os.environ.get("ADIT_RELEASE") else []
    print("interop: cargo build -p adit", *profile, flush=True)
    if subprocess.run([cargo, "build", "-q", "-p", "adit", *profile], cwd=ROOT).returncode:
        sys.exit("interop: adit does not build")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return (ROOT / target / ("release" if profile else "debug") / "adit").resolve()


def main():
    known = scenarios()
    names = sys.argv[1:]
    if names == ["--list"]:
        for name, path in known.items():
            print(f"{name:<16} {load(path).__doc__.splitlines()[0]}")
        return 0
    if not names or any(n not in known and n != "all" for n in names):
        for name in names:
            if name not in known and name != "all":
                print(f"interop: no scenario is called {name}", file=sys.stderr)
        print(f"usage: interop/run --list | all | SCENARIO...   ({', '.join(known)})", file=sys.stderr)
        return 2
    if "all" in names:
        names = list(known)
    if os.geteuid() != 0:
        print("interop: needs root: it makes network namespaces and boots guests", file=sys.stderr)
        return 1

    # A signal must unwind like an error, so that everything is taken down.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    binary = program()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a guest that dies would leave its whole memory
    with open("/run/lock/adit-interop.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("interop: waiting for another run to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return run_all(names, known, binary)


def run_all(names, known, binary):
    passed, failed = 0, 0
    for name in names:
        out = OUT / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        print(f"\n== {name}: {load(known[name]).__doc__.splitlines()[0]}", flush=True)
        started = time.monotonic()
        bench = lab.Lab(name, out, binary)
        try:
            net.sweep()
            bench.run(load(known[name]).run)
        finally:
            bench.close()
            net.sweep()
        passed += bench.passed
        failed += bench.failed
        print(f"-- {name}: {time.monotonic() - started:.0f} s, logs and captures in {out}", flush=True)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
