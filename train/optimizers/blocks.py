"""Matrices cut into blocks of like shape, each of which any device can work on apart from the others."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from sharding.axes import BLOCKS, constrain, laid_out
from train.statistic import Statistic
from train.weights import Weight

Pools = dict[str, Array]
AXES = (BLOCKS, None, None)


@dataclasses.dataclass(frozen=True)
class _Cut:
    """How one weight is cut: a stack of rows x columns matrices into down x across blocks of height x width."""

    stack: int
    rows: int
    columns: int
    down: int
    across: int

    @property
    def height(self) -> int:
        return -(-self.rows // self.down)

    @property
    def width(self) -> int:
        return -(-self.columns // self.across)

    @property
    def count(self) -> int:
        return self.stack * self.down * self.across

    @property
    def pool(self) -> str:
        return f"{self.height}x{self.width}"


class Blocks:
    """The blocks of a tree of matrices, pooled by their shape (Anil 2020, arXiv:2002.09018, section 4).

    A side longer than `side` is cut evenly into as few blocks as can be. Pools are filled up with blocks of zeros to
    a number that many devices divide, the same on any layout.

    Attributes:
      shapes: of the pools, [blocks, height, width].
    """

    def __init__(self, weights: Any, side: int) -> None:
        leaves, self._tree = jax.tree.flatten(weights)
        self._cuts = [_cut(weight, side) for weight in leaves]
        self._full = [weight.shape for weight in leaves]
        counts: dict[str, int] = {}
        for cut in self._cuts:
            counts[cut.pool] = counts.get(cut.pool, 0) + cut.count
        sizes = {cut.pool: (cut.height, cut.width) for cut in self._cuts}
        self.shapes = {pool: (_filled_up(count), *sizes[pool]) for pool, count in counts.items()}

    def gathered(self, tree: Any) -> Pools:
        """The pools of a tree like the weights, in float32, spread over the devices."""
        parts: dict[str, list[Array]] = {pool: [] for pool in self.shapes}
        for cut, leaf in zip(self._cuts, self._tree.flatten_up_to(tree), strict=True):
            x = leaf.astype(jnp.float32).reshape(cut.stack, cut.rows, cut.columns)
            fill = (cut.down * cut.height - cut.rows, cut.across * cut.width - cut.columns)
            x = jnp.pad(x, ((0, 0), (0, fill[0]), (0, fill[1])))
            x = x.reshape(cut.stack, cut.down, cut.height, cut.across, cut.width).swapaxes(2, 3)
            parts[cut.pool].append(x.reshape(-1, cut.height, cut.width))
        whole = {pool: jnp.concatenate(found) for pool, found in parts.items()}
        return {
            pool: constrain(jnp.pad(x, ((0, self.shapes[pool][0] - len(x)), (0, 0), (0, 0))), *AXES)
            for pool, x in whole.items()
        }

    def scattered(self, pools: Pools) -> Any:
        """The tree whose pools these are."""
        taken = dict.fromkeys(pools, 0)
        leaves = []
        for cut, shape in zip(self._cuts, self._full, strict=True):
            start = taken[cut.pool]
            taken[cut.pool] += cut.count
            x = pools[cut.pool][start : start + cut.count]
            x = x.reshape(cut.stack, cut.down, cut.across, cut.height, cut.width).swapaxes(2, 3)
            x = x.reshape(cut.stack, cut.down * cut.height, cut.across * cut.width)
            leaves.append(x[:, : cut.rows, : cut.columns].reshape(shape))
        return self._tree.unflatten(leaves)


def kept(pools: Pools) -> dict[str, Statistic]:
    """Pools as an optimizer keeps them: spread over the devices."""
    return {pool: Statistic(x, AXES) for pool, x in pools.items()}


def values(statistics: dict[str, Statistic]) -> Pools:
    """The pools that an optimizer keeps."""
    return {pool: statistic.value for pool, statistic in statistics.items()}


def apart(f: Callable[..., Array], *pools: Array) -> Array:
    """A function of pools, of which each device computes its own blocks.

    Factorisations of matrices are opaque to the compiler, which would have every device do all of them.
    """
    sharding = laid_out(pools[0].shape, *AXES)
    if sharding is None or sharding.is_fully_replicated:
        return f(*pools)
    mesh, spec = sharding.mesh, sharding.spec
    return jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(*pools)


def times(left: Array, right: Array) -> Array:
    """Product of the blocks of two pools, exact in float32 on any platform."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _cut(weight: Weight, side: int) -> _Cut:
    stack = math.prod(weight.shape[: weight.stacked])
    rows, columns = (math.prod(weight.shape[dim] for dim in dims) for dims in weight.sides)
    return _Cut(stack, rows, columns, -(-rows // side), -(-columns // side))


def _filled_up(count: int) -> int:
    # Powers of two are what meshes are made of; at most a sixteenth is added.
    step = 2 ** max(0, math.floor(math.log2(count)) - 4)
    return -(-count // step) * step
