"""Writes a token store, shard by shard."""

import hashlib
import itertools
import re
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn

import numpy as np
from etils import epath
from jaxtyping import Integer

from data import atomic
from data.group_by import check_count
from data.store import TokenStore
from data.store_index import INDEX, ShardEntry, StoreIndex, finish_index, shard_path

# 2^28 tokens: half a gigabyte a shard at uint16, large enough for object stores to stream well.
_SHARD_TOKENS = 1 << 28
_OURS = re.compile(r"\.?shard-\d{5}\.(tokens|ends|groups)(\.tmp-.*)?")


class TokenStoreWriter:
    """Appends documents to a new store; use it as a context manager, or call `finish`.

    A shard takes whole documents until it holds `shard_tokens` tokens. Files carry temporary
    names until their shard is complete, and the directory becomes a store only in `finish`.
    Shards that an interrupted writer left in the directory are removed.

    Raises:
      ValueError: when the directory already holds a finished store.
    """

    def __init__(
        self,
        directory: epath.PathLike,
        *,
        vocab_size: int,
        tokenizer: str,
        separator: int | None = None,
        shard_tokens: int = _SHARD_TOKENS,
        grouped_by: str = "",
    ) -> None:
        self.directory = epath.Path(directory)
        if (self.directory / INDEX).exists():
            raise ValueError(
                f"{self.directory} already holds a finished token store; choose a directory"
                " that holds none"
            )
        if separator is not None and not 0 <= separator < vocab_size:
            raise ValueError(f"separator is {separator}, but must be in [0, {vocab_size})")
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()
        self._vocab_size = vocab_size
        self._tokenizer = tokenizer
        self._separator = separator
        self._grouped_by = grouped_by
        self._shard_tokens = shard_tokens
        self._entries: list[ShardEntry] = []
        self._shard: ShardWriter | None = None

    def append(self, ids: Integer[np.ndarray, " tokens"], text_bytes: int, group: str | None = None) -> None:
        """Appends one document; the separator, if there is one, is added here.

        Args:
          ids: the document's tokens, in [0, vocab_size).
          text_bytes: the length of its text in UTF-8.
          group: the name of its group; for stores with groups, and only for those.

        Raises:
          ValueError: when an id is outside the vocabulary, or there are too many groups.
        """
        if self._shard is not None and self._shard.tokens >= self._shard_tokens:
            self._close_shard()
        if self._shard is None:
            self._shard = ShardWriter(
                self.directory, len(self._entries), self._vocab_size, self._separator, self._grouped_by
            )
        self._shard.append([ids], [text_bytes], None if group is None else [group])

    def finish(self) -> TokenStore:
        """Completes the last shard, writes the index and opens the store."""
        self._close_shard()
        index = StoreIndex(
            self._vocab_size, self._tokenizer, self._separator, tuple(self._entries), self._grouped_by
        )
        finish_index(self.directory, index)
        return TokenStore(self.directory)

    def abort(self) -> None:
        """Removes what has been written; the directory holds no store."""
        if self._shard is not None:
            self._shard.discard()
            self._shard = None
        for number in range(len(self._entries)):
            for kind in ("tokens", "ends", "groups"):
                shard_path(self.directory, number, kind).unlink(missing_ok=True)
        self._entries.clear()

    def __enter__(self) -> "TokenStoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif not (self.directory / INDEX).exists():
            self.finish()

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._entries.append(self._shard.close())
            self._shard = None


class ShardWriter:
    """Writes one shard of a store, under temporary names until `close`.

    Args:
      directory: the store's.
      number: the shard's place in the store.
      vocab_size: one more than the largest id.
      separator: the id to write after each document, or None.
      grouped_by: what decides the groups of documents, for messages; empty if they have none.
    """

    def __init__(
        self, directory: epath.Path, number: int, vocab_size: int, separator: int | None, grouped_by: str = ""
    ) -> None:
        self.tokens = 0
        self._dtype = StoreIndex(vocab_size, "", separator, ()).dtype
        self._vocab_size = vocab_size
        self._separator = [] if separator is None else [np.array([separator], self._dtype)]
        self._documents = 0
        self._ends: list[np.ndarray] = [np.zeros(0, np.int64)]
        self._bytes = 0
        self._grouped_by = grouped_by
        self._names: dict[str, int] = {}
        self._groups: list[int] = []
        self._path, self._ends_path, self._groups_path = (
            shard_path(directory, number, kind) for kind in ("tokens", "ends", "groups")
        )
        self._temporary = atomic.temporary_sibling(self._path)
        self._file = self._temporary.open("wb")
        self._digest = hashlib.sha256()

    def append(
        self,
        documents: Sequence[Integer[np.ndarray, " _"]],
        text_bytes: Sequence[int],
        groups: Sequence[str] | None = None,
    ) -> None:
        """Appends documents, each with the separator if there is one.

        Args:
          documents: their tokens, in [0, vocab_size).
          text_bytes: the length of each text in UTF-8.
          groups: the name of each one's group; for shards with groups, and only for those.

        Raises:
          ValueError: when an id is outside the vocabulary, or there are too many groups.
        """
        if (groups is not None) != bool(self._grouped_by):
            wanted = f"is grouped by {self._grouped_by}" if self._grouped_by else "has no groups"
            raise ValueError(f"{self._path.name} {wanted}, which the documents given to it do not fit")
        if not documents:
            return
        if groups is not None:
            self._groups += [self._names.setdefault(name, len(self._names)) for name in groups]
            check_count(self._names, self._grouped_by)
        flat = np.concatenate(list(itertools.chain.from_iterable((ids, *self._separator) for ids in documents)))
        if flat.size and not 0 <= flat.min() <= flat.max() < self._vocab_size:
            self._complain(documents)
        raw = flat.astype(self._dtype).tobytes()
        self._file.write(raw)
        self._digest.update(raw)
        lengths = np.array([ids.size + len(self._separator) for ids in documents], np.int64)
        self._ends.append(self.tokens + np.cumsum(lengths))
        self.tokens = int(self._ends[-1][-1])
        self._documents += len(documents)
        self._bytes += sum(text_bytes)

    def _complain(self, documents: Sequence[Integer[np.ndarray, " _"]]) -> NoReturn:
        for number, ids in enumerate(documents, self._documents):
            if ids.size and not 0 <= ids.min() <= ids.max() < self._vocab_size:
                raise ValueError(
                    f"document {number} of {self._path.name} has token ids in [{ids.min()}, {ids.max()}], but the"
                    f" vocabulary is [0, {self._vocab_size})"
                )
        raise AssertionError("no document is at fault")

    def close(self) -> ShardEntry:
        """Gives the shard its name and says what is in it."""
        self._file.close()
        raw_groups = np.array(self._groups, "<u2").tobytes()
        if self._grouped_by:
            with atomic.writing(self._groups_path) as file:
                file.write(raw_groups)
        raw_ends = np.concatenate(self._ends).astype("<i8").tobytes()
        with atomic.writing(self._ends_path) as file:
            file.write(raw_ends)
        self._temporary.replace(self._path)
        return ShardEntry(
            tokens=self.tokens,
            documents=self._documents,
            bytes=self._bytes,
            tokens_sha256=self._digest.hexdigest(),
            ends_sha256=hashlib.sha256(raw_ends).hexdigest(),
            groups_sha256=hashlib.sha256(raw_groups).hexdigest() if self._grouped_by else "",
            groups=tuple(self._names),
        )

    def discard(self) -> None:
        """Removes what has been written."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)
