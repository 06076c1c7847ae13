"""A claim on how figures of arms grow with a number of theirs: an exponent, where both are logarithms."""

import abc
import dataclasses
import math

import numpy as np

from experiments.ablation.decision import Ask, Decision, within
from experiments.ablation.finding import Finding
from experiments.ablation.scores import Scores
from experiments.ablation.significance import bootstrap


@dataclasses.dataclass(frozen=True)
class Between(Decision):
    """A number that all arms together have, seed by seed, is between two others.

    It holds if its mean is significantly above the lower and below the upper one, and fails if it is significantly
    beyond one of them: two one-sided tests, with the range declared before anything runs.

    Attributes:
      names: the arms.
      low: the lowest number that would bear the claim out.
      high: the highest.
    """

    names: tuple[str, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        self._check()
        if not self.low < self.high:
            kind = type(self).__name__
            raise ValueError(f"{kind} is claimed to be between {self.low} and {self.high}; the first is below")

    @property
    def arms(self) -> tuple[str, ...]:
        """All."""
        return self.names

    @abc.abstractmethod
    def _measured(self, scores: Scores) -> tuple[list[float], str]:
        """The number of each seed that has figures of all arms, and what else is to be told of them."""

    @property
    @abc.abstractmethod
    def _what(self) -> str:
        """The number, in words."""

    def decide(self, ask: Ask) -> Finding:
        """By the number of each seed."""
        found, besides = self._measured(ask(self.metric))
        middle, margin = (self.low + self.high) / 2, (self.high - self.low) / 2
        standing, more, p = within([each - middle for each in found], margin, self.test, self.alpha)
        low, high = bootstrap(found)
        told = f"{np.mean(found):.3f}" if found else "not known"
        told += f", 95% interval [{low:.3f}, {high:.3f}]" if math.isfinite(low) else ""
        claim = f"{self._what} is between {self.low:g} and {self.high:g} (it is {told}{besides})"
        return Finding(standing, more, p, claim)


@dataclasses.dataclass(frozen=True)
class Slope(Between):
    """The slope of the line through the arms' figures is between two numbers.

    Attributes:
      at: a number of each arm, of which their figures are functions.
    """

    at: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.at) != len(self.names) or len(set(self.at)) < 2:
            raise ValueError(f"Slope: {len(self.names)} arms are at {self.at}; give each a number, two of them unequal")

    def _measured(self, scores: Scores) -> tuple[list[float], str]:
        figures = scores.sign * scores.block(self.names)
        return (np.polyfit(self.at, figures.T, 1)[0].tolist() if len(figures) else []), ""

    @property
    def _what(self) -> str:
        return f"the slope over {', '.join(self.names)}"
