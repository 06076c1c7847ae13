"""Shares as whole rows: how many of each source a block of a few steps has."""

import math
from collections.abc import Sequence
from fractions import Fraction

# The longest block. Sources can only join between blocks, so that they are kept short.
LONGEST = 1000
# Sizes, and shares that no short block can have exactly, are had to a thousandth of themselves, if it can be.
_TOLERANCE = Fraction(1, 1000)
# Round numbers, so that round steps lie between blocks.
_ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def whole_rows(shares: Sequence[Fraction], total: int) -> tuple[int, ...]:
    """The shares of `total` rows, in whole rows that make the total: by largest remainder."""
    rows = [math.floor(share * total) for share in shares]
    rest = [share * total - row for share, row in zip(shares, rows, strict=True)]
    for index in sorted(range(len(rows)), key=lambda i: (-rest[i], i))[: total - sum(rows)]:
        rows[index] += 1
    return tuple(rows)


def block(
    shares: Sequence[Fraction], batch: int, longest: int = LONGEST, stated: bool = True
) -> tuple[int, tuple[int, ...]]:
    """The steps of a block, and the rows of each source in it.

    Args:
      shares: of each source; their sum is 1.
      batch: rows in a step.
      longest: how many steps a block may have.
      stated: the shares are what somebody wrote, and to be had exactly if they can be.

    Returns:
      The shortest block that has stated shares exactly; where that would be longer than `longest`, or they are
      not stated, the shortest of a round length that has each to a thousandth of itself, or else the longest.
    """
    longest = min(longest, LONGEST)
    denominator = math.lcm(*(share.denominator for share in shares))
    steps = denominator // math.gcd(denominator, batch)
    if stated and steps <= longest:
        return steps, tuple(int(share * steps * batch) for share in shares)
    for steps in [length for length in _ROUND if length < longest] + [longest]:
        rows = whole_rows(shares, steps * batch)
        if all(
            abs(row - share * steps * batch) <= share * steps * batch * _TOLERANCE
            for row, share in zip(rows, shares, strict=True)
        ):
            break
    return steps, rows
