"""Writes a token store, shard by shard."""

import hashlib
import re
from types import TracebackType

import numpy as np
from etils import epath
from jaxtyping import Integer

from data import atomic
from data.store import INDEX, ShardEntry, StoreIndex, TokenStore, finish_index, shard_path

# 2^28 tokens: half a gigabyte a shard at uint16, large enough for object stores to stream well.
_SHARD_TOKENS = 1 << 28
_OURS = re.compile(r"\.?shard-\d{5}\.(tokens|ends)(\.tmp-.*)?")


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
        self._shard_tokens = shard_tokens
        self._dtype = StoreIndex(vocab_size, tokenizer, separator, ()).dtype
        self._entries: list[ShardEntry] = []
        self._shard: _OpenShard | None = None

    def append(self, ids: Integer[np.ndarray, " tokens"], text_bytes: int) -> None:
        """Appends one document; the separator, if there is one, is added here.

        Args:
          ids: the document's tokens, in [0, vocab_size).
          text_bytes: the length of its text in UTF-8.

        Raises:
          ValueError: when an id is outside the vocabulary.
        """
        if ids.size and not 0 <= ids.min() <= ids.max() < self._vocab_size:
            raise ValueError(
                f"document {self._documents()} has token ids in [{ids.min()}, {ids.max()}], but"
                f" the vocabulary is [0, {self._vocab_size})"
            )
        if self._shard is not None and self._shard.tokens >= self._shard_tokens:
            self._close_shard()
        if self._shard is None:
            number = len(self._entries)
            self._shard = _OpenShard(
                *(shard_path(self.directory, number, kind) for kind in ("tokens", "ends"))
            )
        ids = ids.astype(self._dtype)
        if self._separator is not None:
            ids = np.append(ids, self._dtype.type(self._separator)).astype(self._dtype)
        self._shard.append(ids, text_bytes)

    def finish(self) -> TokenStore:
        """Completes the last shard, writes the index and opens the store."""
        self._close_shard()
        index = StoreIndex(self._vocab_size, self._tokenizer, self._separator, tuple(self._entries))
        finish_index(self.directory, index)
        return TokenStore(self.directory)

    def abort(self) -> None:
        """Removes what has been written; the directory holds no store."""
        if self._shard is not None:
            self._shard.discard()
            self._shard = None
        for number in range(len(self._entries)):
            for kind in ("tokens", "ends"):
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

    def _documents(self) -> int:
        written = sum(entry.documents for entry in self._entries)
        return written + (len(self._shard.ends) if self._shard else 0)

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._entries.append(self._shard.close())
            self._shard = None


class _OpenShard:
    """The shard being written, under a temporary name."""

    def __init__(self, path: epath.Path, ends_path: epath.Path) -> None:
        self.tokens = 0
        self.ends: list[int] = []
        self._bytes = 0
        self._path = path
        self._ends_path = ends_path
        self._temporary = atomic.temporary_sibling(path)
        self._file = self._temporary.open("wb")
        self._digest = hashlib.sha256()

    def append(self, ids: np.ndarray, text_bytes: int) -> None:
        raw = ids.tobytes()
        self._file.write(raw)
        self._digest.update(raw)
        self.tokens += ids.size
        self.ends.append(self.tokens)
        self._bytes += text_bytes

    def close(self) -> ShardEntry:
        self._file.close()
        raw_ends = np.array(self.ends, "<i8").tobytes()
        with atomic.writing(self._ends_path) as file:
            file.write(raw_ends)
        self._temporary.replace(self._path)
        return ShardEntry(
            tokens=self.tokens,
            documents=len(self.ends),
            bytes=self._bytes,
            tokens_sha256=self._digest.hexdigest(),
            ends_sha256=hashlib.sha256(raw_ends).hexdigest(),
        )

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)
