"""A run that no longer moves ends, and leaves behind where it stood: a supervisor can start it again."""

import faulthandler
import os
import sys
import tempfile
import threading
import time

from etils import epath

from data.exits import HUNG

# How much longer than a step the other phases of a run may take.
ALLOWANCES = {"step": 1, "checkpoint": 10, "evaluation": 20, "compile": 20, "end": 20}
_SLOWEST = 10


class Watchdog:
    """Ends the process when nothing has moved for too long. Time is what this process lived through: while it was
    stopped, or its machine slept, no time passed, and the clock on the wall does not matter.

    Args:
      seconds: how long a step may take; a step that follows slow ones may take `_SLOWEST` times the slowest of them,
        and other phases `ALLOWANCES` times as long. 0 watches over nothing.
      stacks: where the stacks of all threads are written when it ends the process.
    """

    def __init__(self, seconds: float, stacks: epath.Path) -> None:
        self._seconds, self._stacks = seconds, stacks
        self._phase, self._waited, self._since = "compile", 0.0, time.monotonic()
        self._slowest, self._closed = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    def moved(self, phase: str) -> None:
        """Something was done, and `phase` begins."""
        now = time.monotonic()
        # The first step also loads programs and fills queues: what follows compilation has its allowance.
        if self._phase == phase == "step":
            self._slowest = max(self._slowest, now - self._since)
        self._phase, self._waited, self._since = phase, 0.0, now

    @property
    def allowance(self) -> float:
        """Seconds that the present phase may go on."""
        return max(self._seconds, _SLOWEST * self._slowest) * ALLOWANCES[self._phase]

    def _watch(self) -> None:
        every = min(1.0, self._seconds / 10)
        before = time.monotonic()
        while not self._closed.wait(every):
            now = time.monotonic()
            # A long gap is this process asleep, and not the run waiting.
            self._waited += min(now - before, 5 * every)
            before = now
            if self._waited > self.allowance:
                self._end()

    def _end(self) -> None:
        sentence = (
            f"{HUNG.name}; the {self._phase} has gone on for {self._waited:.0f} s, and may take {self.allowance:.0f}: "
            f"the stacks of all threads are in {self._stacks}"
        )
        print(sentence, file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.__stderr__)
        # The disk may be what hangs: it is given a little time.
        writer = threading.Thread(target=self._write, args=(sentence,), daemon=True)
        writer.start()
        writer.join(timeout=20)
        os._exit(HUNG.status)

    def _write(self, sentence: str) -> None:
        with tempfile.TemporaryFile("w+") as file:
            print(sentence, file=file, flush=True)
            faulthandler.dump_traceback(file)
            file.seek(0)
            self._stacks.write_text(file.read())
