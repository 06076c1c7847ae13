"""Bins against best-fit-decreasing as it is defined, item by item."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.packing.bins import best_fit_decreasing


def one_by_one(sizes: list[int], capacity: int) -> list[int]:
    """How full each bin is: all that can be told, since bins with the same room are alike."""
    bins: list[list[int]] = []
    for size in sorted(sizes, reverse=True):
        fitting = [b for b in bins if capacity - sum(b) >= size]
        if fitting:
            max(fitting, key=sum).append(size)
        else:
            bins.append([size])
    return sorted(map(sum, bins))


@given(
    capacity=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    count=st.integers(0, 150),
    small=st.integers(1, 60),
)
def test_bins_are_those_of_the_definition(capacity: int, seed: int, count: int, small: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, min(small, capacity) + 1, count).astype(np.int32)
    placed = best_fit_decreasing(sizes, capacity)
    assert placed.shape == sizes.shape
    bins = [sizes[placed == number].tolist() for number in range(placed.max(initial=-1) + 1)]
    assert sorted(map(sum, bins)) == one_by_one(sizes.tolist(), capacity)


def test_wide_sizes() -> None:
    sizes = np.array([70_000, 30_000, 100_000, 69_999, 1], np.int32)
    assert best_fit_decreasing(sizes, 100_000).tolist() == [1, 1, 0, 2, 2]


def test_sizes_out_of_range() -> None:
    for wrong in (0, 11):
        with pytest.raises(ValueError, match=r"must be in \[1, 10\]"):
            best_fit_decreasing(np.array([3, wrong], np.int32), 10)
