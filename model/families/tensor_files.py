"""Directories of safetensors files: read tensor by tensor, and written so that no more than one is in memory."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from model.families.published import FamilyError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_NAMES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
_CODES = {np.dtype(kind): code for code, kind in _NAMES.items()}
# As Hugging Face cuts its files.
SHARD_BYTES = 5_000_000_000
_CHUNK_BYTES = 8 << 20


class TensorFiles:
    """The tensors of a directory, by name.

    Args:
      directory: holds `model.safetensors`, or shards and their index.

    Raises:
      FamilyError: if there are none, only pickled ones, or one cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open: dict[Path, Any] = {}
        self._files: dict[str, Path] = {}
        for path in self._shards():
            for name in self._handle(path).keys():  # noqa: SIM118 - not a mapping
                if name in self._files:
                    raise FamilyError(f"{path} holds '{name}' a second time; {self._files[name].name} has it already")
                self._files[name] = path
        self._check_index()

    def names(self) -> list[str]:
        """All names."""
        return list(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._slice(name).get_shape())

    def dtype(self, name: str) -> np.dtype:
        """Format of a tensor.

        Raises FamilyError for a format that is not supported.
        """
        code = self._slice(name).get_dtype()
        if code not in _NAMES:
            raise FamilyError(f"{self._files[name]}: '{name}' has format {code}; supported are {', '.join(_NAMES)}")
        return np.dtype(_NAMES[code])

    def read(self, name: str) -> np.ndarray:
        """A tensor."""
        self.dtype(name)
        return self._handle(self._files[name]).get_tensor(name)

    def file(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self._files[name]

    def _slice(self, name: str) -> Any:
        return self._handle(self._files[name]).get_slice(name)

    def _handle(self, path: Path) -> Any:
        if path not in self._open:
            try:
                self._open[path] = safe_open(path, framework="np").__enter__()
            except (SafetensorError, OSError) as error:
                raise FamilyError(f"{path} is no whole safetensors file: {error}") from None
        return self._open[path]

    def _shards(self) -> list[Path]:
        if (self.directory / INDEX).is_file():
            return [self._inside(name) for name in dict.fromkeys(self._index().values())]
        if (self.directory / SINGLE).is_file():
            return [self.directory / SINGLE]
        for path in sorted(self.directory.iterdir()):
            if path.suffix in _PICKLED:
                raise FamilyError(f"{path} is a pickle, which can run code when it is read; convert it to safetensors")
        raise FamilyError(f"{self.directory} has neither {SINGLE} nor {INDEX}")

    def _index(self) -> Mapping[str, str]:
        path = self.directory / INDEX
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        except (ValueError, KeyError, TypeError) as error:
            raise FamilyError(f"{path} is no index of tensors: {error!r}") from None
        if not isinstance(found, dict) or not all(isinstance(file, str) for file in found.values()):
            raise FamilyError(f"{path} is no index of tensors: weight_map does not give a file for each")
        return found

    def _inside(self, name: str) -> Path:
        path = self.directory / name
        # A name in the index is not to be trusted to stay in the directory.
        if Path(name).name != name:
            raise FamilyError(f"{self.directory / INDEX} names '{name}', which is no file of the directory")
        if not path.is_file():
            raise FamilyError(f"{self.directory / INDEX} names {name}, which is missing")
        return path

    def _check_index(self) -> None:
        if not (self.directory / INDEX).is_file():
            return
        for name, file in self._index().items():
            if self._files.get(name) != self.directory / file:
                raise FamilyError(f"{self.directory / INDEX} says that '{name}' is in {file}, which does not hold it")


class TensorWriter:
    """Writes tensors whose names, shapes and formats are known before, one after the other.

    Args:
      directory: an empty one.
      tensors: name, shape and format of each, in the order in which they will come.
      shard_bytes: a file is closed before it would grow beyond this.
    """

    def __init__(
        self, directory: Path, tensors: Iterable[tuple[str, tuple[int, ...], np.dtype]], shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._directory = directory
        self._shards = _cut(list(tensors), shard_bytes)
        self._waiting = [(name, shape, dtype) for shard in self._shards for name, shape, dtype in shard]
        self._starts = {shard[0][0]: i for i, shard in enumerate(self._shards)}
        self._file: Any = None
        self._next = 0

    def write(self, name: str, tensor: np.ndarray) -> None:
        """Writes the next tensor. Raises FamilyError if it is not what was announced."""
        wanted, shape, dtype = self._waiting[self._next]
        if (name, tensor.shape, tensor.dtype) != (wanted, tuple(shape), dtype):
            raise FamilyError(f"'{name}' {tensor.shape} {tensor.dtype} was written, not '{wanted}' {shape} {dtype}")
        if name in self._starts:
            self._begin(self._starts[name])
        for rows in chunks(tensor):
            self._file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
        self._next += 1

    def close(self) -> None:
        """Completes the files, and writes the index if there are several."""
        assert self._next == len(self._waiting), f"{self._next} of {len(self._waiting)} tensors were written"
        self._end()
        if len(self._shards) > 1:
            where = {name: self._name(i) for i, shard in enumerate(self._shards) for name, _, _ in shard}
            total = sum(_bytes(shape, dtype) for _, shape, dtype in self._waiting)
            index = {"metadata": {"total_size": total}, "weight_map": where}
            (self._directory / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")

    def _name(self, shard: int) -> str:
        count = len(self._shards)
        return SINGLE if count == 1 else f"model-{shard + 1:05}-of-{count:05}.safetensors"

    def _begin(self, shard: int) -> None:
        self._end()
        self._file = open(self._directory / self._name(shard), "xb")  # noqa: SIM115 - closed by _end
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name, shape, dtype in self._shards[shard]:
            end = offset + _bytes(shape, dtype)
            header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._file.write(len(text).to_bytes(8, "little") + text)

    def _end(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def chunks(tensor: np.ndarray) -> Iterator[np.ndarray]:
    """A tensor in parts along its first axis, so that copies of parts stay small."""
    if tensor.ndim == 0 or tensor.nbytes <= _CHUNK_BYTES:
        yield tensor
        return
    rows = max(1, _CHUNK_BYTES * len(tensor) // tensor.nbytes)
    for first in range(0, len(tensor), rows):
        yield tensor[first : first + rows]


Announced = tuple[str, tuple[int, ...], np.dtype]


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _cut(tensors: list[Announced], limit: int) -> list[list[Announced]]:
    shards: list[list[Announced]] = [[]]
    held = 0
    for name, shape, dtype in tensors:
        size = _bytes(shape, dtype)
        if shards[-1] and held + size > limit:
            shards.append([])
            held = 0
        shards[-1].append((name, shape, dtype))
        held += size
    return shards
