"""A steady stream of numbered packets, and which of them were lost."""

import re
import signal

from shell import Daemon, wait_for

ANSWER = re.compile(r"icmp_seq=(\d+) .*time=")
WRAP = 1 << 16  # ping's numbers have 16 bits


class Stream:
    """Echo requests from a namespace to one address at a steady rate, until stop()."""

    def __init__(self, lab, namespace, address, interval=0.02, size=500, name=None):
        self.lab, self.address = lab, address
        self.log = lab.out / f"stream-{name or address.replace(':', '-')}.log"
        words = ["stdbuf", "-oL", "ping", "-n", "-i", str(interval), "-s", str(size), address]
        self.daemon = lab.keep(Daemon(f"ping {address}", namespace.inside(*words), self.log))
        wait_for(f"{address} answers", lambda: self.numbers(), 20)

    def numbers(self):
        """The numbers that were answered, in the order of the answers, counted on past 16 bits."""
        numbers, round_ = [], 0
        for found in ANSWER.finditer(self.daemon.said()):
            number = int(found[1]) + round_ * WRAP
            if numbers and number < numbers[-1] - WRAP // 2:
                number, round_ = number + WRAP, round_ + 1
            numbers.append(number)
        return numbers

    def stop(self):
        """Ends it. Result: how many were sent, the numbers of those that were lost, and how many
        answers came more than once.

        What is still under way when ping is told to end is not lost: numbers up to the last answer
        count, and that has to be of the time after this call.
        """
        sent = self.numbers()[-1]
        wait_for(f"{self.address} goes on answering", lambda: self.numbers()[-1] > sent, 5)
        self.daemon.stop(signal.SIGINT)
        numbers = self.numbers()
        missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
        return numbers[-1], missing, len(numbers) - len(set(numbers))

    def check_lossless(self, what, least):
        """Stops it once it is `least` packets long, and asserts that all came back, each once."""
        wait_for(f"{self.address} answers {least:.0f} times", lambda: self.numbers()[-1] >= least, 60)
        sent, missing, twice = self.stop()
        self.lab.check(not missing and not twice, f"{what}: none of {sent} packets was lost",
                       f"{len(missing)} of {sent} lost, {twice} twice; lost: {missing[:40]}")
