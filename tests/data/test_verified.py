"""Flipped bits are found when a store is first opened, and whole stores are hashed once."""

import os
from pathlib import Path

import numpy as np
import pytest

from data import verified
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.verified import verify_once


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenStore:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with TokenStoreWriter(tmp_path / "s", vocab_size=300, tokenizer="") as writer:
        writer.append(np.arange(200), 200)
    return TokenStore(tmp_path / "s")


def flip(path: Path, keep_time: bool) -> None:
    before, raw = path.stat(), path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_small_stores_are_hashed_each_time(store: TokenStore) -> None:
    assert verify_once(store)
    flip(Path(store.directory) / "shard-00000.tokens", keep_time=True)
    with pytest.raises(ValueError, match=r"shard-00000.tokens is corrupt: its sha256 is"):
        verify_once(store)


def test_large_stores_are_hashed_until_a_file_changes(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "_SMALL", 0)
    hashed = []
    real = TokenStore.verify
    monkeypatch.setattr(TokenStore, "verify", lambda self: (hashed.append(1), real(self)))
    assert verify_once(store) and verify_once(store) and hashed == [1]
    ends = Path(store.directory) / "shard-00000.ends"
    os.utime(ends, ns=(1, 1))
    assert verify_once(store) and hashed == [1, 1]
    flip(ends, keep_time=False)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"shard-00000.ends is corrupt"):
            verify_once(store)


def test_the_largest_and_the_remote_are_left_to_who_asks(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenStore, "verify", None)
    assert not verify_once(store, largest=399)
    store.directory = "gs://bucket/s"
    assert not verify_once(store)


def test_without_a_place_to_remember_it_is_done_each_time(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "_SMALL", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert verify_once(store) and verify_once(store)
