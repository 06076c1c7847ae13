"""Makes the runs of a study, until none is due; called again, it goes on where it was stopped."""

import dataclasses
import time
from collections.abc import Callable

from experiments.ablation.executor import Executor
from experiments.ablation.plan import Plan, Trial
from experiments.ablation.result import Failure, Result
from experiments.ablation.store import Store
from train.sight import duration


@dataclasses.dataclass(frozen=True)
class Ran:
    """What came of a study's runs.

    Attributes:
      plan: what was to be run.
      done: results and failures, by address.
      made: how many runs were made now; the others were there.
      seconds: that this took.
    """

    plan: Plan
    done: dict[str, Result | Failure]
    made: int
    seconds: float


def run(plan: Plan, store: Store, executor: Executor, say: Callable[[str], None] = print) -> Ran:
    """Makes what is due, and again what is due then. A run that fails is not tried again in the same call."""
    done: dict[str, Result | Failure] = {}
    progress = _Progress(plan, say)
    while due := _found(plan.due(done), store, done, progress):
        for trial, outcome in executor.run(due, store):
            done[trial.address] = outcome
            progress.made(trial, outcome)
    return Ran(plan, done, progress.runs, progress.seconds)


def _found(due: list[Trial], store: Store, done: dict[str, Result | Failure], progress: "_Progress") -> list[Trial]:
    """Those of the runs that are not there yet; of those that are, what follows from them is asked for as well."""
    while due:
        there = {trial.address: found for trial in due if (found := store.result(trial)) is not None}
        done |= there
        progress.found(len(there))
        if left := [trial for trial in due if trial.address not in there]:
            return left
        due = progress.plan.due(done)
    return []


class _Progress:
    """How far a study is, a line a run."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan, self._say = plan, say
        self._began = time.perf_counter()
        self._there, self.runs, self._failed = 0, 0, 0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    def found(self, number: int) -> None:
        """So many runs were there."""
        self._there += number
        if number:
            self._say(f"{number} runs were there already")

    def made(self, trial: Trial, outcome: Result | Failure) -> None:
        """A run was made."""
        self.runs += 1
        if isinstance(outcome, Failure):
            self._failed += 1
            told = f"failed: {outcome.reason}"
        else:
            metric = self.plan.study.metric
            value = metric.one(outcome)
            told = f"{metric.key} {value:.4f}" if value is not None else f"{metric.key} is not finite"
        each = self.seconds / self.runs
        number, most = self.runs + self._there, self.plan.most()
        left = duration(each * max(most - number, 0))
        failed = f", {self._failed} failed" if self._failed else ""
        self._say(f"{number} of {most} runs{failed}, {each:.0f} s each, {left} left; {trial}: {told}")
