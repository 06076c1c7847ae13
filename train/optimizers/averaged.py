"""An exponential moving average of the weights, beside any optimizer."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.optimizers.optimizer import Optimizer
from train.optimizers.ranges import fractions


class Average(NamedTuple):
    """Steps done, the average of the weights in float32, and what the inner optimizer keeps."""

    count: Array
    average: Any
    inner: Any


@dataclasses.dataclass(frozen=True)
class Averaged(Optimizer):
    """Another optimizer, and an exponential moving average of the weights it gives (Polyak and Juditsky 1992).

    The run learns as without; it is evaluated, sampled from and published by the average. As with Adam's moments
    (Kingma and Ba 2014, section 3), the average is over the steps done and not over the weights it began with:
    after step t, weights of step s count as decay^(t - s).

    Attributes:
      inner: how gradients become updates.
      decay: of the average; it is over about 1 / (1 - decay) steps.
    """

    averages: ClassVar[bool] = True

    inner: Optimizer
    decay: float = 0.999

    def __post_init__(self) -> None:
        fractions(self, "decay")
        if self.inner.averages:
            raise ValueError(f"Averaged.inner is {type(self.inner).__name__}, which averages the weights already")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """The inner transformation; then the average."""
        inner = self.inner.transform(schedule, weights)

        def start(params: Any) -> Average:
            average = jax.tree.map(lambda p: jnp.array(p, jnp.float32), params)
            return Average(jnp.zeros((), jnp.int32), average, inner.init(params))

        def update(updates: Any, kept: Average, params: Any) -> tuple[Any, Average]:
            updates, within = inner.update(updates, kept.inner, params)
            count = kept.count + 1
            # The weights of all the steps so far add up to 1; expm1, since in float32 1 - decay would be too coarse.
            logarithm = math.log(self.decay) if self.decay else -math.inf
            share = (1 - self.decay) / -jnp.expm1(logarithm * count.astype(jnp.float32))
            new = optax.apply_updates(params, updates)
            average = jax.tree.map(lambda a, w: a + share * (w.astype(jnp.float32) - a), kept.average, new)
            return updates, Average(count, average, within)

        return optax.GradientTransformation(start, update)

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The average."""
        return jax.tree.map(lambda a, w: a.astype(w.dtype), kept.average, weights)
