"""What arms are compared by: a metric of their runs, and which way is better."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

from experiments.ablation.result import Points, Result


class Reading(abc.ABC):
    """How a curve becomes a number: a frozen dataclass."""

    @abc.abstractmethod
    def of(self, values: Sequence[float], sign: int) -> float:
        """The number; `sign` times it is lower where it is better."""


@dataclasses.dataclass(frozen=True)
class Last(Reading):
    """The value after the last step."""

    def of(self, values: Sequence[float], sign: int) -> float:
        """The last one."""
        return values[-1]


@dataclasses.dataclass(frozen=True)
class First(Reading):
    """The value at the first step that was logged; with `Cadence(log=1)` that of the fresh weights."""

    def of(self, values: Sequence[float], sign: int) -> float:
        """The first one."""
        return values[0]


@dataclasses.dataclass(frozen=True)
class Best(Reading):
    """The best value of the run, as early stopping would have it."""

    def of(self, values: Sequence[float], sign: int) -> float:
        """The best of those that are finite."""
        return sign * min((sign * value for value in values if math.isfinite(value)), default=math.nan)


@dataclasses.dataclass(frozen=True)
class Metric(abc.ABC):
    """A figure of a run.

    Attributes:
      key: its name in the run's metrics, `eval/loss`.
      unit: in words, `nats a token`.
      reading: how its curve becomes one number.
      worst: what a run counts as that diverged or was worse than this; None: a run without a finite value counts as
        not done.
      minus: another metric, which is subtracted point by point; empty: none.
    """

    key: str
    unit: str = ""
    reading: Reading = Last()
    worst: float | None = None
    minus: str = ""
    sign: ClassVar[int]
    word: ClassVar[str]

    def of(self, cell: Sequence[Result]) -> float | None:
        """The figure of the runs of one arm and seed, which is mostly one run; of several the best counts.

        None if there is none. Raises ValueError if a run has no such metric.
        """
        found = [value for result in cell if (value := self.one(result)) is not None]
        return self.sign * min(self.sign * value for value in found) if found else None

    def one(self, result: Result) -> float | None:
        """The figure of a run by itself; None if there is none. Raises ValueError if it has no such metric."""
        for key in filter(None, (self.key, self.minus)):
            if key not in result.series:
                known = ", ".join(sorted(result.series))
                raise ValueError(f"the run of {result.address} has no metric '{key}'; it has {known}")
        points = result.series[self.key]
        if self.minus:
            other = dict(result.series[self.minus])
            points = [(step, value - other[step]) for step, value in points if step in other]
        value = self._read(points)
        if self.worst is None:
            return value if math.isfinite(value) else None
        return self.worst if not self.sign * value <= self.sign * self.worst else value

    def _read(self, points: Points) -> float:
        return self.reading.of([value for _, value in points], self.sign)


class Lower(Metric):
    """A metric of which lower is better, as a loss."""

    sign, word = 1, "lower is better"


class Higher(Metric):
    """A metric of which higher is better, as an accuracy."""

    sign, word = -1, "higher is better"


@dataclasses.dataclass(frozen=True)
class StepsTo(Metric):
    """The step after which a metric, of which lower is better, was first found at `below` or lower.

    A run that never came there counts as all the steps that it had.

    Attributes:
      below: the threshold.
    """

    below: float = 0.0
    sign, word = 1, "earlier is better"

    def _read(self, points: Points) -> float:
        return float(next((step for step, value in points if value <= self.below), points[-1][0]))


@dataclasses.dataclass(frozen=True)
class Sensitivity(Lower):
    """How much a choice costs: of the runs of a cell, by how much the mean one is worse than the best one.

    Of the learning rates of `Everywhere`, that is the sensitivity of Wortsman 2023, section 2.2: the mean over rates of
    min(L, worst) - min L. Its `worst` is the loss before training.
    """

    def __post_init__(self) -> None:
        if self.worst is None:
            raise ValueError("Sensitivity.worst is None; give the loss that a run counts as which learnt nothing")

    def of(self, cell: Sequence[Result]) -> float | None:
        """The mean of all runs over the best of them, in the metric's unit."""
        found = [value for result in cell if (value := self.one(result)) is not None]
        return sum(found) / len(found) - min(found) if found else None
