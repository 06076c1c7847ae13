"""What arms are compared by: a metric of their runs, and which way is better."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

from experiments.ablation.result import Result


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
    """

    key: str
    unit: str = ""
    reading: Reading = Last()
    worst: float | None = None
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
        if self.key not in result.series:
            known = ", ".join(sorted(result.series))
            raise ValueError(f"the run of {result.address} has no metric '{self.key}'; it has {known}")
        value = self.reading.of([value for _, value in result.series[self.key]], self.sign)
        if self.worst is None:
            return value if math.isfinite(value) else None
        return self.worst if not self.sign * value <= self.sign * self.worst else value


class Lower(Metric):
    """A metric of which lower is better, as a loss."""

    sign, word = 1, "lower is better"


class Higher(Metric):
    """A metric of which higher is better, as an accuracy."""

    sign, word = -1, "higher is better"
