"""How the rows of several sources take turns, so that none is ever a whole row behind or ahead.

With `rows[s]` rows of source s to read in a block of `steps` steps of equal size, source s is due
t * rows[s] / steps rows after t steps. It is always possible to be less than one row off, for every
source, after every step (Tijdeman, The chairman assignment problem, Discrete Mathematics 32, 1980): row
j of a source may be read once more than j - 1 are due and must be read when j are, and to read first
what must be read first keeps to all of these windows (Steiner and Yeomans, Management Science 39, 1993).
"""

import heapq

import numpy as np
from jaxtyping import Int64


def turns(rows: Int64[np.ndarray, " sources"], steps: int) -> Int64[np.ndarray, "times sources"]:
    """How many rows of each source are read in the first t steps of a block, for t from 0 to `steps`.

    Args:
      rows: rows of each source in the block.
      steps: steps in the block.

    Raises:
      ValueError: when the rows do not make steps of equal size.
    """
    if rows.sum() % steps:
        raise ValueError(f"{rows.sum()} rows cannot be divided evenly among {steps} steps")
    # Whole rows in every step are never late; only what is left has to take turns.
    every, left = np.divmod(rows, steps)
    size = int(left.sum()) // steps
    source = np.repeat(np.arange(rows.size), left)
    number = np.arange(source.size) - np.repeat(np.cumsum(left) - left, left)
    release = number * steps // left[source]
    deadline = -(-(number + 1) * steps // left[source])
    order = np.lexsort((source, deadline, release))
    waiting = list(zip(release[order].tolist(), deadline[order].tolist(), source[order].tolist(), strict=True))
    read = np.tile(every, (steps + 1, 1))
    read[0] = 0
    ready: list[tuple[int, int]] = []
    taken = 0
    for step in range(steps):
        while taken < len(waiting) and waiting[taken][0] <= step:
            heapq.heappush(ready, waiting[taken][1:])
            taken += 1
        for _ in range(size):
            read[step + 1, heapq.heappop(ready)[1]] += 1
    return np.cumsum(read, axis=0)
