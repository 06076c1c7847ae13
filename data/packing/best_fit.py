"""Whole documents packed so that rows are all but full."""

from dataclasses import dataclass

import numpy as np
from etils import epath

from data.packing.base import Packing, RowTable, check_store
from data.packing.bins import best_fit_decreasing
from data.packing.kept import kept
from data.packing.pieces import Pieces, PieceTable, cut
from data.store import TokenStore

# Part of the name under which a plan is kept: another number where the same store would be packed otherwise.
_VERSION = 1


@dataclass(frozen=True)
class BestFit(Packing):
    """Each row holds whole documents side by side; only a document longer than a row is cut.

    The plan is best-fit-decreasing over the whole corpus (Ding et al. 2024, arXiv:2404.10830), and the same in
    every epoch; the order of rows is not. It takes 12 bytes for each piece and 8 for each row, on disk and
    mapped into memory, and under 70 bytes for each document while it is made (tests/data/test_packing.py).
    """

    @property
    def keeps_apart(self) -> bool:
        return True

    def training(self, store: TokenStore, length: int, cache: epath.Path | None = None) -> RowTable:
        check_store(self, store, length)
        name = f"best_fit{_VERSION}-{store.fingerprint()[:16]}-{length}"
        pieces = _plan(store, length) if cache is None else kept(cache / name, lambda: _plan(store, length))
        return PieceTable(store, length, pieces)

    def evaluation(self, store: TokenStore, length: int) -> RowTable:
        check_store(self, store, length)
        return PieceTable(store, length, _plan(store, length))


def _plan(store: TokenStore, length: int) -> Pieces:
    starts, lengths = cut(store.document_ends(), length)
    row = best_fit_decreasing(lengths, length)
    order = np.argsort(row, kind="stable")
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(row))])
    return Pieces(starts[order], lengths[order], offsets)
