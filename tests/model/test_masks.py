"""Masks against plain Python loops, and what is derived from them against the masks."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.masks import And, Causal, Full, Mask, Not, Or, Places, Segments, SlidingWindow

# May a query at i in segment a see a key at j in segment b?
Rule = Callable[[int, int, int, int], bool]


def conjunction(pair: tuple[tuple[Mask, Rule], tuple[Mask, Rule]]) -> tuple[Mask, Rule]:
    (left, one), (right, other) = pair
    return left & right, lambda *place: one(*place) and other(*place)


def disjunction(pair: tuple[tuple[Mask, Rule], tuple[Mask, Rule]]) -> tuple[Mask, Rule]:
    (left, one), (right, other) = pair
    return left | right, lambda *place: one(*place) or other(*place)


def negation(of: tuple[Mask, Rule]) -> tuple[Mask, Rule]:
    mask, rule = of
    return ~mask, lambda *place: not rule(*place)


def window(size: int) -> tuple[Mask, Rule]:
    return SlidingWindow(size), lambda i, j, a, b: i - j < size


CAUSAL = (Causal(), lambda i, j, a, b: j <= i)
FULL = (Full(), lambda i, j, a, b: True)
SEGMENTS = (Segments(), lambda i, j, a, b: a == b)


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


plain = composed(st.just(CAUSAL), st.just(FULL), st.integers(1, 15).map(window))
masks = composed(
    st.just(CAUSAL), st.just(FULL), st.just(SEGMENTS), st.integers(1, 15).map(window)
)


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


@pytest.mark.parametrize(("mask", "rule"), [CAUSAL, FULL, SEGMENTS, window(1), window(4)])
def test_each_mask_is_its_loop(mask: Mask, rule: Rule) -> None:
    assert mask.dense(7, 7).tolist() == looped(rule, 7, 7, [0] * 7, [0] * 7).tolist()
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
def test_compositions_are_their_loops(pair: tuple[Mask, Rule], size: tuple[int, int]) -> None:
    mask, rule = pair
    queries, keys = size
    expected = looped(rule, queries, keys, [0] * queries, [0] * keys)
    assert np.array_equal(mask.dense(queries, keys), expected)


@given(pair=masks, size=sizes(), seed=st.integers(0, 99))
def test_compositions_with_segments_are_their_loops(
    pair: tuple[Mask, Rule], size: tuple[int, int], seed: int
) -> None:
    mask, rule = pair
    queries, keys = size
    for segments in segmentations(keys, np.random.default_rng(seed)):
        own = segments[-queries:]
        query = Places(np.arange(keys - queries, keys)[:, None], np.array(own)[:, None])
        key = Places(np.arange(keys)[None], np.array(segments)[None])
        allowed = np.broadcast_to(mask.allowed(query, key), (queries, keys))
        assert np.array_equal(allowed, looped(rule, queries, keys, own, segments))


def test_masks_work_on_traced_arrays() -> None:
    mask = ~(Causal() & SlidingWindow(3)) | Segments()
    index, segment = np.arange(6), np.array([1, 1, 2, 2, 2, 0])
    expected = mask.allowed(
        Places(index[:, None], segment[:, None]), Places(index[None], segment[None])
    )
    index, segment = jnp.asarray(index), jnp.asarray(segment)
    traced = mask.allowed(
        Places(index[:, None], segment[:, None]), Places(index[None], segment[None])
    )
    assert np.array_equal(np.asarray(traced), expected)


@given(pair=masks, size=sizes(), block=st.integers(1, 9), seed=st.integers(0, 99))
def test_block_maps_hold_under_any_segmentation(
    pair: tuple[Mask, Rule], size: tuple[int, int], block: int, seed: int
) -> None:
    mask, rule = pair
    queries, keys = size
    blocks = mask.blocks(queries, keys, block)
    assert blocks.dtype == np.int8
    assert blocks.shape == (-(-queries // block), -(-keys // block))
    for segments in segmentations(keys, np.random.default_rng(seed)):
        dense = looped(rule, queries, keys, segments[-queries:], segments)
        for row in range(blocks.shape[0]):
            for column in range(blocks.shape[1]):
                part = dense[row * block : (row + 1) * block, column * block : (column + 1) * block]
                if blocks[row, column] == 0:
                    assert not part.any()
                elif blocks[row, column] == 2:
                    assert part.all()
                else:
                    assert blocks[row, column] == 1


@given(pair=plain, size=sizes(), block=st.integers(1, 9))
def test_block_maps_are_exact_without_segments(
    pair: tuple[Mask, Rule], size: tuple[int, int], block: int
) -> None:
    mask, rule = pair
    queries, keys = size
    dense = looped(rule, queries, keys, [0] * queries, [0] * keys)
    expected = [
        [
            int(part.any()) + int(part.all())
            for column in range(0, keys, block)
            for part in [dense[row : row + block, column : column + block]]
        ]
        for row in range(0, queries, block)
    ]
    assert mask.blocks(queries, keys, block).tolist() == expected


def test_block_map_by_hand() -> None:
    mask = Causal() & SlidingWindow(5)
    assert mask.blocks(10, 10, 3).tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 1, 2, 2],
    ]
    assert (mask & Segments()).blocks(10, 10, 3).max() == 1
    assert (Causal() | ~Segments()).blocks(6, 6, 3).tolist() == [[1, 1], [2, 1]]


@given(pair=masks, length=st.integers(1, 25))
def test_nothing_behind_the_reach_is_seen(pair: tuple[Mask, Rule], length: int) -> None:
    mask, rule = pair
    reach = mask.reach()
    for segments in segmentations(length, np.random.default_rng(length)):
        dense = looped(rule, length, length, segments, segments)
        if reach is not None:
            for i in range(length):
                assert not any(dense[i, j] for j in range(i + 1) if i - j >= reach)


def test_reach_by_hand() -> None:
    near, far = SlidingWindow(3), SlidingWindow(9)
    assert near.reach() == 3
    assert Causal().reach() is None and Full().reach() is None and Segments().reach() is None
    assert (Causal() & near).reach() == 3 and (near & far).reach() == 3
    assert (near | far).reach() == 9 and (Causal() | near).reach() is None
    assert (~near).reach() is None


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
