"""Scores counted by tenths, so that thresholds can be chosen from a data card."""

import math
from collections.abc import Mapping

from data.table import Table


def bin_of(score: float) -> dict[str, int]:
    """The tally of one score: it counts once in its tenth."""
    return {f"{math.floor(score * 10) / 10:.1f}": 1}


def histogram(title: str, tallies: Mapping[str, int]) -> list[Table]:
    """The tallies as a table, lowest first, with the share of documents up to and with each tenth."""
    total, below, rows = sum(tallies.values()), 0, []
    for name, documents in sorted(tallies.items(), key=lambda item: float(item[0])):
        below += documents
        rows.append((name, documents, below / total))
    note = "Each row counts the documents from this value to the next tenth, before any was dropped."
    return [Table(title, ("From", "Documents", "Share so far"), tuple(rows), "Documents", note=note)] if rows else []
