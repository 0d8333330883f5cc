"""Command line of the interop runner: picks scenarios, runs each in a lab of its own, counts.

Whatever happens, no namespace, guest or server of this runner stays behind; what an earlier run
left because it was killed is removed first.
"""

import fcntl
import importlib.util
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import threading
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


def program(package="adit", variable="ADIT_BIN"):
    """The server to test, or another program: what the variable says, or a fresh build of this tree."""
    if given := os.environ.get(variable):
        path = Path(given).resolve()
        if not os.access(path, os.X_OK):
            sys.exit(f"interop: {variable}={given} is not a program")
        return path
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    profile = ["--release"] if os.environ.get("ADIT_RELEASE") else []
    print("interop: cargo build -p", package, *profile, flush=True)
    if subprocess.run([cargo, "build", "-q", "-p", package, *profile], cwd=ROOT).returncode:
        sys.exit(f"interop: {package} does not build")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return (ROOT / target / ("release" if profile else "debug") / package).resolve()


def main():
    known = scenarios()
    names = sys.argv[1:]
    if names[:1] == ["--bench"]:
        return bench(names[1:])
    jobs = 1
    if names[:1] == ["--jobs"] and len(names) > 1 and names[1].isdecimal():
        jobs, names = max(1, int(names[1])), names[2:]
    if names == ["--list"]:
        for name, path in known.items():
            print(f"{name:<16} {load(path).__doc__.splitlines()[0]}")
        return 0
    if not names or any(n not in known and n != "all" for n in names):
        for name in names:
            if name not in known and name != "all":
                print(f"interop: no scenario is called {name}", file=sys.stderr)
        print(f"usage: interop/run --list | [--jobs N] all | SCENARIO...   ({', '.join(known)})", file=sys.stderr)
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
    if net.LANE:
        return run_all(names, known, binary)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a guest that dies would leave its whole memory
    with open("/run/lock/adit-interop.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("interop: waiting for another run to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        net.sweep_all()
        if jobs == 1:
            return run_all(names, known, binary)
        try:
            return run_by_lanes(names, known, binary, jobs)
        finally:
            net.sweep_all()


def bench(words):
    """interop/bench: one lab, optimised programs, no checks."""
    if os.geteuid() != 0:
        print("interop: needs root: it makes network namespaces", file=sys.stderr)
        return 1
    import compare  # it needs all the rest
    os.environ.setdefault("ADIT_RELEASE", "1")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    binary, bare_loop = program(), program("adit-bare-loop", "BARE_LOOP_BIN")
    with open("/run/lock/adit-interop.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out = OUT / "bench"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        rig = lab.Lab("bench", out, binary)
        try:
            net.sweep()
            compare.main(rig, bare_loop, words)
        finally:
            rig.close()
            net.sweep()
    return 0


def run_by_lanes(names, known, binary, jobs):
    """`jobs` scenarios at a time, and then, one by one, those that say ALONE because they compare rates."""
    alone = [name for name in names if getattr(load(known[name]), "ALONE", False)]
    failed = run_side_by_side([name for name in names if name not in alone], binary, jobs)
    failed += run_side_by_side(alone, binary, 1)
    print(f"\n{len(names) - len(failed)} scenarios passed, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


def run_side_by_side(names, binary, jobs):
    """Each scenario in a runner of its own; what it says is shown at its end. Gives those that failed."""
    left, done, failed = queue.Queue(), queue.Queue(), []
    running, stopped = set(), threading.Event()
    for name in names:
        left.put(name)

    def lane(number):
        env = {**os.environ, "ADIT_BIN": str(binary), "ADIT_INTEROP_LANE": f"{number}-"}
        while not stopped.is_set():
            try:
                name = left.get_nowait()
            except queue.Empty:
                break
            # This thread waits for it, so it dies only with the whole runner.
            child = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-B", Path(__file__).parent, name], env=env, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            running.add(child)
            said, _ = child.communicate()
            running.discard(child)
            done.put((name, child.returncode, said))
        done.put(None)

    lanes = [threading.Thread(target=lane, args=(number,), daemon=True) for number in range(1, jobs + 1)]
    for thread in lanes:
        thread.start()
    try:
        ended = 0
        while ended < jobs:
            if (news := done.get()) is None:
                ended += 1
                continue
            name, status, said = news
            print(said, end="", flush=True)
            if status:
                failed.append(name)
    finally:
        stopped.set()
        for child in list(running):
            child.terminate()  # it takes its guests and namespaces down
        for thread in lanes:
            thread.join(60)
    return failed


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
