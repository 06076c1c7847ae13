"""Which blocks of a stack can be scanned together: the shortest program for any sequence of blocks."""

import dataclasses
import functools
from collections.abc import Hashable, Sequence


@dataclasses.dataclass(frozen=True)
class Run:
    """Blocks that repeat, and are computed as one loop.

    Attributes:
      first: index of the first block.
      period: blocks in the loop's body.
      repeats: times that it is run.
    """

    first: int
    period: int
    repeats: int

    @property
    def places(self) -> range:
        """The blocks of the first turn: each names its place in the loop's body."""
        return range(self.first, self.first + self.period)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sequence of blocks, and the runs that cover it.

    Attributes:
      blocks: the blocks, first to last.
      runs: the runs, in order.
    """

    blocks: tuple[Hashable, ...]
    runs: tuple[Run, ...]


def plan(blocks: Sequence[Hashable]) -> Plan:
    """The plan with as few blocks written out as can be; see `runs`."""
    return Plan(tuple(blocks), runs(blocks))


def runs(blocks: Sequence[Hashable]) -> tuple[Run, ...]:
    """The runs that cover the blocks in order, with as few blocks written out as can be.

    Equal blocks are one run of period 1; three local and one global in turn are one of period 4, and
    what is left over at the end is one or more of its own.
    """
    count = len(blocks)
    kinds = {block: number for number, block in enumerate(dict.fromkeys(blocks))}
    kind = [kinds[block] for block in blocks]

    def repeats(first: int, period: int) -> int:
        same = period
        while first + same < count and kind[first + same] == kind[first + same - period]:
            same += 1
        return same // period

    @functools.cache
    def best(first: int) -> tuple[int, int, int, int]:
        """Blocks written out from `first` on; of the run there, what decides between equals, period and repeats."""
        if first == count:
            return 0, 0, 0, 0
        options = []
        for period in range(1, count - first + 1):
            # Fewer repeats than there could be may leave more for a longer period after them.
            for times in range(1, repeats(first, period) + 1):
                # Of equally short programs, the one that loops over most blocks first.
                looped = period * times if times > 1 else 0
                options.append((period + best(first + period * times)[0], -looped, period, times))
            if min(options)[0] <= period:  # a longer body cannot be a shorter program
                break
        return min(options)

    found, first = [], 0
    # From the end, so that the recursion above never goes deep.
    for i in reversed(range(count)):
        best(i)
    while first < count:
        _, _, period, times = best(first)
        found.append(Run(first, period, times))
        first += period * times
    return tuple(found)
