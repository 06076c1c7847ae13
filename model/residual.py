"""How a layer joins the residual stream."""

import abc
import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Float

Stream = Float[Array, "batch seq embed"]


@dataclasses.dataclass(frozen=True)
class Residual(abc.ABC):
    """The order of normalisation, layer and addition."""

    @abc.abstractmethod
    def join(self, x: Stream, norm: Callable[[Stream], Stream], layer: Callable[[Stream], Stream]) -> Stream:
        """The residual stream after the layer."""

    @abc.abstractmethod
    def final_norm(self) -> bool:
        """Whether the stream has to be normalised once more before the logits."""


@dataclasses.dataclass(frozen=True)
class PreNorm(Residual):
    """x + layer(norm(x)), normalised once more at the end (Xiong 2020)."""

    def join(self, x: Stream, norm: Callable[[Stream], Stream], layer: Callable[[Stream], Stream]) -> Stream:
        """x + layer(norm(x))."""
        return x + layer(norm(x))

    def final_norm(self) -> bool:
        """The stream grows with depth, so yes."""
        return True
