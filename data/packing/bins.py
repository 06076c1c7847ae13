"""Best-fit-decreasing bin packing of integer sizes, at a cost that hardly depends on how many there are.

Items go from the largest to the smallest, each into the bin with the least room that is enough (Johnson 1973;
for documents Ding et al., Fewer truncations improve language modeling, 2024, arXiv:2404.10830, algorithm 1).
All items of one size, and all bins with the same room, are alike: they are placed together, and only the
distinct pairs of a size and a room are gone through.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32, Int64


@dataclass
class _Bins:
    """Bins that are not full, by the room they have."""

    by_room: dict[int, list[np.ndarray]] = field(default_factory=dict)
    # Bit r is set when there is a bin with room r: the next room that is enough is one shift away.
    rooms: int = 0
    count: int = 0

    def tightest(self, size: int) -> int:
        """The least room that is enough; 0 if none is."""
        enough = self.rooms >> size
        return size + (enough & -enough).bit_length() - 1 if enough else 0

    def take(self, room: int) -> Int64[np.ndarray, " bins"]:
        self.rooms &= ~(1 << room)
        return np.concatenate(self.by_room.pop(room))

    def put(self, bins: Int64[np.ndarray, " bins"], room: int) -> None:
        if bins.size and room:
            self.by_room.setdefault(room, []).append(bins)
            self.rooms |= 1 << room

    def new(self, count: int) -> Int64[np.ndarray, " bins"]:
        self.count += count
        return np.arange(self.count - count, self.count)


def best_fit_decreasing(sizes: Int32[np.ndarray, " items"], capacity: int) -> Int64[np.ndarray, " items"]:
    """The bin of each item, counted from 0.

    Args:
      sizes: in [1, capacity].
      capacity: of a bin.

    Raises:
      ValueError: when a size is out of range.
    """
    if sizes.size and not 1 <= sizes.min() <= sizes.max() <= capacity:
        raise ValueError(f"sizes span [{sizes.min()}, {sizes.max()}], but must be in [1, {capacity}]")
    counts = np.bincount(sizes, minlength=capacity + 1)
    # A stable sort by radix where the keys are narrow enough for one.
    keys = sizes.astype(np.uint16) if capacity < 1 << 16 else sizes
    order = np.argsort(keys, kind="stable")
    ends = np.cumsum(counts)
    placed = np.empty(sizes.size, np.int64)
    bins = _Bins()
    for size in np.flatnonzero(counts)[::-1].tolist():
        done, end = int(ends[size] - counts[size]), int(ends[size])
        while done < end:
            room = bins.tightest(size)
            each = (room or capacity) // size
            needed = -(-(end - done) // each)
            if room:
                open_bins = bins.take(room)
                bins.put(open_bins[needed:], room)
                open_bins = open_bins[:needed]
            else:
                room, open_bins = capacity, bins.new(needed)
            items = min(end - done, open_bins.size * each)
            placed[done : done + items] = np.repeat(open_bins, each)[:items]
            full, rest = divmod(items, each)
            bins.put(open_bins[:full], room - each * size)
            bins.put(open_bins[full:], room - rest * size)
            done += items
    result = np.empty_like(placed)
    result[order] = placed
    return result
