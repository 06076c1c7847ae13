"""How rotary embeddings are stretched over rows longer than those of pre-training.

Each type equals the function of that name in Hugging Face transformers (`ROPE_INIT_FUNCTIONS`) step by step and in
the same format, float32, since a model trained with rounded frequencies is best run with the same ones. Against
transformers 5.24.0 and torch 2.13.0 on an AVX2 CPU, for 32, 64 and 128 features that turn, this prints at most 1
unit in the last place of a frequency (8 for `DynamicNTK`), and cosines and sines at positions up to 100,000 that
differ by at most 1.1e-6 (1.1e-3 for gpt-oss, whose theta of 150,000 torch's power rounds otherwise; 3.9e-3 for
`DynamicNTK`):

    python -m pytest -m slow -s tests/model/parity/test_rope_scaling.py
"""

import abc
import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from model.bounds import above, at_least

Frequencies = Float[np.ndarray, " half"] | Float[Array, " half"]


def unscaled(theta: float, size: int) -> Float[np.ndarray, " half"]:
    """theta^(-2i/size), float32 (Su 2021, section 3.2.2): radians a position, for `size` features that turn."""
    return np.float32(1) / _powers(theta, size)


def _powers(theta: float, size: int) -> np.ndarray:
    # A float32 power differs between processors and libraries; rounding that of float64 does not. Torch's own is
    # another in 40 of 3366 cases, by up to 2 units (test_last_bits_of_powers of the command above prints it).
    return (np.float64(theta) ** _exponents(size).astype(np.float64)).astype(np.float32)


def _exponents(size: int) -> np.ndarray:
    return np.arange(0, size, 2, dtype=np.float32) / np.float32(size)


@dataclasses.dataclass(frozen=True)
class RopeScaling(abc.ABC):
    """A rule for the frequencies of a rotary embedding."""

    @abc.abstractmethod
    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """Radians a position, float32 [size / 2], for the positions of this call."""

    def amplitude(self) -> float:
        """What cosines and sines are multiplied with."""
        return 1.0

    def softmax_factor(self) -> float:
        """What the scale of the attention logits is to be multiplied with besides."""
        return 1.0

    def check_size(self, size: int) -> None:
        """Raises ValueError if the rule cannot act on `size` features; here it can on any."""
        return None


@dataclasses.dataclass(frozen=True)
class LinearScaling(RopeScaling):
    """Position interpolation (Chen 2023, section 2.3): positions are divided by a factor.

    Attributes:
      factor: longest row now / longest row in pre-training.
    """

    factor: float

    def __post_init__(self) -> None:
        at_least(self, factor=1)

    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """Frequencies / factor."""
        return unscaled(theta, size) / np.float32(self.factor)


@dataclasses.dataclass(frozen=True)
class DynamicNTK(RopeScaling):
    """The base grows with the row (Peng 2023, sections 3.1 and 3.3); rows of up to `original` are left as they are.

    theta' = theta (factor length / original - (factor - 1))^(size / (size - 2)), with `length` the greatest position
    of the whole batch + 1, as in Hugging Face; so a row's logits depend on the longest row beside it. Keys in a
    decoding cache keep the angles of the length at which they were computed, in Hugging Face too: past `original`,
    decoding token by token is not the forward pass over the whole row. (Hugging Face's module moreover
    remembers the greatest length it has seen; this one has no memory, and equals a fresh one.)

    Attributes:
      factor: how strongly the base grows.
      original: longest row in pre-training.
    """

    factor: float
    original: int

    def __post_init__(self) -> None:
        at_least(self, factor=1, original=1)

    def check_size(self, size: int) -> None:
        """Raises ValueError for 2 features: the exponent would be infinite."""
        if size <= 2:
            raise ValueError(f"Rope turns {size} features of a head; DynamicNTK needs at least 4")

    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """Frequencies for the greatest position of the batch."""
        length = jnp.maximum(jnp.max(positions) + 1, self.original).astype(jnp.float32)
        growth = self.factor * length / self.original - (self.factor - 1)
        base = theta * growth ** (size / (size - 2))
        grown = 1 / base ** _exponents(size)
        return jnp.where(length > self.original, grown, unscaled(theta, size))


@dataclasses.dataclass(frozen=True)
class Yarn(RopeScaling):
    """YaRN (Peng 2023, sections 3.2 and 3.4): long waves are interpolated, short ones kept, those between are mixed.

    The mixture is linear in the number of the feature, as in the authors' program and in Hugging Face; in the
    paper's formula it is linear in the number of turns.

    The softmax gets colder too: cosines and sines, and with them queries and keys, are multiplied by
    `amplitude`, 0.1 ln(factor) + 1 (section 3.4). DeepSeek-V2 and V3 set `mscale` and `mscale_all_dim`, turn with the
    quotient of the two (which is 1 if they are equal), and multiply the scale of the logits, also of features that
    do not turn, by `softmax_factor`. Of Hugging Face's models only DeepSeek's attention and its kin do the latter.

    Attributes:
      factor: longest row now / longest row in pre-training.
      original: longest row in pre-training.
      beta_fast: waves that turn at least so often in `original` positions are kept.
      beta_slow: waves that turn at most so often are interpolated in full.
      attention_factor: the amplitude; None: from the factor and the two below.
      mscale: weight of the logarithm in the amplitude; 0: not set.
      mscale_all_dim: the same in its denominator, and in `softmax_factor`; 0: not set.
      truncate: round the bounds of the mixed waves outwards to whole features (gpt-oss does not).
    """

    factor: float
    original: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float = 0.0
    mscale_all_dim: float = 0.0
    truncate: bool = True

    def __post_init__(self) -> None:
        at_least(self, factor=1, original=1, mscale=0, mscale_all_dim=0)
        above(self, beta_slow=0)
        if not self.beta_fast >= self.beta_slow:
            raise ValueError(f"Yarn.beta_fast is {self.beta_fast}; it is at least Yarn.beta_slow ({self.beta_slow})")
        if self.attention_factor is not None:
            above(self, attention_factor=0)

    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """The mixture; the same for all positions."""
        powers = _powers(theta, size)
        kept, interpolated = np.float32(1) / powers, np.float32(1) / (np.float32(self.factor) * powers)
        low, high = (self._feature(turns, theta, size) for turns in (self.beta_fast, self.beta_slow))
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, size - 1)
        high = high + 0.001 if low == high else high
        ramp = (np.arange(size // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
        share = np.float32(1) - np.clip(ramp, 0, 1)
        return interpolated * (np.float32(1) - share) + kept * share

    def _feature(self, turns: float, theta: float, size: int) -> float:
        return size * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    def amplitude(self) -> float:
        """`attention_factor`, or what follows from the factor."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            return self._magnitude(self.mscale) / self._magnitude(self.mscale_all_dim)
        return self._magnitude(1.0)

    def softmax_factor(self) -> float:
        """(0.1 mscale_all_dim ln(factor) + 1)^2 (DeepSeek-V2 and V3, as published); 1 if that field is not set."""
        return self._magnitude(self.mscale_all_dim) ** 2

    def _magnitude(self, weight: float) -> float:
        return 0.1 * weight * math.log(self.factor) + 1.0


@dataclasses.dataclass(frozen=True)
class Llama3Scaling(RopeScaling):
    """Llama 3.1's rule (Dubey 2024; Meta's `apply_scaling`): as YaRN, by the number of turns in `original` positions.

    Attributes:
      factor: by which long waves are interpolated.
      low: waves that turn less often than this are interpolated in full.
      high: waves that turn more often than this are kept.
      original: longest row in pre-training.
    """

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    original: int = 8192

    def __post_init__(self) -> None:
        at_least(self, factor=1, original=1)
        above(self, low=0)
        if not self.high > self.low:
            raise ValueError(f"Llama3Scaling.high is {self.high}; it is above Llama3Scaling.low ({self.low})")

    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """Kept, interpolated or mixed; the same for all positions."""
        factor, low, high = (np.float32(value) for value in (self.factor, self.low, self.high))
        kept = unscaled(theta, size)
        wavelength = np.float32(2 * math.pi) / kept
        share = (np.float32(self.original) / wavelength - low) / np.float32(self.high - self.low)
        mixed = (1 - share) * kept / factor + share * kept
        long = wavelength > np.float32(self.original / self.low)
        short = wavelength < np.float32(self.original / self.high)
        return np.where(long, kept / factor, np.where(short, kept, mixed))


@dataclasses.dataclass(frozen=True)
class LongRope(RopeScaling):
    """LongRoPE (Ding 2024, section 3; Phi-3): each frequency has a divisor of its own, found by search.

    There are two lists, one for calls in which the greatest position of the batch is below `original`, one for
    the others, as in Hugging Face. Keys in a decoding cache keep the angles with which they were computed. When a row
    grows past `original`, Hugging Face's `generate` throws Phi-3's cache away and reads the row again; without
    that, later tokens compare queries of the one list with keys of the other.

    Attributes:
      short_factors: divisors within `original` positions.
      long_factors: divisors beyond.
      original: longest row in pre-training.
      factor: longest row now / longest row in pre-training; the amplitude follows from it.
      attention_factor: the amplitude; None: sqrt(1 + ln(factor) / ln(original)).
    """

    short_factors: tuple[float, ...]
    long_factors: tuple[float, ...]
    original: int
    factor: float = 1.0
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        at_least(self, original=2)
        above(self, factor=0)
        for field in ("short_factors", "long_factors"):
            if wrong := [value for value in getattr(self, field) if not value > 0]:
                raise ValueError(f"LongRope.{field} has {wrong[0]} in it; each is above 0")
        if self.attention_factor is not None:
            above(self, attention_factor=0)

    def check_size(self, size: int) -> None:
        """Raises ValueError if there is not one divisor a pair of features."""
        for field in ("short_factors", "long_factors"):
            if (found := len(getattr(self, field))) != size // 2:
                raise ValueError(
                    f"LongRope.{field} has {found} values; Rope turns {size} features of a head, so it has {size // 2}"
                )

    def frequencies(self, theta: float, size: int, positions: Int[Array, "batch seq"]) -> Frequencies:
        """The frequencies of one list or the other, by the greatest position."""
        short, long = (
            np.float32(1) / (np.asarray(factors, np.float32) * _powers(theta, size))
            for factors in (self.short_factors, self.long_factors)
        )
        return jnp.where(jnp.max(positions) + 1 > self.original, long, short)

    def amplitude(self) -> float:
        """`attention_factor`, or what follows from the factor; the same for short and long rows."""
        if self.attention_factor is not None:
            return self.attention_factor
        return math.sqrt(1 + math.log(max(self.factor, 1.0)) / math.log(self.original))
