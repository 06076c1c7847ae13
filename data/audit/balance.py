"""How evenly a corpus is spread over its languages, sources or licences."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A corpus by one of its columns.

    Attributes:
      shares: the share of each value, in [0, 1], the largest first.
      entropy: of the shares, in bits (Shannon, 1948).
    """

    shares: Mapping[str, float]
    entropy: float

    @property
    def effective(self) -> float:
        """How many equal values would have the same entropy: 2 to its power."""
        return 2.0**self.entropy


def spread(groups: Iterable[Mapping[str, Any]], column: str, measure: str = "bytes") -> Spread:
    """The shares of a census (`Census.to_json`) by a column.

    Args:
      groups: the census.
      column: "source", "licence" or "language".
      measure: "documents", "bytes" or "characters".

    Returns:
      The spread; no shares and entropy 0 for an empty corpus.
    """
    sums: dict[str, int] = {}
    for group in groups:
        sums[group[column]] = sums.get(group[column], 0) + group[measure]
    total = sum(sums.values())
    largest_first = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    shares = {name: number / total for name, number in largest_first if number}
    return Spread(shares, math.fsum(-share * math.log2(share) for share in shares.values()))
