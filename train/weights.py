"""What an optimizer may know of each weight: its name, its axes, and how strongly it learns."""

import dataclasses
from typing import Any

import jax

from sharding.axes import EXPERTS, HEAD_DIM, HEADS, KV_HEADS, LAYERS


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight without its numbers, as a leaf of a tree like the weights.

    Attributes:
      path: names from the root of the model to it.
      axes: logical names of its dimensions.
      shape: their sizes.
      rate: multiplies the learning rate.
      decay: multiplies weight decay; None spares all that is no matrix.
      trained: whether it learns at all.
      width: how many times wider than when `rate` was 1 the vectors are that a hidden matrix reads: `rate` suits
        updates of one size an element, and optimizers with others correct it by this.
    """

    path: tuple[str, ...]
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    rate: float = 1.0
    decay: float | None = None
    trained: bool = True
    width: float = 1.0

    @property
    def name(self) -> str:
        """The path, joined by slashes."""
        return "/".join(self.path)

    @property
    def matrix(self) -> bool:
        """Whether it multiplies activations, or is a table of vectors."""
        return is_matrix(self.axes)

    @property
    def decay_share(self) -> float:
        """What weight decay is multiplied by: 1 for matrices and 0 for norms, biases and other vectors by default."""
        return float(self.matrix) if self.decay is None else self.decay

    @property
    def stacked(self) -> int:
        """Number of leading dimensions that only stack weights: layers, and experts inside of them."""
        return len(self.axes) - len(_own(self.axes))

    @property
    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Dimensions that are a matrix's rows, and those that are its columns; the others only stack matrices.

        Heads and their features are one side, the first or the last.
        """
        own = tuple(range(self.stacked, len(self.axes)))
        cut = len(own) - 1 if self.axes[own[0]] in (HEADS, KV_HEADS) else 1
        return own[:cut], own[cut:]


def is_matrix(axes: tuple[str, ...]) -> bool:
    """Whether a weight with these logical axes multiplies activations, or is a table of vectors.

    In front, layers and experts only stack weights, and heads with their features are one axis: biases of heads
    are vectors. Behind, experts are what a router's matrix gives logits of.
    """
    own = list(_own(axes))
    if HEAD_DIM in own and len(own) > 1:
        own.remove(HEAD_DIM)
    return len(own) >= 2


def _own(axes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(axis for i, axis in enumerate(axes) if axis not in (LAYERS, EXPERTS) or set(axes[:i]) - {LAYERS})


def matrices(weights: Any) -> Any:
    """Tree of booleans: which weights are matrices."""
    return jax.tree.map(lambda weight: weight.matrix, weights)
