"""Where the time of a run goes: wall time charged to purposes, over all of its starts."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from etils import epath

from data import atomic

# What time is charged to. `down` is from the last sign of life to the next start; `redone` is work after the
# checkpoint that a start went on from, which had to be done again; `other` is the rest, as preparing data.
PURPOSES = ("steps", "data", "compile", "save", "evaluate", "other", "redone", "down")
# Work that is done again when a run goes back to a checkpoint.
_REPEATED = ("steps", "data", "save", "evaluate")
# Signs of life are at least this many seconds apart.
_APART = 2.0
# Checkpoints of which it is remembered what had been done by then.
_MARKS = 16

Item = TypeVar("Item")


class Clock:
    """Charges all wall time since it was made to one purpose at a time, and keeps the sums beside the run.

    Goodput is the share of `steps` in all that passed (Google's ML productivity goodput counts alike: time lost
    to restarts, set-up, saving and waiting for data is no progress).

    Args:
      path: where the sums are kept; what earlier starts of the run left there is added to.
      kept: whether this process writes them.
      elapsed: seconds from any beginning, that never go back.
      now: seconds of the calendar.
    """

    def __init__(
        self,
        path: epath.Path,
        kept: bool = True,
        elapsed: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._kept, self._elapsed, self._now = path, kept, elapsed, now
        before = read_clock(path)
        self._seconds = dict.fromkeys(PURPOSES, 0.0) | before.get("seconds", {})
        self._marks: dict[int, dict[str, float]] = {int(k): v for k, v in before.get("marks", {}).items()}
        self._starts = before.get("starts", 0) + 1
        self._step = before.get("step", 0)
        if before.get("state") in ("running", "failed", "preempted"):
            # A calendar that was set back tells nothing of how long the run was away.
            self._seconds["down"] += max(now() - before["alive"], 0.0)
        self._purpose, self._since, self._written = "other", elapsed(), float("-inf")
        self._began = self._since

    def since_start(self) -> float:
        """Seconds of this start of the run."""
        return self._elapsed() - self._began

    def resume(self, step: int) -> None:
        """Says which step this start goes on from: what earlier starts did after it was lost."""
        if self._step > step:
            older = [mark for mark in self._marks if mark <= step]
            done = self._marks[max(older)] if older else dict.fromkeys(_REPEATED, 0.0)
            for purpose in _REPEATED:
                self._seconds["redone"] += self._seconds[purpose] - done[purpose]
                self._seconds[purpose] = done[purpose]
        self._marks = {mark: done for mark, done in self._marks.items() if mark <= step}
        self._step = step
        self._write("running")

    def rest(self, purpose: str) -> None:
        """Time goes to `purpose` from now on, wherever no block says otherwise."""
        self._charge()
        self._purpose = purpose

    @contextlib.contextmanager
    def to(self, purpose: str) -> Iterator[None]:
        """Time within the block goes to `purpose`."""
        before = self._purpose
        self.rest(purpose)
        try:
            yield
        finally:
            self.rest(before)

    def during(self, purpose: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; time until the last one is used goes to `purpose`, wherever no block says otherwise."""
        with self.to(purpose):
            yield from items

    def waited(self, purpose: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items; time spent waiting for each goes to `purpose`."""
        while True:
            with self.to(purpose):
                item = next(items, None)
            if item is None:
                return
            yield item

    def alive(self, step: int) -> None:
        """A sign of life, after `step` steps; kept on disk, though not more often than every few seconds."""
        self._step = step
        if self._elapsed() - self._written >= _APART:
            self._write("running")

    @contextlib.contextmanager
    def saving(self, step: int) -> Iterator[None]:
        """Time within the block goes to `save`; it is remembered what had been done when step `step` was saved."""
        with self.to("save"):
            yield
        self._marks[step] = {purpose: self._seconds[purpose] for purpose in _REPEATED}
        self._marks = dict(sorted(self._marks.items())[-_MARKS:])
        self._step = step
        self._write("running")

    def seconds(self) -> dict[str, float]:
        """Seconds by purpose, over all starts."""
        self._charge()
        return dict(self._seconds)

    def figures(self) -> dict[str, float]:
        """`perf/goodput` and `perf/seconds_PURPOSE`; under `perf/` since two equal runs differ in them."""
        spent = self.seconds()
        total = sum(spent.values())
        shares = {"perf/goodput": spent["steps"] / total} if total else {}
        return shares | {f"perf/seconds_{purpose}": value for purpose, value in spent.items()}

    def close(self, state: str) -> None:
        """Writes how it ended: `finished`, `interrupted` by a person, `preempted`, or `failed`."""
        self._write(state)

    def _charge(self) -> None:
        now = self._elapsed()
        self._seconds[self._purpose] += now - self._since
        self._since = now

    def _write(self, state: str) -> None:
        if not self._kept:
            return
        self._charge()
        self._written = self._since
        said = {
            "state": state,
            "step": self._step,
            "alive": self._now(),
            "starts": self._starts,
            "process": [socket.gethostname(), os.getpid()],
            "seconds": {purpose: round(value, 3) for purpose, value in self._seconds.items()},
            "marks": self._marks,
        }
        # A missed sign of life is no reason to die; what else is written tells of a full disk.
        with contextlib.suppress(OSError):
            atomic.write_text(self._path, json.dumps(said) + "\n")


def read_clock(path: epath.Path) -> dict[str, Any]:
    """What a clock left at `path`; empty if there is nothing that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    known = isinstance(found, dict) and {"state", "alive", "step", "seconds"} <= found.keys()
    return found if known else {}
