"""Products of rows with the weights of the expert that each belongs to: rows are sorted, multiplied, and put back."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.by_expert import ByExpert
from model.dispatch import Experts
from model.router import Choice
from model.rows import back, picked, ranking, sent
from sharding.axes import device_kind, platform


def grouped(
    experts: Experts, x: Float[Array, "tokens embed"], choice: Choice
) -> Float[Array, "tokens top_k embed"]:
    """What each token's experts give of it, times their weights; 0 for a choice of no expert, `experts.count`."""
    top_k = choice.experts.shape[-1]
    order = (_in_blocks if platform() == "cpu" else _end_to_end)(choice.experts.reshape(-1), experts.count)
    shares = sent(choice.weights.reshape(-1, 1), order.source, order.slot, 1)
    products = dataclasses.replace(order.products, shares=shares)
    rows = experts(sent(x, order.source, order.slot, top_k), products)
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
    products: ByExpert


def _end_to_end(chosen: Int[Array, " choices"], experts: int) -> Order:
    """One after the other. What follows the last expert's has no product: nothing that stands there is read."""
    found, choices = ranking(chosen, experts), chosen.shape[0]
    source = jnp.where(jnp.arange(choices) < found.sizes.sum(), found.order, choices)
    slot = jnp.where(chosen < experts, found.place, choices)
    # XLA has a kernel for ragged products on v5p alone; on other TPUs each expert multiplies all rows (libtpu 0.0.52).
    kernel = platform() == "tpu" and device_kind() not in ("TPU v5", "TPU v5p")
    return Order(source, slot, (_Kernel if kernel else _Ragged)(sizes=found.sizes, owner=chosen[found.order]))


def _in_blocks(chosen: Int[Array, " choices"], experts: int) -> Order:
    """Each expert's choices in blocks of its own, so that a batched product does for them.

    XLA's CPU backend computes a ragged product as that of every expert with every row. Blocks of half of an
    even share cost at most half again as many rows as there are choices, and three copies of the weights.
    """
    found, choices = ranking(chosen, experts), chosen.shape[0]
    size = max(1, choices // (2 * experts))
    blocks = choices // size + experts
    needed = -(-found.sizes // size)
    ends = jnp.cumsum(needed)
    owner = jnp.minimum(jnp.searchsorted(ends, jnp.arange(blocks), side="right"), experts - 1)
    first = (ends - needed) * size
    source = found.choice(jnp.repeat(owner, size), jnp.arange(blocks * size) - jnp.repeat(first[owner], size))
    slot = jnp.where(chosen < experts, first[jnp.minimum(chosen, experts - 1)] + found.rank(chosen), blocks * size)
    return Order(source, slot, _Blocks(owner=owner, size=size))


@dataclasses.dataclass(frozen=True)
class _Ragged(ByExpert):
    """Rows [choices, inputs] that lie end to end by expert.

    Attributes:
      sizes: rows of each expert.
      owner: expert of each row; their number for a row without one.
    """

    sizes: Int[Array, " experts"] = None
    owner: Int[Array, " choices"] = None

    def product(self, x: Array, weight: Array) -> Array:
        return jax.lax.ragged_dot(x, weight, self.sizes)

    def spread(self, bias: Array, ndim: int) -> Array:
        return picked(bias, self.owner)


@dataclasses.dataclass(frozen=True)
class _Kernel(_Ragged):
    """The same by a Pallas kernel (MegaBlocks' grouped product, Gale 2022; JAX's `megablox`).

    Attributes:
      rows: rows of a tile; what an expert's last tile lacks is of its neighbour, and is computed twice.
      most: inputs and outputs of a tile, at most.
      interpret: run on any platform, by Pallas' interpreter; for tests.
    """

    rows: int = 512
    most: int = 1024
    interpret: bool = False

    def product(self, x: Array, weight: Array) -> Array:
        # Pallas takes half a second to import, which runs on other platforms need not wait for.
        from jax.experimental.pallas.ops.tpu.megablox import gmm

        whole = (-(-size // 128) * 128 for size in (x.shape[0], *weight.shape[1:]))
        tiles = tuple(map(min, (self.rows, self.most, self.most), whole))
        padded = jnp.pad(x, ((0, -x.shape[0] % tiles[0]), (0, 0)))
        y = gmm(padded, weight, self.sizes, x.dtype, tiles, interpret=self.interpret)
        return y[: x.shape[0]]


@dataclasses.dataclass(frozen=True)
class _Blocks(ByExpert):
    """Rows [blocks * size, inputs], each block of one expert.

    Attributes:
      owner: expert of each block.
      size: rows of a block.
    """

    owner: Int[Array, " blocks"] = None
    size: int = 1

    def product(self, x: Array, weight: Array) -> Array:
        blocks = x.reshape(-1, self.size, x.shape[-1])
        return jnp.einsum("bri,bio->bro", blocks, weight[self.owner]).reshape(x.shape[0], -1)

    def spread(self, bias: Array, ndim: int) -> Array:
        return jnp.repeat(bias[self.owner], self.size, axis=0)
