"""Several token stores read as one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Int64

from data.store import TokenStore
from data.store_index import StoreIndex


class JoinedStore(TokenStore):
    """The streams of several stores one after another.

    Raises:
      ValueError: when there are none, or their tokenizers differ.
    """

    def __init__(self, stores: Sequence[TokenStore]) -> None:
        if not stores:
            raise ValueError("there are no stores to join")
        for store in stores[1:]:
            if store.tokenizer != stores[0].tokenizer:
                raise ValueError(
                    f"{store.directory} was written by the tokenizer {store.tokenizer[:12]}..., but"
                    f" {stores[0].directory} by {stores[0].tokenizer[:12]}..."
                )
        self.stores = tuple(stores)
        self.directory = stores[0].directory
        first = stores[0].index
        shards = tuple(shard for store in stores for shard in store.index.shards)
        self.index = StoreIndex(first.vocab_size, first.tokenizer, first.separator, shards)
        self._shards = tuple(shard for store in stores for shard in store._shards)
        self._offsets = np.cumsum([0] + [shard.tokens for shard in shards], dtype=np.int64)

    def document_ends(self) -> Int64[np.ndarray, " documents"]:
        """Where each document ends in the joined stream."""
        offsets = np.cumsum([0] + [len(store) for store in self.stores[:-1]])
        return np.concatenate([s.document_ends() + offset for s, offset in zip(self.stores, offsets, strict=True)])

    def document_groups(self) -> tuple[tuple[str, ...], Int32[np.ndarray, " documents"]]:
        """The names of the groups of all stores, in order, and the number of each document's among them.

        Raises:
          ValueError: when a store has no groups.
        """
        found = [store.document_groups() for store in self.stores]
        names = tuple(sorted({name for own, _ in found for name in own}))
        places = [np.array([names.index(name) for name in own], np.int32) for own, _ in found]
        return names, np.concatenate([place[own] for place, (_, own) in zip(places, found, strict=True)])

    def verify(self) -> None:
        """Hashes every file of every store again.

        Raises:
          ValueError: when a file is not what was written; the sentence names it.
        """
        for store in self.stores:
            store.verify()
