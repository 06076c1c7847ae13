"""DoReMi: weights of domains by how much a model could still learn of each, against a reference."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from train.group_losses import group_means
from train.group_weights import GroupWeights
from train.objective import Batch, Sums
from train.reference import model_of, weights_of

_EXCESS, _REFERENCE = "group_excess", "reference_nll"


@dataclasses.dataclass(frozen=True)
class DoReMi(GroupWeights):
    """Trains the proxy model of DoReMi (Xie et al. 2023, arXiv:2305.10429, algorithm 1).

    The reference is a frozen model, evaluated in the step on the whole batch: the excess of a token is its loss less
    the reference's, and not below 0. The weight of a group is multiplied by exp(rate * its mean excess), all are
    divided by their sum, and `smoothing` of uniform weights is mixed in. Their mean over the steps,
    `train/mean_weight/NAME`, is the result; the hook `DomainWeights` writes it to a file. As published, batches draw
    evenly from the domains: give the parts of the mixture equal weights.

    The reference's weights are part of the run's state, whole on every device, and of its checkpoints. Its run
    directory is read when the run starts and when it resumes.

    Attributes:
      reference: the run directory of the reference, trained on the same tokens ids; its newest checkpoint is used.
      rate: the step size of the weights (eta).
      smoothing: the share of uniform weights (c).
    """

    reference: str = ""
    rate: float = 1.0
    smoothing: float = 1e-3

    def __post_init__(self) -> None:
        if not self.reference:
            raise ValueError("DoReMi.reference is empty; name the run directory of a trained reference model")
        if not self.rate > 0:
            raise ValueError(f"DoReMi.rate is {self.rate}, but must be above 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"DoReMi.smoothing is {self.smoothing}, but must be at least 0 and below 1")

    @property
    def exponent(self) -> tuple[float, float]:
        return self.rate, self.smoothing

    def start(self) -> Any:
        excess = jnp.full(len(self.names), jnp.nan, jnp.float32)
        return super().start() | {"excess": excess, "reference": weights_of(self.reference)}

    def weighed(self, batch: Batch, kept: Any) -> Batch:
        """The batch with the reference's loss of each token, and the weights of groups."""
        model = model_of(self.reference, kept["reference"])

        def nll(weights: Array) -> Array:
            return self.of.sums(model, {**batch, "weights": weights}, None).nll

        each = jax.lax.stop_gradient(jax.grad(nll)(batch["weights"]))
        return {**super().weighed(batch, kept), _REFERENCE: each}

    def more_parts(
        self, batch: Batch, each: Float[Array, "batch seq"], counted: Float[Array, "batch seq"]
    ) -> dict[str, Float[Array, " groups"]]:
        """The sum of what tokens exceed the reference's loss by."""
        return {_EXCESS: self.by_group(batch, jnp.maximum(each - batch[_REFERENCE], 0) * counted)}

    def score(self, kept: Any, total: Sums) -> tuple[Float[Array, " groups"], Array]:
        """The mean excess of each group."""
        return group_means(total.parts[_EXCESS], total.parts["group_weight"])

    def moved(self, kept: Any, batch: Batch, total: Sums) -> Any:
        excess, there = self.score(kept, total)
        return {**super().moved(kept, batch, total), "excess": jnp.where(there, excess, kept["excess"])}

    def told(self, kept: Any) -> dict[str, Float[Array, ""]]:
        return super().told(kept) | self.named("train/excess", kept["excess"])
