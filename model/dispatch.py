"""How tokens come to their experts and back: everyone to everyone, or up to a capacity.

A third way, by sorting, is `model.dropless`.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.by_expert import ByExpert
from model.feedforward import Products
from model.router import Choice
from model.rows import back, one_hot, ranking, sent, summed
from sharding.axes import BATCH, EXPERTS, GROUPS, SEQ, constrain, ways
from sharding.axes import MLP as MLP_AXIS

Stream = Float[Array, "batch seq embed"]


class Experts(NamedTuple):
    """A layer of experts, apart from its weights, so that a device may compute with its share of them.

    Attributes:
      through: the formula: weights, rows and products to rows.
      weights: arrays with a leading axis of experts, by name.
      axes: logical axes of each.
      count: number of experts.
    """

    through: Callable[[dict[str, Array], Array, Products], Array]
    weights: dict[str, Array]
    axes: dict[str, tuple[str, ...]]
    count: int

    def __call__(self, rows: Array, products: Products) -> Array:
        """What they give of rows."""
        return self.through(self.weights, rows, products)

    @property
    def divided(self) -> bool:
        """Whether devices have different experts; experts that cannot be shared out evenly all have all of."""
        return ways(EXPERTS) > 1 and self.count % ways(EXPERTS) == 0

    @property
    def beside(self) -> tuple[str | None, str]:
        """Logical axes of experts and, beside it, of rows of the batch."""
        return (EXPERTS, GROUPS) if self.divided else (None, BATCH)


@dataclasses.dataclass(frozen=True)
class Dispatch(abc.ABC):
    """How the chosen experts are computed."""

    @abc.abstractmethod
    def __call__(self, experts: Experts, x: Stream, choice: Choice) -> tuple[Stream, Float[Array, ""]]:
        """The weighted sum of what each token's experts give of it, and the share of choices that were dropped."""


@dataclasses.dataclass(frozen=True)
class Everyone(Dispatch):
    """All experts compute all tokens, and what was not chosen counts nothing: the reference."""

    def __call__(self, experts: Experts, x: Stream, choice: Choice) -> tuple[Stream, Float[Array, ""]]:
        """Nothing is dropped."""
        y = experts(jnp.broadcast_to(x, (experts.count, *x.shape)), _EachItsOwn(axes=(*experts.beside, SEQ)))
        shares = (choice.weights[..., None] * one_hot(choice.experts, experts.count)).sum(-2)
        y = jnp.einsum("bse,ebsd->bsd", shares.astype(x.dtype), y, preferred_element_type=jnp.float32)
        return y.astype(x.dtype), jnp.zeros((), jnp.float32)


@dataclasses.dataclass(frozen=True)
class Capacity(Dispatch):
    """Each expert takes so many tokens of a group; the choices beyond are dropped (GShard; Switch, eq. 3).

    Choices take their places in order: first choices before second ones, earlier positions before later
    ones. A token that is dropped by all of its experts passes by on the residual stream.

    Attributes:
      factor: places of an expert, as a multiple of what it needs when all are equal.
      group: tokens of a row that compete; 0 for all of them.
    """

    factor: float = 1.25
    group: int = 0

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"Capacity.factor is {self.factor}; it is above 0")
        if self.group < 0:
            raise ValueError(f"Capacity.group is {self.group}; it is at least 0")

    def places(self, tokens: int, top_k: int, experts: int) -> int:
        """Places an expert has for a group of so many tokens: factor * top_k * tokens / experts, rounded up."""
        return min(math.ceil(self.factor * top_k * tokens / experts), tokens)

    def __call__(self, experts: Experts, x: Stream, choice: Choice) -> tuple[Stream, Float[Array, ""]]:
        """One product of all places of an expert; empty ones are 0."""
        (batch, seq, embed), top_k = x.shape, choice.experts.shape[-1]
        size = min(self.group or seq, seq)
        groups, places = -(-seq // size), self.places(size, top_k, experts.count)
        total = experts.count * places

        def grouped(rows: Array, fill: int) -> Array:
            padding = ((0, 0), (0, groups * size - seq), (0, 0))
            return jnp.pad(rows, padding, constant_values=fill).reshape(batch * groups, size, rows.shape[-1])

        # What pads the last group chooses an expert that is not there.
        chosen = grouped(choice.experts, experts.count)
        source, slot = jax.vmap(lambda group: self.places_of(group, experts.count))(chosen)
        # First where the tokens are, then where the experts are: between the two, rows are all that is sent.
        there = functools.partial(self._there, experts, (batch * groups, experts.count, places))
        each = jax.vmap(sent, (0, 0, 0, None))
        rows = there(each(grouped(x, 0), source, slot, top_k))
        shares = there(each(grouped(choice.weights, 0).reshape(batch * groups, -1, 1), source, slot, 1))
        y = constrain(experts(rows, _EachItsOwn(shares, (*experts.beside, None))), *experts.beside, None, None)
        y = constrain(y, None, BATCH, None, None).swapaxes(0, 1).reshape(batch * groups, total, embed)
        y = jax.vmap(back)(y, source, slot).reshape(*chosen.shape, embed)
        dropped = (choice.experts.size - (slot < total).sum()) / choice.experts.size
        return summed(y).reshape(batch, groups * size, embed)[:, :seq], dropped

    def _there(
        self, experts: Experts, sizes: tuple[int, int, int], rows: Float[Array, "groups total embed"]
    ) -> Float[Array, "experts groups places embed"]:
        rows = constrain(rows.reshape(*sizes, -1).swapaxes(0, 1), None, BATCH, None, None)
        return constrain(rows, *experts.beside, None, None)

    def places_of(
        self, chosen: Int[Array, "tokens top_k"], experts: int
    ) -> tuple[Int[Array, " places"], Int[Array, " choices"]]:
        """The choice in each place of a group, expert after expert, and the place of each choice.

        The number of choices stands in a place that is empty, and that of places for a choice that is dropped.
        """
        tokens, top_k = chosen.shape
        places = self.places(tokens, top_k, experts)
        # First choices of all tokens, then second ones; what numbers these is turned into numbers of `chosen`.
        ordered = chosen.T.reshape(-1)
        found = ranking(ordered, experts)
        expert, rank = jnp.divmod(jnp.arange(experts * places), places)
        number = found.choice(expert, rank)
        source = jnp.where(number < ordered.shape[0], number % tokens * top_k + number // tokens, ordered.shape[0])
        rank = found.rank(ordered)
        slot = jnp.where((rank < places) & (ordered < experts), ordered * places + rank, experts * places)
        return source, slot.reshape(top_k, tokens).T.reshape(-1)


@dataclasses.dataclass(frozen=True)
class _EachItsOwn(ByExpert):
    """Rows [experts, ..., inputs] by weights [experts, inputs, outputs].

    Attributes:
      axes: logical axes of the rows, less the last.
    """

    axes: tuple[str | None, ...] = ()

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        return constrain(super().inwards(x, weight, bias), *self.axes, MLP_AXIS)

    def product(self, x: Array, weight: Array) -> Array:
        return jnp.einsum("e...i,eio->e...o", x, weight)

    def spread(self, bias: Array, ndim: int) -> Array:
        return jnp.expand_dims(bias, tuple(range(1, ndim - 1)))
