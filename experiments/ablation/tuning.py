"""Hyper-parameters of arms: each arm is given the same trials, and arms are compared at the best of their own.

A tuning is asked again and again, with all that is known by then, and answers which runs are due. It keeps nothing, so
that a study which was killed goes on from the results that lie on disk.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.ablation.sweep import Setting, Sweep, named


@dataclasses.dataclass(frozen=True)
class Request:
    """A run that a tuning asks for.

    Attributes:
      setting: what it changes of the arm, as pairs.
      seed: of weights and data.
      share: of the arm's steps; the schedule is over as many.
    """

    setting: tuple[tuple[str, Any], ...]
    seed: int
    share: float = 1.0

    @classmethod
    def of(cls, setting: Setting, seed: int, share: float = 1.0) -> "Request":
        """That of a setting."""
        return cls(tuple(setting.items()), seed, share)


# Costs of the runs that are done, lower is better; infinite for those that failed or diverged.
Known = Mapping[Request, float]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a tuning says of one arm.

    Attributes:
      due: runs that are wanted now, in order.
      cells: of each seed the runs that the arm is judged by; empty while that is open.
      chosen: the setting that they have; None while that is open, or where several count.
    """

    due: tuple[Request, ...]
    cells: Mapping[int, tuple[Request, ...]] = dataclasses.field(default_factory=dict)
    chosen: Setting | None = None


class Tuning(abc.ABC):
    """How the hyper-parameters of each arm are found: a frozen dataclass."""

    def of(self, arm: str) -> "Tuning":
        """What finds those of an arm: the same for all, mostly."""
        return self

    @abc.abstractmethod
    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """What is due of an arm that is judged by these seeds."""

    @abc.abstractmethod
    def settings(self) -> Sweep:
        """All settings that an arm may be run with."""

    @abc.abstractmethod
    def trials(self) -> int:
        """Runs of each arm that only serve to tune it."""

    def judging(self, seeds: int) -> int:
        """Runs of each arm that judge it."""
        return seeds

    @abc.abstractmethod
    def budget(self) -> str:
        """The budget of each arm, as a clause for the report."""


@dataclasses.dataclass(frozen=True)
class Untuned(Tuning):
    """Every arm runs with what the parent has."""

    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """One run a seed."""
        return _judged({}, seeds, known)

    def settings(self) -> Sweep:
        """One: no change."""
        return ({},)

    def trials(self) -> int:
        """None."""
        return 0

    def budget(self) -> str:
        """That there was none."""
        return "no arm was tuned; all have the parent's hyper-parameters"


@dataclasses.dataclass(frozen=True)
class Tuned(Tuning):
    """Every setting is tried on seeds that do not judge, and the one with the best mean is judged on those that do.

    Attributes:
      sweep: the settings.
      seeds: to tune on; other ones than judge, so that luck in choosing is not counted twice.
    """

    sweep: Sweep
    seeds: tuple[int, ...] = (1_000_000,)

    def __post_init__(self) -> None:
        _check(self)

    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """The sweep; then the best of it, a run a seed."""
        wanted = [Request.of(setting, seed) for setting in self.sweep for seed in self.seeds]
        if missing := tuple(request for request in wanted if request not in known):
            return Answer(missing)
        return _judged(_best(self.sweep, self.seeds, 1.0, known, 1)[0], seeds, known)

    def settings(self) -> Sweep:
        """The sweep."""
        return self.sweep

    def trials(self) -> int:
        """Settings times seeds."""
        return len(self.sweep) * len(self.seeds)

    def budget(self) -> str:
        """How many settings on how many seeds."""
        return f"each arm was tuned by {self.trials()} runs: {_many(self)}, none of which judges"


@dataclasses.dataclass(frozen=True)
class Halving(Tuning):
    """Successive halving (Jamieson and Talwalkar 2016): short runs first, and the better ones again, longer.

    A short run is a whole run of fewer steps, with its schedule over as many. The last rung has all steps.

    Attributes:
      sweep: the settings.
      seeds: to tune on.
      rungs: how often they are told apart.
      factor: by how much fewer settings, and longer runs, each rung has.
    """

    sweep: Sweep
    seeds: tuple[int, ...] = (1_000_000,)
    rungs: int = 2
    factor: int = 2

    def __post_init__(self) -> None:
        _check(self)
        if self.rungs < 1 or self.factor < 2:
            raise ValueError(f"Halving: {self.rungs} rungs by {self.factor}; it is 1 rung or more, by 2 or more")

    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """The present rung; after the last, the best of it, a run a seed."""
        left, before = self.sweep, 0.0
        for count, share in self._rungs():
            left = _best(left, self.seeds, before, known, count) if before else left
            wanted = [Request.of(setting, seed, share) for setting in left for seed in self.seeds]
            if missing := tuple(request for request in wanted if request not in known):
                return Answer(missing)
            before = share
        return _judged(_best(left, self.seeds, before, known, 1)[0], seeds, known)

    def settings(self) -> Sweep:
        """The sweep."""
        return self.sweep

    def trials(self) -> int:
        """Runs of all rungs."""
        return sum(count for count, _ in self._rungs()) * len(self.seeds)

    def budget(self) -> str:
        """How many settings, on how many seeds, in which rungs."""
        rungs = ", then ".join(f"{count} of {share:.3g} of the steps" for count, share in self._rungs())
        return f"each arm was tuned by {self.trials()} runs, none of which judges: {_many(self)} by halving: {rungs}"

    def _rungs(self) -> list[tuple[int, float]]:
        """Settings and share of the steps of each rung."""
        count = len(self.sweep)
        return [
            (math.ceil(count / self.factor**rung), self.factor ** (rung + 1 - self.rungs)) for rung in range(self.rungs)
        ]


@dataclasses.dataclass(frozen=True)
class Everywhere(Tuning):
    """Every setting at every seed, and all of them are what an arm is judged by, as a metric says how."""

    sweep: Sweep

    def __post_init__(self) -> None:
        _check(self)

    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """All of them."""
        cells = {seed: tuple(Request.of(setting, seed) for setting in self.sweep) for seed in seeds}
        return Answer(tuple(r for cell in cells.values() for r in cell if r not in known), cells)

    def settings(self) -> Sweep:
        """The sweep."""
        return self.sweep

    def trials(self) -> int:
        """None: all of them judge."""
        return 0

    def judging(self, seeds: int) -> int:
        """Settings times seeds."""
        return len(self.sweep) * seeds

    def budget(self) -> str:
        """How many settings."""
        return f"each arm has {len(self.sweep)} runs a seed, and is judged by all of them"


def at_edge(sweep: Sweep, chosen: Setting) -> list[str]:
    """Keys of which the chosen value is the lowest or the highest that was tried, of three or more."""
    found = []
    for key, value in chosen.items():
        tried = {setting[key] for setting in sweep if isinstance(setting.get(key), int | float)}
        if len(tried) > 2 and value in (min(tried), max(tried)):
            found.append(key)
    return found


def _judged(setting: Setting, seeds: Sequence[int], known: Known) -> Answer:
    cells = {seed: (Request.of(setting, seed),) for seed in seeds}
    return Answer(tuple(request for (request,) in cells.values() if request not in known), cells, setting)


def _best(sweep: Sweep, seeds: Sequence[int], share: float, known: Known, count: int) -> Sweep:
    """The settings with the lowest mean cost, the earlier of equal ones first."""
    costs = [sum(known[Request.of(setting, seed, share)] for seed in seeds) for setting in sweep]
    return tuple(sweep[i] for i in sorted(range(len(sweep)), key=lambda i: (costs[i], i))[:count])


def _check(tuning: Tuned | Halving | Everywhere) -> None:
    kind, sweep = type(tuning).__name__, tuning.sweep
    if not sweep:
        raise ValueError(f"{kind}.sweep has no settings; leave tuning out to run the parent's")
    if len({named(setting) for setting in sweep}) < len(sweep):
        raise ValueError(f"{kind}.sweep has a setting twice; join sweeps by chain, which leaves it out")
    if not getattr(tuning, "seeds", (0,)):
        raise ValueError(f"{kind}.seeds is empty; give at least one seed to tune on")


def _many(tuning: Tuned | Halving) -> str:
    settings, seeds = len(tuning.sweep), len(tuning.seeds)
    keys = ", ".join(dict.fromkeys(key for setting in tuning.sweep for key in setting))
    return f"{settings} settings of {keys} on {seeds} seed{'s' * (seeds > 1)}"
