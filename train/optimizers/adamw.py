"""AdamW."""

import dataclasses
from typing import Any

import optax

from train.optimizers.optimizer import Optimizer, clipped, decayed, learning
from train.optimizers.ranges import fractions, not_negative, positive


@dataclasses.dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled decay (Loshchilov and Hutter 2017), on matrices only, after clipping by global norm.

    Attributes:
      b1: decay of the mean of gradients.
      b2: decay of the mean of their squares.
      eps: added to the root of the second.
      decay: weight decay, times the learning rate; norms, biases and other vectors are spared.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    decay: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        fractions(self, "b1", "b2")
        positive(self, "eps")
        not_negative(self, "decay", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip, Adam, decay, learning rate."""
        return optax.chain(
            clipped(self.clip),
            optax.scale_by_adam(self.b1, self.b2, self.eps),
            decayed(self.decay, weights),
            learning(schedule, weights),
        )
