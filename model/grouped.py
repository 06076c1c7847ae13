"""Products of rows with the weights of the expert that each belongs to: rows are sorted, multiplied, and put back."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.dispatch import Experts, one_hot
from model.exchange import picked
from model.feedforward import Products
from sharding.axes import platform


def grouped(
    experts: Experts, x: Float[Array, "tokens embed"], chosen: Int[Array, "tokens top_k"]
) -> Float[Array, "tokens top_k embed"]:
    """What each token's experts give of it; 0 for a choice of no expert, whose number is `experts.count`."""
    top_k = chosen.shape[-1]
    order = (_in_blocks if platform() == "cpu" else _end_to_end)(chosen.reshape(-1), experts.count)
    rows = experts(sent(x, order.source, order.slot, top_k), order.products)
    return back(rows, order.source, order.slot).reshape(-1, top_k, x.shape[-1])


class Order(NamedTuple):
    """Where choices lie when they are sorted by expert.

    Attributes:
      source: the choice in each row; their number in a row that is left empty.
      slot: the row of each choice; the number of rows for a choice that has none.
      products: how the rows are multiplied.
    """

    source: Int[Array, " rows"]
    slot: Int[Array, " choices"]
    products: Products


def _end_to_end(chosen: Int[Array, " choices"], experts: int) -> Order:
    source = jnp.argsort(chosen, stable=True)
    sizes = one_hot(chosen, experts, jnp.int32).sum(0)
    # What follows the last expert's rows has no expert, and no product either: whatever stands there is not read.
    number = jnp.arange(chosen.shape[0])
    kept = number < sizes.sum()
    slot = jnp.where(chosen < experts, inverse(source), chosen.shape[0])
    owner = jnp.minimum(chosen[source], experts - 1)
    return Order(jnp.where(kept, source, chosen.shape[0]), slot, _Ragged(sizes, owner))


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
    owned = jnp.minimum(chosen, experts - 1)
    rank = inverse(jnp.argsort(chosen, stable=True)) - (jnp.cumsum(sizes) - sizes)[owned]
    slot = jnp.where(chosen < experts, ((ends - -(-sizes // size)) * size)[owned] + rank, blocks * size)
    source = jnp.full((blocks * size,), choices).at[slot].set(jnp.arange(choices), mode="drop", unique_indices=True)
    owner = jnp.minimum(jnp.searchsorted(ends, jnp.arange(blocks), side="right"), experts - 1)
    return Order(source, slot, _Blocks(owner))


def inverse(order: Int[Array, " places"]) -> Int[Array, " places"]:
    """Where each number stands in a permutation."""
    return jnp.zeros_like(order).at[order].set(jnp.arange(order.shape[0], dtype=order.dtype), unique_indices=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def sent(
    x: Float[Array, "tokens embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"], top_k: int
) -> Float[Array, "rows embed"]:
    """The token of each row. Both directions read rows, since adding to rows in any order is slow."""
    return picked(x, source // top_k)


def _sent_backward(top_k: int, slot: Array, dy: Array) -> tuple[Array, None, None]:
    dx = picked(dy, slot).reshape(-1, top_k, dy.shape[-1])
    return dx.astype(jnp.float32).sum(1).astype(dy.dtype), None, None


sent.defvjp(lambda x, source, slot, top_k: (sent(x, source, slot, top_k), slot), _sent_backward)


@jax.custom_vjp
def back(
    y: Float[Array, "rows embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"]
) -> Float[Array, "choices embed"]:
    """The row of each choice; 0 for one that has none."""
    return picked(y, slot)


back.defvjp(
    lambda y, source, slot: (picked(y, slot), source),
    lambda source, dy: (picked(dy, source), None, None),
)


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
