"""A claim on how the best size of a model grows with compute, by a law of the loss (Hoffmann 2022, approach 3)."""

import dataclasses

import numpy as np

from experiments.ablation.loss_law import LossLaw, fitted
from experiments.ablation.scores import Scores
from experiments.ablation.trend import Between


@dataclasses.dataclass(frozen=True)
class Frontier(Between):
    """The exponent of the best number of weights in FLOPs is between two numbers.

    For each seed a law is fitted to all runs of the arms, whatever their sizes and lengths.
    """

    def _measured(self, scores: Scores) -> tuple[list[float], str]:
        laws = self._laws(scores)
        if not laws:
            return [], ""
        alpha, beta, entropy = (np.mean([getattr(law, name) for law in laws]) for name in ("alpha", "beta", "entropy"))
        return [law.exponent for law in laws], f", of alpha {alpha:.3f}, beta {beta:.3f} and E {entropy:.3f}"

    @property
    def _what(self) -> str:
        return "by E + A / N^alpha + B / D^beta the exponent"

    def _laws(self, scores: Scores) -> list[LossLaw]:
        found = []
        for seed in scores.runs.get(self.names[0], {}):
            cells = [scores.runs.get(name, {}).get(seed, ()) for name in self.names]
            if all(cells):
                rows = [(run.weights, run.tokens, loss) for cell in cells for run, loss in cell]
                found.append(fitted(*zip(*rows, strict=True)))
        return found
