"""Feed-forward layers: the part of a block that works on each token alone."""

import abc
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from model.layers import by_itself, gelu, linear
from model.parameters import Sizes, filled, normal
from model.quantised import QuantisedProduct
from sharding.axes import BATCH, EMBED, SEQ, constrain
from sharding.axes import MLP as MLP_AXIS

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu": gelu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
    "relu_squared": lambda x: jnp.square(jax.nn.relu(x)),  # So 2021
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda x: x,
    "tanh": jnp.tanh,
}


def check_activation(owner: str, name: str) -> None:
    """Raises ValueError if `name` is not an activation."""
    if name not in ACTIVATIONS:
        raise ValueError(f"{owner}.activation is '{name}'; it is one of {', '.join(ACTIVATIONS)}")


def check_hidden(owner: str, hidden: int) -> None:
    """Raises ValueError if a hidden layer has no units."""
    if hidden < 1:
        raise ValueError(f"{owner}.hidden is {hidden}; it is at least 1")


class Routing(NamedTuple):
    """What a layer that routes tokens tells of it.

    Attributes:
      loss: what it adds to the loss of a token, a mean over tokens.
      figures: means over tokens, by name; scalars, or one value an expert.
    """

    loss: Array
    figures: dict[str, Array]


class FeedForwardLayer(nnx.Module):
    """Base of the modules: [batch, seq, embed] to the same shape, by `__call__`."""

    def routed(self, x: Float[Array, "batch seq embed"]) -> tuple[Float[Array, "batch seq embed"], Routing | None]:
        """The output, and what there is to tell of routing."""
        return self(x), None


class Products(abc.ABC):
    """How a layer multiplies tokens with its weights: all of them with the same, or each with its expert's."""

    @abc.abstractmethod
    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """x W + b, from the stream to the hidden layer; without a bias x W."""

    @abc.abstractmethod
    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """The same, back to the stream."""


@dataclasses.dataclass(frozen=True)
class Same(Products):
    """All tokens with the same weights, in their format or in `quantised` products."""

    quantised: QuantisedProduct | None = None

    def inwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """x W + b, laid out by hidden units."""
        return constrain(shifted(linear(x, weight[...], quantised=self.quantised), bias), BATCH, SEQ, MLP_AXIS)

    def outwards(self, x: Array, weight: nnx.Param, bias: nnx.Param | None) -> Array:
        """x W + b."""
        return shifted(linear(x, weight[...], quantised=self.quantised), bias)


class FeedForwardPlan(abc.ABC):
    """Which feed-forward layer each block has."""

    @abc.abstractmethod
    def at(self, layer: int) -> "FeedForward":
        """That of block `layer`, counted from 0."""


@dataclasses.dataclass(frozen=True)
class FeedForward(FeedForwardPlan):
    """A feed-forward layer; by itself the plan that every block has it."""

    def at(self, layer: int) -> "FeedForward":
        """The same everywhere."""
        return self

    @abc.abstractmethod
    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> FeedForwardLayer:
        """A module that maps [batch, seq, embed] to the same shape."""

    @abc.abstractmethod
    def matmul_weights(self, embed: int) -> int:
        """Number of weights that a token is multiplied with, for counting FLOPs."""

    def weight_count(self, embed: int) -> int:
        """Number of weights."""
        return self.matmul_weights(embed)

    def active_weight_count(self, embed: int) -> int:
        """Number of weights that take part in computing one token."""
        return self.weight_count(embed)


@dataclasses.dataclass(frozen=True)
class MLP(FeedForward):
    """act(x W_in + b_in) W_out + b_out (Vaswani 2017, eq. 2).

    Attributes:
      hidden: width of the hidden layer.
      activation: a name of `ACTIVATIONS`.
      bias: whether there are biases.
    """

    hidden: int
    activation: str = "gelu"
    bias: bool = False

    def __post_init__(self) -> None:
        check_activation("MLP", self.activation)
        check_hidden("MLP", self.hidden)

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> FeedForwardLayer:
        """Weights [embed, hidden] and [hidden, embed]."""
        return MLPLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """Both matrices."""
        return 2 * embed * self.hidden

    def weight_count(self, embed: int) -> int:
        """Matrices and biases."""
        return self.matmul_weights(embed) + self.bias * (embed + self.hidden)


class MLPLayer(FeedForwardLayer):
    """The weights of `MLP`, and its formula."""

    def __init__(self, spec: MLP, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec, self.same, precision = spec, Same(sizes.precision.products), sizes.precision
        self.up = normal(rngs, (sizes.embed, spec.hidden), (EMBED, MLP_AXIS), sizes.inner_std, sizes)
        self.down = normal(rngs, (spec.hidden, sizes.embed), (MLP_AXIS, EMBED), sizes.residual_std, sizes)
        self.up_bias = filled(0.0, (spec.hidden,), (MLP_AXIS,), precision) if spec.bias else None
        self.down_bias = filled(0.0, (sizes.embed,), (EMBED,), precision) if spec.bias else None

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """act(x W_in + b_in) W_out + b_out."""
        return self.through(x, self.same)

    def through(self, x: Float[Array, "*tokens embed"], products: Products) -> Float[Array, "*tokens embed"]:
        """The formula, by the products of an expert or of all tokens."""
        up = by_itself(checkpoint_name(products.inwards(x, self.up, self.up_bias), "up"))
        return products.outwards(by_itself(ACTIVATIONS[self.spec.activation](up)), self.down, self.down_bias)


@dataclasses.dataclass(frozen=True)
class GatedMLP(FeedForward):
    """(act(x W_gate) * x W_up) W_down (Shazeer 2020, eqs. 5 and 6).

    By activation: `sigmoid` GLU, `identity` Bilinear, `relu` ReGLU, `gelu` GEGLU, `silu` SwiGLU.

    Attributes:
      hidden: width of the hidden layer.
      activation: a name of `ACTIVATIONS`.
      bias: whether there are biases.
    """

    hidden: int
    activation: str = "silu"
    bias: bool = False

    def __post_init__(self) -> None:
        check_activation("GatedMLP", self.activation)
        check_hidden("GatedMLP", self.hidden)

    def gated(self, gate: Float[Array, "*batch hidden"], up: Float[Array, "*batch hidden"]) -> Array:
        """The hidden layer: act(gate) * up."""
        return ACTIVATIONS[self.activation](gate) * up

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> FeedForwardLayer:
        """Weights [embed, hidden] twice and [hidden, embed]."""
        return GatedMLPLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """All three matrices."""
        return 3 * embed * self.hidden

    def weight_count(self, embed: int) -> int:
        """Matrices and biases."""
        return self.matmul_weights(embed) + self.bias * (embed + 2 * self.hidden)


@dataclasses.dataclass(frozen=True)
class ClampedSwiGLU(GatedMLP):
    """The gate of gpt-oss: min(gate, limit) * sigmoid(alpha * gate) * (clip(up, -limit, limit) + 1).

    Attributes:
      alpha: slope of the sigmoid.
      limit: where gate and up are cut off.
    """

    alpha: float = 1.702
    limit: float = 7.0

    def gated(self, gate: Float[Array, "*batch hidden"], up: Float[Array, "*batch hidden"]) -> Array:
        """The hidden layer."""
        gate, up = jnp.minimum(gate, self.limit), jnp.clip(up, -self.limit, self.limit)
        return gate * jax.nn.sigmoid(self.alpha * gate) * (up + 1)


class GatedMLPLayer(FeedForwardLayer):
    """The weights of `GatedMLP`, and its formula."""

    def __init__(self, spec: GatedMLP, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec, self.same = spec, Same(sizes.precision.products)
        hidden = ((spec.hidden,), (MLP_AXIS,), sizes.precision)
        inwards = ((sizes.embed, spec.hidden), (EMBED, MLP_AXIS), sizes.inner_std, sizes)
        self.gate = normal(rngs, *inwards)
        self.up = normal(rngs, *inwards)
        self.down = normal(rngs, (spec.hidden, sizes.embed), (MLP_AXIS, EMBED), sizes.residual_std, sizes)
        self.gate_bias = filled(0.0, *hidden) if spec.bias else None
        self.up_bias = filled(0.0, *hidden) if spec.bias else None
        self.down_bias = filled(0.0, (sizes.embed,), (EMBED,), sizes.precision) if spec.bias else None

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """(act(x W_gate) * x W_up) W_down."""
        return self.through(x, self.same)

    def through(self, x: Float[Array, "*tokens embed"], products: Products) -> Float[Array, "*tokens embed"]:
        """The formula, by the products of an expert or of all tokens."""
        gate = checkpoint_name(products.inwards(x, self.gate, self.gate_bias), "gate")
        up = checkpoint_name(products.inwards(x, self.up, self.up_bias), "up")
        gate, up = by_itself((gate, up))
        return products.outwards(by_itself(self.spec.gated(gate, up)), self.down, self.down_bias)


def shifted(x: Float[Array, "*shape"], bias: nnx.Param | None) -> Float[Array, "*shape"]:
    """x + bias over its last axes, if there is a bias."""
    return x if bias is None else x + bias[...].astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class InterleavedFeedForward(FeedForwardPlan):
    """Layers that take turns: block i has the one at i modulo their number.

    Attributes:
      specs: the layers.
    """

    specs: tuple[FeedForward, ...]

    def __post_init__(self) -> None:
        if not self.specs:
            raise ValueError("InterleavedFeedForward.specs is empty; it holds at least 1 layer")

    def at(self, layer: int) -> FeedForward:
        """Its turn."""
        return self.specs[layer % len(self.specs)]


@dataclasses.dataclass(frozen=True)
class LeadingFeedForward(FeedForwardPlan):
    """One layer in the first blocks, another plan in the rest (DeepSeek-V3, section 4.2: dense, then experts).

    Attributes:
      count: number of first blocks.
      lead: their layer.
      rest: what the other blocks have.
    """

    count: int
    lead: FeedForward
    rest: FeedForward

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"LeadingFeedForward.count is {self.count}; it is at least 1")

    def at(self, layer: int) -> FeedForward:
        """`lead` below `count`, then `rest`."""
        return self.lead if layer < self.count else self.rest
