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

    @abc.abstractmethod
    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """A module that maps [..., embed] to the same shape."""


class NormLayer(nnx.Module):
    """The weights of a normalisation, and its formula."""

    def __init__(self, spec: "RMSNorm | LayerNorm", sizes: Sizes) -> None:
        self.spec = spec
        self.scale = filled(1.0, (sizes.embed,), (EMBED,), sizes.precision)
        self.bias = filled(0.0, (sizes.embed,), (EMBED,), sizes.precision) if spec.has_bias else None

    def __call__(self, x: Float[Array, "*batch embed"]) -> Float[Array, "*batch embed"]:
        """Normalises the last axis."""
        y = self.spec.formula(x, self.scale[...])
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class RMSNorm(Norm):
    """x / sqrt(mean(x^2) + eps) * scale (Zhang and Sennrich 2019, eq. 4)."""

    eps: float = 1e-6
    has_bias = False

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Scale [embed], at first 1."""
        return NormLayer(self, sizes)

    def formula(self, x: Float[Array, "*batch embed"], scale: Float[Array, " embed"]) -> Float[Array, "*batch embed"]:
        """The normalised and scaled input, in its own format."""
        return rms_norm(x, scale, self.eps)


@dataclasses.dataclass(frozen=True)
class LayerNorm(Norm):
    """(x - mean(x)) / sqrt(var(x) + eps) * scale + bias (Ba 2016).

    Attributes:
      eps: added to the variance.
      bias: whether there is a bias.
    """

    eps: float = 1e-5
    bias: bool = False

    @property
    def has_bias(self) -> bool:
        """Whether the layer has a bias."""
        return self.bias

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Scale [embed], at first 1, and bias [embed], at first 0."""
        return NormLayer(self, sizes)

    def formula(self, x: Float[Array, "*batch embed"], scale: Float[Array, " embed"]) -> Float[Array, "*batch embed"]:
        """The normalised and scaled input, in its own format."""
        return layer_norm(x, scale, self.eps)
