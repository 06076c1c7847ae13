"""Rotary embedding: positions as rotations of queries and keys, so that their products know distances."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.bounds import above
from model.encoding import Positions
from model.rope_scaling import RopeScaling, unscaled
from sharding.axes import platform


@dataclasses.dataclass(frozen=True)
class Rope(Positions):
    """Rotary embedding (Su 2021, eq. 34): pairs of features turn by an angle proportional to the position.

    Attributes:
      theta: base of the geometric series of wavelengths.
      scaling: how the series is stretched for rows longer than those of pre-training; None: not at all.
      fraction: share of a head's features that turn, the first ones; the others stay (GPT-NeoX: 0.25, Phi-2: 0.4).
      interleaved: pair features 2i and 2i+1, as the paper, GPT-J and DeepSeek do, and not those of a head's
        two halves, i and i + half, as GPT-NeoX and Llama do.
    """

    theta: float = 10_000.0
    scaling: RopeScaling | None = None
    fraction: float = 1.0
    interleaved: bool = False

    def __post_init__(self) -> None:
        above(self, theta=1)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"Rope.fraction is {self.fraction}; it is above 0 and at most 1")

    def turning(self, head_dim: int) -> int:
        """Number of features of a head that turn, rounded down as in Hugging Face."""
        return int(head_dim * self.fraction)

    def check_heads(self, head_dim: int) -> None:
        """Raises ValueError if the features that turn are not pairs, or not as many as the scaling has factors for."""
        size = self.turning(head_dim)
        if self.fraction == 1 and size % 2:
            raise ValueError(f"head_dim is {head_dim}; Rope turns pairs of features, so it must be even")
        if size % 2 or not size:
            raise ValueError(
                f"head_dim is {head_dim}, of which Rope.fraction ({self.fraction}) makes {size} features turn; "
                "they turn in pairs, so their number must be even and at least 2"
            )
        if self.scaling is not None:
            self.scaling.check_size(size)

    def softmax_factor(self) -> float:
        """That of the scaling."""
        return 1.0 if self.scaling is None else self.scaling.softmax_factor()

    def turns(
        self, size: int, positions: Int[Array, "batch seq"]
    ) -> tuple[Float[Array, "batch seq half"], Float[Array, "batch seq half"]]:
        """Cosine and sine of the angles of `size` features that turn, times the scaling's amplitude; float32.

        `model.rope_scaling` tells how far they are from those of Hugging Face. Far out the rounding of a float32
        angle is what bounds both: at position 100,000 it is up to 0.0039 radians,
        `python -c "import numpy; print(numpy.spacing(numpy.float32(100_000)) / 2)"`.
        """
        if self.scaling is None:
            frequency, amplitude = unscaled(self.theta, size), 1.0
        else:
            frequency, amplitude = self.scaling.frequencies(self.theta, size, positions), self.scaling.amplitude()
        angle = positions[..., None].astype(jnp.float32) * frequency
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return (cos, sin) if amplitude == 1 else (cos * amplitude, sin * amplitude)

    def at_heads(
        self, x: Float[Array, "batch seq heads head_dim"], positions: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq heads head_dim"]:
        """Turns pairs of features; angles are float32, products are in the format of x."""
        size = self.turning(x.shape[-1])
        if platform() == "tpu" and not self.interleaved and size == x.shape[-1]:
            return _turned_whole(x, *self.turns(size, positions))
        cos, sin = (part[:, :, None].astype(x.dtype) for part in self.turns(size, positions))
        turning = x[..., :size]
        if self.interleaved:
            first, second = turning[..., 0::2], turning[..., 1::2]
        else:
            first, second = turning[..., : size // 2], turning[..., size // 2 :]
        parts = [first * cos - second * sin, second * cos + first * sin]
        if self.interleaved:
            parts = [jnp.stack(parts, axis=-1).reshape(turning.shape)]
        return jnp.concatenate([*parts, x[..., size:]] if size < x.shape[-1] else parts, axis=-1)


def _turned_whole(
    x: Float[Array, "batch seq heads head_dim"],
    cos: Float[Array, "batch seq half"],
    sin: Float[Array, "batch seq half"],
) -> Float[Array, "batch seq heads head_dim"]:
    """x cos + (x with its halves exchanged) sin: the same, without arrays of half a head.

    A TPU fills up the last axis of an array to 128, so that halves of heads of 128 take twice their memory; and it
    exchanges them faster by a product with a matrix of ones and zeros, which is exact, than by moving lanes.
    """
    half = cos.shape[-1]
    cos = jnp.concatenate([cos, cos], axis=-1)[:, :, None].astype(x.dtype)
    sin = jnp.concatenate([-sin, sin], axis=-1)[:, :, None].astype(x.dtype)
    exchange = jnp.roll(jnp.eye(2 * half, dtype=x.dtype), half, axis=0)
    return x * cos + jnp.matmul(x, exchange, precision="highest") * sin
