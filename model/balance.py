"""How the load of experts is kept even: by a loss, or by a bias on the choice."""

import abc
import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from model.router import Scores


@dataclasses.dataclass(frozen=True)
class Balance(abc.ABC):
    """What keeps experts from being chosen too often or too seldom."""

    @property
    def has_bias(self) -> bool:
        """Whether there is a bias [experts] that takes part in choosing alone."""
        return False

    @abc.abstractmethod
    def loss(self, probabilities: Scores, chosen: Scores) -> Float[Array, ""]:
        """What it adds to the loss of a token.

        Args:
          probabilities: the router's, summing to 1 over experts.
          chosen: 1 for each expert that a token has chosen, else 0.
        """

    def moved(self, bias: Float[Array, "*layers experts"], load: Float[Array, "*layers experts"]) -> Array:
        """The bias after a step in which each expert had this share of all choices."""
        return bias


@dataclasses.dataclass(frozen=True)
class Unbalanced(Balance):
    """Nothing is done."""

    def loss(self, probabilities: Scores, chosen: Scores) -> Float[Array, ""]:
        """None."""
        return jnp.zeros((), jnp.float32)


@dataclasses.dataclass(frozen=True)
class BalanceLoss(Balance):
    """An auxiliary loss (GShard, Lepikhin 2020; Switch, Fedus 2021, eqs. 4 to 6).

    weight * experts * sum over experts of (share of all choices) * (mean probability), over all tokens of a
    (micro-)batch: `weight` when all are equal. Where a formula counts choices a token instead of shares of all
    choices, as `transformers` does, its coefficient is 1/top_k of this weight.

    Attributes:
      weight: its weight in the loss of a token.
    """

    weight: float = 0.01

    def loss(self, probabilities: Scores, chosen: Scores) -> Float[Array, ""]:
        """Over all tokens at once."""
        return self.weight * _evenness(probabilities, chosen, (0, 1))


@dataclasses.dataclass(frozen=True)
class BalanceBias(Balance):
    """A bias on the choice that moves after each step (Wang 2024, algorithm 1; DeepSeek-V3, section 2.1.2).

    Attributes:
      rate: how far each expert's bias moves a step, up if it was chosen less than the mean, else down.
      weight: weight of DeepSeek-V3's complementary loss, the same as `BalanceLoss` within each row (eqs. 17 to 20).
    """

    rate: float = 0.001
    weight: float = 0.0

    @property
    def has_bias(self) -> bool:
        """Yes."""
        return True

    def loss(self, probabilities: Scores, chosen: Scores) -> Float[Array, ""]:
        """Row by row; the mean of rows."""
        if not self.weight:
            return jnp.zeros((), jnp.float32)
        return self.weight * _evenness(probabilities, chosen, (1,)).mean()

    def moved(self, bias: Float[Array, "*layers experts"], load: Float[Array, "*layers experts"]) -> Array:
        """bias + rate * sign(mean load - load)."""
        return bias + self.rate * jnp.sign(load.mean(-1, keepdims=True) - load)


def _evenness(probabilities: Scores, chosen: Scores, tokens: tuple[int, ...]) -> Float[Array, "*rows"]:
    """Experts * sum of share * mean probability; 1 when all are equal."""
    counts = chosen.sum(tokens)
    share = counts / counts.sum(-1, keepdims=True)
    return probabilities.shape[-1] * (share * probabilities.mean(tokens)).sum(-1)
