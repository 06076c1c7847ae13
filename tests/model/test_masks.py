"""Masks against plain Python loops, and what is derived from them against the masks."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.masks import (
    And,
    Causal,
    Chunked,
    DilatedWindow,
    Fixed,
    Full,
    Global,
    Mask,
    Not,
    Or,
    Places,
    Prefix,
    RandomBlocks,
    Retention,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)

# May a query at i in segment a see a key at j in segment b?
Rule = Callable[[int, int, int, int], bool]
Pair = tuple[Mask, Rule]


def conjunction(pair: tuple[Pair, Pair]) -> Pair:
    (left, one), (right, other) = pair
    return left & right, lambda *place: one(*place) and other(*place)


def disjunction(pair: tuple[Pair, Pair]) -> Pair:
    (left, one), (right, other) = pair
    return left | right, lambda *place: one(*place) or other(*place)


def negation(of: Pair) -> Pair:
    mask, rule = of
    return ~mask, lambda *place: not rule(*place)


def window(size: int) -> Pair:
    return SlidingWindow(size), lambda i, j, a, b: i - j < size


def sparse(kind: int, n: int, m: int) -> Pair:
    """One of the patterns, of these two numbers."""
    stride, few = n + m, m
    return [
        (Prefix(n), lambda i, j, a, b: j in range(n)),
        (Sinks(n), lambda i, j, a, b: j in range(n)),
        (Chunked(n), lambda i, j, a, b: any(i in chunk and j in chunk for chunk in stretches(n))),
        (Window(n, m), lambda i, j, a, b: j in range(i - n, i + m + 1)),
        (Global(n), lambda i, j, a, b: i in range(n) or j in range(n)),
        (DilatedWindow(n, m), lambda i, j, a, b: j in {i + m * step for step in range(1 - n, n)}),
        (Strided(n), lambda i, j, a, b: abs(i - j) in {*range(n), *range(0, 99, n)}),
        (
            Fixed(stride, few),
            lambda i, j, a, b: any(j in s and (i in s or j in s[-few:]) for s in stretches(stride)),
        ),
    ][kind]


def stretches(size: int) -> list[range]:
    return [range(start, start + size) for start in range(0, 50, size)]


CAUSAL = (Causal(), lambda i, j, a, b: j <= i)
FULL = (Full(), lambda i, j, a, b: True)
SEGMENTS = (Segments(), lambda i, j, a, b: a == b)
patterns = st.builds(sparse, st.integers(0, 7), st.integers(1, 9), st.integers(1, 5))


def composed(*leaves: st.SearchStrategy) -> st.SearchStrategy:
    return st.recursive(
        st.one_of(*leaves),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(conjunction),
            st.tuples(inner, inner).map(disjunction),
            inner.map(negation),
        ),
        max_leaves=4,
    )


plain = composed(st.just(CAUSAL), st.just(FULL), st.integers(1, 15).map(window), patterns)
masks = composed(st.just(CAUSAL), st.just(FULL), st.just(SEGMENTS), st.integers(1, 15).map(window), patterns)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    keys = draw(st.integers(1, 25))
    return draw(st.integers(1, keys)), keys


def looped(
    rule: Rule, queries: int, keys: int, query_segments: list[int], key_segments: list[int]
) -> np.ndarray:
    """The last query stands at the last key."""
    table = np.zeros((queries, keys), bool)
    for row in range(queries):
        for key in range(keys):
            query = keys - queries + row
            table[row, key] = rule(query, key, query_segments[row], key_segments[key])
    return table


def segmentations(keys: int, rng: np.random.Generator) -> list[list[int]]:
    """One segment, as many as tokens, and some between, one of them out of order."""
    chosen = [[1] * keys, list(range(keys)), rng.integers(0, 3, keys).tolist()]
    return chosen + [np.sort(rng.integers(0, n, keys)).tolist() for n in (2, 4)]


@pytest.mark.parametrize(
    ("mask", "rule"),
    [CAUSAL, FULL, SEGMENTS, window(1), window(4), *(sparse(kind, 3, 2) for kind in range(8))],
)
def test_each_mask_is_its_loop(mask: Mask, rule: Rule) -> None:
    assert mask.dense(13, 13).tolist() == looped(rule, 13, 13, [0] * 13, [0] * 13).tolist()
    assert mask.dense(3, 7).tolist() == looped(rule, 3, 7, [0] * 3, [0] * 7).tolist()


def test_dense_by_hand() -> None:
    mask = Causal() & SlidingWindow(2)
    assert mask == And(Causal(), SlidingWindow(2))
    assert mask.dense(4, 4).astype(int).tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]
    assert (Causal() | ~Causal()) == Or(Causal(), Not(Causal()))
    assert (Causal() | ~Causal()).dense(3, 3).all()
    assert not (Causal() & ~Causal()).dense(3, 3).any()


@given(pair=plain, size=sizes())
def test_compositions_are_their_loops(pair: Pair, size: tuple[int, int]) -> None:
    mask, rule = pair
    queries, keys = size
    expected = looped(rule, queries, keys, [0] * queries, [0] * keys)
    assert np.array_equal(mask.dense(queries, keys), expected)


@given(pair=masks, size=sizes(), seed=st.integers(0, 99))
def test_compositions_with_segments_are_their_loops(pair: Pair, size: tuple[int, int], seed: int) -> None:
    mask, rule = pair
    queries, keys = size
    for segments in segmentations(keys, np.random.default_rng(seed)):
        own = segments[-queries:]
        query = Places(np.arange(keys - queries, keys)[:, None], np.array(own)[:, None])
        key = Places(np.arange(keys)[None], np.array(segments)[None])
        allowed = np.broadcast_to(mask.allowed(query, key), (queries, keys))
        assert np.array_equal(allowed, looped(rule, queries, keys, own, segments))


@pytest.mark.parametrize("kind", range(9))
def test_masks_work_on_traced_arrays(kind: int) -> None:
    mask = sparse(kind, 3, 2)[0] if kind < 8 else RandomBlocks(2, 2, seed=5)
    mask = ~(Causal() & SlidingWindow(3)) & mask | Segments()
    index, segment = np.arange(12), np.array([1, 1, 2, 2, 2, 0] * 2)
    expected = mask.allowed(
        Places(index[:, None], segment[:, None]), Places(index[None], segment[None])
    )
    traced = jax.jit(
        lambda index, segment: mask.allowed(
            Places(index[:, None], segment[:, None]), Places(index[None], segment[None])
        )
    )(index, segment)
    assert np.array_equal(np.asarray(traced), expected)


@given(pair=masks, length=st.integers(1, 25))
def test_no_key_is_seen_once_it_is_given_up(pair: Pair, length: int) -> None:
    """Beyond its retention no key is seen, and what is held only shrinks: so neither is it later."""
    mask, rule = pair
    first, latest = mask.retention()
    assert mask.retention().size == (np.inf if latest is None else first + latest)
    if latest is None:
        return
    for segments in segmentations(length, np.random.default_rng(length)):
        dense = looped(rule, length, length, segments, segments)
        for query in range(length):
            given_up = range(first, query - latest + 1)
            assert not any(dense[later, key] for later in range(query, length) for key in given_up)


def test_retention_by_hand() -> None:
    near, far, everything = SlidingWindow(3), SlidingWindow(9), Retention(0, None)
    assert near.retention() == Retention(0, 3)
    for mask in (Causal(), Full(), Segments(), Causal() | near, ~near, Strided(4), Fixed(4, 1), Causal() | Prefix(3)):
        assert mask.retention() == everything
    assert (Causal() & near).retention() == Retention(0, 3) == (near & far).retention()
    assert (near | far).retention() == Retention(0, 9)
    streaming = Causal() & (Sinks(4) | SlidingWindow(1024))
    assert streaming.retention() == Retention(4, 1024) and streaming.retention().size == 1028
    assert (Causal() & (Global(2) | Window(5, 5))).retention() == Retention(2, 6)
    assert (Causal() & Chunked(16) & Segments()).retention() == Retention(0, 16)
    assert (Causal() & DilatedWindow(3, 4)).retention() == Retention(0, 9)
    assert (Sinks(4) & SlidingWindow(2)).retention() == Retention(0, 2)


@pytest.mark.parametrize("length", [1, 2, 17, 64])
def test_density_has_a_closed_form(length: int) -> None:
    assert Full().density(length) == length
    assert Causal().density(length) == (length + 1) / 2
    assert (Causal() & Segments()).density(length) == (length + 1) / 2
    assert (~Causal()).density(length) == pytest.approx((length - 1) / 2)
    assert (~Segments()).density(length) == 0
    for size in (1, 2, 17, 100):
        seen = min(size, length)
        expected = seen - seen * (seen - 1) / (2 * length)
        assert (Causal() & SlidingWindow(size)).density(length) == pytest.approx(expected)


@pytest.mark.parametrize("size", [0, -3])
def test_a_window_holds_a_key(size: int) -> None:
    with pytest.raises(ValueError, match=f"SlidingWindow.size is {size}.*at least 1"):
        SlidingWindow(size)
