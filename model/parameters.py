"""How weights are made: initialised in their format, with the logical names of their axes."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from model.parametrization import Parametrization
from model.precision import Precision
from sharding.axes import LAYERS, LOGICAL_AXES


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What every part of a stack needs to know of the whole.

    Attributes:
      embed: width of the residual stream.
      layers: number of blocks.
      dropout: share of activations dropped in training.
      parametrization: how weights start, by width and depth.
      precision: number formats.
      spreads: what the residual spec multiplies `inner_std` and `residual_std` with, where it has rules of its own.
    """

    embed: int
    layers: int
    dropout: float
    parametrization: Parametrization
    precision: Precision
    spreads: tuple[float, float] | None = None

    @property
    def init_std(self) -> float:
        """Standard deviation of weights at the start, in a model of the base size."""
        return self.parametrization.std

    @property
    def inner_std(self) -> float:
        """Standard deviation of values and of the first matrices of feed-forward layers."""
        return self.init_std * (self.spreads[0] if self.spreads else 1.0)

    @property
    def residual_std(self) -> float:
        """Standard deviation for projections that add to the residual stream."""
        if self.spreads:
            return self.init_std * self.spreads[1]
        return self.init_std * self.parametrization.added(self.layers)


def normal(
    rngs: nnx.Rngs, shape: tuple[int, ...], axes: tuple[str, ...], std: float, sizes: Sizes
) -> nnx.Param[jax.Array]:
    """A weight drawn from a normal distribution; `axes` are the logical names of its dimensions.

    `std` is its deviation in a model of the base size; the parametrization makes of it that in this one.
    """
    std = std * sizes.parametrization.spread(axes, shape, sizes.embed, sizes.layers)
    return named(std * jax.random.normal(rngs.params(), shape, sizes.precision.weights_dtype), axes)


def filled(value: float, shape: tuple[int, ...], axes: tuple[str, ...], precision: Precision) -> nnx.Param[jax.Array]:
    """A weight that starts at one value everywhere."""
    return named(jnp.full(shape, value, precision.weights_dtype), axes)


def named(value: jax.Array, axes: tuple[str, ...]) -> nnx.Param[jax.Array]:
    """A weight with the logical names of its dimensions.

    Raises ValueError if a name is not a logical axis or the number of names is wrong.
    """
    unknown = [axis for axis in axes if axis not in LOGICAL_AXES]
    if unknown or len(axes) != value.ndim:
        raise ValueError(f"axes {axes} do not name the {value.ndim} dimensions of a weight; known: {LOGICAL_AXES}")
    return nnx.Param(value, axes=axes)


def stacked(
    make: Callable[[nnx.Rngs], nnx.Module], count: int, rngs: nnx.Rngs, axis: str = LAYERS
) -> nnx.Module:
    """`count` modules in one: each weight gains a leading axis, `layers` to be scanned over, or `experts`."""
    keys = jax.random.split(rngs.params(), count)
    stack = nnx.vmap(lambda key: make(nnx.Rngs(params=key)), in_axes=0, out_axes=0)(keys)
    for _, variable in nnx.to_flat_state(nnx.state(stack, nnx.Param)):
        variable.set_metadata("axes", (axis, *variable.get_metadata("axes")))
    nnx.update(stack, nnx.state(stack, nnx.Param))
    return stack


def logical_axes(state: nnx.State) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Logical axes of every weight, by its path."""
    return {
        tuple(str(part) for part in path): variable.get_metadata("axes")
        for path, variable in nnx.to_flat_state(state)
    }
