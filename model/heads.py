"""Heads for fine-tuning: one answer a row, or one a token, read from any transformer's stream."""

import abc
import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from model.config import TransformerConfig
from model.feedforward import shifted
from model.layers import linear
from model.mixing import Step
from model.parameters import Sizes, filled, normal
from model.parametrization import Rule
from model.positions import default_positions
from model.transformer import Transformer
from sharding.axes import EMBED, LABELS


@dataclasses.dataclass(frozen=True)
class Pooling(abc.ABC):
    """How the tokens of a row become one vector."""

    @abc.abstractmethod
    def pooled(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "batch embed"]:
        """One vector a row; `real` tells tokens from padding."""


@dataclasses.dataclass(frozen=True)
class FirstToken(Pooling):
    """The first token's, which encoders are trained to fill (Devlin 2018)."""

    def pooled(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "batch embed"]:
        """The first."""
        return x[:, 0]


@dataclasses.dataclass(frozen=True)
class LastToken(Pooling):
    """The last real token's, which has seen all others in a decoder (Radford 2018)."""

    def pooled(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "batch embed"]:
        """The last that is real."""
        last = jnp.max(jnp.where(real, jnp.arange(real.shape[1]), 0), axis=1)
        return jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]


@dataclasses.dataclass(frozen=True)
class MeanToken(Pooling):
    """The mean of all real tokens."""

    def pooled(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "batch embed"]:
        """The mean, in float32; 0 for a row of padding alone."""
        weight = real[..., None].astype(jnp.float32)
        total = jnp.sum(x.astype(jnp.float32) * weight, axis=1)
        return (total / jnp.maximum(jnp.sum(weight, axis=1), 1)).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class Head(abc.ABC):
    """What is asked of a stream."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """Numbers in an answer."""

    @abc.abstractmethod
    def read(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "*answers embed"]:
        """The vectors that are answered from."""

    @property
    def inner(self) -> bool:
        """Whether a layer and a tanh come before the answer (BERT's pooler)."""
        return False

    def check(self, field: str, value: int) -> None:
        """Raises ValueError if there is no answer to give."""
        if value < 1:
            raise ValueError(f"{type(self).__name__}.{field} is {value}; it is at least 1")


@dataclasses.dataclass(frozen=True)
class Classification(Head):
    """Logits of labels for each row.

    Attributes:
      labels: how many there are.
      pooling: how tokens become one vector.
      pooler: whether a layer and a tanh come between.
    """

    labels: int
    pooling: Pooling = FirstToken()
    pooler: bool = False

    def __post_init__(self) -> None:
        self.check("labels", self.labels)

    @property
    def outputs(self) -> int:
        """A logit a label."""
        return self.labels

    @property
    def inner(self) -> bool:
        """As the spec says."""
        return self.pooler

    def read(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "*answers embed"]:
        """One vector a row."""
        return self.pooling.pooled(x, real)


@dataclasses.dataclass(frozen=True)
class Regression(Head):
    """Numbers for each row.

    Attributes:
      targets: how many numbers.
      pooling: how tokens become one vector.
    """

    targets: int = 1
    pooling: Pooling = MeanToken()

    def __post_init__(self) -> None:
        self.check("targets", self.targets)

    @property
    def outputs(self) -> int:
        """The numbers."""
        return self.targets

    def read(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "*answers embed"]:
        """One vector a row."""
        return self.pooling.pooled(x, real)


@dataclasses.dataclass(frozen=True)
class TokenClassification(Head):
    """Logits of labels for each token.

    Attributes:
      labels: how many there are.
    """

    labels: int

    def __post_init__(self) -> None:
        self.check("labels", self.labels)

    @property
    def outputs(self) -> int:
        """A logit a label."""
        return self.labels

    def read(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "*answers embed"]:
        """Every token's vector."""
        return x


class HeadLayer(nnx.Module):
    """The weights of a `Head`."""

    def __init__(self, spec: Head, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        embed, std, precision = sizes.embed, sizes.init_std, sizes.precision
        self.inner = normal(rngs, (embed, embed), (EMBED, EMBED), std, sizes) if spec.inner else None
        self.inner_bias = filled(0.0, (embed,), (EMBED,), precision) if spec.inner else None
        self.weight = normal(rngs, (embed, spec.outputs), (EMBED, LABELS), std, sizes)
        self.bias = filled(0.0, (spec.outputs,), (LABELS,), precision)

    def __call__(
        self, x: Float[Array, "batch seq embed"], real: Bool[Array, "batch seq"]
    ) -> Float[Array, "*answers outputs"]:
        """Answers, float32."""
        x = self.spec.read(x, real)
        if self.inner is not None:
            x = jnp.tanh(shifted(linear(x, self.inner[...]), self.inner_bias))
        return linear(x, self.weight[...], jnp.float32) + self.bias[...].astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class HeadedConfig:
    """A transformer that answers.

    Attributes:
      transformer: the stack; its mask makes it an encoder or a decoder.
      head: what is asked of it.
    """

    transformer: TransformerConfig
    head: Head

    @property
    def noisy(self) -> bool:
        """Whether training drops anything at random."""
        return self.transformer.noisy

    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""
        return self.transformer.rule(path, axes)


class Headed(Transformer):
    """A transformer with a head: tokens in, answers out."""

    def __init__(self, config: HeadedConfig, rngs: nnx.Rngs) -> None:
        super().__init__(config.transformer, rngs)
        self.head = HeadLayer(config.head, config.transformer.sizes, rngs)

    def __call__(
        self,
        tokens: Int[Array, "batch seq"],
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: jax.Array | None = None,
        types: Int[Array, "batch seq"] | None = None,
    ) -> Float[Array, "*answers outputs"]:
        """Answers, float32: [batch, outputs] or [batch, seq, outputs]; `segments` is 0 at padding."""
        step = Step(default_positions(tokens), segments)
        x, _ = self.read(tokens, step, dropout_key, types)
        real = jnp.ones(tokens.shape, bool) if segments is None else segments > 0
        return self.head(self.normalised(x), real)
