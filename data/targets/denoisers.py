"""Ways to take tokens out of a row: in random spans, or all that follows a prefix."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

from data.targets.draws import below
from data.targets.layouts import Lengths


class Noise(NamedTuple):
    """How much of each row is taken out.

    Attributes:
      tokens: how many tokens.
      spans: in how many runs.
    """

    tokens: Int64[np.ndarray, " rows"]
    spans: Int64[np.ndarray, " rows"]


class Denoiser(abc.ABC):
    """A frozen dataclass that says how much of a row is taken out, and whether sentinels stand for it.

    Attributes:
      mode: the reserved token that begins the source, so that a model can tell denoisers apart; None for none.
    """

    mode: str | None

    @property
    @abc.abstractmethod
    def marked(self) -> bool:
        """Whether a sentinel stands in the source for each span, and before it in the target."""

    @abc.abstractmethod
    def noise(self, length: Int64[np.ndarray, " rows"], drawn: UInt64[np.ndarray, " rows"]) -> Noise:
        """How much is taken out of rows of these lengths; `drawn` is a random number for each."""

    @abc.abstractmethod
    def lengths(self, length: int) -> Lengths:
        """How long source, with the mode, and target can be for a row of this length, without ends."""


@dataclass(frozen=True)
class SpanDenoiser(Denoiser):
    """Random spans, each of which a sentinel stands for: T5's span corruption.

    Attributes:
      mean_span: tokens of a span on average.
      density: the share of tokens that is taken out.
      mode: the token that begins the source, or None.

    Raises:
      ValueError: when a span is shorter than a token, or the density is not between 0 and 1.
    """

    mean_span: float = 3.0
    density: float = 0.15
    mode: str | None = None

    def __post_init__(self) -> None:
        check_spans(type(self).__name__, self.mean_span, self.density)

    @property
    def marked(self) -> bool:
        return True

    def noise(self, length: Int64[np.ndarray, " rows"], drawn: UInt64[np.ndarray, " rows"]) -> Noise:
        # At least one token on either side where there are two, as in t5.data's random_spans_noise_mask.
        tokens = np.clip(np.rint(length * self.density).astype(np.int64), 1, np.maximum(length - 1, 0))
        spans = np.clip(np.rint(tokens / self.mean_span).astype(np.int64), 1, np.minimum(tokens, length - tokens))
        return Noise(tokens, spans)

    def lengths(self, length: int) -> Lengths:
        noise, spans = (int(value[0]) for value in self.noise(np.array([length]), np.zeros(1, np.uint64)))
        source, target = length - noise + spans + (self.mode is not None), noise + spans
        return Lengths(source, target, source + target)


@dataclass(frozen=True)
class PrefixDenoiser(Denoiser):
    """All that follows a prefix; of a row of n tokens the prefix has 1 to n - 1, all alike likely.

    Attributes:
      mode: the token that begins the source, or None.
    """

    mode: str | None = None

    @property
    def marked(self) -> bool:
        return False

    def noise(self, length: Int64[np.ndarray, " rows"], drawn: UInt64[np.ndarray, " rows"]) -> Noise:
        most = np.maximum(length - 1, 0)
        tokens = np.minimum(1 + below(drawn, most), most)
        return Noise(tokens, np.minimum(tokens, 1))

    def lengths(self, length: int) -> Lengths:
        lead, most = int(self.mode is not None), max(length - 1, 0)
        return Lengths(lead + max(most, 1), most, lead + length)


def check_spans(name: str, mean_span: float, density: float) -> None:
    """Raises ValueError when a span is shorter than a token, or the density is not between 0 and 1."""
    if not mean_span >= 1:
        raise ValueError(f"{name}.mean_span is {mean_span}, but a span has 1 token or more")
    if not 0 < density < 1:
        raise ValueError(f"{name}.density is {density}, but must be between 0 and 1")
