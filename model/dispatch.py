"""How tokens come to their experts and back: sorted without loss, up to a capacity, or everyone to everyone."""

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

from model.feedforward import Products
from model.router import Choice
from sharding.axes import BATCH, EXPERTS, SEQ, constrain, platform
from sharding.axes import MLP as MLP_AXIS

# The formula of experts, whose weights have a leading axis of experts: rows and products to rows.
Through = Callable[[Array, Products], Array]
Stream = Float[Array, "batch seq embed"]


@dataclasses.dataclass(frozen=True)
class Dispatch(abc.ABC):
    """How the chosen experts are computed."""

    @abc.abstractmethod
    def __call__(self, through: Through, x: Stream, choice: Choice, experts: int) -> tuple[Stream, Float[Array, ""]]:
        """The weighted sum of what each token's experts give of it, and the share of choices that were dropped."""


@dataclasses.dataclass(frozen=True)
class Everyone(Dispatch):
    """All experts compute all tokens, and what was not chosen counts nothing: the reference."""

    def __call__(self, through: Through, x: Stream, choice: Choice, experts: int) -> tuple[Stream, Float[Array, ""]]:
        """Nothing is dropped."""
        y = through(jnp.broadcast_to(x, (experts, *x.shape)), _EachItsOwn((EXPERTS, BATCH, SEQ)))
        shares = (choice.weights[..., None] * one_hot(choice.experts, experts)).sum(-2)
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

    def __call__(self, through: Through, x: Stream, choice: Choice, experts: int) -> tuple[Stream, Float[Array, ""]]:
        """By matrix products with one-hot tensors."""
        (batch, seq, embed), top_k = x.shape, choice.experts.shape[-1]
        size = min(self.group or seq, seq)
        groups = -(-seq // size)

        def grouped(rows: Array, fill: int) -> Array:
            padding = ((0, 0), (0, groups * size - seq), (0, 0))
            return jnp.pad(rows, padding, constant_values=fill).reshape(batch * groups, size, rows.shape[-1])

        # What pads the last group chooses an expert that is not there.
        chosen, weights = grouped(choice.experts, experts), grouped(choice.weights, 0)
        taken = self.taken(chosen, experts)
        slots = (batch * groups, size, experts, self.places(size, top_k, experts))
        send = taken.sum(2).reshape(slots).astype(x.dtype)
        combine = jnp.einsum("gskt,gsk->gst", taken, weights).reshape(slots).astype(x.dtype)
        rows = jnp.einsum("gsec,gsd->egcd", send, grouped(x, 0))
        rows = constrain(rows, EXPERTS, BATCH, None, None)
        y = through(rows, _EachItsOwn((EXPERTS, BATCH, None)))
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


@dataclasses.dataclass(frozen=True)
class Dropless(Dispatch):
    """Tokens are sorted by expert, and each expert multiplies its own (MegaBlocks, Gale 2022): none are dropped."""

    def __call__(self, through: Through, x: Stream, choice: Choice, experts: int) -> tuple[Stream, Float[Array, ""]]:
        """One product of all sorted tokens, with experts where they lie."""
        top_k = choice.experts.shape[-1]
        order = (_in_blocks if platform() == "cpu" else _end_to_end)(choice.experts.reshape(-1), experts)
        tokens = x.reshape(-1, x.shape[-1])
        y = _back(through(_sent(tokens, order.source, order.slot, top_k), order.products), order.source, order.slot)
        y = y.reshape(-1, top_k, x.shape[-1]).astype(jnp.float32) * choice.weights.reshape(-1, top_k, 1)
        return y.sum(1).astype(x.dtype).reshape(x.shape), jnp.zeros((), jnp.float32)


class Order(NamedTuple):
    """Where choices lie when they are sorted by expert.

    Attributes:
      source: the choice in each row; their number in a row that is left empty.
      slot: the row of each choice.
      products: how the rows are multiplied.
    """

    source: Int[Array, " rows"]
    slot: Int[Array, " choices"]
    products: Products


def _end_to_end(chosen: Int[Array, " choices"], experts: int) -> Order:
    source = jnp.argsort(chosen, stable=True)
    sizes = one_hot(chosen, experts, jnp.int32).sum(0)
    return Order(source, jnp.argsort(source), _Ragged(sizes, chosen[source]))


def _in_blocks(chosen: Int[Array, " choices"], experts: int) -> Order:
    """Each expert's choices in blocks of its own, so that a batched product does for them.

    XLA's CPU backend computes a ragged product as that of every expert with every row. Blocks of half of an
    even share cost at most half again as many rows as there are choices, and three copies of the weights.
    """
    choices = chosen.shape[0]
    size = max(1, choices // (2 * experts))
    blocks = choices // size + experts
    sizes = one_hot(chosen, experts, jnp.int32).sum(0)
    ends = jnp.cumsum(-(-sizes // size))
    rank = jnp.argsort(jnp.argsort(chosen, stable=True)) - (jnp.cumsum(sizes) - sizes)[chosen]
    slot = ((ends - -(-sizes // size)) * size)[chosen] + rank
    source = jnp.full((blocks * size,), choices).at[slot].set(jnp.arange(choices), unique_indices=True)
    owner = jnp.minimum(jnp.searchsorted(ends, jnp.arange(blocks), side="right"), experts - 1)
    return Order(source, slot, _Blocks(owner))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _sent(
    x: Float[Array, "tokens embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"], top_k: int
) -> Float[Array, "rows embed"]:
    """The token of each row. Both directions read rows, since adding to rows in any order is slow."""
    return jnp.take(x, source // top_k, axis=0, mode="fill", fill_value=0)


def _sent_backward(top_k: int, slot: Array, dy: Array) -> tuple[Array, None, None]:
    dx = dy[slot].reshape(-1, top_k, dy.shape[-1])
    return dx.astype(jnp.float32).sum(1).astype(dy.dtype), None, None


_sent.defvjp(lambda x, source, slot, top_k: (_sent(x, source, slot, top_k), slot), _sent_backward)


@jax.custom_vjp
def _back(
    y: Float[Array, "rows embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"]
) -> Float[Array, "choices embed"]:
    """The row of each choice."""
    return y[slot]


_back.defvjp(
    lambda y, source, slot: (y[slot], source),
    lambda source, dy: (jnp.take(dy, source, axis=0, mode="fill", fill_value=0), None, None),
)


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


@dataclasses.dataclass(frozen=True)
class _Ragged(Products):
    """Rows [choices, inputs] that lie end to end by expert.

    Attributes:
      sizes: rows of each expert.
      owner: expert of each row.
    """

    sizes: Int[Array, " experts"]
    owner: Int[Array, " choices"]

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        return self.outwards(x, weight, bias)

    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        y = jax.lax.ragged_dot(x, weight[...].astype(x.dtype), self.sizes)
        return y if bias is None else y + bias[...].astype(x.dtype)[self.owner]


@dataclasses.dataclass(frozen=True)
class _Blocks(Products):
    """Rows [blocks * size, inputs], each block of one expert.

    Attributes:
      owner: expert of each block.
    """

    owner: Int[Array, " blocks"]

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        return self.outwards(x, weight, bias)

    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        blocks = x.reshape(self.owner.shape[0], -1, x.shape[-1])
        y = jnp.einsum("bri,bio->bro", blocks, weight[...].astype(x.dtype)[self.owner])
        y = y if bias is None else y + bias[...].astype(x.dtype)[self.owner][:, None]
        return y.reshape(-1, y.shape[-1])
