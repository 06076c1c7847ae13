"""Which tokens of a row are taken out: random spans, as T5 draws them."""

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from data.targets.draws import Draws, some


def span_noise(
    keys: UInt64[np.ndarray, " rows"],
    length: Int64[np.ndarray, " rows"],
    noise: Int64[np.ndarray, " rows"],
    spans: Int64[np.ndarray, " rows"],
    width: int,
) -> Bool[np.ndarray, "rows {width}"]:
    """Marks `noise` of the first `length` tokens of each row, in `spans` runs.

    Runs of kept and of marked tokens take turns, from a kept to a marked one; subject to that, all masks are alike
    likely: `random_spans_noise_mask` of t5.data (Raffel et al., 2020, arXiv:1910.10683, section 3.3.4). So a single
    run is always the last of the row.

    Args:
      keys: one for each row.
      length, noise: in [0, width] and [0, length]; where any are marked, at least one is kept.
      spans: from 1 to the number of marked tokens and of kept ones; 0 where nothing is marked.
      width: of the mask.
    """
    row, noise_begin = _runs(Draws(keys, 0), noise, spans)
    _, kept_begin = _runs(Draws(keys, 1), length - noise, spans)
    begin = noise_begin + _ends(row, kept_begin, length - noise)
    end = begin + _ends(row, noise_begin, noise) - noise_begin
    turns = np.zeros((len(keys), width + 1), np.int8)
    turns[row, begin] = 1
    turns[row, end] = -1
    return np.cumsum(turns[:, :width], axis=1, dtype=np.int8).view(bool)


def _runs(
    draws: Draws, items: Int64[np.ndarray, " rows"], runs: Int64[np.ndarray, " rows"]
) -> tuple[Int64[np.ndarray, " runs"], Int64[np.ndarray, " runs"]]:
    """Cuts the items of each row into runs, none empty: the row of each run and where in it the run begins."""
    cuts = int(items.max(initial=1)) - 1
    begins = np.empty((len(items), cuts + 1), bool)
    begins[:, 0] = runs > 0
    begins[:, 1:] = some(draws.first(cuts), items - 1, runs - 1)
    return np.nonzero(begins)


def _ends(
    row: Int64[np.ndarray, " runs"], begin: Int64[np.ndarray, " runs"], items: Int64[np.ndarray, " rows"]
) -> Int64[np.ndarray, " runs"]:
    """Where each run ends: where the next of its row begins, or with the items of the row."""
    following = np.append(begin[1:], 0)
    last = np.append(row[1:] != row[:-1], True)
    return np.where(last[: row.size], items[row], following[: row.size])
