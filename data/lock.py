"""One process at a time in a directory."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etils import epath


@contextmanager
def locked(directory: epath.PathLike, other: str) -> Iterator[None]:
    """Keeps a second process of this machine out of a local directory while the block runs.

    Args:
      directory: made if it is missing; on `gs://` nothing is locked.
      other: what the second process may do instead, for its message.

    Raises:
      RuntimeError: when another process is in there.
    """
    if "://" in str(directory):
        yield
        return
    path = Path(str(directory))
    path.mkdir(parents=True, exist_ok=True)
    with open(path / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another process is writing to {directory}; wait for it, or {other}") from None
        yield
