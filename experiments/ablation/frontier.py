"""A claim on how the best size of a model grows with compute, by a law of the loss (Hoffmann 2022, approach 3)."""

import dataclasses
import math

import numpy as np

from experiments.ablation.decision import Ask, Decision, within
from experiments.ablation.finding import Finding
from experiments.ablation.loss_law import LossLaw, fitted
from experiments.ablation.scores import Scores
from experiments.ablation.significance import bootstrap


@dataclasses.dataclass(frozen=True)
class Frontier(Decision):
    """The exponent of the best number of weights in FLOPs is between two numbers.

    For each seed a law is fitted to all runs of the arms, whatever their sizes and lengths. It holds if the mean of the
    exponents is significantly above the lower and below the upper one, as by `Slope`.

    Attributes:
      names: the arms.
      low: the lowest exponent that would bear the claim out.
      high: the highest.
    """

    names: tuple[str, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        self._check()
        if not self.low < self.high:
            raise ValueError(f"Frontier is claimed to be between {self.low} and {self.high}; the first is below")

    @property
    def arms(self) -> tuple[str, ...]:
        """All."""
        return self.names

    def decide(self, ask: Ask) -> Finding:
        """By the law of each seed that has runs of all arms."""
        laws = self._laws(ask(self.metric))
        exponents = [law.exponent for law in laws]
        middle, margin = (self.low + self.high) / 2, (self.high - self.low) / 2
        standing, more, p = within([each - middle for each in exponents], margin, self.test, self.alpha)
        told = "not known"
        if laws:
            alpha, beta, entropy = (
                np.mean([getattr(law, name) for law in laws]) for name in ("alpha", "beta", "entropy")
            )
            low, high = bootstrap(exponents)
            interval = f", 95% interval [{low:.3f}, {high:.3f}]" if math.isfinite(low) else ""
            told = f"{np.mean(exponents):.3f}{interval}, of alpha {alpha:.3f}, beta {beta:.3f} and E {entropy:.3f}"
        claim = f"by E + A / N^alpha + B / D^beta the exponent is between {self.low:g} and {self.high:g} (it is {told})"
        return Finding(standing, more, p, claim)

    def _laws(self, scores: Scores) -> list[LossLaw]:
        found = []
        for seed in scores.runs.get(self.names[0], {}):
            cells = [scores.runs.get(name, {}).get(seed, ()) for name in self.names]
            if not all(cells):
                continue
            rows = [(run.weights, run.tokens, loss) for cell in cells for run, loss in cell]
            found.append(fitted(*zip(*rows, strict=True)))
        return found
