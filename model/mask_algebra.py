"""Attention masks as an algebra: `Causal() & SlidingWindow(1024)`.

A mask answers one question, whether a query may see a key, from their indices in the row and their
segments. From that one answer come the dense boolean, the maps that tell which blocks are empty or
full, and which keys a decoding cache has to keep. The masks themselves are in `model/masks.py`.
"""

import abc
import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from model.mask_blocks import AnyArray, Bounds, Period, Places, Stretch, visible


class Retention(NamedTuple):
    """Which keys of the past a decoding cache has to hold: those that a later query may still see.

    Attributes:
      first: so many keys from the start of the row, for ever.
      latest: so many of the latest keys, the query's own included; None: all of them.
    """

    first: int
    latest: int | None

    @property
    def size(self) -> int | float:
        """Number of keys held at most."""
        return float("inf") if self.latest is None else self.first + self.latest


EVERYTHING = Retention(0, None)


@dataclasses.dataclass(frozen=True)
class Mask(abc.ABC):
    """Which keys a query may attend to. A new mask needs `allowed`; the rest saves time and memory."""

    @abc.abstractmethod
    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the query may see the key; `query` and `key` broadcast against each other."""

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """What is known of all pairs of two stretches of one segment; exact where both are of length 1."""
        single = (query.first == query.last) & (key.first == key.last)
        allowed = np.asarray(self.allowed(Places(query.first), Places(key.first)))
        return Bounds(allowed | ~single, allowed & single)

    def period(self) -> Period:
        """After which shift of query and key together the mask repeats, if that is known."""
        return Period(0)

    def segmented(self) -> bool:
        """Whether segments matter."""
        return False

    def prefixed(self) -> bool:
        """Whether it matters which tokens a batch gives for all to see."""
        return False

    def without_segments(self, instead: "Mask", negated: "Mask") -> "Mask":
        """The mask with `instead` where it asks for equal segments, and `negated` where that is under a `~`."""
        del instead, negated
        return self

    def retention(self) -> Retention:
        """The keys that a query, or any later one, may still see."""
        return EVERYTHING

    def __and__(self, other: "Mask") -> "Mask":
        """Keys that both masks allow."""
        return And(self, other)

    def __or__(self, other: "Mask") -> "Mask":
        """Keys that either mask allows."""
        return Or(self, other)

    def __invert__(self) -> "Mask":
        """Keys that the mask forbids."""
        return Not(self)

    def dense(self, queries: int, keys: int) -> np.ndarray:
        """Boolean [queries, keys] for one segment, with the last query at the last key."""
        query, key = Places(np.arange(keys - queries, keys)[:, None]), Places(np.arange(keys)[None])
        return np.asarray(self.allowed(query, key))

    def density(self, length: int) -> float:
        """Mean number of keys that a query sees in one segment of `length`."""
        return _density(self, length)

    def blocks(self, queries: int, keys: int, block: int, first: int | None = None) -> np.ndarray:
        """Block map int8 [ceil(queries/block), ceil(keys/block)]: 0 empty, 1 partly allowed, 2 full.

        Holds for every segmentation of the row. `first` is the index of the first query; by default the
        last query stands at the last key.
        """
        first = keys - queries if first is None else first
        return _block_map(self, queries, keys, block, first).copy()

    def skipped(self, length: int, block: int) -> float:
        """Share of the blocks of a row of `length` that are empty, and that a kernel need not compute."""
        return float((self.blocks(length, length, block) == 0).mean())


@functools.lru_cache(maxsize=256)
def _density(mask: Mask, length: int) -> float:
    return float(visible(mask.without_segments(Full(), Full()), length, length, 512, 0).sum() / length)


@functools.lru_cache(maxsize=64)
def _block_map(mask: Mask, queries: int, keys: int, block: int, first: int) -> np.ndarray:
    widest, narrowest = mask.without_segments(Full(), ~Full()), mask.without_segments(~Full(), Full())
    some = visible(widest, queries, keys, block, first)
    every = some if widest == narrowest else visible(narrowest, queries, keys, block, first)
    heights, widths = (np.minimum(block, n - np.arange(0, n, block)) for n in (queries, keys))
    return (some > 0).astype(np.int8) + (every == heights[:, None] * widths).astype(np.int8)


def conjuncts(mask: Mask) -> tuple[Mask, ...]:
    """The masks that are joined by `&` at the top of `mask`; itself, if there is none."""
    return (*conjuncts(mask.left), *conjuncts(mask.right)) if isinstance(mask, And) else (mask,)


@dataclasses.dataclass(frozen=True)
class Full(Mask):
    """Every key."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True everywhere."""
        return (query.index == query.index) & (key.index == key.index)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """True everywhere."""
        everywhere = (query.first == query.first) & (key.first == key.first)
        return Bounds(everywhere, everywhere)

    def period(self) -> Period:
        """Any shift."""
        return Period(1)


@dataclasses.dataclass(frozen=True)
class _Pair(Mask):
    left: Mask
    right: Mask

    def period(self) -> Period:
        """A shift that is one of both."""
        left, right = self.left.period(), self.right.period()
        return Period(math.lcm(left.every, right.every), max(left.start, right.start))

    def segmented(self) -> bool:
        """Whether they matter to either."""
        return self.left.segmented() or self.right.segmented()

    def prefixed(self) -> bool:
        """Whether it matters to either."""
        return self.left.prefixed() or self.right.prefixed()

    def without_segments(self, instead: Mask, negated: Mask) -> Mask:
        """The same of both."""
        return type(self)(*(part.without_segments(instead, negated) for part in (self.left, self.right)))


@dataclasses.dataclass(frozen=True)
class And(_Pair):
    """Keys that both masks allow."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """Conjunction of the two."""
        return self.left.allowed(query, key) & self.right.allowed(query, key)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Conjunction of the bounds."""
        left, right = self.left.bounds(query, key), self.right.bounds(query, key)
        return Bounds(left.possible & right.possible, left.certain & right.certain)

    def retention(self) -> Retention:
        """What the less demanding of the two holds: no query sees a key that either forbids."""
        return min(self.left.retention(), self.right.retention(), key=lambda held: held.size)


@dataclasses.dataclass(frozen=True)
class Or(_Pair):
    """Keys that either mask allows."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """Disjunction of the two."""
        return self.left.allowed(query, key) | self.right.allowed(query, key)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Disjunction of the bounds."""
        left, right = self.left.bounds(query, key), self.right.bounds(query, key)
        return Bounds(left.possible | right.possible, left.certain | right.certain)

    def retention(self) -> Retention:
        """What both hold; everything if either does."""
        left, right = self.left.retention(), self.right.retention()
        if left.latest is None or right.latest is None:
            return EVERYTHING
        return Retention(max(left.first, right.first), max(left.latest, right.latest))


@dataclasses.dataclass(frozen=True)
class Not(Mask):
    """Keys that the mask forbids."""

    mask: Mask

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """Negation."""
        return ~self.mask.allowed(query, key)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Possible where the mask is not certain, certain where it is not possible."""
        inner = self.mask.bounds(query, key)
        return Bounds(~inner.certain, ~inner.possible)

    def period(self) -> Period:
        """The mask's."""
        return self.mask.period()

    def segmented(self) -> bool:
        """Whether they matter to the mask."""
        return self.mask.segmented()

    def prefixed(self) -> bool:
        """Whether it matters to the mask."""
        return self.mask.prefixed()

    def without_segments(self, instead: Mask, negated: Mask) -> Mask:
        """The two change roles."""
        return Not(self.mask.without_segments(negated, instead))


def at_least(least: int, mask: object, field: str, reason: str) -> None:
    """Raises ValueError if a field is below `least`, with `reason` as the end of the sentence."""
    found = getattr(mask, field)
    if found < least:
        raise ValueError(f"{type(mask).__name__}.{field} is {found}; {reason}")
