"""Lion."""

import dataclasses
from typing import Any

import optax

from train.optimizers.optimizer import Optimizer, clipped, decayed, learning
from train.optimizers.ranges import fractions, not_negative


@dataclasses.dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen 2023, arXiv:2302.06675, algorithm 2): the sign of an average between gradient and momentum.

    Every weight moves by the learning rate, so that it is to be 3 to 10 times lower than AdamW's, and the decay as
    many times higher (section 5). Decay is on matrices only, and gradients are first clipped by global norm.

    Attributes:
      b1: share of the momentum in what the sign is taken of.
      b2: decay of the momentum.
      decay: weight decay, times the learning rate; 10 times AdamW's 0.1 by default.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    b1: float = 0.9
    b2: float = 0.99
    decay: float = 1.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        fractions(self, "b1", "b2")
        not_negative(self, "decay", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip, sign, decay, learning rate."""
        return optax.chain(
            clipped(self.clip),
            optax.scale_by_lion(self.b1, self.b2),
            decayed(self.decay, weights),
            learning(schedule, weights),
        )
