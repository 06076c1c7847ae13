"""What every position encoding answers: the base class `Positions`.

An encoding may act at three places: on the embedded input, on queries and keys, and on attention
logits. A new encoding overrides the one it needs; one with weights also overrides `weights`
and `weight_count`.
"""

import dataclasses

from flax import nnx
from jaxtyping import Array, Float, Int

from model.parameters import Sizes


@dataclasses.dataclass(frozen=True)
class Positions:
    """Base of all encodings; by itself it encodes nothing."""

    def weights(self, sizes: Sizes, heads: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """Weights shared by all layers whose attention has this encoding and `heads` heads, or None."""
        return None

    def weight_count(self, embed: int, heads: int) -> int:
        """Number of those weights in a model of width `embed`."""
        return 0

    def limit(self) -> int | None:
        """Number of positions that can be told apart, or None if there is no limit."""
        return None

    def check_heads(self, head_dim: int) -> None:
        """Raises ValueError if the encoding cannot act on heads of this size."""

    def softmax_factor(self) -> float:
        """What the encoding wants the scale of the attention logits to be multiplied with; 1 for most."""
        return 1.0

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
        """Bias to add to the attention logits, or None.

        Where a key's index is -1, an empty slot of a cache, the bias may be anything finite: the mask hides it.
        """
        return None
