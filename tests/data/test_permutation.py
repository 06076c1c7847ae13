"""The seekable permutation is one, and looks random."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.permutation import permutation

KEYS = st.integers(0, 2**64 - 1)


@given(size=st.integers(1, 3000), key=KEYS)
@example(size=1, key=0)
@example(size=2, key=1)
@example(size=1024, key=2)
@example(size=1025, key=3)
def test_is_a_bijection(size: int, key: int) -> None:
    image = permutation(np.arange(size), size, key)
    assert sorted(image.tolist()) == list(range(size))


@given(size=st.integers(1, 2**62), key=KEYS, data=st.data())
def test_any_element_is_found_alone(size: int, key: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8)))
    together = permutation(index, size, key)
    alone = [permutation(index[i : i + 1], size, key)[0] for i in range(index.size)]
    assert together.tolist() == alone
    assert together.min() >= 0 and together.max() < size


def reference(index: int, size: int, key: int) -> int:
    """The same network in Python's own integers, one element at a time."""
    mask = 2**64 - 1

    def mix(v: int) -> int:
        v = ((v ^ (v >> 30)) * 0xBF58476D1CE4E5B9) & mask
        v = ((v ^ (v >> 27)) * 0x94D049BB133111EB) & mask
        return v ^ (v >> 31)

    bits = max(6, (size - 1).bit_length())
    while True:
        low = bits - bits // 2
        high = bits // 2
        left, right = index >> low, index % 2**low
        for number in range(1, 9):
            round_key = mix((key + number * 0x9E3779B97F4A7C15) & mask)
            left, right = right, left ^ (mix((right + round_key) & mask) % 2**high)
            high, low = low, high
        index = left << low | right
        if index < size:
            return index


@given(size=st.integers(1, 2**62), key=KEYS, data=st.data())
def test_agrees_with_python_integers(size: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert permutation(np.array([index]), size, key)[0] == reference(index, size, key)


def test_is_the_same_for_ever() -> None:
    # A corpus whose order changed could not be resumed: these numbers must never change.
    assert permutation(np.arange(10), 10, 0).tolist() == [9, 1, 5, 7, 3, 0, 4, 6, 8, 2]
    image = permutation(np.array([0, 1, 10**12 - 1]), 10**12, 7)
    assert image.tolist() == [150092507411, 60962704893, 755438122805]


def test_keys_give_unrelated_orders() -> None:
    orders = [permutation(np.arange(1000), 1000, key) for key in range(20)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            # Two random permutations agree in one place on average; 12 has a chance of 1e-9.
            assert (one == other).sum() < 12


def test_a_key_for_each_position() -> None:
    index = np.array([3, 3, 5])
    keys = np.array([1, 2, 2], np.uint64)
    expected = [permutation(index[i : i + 1], 100, int(keys[i]))[0] for i in range(3)]
    assert permutation(index, 100, keys).tolist() == expected


@pytest.mark.parametrize("size", [2, 5, 16, 23, 65])
def test_places_are_uniform(size: int) -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    for index in (0, size - 1):
        image = permutation(np.full(keys.size, index), size, keys)
        expected = keys.size / size
        chi2 = ((np.bincount(image, minlength=size) - expected) ** 2 / expected).sum()
        # Mean size - 1, standard deviation sqrt(2 (size - 1)): five of them above.
        assert chi2 < size - 1 + 5 * np.sqrt(2 * (size - 1))


def test_neighbours_are_scattered() -> None:
    size = 100_003
    image = permutation(np.arange(size), size, 11)
    steps = np.diff(image)
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 5 / np.sqrt(size)
    assert (np.abs(steps) == 1).sum() < 15


@pytest.mark.parametrize(
    ("index", "size", "message"),
    [
        ([0], 0, r"size is 0, but a permutation needs one in \[1, 2\^62\]"),
        ([7], 7, r"index spans \[7, 7\], outside \[0, 7\)"),
        ([-1], 7, r"index spans \[-1, -1\], outside \[0, 7\)"),
    ],
)
def test_bad_arguments(index: list[int], size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        permutation(np.array(index), size, 0)


@given(sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=20), key=KEYS, data=st.data())
def test_each_position_may_have_a_size_of_its_own(sizes: list[int], key: int, data: st.DataObject) -> None:
    index = np.array([data.draw(st.integers(0, size - 1)) for size in sizes])
    keys = np.full(len(sizes), key, np.uint64)
    together = permutation(index, np.array(sizes), keys)
    assert together.tolist() == [reference(i, size, key) for i, size in zip(index.tolist(), sizes, strict=True)]
    with pytest.raises(ValueError, match="index spans"):
        permutation(index + np.array(sizes), np.array(sizes), keys)
