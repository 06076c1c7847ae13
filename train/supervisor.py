"""Starts a command again when it ended in a way that starting it again may mend."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from etils import epath

from data.exits import PREEMPTED, SIGNALLED, USAGE, Exit, of
from train.saved_steps import steps_saved

LONGEST_WAIT = 60.0


def complain(line: str) -> None:
    """Prints a line on standard error."""
    print(line, file=sys.stderr, flush=True)


class Supervisor:
    """Runs a command that trains, and runs it again after a crash, a hang or the loss of a peer.

    Args:
      command: the program and its arguments.
      run: the run directory; its newest checkpoint tells whether there was progress.
      record: name of the file in the run directory to which each attempt adds a line.
      restarts: how many restarts in a row without a newer checkpoint are tried before it gives up.
      preempted: whether a preempted run is started again too; elsewhere whoever takes the machine back starts it.
      wait: seconds before the first restart; doubled for each in a row without progress, up to `LONGEST_WAIT`.
      say: prints a line.
    """

    def __init__(
        self,
        command: Sequence[str],
        run: epath.Path,
        *,
        record: str = "supervisor.jsonl",
        restarts: int = 5,
        preempted: bool = False,
        wait: float = 1.0,
        say: Callable[[str], None] = complain,
    ) -> None:
        self._command, self._run, self._record = list(command), run, run / record
        self._restarts, self._preempted, self._wait, self._say = restarts, preempted, wait, say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None

    def __call__(self) -> int:
        """Runs to the end. Returns the exit status of the last attempt; 128 + n after signal n."""
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._attempts()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _attempts(self) -> int:
        attempt, fruitless = 0, 0
        while True:
            attempt += 1
            saved, began, started = self._saved(), time.monotonic(), time.time()
            way = self._attempt()
            seconds, reached = time.monotonic() - began, self._saved()
            fruitless = 0 if reached > saved else fruitless + 1
            again = way.again and self._asked is None and (self._preempted or way != PREEMPTED)
            giving_up = again and fruitless > self._restarts
            wait = min(LONGEST_WAIT, self._wait * 2 ** max(0, fruitless - 1)) if again and not giving_up else None
            self._note({
                "attempt": attempt, "started": started, "seconds": round(seconds, 3), "status": way.status,
                "name": way.name, "saved_before": saved, "saved_after": reached, "wait": wait,
            })  # fmt: skip
            told = f"supervisor: attempt {attempt} ended after {seconds:.0f} s: {way.name} ({way.meaning}); "
            told += f"saved up to step {reached}"
            if wait is None:
                if giving_up:
                    self._say(f"{told}; giving up after {fruitless} attempts in a row without a newer checkpoint")
                elif attempt > 1 or way.again:
                    self._say(told)
                return way.status
            self._say(f"{told}; starting again in {wait:g} s")
            if (ended := self._sleep(wait)) is not None:
                return ended

    def _attempt(self) -> Exit:
        # A group of its own: Ctrl-C in a terminal reaches this process alone, which passes it on once.
        self._child = subprocess.Popen(self._command, process_group=0)
        if self._asked is not None:
            self._child.send_signal(self._asked)
        status = self._child.wait()
        self._child = None
        return of(status)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        if self._child is not None:
            self._child.send_signal(number)

    def _sleep(self, seconds: float) -> int | None:
        """Waits; the status to leave with if a signal came meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._asked is not None:
                return PREEMPTED.status if self._asked == signal.SIGTERM else SIGNALLED + self._asked
            time.sleep(min(left, 0.1))
        return None

    def _saved(self) -> int:
        return steps_saved(self._run / "checkpoints")

    def _note(self, line: dict[str, Any]) -> None:
        # A command that asks for what does not exist has written nothing, and this does not either.
        if line["status"] == USAGE.status or not self._run.exists():
            return
        try:
            with self._record.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            self._say(f"supervisor: {self._record} cannot be written: {error}")
