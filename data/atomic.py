"""Files that are either whole or absent: write to a temporary name, then rename."""

import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from etils import epath


def temporary_sibling(path: epath.PathLike) -> epath.Path:
    """A fresh name beside `path`, on the same file system, so that a rename is enough."""
    path = epath.Path(path)
    # The random part alone keeps writers apart; machine and process tell whose it is.
    return path.parent / f".{path.name}.tmp-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def remove_leftovers(path: epath.PathLike) -> list[epath.Path]:
    """Removes temporary siblings of `path` whose writer was killed, and says which.

    What another machine made is left alone, since its processes cannot be seen from here, and so
    is what a living process of this one made.
    """
    path = epath.Path(path)
    ours = re.compile(rf"\.{re.escape(path.name)}\.tmp-{re.escape(_machine())}-(\d+)-[0-9a-f]{{8}}")
    removed = []
    for found in path.parent.iterdir() if path.parent.exists() else ():
        match = ours.fullmatch(found.name)
        if match and not _is_alive(int(match[1])):
            found.rmtree(missing_ok=True) if found.is_dir() else found.unlink(missing_ok=True)
            removed.append(found)
    return removed


def remove_all_leftovers(directory: epath.PathLike) -> list[epath.Path]:
    """Removes temporary siblings of whatever lies in `directory`, as `remove_leftovers` does of one path."""
    directory = epath.Path(directory)
    named = (re.fullmatch(r"\.(.+)\.tmp-.+", found.name) for found in directory.iterdir())
    names = {match[1] for match in named if match}
    return [path for name in sorted(names) for path in remove_leftovers(directory / name)]


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


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
