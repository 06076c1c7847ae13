"""The masks that most models use; `model/mask_algebra.py` joins them and `model/sparse_masks.py` has more."""

import dataclasses

import numpy as np

from model.mask_algebra import EVERYTHING, And, Full, Mask, Not, Or, Retention, at_least, conjuncts
from model.mask_blocks import AnyArray, Bounds, Period, Places, Stretch
from model.random_blocks import RandomBlocks
from model.sparse_masks import (
    Chunked,
    DilatedWindow,
    Fixed,
    Global,
    Prefix,
    Sinks,
    Strided,
    Window,
)

__all__ = [
    "EVERYTHING",
    "And",
    "AnyArray",
    "Bounds",
    "Causal",
    "Chunked",
    "DilatedWindow",
    "Fixed",
    "Full",
    "GivenPrefix",
    "Global",
    "Mask",
    "Not",
    "Or",
    "Period",
    "Places",
    "Prefix",
    "RandomBlocks",
    "Retention",
    "Segments",
    "Sinks",
    "SlidingWindow",
    "Stretch",
    "Strided",
    "Window",
    "conjuncts",
    "sees_later",
]


@dataclasses.dataclass(frozen=True)
class Causal(Mask):
    """Keys at or before the query (Vaswani 2017, section 3.2.3)."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is not later than the query."""
        return key.index <= query.index

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the corners."""
        return Bounds(key.first <= query.last, key.last <= query.first)

    def period(self) -> Period:
        """Only the distance matters."""
        return Period(1)


@dataclasses.dataclass(frozen=True)
class SlidingWindow(Mask):
    """The `size` latest keys, the query's own included (Mistral; Jiang 2023); combine with `Causal()`."""

    size: int

    def __post_init__(self) -> None:
        at_least(1, self, "size", "a window holds at least 1 key")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is fewer than `size` places before the query."""
        return query.index - key.index < self.size

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the corners."""
        return Bounds(query.first - key.last < self.size, query.last - key.first < self.size)

    def period(self) -> Period:
        """Only the distance matters."""
        return Period(1)

    def retention(self) -> Retention:
        """The window."""
        return Retention(0, self.size)


@dataclasses.dataclass(frozen=True)
class Segments(Mask):
    """Keys of the query's own segment: documents packed into one row do not see each other.

    Padding is a segment too, so that no query is without a key. Other masks go by the index in the row and
    not in the document: with packed rows, `Sinks(4)` and `Prefix(4)` are the first four tokens of the row.
    """

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where segments are equal; everywhere if there are none."""
        if query.segment is None or key.segment is None:
            return Full().allowed(query, key)
        return query.segment == key.segment

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """All of one segment."""
        return Full().bounds(query, key)

    def period(self) -> Period:
        """Any shift, within one segment."""
        return Period(1)

    def segmented(self) -> bool:
        """It is what segments are for."""
        return True

    def without_segments(self, instead: Mask, negated: Mask) -> Mask:
        """What is to stand here."""
        return instead


@dataclasses.dataclass(frozen=True)
class GivenPrefix(Mask):
    """Keys that the batch gives for all of their row to see, its field `prefix` (T5, Raffel 2020, figure 4).

    `Causal() | GivenPrefix()` is a prefix language model, `(Causal() | GivenPrefix()) & Segments()` one of packed
    documents. A prompt that is continued is such a prefix; without the field there is none. Rows that have one are
    computed densely. Costs are told as if there were none.
    """

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is of the prefix."""
        if key.prefix is None:
            return ~Full().allowed(query, key)
        return (key.prefix > 0) & (query.index == query.index)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Only the batch tells."""
        everywhere = (query.first == query.first) & (key.first == key.first)
        return Bounds(everywhere, ~everywhere)

    def period(self) -> Period:
        """Any shift, as far as is known without the batch."""
        return Period(1)

    def prefixed(self) -> bool:
        """It is what prefixes are for."""
        return True


def sees_later(mask: Mask) -> bool:
    """Whether a query sees a later key of its own segment, whatever a batch gives for all to see."""
    tried = 64
    return bool(np.triu(mask.dense(tried, tried), 1).any())
