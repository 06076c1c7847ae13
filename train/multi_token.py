"""The objective of models that predict several tokens ahead."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jaxtyping import Array

from model.multi_token import MultiTokenConfig, shifted_on
from train.objective import Batch, CrossEntropy, Sums

if TYPE_CHECKING:
    from train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class MultiTokenPrediction(CrossEntropy):
    """`CrossEntropy`, and the mean of that of further targets (DeepSeek-V3, arXiv:2412.19437, eqs. 24 and 25).

    A further target counts if it is of the same document, by its own weight, and not from inside a prefix, where
    places see later ones and so the target itself. Metrics are of the next token alone.

    Attributes:
      further: weight of the mean over the further modules; DeepSeek-V3 had 0.3, and 0.1 in the end (section 4.2).
    """

    further: float = 0.3

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError for a model that has no further modules."""
        if not isinstance(experiment.model, MultiTokenConfig):
            kind = type(experiment.model).__name__
            raise ValueError(f"objective is MultiTokenPrediction, and model {kind}; it takes a MultiTokenConfig")

    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """Sums of the next token's loss and of the further ones'; likelihoods of the next token's."""
        hidden, own = model.hidden(batch, dropout_key), batch["weights"]
        first = self.weighed_loss(model.logits, hidden.x, batch["targets"], own)
        loss, segments, prefix = first.loss, batch.get("segment_ids"), batch.get("prefix")
        for k, x in enumerate(model.ahead(batch, hidden.x, dropout_key), 1):
            weights = shifted_on(own, k)
            if segments is not None:
                weights = weights * (shifted_on(segments, k) == segments)
            if prefix is not None:
                weights = weights * (shifted_on(prefix, 1) == 0)
            found = self.weighed_loss(model.logits, x, shifted_on(batch["targets"], k), weights)
            # Over as many tokens as the first one's, as in eq. 24.
            loss = loss + self.further / model.count * found.loss
        weight = jnp.sum(own)
        figures = {key: value * own.size for key, value in hidden.figures.items()}
        loss = loss + hidden.loss * weight if figures else loss
        return Sums(loss, jnp.sum(first.nll * own), weight, figures)
