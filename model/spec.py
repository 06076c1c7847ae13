"""What every model that is trained gives: a spec that builds it and tells its cost, and one way to read a batch."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from flax import nnx
from jaxtyping import Array, Float

from model.mixing import Mixing
from model.parametrization import Rule
from model.positions import Positions

if TYPE_CHECKING:
    from model.config import TransformerConfig

Batch = Mapping[str, Array]


class Hidden(NamedTuple):
    """What a model makes of a batch before logits, which take the most memory.

    Attributes:
      x: [batch, seq, embed], what the model's `logits` reads; it may read any stretch of the sequence by itself.
      loss: what routing adds to the loss of a token; 0 for a model that does not route.
      figures: means over tokens by name; empty for a model that does not route.
    """

    x: Float[Array, "batch seq embed"]
    loss: Float[Array, ""]
    figures: dict[str, Array]


class ModelSpec(abc.ABC):
    """A model that can be trained. What it builds has `hidden(batch, dropout_key) -> Hidden`, and `logits(x)`.

    Attributes:
      reads: fields of a batch that it cannot do without; see `data.batch`.
      both_ways: whether an input stands at its own target's place, so that only hidden ones can be asked for.
      vocab: number of token ids.
    """

    reads: ClassVar[frozenset[str]] = frozenset()
    both_ways: ClassVar[bool] = False
    vocab: int

    @property
    @abc.abstractmethod
    def noisy(self) -> bool:
        """Whether training drops anything at random."""

    @property
    @abc.abstractmethod
    def mixings(self) -> tuple[Mixing, ...]:
        """The different attention layers."""

    @property
    @abc.abstractmethod
    def longest(self) -> tuple[int, Positions] | None:
        """The longest row whose positions can be told apart, and the encoding that ends there; None: any."""

    @abc.abstractmethod
    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model, with fresh weights."""

    @abc.abstractmethod
    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""

    @abc.abstractmethod
    def flops_per_token(self, sequence: int, target: int = 0) -> float:
        """Model FLOPs to train on a row of `sequence` tokens, over the number of these tokens.

        `target` is how many tokens are predicted, where they are a row of their own; 0: as many as are read.
        """

    @abc.abstractmethod
    def skipped(self, sequence: int, block: int = 128) -> float:
        """Share of the blocks of attention, over all layers, that masks empty and kernels do not compute."""


class OfStacks(ModelSpec):
    """A model around one stack of blocks, or of several."""

    @property
    @abc.abstractmethod
    def stacks(self) -> "tuple[TransformerConfig, ...]":
        """The stacks; the last gives the logits."""

    @property
    def vocab(self) -> int:
        """Number of token ids."""
        return self.stacks[-1].vocab

    @property
    def noisy(self) -> bool:
        """Whether training drops anything at random."""
        return any(stack.noisy for stack in self.stacks)

    @property
    def mixings(self) -> tuple[Mixing, ...]:
        """The different attention layers."""
        return tuple(dict.fromkeys(mixing for stack in self.stacks for mixing in stack.mixings))

    @property
    def longest(self) -> tuple[int, Positions] | None:
        """The longest row whose positions can be told apart, and the encoding that ends there; None: any."""
        limits = [found for stack in self.stacks if (found := stack.longest) is not None]
        return min(limits, key=lambda found: found[0], default=None)

    def skipped(self, sequence: int, block: int = 128) -> float:
        """The mean over the stacks."""
        return sum(stack.skipped(sequence, block) for stack in self.stacks) / len(self.stacks)
