"""Sparse attention patterns. Most look both ways; `Causal() & ...` makes them fit for language models.

Compositions from the literature:

- prefix language model (Raffel 2020, figure 4; Dong 2019): `Causal() | Prefix(n)`
- Sparse Transformer, both heads merged (Child 2019, section 4.3): `Causal() & Strided(s)`, `Causal() & Fixed(s, c)`
- Longformer (Beltagy 2020, figure 2): `Window(w, w) | Global(g)`, `DilatedWindow(w, d) | Global(g)`
- BigBird (Zaheer 2020, figure 1), of blocks of b tokens in a row of n: `Global(g) | Window(w, w) |
  RandomBlocks(b, r, seed, n // b)`; for a language model, in which the latest blocks stand for both sides of the
  window, `Causal() & (Global(g) | SlidingWindow(w) | RandomBlocks(b, r, seed))`
- StreamingLLM (Xiao 2023, section 3.2): `Causal() & (Sinks(4) | SlidingWindow(1024))`
"""

import dataclasses

import numpy as np

from model.mask_algebra import Mask, Retention, at_least
from model.mask_blocks import AnyArray, Bounds, Period, Places, Stretch


def _distances(query: Stretch, key: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest index of a query minus that of a key; all between occur."""
    return query.first - key.last, query.last - key.first


def _multiples(of: int, low: np.ndarray, high: np.ndarray) -> Bounds:
    """Whether any or all of the integers from low to high are multiples."""
    some = high // of * of >= low
    return Bounds(some, some & ((low == high) | (of == 1)))


def _between(least: int, most: int, low: np.ndarray, high: np.ndarray) -> Bounds:
    """Whether any or all of the integers from low to high are from least to most."""
    return Bounds((low <= most) & (high >= least), (low >= least) & (high <= most))


@dataclasses.dataclass(frozen=True)
class _Relative(Mask):
    """A mask that goes by the distance from key to query alone."""

    def period(self) -> Period:
        """Only the distance matters."""
        return Period(1)


@dataclasses.dataclass(frozen=True)
class _FirstKeys(Mask):
    """The first keys of the row; how many, the subclass's one field says."""

    def _count(self) -> int:
        return int(dataclasses.astuple(self)[0])

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is one of the first."""
        return (key.index < self._count()) & (query.index == query.index)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the ends of the keys."""
        same = query.first == query.first
        return Bounds((key.first < self._count()) & same, (key.last < self._count()) & same)

    def period(self) -> Period:
        """Nothing is seen beyond."""
        return Period(1, self._count())

    def retention(self) -> Retention:
        """The first keys."""
        return Retention(self._count(), 0)


@dataclasses.dataclass(frozen=True)
class Prefix(_FirstKeys):
    """The first `length` keys, for all queries: the input of a prefix language model (Raffel 2020; Dong 2019).

    `Causal() | Prefix(n)` looks both ways within the prefix and back after it.
    """

    length: int

    def __post_init__(self) -> None:
        at_least(0, self, "length", "a prefix has 0 or more keys")


@dataclasses.dataclass(frozen=True)
class Sinks(_FirstKeys):
    """The first `count` keys, for all queries, which soak up attention (StreamingLLM; Xiao 2023, section 3.2)."""

    count: int

    def __post_init__(self) -> None:
        at_least(0, self, "count", "there are 0 or more sinks")


@dataclasses.dataclass(frozen=True)
class Window(_Relative):
    """The `before` keys before the query, its own, and the `after` keys after it (Beltagy 2020, figure 2b)."""

    before: int
    after: int

    def __post_init__(self) -> None:
        for field in ("before", "after"):
            at_least(0, self, field, "a side of a window has 0 or more keys")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key is near enough on its side."""
        return (query.index - key.index <= self.before) & (key.index - query.index <= self.after)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the distances."""
        return _between(-self.after, self.before, *_distances(query, key))

    def retention(self) -> Retention:
        """The side that lies before, and the query's own."""
        return Retention(0, self.before + 1)


@dataclasses.dataclass(frozen=True)
class DilatedWindow(_Relative):
    """The query's own key and `size - 1` on each side, `dilation` apart (Longformer; Beltagy 2020, figure 2c)."""

    size: int
    dilation: int

    def __post_init__(self) -> None:
        at_least(1, self, "size", "a window holds at least 1 key")
        at_least(1, self, "dilation", "keys are at least 1 apart")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the distance is a multiple of the dilation, and not too large."""
        distance = query.index - key.index
        return (abs(distance) < self.size * self.dilation) & (distance % self.dilation == 0)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the distances."""
        reach = (self.size - 1) * self.dilation
        low, high = _distances(query, key)
        hit = _multiples(self.dilation, np.maximum(low, -reach), np.minimum(high, reach))
        return Bounds(hit.possible, _between(-reach, reach, low, high).certain & hit.certain)

    def retention(self) -> Retention:
        """As far back as the window goes."""
        return Retention(0, (self.size - 1) * self.dilation + 1)


@dataclasses.dataclass(frozen=True)
class Strided(_Relative):
    """Keys nearer than `stride`, and every `stride`-th beyond (Sparse Transformers; Child 2019, section 4.3)."""

    stride: int

    def __post_init__(self) -> None:
        at_least(1, self, "stride", "a stride is at least 1")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the distance is less than the stride or a multiple of it."""
        distance = query.index - key.index
        return (abs(distance) < self.stride) | (distance % self.stride == 0)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the distances."""
        low, high = _distances(query, key)
        near, far = _between(1 - self.stride, self.stride - 1, low, high), _multiples(self.stride, low, high)
        return Bounds(near.possible | far.possible, near.certain | far.certain)


@dataclasses.dataclass(frozen=True)
class Fixed(Mask):
    """Keys of the query's own stretch of `stride`, and the last `summary` of each (Child 2019, section 4.3)."""

    stride: int
    summary: int

    def __post_init__(self) -> None:
        at_least(1, self, "stride", "a stride is at least 1")
        at_least(1, self, "summary", "a stretch has at least 1 summary")
        if self.summary > self.stride:
            raise ValueError(f"Fixed.summary is {self.summary}; it is at most Fixed.stride, which is {self.stride}")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True in the same stretch, and where the key is a summary."""
        same = query.index // self.stride == key.index // self.stride
        return same | (key.index % self.stride >= self.stride - self.summary)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the stretch, and by where the summaries of the first key's stretch lie."""
        same = Chunked(self.stride).bounds(query, key)
        end = key.first // self.stride * self.stride + self.stride
        some, every = key.last >= end - self.summary, (key.first >= end - self.summary) & (key.last < end)
        return Bounds(same.possible | some, same.certain | every)

    def period(self) -> Period:
        """A stretch."""
        return Period(self.stride)


@dataclasses.dataclass(frozen=True)
class Chunked(Mask):
    """Keys of the query's own chunk of `size` tokens (Llama 4's local layers)."""

    size: int

    def __post_init__(self) -> None:
        at_least(1, self, "size", "a chunk holds at least 1 key")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True in the same chunk."""
        return query.index // self.size == key.index // self.size

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the chunks of the ends."""
        first, last = query.first // self.size, query.last // self.size
        first_, last_ = key.first // self.size, key.last // self.size
        return Bounds((first <= last_) & (first_ <= last), (first == last_) & (first_ == last))

    def period(self) -> Period:
        """A chunk."""
        return Period(self.size)

    def retention(self) -> Retention:
        """No key of the own chunk is further back than the chunk is long."""
        return Retention(0, self.size)


@dataclasses.dataclass(frozen=True)
class Global(Mask):
    """The first `count` tokens see all keys and are seen by all queries (Longformer, BigBird's internal tokens)."""

    count: int

    def __post_init__(self) -> None:
        at_least(0, self, "count", "there are 0 or more global tokens")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where either is global."""
        return (query.index < self.count) | (key.index < self.count)

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """By the ends."""
        return Bounds(
            (query.first < self.count) | (key.first < self.count), (query.last < self.count) | (key.last < self.count)
        )

    def period(self) -> Period:
        """Nothing is seen beyond."""
        return Period(1, self.count)

    def retention(self) -> Retention:
        """The first keys: of the past, a global query sees others that are global."""
        return Retention(self.count, 0)
