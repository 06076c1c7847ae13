"""bfloat16 state of any optimizer, rounded up or down at random so that it is right on average."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, BFloat16, Float32

from train.optimizers.optimizer import Optimizer


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
    steps and the place in the array alone: on any layout, and after a resume, it is the same.

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
            kept = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if _narrow(x) else x, inner.init(widened(params)))
            return Rounding(jnp.zeros((), jnp.int32), kept)

        def update(updates: Any, kept: Rounding, params: Any) -> tuple[Any, Rounding]:
            of_state, of_weights = jax.random.split(jax.random.fold_in(jax.random.key(self.seed), kept.count))
            wide = widened(params)
            updates, within = inner.update(widened(updates), widened(kept.inner), wide)
            narrow = _each(lambda key, x: stochastically(key, x) if _narrow(x) else x, of_state, within)

            def step(key: Array, change: Array, weight: Array, given: Array) -> Array:
                if given.dtype != jnp.bfloat16:
                    return change
                new = stochastically(key, weight + change).astype(jnp.float32)
                # Minus zero leaves every weight bit for bit, a weight of minus zero too.
                return jnp.where(new == weight, -0.0, new - weight)

            return _each(step, of_weights, updates, wide, params), Rounding(kept.count + 1, narrow)

        return optax.GradientTransformation(start, update)

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The inner optimizer's."""
        found = self.inner.evaluated(widened(kept.inner), widened(weights))
        return jax.tree.map(lambda x, weight: x.astype(weight.dtype), found, weights)


def stochastically(key: Array, x: Float32[Array, "*shape"]) -> BFloat16[Array, "*shape"]:
    """One of the two nearest bfloat16, the nearer one as much more often: the mean over keys is `x`."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    # bfloat16 is the upper half of float32: a number below 2^16 added to the lower half carries as often as it is far.
    drawn = bits + jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
    rounded = jax.lax.bitcast_convert_type(drawn & jnp.uint32(0xFFFF0000), jnp.float32)
    return jnp.where(jnp.isfinite(x), rounded, x).astype(jnp.bfloat16)


def widened(tree: Any) -> Any:
    """bfloat16 as float32, all else as it is."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, tree)


def _narrow(x: Array) -> bool:
    # Counters and sums over all weights are few, and have to be right.
    return x.ndim > 0 and x.dtype == jnp.float32


def _each(f: Any, key: Array, tree: Any, *more: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    others = [structure.flatten_up_to(other) for other in more]
    return structure.unflatten(
        f(jax.random.fold_in(key, i), *given) for i, given in enumerate(zip(leaves, *others, strict=True))
    )
