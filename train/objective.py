"""Objectives: what is minimised, as sums over tokens, so that averages can be taken over any grouping."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

if TYPE_CHECKING:
    from train.experiment import Experiment

Batch = dict[str, Array]


class Sums(NamedTuple):
    """Sums over the tokens of a batch, each times its weight, all float32.

    Attributes:
      loss: what is minimised.
      nll: negative log likelihood in nats, for the metrics.
      weight: number of tokens.
      figures: what a model tells of its routers, summed over all positions alike, those of no weight too.
      parts: further sums of an objective's own, such as those of groups.
    """

    loss: Array
    nll: Array
    weight: Array
    figures: dict[str, Array] = {}
    parts: dict[str, Array] = {}


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """What a model is trained to do with a batch."""

    @abc.abstractmethod
    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """Sums over a batch; nothing is dropped without a key."""

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when this objective does not go with the rest of an experiment."""
        return None

    def start(self) -> Any:
        """What the objective keeps from step to step, before the first: a tree of arrays; {} for most."""
        return {}

    def weighed(self, batch: Batch, kept: Any) -> Batch:
        """The batch as it is learnt from in training, by what is kept; evaluation takes it as it is."""
        return batch

    def moved(self, kept: Any, batch: Batch, total: Sums) -> Any:
        """What is kept after a step, from the step's batch and its sums."""
        return kept

    def told(self, kept: Any) -> dict[str, Array]:
        """Metrics of what is kept after a step, scalars by their whole name."""
        return {}


@dataclasses.dataclass(frozen=True)
class CausalLM(Objective):
    """Next-token prediction.

    Attributes:
      z_loss: weight of log(Z)^2, which keeps logits from drifting (PaLM, Chowdhery 2022, section 5; there 1e-4).
    """

    z_loss: float = 0.0

    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """Cross-entropy of `targets`, weighted by `weights`, and for each token what routers add."""
        outputs = model.outputs(batch["inputs"], batch.get("positions"), batch.get("segment_ids"), dropout_key)
        nll, log_z = cross_entropy(outputs.logits, batch["targets"])
        weights = batch["weights"]
        nll_sum = jnp.sum(nll * weights)
        loss = nll_sum + self.z_loss * jnp.sum(jnp.square(log_z) * weights) if self.z_loss else nll_sum
        weight = jnp.sum(weights)
        figures = {key: value * weights.size for key, value in outputs.figures.items()}
        return Sums(loss + outputs.loss * weight if figures else loss, nll_sum, weight, figures)


def cross_entropy(
    logits: Float[Array, "batch seq vocab"], targets: Int[Array, "batch seq"]
) -> tuple[Float[Array, "batch seq"], Float[Array, "batch seq"]]:
    """Negative log likelihood of each target, in nats, and log of the softmax's sum."""
    log_z = jax.nn.logsumexp(logits, axis=-1)
    return log_z - jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="clip")[..., 0], log_z


