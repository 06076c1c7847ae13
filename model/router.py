"""Routers: which experts a token goes to, and how much each of them counts."""

import abc
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.layers import linear
from model.parameters import Sizes, filled, normal
from sharding.axes import EMBED, EXPERTS

Scores = Float[Array, "batch seq experts"]


class Choice(NamedTuple):
    """The experts of each token, best first.

    Attributes:
      experts: their numbers.
      weights: what their outputs are multiplied with, float32.
    """

    experts: Int[Array, "batch seq top_k"]
    weights: Float[Array, "batch seq top_k"]


@dataclasses.dataclass(frozen=True)
class Router(abc.ABC):
    """How logits of experts become a choice. All of it is computed in float32."""

    @property
    def has_bias(self) -> bool:
        """Whether the logits have a learned bias [experts]."""
        return False

    def check(self, experts: int, top_k: int) -> None:
        """Raises ValueError if it cannot choose `top_k` of so many experts."""
        if not 1 <= top_k <= experts:
            raise ValueError(f"MoE.top_k is {top_k}; it is from 1 to MoE.experts ({experts})")

    @abc.abstractmethod
    def probabilities(self, logits: Scores) -> Scores:
        """What it gives each expert, summing to 1: for balancing losses and figures."""

    @abc.abstractmethod
    def choose(self, logits: Scores, top_k: int, correction: Float[Array, " experts"] | None = None) -> Choice:
        """The choice. `correction` is added to the scores to select by, and does not count in the weights."""


@dataclasses.dataclass(frozen=True)
class Softmax(Router):
    """The largest of a softmax over all experts (Shazeer 2017; Switch, Fedus 2021, eqs. 1 and 2; Mixtral, Qwen3-MoE).

    Attributes:
      normalise: whether the chosen weights are divided by their sum.
      scale: factor on the weights.
    """

    normalise: bool = True
    scale: float = 1.0

    def probabilities(self, logits: Scores) -> Scores:
        """The softmax."""
        return jax.nn.softmax(logits, axis=-1)

    def choose(self, logits: Scores, top_k: int, correction: Float[Array, " experts"] | None = None) -> Choice:
        """The `top_k` most probable."""
        scores = self.probabilities(logits)
        choice = _largest(scores, scores, top_k, correction)
        weights = choice.weights / choice.weights.sum(-1, keepdims=True) if self.normalise else choice.weights
        return Choice(choice.experts, weights * self.scale)


@dataclasses.dataclass(frozen=True)
class SoftmaxOfChosen(Router):
    """A softmax over the largest logits alone, which have a bias (gpt-oss).

    Attributes:
      bias: whether the logits have a bias.
    """

    bias: bool = True

    @property
    def has_bias(self) -> bool:
        """As the field says."""
        return self.bias

    def probabilities(self, logits: Scores) -> Scores:
        """The softmax over all."""
        return jax.nn.softmax(logits, axis=-1)

    def choose(self, logits: Scores, top_k: int, correction: Float[Array, " experts"] | None = None) -> Choice:
        """The `top_k` largest."""
        experts, chosen = _largest(logits, logits, top_k, correction)
        return Choice(experts, jax.nn.softmax(chosen, axis=-1))


@dataclasses.dataclass(frozen=True)
class Sigmoid(Router):
    """The largest of sigmoids, within the best groups of experts (DeepSeek-V3, eqs. 12 to 16 and section 2.1.2).

    Attributes:
      groups: equal groups that the experts form, in order.
      kept_groups: groups that a token chooses from; a group's score is the sum of its two largest.
      normalise: whether the chosen weights are divided by their sum.
      scale: factor on the weights.
    """

    groups: int = 1
    kept_groups: int = 1
    normalise: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.kept_groups <= self.groups:
            raise ValueError(f"Sigmoid.kept_groups is {self.kept_groups}; it is from 1 to groups ({self.groups})")

    def check(self, experts: int, top_k: int) -> None:
        """Raises ValueError for groups that are unequal, of one expert, or too small for `top_k`."""
        super().check(experts, top_k)
        size, rest = divmod(experts, self.groups)
        if rest or (self.groups > 1 and size < 2):
            raise ValueError(f"Sigmoid.groups is {self.groups}; it divides MoE.experts ({experts}) into 2 or more each")
        if top_k > size * self.kept_groups:
            raise ValueError(f"MoE.top_k is {top_k}; Sigmoid leaves {size * self.kept_groups} experts to choose from")

    def probabilities(self, logits: Scores) -> Scores:
        """Sigmoids over their sum (DeepSeek-V3, eq. 19)."""
        scores = jax.nn.sigmoid(logits)
        return scores / (scores.sum(-1, keepdims=True) + 1e-20)

    def choose(self, logits: Scores, top_k: int, correction: Float[Array, " experts"] | None = None) -> Choice:
        """The `top_k` largest of the best groups."""
        scores = jax.nn.sigmoid(logits)
        ranked = scores if correction is None else scores + correction
        choice = _largest(self._within_groups(ranked), scores, top_k, None)
        weights = choice.weights
        if self.normalise:
            weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
        return Choice(choice.experts, weights * self.scale)

    def _within_groups(self, ranked: Scores) -> Scores:
        if self.kept_groups == self.groups:
            return ranked
        grouped = ranked.reshape(*ranked.shape[:-1], self.groups, -1)
        best = jnp.take_along_axis(grouped, largest(grouped, 2), axis=-1).sum(-1)
        kept = largest(best, self.kept_groups)
        keep = (kept[..., None] == jnp.arange(self.groups)).any(-2)
        return jnp.where(keep[..., None], grouped, -jnp.inf).reshape(ranked.shape)


def _largest(ranked: Scores, scores: Scores, top_k: int, correction: Float[Array, " experts"] | None) -> Choice:
    """The experts with the largest ranks, and their scores."""
    ranked = ranked if correction is None else ranked + correction
    experts = largest(jax.lax.stop_gradient(ranked), top_k)
    return Choice(experts, jnp.take_along_axis(scores, experts, axis=-1))


def largest(x: Float[Array, "*batch size"], count: int) -> Int[Array, "*batch count"]:
    """Where the largest values stand, in their order; of equal ones the first is first.

    One after the other, since XLA computes `jax.lax.top_k` on all rows at once: devices that share a batch would
    gather it. There are to be so many above -inf.
    """
    found = []
    for _ in range(count):
        found.append(jnp.argmax(x, axis=-1))
        x = jnp.where(found[-1][..., None] == jnp.arange(x.shape[-1]), -jnp.inf, x)
    return jnp.stack(found, axis=-1)


class RouterLayer(nnx.Module):
    """The weights that give logits of experts."""

    def __init__(self, spec: Router, experts: int, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.weight = normal(rngs, (sizes.embed, experts), (EMBED, EXPERTS), sizes.init_std, sizes)
        self.bias = filled(0.0, (experts,), (EXPERTS,), sizes.precision) if spec.has_bias else None

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Scores:
        """x W + b in float32 whatever the format of x: a choice that rounding decides is a choice by chance."""
        with jax.default_matmul_precision("highest"):
            logits = linear(x.astype(jnp.float32), self.weight[...])
        return logits if self.bias is None else logits + self.bias[...].astype(jnp.float32)
