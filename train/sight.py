"""What the files of a run tell of it from outside, also while it is written."""

import dataclasses
import json
import math
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from etils import epath

from train.clock import read_clock
from train.run_directory import RunDirectory

Points = list[tuple[int, float]]
# Without a sign of life for this long, or for so many intervals of the log, a run is called silent.
_QUIET_SECONDS, _QUIET_INTERVALS = 60.0, 5
# Steps that the typical rate is taken over.
_RECENT = 20


@dataclasses.dataclass(frozen=True)
class Sight:
    """A run at a moment.

    Attributes:
      path: its directory.
      state: `starting`, `running`, `silent`, `dead` (its process is gone), `failed`, `interrupted` or `finished`.
      steps: how many it is to do; 0 if its config does not say.
      series: the values of every metric, by name.
      clock: what its clock says; empty if it has none.
      age: seconds since its last sign of life; None if there was none.
    """

    path: str
    state: str
    steps: int
    series: Mapping[str, Points]
    clock: Mapping[str, Any]
    age: float | None

    @property
    def step(self) -> int:
        """Steps done, as far as is known."""
        written = max((points[-1][0] for points in self.series.values()), default=0)
        return max(written, self.clock.get("step", 0) if self.clock.get("state") == "running" else 0)

    def last(self, metric: str) -> float | None:
        """The last value of a metric; None if there is none."""
        points = self.series.get(metric)
        return points[-1][1] if points else None

    def typical(self, metric: str) -> float | None:
        """The median of the last finite values of a metric; None if there is none."""
        values = sorted(v for _, v in self.series.get(metric, [])[-_RECENT:] if math.isfinite(v))
        return values[len(values) // 2] if values else None

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, as fast as the last ones were and with as large a share of time for other things.

        None if nothing is known of the rate, or nothing is running.
        """
        rate = self.typical("perf/step_seconds")
        if rate is None or self.state not in ("running", "silent"):
            return None
        spent: Mapping[str, float] = self.clock.get("seconds", {})
        besides = sum(spent.get(purpose, 0.0) for purpose in ("data", "save", "evaluate"))
        steps = spent.get("steps", 0.0)
        return (self.steps - self.step) * rate * (1 + (besides / steps if steps else 0))

    @property
    def goodput(self) -> float | None:
        """Share of all time so far that went into steps that count; None if there is no clock."""
        spent = self.clock.get("seconds", {})
        total = sum(spent.values())
        return spent.get("steps", 0.0) / total if total else None

    @property
    def incidents(self) -> list[str]:
        """What went wrong, for people."""
        found, spent = [], self.clock.get("seconds", {})
        if (starts := self.clock.get("starts", 1)) > 1:
            lost = spent.get("redone", 0.0) + spent.get("down", 0.0)
            found.append(f"started {starts} times" + (f", {duration(lost)} lost to it" if lost >= 1 else ""))
        for metric in ("train/loss", "train/grad_norm", "eval/loss"):
            bad = [step for step, value in self.series.get(metric, ()) if not math.isfinite(value)]
            if bad:
                found.append(f"{metric} was not finite {len(bad)} times, last at step {bad[-1]:,}")
        if self.state in ("silent", "dead") and self.age is not None:
            found.append(f"no sign of life for {duration(self.age)}")
        return found


class Sighted:
    """A run directory that is looked at again and again: of its metrics only what is new is read.

    Raises FileNotFoundError if it holds no run.
    """

    def __init__(self, path: str) -> None:
        self._run = RunDirectory(path)
        if not self._run.exists():
            raise FileNotFoundError(f"{path} holds no run: it has no {self._run.config.name}")
        self._series: dict[str, Points] = {}
        self._read, self._tail = 0, b""

    def look(self, now: float | None = None) -> Sight:
        """The run as it is now."""
        self._follow()
        clock, config = read_clock(self._run.clock), _json(self._run.config)
        steps = config.get("steps") if isinstance(config.get("steps"), int) else 0
        age = None if not clock else max((time.time() if now is None else now) - clock["alive"], 0.0)
        cadence = config.get("cadence") or {}
        interval = (_median(self._series, "perf/step_seconds") or 0.0) * (cadence.get("log") or 1)
        state = state_of(clock, age, max(_QUIET_SECONDS, _QUIET_INTERVALS * interval))
        return Sight(str(self._run.path), state, steps, self._series, clock, age)

    def _follow(self) -> None:
        """Reads what was added; all of it where a new start has written the file anew."""
        if not self._run.metrics.exists():
            return
        with epath.Path(self._run.metrics).open("rb") as file:
            file.seek(self._read - len(self._tail))
            if file.read(len(self._tail)) != self._tail:
                self._series, self._read, self._tail = {}, 0, b""
                file.seek(0)
            added = file.read()
        # A line without its end is still being written.
        whole = added[: added.rfind(b"\n") + 1]
        self._read += len(whole)
        self._tail = (self._tail + whole)[-256:]
        for line in whole.splitlines():
            _add(self._series, line)


def state_of(clock: Mapping[str, Any], age: float | None, quiet: float) -> str:
    """The state of a run by its clock, `age` seconds after its last sign of life; `quiet` seconds are too many."""
    if not clock or age is None:
        return "starting"
    if clock["state"] != "running":
        return str(clock["state"])
    host, process = clock.get("process", ("", 0))
    if host == socket.gethostname() and not _exists(process):
        return "dead"
    return "silent" if age > quiet else "running"


def duration(seconds: float) -> str:
    """A time for people: 4.2 s, 12 min, 3 h 10 min, 2 d 4 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _add(series: dict[str, Points], line: bytes) -> None:
    try:
        found = json.loads(line)
    except ValueError:
        return
    if not isinstance(found, dict) or not isinstance(found.get("step"), int):
        return
    for key, value in found.items():
        if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
            series.setdefault(key, []).append((found["step"], float(value)))


def _median(series: Mapping[str, Points], metric: str) -> float | None:
    values = sorted(value for _, value in series.get(metric, [])[-_RECENT:])
    return values[len(values) // 2] if values else None


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _json(path: epath.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
