"""Maps of blocks and numbers of visible pairs, against the whole mask where it is small enough to have."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import model.mask_blocks
from model.mask_blocks import Stretch, visible
from model.masks import (
    Causal,
    Chunked,
    DilatedWindow,
    Fixed,
    Full,
    Global,
    Mask,
    Places,
    Prefix,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)

MASKS = [
    Full(), Causal(), SlidingWindow(5), Causal() & SlidingWindow(5), Causal() | Prefix(7), Sinks(3),
    Causal() & Chunked(6), Window(4, 2), Window(0, 0), DilatedWindow(3, 4), Causal() & DilatedWindow(2, 7),
    Strided(4), Strided(1), Causal() & Strided(5), Causal() & Fixed(6, 2), Fixed(3, 3), Global(2),
    Global(2) | Window(2, 2) | RandomBlocks(3, 2, seed=1, blocks=9), Causal() & RandomBlocks(4, 1),
    Causal() & (Sinks(2) | SlidingWindow(4)), ~(Causal() & SlidingWindow(9)), Causal() & ~Strided(3),
]  # fmt: skip


class Tenth(Mask):
    """A mask that knows nothing but its own rule, as one that somebody adds."""

    def allowed(self, query: Places, key: Places) -> np.ndarray:
        return (query.index + key.index) % 10 == 3


@given(
    mask=st.sampled_from([*MASKS, Tenth()]), start=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
)  # fmt: skip
def test_bounds_hold_for_all_pairs_of_two_stretches(mask: Mask, start: tuple, size: tuple) -> None:
    q, k = (np.arange(first, first + length) for first, length in zip(start, size, strict=True))
    dense = np.asarray(mask.allowed(Places(q[:, None]), Places(k[None])))
    possible, certain = mask.bounds(Stretch(q[:1], q[-1:]), Stretch(k[:1], k[-1:]))
    assert possible.all() or not dense.any()
    assert dense.all() or not certain.any()
    if size == (1, 1):
        assert possible.all() == certain.all() == dense.all()


@pytest.mark.parametrize("mask", [Causal(), SlidingWindow(5), Window(4, 2), Chunked(6), Global(2), Prefix(7)], ids=str)
def test_bounds_of_simple_masks_are_exact(mask: Mask) -> None:
    """So that blocks they decide are never opened."""
    dense = mask.dense(30, 30)
    for i in range(0, 30, 4):
        for j in range(0, 30, 3):
            q, k = np.array([i, min(i + 3, 29)]), np.array([j, min(j + 2, 29)])
            possible, certain = mask.bounds(Stretch(q[:1], q[1:]), Stretch(k[:1], k[1:]))
            part = dense[i : i + 4, j : j + 3]
            assert (possible.all(), certain.all()) == (part.any(), part.all())


@given(
    mask=st.sampled_from([*MASKS, Tenth()]), queries=st.integers(1, 60), keys=st.integers(1, 60),
    block=st.integers(1, 25), first=st.integers(0, 20),
)  # fmt: skip
def test_visible_pairs_are_counted(mask: Mask, queries: int, keys: int, block: int, first: int) -> None:
    dense = np.asarray(mask.allowed(Places(np.arange(first, first + queries)[:, None]), Places(np.arange(keys)[None])))
    rows, columns = range(0, queries, block), range(0, keys, block)
    expected = [[dense[i : i + block, j : j + block].sum() for j in columns] for i in rows]
    assert visible(mask, queries, keys, block, first).tolist() == expected


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_blocks_of_several_tiles_in_several_goes(mask: Mask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.mask_blocks, "TILE", 4)
    monkeypatch.setattr(model.mask_blocks, "AT_ONCE", 300)
    dense = mask.dense(75, 75)
    expected = np.add.reduceat(np.add.reduceat(dense.astype(int), range(0, 75, 10), 0), range(0, 75, 10), 1)
    assert visible(mask, 75, 75, 10, 0).tolist() == expected.tolist()


@given(mask=st.sampled_from(MASKS), segmented=st.sampled_from([None, "and", "or", "without"]), block=st.integers(1, 9),
       length=st.integers(1, 30), seed=st.integers(0, 99))  # fmt: skip
def test_block_maps_hold_under_any_segmentation(
    mask: Mask, segmented: str | None, block: int, length: int, seed: int
) -> None:
    mask = {
        None: mask, "and": mask & Segments(), "or": mask | Segments(), "without": mask & ~(Segments() & Causal())
    }[segmented]  # fmt: skip
    blocks = mask.blocks(length, length, block)
    assert blocks.dtype == np.int8 and blocks.shape == (-(-length // block),) * 2
    index, rng = np.arange(length), np.random.default_rng(seed)
    least, most = np.ones_like(blocks) * 2, np.zeros_like(blocks)
    for segments in (np.zeros(length, int), index, rng.integers(0, 3, length)):
        dense = mask.allowed(Places(index[:, None], segments[:, None]), Places(index[None], segments[None]))
        dense = np.broadcast_to(dense, (length, length))
        edges = range(0, length, block)
        some = np.logical_or.reduceat(np.logical_or.reduceat(dense, edges, 0), edges, 1)
        every = np.logical_and.reduceat(np.logical_and.reduceat(dense, edges, 0), edges, 1)
        assert not (some & (blocks == 0)).any() and (every | (blocks != 2)).all()
        least, most = np.minimum(least, some + every * 1), np.maximum(most, some + every * 1)
    if segmented is None:
        assert np.array_equal(blocks, most)


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
    # Four queries at the end of a row of ten, and at its start.
    assert Causal().blocks(4, 10, 4).tolist() == [[2, 1, 1]]
    assert Causal().blocks(4, 10, 4, first=0).tolist() == [[1, 0, 0]]


def test_a_block_map_is_the_callers_own() -> None:
    Causal().blocks(8, 8, 4)[:] = 7
    assert Causal().blocks(8, 8, 4).tolist() == [[1, 0], [2, 1]]


def test_share_of_skipped_blocks() -> None:
    assert Causal().skipped(1024, 128) == 28 / 64
    assert (Causal() & SlidingWindow(128)).skipped(1024, 128) == 1 - 15 / 64
    assert Full().skipped(100, 7) == 0
    assert (~Full()).skipped(100, 7) == 1


LONG = 131_072
LONG_MASKS = {
    "causal": (Causal() & Segments(), (LONG + 1) / 2),
    "window": (Causal() & SlidingWindow(1024), 1024 - 1024 * 1023 / (2 * LONG)),
    "chunked": (Causal() & Chunked(8192), 8193 / 2),
    # Row i sees its own chunk up to itself, and the summaries of the i // 128 chunks before it.
    "fixed": (Causal() & Fixed(128, 8), 129 / 2 + 8 * (LONG // 128 - 1) / 2),
    # Row i sees the nearest 128, and (i // 128) more.
    "strided": (Causal() & Strided(128), 128 - 128 * 127 / (2 * LONG) + (LONG // 128 - 1) / 2),
    # Of the first 1028 rows, those up to 1023 see all, and then 1, 2, 3 of the sinks have left the window.
    "streaming": (Causal() & (Sinks(4) | SlidingWindow(1024)),
                  1024 - 1024 * 1023 / (2 * LONG) + 4 - (4 * 1024 + 6) / LONG),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_MASKS)
def test_long_rows_take_little_memory(name: str) -> None:
    """The square of the length would be 17 GB."""
    mask, expected = LONG_MASKS[name]
    tracemalloc.start()
    try:
        assert mask.density(LONG) == pytest.approx(expected, rel=1e-12)
        blocks = mask.blocks(LONG, LONG, 512)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blocks.shape == (256, 256)
    assert peak < 400e6, f"{peak / 1e6:.0f} MB"
