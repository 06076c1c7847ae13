"""Batches that grow while a run goes on.

The unit of data is the smallest batch: a step at factor m reads m units that follow one another. So which rows a
unit has stays a function of the seed and the unit's number, and the data position is the number of units read.
"""

import abc
import bisect
import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np

from data.batch import Batch


@dataclasses.dataclass(frozen=True)
class BatchGrowth(abc.ABC):
    """How many units of data a step reads."""

    @abc.abstractmethod
    def stages(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a step and the factor that holds from it on, in order; the first step is 0."""

    @functools.cached_property
    def _sums(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        steps, factors = zip(*self.stages(), strict=True)
        lengths = (after - before for before, after in itertools.pairwise(steps))
        read = (length * factor for length, factor in zip(lengths, factors, strict=False))
        return steps, factors, tuple(itertools.accumulate(read, initial=0))

    def factor(self, step: int) -> int:
        """The units that the step after `step` steps reads."""
        steps, factors, _ = self._sums
        return factors[bisect.bisect_right(steps, step) - 1]

    def units(self, steps: int) -> int:
        """The units that the first `steps` steps read."""
        begins, factors, read = self._sums
        stage = bisect.bisect_right(begins, steps) - 1
        return read[stage] + (steps - begins[stage]) * factors[stage]

    def grown(self, units: Iterator[tuple[int, Batch]], step: int) -> Iterator[tuple[int, Batch]]:
        """The batches of the steps from `step` on, from this host's units: row r of unit u is row r * factor + u.

        So the batch of all hosts has its rows in the same order, however many hosts there are.
        """
        for at in itertools.count(step):
            if (factor := self.factor(at)) == 1:
                yield next(units)
                continue
            taken = [next(units) for _ in range(factor)]
            first = taken[0][1]
            yield taken[0][0], {name: _interleaved([unit[name] for _, unit in taken]) for name in first}


@dataclasses.dataclass(frozen=True)
class Steady(BatchGrowth):
    """Every step reads one unit."""

    def stages(self) -> tuple[tuple[int, int], ...]:
        """One stage."""
        return ((0, 1),)

    def grown(self, units: Iterator[tuple[int, Batch]], step: int) -> Iterator[tuple[int, Batch]]:
        """The units themselves."""
        return units


@dataclasses.dataclass(frozen=True)
class Stages(BatchGrowth):
    """Factors that hold from a step on.

    PaLM (Chowdhery 2022, section 5) doubles its batch of 512 at step 50k, and again at step 115k:
    `Stages((0, 50_000, 115_000), (1, 2, 4))`.

    Attributes:
      steps: where each begins; the first at 0.
      factors: how many units a step reads.
    """

    steps: tuple[int, ...]
    factors: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.factors):
            raise ValueError(f"Stages has {len(self.steps)} steps and {len(self.factors)} factors; give as many")
        if not self.steps or self.steps[0] != 0:
            raise ValueError(f"Stages.steps begins with {self.steps[:1]}, but the first factor holds from step 0 on")
        for before, after in itertools.pairwise(self.steps):
            if after <= before:
                raise ValueError(f"Stages.steps has {after} after {before}; give steps in order")
        for factor in self.factors:
            if factor < 1:
                raise ValueError(f"Stages.factors has {factor}; a step reads at least 1 unit")

    def stages(self) -> tuple[tuple[int, int], ...]:
        """As given."""
        return tuple(zip(self.steps, self.factors, strict=True))


@dataclasses.dataclass(frozen=True)
class Gradual(BatchGrowth):
    """From one unit to `factor` in even parts of the data, as GPT-3's batch grows linearly with its tokens (Brown
    2020, appendix B).

    Each factor below the last holds for units / (factor - 1) units, rounded to whole steps.

    Attributes:
      factor_at_end: how many units a step reads in the end.
      over_units: the data over which it grows, in units.
    """

    factor_at_end: int
    over_units: int

    def __post_init__(self) -> None:
        if self.factor_at_end < 2:
            raise ValueError(f"Gradual.factor_at_end is {self.factor_at_end}; it is at least 2 (Steady does not grow)")
        if self.over_units < 1:
            raise ValueError(f"Gradual.over_units is {self.over_units}; it is at least 1")

    def stages(self) -> tuple[tuple[int, int], ...]:
        """One for each factor; each has a step at least."""
        each = self.over_units / (self.factor_at_end - 1)
        lengths = (max(round(each / factor), 1) for factor in range(1, self.factor_at_end))
        begins = itertools.accumulate(lengths, initial=0)
        return tuple(zip(begins, range(1, self.factor_at_end + 1), strict=True))


def _interleaved(units: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(units, axis=1)
    return stacked.reshape(-1, *stacked.shape[2:])
