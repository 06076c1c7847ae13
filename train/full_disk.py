"""A full disk, told as what it is; TensorFlow, Orbax and TensorStore wrap it in errors of their own."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath


@contextmanager
def told(directory: epath.Path) -> Iterator[None]:
    """Turns an error of its block that speaks of a full disk into an OSError that names `directory`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "No space left" in str(error) or "ENOSPC" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory)) from error
        raise
