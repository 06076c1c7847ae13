"""Stores that are hashed when they are first opened on a machine, and not again until a file changes."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from data import atomic
from data.store import TokenStore
from data.store_index import INDEX, shard_path

# Hashing this is a matter of seconds; what is larger is hashed only by who asks for it.
LARGEST = 4 << 30
# Hashing this takes less than opening it; nothing is remembered of it.
_SMALL = 16 << 20


def verify_once(store: TokenStore, largest: int = LARGEST) -> bool:
    """Hashes a local store's files, unless that was done and no size or time of change differs since.

    That it was done is remembered in the user's cache directory. Bits that a disk flips later leave sizes and times as
    they are: `TokenStore.verify` looks at every byte.

    Args:
      store: the store.
      largest: bytes of tokens above which nothing is done.

    Returns:
      Whether its files are known to be what was written.

    Raises:
      ValueError: when a file is not what was written; the sentence names it.
    """
    size = len(store) * store.index.dtype.itemsize
    if "://" in str(store.directory) or size > largest:
        return False
    if size < _SMALL:
        store.verify()
        return True
    stamp = _cache() / "verified" / _state(store)
    if stamp.exists():
        return True
    store.verify()
    # Without a place to remember it, it is done each time.
    with contextlib.suppress(OSError):
        atomic.write_text(stamp, "")
    return True


def _state(store: TokenStore) -> str:
    """A name for the files of a store as they lie there now."""
    directory = Path(str(store.directory)).resolve()
    paths = [directory / INDEX]
    for number, entry in enumerate(store.index.shards):
        paths += [Path(str(shard_path(store.directory, number, kind))) for kind in entry.hashes]
    stats = [path.stat() for path in paths]
    state = [str(directory), [(stat.st_size, stat.st_mtime_ns, stat.st_ino) for stat in stats]]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "espalier"
