"""What a scenario works with: its checks, and everything it started, which ends with it."""

import traceback

from shell import Failed


class Lab:
    """One run of one scenario. Objects that it makes are closed in reverse order at the end."""

    def __init__(self, name, out, binary):
        self.name, self.out, self.binary = name, out, binary
        self.passed = self.failed = 0
        self._open = []

    def run(self, scenario):
        """Runs `scenario(self)`; a step that could not be done counts as one failed check."""
        try:
            scenario(self)
        except Failed as problem:
            self.check(False, f"stopped: {problem}")
        except Exception:  # a mistake in the scenario itself must count, too
            self.check(False, f"stopped by an error of the scenario\n{traceback.format_exc()}")
        if self.passed + self.failed == 0:
            self.check(False, "the scenario asserted nothing")

    def keep(self, thing):
        """Registers something with a `close()`, and returns it."""
        self._open.append(thing)
        return thing

    def close(self):
        while self._open:
            thing = self._open.pop()
            try:
                thing.close()
            except (Failed, OSError) as problem:
                print(f"        closing {thing}: {problem}", flush=True)

    # -- checks -----------------------------------------------------------------------------------

    def check(self, held, what, found=None):
        """Counts and prints one assertion; `found` is shown when it does not hold."""
        if held:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.failed += 1
            detail = "" if found is None else f"\n        found: {found}"
            print(f"FAILED  {what}{detail}", flush=True)
        return bool(held)

    def equal(self, found, wanted, what):
        return self.check(found == wanted, f"{what}: {wanted}", found)

    def matches(self, text, pattern, what):
        """`text` holds the regular expression `pattern` (re.Pattern)."""
        tail = "\n        ".join(text.strip().splitlines()[-12:])
        return self.check(pattern.search(text), what, f"no /{pattern.pattern}/ in\n        {tail}")

    def note(self, text):
        print(f"        {text}", flush=True)
