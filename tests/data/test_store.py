"""A store gives back the stream that was written, or says what is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import store as store_module
from data.shards import RemoteShard
from data.store import TokenStore
from data.store_writer import TokenStoreWriter

DOCUMENTS = [[1, 2, 3], [], [4] * 10, [5, 6], [65_535], [7] * 5]


def write(
    directory: Path,
    documents: list[list[int]],
    separator: int | None = 0,
    vocab_size: int = 65_536,
    shard_tokens: int = 8,
) -> TokenStore:
    writer = TokenStoreWriter(
        directory,
        vocab_size=vocab_size,
        tokenizer="abc",
        separator=separator,
        shard_tokens=shard_tokens,
    )
    with writer:
        for document in documents:
            writer.append(np.array(document, np.int64), 2 * len(document))
    return TokenStore(directory)


def stream(documents: list[list[int]], separator: int | None) -> list[int]:
    end = [] if separator is None else [separator]
    return [token for document in documents for token in [*document, *end]]


documents = st.lists(st.lists(st.integers(0, 70_000), max_size=12), max_size=12)


@given(
    written=documents,
    separator=st.sampled_from([None, 0, 70_000]),
    shard_tokens=st.integers(1, 30),
    data=st.data(),
)
def test_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[list[int]],
    separator: int | None,
    shard_tokens: int,
    data: st.DataObject,
) -> None:
    directory = tmp_path_factory.mktemp("store") / "s"
    store = write(directory, written, separator, 70_001, shard_tokens)
    expected = stream(written, separator)
    assert len(store) == len(expected)
    assert store.documents == len(written)
    assert store.bytes == sum(2 * len(document) for document in written)
    assert store.tokens(0, len(store)).tolist() == expected
    ends = np.cumsum([len(d) + (separator is not None) for d in written])
    assert store.document_ends().tolist() == ends.tolist()
    length = data.draw(st.integers(0, len(expected)))
    starts = data.draw(st.lists(st.integers(0, len(expected) - length), max_size=6))
    rows = store.gather(np.array(starts, np.int64), length)
    assert rows.shape == (len(starts), length)
    assert rows.tolist() == [expected[start : start + length] for start in starts]
    store.verify()


def test_ranges_read_as_mapped_files_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = write(tmp_path / "s", DOCUMENTS)
    monkeypatch.setattr(
        store_module, "open_shard", lambda path, dtype, tokens: RemoteShard(path, dtype, tokens)
    )
    remote = TokenStore(tmp_path / "s")
    starts = np.arange(len(mapped) - 9)
    assert remote.gather(starts, 10).tolist() == mapped.gather(starts, 10).tolist()


def test_files_are_what_the_format_says(tmp_path: Path) -> None:
    write(tmp_path / "s", DOCUMENTS)
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    shards = sorted(name for name in names if name.endswith(".tokens"))
    assert len(shards) > 1 and shards[0] == "shard-00000.tokens"
    assert names == sorted(
        ["index.json", *shards, *(name.replace("tokens", "ends") for name in shards)]
    )
    raw = b"".join((tmp_path / "s" / name).read_bytes() for name in shards)
    assert np.frombuffer(raw, "<u2").tolist() == stream(DOCUMENTS, 0)
    index = json.loads((tmp_path / "s" / "index.json").read_text())
    assert index["dtype"] == "uint16" and index["tokens"] == len(raw) // 2
    assert write(tmp_path / "wide", [[65_536]], None, 65_537).index.dtype == np.dtype("<u4")


def test_equal_documents_have_equal_fingerprints(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", DOCUMENTS), write(tmp_path / "2", DOCUMENTS)
    assert one.fingerprint() == two.fingerprint()
    assert one.fingerprint() != write(tmp_path / "3", DOCUMENTS[:-1]).fingerprint()


def test_an_interrupted_write_leaves_no_store(tmp_path: Path) -> None:
    writer = TokenStoreWriter(tmp_path / "s", vocab_size=10, tokenizer="", shard_tokens=2)
    for _ in range(3):
        writer.append(np.array([1, 2, 3]), 3)
    with pytest.raises(FileNotFoundError, match="s holds no token store: it has no index.json"):
        TokenStore(tmp_path / "s")
    # The process died here; the next one starts over and finds nothing of it.
    del writer
    store = write(tmp_path / "s", [[1, 2]])
    assert store.tokens(0, len(store)).tolist() == [1, 2, 0]
    assert len(list((tmp_path / "s").iterdir())) == 3


def test_an_error_in_the_block_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        TokenStoreWriter(tmp_path / "s", vocab_size=9, tokenizer="", shard_tokens=1) as writer,
    ):
        writer.append(np.array([1]), 1)
        writer.append(np.array([2]), 1)
        raise RuntimeError
    assert not list((tmp_path / "s").iterdir())


def test_a_finished_store_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path / "s", DOCUMENTS)
    with pytest.raises(ValueError, match="s already holds a finished token store"):
        write(tmp_path / "s", DOCUMENTS)


@pytest.mark.parametrize("bad", [[-1], [10]])
def test_ids_outside_the_vocabulary_are_refused(tmp_path: Path, bad: list[int]) -> None:
    writer = TokenStoreWriter(tmp_path / "s", vocab_size=10, tokenizer="")
    writer.append(np.array([9]), 1)
    with pytest.raises(ValueError, match=r"document 1 of shard-00000.tokens has token ids in .* \[0, 10\)"):
        writer.append(np.array(bad), 1)
    writer.abort()


def test_ranges_outside_the_stream_are_refused(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [[1, 2]])
    for starts, length in (([-1], 1), ([1], 3), ([3], 1), ([0], 4)):
        with pytest.raises(ValueError, match="holds 3 tokens, but rows of"):
            store.gather(np.array(starts), length)


def test_damage_is_named(tmp_path: Path) -> None:
    store = write(tmp_path / "s", DOCUMENTS)
    shard = tmp_path / "s" / "shard-00001.tokens"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"\xff")
    with pytest.raises(ValueError, match=r"shard-00001.tokens is corrupt: its sha256 is"):
        store.verify()
    shard.write_bytes(whole[:-1])
    with pytest.raises(
        ValueError, match=rf"shard-00001.tokens is corrupt: it has {len(whole) - 1}"
    ):
        TokenStore(tmp_path / "s")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"shard-00001.tokens is missing"):
        TokenStore(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not the index of a token store"),
        ("[]", "is not the index of a token store"),
        ('{"format": 1}', "is not the index of a token store: KeyError"),
        ('{"format": 99}', "has store format 99, but this code reads 1"),
    ],
)
def test_bad_indexes_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=f"index.json {message}"):
        TokenStore(tmp_path)
