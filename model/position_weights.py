"""The weights of position encodings, which blocks share."""

import dataclasses
from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float, Int

from model.config import BlockSpec, TransformerConfig
from model.mixing import Mixing
from model.positions import Positions


@dataclasses.dataclass(frozen=True)
class Encoding:
    """A position encoding, and the heads it is made for."""

    positions: Positions
    heads: int


@dataclasses.dataclass(frozen=True)
class _Encodings:
    """Encodings and their names, as one value that Flax leaves alone."""

    named: tuple[tuple[Encoding, str], ...]


class PositionWeights(nnx.Module):
    """The weights of position encodings, each shared by all layers that have it, by the first block that does."""

    def __init__(self, config: TransformerConfig, blocks: Sequence[BlockSpec], rngs: nnx.Rngs) -> None:
        first: dict[Encoding, int] = {}
        for i, block in enumerate(blocks):
            for mixing in (block.attention, block.cross):
                if mixing is not None:
                    first.setdefault(Encoding(mixing.positions, mixing.heads), i)
        self.encodings = _Encodings(tuple((encoding, str(i)) for encoding, i in first.items()))
        for encoding, name in self.encodings.named:
            if (weights := encoding.positions.weights(config.sizes, encoding.heads, rngs)) is not None:
                setattr(self, name, weights)

    def of(self, mixing: Mixing) -> nnx.Module | None:
        """The weights for a layer; None if its encoding has none."""
        return getattr(self, dict(self.encodings.named)[Encoding(mixing.positions, mixing.heads)], None)

    def at_input(
        self, x: Float[Array, "batch seq embed"], position: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq embed"]:
        """The embedded input with all encodings that act there."""
        for encoding, name in self.encodings.named:
            x = encoding.positions.at_input(getattr(self, name, None), x, position)
        return x
