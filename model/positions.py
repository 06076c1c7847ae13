"""Position encodings: what tells a transformer where a token stands.

A `Positions` may act at three places: on the embedded input, on queries and keys, and on attention
logits. A new encoding overrides the one it needs; one with weights also overrides `weights`.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.parameters import Sizes, normal
from sharding.axes import EMBED, POSITION


@dataclasses.dataclass(frozen=True)
class Positions:
    """Base of all encodings; by itself it encodes nothing."""

    def weights(self, sizes: Sizes, heads: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """Weights shared by all layers, or None."""
        return None

    def limit(self) -> int | None:
        """Number of positions that can be told apart, or None if there is no limit."""
        return None

    def at_input(
        self, weights: nnx.Module | None, x: Float[Array, "batch seq embed"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq embed"]:
        """Encodes positions into the embedded input."""
        return x

    def at_heads(
        self, x: Float[Array, "batch seq heads head_dim"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq heads head_dim"]:
        """Encodes positions into queries or keys."""
        return x

    def at_logits(
        self, weights: nnx.Module | None, heads: int, query: Int[Array, "*batch seq"], key: Int[Array, "*batch keys"]
    ) -> Float[Array, "*batch heads seq keys"] | None:
        """Bias to add to the attention logits, or None."""
        return None


@dataclasses.dataclass(frozen=True)
class NoPositions(Positions):
    """No encoding: order is known from the causal mask alone (Kazemnejad 2023)."""


@dataclasses.dataclass(frozen=True)
class Rope(Positions):
    """Rotary embedding (Su 2021, eq. 34): pairs of features turn by an angle proportional to the position.

    The halves of a head are paired, as in GPT-NeoX and Llama.

    Attributes:
      theta: base of the geometric series of wavelengths.
    """

    theta: float = 10_000.0

    def at_heads(
        self, x: Float[Array, "batch seq heads head_dim"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq heads head_dim"]:
        """Turns each pair of features; angles are float32."""
        half = x.shape[-1] // 2
        frequency = self.theta ** -(jnp.arange(half, dtype=jnp.float32) / half)
        angle = positions[:, :, None, None].astype(jnp.float32) * frequency
        sin, cos = jnp.sin(angle).astype(x.dtype), jnp.cos(angle).astype(x.dtype)
        first, second = x[..., :half], x[..., half:]
        return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


class PositionTable(nnx.Module):
    """The weights of `Learned`."""

    def __init__(self, length: int, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.table = normal(rngs, (length, sizes.embed), (POSITION, EMBED), sizes.init_std, sizes.precision)


@dataclasses.dataclass(frozen=True)
class Learned(Positions):
    """One trained vector a position, added to the embedded input (GPT-2).

    Attributes:
      length: number of positions.
    """

    length: int

    def weights(self, sizes: Sizes, heads: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """The table [length, embed]."""
        return PositionTable(self.length, sizes, rngs)

    def limit(self) -> int | None:
        """The length of the table."""
        return self.length

    def at_input(
        self, weights: nnx.Module | None, x: Float[Array, "batch seq embed"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq embed"]:
        """Adds the vectors of the positions."""
        assert isinstance(weights, PositionTable)
        return x + jnp.take(weights.table[...].astype(x.dtype), positions, axis=0, mode="clip")


def angles_fit(head_dim: int, positions: Positions) -> None:
    """Raises ValueError if the encoding cannot act on heads of this size."""
    if isinstance(positions, Rope) and head_dim % 2:
        raise ValueError(f"head_dim is {head_dim}; Rope turns pairs of features, so it must be even")


def default_positions(tokens: Int[Array, "batch seq"]) -> Int[Array, "batch seq"]:
    """0, 1, 2, ... in each row."""
    return jnp.broadcast_to(jax.lax.iota(jnp.int32, tokens.shape[1]), tokens.shape)
