"""How runs are made: in a process of their own, so that one that dies takes none with it."""

import abc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType

from etils import epath

from data import exits
from experiments.ablation.address import ROOT
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result
from experiments.ablation.store import Store

# How long a process that was asked to stop may take to save its state, in seconds.
_PATIENCE = 60.0


class Executor(abc.ABC):
    """Makes runs. A context: leaving it ends what it started.

    Several runs may be made at once, or as one program: all that is asked of an executor is that each run's result
    comes to lie in the store, under its address.
    """

    @abc.abstractmethod
    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, Result | Failure]]:
        """What became of each of these, as it comes in, in any order; none is lost for another's failure."""

    def __enter__(self) -> "Executor":
        return self

    @abc.abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        """Ends what it started."""


class Worker:
    """A process that makes runs, one order after another, and shares what it compiled between them.

    It is started when it is first asked, and again when it has ended.

    Args:
      cores: that it is bound to; all for none.
    """

    def __init__(self, cores: Sequence[int] = ()) -> None:
        self._cores = tuple(cores)
        self._process: subprocess.Popen[str] | None = None

    def asked(self, folders: Sequence[epath.Path], store: Store) -> str | exits.Exit:
        """Has the runs of these folders made as one. Returns why nothing came of it, empty if all went well, or how
        the process ended that was to do it."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._started(store)
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([str(folder) for folder in folders]) + "\n")
        process.stdin.flush()
        if line := process.stdout.readline():
            return line.strip()
        self._process = None
        return exits.of(process.wait())

    def end(self, interrupted: bool) -> None:
        """Ends the process; one that Ctrl-C reached as well may save its state."""
        process, self._process = self._process, None
        if process is None:
            return
        if interrupted:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.stdin is not None
        # With its input it ends.
        process.stdin.close()
        process.wait()

    def _started(self, store: Store) -> subprocess.Popen[str]:
        store.root.mkdir(parents=True, exist_ok=True)
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(store.root / "worker.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "experiments.ablation.worker", *map(str, self._cores)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
