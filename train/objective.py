"""Objectives: what is minimised, as sums over tokens, so that averages can be taken over any grouping."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from train.cross_entropy import MakeLogits, Weighed, chunked, cross_entropy, whole
from train.traced import absent

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
class CrossEntropy(Objective):
    """Prediction of the batch's targets, whatever they are of: `batch.targets` and the model decide that.

    Attributes:
      z_loss: weight of log(Z)^2, which keeps logits from drifting (PaLM, Chowdhery 2022, section 5; there 1e-4).
      label_smoothing: share of the target's probability that is spread evenly over the vocabulary (Szegedy 2016,
        section 7; 0.1 there and in Vaswani 2017). Metrics are without it.
      chunk: logits are made of so many places of the sequence at a time, and never held for all of it; 0: of all.
    """

    z_loss: float = 0.0
    label_smoothing: float = 0.0
    chunk: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"objective.label_smoothing is {self.label_smoothing}; it is at least 0 and below 1")
        for field in ("z_loss", "chunk"):
            if getattr(self, field) < 0:
                raise ValueError(f"objective.{field} is {getattr(self, field)}; it is at least 0")

    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """Cross-entropy of `targets`, weighted by `weights`, and for each token what routers add."""
        hidden = model.hidden(batch, dropout_key)
        weights = batch["weights"]
        found = self.weighed_loss(model.logits, hidden.x, batch["targets"], weights)
        nll, weight = jnp.sum(found.nll * weights), jnp.sum(weights)
        figures = {key: value * weights.size for key, value in hidden.figures.items()}
        return Sums(found.loss + hidden.loss * weight if figures else found.loss, nll, weight, figures)

    def weighed_loss(self, logits: MakeLogits, x: Array, targets: Array, weights: Array) -> Weighed:
        """What is minimised, and the likelihood of each target, of what `logits` makes of x."""
        if self.chunk and self.chunk < x.shape[1]:
            return chunked(logits, self._each, x, targets, weights, self.chunk)
        return whole(logits, self._each, x, targets, weights)

    def _each(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        nll, log_z = cross_entropy(logits, targets)
        loss = nll
        if not absent(self.label_smoothing):
            even = log_z - jnp.mean(logits, axis=-1)
            loss = (1 - self.label_smoothing) * nll + self.label_smoothing * even
        return loss + self.z_loss * jnp.square(log_z) if not absent(self.z_loss) else loss, nll


@dataclasses.dataclass(frozen=True)
class CausalLM(CrossEntropy):
    """`CrossEntropy` by the name that it had when targets were next tokens alone."""
