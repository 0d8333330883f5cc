"""A Linux guest as seen from the host: booted, told what to run, killed."""

import json
import os
import signal
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import net
from shell import Daemon, Failed, run, wait_for

FOLDER = Path(__file__).resolve().parent.parent / "guest"
BOOT_SECONDS = 60
REMINDER = 0.02  # seconds


@dataclass
class Result:
    status: int
    out: str


def mac(tap):
    """A card keeps its address over boots: the neighbours of a returning guest notice nothing."""
    return "02:ad:" + ":".join(f"{b:02x}" for b in zlib.crc32(tap.encode()).to_bytes(4))


class Guest:
    """Boots at once; `taps` of `namespace` become its cards vec0, vec1, ..."""

    def __init__(self, lab, name, namespace, *taps, memory="256M"):
        self.name, self.out = name, lab.out
        net.RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
        orders_in, self._orders = os.pipe()
        answers, answers_out = os.pipe()
        # glibc's and UML's own files go to a folder that ends with the guest
        home = tempfile.mkdtemp(prefix=f"{name}-", dir=net.RUN)
        words = [
            FOLDER / "boot", f"mem={memory}", "rootfstype=hostfs", "rootflags=/", "rw", "quiet",
            f"init={FOLDER / 'init'}", f"uml_dir={home}/", "con=null", "con0=null,fd:1", "ssl=null",
            f"ssl0=fd:{orders_in},fd:{answers_out}",
            *(f"vec{n}:transport=tap,ifname={tap},depth=128,gro=1,mac={mac(tap)}" for n, tap in enumerate(taps)),
            f"ADIT_GUEST={FOLDER}", f"ADIT_OUT={lab.out}", f"ADIT_NAME={name}",
        ]
        # A process namespace of its own: killing its first process takes all of the guest with it.
        own = ["unshare", "--pid", "--fork", "--kill-child", "--"]
        self.daemon = lab.keep(Daemon(
            f"guest {name}", namespace.inside(*own, *words), lab.out / f"{name}.console.log",
            env={**os.environ, "HOME": home}, pass_fds=(orders_in, answers_out)))
        os.close(orders_in)
        os.close(answers_out)
        self._news = threading.Condition()
        self._done, self._last = {}, 0
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()
        self._answer(0, BOOT_SECONDS, "boots")
        kernel = os.pidfd_open(int(run("pgrep", "-P", self.daemon.process.pid).stdout))
        threading.Thread(target=self._remind, args=(kernel,), daemon=True).start()

    def _listen(self, answers):
        with os.fdopen(answers, "rb") as lines:
            for text in lines:
                answer = json.loads(text)
                with self._news:
                    self._done[answer["id"]] = answer
                    self._news.notify_all()
        with self._news:
            self._done[None] = True
            self._news.notify_all()

    def _remind(self, kernel):
        """Has the guest look at its cards again and again, until it ends.

        A tap of the host sends SIGIO before the packet can be seen by epoll. A guest that runs on
        another processor may look in between, and would then leave the packet there until something
        else happens: with both processors busy, 34 of 40,000 answers were not seen for 0.3 s.
        """
        try:
            while True:
                signal.pidfd_send_signal(kernel, signal.SIGIO)
                time.sleep(REMINDER)
        except ProcessLookupError:
            os.close(kernel)

    def _answer(self, number, seconds, what):
        with self._news:
            self._news.wait_for(lambda: number in self._done or None in self._done, seconds)
            answer = self._done.pop(number, None)
        if answer is None:
            gone = "it is gone" if None in self._done else f"not within {seconds} s"
            raise Failed(f"guest {self.name}: {what}: {gone} (see {self.daemon.log.name})")
        return answer

    def run(self, command, seconds=30, check=True):
        """Runs a shell command in the guest to its end. Result: status and what it printed."""
        self._last += 1
        number = self._last
        order = {"id": number, "command": command, "seconds": seconds}
        try:
            os.write(self._orders, json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            raise Failed(f"guest {self.name} is gone") from None
        answer = self._answer(number, seconds + 15, command.strip().splitlines()[0])
        if check and answer["status"]:
            raise Failed(f"guest {self.name}: {command}: exit {answer['status']}: {answer['out'][-2000:]}")
        return Result(answer["status"], answer["out"])

    def json(self, command, **options):
        return json.loads(self.run(command, **options).out or "[]")

    def put(self, path, text):
        """Writes a file in the guest, readable by root only."""
        mark = "END-OF-THIS-FILE"
        self.run(f"mkdir -p $(dirname {path}); umask 077; cat >{path} <<'{mark}'\n{text.rstrip()}\n{mark}")

    def wait(self, what, command, seconds):
        """Waits until a command succeeds in the guest. Result: what it printed."""
        return wait_for(f"guest {self.name}: {what}",
                        lambda: (r := self.run(command, check=False)).status == 0 and r, seconds).out

    def card(self, device, *addresses):
        self.run(f"ip link set {device} up")
        for address in addresses:
            self.run(f"ip addr add {address} dev {device}")

    def power_loss(self):
        """Ends it as a pulled plug would: no process in it gets to say a word."""
        self.run("sync")  # for the logs on the host's disk only
        self.daemon.close()
        os.close(self._orders)
