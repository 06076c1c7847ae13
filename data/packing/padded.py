"""One document a row."""

from dataclasses import dataclass

import numpy as np
from etils import epath

from data.packing.base import Packing, RowTable, check_store
from data.packing.pieces import Pieces, PieceTable, cut
from data.store import TokenStore


@dataclass(frozen=True)
class Padded(Packing):
    """Each row holds one document and padding; a document longer than a row takes several.

    Planning keeps 20 bytes for each row in memory.
    """

    @property
    def keeps_apart(self) -> bool:
        return True

    @property
    def shares_rows(self) -> bool:
        return False

    def training(self, store: TokenStore, length: int, cache: epath.Path | None = None) -> RowTable:
        return self.evaluation(store, length)

    def evaluation(self, store: TokenStore, length: int) -> RowTable:
        check_store(self, store, length)
        starts, lengths = cut(store.document_ends(), length)
        return PieceTable(store, length, Pieces(starts, lengths, np.arange(starts.size + 1)))
