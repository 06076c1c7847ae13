"""Runs of a study that differ in numbers alone are made as one program: see `train.together`."""

from collections.abc import Iterator, Sequence

from experiments.ablation.executor import OneByOne
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result, read
from experiments.ablation.store import Store
from train.trials import NotTogether, numbers_of


class Together(OneByOne):
    """As `OneByOne`, but up to `most` runs at a time are trained as one program where they can be.

    A group of which nothing comes is made run by run, so that no run is lost for another's failure.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, Result | Failure]]:
        """Group by group."""
        for group in grouped(trials, self._most):
            folders = [store.enter(trial) for trial in group]
            if len(group) > 1:
                self.asked(folders, store)
            for trial, folder in zip(group, folders, strict=True):
                yield trial, read(folder / "result.json") or self._one(trial, store)


def grouped(trials: Sequence[Trial], most: int) -> list[list[Trial]]:
    """Trials in groups of at most `most`, none with two that differ in more than numbers, in order of their first."""
    groups: list[list[Trial]] = []
    for trial in trials:
        for group in groups:
            if len(group) < most and _together(group[0], trial):
                group.append(trial)
                break
        else:
            groups.append([trial])
    return groups


def _together(one: Trial, other: Trial) -> bool:
    try:
        numbers_of([one.experiment, other.experiment])
    except NotTogether:
        return False
    return True
