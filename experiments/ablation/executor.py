"""How runs are made: here one after another, in a process of their own, so that one that dies takes none with it."""

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
from experiments.ablation.result import Failure, Result, read
from experiments.ablation.store import Store

# A process that was killed, or hung, is started again this often for the same run.
_ATTEMPTS = 2
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


class OneByOne(Executor):
    """A single process makes all runs, one after another, and shares what it compiled between them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, Result | Failure]]:
        """In order."""
        for trial in trials:
            yield trial, self._one(trial, store)

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # Ctrl-C reached it as well, and it saves its state.
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        # Its input ends, and with that it does.
        process.communicate()

    def _one(self, trial: Trial, store: Store) -> Result | Failure:
        folder = store.enter(trial)
        for _ in range(_ATTEMPTS):
            answer = self.asked([folder], store)
            if (result := read(folder / "result.json")) is not None:
                return result
            if isinstance(answer, str):
                return Failure(trial.address, answer)
            if not answer.again:
                break
        return Failure(trial.address, f"its process {answer.name}: {answer.meaning} (see {folder / 'log.txt'})")

    def asked(self, folders: Sequence[epath.Path], store: Store) -> str | exits.Exit:
        """Has the runs of these folders made as one. Returns why nothing came of it, empty if all went well, or how
        the process ended that was to do it."""
        process = self._started(store)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([str(folder) for folder in folders]) + "\n")
        process.stdin.flush()
        if line := process.stdout.readline():
            return line.strip()
        self._process = None
        return exits.of(process.wait())

    def _started(self, store: Store) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            store.root.mkdir(parents=True, exist_ok=True)
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            with open(store.root / "worker.log", "a") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "experiments.ablation.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                )
        return self._process
