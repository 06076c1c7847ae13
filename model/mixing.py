"""What a layer is, by which tokens see one another: the spec, its module's call, and which block has which."""

import abc
import dataclasses
from typing import Any, NamedTuple

from flax import nnx
from jaxtyping import Array, Float, Int

from model.masks import Mask
from model.parameters import Sizes
from model.positions import Positions


class Memory(NamedTuple):
    """What a decoder reads of an encoder.

    Attributes:
      x: [batch, source, embed], the encoder's output.
      segment: [batch, source] or None; a decoder's token reads its own segment.
    """

    x: Float[Array, "batch source embed"]
    segment: Int[Array, "batch source"] | None = None


class Step(NamedTuple):
    """What attention needs to know of the tokens it is given.

    Attributes:
      position: [batch, seq], for the position encoding.
      segment: [batch, seq] or None.
      cached: None, or the positions [batch, slots] that the cache held before this one token a row.
      length: None, or how many tokens of each row are real, the first ones; the others are not seen.
      memory: what cross attention reads; None without an encoder, and in a step that has it in the cache.
      prefix: None, or above 0 for tokens that all of their row may see, where the mask says so.
      prompt: None, or how many of the first tokens of a cached row are such ones.
    """

    position: Int[Array, "batch seq"]
    segment: Int[Array, "batch seq"] | None = None
    cached: Int[Array, "batch slots"] | None = None
    length: Int[Array, " batch"] | None = None
    memory: Memory | None = None
    prefix: Int[Array, "batch seq"] | None = None
    prompt: Int[Array, " batch"] | None = None


# What a layer keeps of each token for later queries: arrays [batch, seq or slots, ...].
Kept = Any


class MixingPlan(abc.ABC):
    """Which mixing layer each block has."""

    @abc.abstractmethod
    def at(self, layer: int) -> "Mixing":
        """That of block `layer`, counted from 0."""


class Mixing(MixingPlan):
    """A layer by which tokens see one another; by itself the plan that every block has it.

    Its module is called with (x, step, position_weights, kept, dropout_key), where `kept` is None or the
    cache's, and returns the output and what is kept: of the row, or of the cache with the row's one token in it.

    Attributes:
      heads: query heads.
      mask: which keys a query may see.
      positions: position encoding.
    """

    heads: int
    mask: Mask
    positions: Positions

    def at(self, layer: int) -> "Mixing":
        """The same everywhere."""
        return self

    @abc.abstractmethod
    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """The module."""

    @abc.abstractmethod
    def check(self, embed: int) -> None:
        """Raises ValueError if the layer does not fit a model of width `embed`."""

    @abc.abstractmethod
    def matmul_weights(self, embed: int) -> int:
        """Number of weights that a token is multiplied with, for counting FLOPs."""

    @abc.abstractmethod
    def weight_count(self, embed: int) -> int:
        """Number of weights."""

    @abc.abstractmethod
    def features_per_key(self, embed: int) -> int:
        """Multiplications that a query spends on each key it sees, over all heads: for its score and its value."""

    @abc.abstractmethod
    def kept_per_token(self, embed: int) -> int:
        """Numbers that a decoding cache keeps of each token."""


@dataclasses.dataclass(frozen=True)
class Interleaved(MixingPlan):
    """Layers that take turns: block i has the one at i modulo their number (Gemma 2's local and global).

    Attributes:
      specs: the layers.
    """

    specs: tuple[Mixing, ...]

    def __post_init__(self) -> None:
        if not self.specs:
            raise ValueError("Interleaved.specs is empty; it holds at least 1 layer")

    def at(self, layer: int) -> Mixing:
        """Its turn."""
        return self.specs[layer % len(self.specs)]
