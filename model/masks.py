"""Attention masks as an algebra: `Causal() & SlidingWindow(1024)`.

A mask answers one question, whether a query may see a key, from their indices in the row and their
segments. From that one answer come the dense boolean, the bounds that tell which blocks are empty or
full, and how many keys a decoding cache has to keep.
"""

import abc
import dataclasses
from typing import Any, NamedTuple

import numpy as np

# Indices and segments are NumPy arrays when blocks are planned and JAX arrays when a program is traced.
AnyArray = Any


class Places(NamedTuple):
    """Where queries or keys stand: `index` in the row, and `segment` (None: one segment), both integers."""

    index: AnyArray
    segment: AnyArray | None = None


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


class Bounds(NamedTuple):
    """What is known of a mask before segments are: where it may be true, and where it must be."""

    possible: np.ndarray
    certain: np.ndarray


@dataclasses.dataclass(frozen=True)
class Mask(abc.ABC):
    """Which keys a query may attend to."""

    @abc.abstractmethod
    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the query may see the key; `query` and `key` broadcast against each other."""

    def bounds(self, query: Places, key: Places) -> Bounds:
        """Lower and upper bound over all segmentations. Exact for masks that ignore segments."""
        exact = np.asarray(self.allowed(query, key))
        return Bounds(exact, exact)

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
        return np.asarray(self.allowed(*_grid(queries, keys)))

    def density(self, length: int) -> float:
        """Mean number of keys that a query sees in one segment of `length`."""
        return float(self.dense(length, length).sum() / length)

    def blocks(self, queries: int, keys: int, block: int) -> np.ndarray:
        """Block map int8 [ceil(queries/block), ceil(keys/block)]: 0 empty, 1 partly allowed, 2 full."""
        possible, certain = self.bounds(*_grid(queries, keys))
        possible, certain = np.broadcast_to(possible, (queries, keys)), np.broadcast_to(certain, (queries, keys))
        rows, columns = np.arange(0, queries, block), np.arange(0, keys, block)
        some = np.logical_or.reduceat(np.logical_or.reduceat(possible, rows, 0), columns, 1)
        every = np.logical_and.reduceat(np.logical_and.reduceat(certain, rows, 0), columns, 1)
        return some.astype(np.int8) + every.astype(np.int8)


def _grid(queries: int, keys: int) -> tuple[Places, Places]:
    return Places(np.arange(keys - queries, keys)[:, None]), Places(np.arange(keys)[None, :])


@dataclasses.dataclass(frozen=True)
class Full(Mask):
    """Every key."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True everywhere."""
        return (query.index == query.index) & (key.index == key.index)


@dataclasses.dataclass(frozen=True)
class Causal(Mask):
    """Keys at or before the query."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is not later than the query."""
        return key.index <= query.index


@dataclasses.dataclass(frozen=True)
class SlidingWindow(Mask):
    """The `size` latest keys, the query's own included (Mistral; Jiang 2023); combine with `Causal()`."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"SlidingWindow.size is {self.size}; a window holds at least 1 key")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is fewer than `size` places before the query."""
        return query.index - key.index < self.size

    def retention(self) -> Retention:
        """The window."""
        return Retention(0, self.size)


@dataclasses.dataclass(frozen=True)
class Segments(Mask):
    """Keys of the query's own segment: packed documents do not see each other."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where segments are equal; everywhere if there are none."""
        if query.segment is None or key.segment is None:
            return Full().allowed(query, key)
        return query.segment == key.segment

    def bounds(self, query: Places, key: Places) -> Bounds:
        """Anything may share a segment, and nothing must."""
        everywhere = np.asarray(Full().allowed(query, key))
        return Bounds(everywhere, np.zeros_like(everywhere))


@dataclasses.dataclass(frozen=True)
class And(Mask):
    """Keys that both masks allow."""

    left: Mask
    right: Mask

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """Conjunction of the two."""
        return self.left.allowed(query, key) & self.right.allowed(query, key)

    def bounds(self, query: Places, key: Places) -> Bounds:
        """Conjunction of the bounds."""
        left, right = self.left.bounds(query, key), self.right.bounds(query, key)
        return Bounds(left.possible & right.possible, left.certain & right.certain)

    def retention(self) -> Retention:
        """What the less demanding of the two holds: the other sees nothing beyond it."""
        return min(self.left.retention(), self.right.retention(), key=lambda held: held.size)


@dataclasses.dataclass(frozen=True)
class Or(Mask):
    """Keys that either mask allows."""

    left: Mask
    right: Mask

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """Disjunction of the two."""
        return self.left.allowed(query, key) | self.right.allowed(query, key)

    def bounds(self, query: Places, key: Places) -> Bounds:
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

    def bounds(self, query: Places, key: Places) -> Bounds:
        """Possible where the mask is not certain, certain where it is not possible."""
        inner = self.mask.bounds(query, key)
        return Bounds(~inner.certain, ~inner.possible)
