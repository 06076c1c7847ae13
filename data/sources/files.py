"""Files that a source reads: finding them, naming them, and knowing when they change."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from etils import epath

# Below this a file is known by its content, so that a copy of it is the same data. Above it, by
# size and time of change: reading a terabyte to name it would cost as much as preparing it.
_HASHED_WHOLE = 64 << 20
_WILD = frozenset("*?[")


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
        found = root.glob(str(PurePosixPath(*parts[wild:]))) if root.exists() else []
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
    if not root.exists():
        wild = next(i for i, part in enumerate(root.parts) if _WILD & set(part))
        return epath.Path(*root.parts[:wild]) / name
    return root / name if root.is_dir() else root


def fingerprint(files: dict[str, epath.Path]) -> str:
    """A hash of the files' names and contents; of sizes and times where they are large."""
    digest = hashlib.sha256()
    for name, file in files.items():
        stat = file.stat()
        digest.update(f"{name}\0{stat.length}\0".encode())
        if stat.length <= _HASHED_WHOLE:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            digest.update(str(stat.mtime).encode())
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


def _below(directory: epath.Path) -> Iterator[epath.Path]:
    for path in directory.iterdir():
        if path.is_dir():
            yield from _below(path)
        else:
            yield path


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
