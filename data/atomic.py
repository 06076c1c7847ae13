"""Files that are either whole or absent: write to a temporary name, then rename."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from etils import epath


def temporary_sibling(path: epath.PathLike) -> epath.Path:
    """A fresh name beside `path`, on the same file system, so that a rename is enough."""
    path = epath.Path(path)
    # A host name would not help: the random part alone keeps writers on many hosts apart.
    return path.parent / f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def writing(path: epath.PathLike) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the name `path` only when the block ends well.

    Raises:
      OSError: when the file cannot be written; what stood at `path` before is untouched.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: epath.PathLike, text: str) -> None:
    """Writes `text` as UTF-8 to `path`, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))
