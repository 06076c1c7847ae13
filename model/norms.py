"""Normalisation layers."""

import abc
import dataclasses

from flax import nnx
from jaxtyping import Array, Float

from model.layers import layer_norm, rms_norm
from model.parameters import Sizes, filled
from sharding.axes import EMBED


@dataclasses.dataclass(frozen=True)
class Norm(abc.ABC):
    """A normalisation over the last axis; statistics are float32."""

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """A module that maps [..., embed] to the same shape."""
        return self.over((sizes.embed,), (EMBED,), sizes)

    @abc.abstractmethod
    def over(self, shape: tuple[int, ...], axes: tuple[str, ...], sizes: Sizes) -> nnx.Module:
        """A module with weights of this shape, that normalises a last axis as long as their number."""

    @abc.abstractmethod
    def weight_count(self, features: int) -> int:
        """Number of weights for a last axis of this length."""


class NormLayer(nnx.Module):
    """The weights of a normalisation, and its formula."""

    def __init__(
        self, spec: "RMSNorm | LayerNorm", shape: tuple[int, ...], axes: tuple[str, ...], sizes: Sizes
    ) -> None:
        self.spec = spec
        self.scale = filled(1.0 - spec.scale_offset, shape, axes, sizes.precision)
        self.bias = filled(0.0, shape, axes, sizes.precision) if spec.has_bias else None

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """Normalises the last axis."""
        y = self.spec.formula(x, self.scale[...].reshape(-1))
        return y if self.bias is None else y + self.bias[...].reshape(-1).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class RMSNorm(Norm):
    """x / sqrt(mean(x^2) + eps) * (offset + scale) (Zhang and Sennrich 2019, eq. 4).

    Attributes:
      eps: added to the mean square.
      offset: what is added to the stored scale; 1 in Gemma, whose scales are stored around 0.
    """

    eps: float = 1e-6
    offset: float = 0.0
    has_bias = False

    @property
    def scale_offset(self) -> float:
        """The part of the scale that is not a weight."""
        return self.offset

    def over(self, shape: tuple[int, ...], axes: tuple[str, ...], sizes: Sizes) -> nnx.Module:
        """A scale that is 1 at first, the offset included."""
        return NormLayer(self, shape, axes, sizes)

    def weight_count(self, features: int) -> int:
        """The scale."""
        return features

    def formula(self, x: Float[Array, "*batch embed"], scale: Float[Array, " embed"]) -> Float[Array, "*batch embed"]:
        """The normalised and scaled input, in its own format."""
        return rms_norm(x, scale + self.offset if self.offset else scale, self.eps)


@dataclasses.dataclass(frozen=True)
class LayerNorm(Norm):
    """(x - mean(x)) / sqrt(var(x) + eps) * scale + bias (Ba 2016).

    Attributes:
      eps: added to the variance.
      bias: whether there is a bias.
    """

    eps: float = 1e-5
    bias: bool = False
    scale_offset = 0.0

    @property
    def has_bias(self) -> bool:
        """Whether the layer has a bias."""
        return self.bias

    def over(self, shape: tuple[int, ...], axes: tuple[str, ...], sizes: Sizes) -> nnx.Module:
        """A scale that is 1 at first, and a bias that is 0."""
        return NormLayer(self, shape, axes, sizes)

    def weight_count(self, features: int) -> int:
        """The scale, and the bias if there is one."""
        return features * (1 + self.bias)

    def formula(self, x: Float[Array, "*batch embed"], scale: Float[Array, " embed"]) -> Float[Array, "*batch embed"]:
        """The normalised and scaled input, in its own format."""
        return layer_norm(x, scale, self.eps)
