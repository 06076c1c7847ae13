"""Files that a source reads: finding them, naming them, and knowing when they change."""

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from etils import epath

from data.sources import streams
from data.sources.base import BadRecord, Record, Shard

# Up to this a file is known by its whole content. Above it, by its size and these samples of its content, the first
# at its start and the last at its end: reading a terabyte to name it would cost as much as preparing it. Neither goes
# by the time of change, so that a copy is the same data. A change within a large file that keeps its size and misses
# the samples goes unseen.
_HASHED_WHOLE = 64 << 20
_SAMPLES = 16
_SAMPLE = 256 << 10
_WILD = frozenset("*?[")
# By name, since TensorFlow has its own and is not loaded to ask for them.
_NOT_OPENED = frozenset(
    ["FileNotFoundError", "IsADirectoryError", "NotFoundError", "PermissionDeniedError", "PermissionError"]
)
# A shard is work for minutes, not for milliseconds, and its list of names is sent to a worker.
_FILES_TOGETHER = 1000


def find_files(path: str | os.PathLike[str]) -> dict[str, epath.Path]:
    """The files of a path, by the name they have within it, in the order of the names.

    Args:
      path: a file, a directory (all that lies in it at any depth, unless hidden) or a glob
        (`*`, `?` and `[]` within one name).

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when the glob has `**`.
    """
    root = epath.Path(path)
    parts = root.parts
    wild = next((i for i, part in enumerate(parts) if _WILD & set(part)), None)
    if wild is not None and not root.exists():
        if "**" in parts:
            raise ValueError(f"{path} has '**'; give the directory to read all that lies in it")
        root = epath.Path(*parts[:wild])
        found = _matching(root, parts[wild:]) if root.exists() else iter(())
    elif root.is_dir():
        found = _below(root)
    elif root.exists():
        return {root.name: root}
    else:
        raise FileNotFoundError(f"{path} does not exist; give a file, a directory or a glob")
    named = {file.relative_to(root).as_posix(): file for file in found if not file.is_dir()}
    visible = {name: file for name, file in named.items() if not _is_hidden(name)}
    if not visible:
        raise FileNotFoundError(f"{path} has no files in it")
    return dict(sorted(visible.items()))


def within(path: str | os.PathLike[str], name: str) -> epath.Path:
    """The file that `find_files(path)` calls `name`."""
    root = epath.Path(path)
    if root.exists():
        return root / name if root.is_dir() else root
    wild = next((i for i, part in enumerate(root.parts) if _WILD & set(part)), None)
    return root if wild is None else epath.Path(*root.parts[:wild]) / name


def together(path: str | os.PathLike[str]) -> tuple[Shard, ...]:
    """Shards of many files each, for files that are a document or a few."""
    names = list(find_files(path))
    groups = [tuple(names[i : i + _FILES_TOGETHER]) for i in range(0, len(names), _FILES_TOGETHER)]
    return tuple(Shard(f"files-{number:05d}", group) for number, group in enumerate(groups))


def guarded(file: epath.Path, records: Iterator[Record]) -> Iterator[Record]:
    """The records of a file, and one more that says so when the file ends them with an error."""
    number = 0
    try:
        for record in records:
            yield record
            number += 1
    except streams.read_errors() as error:
        why = (getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)).split("\n")[0]
        if type(error).__name__ in _NOT_OPENED and not number:
            yield BadRecord(str(file), "cannot be opened", f"{file} cannot be opened: {why}")
            return
        problem = _problem(error)
        message = f"{file} is given up after {number} records: {problem}, {why}"
        yield BadRecord(f"{file}, after record {number}", problem, message)


def fingerprint(files: dict[str, epath.Path]) -> str:
    """A hash of the files' names and contents; of sizes and samples of the content where they are large."""
    digest = hashlib.sha256()
    for name, file in files.items():
        try:
            length, content = file.stat().length, _content(file)
        except streams.read_errors() as error:
            if type(error).__name__ not in ("PermissionError", "PermissionDeniedError"):
                raise
            # Whether a corpus may lack it is for the recipe to say, once it is read.
            length, content = -1, b"cannot be opened"
        digest.update(f"{name}\0{length}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def decode(raw: bytes, place: str) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
      ValueError: naming `place` and the offset, when the bytes are not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{place} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; convert it to"
            " UTF-8 or leave the file out"
        ) from None


def _problem(error: Exception) -> str:
    if isinstance(error, streams.TruncatedArchive):
        return "truncated archive"
    if isinstance(error, OSError):
        # The system numbers its errors; the libraries that read archives do not.
        return "damaged file" if error.errno is None else "cannot be read"
    known = isinstance(error, streams.DAMAGE) or type(error).__name__ == "DataLossError"
    return "damaged file" if known else "cannot be read"


def _content(file: epath.Path) -> bytes:
    """A hash of what is in a file, or of samples of it."""
    length = file.stat().length
    digest = hashlib.sha256()
    with file.open("rb") as source:
        if length <= _HASHED_WHOLE:
            while block := source.read(1 << 20):
                digest.update(block)
        else:
            for number in range(_SAMPLES):
                source.seek((length - _SAMPLE) * number // (_SAMPLES - 1))
                digest.update(source.read(_SAMPLE))
    return digest.digest()


def _matching(directory: epath.Path, patterns: tuple[str, ...]) -> Iterator[epath.Path]:
    """What a glob finds; unlike Python's own, it does not pass over a directory that may not be read."""
    first, *rest = patterns
    for path in directory.iterdir():
        if fnmatch.fnmatchcase(path.name, first):
            if not rest:
                yield path
            elif path.is_dir():
                yield from _matching(path, tuple(rest))


def _below(directory: epath.Path, above: frozenset[str] = frozenset()) -> Iterator[epath.Path]:
    above |= {os.path.realpath(directory)}
    for path in directory.iterdir():
        if not path.is_dir():
            yield path
        # What a link to a folder above leads to is read there, and would be read without end here.
        elif os.path.realpath(path) not in above:
            yield from _below(path, above)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
