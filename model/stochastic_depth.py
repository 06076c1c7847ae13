"""Stochastic depth: training leaves out layers at random."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from model.residual import Branch, Layer, Norms, Residual, Stream, whole


@dataclasses.dataclass(frozen=True)
class StochasticDepth(Residual):
    """Another residual, of which training leaves out branches at random (Huang 2016, section 3).

    In each row, what a layer of block l of L adds is left out with a chance of rate * l / L, the linear rule of
    section 3, and divided by the chance that it stays otherwise: the expectation is what is added without a key.

    Attributes:
      of: the residual.
      rate: chance of the last block's; 0.5 in the paper.
    """

    of: Residual
    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"StochasticDepth.rate is {self.rate}; it is at least 0 and below 1")
        if isinstance(self.of, StochasticDepth):
            raise ValueError("StochasticDepth.of is a StochasticDepth itself; give the rate once")

    @property
    def final_norm(self) -> bool:
        """As in the other."""
        return self.of.final_norm

    @property
    def additive(self) -> bool:
        """As in the other."""
        return self.of.additive

    @property
    def noisy(self) -> bool:
        """If anything is left out."""
        return self.rate > 0

    def norms(self, layers: int) -> tuple[str, ...]:
        """As in the other."""
        return self.of.norms(layers)

    def spreads(self) -> tuple[float, float] | None:
        """As in the other."""
        return self.of.spreads()

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """As in the other."""
        return self.of.join(x, layers, norms, branch)

    def thinned(self, y: Stream, depth: Float[Array, ""], key: Array) -> Stream:
        """None or all of each row's, scaled up by what is left out of others."""
        if not self.rate:
            return y
        stays = 1 - self.rate * depth
        kept = jax.random.bernoulli(key, stays, (y.shape[0], 1, 1))
        return jnp.where(kept, y / stays.astype(y.dtype), 0).astype(y.dtype)
