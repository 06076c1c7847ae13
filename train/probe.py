"""What is measured inside a training step, on the device: hooks that see gradients and updates."""

import abc
import dataclasses
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from train.hooks import Hook
from train.objective import Batch, Sums


class Seen(NamedTuple):
    """A step as a probe sees it. Trees are like the weights.

    Attributes:
      table: of `train.weights.Weight`, to group by.
      weights: before the update.
      gradients: of the mean loss, before clipping.
      updates: what is added to the weights.
      batch: what was read.
      total: the objective's sums over it.
      micro_square: mean over the micro-batches of the squared norm of the gradient of each one's mean loss.
      micro_inverse: mean over the micro-batches of one over the tokens of each; infinite if one has none.
    """

    table: Any
    weights: Any
    gradients: Any
    updates: Any
    batch: Batch
    total: Sums
    micro_square: Float[Array, ""]
    micro_inverse: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class Probe(Hook):
    """Base of hooks that measure inside the step. What they give is logged with the step's other metrics."""

    @abc.abstractmethod
    def measured(self, seen: Seen) -> dict[str, Float[Array, ""]]:
        """Metrics by their whole name, scalars."""
