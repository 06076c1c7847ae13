"""Position encodings: what tells a transformer where a token stands.

Here are those that act on the embedded input, and the names of all others: rotations of queries and keys
(`model.rotary`, `model.rope_scaling`) and biases of attention logits (`model.attention_bias`).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from model.attention_bias import Alibi, T5Bias
from model.bounds import above, at_least
from model.encoding import Positions
from model.parameters import Sizes, normal
from model.rope_scaling import DynamicNTK, LinearScaling, Llama3Scaling, LongRope, RopeScaling, Yarn
from model.rotary import Rope
from sharding.axes import EMBED, POSITION

__all__ = [
    "Alibi", "DynamicNTK", "Learned", "LinearScaling", "Llama3Scaling", "LongRope", "NoPositions", "Positions", "Rope",
    "RopeScaling", "Sinusoidal", "T5Bias", "TimingSignal", "Yarn", "angles_fit", "default_positions",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class NoPositions(Positions):
    """No encoding: order is known from the causal mask alone (Kazemnejad 2023)."""


@dataclasses.dataclass(frozen=True)
class Sinusoidal(Positions):
    """Waves added to the embedded input (Vaswani 2017, section 3.5).

    Feature 2i of position p gains sin(p theta^(-2i/embed)), feature 2i+1 the cosine, as the paper writes it.
    Its authors' program differs; that is `TimingSignal`. Angles are float32.

    Attributes:
      theta: base of the geometric series of wavelengths.
    """

    theta: float = 10_000.0

    def __post_init__(self) -> None:
        above(self, theta=1)

    def at_input(
        self, weights: nnx.Module | None, x: Float[Array, "batch seq embed"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq embed"]:
        """Adds the waves; of an odd number of features the last is a sine."""
        return x + self.waves(positions, x.shape[-1]).astype(x.dtype)

    def waves(self, positions: Int[Array, "batch seq"], embed: int) -> Float[Array, "batch seq embed"]:
        """What is added, float32."""
        waves = _waves(positions, self.theta ** -(np.arange(0, embed, 2) / embed))
        return jnp.stack(waves, axis=-1).reshape(*positions.shape, -1)[..., :embed]


@dataclasses.dataclass(frozen=True)
class TimingSignal(Sinusoidal):
    """The waves of Tensor2Tensor, with which the Transformer of 2017 was trained.

    Two things differ from the paper: all sines come first, then all cosines, and frequency i is
    theta^(-i/(embed/2 - 1)), so that the last wavelength is 2 pi theta to the full. Hugging Face has these
    in FSMT, M2M-100 and SpeechT5, and those of the paper in XLM.
    """

    def waves(self, positions: Int[Array, "batch seq"], embed: int) -> Float[Array, "batch seq embed"]:
        """What is added, float32; of an odd number of features the last gains nothing."""
        half = embed // 2
        sin, cos = _waves(positions, np.exp(-np.arange(half) * (math.log(self.theta) / max(half - 1, 1))))
        return jnp.concatenate([sin, cos, jnp.zeros((*positions.shape, embed % 2))], axis=-1)


def _waves(positions: Int[Array, "batch seq"], frequencies: np.ndarray) -> tuple[Array, Array]:
    angle = positions[..., None].astype(jnp.float32) * frequencies.astype(np.float32)
    return jnp.sin(angle), jnp.cos(angle)


class PositionTable(nnx.Module):
    """The weights of `Learned`."""

    def __init__(self, rows: int, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.table = normal(rngs, (rows, sizes.embed), (POSITION, EMBED), sizes.init_std, sizes)


@dataclasses.dataclass(frozen=True)
class Learned(Positions):
    """One trained vector a position, added to the embedded input (GPT-2; Gehring 2017, section 3.1).

    Attributes:
      length: number of positions.
      offset: rows of the table before that of position 0. RoBERTa has 2: it numbers positions from just
        after its padding token, whose id is 1.
    """

    length: int
    offset: int = 0

    def __post_init__(self) -> None:
        at_least(self, length=1, offset=0)

    def weights(self, sizes: Sizes, heads: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """The table [length + offset, embed]."""
        return PositionTable(self.length + self.offset, sizes, rngs)

    def weight_count(self, embed: int, heads: int) -> int:
        """The table's."""
        return (self.length + self.offset) * embed

    def limit(self) -> int | None:
        """The number of positions that have a vector."""
        return self.length

    def at_input(
        self, weights: nnx.Module | None, x: Float[Array, "batch seq embed"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq embed"]:
        """Adds the vectors of the positions."""
        assert isinstance(weights, PositionTable)
        rows = positions + self.offset if self.offset else positions
        return x + jnp.take(weights.table[...].astype(x.dtype), rows, axis=0, mode="clip")


def angles_fit(head_dim: int, positions: Positions) -> None:
    """Raises ValueError if the encoding cannot act on heads of this size."""
    positions.check_heads(head_dim)


def default_positions(tokens: Int[Array, "batch seq"]) -> Int[Array, "batch seq"]:
    """0, 1, 2, ... in each row."""
    return jnp.broadcast_to(jax.lax.iota(jnp.int32, tokens.shape[1]), tokens.shape)
