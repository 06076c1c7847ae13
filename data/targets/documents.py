"""Where the documents of rows begin and end."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from data.targets.base import Rows


class Documents(NamedTuple):
    """The documents of rows, one after the other, row by row.

    Attributes:
      row: the row that each stands in.
      number: which of its row it is, from 0.
      length: its tokens; the documents of a row follow one another from the row's first token on.
    """

    row: Int64[np.ndarray, " documents"]
    number: Int64[np.ndarray, " documents"]
    length: Int64[np.ndarray, " documents"]

    @property
    def begin(self) -> Int64[np.ndarray, " documents"]:
        """Where each begins among the tokens of all rows, padding left out."""
        return np.cumsum(self.length) - self.length

    def places(self) -> Int64[np.ndarray, " tokens"]:
        """The place in its document, from 0, of each token of all rows, padding left out."""
        return np.arange(self.length.sum()) - np.repeat(self.begin, self.length)


def beginnings(rows: Rows, separator: int | None = None) -> Bool[np.ndarray, "rows raw"]:
    """Which tokens begin a document: as the rows' segments say, or the first and those after a separator."""
    real = rows.weights > 0
    begins = np.empty(real.shape, bool)
    begins[:, :1] = True
    if rows.segment_ids is not None:
        begins[:, 1:] = rows.segment_ids[:, 1:] != rows.segment_ids[:, :-1]
    else:
        begins[:, 1:] = False if separator is None else rows.inputs[:, 1:] == separator
    return begins & real


def documents(rows: Rows, separator: int | None = None) -> Documents:
    """The documents of rows; without segments and a separator each row is one."""
    real = rows.weights > 0
    row, column = np.nonzero(beginnings(rows, separator))
    count = np.bincount(row, minlength=len(real))
    number = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    ends = np.append(column[1:], 0)
    last = np.append(row[1:] != row[:-1], True) if row.size else np.zeros(0, bool)
    ends = np.where(last, real.sum(axis=1)[row], ends[: row.size])
    return Documents(row, number, ends - column)
