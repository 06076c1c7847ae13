"""Adafactor: Adam's second moments of a matrix, kept as one number a row and one a column."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.optimizers.optimizer import Optimizer, clipped, decayed, learning
from train.optimizers.ranges import not_negative, positive
from train.statistic import Statistic
from train.weights import Weight


class Factors(NamedTuple):
    """Averages of squared gradients over the columns, one a row, and over the rows, one a column."""

    rows: Statistic
    columns: Statistic


class Squares(NamedTuple):
    """Steps done, and averages of squared gradients: `Factors` of matrices, and whole of vectors."""

    count: Array
    averages: Any


@dataclasses.dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adafactor (Shazeer 2018, arXiv:1804.04235, algorithms 4 and 5, with the values of section 9).

    Steps are relative: a weight matrix moves by the learning rate times its own root mean square. The paper's rate is
    min(0.01, 1 / sqrt(step)). Unlike optax's, each layer and expert of a stack is a matrix of its own, heads and
    their features are one side of it, and all matrices are factored, however small.

    Attributes:
      exponent: the average of squares decays by 1 - step^-exponent.
      eps: added to squared gradients.
      floor: root mean square that a weight is taken to have at least.
      threshold: steps with a root mean square above this are scaled down to it.
      decay: weight decay, times the learning rate; none in the paper.
      clip: gradients are scaled down to this global norm; 0 leaves them, as in the paper.
    """

    exponent: float = 0.8
    eps: float = 1e-30
    floor: float = 1e-3
    threshold: float = 1.0
    decay: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "exponent", "eps", "floor", "threshold")
        not_negative(self, "decay", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip, factored step relative to the weight, decay, learning rate."""

        def start(params: Any) -> Squares:
            return self._start(params, weights)

        def update(updates: Any, kept: Squares, params: Any) -> tuple[Any, Squares]:
            return self._step(updates, kept, params, weights)

        factored = optax.GradientTransformation(start, update)
        return optax.chain(clipped(self.clip), factored, decayed(self.decay, weights), learning(schedule, weights))

    def _start(self, params: Any, weights: Any) -> Squares:
        def zeros(weight: Weight, param: Any) -> Any:
            if not weight.matrix:
                return jnp.zeros(param.shape, jnp.float32)
            return Factors(*(_without(weight, side, jnp.zeros) for side in reversed(weight.sides)))

        return Squares(jnp.zeros((), jnp.int32), jax.tree.map(zeros, weights, params))

    def _step(self, updates: Any, kept: Squares, params: Any, weights: Any) -> tuple[Any, Squares]:
        leaves, tree = jax.tree.flatten(weights)
        old = 1 - jnp.float32(kept.count + 1) ** -self.exponent
        results = [
            self._weight_step(weight, gradient.astype(jnp.float32), average, param.astype(jnp.float32), old)
            for weight, gradient, average, param in zip(
                leaves, *(tree.flatten_up_to(given) for given in (updates, kept.averages, params)), strict=True
            )
        ]
        steps, averages = (tree.unflatten(column) for column in zip(*results, strict=True))
        return steps, Squares(kept.count + 1, averages)

    def _weight_step(self, weight: Weight, gradient: Array, average: Any, param: Array, old: Array) -> tuple[Any, Any]:
        square = jnp.square(gradient) + self.eps
        if weight.matrix:
            inputs, outputs = weight.sides
            rows, columns = (
                old * kept.value + (1 - old) * jnp.mean(square, over)
                for kept, over in ((average.rows, outputs), (average.columns, inputs))
            )
            average = Factors(average.rows.with_value(rows), average.columns.with_value(columns))
            # Equation (4) of the paper with means in place of sums.
            own = tuple(range(weight.stacked, rows.ndim))
            rows = rows / jnp.mean(rows, own, keepdims=True)
            step = gradient / jnp.sqrt(jnp.expand_dims(rows, outputs) * jnp.expand_dims(columns, inputs))
        else:
            average = old * average + (1 - old) * square
            step = gradient / jnp.sqrt(average)
        own = tuple(range(weight.stacked, gradient.ndim))
        step = step / jnp.maximum(1.0, _root_mean_square(step, own) / self.threshold)
        return step * jnp.maximum(self.floor, _root_mean_square(param, own)), average


def _without(weight: Weight, side: tuple[int, ...], make: Any) -> Statistic:
    left = [dim for dim in range(len(weight.axes)) if dim not in side]
    return Statistic(make([weight.shape[dim] for dim in left], jnp.float32), tuple(weight.axes[dim] for dim in left))


def _root_mean_square(x: Array, over: tuple[int, ...]) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(x), over, keepdims=True))
