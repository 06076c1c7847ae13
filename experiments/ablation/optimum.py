"""Where the best run of a cell lies: a rate, a size, among those that were tried."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from experiments.ablation.metric import Higher, Lower
from experiments.ablation.result import Result


class Axis(abc.ABC):
    """What of a run is looked at along: a frozen dataclass."""

    @abc.abstractmethod
    def of(self, result: Result) -> float:
        """Where a run lies, above 0."""


@dataclasses.dataclass(frozen=True)
class OfSetting(Axis):
    """A number of the setting that a run was tried with.

    Attributes:
      key: its dotted key, `schedule.peak`.
    """

    key: str

    def of(self, result: Result) -> float:
        """Raises ValueError if the setting has no such key."""
        if self.key not in result.setting:
            known = ", ".join(result.setting) or "nothing"
            raise ValueError(f"the optimum is looked for along {self.key}, and runs were tried with other {known}")
        return float(result.setting[self.key])


@dataclasses.dataclass(frozen=True)
class OfWeights(Axis):
    """The number of weights."""

    def of(self, result: Result) -> float:
        """Of the whole model."""
        return float(result.weights)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimum(Higher):
    """The logarithm of where along an axis the runs of an arm and seed have the lowest loss.

    A parabola in the logarithm is put through the lowest run and its neighbours, by least squares where they are more
    than two. Where the lowest run is the first or the last, the optimum was not found, and there is no figure.

    Attributes:
      axis: along what.
      points: runs that the parabola is put through: the lowest, and half of the rest on each side of it, or as many as
        there are.
      base: of the logarithm.
    """

    axis: Axis
    points: int = 3
    base: float = 2.0
    word: ClassVar[str] = "where the loss is lowest"

    def __post_init__(self) -> None:
        if self.points < 3 or self.points % 2 == 0:
            raise ValueError(f"Optimum.points is {self.points}; it is an odd number, 3 or more")

    def one(self, result: Result) -> float | None:
        """The loss of a run."""
        return Lower(self.key, self.unit, self.reading, self.worst, self.minus).one(result)

    def of(self, cell: Sequence[Result]) -> float | None:
        """Of all runs of a cell; None where they have no lowest one between others."""
        found = {self.axis.of(result): value for result in cell if (value := self.one(result)) is not None}
        places = sorted(found)
        x, y = (np.array(each) for each in ([math.log(p, self.base) for p in places], [found[p] for p in places]))
        if not 0 < (lowest := int(np.argmin(y)) if len(y) else 0) < len(y) - 1:
            return None
        side = self.points // 2
        near = slice(max(lowest - side, 0), lowest + side + 1)
        square, line, _ = np.polyfit(x[near] - x[lowest], y[near], 2)
        # Through more than three runs a parabola may be open to below, or have its lowest point outside of them.
        if square <= 0:
            return None
        return float(np.clip(x[lowest] - line / (2 * square), x[near][0], x[near][-1]))
