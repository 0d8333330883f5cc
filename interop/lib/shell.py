"""Commands of the host, and waiting for a condition with a deadline."""

import os
import signal
import subprocess
import time

QUICK = 0.05  # seconds between two looks at a condition


class Failed(Exception):
    """A step could not be done; the text says which and what was seen."""


def run(*words, check=True, seconds=30, text_in=None, env=None):
    """Runs a command to its end. Result: CompletedProcess with stdout and stderr as text."""
    words = [str(w) for w in words]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=seconds, env=env,
            input=text_in, stdin=subprocess.DEVNULL if text_in is None else None,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words)}: no end after {seconds} s") from None
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise Failed(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done


def ping(address, *options, count=3):
    """Words of a ping that waits two seconds for each answer.

    -W is for a host that never answers. After a first answer ping waits for twice the longest time
    seen or, if that is longer, for one interval: a guest without a processor for a moment is later
    than the short intervals one would like. So all packets go at once, and the interval is the wait.
    """
    return [str(w) for w in ("ping", "-n", "-c", count, "-l", count, "-i", 2, "-W", 2, *options, address)]


def wait_for(what, probe, seconds):
    """Calls `probe` until it returns something true, and returns that; Failed past `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(QUICK)


class Daemon:
    """A process in the background; it is killed when this runner ends, however that happens."""

    def __init__(self, name, words, log, env=None, pass_fds=()):
        self.name, self.log = name, log
        with open(log, "ab") as sink:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, words)],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env,
                pass_fds=pass_fds, start_new_session=True,
            )

    def __str__(self):
        return self.name

    @property
    def running(self):
        return self.process.poll() is None

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def wait_said(self, pattern, seconds):
        """Waits until its output holds the compiled pattern; Failed at once if it ends before."""
        def look():
            ended = not self.running
            if found := pattern.search(self.said()):
                return found
            if ended:
                raise Failed(f"{self.name} ended with {self.process.returncode}: {self.said()[-2000:]}")
            return None
        return wait_for(f"{self.name} says /{pattern.pattern}/", look, seconds)

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Signals it and waits; its exit status (negative: ended by that signal)."""
        if self.running:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds} s of signal {number}") from None

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
