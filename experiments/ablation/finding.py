"""What tests find: of a pair of arms, and of a claim."""

import dataclasses
import enum
import math

import numpy as np

from experiments.ablation.significance import bootstrap


class Standing(enum.Enum):
    """What the data say of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two arms beside each other.

    Attributes:
      better: the arm that is claimed to be better.
      worse: the other.
      differences: by seed, how much the worse costs more.
      p: of the claim.
      adjusted: the same, after Holm, over the comparisons of its test.
      standing: what the data say of this pair alone.
    """

    better: str
    worse: str
    differences: tuple[float, ...]
    p: float
    adjusted: float
    standing: Standing

    @property
    def mean(self) -> float:
        """The mean difference; nan without any."""
        return float(np.mean(self.differences)) if self.differences else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% bootstrap interval of the mean."""
        return bootstrap(self.differences)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a test found.

    Attributes:
      standing: of the claim.
      more: seeds that would be needed besides those that there are, where it is open.
      p: of the claim as a whole.
      claim: in words.
      comparisons: pair by pair.
      parts: of a claim that consists of others, what was found of each.
    """

    standing: Standing
    more: int
    p: float
    claim: str
    comparisons: tuple[Comparison, ...] = ()
    parts: tuple["Finding", ...] = ()
