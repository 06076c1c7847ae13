"""A claim on how figures of arms grow with a number of theirs: an exponent, where both are logarithms."""

import dataclasses
import math

import numpy as np

from experiments.ablation.decision import Ask, Decision, within
from experiments.ablation.finding import Finding
from experiments.ablation.significance import bootstrap


@dataclasses.dataclass(frozen=True)
class Slope(Decision):
    """The slope of the line through the arms' figures, seed by seed, is between two numbers.

    It holds if its mean is significantly above the lower and below the upper one, and fails if it is significantly
    beyond one of them: two one-sided tests, with the range declared before anything runs.

    Attributes:
      names: the arms.
      at: a number of each, of which their figures are functions.
      low: the lowest slope that would bear the claim out.
      high: the highest.
    """

    names: tuple[str, ...]
    at: tuple[float, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        self._check()
        if len(self.at) != len(self.names) or len(set(self.at)) < 2:
            raise ValueError(f"Slope: {len(self.names)} arms are at {self.at}; give each a number, two of them unequal")
        if not self.low < self.high:
            raise ValueError(f"Slope is claimed to be between {self.low} and {self.high}; the first is below")

    @property
    def arms(self) -> tuple[str, ...]:
        """All."""
        return self.names

    def decide(self, ask: Ask) -> Finding:
        """By the slope of each seed that has figures of all arms."""
        scores = ask(self.metric)
        figures = scores.sign * scores.block(self.names)
        slopes = np.polyfit(self.at, figures.T, 1)[0].tolist() if len(figures) else []
        middle, margin = (self.low + self.high) / 2, (self.high - self.low) / 2
        standing, more, p = within([slope - middle for slope in slopes], margin, self.test, self.alpha)
        low, high = bootstrap(slopes)
        told = f"{np.mean(slopes):.3f}" if slopes else "not known"
        told += f", 95% interval [{low:.3f}, {high:.3f}]" if math.isfinite(low) else ""
        claim = f"the slope over {', '.join(self.names)} is between {self.low:g} and {self.high:g} (it is {told})"
        return Finding(standing, more, p, claim)
