"""Schedule-Free AdamW."""

import dataclasses
from typing import Any, ClassVar

import jax
import optax
from optax import contrib

from train.optimizers.optimizer import Optimizer, clipped, decayed, learning
from train.optimizers.ranges import fractions, not_negative, positive


@dataclasses.dataclass(frozen=True)
class ScheduleFreeAdamW(Optimizer):
    """Schedule-Free AdamW (Defazio 2024, arXiv:2405.15682, algorithm 1): an average instead of a falling rate.

    The schedule is to warm up and then to stay. The weights that learn, y, lie between those that Adam steps, z, and
    the average of z, x = (y - (1 - b1) z) / b1, by which the run is evaluated; weights are to be float32, for that
    difference. Decay is of y, on matrices only, and gradients are first clipped by global norm.

    Attributes:
      b1: share of the average in the weights that gradients are taken at; above 0.
      b2: decay of the mean of squared gradients.
      eps: added to its root.
      decay: weight decay, times the learning rate.
      power: an iterate counts in the average by the highest learning rate so far to this power.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    averages: ClassVar[bool] = True

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    decay: float = 0.0
    power: float = 2.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        fractions(self, "b1", "b2")
        positive(self, "b1", "eps")
        not_negative(self, "decay", "power", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip, Adam without momentum, decay and learning rate, for z; then the average."""
        base = optax.chain(
            clipped(self.clip),
            optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False, bias_correction=True),
            decayed(self.decay, weights),
            learning(schedule, weights),
        )
        # It counts from 1 where the schedule counts from 0.
        free = contrib.schedule_free(base, lambda count: schedule(count - 1), self.b1, self.power)
        return optax.GradientTransformation(free.init, free.update)

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The average, x."""
        average = contrib.schedule_free_eval_params(kept, weights)
        return jax.tree.map(lambda x, weight: x.astype(weight.dtype), average, weights)
