"""Feed-forward layers: the part of a block that works on each token alone."""

import abc
import dataclasses
from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float

from model.layers import gelu, linear
from model.parameters import Sizes, normal
from sharding.axes import BATCH, EMBED, SEQ, constrain
from sharding.axes import MLP as MLP_AXIS

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu": gelu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
}


def check_activation(owner: str, name: str) -> None:
    """Raises ValueError if `name` is not an activation."""
    if name not in ACTIVATIONS:
        raise ValueError(f"{owner}.activation is '{name}'; it is one of {', '.join(ACTIVATIONS)}")


@dataclasses.dataclass(frozen=True)
class FeedForward(abc.ABC):
    """A feed-forward layer."""

    @abc.abstractmethod
    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """A module that maps [batch, seq, embed] to the same shape."""

    @abc.abstractmethod
    def matmul_weights(self, embed: int) -> int:
        """Number of weights that a token is multiplied with, for counting FLOPs."""


@dataclasses.dataclass(frozen=True)
class MLP(FeedForward):
    """act(x W_in) W_out (Vaswani 2017, eq. 2, without biases).

    Attributes:
      hidden: width of the hidden layer.
      activation: `gelu`, `gelu_tanh`, `silu` or `relu`.
    """

    hidden: int
    activation: str = "gelu"

    def __post_init__(self) -> None:
        check_activation("MLP", self.activation)

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Weights [embed, hidden] and [hidden, embed]."""
        return MLPLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """Both matrices."""
        return 2 * embed * self.hidden


class MLPLayer(nnx.Module):
    """The weights of `MLP`, and its formula."""

    def __init__(self, spec: MLP, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        self.up = normal(rngs, (sizes.embed, spec.hidden), (EMBED, MLP_AXIS), sizes.init_std, sizes.precision)
        self.down = normal(rngs, (spec.hidden, sizes.embed), (MLP_AXIS, EMBED), sizes.residual_std, sizes.precision)

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """act(x W_in) W_out."""
        hidden = constrain(ACTIVATIONS[self.spec.activation](linear(x, self.up[...])), BATCH, SEQ, MLP_AXIS)
        return linear(hidden, self.down[...])


@dataclasses.dataclass(frozen=True)
class GatedMLP(FeedForward):
    """(act(x W_gate) * x W_up) W_down: SwiGLU with `silu`, GEGLU with `gelu` (Shazeer 2020, eq. 6).

    Attributes:
      hidden: width of the hidden layer.
      activation: `silu`, `gelu`, `gelu_tanh` or `relu`.
    """

    hidden: int
    activation: str = "silu"

    def __post_init__(self) -> None:
        check_activation("GatedMLP", self.activation)

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Weights [embed, hidden] twice and [hidden, embed]."""
        return GatedMLPLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """All three matrices."""
        return 3 * embed * self.hidden


class GatedMLPLayer(nnx.Module):
    """The weights of `GatedMLP`, and its formula."""

    def __init__(self, spec: GatedMLP, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        inwards = ((sizes.embed, spec.hidden), (EMBED, MLP_AXIS), sizes.init_std, sizes.precision)
        self.gate = normal(rngs, *inwards)
        self.up = normal(rngs, *inwards)
        self.down = normal(rngs, (spec.hidden, sizes.embed), (MLP_AXIS, EMBED), sizes.residual_std, sizes.precision)

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """(act(x W_gate) * x W_up) W_down."""
        gate = constrain(linear(x, self.gate[...]), BATCH, SEQ, MLP_AXIS)
        up = constrain(linear(x, self.up[...]), BATCH, SEQ, MLP_AXIS)
        return linear(ACTIVATIONS[self.spec.activation](gate) * up, self.down[...])
