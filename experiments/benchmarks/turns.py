"""Two sides of a benchmark, each in a process of its own, that take turns on the same cores."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


class Side:
    """A process that waits, and runs a number of steps when told to.

    Args:
      module: run as `python -m module argument`; it calls `serve`.
      argument: JSON-ready settings for it.
      variables: added to its environment.
    """

    def __init__(self, module: str, argument: Mapping[str, object], variables: Mapping[str, str]) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(argument)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **variables},
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def seconds(self, steps: int) -> float:
        """Seconds that `steps` steps take."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def peak(self) -> int:
        """Bytes that the process has held at the most."""
        self._process.stdin.write("peak\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        for line in self._process.stdout:
            if line.startswith("> "):
                return line[2:]
        raise RuntimeError(f"{self._module} ended with status {self._process.wait()} before it answered")


def serve(run: Callable[[int], float]) -> None:
    """The other end of `Side`: warms up, then runs as many steps as each line of standard input says."""
    run(2)
    print("> ready", flush=True)
    for line in sys.stdin:
        told = _peak() if line.strip() == "peak" else run(int(line))
        print(f"> {told}", flush=True)


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
