"""One file of tokens: mapped into memory on a local disk, read by ranges elsewhere."""

import abc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from etils import epath
from jaxtyping import Int64, UInt

# Requests in flight against an object store: they wait on the network, not on a core.
_READERS = 16


class Shard(abc.ABC):
    """The tokens of one shard."""

    def __init__(self, path: epath.Path, dtype: np.dtype, tokens: int) -> None:
        self.path = path
        self.dtype = dtype
        self.tokens = tokens

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> UInt[np.ndarray, " tokens"]:
        """The tokens [start, stop) of this shard."""

    @abc.abstractmethod
    def gather(
        self,
        starts: Int64[np.ndarray, " chosen"],
        length: int,
        rows: UInt[np.ndarray, "rows {length}"],
        chosen: Int64[np.ndarray, " chosen"],
    ) -> None:
        """Fills `rows[chosen[i]]` with the tokens [starts[i], starts[i] + length)."""

    @abc.abstractmethod
    def copy(
        self,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        into: UInt[np.ndarray, " tokens"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        """Fills `into[places[i] : places[i] + lengths[i]]` with the tokens from `starts[i]` on."""


class MappedShard(Shard):
    """A shard on a local disk. The page cache is the only cache."""

    def __init__(self, path: epath.Path, dtype: np.dtype, tokens: int) -> None:
        super().__init__(path, dtype, tokens)
        # A plain array over the mapping: slices of np.memmap itself cost several times more.
        self._tokens = np.asarray(np.memmap(str(path), dtype, mode="r", shape=(tokens,)))

    def read(self, start: int, stop: int) -> UInt[np.ndarray, " tokens"]:
        return self._tokens[start:stop]

    def gather(
        self,
        starts: Int64[np.ndarray, " chosen"],
        length: int,
        rows: UInt[np.ndarray, "rows {length}"],
        chosen: Int64[np.ndarray, " chosen"],
    ) -> None:
        tokens = self._tokens
        # One memcpy per row; a fancy index over a sliding window copies token by token.
        for row, start in zip(chosen.tolist(), starts.tolist(), strict=True):
            rows[row] = tokens[start : start + length]

    def copy(
        self,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        into: UInt[np.ndarray, " tokens"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        tokens = self._tokens
        if (lengths == 1).all():
            into[places] = tokens[starts]
            return
        for start, length, place in zip(starts.tolist(), lengths.tolist(), places.tolist(), strict=True):
            into[place : place + length] = tokens[start : start + length]


class RemoteShard(Shard):
    """A shard behind `epath` (`gs://`): each row is one range read, many at a time."""

    def read(self, start: int, stop: int) -> UInt[np.ndarray, " tokens"]:
        with self.path.open("rb") as file:
            file.seek(start * self.dtype.itemsize)
            raw = file.read((stop - start) * self.dtype.itemsize)
        return np.frombuffer(raw, self.dtype)

    def gather(
        self,
        starts: Int64[np.ndarray, " chosen"],
        length: int,
        rows: UInt[np.ndarray, "rows {length}"],
        chosen: Int64[np.ndarray, " chosen"],
    ) -> None:
        def fill(row: int, start: int) -> None:
            rows[row] = self.read(start, start + length)

        with ThreadPoolExecutor(_READERS) as readers:
            list(readers.map(fill, chosen.tolist(), starts.tolist()))

    def copy(
        self,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        into: UInt[np.ndarray, " tokens"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        def fill(start: int, length: int, place: int) -> None:
            into[place : place + length] = self.read(start, start + length)

        with ThreadPoolExecutor(_READERS) as readers:
            list(readers.map(fill, starts.tolist(), lengths.tolist(), places.tolist()))


def check_size(path: epath.Path, expected: int) -> None:
    """Raises ValueError or FileNotFoundError unless `path` has `expected` bytes."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing, but its index lists it; write the store again")
    found = path.stat().length
    if found != expected:
        raise ValueError(
            f"{path} is corrupt: it has {found} bytes, but its index says {expected};"
            " write the store again"
        )


def open_shard(path: epath.Path, dtype: np.dtype, tokens: int) -> Shard:
    """Opens a shard after checking its size: mapped if it is local, by ranges if not.

    Raises:
      FileNotFoundError, ValueError: when the file is missing or has the wrong size.
    """
    check_size(path, tokens * dtype.itemsize)
    is_remote = "://" in str(path)
    return (RemoteShard if is_remote or tokens == 0 else MappedShard)(path, dtype, tokens)
