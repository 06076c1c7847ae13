"""How weights start and how strongly they learn, as functions of width and depth."""

import abc
import dataclasses
import math
from typing import NamedTuple

from model.bounds import at_least
from sharding.axes import (
    BUCKETS,
    EXPERTS,
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    LABELS,
    LAYERS,
    POSITION,
    TYPES,
    VOCAB,
)

# Axes that do not grow with width: their sizes are those of the task.
FINITE = {VOCAB, POSITION, TYPES, BUCKETS, LABELS, EXPERTS}


class Rule(NamedTuple):
    """How one weight starts and learns, measured by the standard parametrization.

    Attributes:
      spread: multiplies its deviation at the start.
      rate: multiplies the learning rate of optimizers such as Adam, whose updates do not grow with gradients.
      decay: multiplies weight decay; None: as the optimizer has it.
      width: how many times wider than at the base width the vectors are that a hidden matrix reads, for optimizers
        with updates of another size; 1 for other weights.
    """

    spread: float = 1.0
    rate: float = 1.0
    decay: float | None = None
    width: float = 1.0


class Parametrization(abc.ABC):
    """What varies with the size of a model so that, at best, nothing else has to.

    Attributes:
      std: standard deviation of weights at the start.
    """

    std: float

    @abc.abstractmethod
    def rule(self, axes: tuple[str, ...], embed: int, layers: int) -> Rule:
        """That of a weight with these logical axes in a model of `layers` blocks of width `embed`."""

    def spread(self, axes: tuple[str, ...], shape: tuple[int, ...], embed: int, layers: int) -> float:
        """What multiplies the deviation of a weight of this shape at the start."""
        return self.rule(axes, embed, layers).spread

    def added(self, layers: int) -> float:
        """What multiplies deviations of projections that add to the stream of so many blocks: (2 blocks)^-1/2 (GPT-2).
        """
        return (2 * layers) ** -0.5

    def scores(self, head_dim: int) -> float:
        """What multiplies head_dim^-1/2, the default factor on products of queries and keys."""
        return 1.0

    def logits(self, embed: int) -> float:
        """What multiplies the stream before it becomes logits."""
        return 1.0

    def branch(self, layers: int) -> float:
        """What multiplies all that is added to the stream."""
        return 1.0

    @abc.abstractmethod
    def check(self, additive: bool) -> None:
        """Raises ValueError if it does not go with the model; `additive`: nothing normalises the stream itself."""


@dataclasses.dataclass(frozen=True)
class Standard(Parametrization):
    """Equal deviations and one learning rate at any size (GPT-2).

    Attributes:
      std: standard deviation of weights at the start.
    """

    std: float = 0.02

    def __post_init__(self) -> None:
        at_least(self, std=0)

    def rule(self, axes: tuple[str, ...], embed: int, layers: int) -> Rule:
        """All 1."""
        return Rule()

    def check(self, additive: bool) -> None:
        """Goes with every model."""


@dataclasses.dataclass(frozen=True)
class Glorot(Standard):
    """Deviations by what a matrix reads and gives, the same at any depth, as the first transformers had them.

    Matrices start with a deviation of sqrt(2 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16), also those that
    add to the stream, and vectors of tokens, places and the like with embed^-1/2 (Vaswani 2017, section 3.4; fairseq).

    Attributes:
      std: factor on all of them.
    """

    std: float = 1.0

    def spread(self, axes: tuple[str, ...], shape: tuple[int, ...], embed: int, layers: int) -> float:
        """By the two sides of the matrix."""
        if FINITE & set(axes):
            return embed**-0.5
        inputs, outputs = (math.prod(shape[axes.index(axis)] for axis in side) for side in sides(axes))
        return (2 / (inputs + outputs)) ** 0.5

    def added(self, layers: int) -> float:
        """1."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class MuP(Parametrization):
    """Maximal update parametrization: what is tuned at the base size holds at others.

    Width follows Yang 2022 (arXiv:2203.03466, table 8, whose rule for the logits serves tied embeddings too), with
    m = embed / base_width: hidden matrices start m^-1/2 as wide and learn at 1/m of the rate; logits are divided by
    m; embeddings, biases and scales stay. Matrices to a fixed number of other outputs (routers, labels) have table 3:
    1/m of the deviation and of the rate. Products of queries and keys are multiplied by
    sqrt(base_head_dim) / head_dim (definition 4.1). Heads, hidden units and ranks grow in proportion to embed.

    Depth follows CompleteP (Dey 2025, arXiv:2505.01618, table 1), with m = layers / base_depth: what is added to the
    stream is multiplied by m^-power, and everything inside the blocks learns at m^(power - 1) of the rate. A power of
    1/2 is Depth-muP (Yang 2023, arXiv:2310.02244, table 1). Weight decay of matrices with less of the rate grows by
    as much, so that rate times decay is that of the base size (same table). The rates are those of Adam and its kin;
    `train.optimizers.Muon` makes its own of the width. Adam's `eps` is left as it is: choose one far below gradients.

    At the base size it is the standard parametrization, number by number.

    Attributes:
      base_width: `embed` of the model that was tuned.
      std: standard deviation of weights at the start, at the base size.
      base_depth: its `layers`; 0: depth changes nothing but what GPT-2's rule says.
      power: of the depth.
      base_head_dim: features of its heads; 0: as many as here, so that width adds heads.
    """

    base_width: int
    std: float = 0.02
    base_depth: int = 0
    power: float = 1.0
    base_head_dim: int = 0

    def __post_init__(self) -> None:
        at_least(self, base_width=1, std=0, base_depth=0, base_head_dim=0)
        if not 0.5 <= self.power <= 1:
            raise ValueError(f"MuP.power is {self.power}; it is from 0.5 (Depth-muP) to 1 (CompleteP)")

    def rule(self, axes: tuple[str, ...], embed: int, layers: int) -> Rule:
        """By what the weight reads and gives: vectors that grow with width, or ones that do not."""
        width, deeper = embed / self.base_width, layers / self.base_depth if self.base_depth else 1.0
        depth_rate = deeper ** (self.power - 1) if LAYERS in axes else 1.0
        inputs, outputs = sides(axes)
        if not set(inputs) - FINITE or VOCAB in outputs:
            return Rule(rate=depth_rate)
        hidden = bool(set(outputs) - FINITE)
        spread = width**-0.5 if hidden else 1 / width
        return Rule(spread, depth_rate / width, width, width if hidden else 1.0)

    def added(self, layers: int) -> float:
        """By the blocks of the base depth, if there is one: the factor on branches does the rest."""
        return super().added(self.base_depth or layers)

    def scores(self, head_dim: int) -> float:
        """(base_head_dim / head_dim)^1/2."""
        return (self.base_head_dim / head_dim) ** 0.5 if self.base_head_dim else 1.0

    def logits(self, embed: int) -> float:
        """base_width / embed."""
        return self.base_width / embed

    def branch(self, layers: int) -> float:
        """(layers / base_depth)^-power."""
        return (layers / self.base_depth) ** -self.power if self.base_depth else 1.0

    def check(self, additive: bool) -> None:
        """Raises ValueError for a base depth where the stream itself is normalised, which undoes the factors."""
        if self.base_depth and not additive:
            raise ValueError(
                "MuP.base_depth goes with a residual that leaves the stream alone, such as PreNorm; "
                "where norms are over the stream, as in PostNorm and DeepNorm, set it to 0"
            )


def sides(axes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Logical axes that a weight reads, and those that it gives: none and all for a vector.

    Layers, and experts before other axes, only stack weights; heads with their features are one side.
    """
    own = tuple(axis for i, axis in enumerate(axes) if axis not in (LAYERS, EXPERTS) or set(axes[:i]) - {LAYERS})
    given = 2 if own[-1:] == (HEAD_DIM,) and own[-2:-1] in ((HEADS,), (KV_HEADS,)) else 1
    return own[:-given], own[-given:]
