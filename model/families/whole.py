"""A directory that is written whole or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data import console


def refuse_full(target: Path, flag: str) -> None:
    """Raises UsageError, naming the flag, unless a directory is new or empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise console.UsageError(f"{flag}={target} exists and is not empty; name a new directory")


@contextlib.contextmanager
def writing_directory(target: Path) -> Iterator[Path]:
    """A directory beside `target` that takes its name when the block ends well, and is removed if not.

    A process that is killed leaves it behind, under a hidden name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.tmp-", dir=target.parent))
    try:
        with console.naming(target):
            yield temporary
            temporary.chmod(0o755)
            if target.exists():
                target.rmdir()
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
