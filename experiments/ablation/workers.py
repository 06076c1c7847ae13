"""Runs of a study over the cores of a host: a process a core, and in each those that differ in numbers alone as one
program (see `train.trials`)."""

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from data import exits
from data.devices import accelerated
from experiments.ablation.executor import Executor, Worker
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result, read
from experiments.ablation.store import Store
from train.trials import NotTogether, numbers_of

# A process that was killed, or hung, is started again this often for the same run.
_ATTEMPTS = 2
# More processes are not started unasked: each holds a gigabyte or so.
_MOST = 8

Outcome = tuple[Trial, Result | Failure]


class Workers(Executor):
    """Several processes make runs side by side; each takes up to `most` at a time as one program where they can be.

    A group of which nothing comes is made arm by arm, then run by run, so that no run is lost for another's failure.

    Args:
      most: runs that are trained as one program, at most; 1: each by itself.
      count: processes; 0: one for each core of a CPU, and one alone where there are accelerators, as it holds them.
      say: prints a line.
    """

    def __init__(self, most: int = 1, count: int = 1, say: Callable[[str], None] = print) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = count or (1 if accelerated() else min(len(cores) or 1, _MOST))
        self._workers = [Worker(cores[i::count] if count > 1 else ()) for i in range(count)]
        self._most, self._say, self._told = most, say, set[str]()
        self._ending = False

    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[Outcome]:
        """Group by group, as they are done."""
        waiting: queue.SimpleQueue[list[Trial]] = queue.SimpleQueue()
        for group in divided(grouped(trials), self._most, len(self._workers)):
            waiting.put(group)
        found: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        for worker in self._workers:
            arguments = (worker, store, waiting, found)
            threading.Thread(target=self._serve, args=arguments, name="worker", daemon=True).start()
        for _ in trials:
            each = found.get()
            if isinstance(each, BaseException):
                raise each
            yield each
        for _ in self._workers:
            waiting.put([])

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self._ending = True
        for worker in self._workers:
            worker.end(kind is not None and issubclass(kind, KeyboardInterrupt))

    def _serve(
        self,
        worker: Worker,
        store: Store,
        waiting: "queue.SimpleQueue[list[Trial]]",
        found: "queue.SimpleQueue[Outcome | BaseException]",
    ) -> None:
        """Has one worker make groups, until an empty one comes."""
        try:
            while (group := waiting.get()) and not self._ending:
                if len(group) == 1:
                    found.put((group[0], self._one(worker, group[0], store)))
                    continue
                folders = [store.enter(trial) for trial in group]
                answer = worker.asked(folders, store)
                left = []
                for trial, folder in zip(group, folders, strict=True):
                    if (result := read(folder / "result.json")) is not None:
                        found.put((trial, result))
                    else:
                        left.append(trial)
                for smaller in self._apart(left, answer):
                    waiting.put(smaller)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the outcome is told
            found.put(error)

    def _one(self, worker: Worker, trial: Trial, store: Store) -> Result | Failure:
        folder = store.enter(trial)
        answer: str | exits.Exit = ""
        for _ in range(_ATTEMPTS):
            answer = worker.asked([folder], store)
            if (result := read(folder / "result.json")) is not None:
                return result
            if isinstance(answer, str):
                return Failure(trial.address, answer)
            if self._ending or not answer.again:
                break
        assert isinstance(answer, exits.Exit)
        return Failure(trial.address, f"its process {answer.name}: {answer.meaning} (see {folder / 'log.txt'})")

    def _apart(self, left: Sequence[Trial], answer: str | exits.Exit) -> list[list[Trial]]:
        """What to make of trials that did not become one program: one for each arm, or a run each, which is said."""
        # It may be that only arms differ in a number that decides on shapes.
        arms = list(dict.fromkeys(trial.arm for trial in left))
        smaller = [[trial for trial in left if trial.arm == arm] for arm in arms]
        if len(arms) < 2:
            smaller = [[trial] for trial in left]
        why = answer if isinstance(answer, str) else f"its process {answer.name}"
        if left and all(len(group) == 1 for group in smaller) and why not in self._told and not self._ending:
            self._told.add(why)
            self._say(f"run by run, not as one program: {why.removeprefix(f'{NotTogether.__name__}: ')}")
        return smaller


def grouped(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials in groups of which none has two that differ in more than numbers, in order of their first."""
    groups: list[list[Trial]] = []
    for trial in trials:
        for group in groups:
            if _together(group[0], trial):
                group.append(trial)
                break
        else:
            groups.append([trial])
    return groups


def divided(groups: Sequence[list[Trial]], most: int, workers: int) -> list[list[Trial]]:
    """The groups in parts of at most `most`, the largest first, as few as keep workers busy for about as long.

    Parts of a group are as large as each other, or one larger: those of one size are the same program.
    """
    found = [part for group in groups for part in _parts(group, -(-len(group) // most))]
    even = sum(map(len, found)) / workers
    while True:
        found.sort(key=len, reverse=True)
        if not found or len(found[0]) < 2 or _longest(found, workers) <= even + 1:
            return found
        found[:1] = _parts(found[0], 2)


def _parts(group: list[Trial], count: int) -> list[list[Trial]]:
    ends = [round(len(group) * i / count) for i in range(count + 1)]
    return [group[begin:end] for begin, end in itertools.pairwise(ends)]


def _longest(groups: Sequence[list[Trial]], workers: int) -> int:
    """Trials of the worker that has the most, if each takes the next group when it is done."""
    loads = [0] * workers
    for group in groups:
        loads[loads.index(min(loads))] += len(group)
    return max(loads)


def _together(one: Trial, other: Trial) -> bool:
    try:
        numbers_of([one.experiment, other.experiment])
    except NotTogether:
        return False
    return True
