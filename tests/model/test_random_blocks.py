"""BigBird's random blocks: how many, which, and the same everywhere."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.masks import Causal, Mask, Places, RandomBlocks


def drawn(mask: RandomBlocks, rows: int, columns: int) -> np.ndarray:
    """Boolean [query blocks, key blocks], from every pair of tokens."""
    size = mask.block
    query, key = Places(np.arange(rows * size)[:, None]), Places(np.arange(columns * size)[None])
    table = np.asarray(mask.allowed(query, key)).reshape(rows, size, columns, size)
    assert (table == table[:, :1, :, :1]).all()
    return table[:, 0, :, 0]


@given(count=st.integers(0, 5), seed=st.integers(0, 2**40), blocks=st.integers(1, 12))
def test_exactly_count_blocks_are_drawn(count: int, seed: int, blocks: int) -> None:
    of_all = drawn(RandomBlocks(2, count, seed, blocks), 12, 15)
    assert (of_all.sum(1) == min(count, blocks)).all() and not of_all[:, blocks:].any()
    of_past = drawn(RandomBlocks(2, count, seed), 12, 12)
    assert of_past.sum(1).tolist() == [min(count, row + 1) for row in range(12)]
    assert not np.triu(of_past, 1).any()


def test_every_set_of_blocks_is_equally_likely() -> None:
    """Chi-squared over the 10 pairs of 5 blocks: 9 degrees of freedom, 99.9% below 27.9."""
    rows = drawn(RandomBlocks(1, 2, seed=3, blocks=5), 4000, 5)
    pairs = rows @ (1 << np.arange(5))
    _, counts = np.unique(pairs, return_counts=True)
    assert counts.size == 10
    assert ((counts - 400) ** 2 / 400).sum() < 27.9


def test_seeds_differ_and_repeat() -> None:
    one, other = (drawn(RandomBlocks(4, 2, seed, 64), 64, 64) for seed in (0, 1))
    assert np.array_equal(one, drawn(RandomBlocks(4, 2, 0, 64), 64, 64))
    assert 0 < (one & other).sum() < one.sum() / 4
    assert 0 < (one[1:] & one[:-1]).sum() < one.sum() / 4


@pytest.mark.parametrize("mask", [Causal() & RandomBlocks(3, 2, -5), RandomBlocks(3, 2, 2**33 + 1, 20)])
def test_numpy_and_jax_draw_the_same(mask: Mask) -> None:
    index = np.arange(60)
    ours = mask.allowed(Places(index[:, None]), Places(index[None]))
    theirs = jax.jit(lambda index: mask.allowed(Places(index[:, None]), Places(index[None])))(index)
    assert ours.any() and np.array_equal(ours, theirs)
