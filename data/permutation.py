"""A seekable pseudo-random permutation of [0, size), in integers only.

A Feistel network permutes the smallest power of two that covers `size`; an image that falls
outside is sent through it again until it falls inside ("cycle walking": Black and Rogaway,
Ciphers with arbitrary finite domains, 2002). Any element is found without the others, so the
order of a corpus needs no memory and no shuffle buffer. The arithmetic is that of uint64, so
the order is the same on every platform and with every version of NumPy.
"""

import numpy as np
from jaxtyping import Int64, Integer, UInt64

# Four rounds make a Feistel network a pseudo-random permutation when the halves are wide (Luby
# and Rackoff, 1988); narrow ones need more. The number is even, so that halves of unequal width
# return to their places. With these two, 100,000 keys show no bias at any size from 2 up; with
# halves of one or two bits they do, even at ten rounds.
_ROUNDS = 8
_MIN_BITS = 6
_GOLDEN = 0x9E3779B97F4A7C15


def mix(value: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection of uint64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def subkey(
    key: UInt64[np.ndarray, " rows"], number: Integer[np.ndarray, "*numbers 1"]
) -> UInt64[np.ndarray, "*numbers rows"]:
    """The keys of the given numbers that derive from each `key`."""
    return mix(key + number.astype(np.uint64) * np.uint64(_GOLDEN))


def permutation(
    index: Integer[np.ndarray, " rows"],
    size: int,
    key: UInt64[np.ndarray, " rows"] | int,
) -> Int64[np.ndarray, " rows"]:
    """Where each `index` goes under the permutation of [0, size) that `key` chooses.

    Args:
      index: positions in [0, size).
      size: the number of elements, in [1, 2^62].
      key: chooses the permutation; an array gives each position its own.

    Returns:
      The image of each position, in [0, size).

    Raises:
      ValueError: when `size` or an `index` is out of range.
    """
    if not 1 <= size <= 1 << 62:
        raise ValueError(f"size is {size}, but a permutation needs one in [1, 2^62]")
    if index.size and not 0 <= index.min() <= index.max() < size:
        raise ValueError(f"index spans [{index.min()}, {index.max()}], outside [0, {size})")
    if isinstance(key, int):
        key = np.full(index.shape, key % 2**64, np.uint64)
    bits = max(_MIN_BITS, (size - 1).bit_length())
    keys = subkey(key, np.arange(1, _ROUNDS + 1)[:, None])
    image = _feistel(index.astype(np.uint64), bits, keys)
    while (outside := np.flatnonzero(image >= size)).size:
        image[outside] = _feistel(image[outside], bits, keys[:, outside])
    return image.astype(np.int64)


def _feistel(
    value: UInt64[np.ndarray, " rows"], bits: int, keys: UInt64[np.ndarray, "rounds rows"]
) -> UInt64[np.ndarray, " rows"]:
    """A bijection of [0, 2^bits) for each column of round keys."""
    width_left, width_right = bits // 2, bits - bits // 2
    left = value >> np.uint64(width_right)
    right = value & np.uint64((1 << width_right) - 1)
    for key in keys:
        noise = mix(right + key) & np.uint64((1 << width_left) - 1)
        left, right = right, left ^ noise
        width_left, width_right = width_right, width_left
    return left << np.uint64(width_right) | right
