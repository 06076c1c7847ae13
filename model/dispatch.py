"""How tokens come to their experts and back: everyone to everyone, or up to a capacity.

A third way, by sorting, is `model.dropless`.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.feedforward import Products
from model.router import Choice
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
        y = experts(jnp.broadcast_to(x, (experts.count, *x.shape)), _EachItsOwn((*experts.beside, SEQ)))
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
        """By matrix products with one-hot tensors."""
        (batch, seq, embed), top_k = x.shape, choice.experts.shape[-1]
        size = min(self.group or seq, seq)
        groups = -(-seq // size)

        def grouped(rows: Array, fill: int) -> Array:
            padding = ((0, 0), (0, groups * size - seq), (0, 0))
            return jnp.pad(rows, padding, constant_values=fill).reshape(batch * groups, size, rows.shape[-1])

        # What pads the last group chooses an expert that is not there.
        chosen, weights = grouped(choice.experts, experts.count), grouped(choice.weights, 0)
        taken = self.taken(chosen, experts.count)
        slots = (batch * groups, size, experts.count, self.places(size, top_k, experts.count))
        send = taken.sum(2).reshape(slots).astype(x.dtype)
        combine = jnp.einsum("gskt,gsk->gst", taken, weights).reshape(slots).astype(x.dtype)
        # First where the tokens are, then where the experts are: between the two, rows are all that is sent.
        rows = constrain(jnp.einsum("gsec,gsd->egcd", send, grouped(x, 0)), None, BATCH, None, None)
        rows = constrain(rows, *experts.beside, None, None)
        y = experts(rows, _EachItsOwn((*experts.beside, None)))
        y = constrain(constrain(y, *experts.beside, None, None), None, BATCH, None, None)
        y = jnp.einsum("gsec,egcd->gsd", combine, y, preferred_element_type=jnp.float32).astype(x.dtype)
        dropped = (choice.experts.size - taken.sum()) / choice.experts.size
        return y.reshape(batch, groups * size, embed)[:, :seq], dropped

    def taken(
        self, chosen: Int[Array, "groups tokens top_k"], experts: int
    ) -> Float[Array, "groups tokens top_k slots"]:
        """1 where a choice has a place, numbered expert * places + place; no 1 for a choice that is dropped."""
        groups, tokens, top_k = chosen.shape
        places = self.places(tokens, top_k, experts)
        ordered = one_hot(chosen.swapaxes(1, 2).reshape(groups, -1), experts)
        before = jnp.cumsum(ordered, axis=1) - ordered
        place = (before * ordered).sum(-1).astype(jnp.int32)
        expert = chosen.swapaxes(1, 2).reshape(groups, -1)
        slot = jnp.where((place < places) & (expert < experts), expert * places + place, experts * places)
        return one_hot(slot.reshape(groups, top_k, tokens).swapaxes(1, 2), experts * places)


def one_hot(
    chosen: Int[Array, "*choices"], experts: int, dtype: jnp.dtype | type = jnp.float32
) -> Float[Array, "*choices experts"] | Int[Array, "*choices experts"]:
    """1 at the number of each expert; all 0 for a number beyond."""
    return (chosen[..., None] == jnp.arange(experts)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class _EachItsOwn(Products):
    """Rows [experts, ..., inputs] by weights [experts, inputs, outputs].

    Attributes:
      axes: logical axes of the rows, less the last.
    """

    axes: tuple[str | None, ...]

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        return constrain(self.outwards(x, weight, bias), *self.axes, MLP_AXIS)

    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        y = jnp.einsum("e...i,eio->e...o", x, weight[...].astype(x.dtype))
        return y if bias is None else y + jnp.expand_dims(bias[...].astype(x.dtype), tuple(range(1, x.ndim - 1)))
