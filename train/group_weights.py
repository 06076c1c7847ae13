"""Groups that are learnt from by weights which move by their losses: the base of group DRO and DoReMi."""

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from train.group_losses import COUNTED, GroupLosses, group_means
from train.objective import Batch, Sums


@dataclasses.dataclass(frozen=True)
class GroupWeights(GroupLosses):
    """Minimises the sum over groups of weight times mean loss; weights move by exponentiated gradient.

    A group without a token in a step adds nothing to that step's loss, and its weight moves only as the others'
    sum does. A step's losses move the weights that the next step learns by: so all micro-batches of a step share
    the same ones, and the step is that of the whole batch however it is cut. (The published algorithms move them
    between a step's loss and its gradient.)

    Metrics, beside those of `GroupLosses`: `train/weight/NAME`, and `train/mean_weight/NAME`, the mean over all
    steps of the weights after each. `train/loss` remains the mean over tokens, and `train/objective` is what is
    minimised.
    """

    @property
    @abc.abstractmethod
    def exponent(self) -> tuple[float, float]:
        """The step size of the exponentiated gradient, and the share of uniform weights mixed in."""

    @abc.abstractmethod
    def score(self, kept: Any, total: Sums) -> tuple[Float[Array, " groups"], Array]:
        """What the weight of each group grows by, and which groups have a token."""

    def start(self) -> Any:
        count = len(self.names)
        even = jnp.full(count, 1 / count, jnp.float32)
        own = {"weight": even, "mean_weight": jnp.zeros_like(even), "moves": jnp.zeros((), jnp.int32)}
        return super().start() | own

    def weighed(self, batch: Batch, kept: Any) -> Batch:
        """The batch with weights that make its mean loss the weighted sum of those of groups."""
        batch = super().weighed(batch, kept)
        counted = batch["weights"]
        # Over the whole batch: a micro-batch has other shares of groups.
        tokens = self.by_group(batch, counted)
        factor = kept["weight"] * jnp.sum(tokens) / jnp.maximum(tokens, 1e-30)
        return {**batch, COUNTED: counted, "weights": counted * factor[batch["groups"]]}

    def moved(self, kept: Any, batch: Batch, total: Sums) -> Any:
        kept = super().moved(kept, batch, total)
        rate, smoothing = self.exponent
        score, there = self.score(kept, total)
        weight = jax.nn.softmax(jnp.log(kept["weight"]) + rate * jnp.where(there, score, 0))
        weight = (1 - smoothing) * weight + smoothing / len(self.names)
        moves = kept["moves"] + 1
        mean = kept["mean_weight"] + (weight - kept["mean_weight"]) / moves
        return {**kept, "weight": weight, "mean_weight": mean, "moves": moves}

    def told(self, kept: Any) -> dict[str, Float[Array, ""]]:
        weights = {key: self.named(f"train/{key}", kept[key]) for key in ("weight", "mean_weight")}
        return super().told(kept) | weights["weight"] | weights["mean_weight"]


@dataclasses.dataclass(frozen=True)
class GroupDRO(GroupWeights):
    """The loss of the worst group (Sagawa et al. 2019, arXiv:1911.08731, algorithm 1).

    The weight of a group is multiplied by exp(rate * its mean loss), and all are divided by their sum.

    Attributes:
      rate: the step size of the weights.
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"GroupDRO.rate is {self.rate}, but must be above 0")

    @property
    def exponent(self) -> tuple[float, float]:
        return self.rate, 0.0

    def score(self, kept: Any, total: Sums) -> tuple[Float[Array, " groups"], Array]:
        """The mean loss of each group."""
        return group_means(total.parts["group_nll"], total.parts["group_weight"])
