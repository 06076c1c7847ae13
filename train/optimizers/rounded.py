"""bfloat16 state of any optimizer, rounded up or down at random so that it is right on average."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, BFloat16, Float32, UInt32

from train.optimizers.optimizer import Optimizer
from train.statistic import Statistic


class Rounding(NamedTuple):
    """Steps done, and what the inner optimizer keeps, of each weight in bfloat16."""

    count: Array
    inner: Any


@dataclasses.dataclass(frozen=True)
class Rounded(Optimizer):
    """Another optimizer, whose state of each weight is kept in bfloat16 with stochastic rounding (Gupta 2015).

    All is computed in float32. Of a mean of squares with decay 0.999, a change of a thousandth is less than half a
    step of bfloat16, and rounding to the nearest would leave it as it is for ever. Weights that are bfloat16
    (`Precision(weights="bfloat16")`) are rounded like that too. What is drawn depends on the seed, the number of
    steps and the place in the array alone: on any layout, and after a resume, it is the same. Factored and matrix
    statistics stay float32.

    Attributes:
      inner: how gradients become updates.
      seed: of the rounding.
    """

    inner: Optimizer
    seed: int = 0

    @property
    def averages(self) -> bool:
        """Whether the inner optimizer averages."""
        return self.inner.averages

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """The inner transformation, between a widening and a rounding of what it keeps."""
        inner = self.inner.transform(schedule, weights)

        def start(params: Any) -> Rounding:
            kept = inner.init(widened(params))
            narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if _narrow(x) else x, kept, is_leaf=_is_statistic)
            return Rounding(jnp.zeros((), jnp.int32), narrow)

        def update(updates: Any, kept: Rounding, params: Any) -> tuple[Any, Rounding]:
            key = jax.random.fold_in(jax.random.key(self.seed), kept.count)
            of_state, of_weights = jax.random.split(key)
            wide = widened(params)
            updates, within = inner.update(widened(updates), widened(kept.inner), wide)
            narrow = _each(lambda words, x: stochastically(words, x) if _narrow(x) else x, of_state, within)

            def step(words: Array, change: Array, weight: Array, given: Array) -> Array:
                if given.dtype != jnp.bfloat16:
                    return change
                new = stochastically(words, weight + change).astype(jnp.float32)
                # Minus zero leaves every weight bit for bit, a weight of minus zero too.
                return jnp.where(new == weight, -0.0, new - weight)

            return _each(step, of_weights, updates, wide, params), Rounding(kept.count + 1, narrow)

        return optax.GradientTransformation(start, update)

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The inner optimizer's."""
        found = self.inner.evaluated(widened(kept.inner), widened(weights))
        return jax.tree.map(lambda x, weight: x.astype(weight.dtype), found, weights)


def stochastically(words: UInt32[Array, "2"], x: Float32[Array, "*shape"]) -> BFloat16[Array, "*shape"]:
    """One of the two nearest bfloat16, the nearer one as much more often: the mean over `words` is `x`.

    What is drawn for a number is a hash of the words and of its place: JAX's generator takes long to compile for every
    leaf.
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    place = jnp.zeros(x.shape, jnp.uint32)
    for axis, size in enumerate(x.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
    # bfloat16 is the upper half of float32: a number below 2^16 added to the lower half carries as often as it is far.
    drawn = bits + (_mixed(_mixed(place + words[0]) + words[1]) >> 16)
    rounded = jax.lax.bitcast_convert_type(drawn & jnp.uint32(0xFFFF0000), jnp.float32)
    return jnp.where(jnp.isfinite(x), rounded, x).astype(jnp.bfloat16)


def _mixed(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    # The finaliser of MurmurHash3 (Appleby 2011): one to one, and every bit of it depends on every bit given.
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def widened(tree: Any) -> Any:
    """bfloat16 as float32, all else as it is."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, tree)


def _is_statistic(node: Any) -> bool:
    return isinstance(node, Statistic)


def _narrow(x: Any) -> bool:
    # Counters are few; and of statistics, roots and eigenvectors are taken, which have to be right.
    return not _is_statistic(x) and x.ndim > 0 and x.dtype == jnp.float32


def _each(f: Any, key: Array, tree: Any, *more: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree, is_leaf=_is_statistic)
    others = [structure.flatten_up_to(other) for other in more]
    words = jax.random.bits(key, (len(leaves), 2), jnp.uint32)
    return structure.unflatten(f(words[i], *given) for i, given in enumerate(zip(leaves, *others, strict=True)))
