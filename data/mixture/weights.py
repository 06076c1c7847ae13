"""How much of a mixture a part has, and when: the choices."""

import abc
from dataclasses import dataclass
from fractions import Fraction


class Weight(abc.ABC):
    """A weight over training: a frozen dataclass.

    Weights are relative: at each step, a part has its weight over the sum of all.
    """

    @abc.abstractmethod
    def changes(self) -> tuple[int, ...]:
        """The steps from which on the weight is another one."""

    @abc.abstractmethod
    def at(self, step: int, size: Fraction) -> Fraction:
        """The weight at a step of a part of this size."""


@dataclass(frozen=True)
class BySize(Weight):
    """As many rows as the part has tokens, or as the mixture's `temperature` makes of them."""

    def changes(self) -> tuple[int, ...]:
        return ()

    def at(self, step: int, size: Fraction) -> Fraction:
        return size


@dataclass(frozen=True)
class Constant(Weight):
    """The same weight in every step. A plain number where a weight is asked for means this."""

    weight: float

    def __post_init__(self) -> None:
        _check(self, "weight", self.weight)

    def changes(self) -> tuple[int, ...]:
        return ()

    def at(self, step: int, size: Fraction) -> Fraction:
        return exact(self.weight)


@dataclass(frozen=True)
class Stepwise(Weight):
    """Weights that hold from a step on: `Stepwise((0, 10_000), (0.9, 0.5))`.

    Attributes:
      steps: where each begins; the first at 0.
      weights: the weights.
    """

    steps: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.weights):
            raise ValueError(f"Stepwise has {len(self.steps)} steps and {len(self.weights)} weights; give as many")
        if not self.steps or self.steps[0] != 0:
            raise ValueError(f"Stepwise.steps begins with {self.steps[:1]}, but the first weight holds from step 0 on")
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if after <= before:
                raise ValueError(f"Stepwise.steps has {after} after {before}; give steps in order")
        for weight in self.weights:
            _check(self, "weights", weight)

    def changes(self) -> tuple[int, ...]:
        return self.steps[1:]

    def at(self, step: int, size: Fraction) -> Fraction:
        return exact(self.weights[sum(begin <= step for begin in self.steps) - 1])


@dataclass(frozen=True)
class Ramp(Weight):
    """A straight line from one weight to another, as a staircase that holds each mean for a while.

    Attributes:
      first: the weight until `begin`.
      last: the weight from `end` on.
      begin, end: the steps between which it moves.
      stairs: how many weights it takes in between.
    """

    first: float
    last: float
    begin: int
    end: int
    stairs: int = 10

    def __post_init__(self) -> None:
        _check(self, "first", self.first)
        _check(self, "last", self.last)
        if not 0 <= self.begin < self.end:
            raise ValueError(f"Ramp goes from step {self.begin} to {self.end}; it begins at 0 or later and ends after")
        if not 1 <= self.stairs <= self.end - self.begin:
            raise ValueError(
                f"Ramp.stairs is {self.stairs}, but must be in [1, {self.end - self.begin}], the steps it has"
            )

    def changes(self) -> tuple[int, ...]:
        return tuple(self._edge(stair) for stair in range(self.stairs + 1))

    def at(self, step: int, size: Fraction) -> Fraction:
        stair = sum(edge <= step for edge in self.changes()) - 1
        if stair < 0:
            return exact(self.first)
        if stair >= self.stairs:
            return exact(self.last)
        way = Fraction(2 * stair + 1, 2 * self.stairs)
        return exact(self.first) * (1 - way) + exact(self.last) * way

    def _edge(self, stair: int) -> int:
        return self.begin + stair * (self.end - self.begin) // self.stairs


@dataclass(frozen=True)
class Joining(Weight):
    """Nothing before `at_step`; from it on, `share` of all rows. What was there before keeps its proportions in
    the rest, which is how much of the old is replayed.

    What is read before `at_step` is the same as if this part were not in the mixture.

    Attributes:
      at_step: when the part joins.
      share: between 0 and 1.
    """

    at_step: int
    share: float

    def __post_init__(self) -> None:
        if self.at_step < 0:
            raise ValueError(f"Joining.at_step is {self.at_step}, but must be at least 0")
        if not 0 < self.share <= 1:
            raise ValueError(f"Joining.share is {self.share}, but must be above 0 and at most 1")

    def changes(self) -> tuple[int, ...]:
        return (self.at_step,) if self.at_step else ()

    def at(self, step: int, size: Fraction) -> Fraction:
        return exact(self.share) if step >= self.at_step else Fraction(0)


def exact(number: float) -> Fraction:
    """The decimal number that was written, not the nearest binary one."""
    return Fraction(repr(number))


def _check(weight: Weight, field: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{type(weight).__name__}.{field} is {value}, but a weight is a number of at least 0")
