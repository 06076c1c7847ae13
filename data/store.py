"""A corpus as token ids on disk: append-only shards and an index that is written last.

A store is a directory of `shard-00000.tokens` (little-endian uint16, or uint32 when the
vocabulary needs it), `shard-00000.ends` (int64: where each document ends in that shard) and
`index.json`. If documents have groups, `shard-00000.groups` (uint16) has a number for each, and
the shard's entry in the index the names. Read as one stream, each document is its tokens followed
by the separator, if the tokenizer has one. Without its index a directory is no store, so an
interrupted write leaves nothing that could be read by mistake.
"""

import hashlib

import numpy as np
from etils import epath
from jaxtyping import Int32, Int64, Integer, UInt

from data.shards import Shard, check_size, open_shard
from data.store_index import INDEX, StoreIndex, shard_path


class TokenStore:
    """A finished store, read as one stream of tokens over all its shards.

    `len(store)` is its number of tokens; `documents` and `bytes` count the documents and the
    UTF-8 bytes of the text they came from, so that bits per byte is exact.

    Raises:
      FileNotFoundError: when the directory holds no finished store.
      ValueError: when the index is unreadable or a shard's size contradicts it.
    """

    def __init__(self, directory: epath.PathLike) -> None:
        self.directory = epath.Path(directory)
        self.index = StoreIndex.read(self.directory / INDEX)
        self._shards: tuple[Shard, ...] = tuple(
            open_shard(shard_path(self.directory, number, "tokens"), self.index.dtype, entry.tokens)
            for number, entry in enumerate(self.index.shards)
        )
        for number, entry in enumerate(self.index.shards):
            check_size(shard_path(self.directory, number, "ends"), 8 * entry.documents)
            if self.index.grouped_by:
                check_size(shard_path(self.directory, number, "groups"), 2 * entry.documents)
        # offsets[k] is where shard k starts in the stream; the last is the stream's length.
        self._offsets = np.cumsum([0] + [s.tokens for s in self.index.shards], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def __repr__(self) -> str:
        return f"TokenStore({str(self.directory)!r}: {len(self):,} tokens)"

    @property
    def documents(self) -> int:
        """How many documents the store holds."""
        return sum(shard.documents for shard in self.index.shards)

    @property
    def bytes(self) -> int:
        """How many bytes of UTF-8 text the tokens stand for; separators stand for none."""
        return sum(shard.bytes for shard in self.index.shards)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id that can occur."""
        return self.index.vocab_size

    @property
    def separator(self) -> int | None:
        """The id that ends each document, or None."""
        return self.index.separator

    @property
    def tokenizer(self) -> str:
        """The hash of the tokenizer that wrote the store."""
        return self.index.tokenizer

    def fingerprint(self) -> str:
        """A hash of the tokens and of where the documents end, from the index alone."""
        digest = hashlib.sha256()
        for shard in self.index.shards:
            digest.update(f"{shard.tokens_sha256} {shard.ends_sha256}\n".encode())
        return digest.hexdigest()

    def tokens(self, start: int, stop: int) -> UInt[np.ndarray, " tokens"]:
        """The tokens [start, stop) of the stream.

        Raises:
          ValueError: when the range is not inside the stream.
        """
        return self.gather(np.array([start]), stop - start)[0]

    def gather(
        self, starts: Integer[np.ndarray, " rows"], length: int
    ) -> UInt[np.ndarray, "rows {length}"]:
        """Rows of `length` tokens, row i starting at `starts[i]`, across shards where needed.

        Raises:
          ValueError: when a row is not inside the stream.
        """
        starts = starts.astype(np.int64)
        if length < 0 or (
            starts.size and not 0 <= starts.min() <= starts.max() <= len(self) - length
        ):
            raise ValueError(
                f"{self.directory} holds {len(self)} tokens, but rows of {length} tokens were"
                f" asked for at {starts.min(initial=len(self))} to {starts.max(initial=0)}"
            )
        rows = np.empty((starts.size, length), self.index.dtype)
        first = np.searchsorted(self._offsets, starts, side="right") - 1
        last = np.searchsorted(self._offsets, starts + max(length - 1, 0), side="right") - 1
        for number in np.unique(first[first == last]) if length else ():
            chosen = np.flatnonzero((first == number) & (last == number))
            local = starts[chosen] - self._offsets[number]
            self._shards[number].gather(local, length, rows, chosen)
        for row in np.flatnonzero(first != last):
            self._gather_across(int(starts[row]), rows[row])
        return rows

    def _gather_across(self, start: int, row: UInt[np.ndarray, " length"]) -> None:
        """Fills one row that reaches over the end of a shard."""
        done = 0
        for number, shard in enumerate(self._shards):
            low = max(start + done - int(self._offsets[number]), 0)
            high = min(start + row.size - int(self._offsets[number]), shard.tokens)
            if start + done < self._offsets[number + 1] and low < high:
                row[done : done + high - low] = shard.read(low, high)
                done += high - low

    def copy(
        self,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        into: UInt[np.ndarray, " tokens"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        """Copies pieces of the stream, none of them empty: `into[places[i] : places[i] + lengths[i]]` is filled
        from `starts[i]` on.

        Raises:
          ValueError: when a piece is not inside the stream.
        """
        if not starts.size:
            return
        stops = starts + lengths
        if starts.min() < 0 or stops.max() > len(self):
            raise ValueError(
                f"{self.directory} holds {len(self)} tokens, but pieces were asked for from {starts.min()} to"
                f" {stops.max()}"
            )
        first = np.searchsorted(self._offsets, starts, side="right") - 1
        last = np.searchsorted(self._offsets, stops - 1, side="right") - 1
        for number in np.unique(first[first == last]):
            chosen = np.flatnonzero((first == number) & (last == number))
            local = starts[chosen] - self._offsets[number]
            self._shards[number].copy(local, lengths[chosen], into, places[chosen])
        for piece in np.flatnonzero(first != last):
            place = int(places[piece])
            self._gather_across(int(starts[piece]), into[place : place + int(lengths[piece])])

    def document_ends(self) -> Int64[np.ndarray, " documents"]:
        """Where each document ends in the stream: document i is [ends[i - 1], ends[i])."""
        parts = [np.zeros(0, np.int64)]
        for number, offset in enumerate(self._offsets[:-1]):
            raw = shard_path(self.directory, number, "ends").read_bytes()
            parts.append(np.frombuffer(raw, "<i8").astype(np.int64) + offset)
        return np.concatenate(parts)

    def document_groups(self) -> tuple[tuple[str, ...], Int32[np.ndarray, " documents"]]:
        """The names of the groups, in order, and the number of each document's among them.

        Raises:
          ValueError: when the store was written without groups, or a shard has a number without a name.
        """
        if not self.index.grouped_by:
            raise ValueError(
                f"{self.directory} has no groups of documents; prepare it again with a recipe that says"
                " groups=BySource(), or python -m data.tokenize --groups='BySource()'"
            )
        names = tuple(sorted({name for shard in self.index.shards for name in shard.groups}))
        numbers = {name: number for number, name in enumerate(names)}
        parts = [np.zeros(0, np.int32)]
        for number, shard in enumerate(self.index.shards):
            path = shard_path(self.directory, number, "groups")
            own = np.frombuffer(path.read_bytes(), "<u2")
            if own.max(initial=0) >= max(len(shard.groups), 1):
                raise ValueError(f"{path} is corrupt: it has group {own.max()}, but {INDEX} names {len(shard.groups)}")
            if own.size:
                parts.append(np.array([numbers[name] for name in shard.groups], np.int32)[own])
        return names, np.concatenate(parts)

    def verify(self) -> None:
        """Hashes every file again.

        Raises:
          ValueError: when a file is not what was written; the sentence names it.
        """
        for number, entry in enumerate(self.index.shards):
            for kind, expected in entry.hashes.items():
                path = shard_path(self.directory, number, kind)
                digest = hashlib.sha256()
                with path.open("rb") as file:
                    while block := file.read(1 << 24):
                        digest.update(block)
                if digest.hexdigest() != expected:
                    raise ValueError(
                        f"{path} is corrupt: its sha256 is {digest.hexdigest()[:12]}..., but"
                        f" {INDEX} says {expected[:12]}...; write the store again"
                    )
