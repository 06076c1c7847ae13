"""Products of rows with the weights of experts, which count as much as a router says."""

import abc
import dataclasses

from flax import nnx
from jaxtyping import Array, Float

from model.feedforward import Products


@dataclasses.dataclass(frozen=True)
class ByExpert(Products):
    """Each row with the weights of its expert.

    What a row's output counts is multiplied into the last product's input. That is the same, and its gradient needs
    no output: where a layer is rematerialised, the last product need not be computed again.

    Attributes:
      shares: what the output of each row is multiplied with; None: with nothing.
    """

    shares: Float[Array, "*rows 1"] | None = None

    @abc.abstractmethod
    def product(self, x: Array, weight: Array) -> Array:
        """Rows by weights [experts, inputs, outputs]."""

    @abc.abstractmethod
    def spread(self, bias: Array, ndim: int) -> Array:
        """Biases [experts, outputs] for rows of so many dimensions."""

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """x W + b."""
        y = self.product(x, weight[...].astype(x.dtype))
        return y if bias is None else y + self.spread(bias[...].astype(x.dtype), x.ndim)

    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """(x W + b) times the shares."""
        if self.shares is None:
            return ByExpert.inwards(self, x, weight, bias)
        y = self.product((x * self.shares).astype(x.dtype), weight[...].astype(x.dtype))
        if bias is None:
            return y
        return y + (self.spread(bias[...].astype(x.dtype), x.ndim) * self.shares).astype(x.dtype)
