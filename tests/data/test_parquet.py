"""Tables in Parquet: columns, row groups, and what is damaged."""

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.sources import BadRecord, Parquet, Source
from data.spec import build, describe


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    day = datetime.datetime(2024, 5, 1, 12)
    columns = {
        "text": [f"text {i} \u00e9" for i in range(25)],
        "key": list(range(100, 125)),
        "when": [day] * 25,
        "lang": ["fr" if i % 2 else None for i in range(25)],
        "tags": [[{"a": i}] for i in range(25)],
        "image": [b"\xff\xd8"] * 25,
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=10)
    return tmp_path / "a.parquet"


def test_rows_are_documents(table: Path) -> None:
    source = Parquet(table, language_field="lang", language="en", licence="MIT")
    found = records(source)
    assert [(d.text, d.id) for d in found] == [(f"text {i} \u00e9", f"a.parquet:{i + 1}") for i in range(25)]
    assert [d.language for d in found[:2]] == ["en", "fr"] and found[0].licence == "MIT"
    # What has no form in JSON is no metadata.
    assert found[3].meta == {"key": 103, "when": "2024-05-01T12:00:00", "tags": [{"a": 3}]}
    json.dumps(found[3].meta)
    named = records(Parquet(table, id_field="key", meta=()))
    assert named[0].id == "100" and named[0].meta == {}
    assert describe(build(describe(source), Source)) == describe(source)


def test_row_groups_are_shards_of_a_large_file(table: Path) -> None:
    source = Parquet(table, shard_bytes=100)
    assert [shard.name for shard in source.shards()] == [f"a.parquet@{i:05d}" for i in range(3)]
    assert records(source) == records(Parquet(table))
    last = list(source.read(source.shards()[2]))
    assert [d.id for d in last] == [f"a.parquet:{i}" for i in range(21, 26)]


def test_columns_are_checked(table: Path) -> None:
    (bad,) = records(Parquet(table, text_field="body"))
    assert bad.problem == "no such column"
    assert bad.message == f"{table} has no column 'body'; it has text, key, when, lang, tags, image"
    assert "no column 'url'" in records(Parquet(table, meta=("key", "url")))[0].message


def test_a_column_named_twice(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], ["b"], [1]], names=["text", "text", "n"]), tmp_path / "a.parquet")
    (bad,) = records(Parquet(tmp_path))
    assert (bad.problem, bad.message) == ("column named twice", f"{tmp_path}/a.parquet has more than one column 'text'")


def test_bad_values_are_counted(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"caf\xe9", None, b"last"], pa.binary())
    # The format does not check that a string is one.
    text = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"text": text, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    good, bad, null, last = records(Parquet(tmp_path))
    assert (good.text, last.text, last.meta) == ("good", "last", {"n": 4})
    assert (bad.problem, bad.place) == ("not UTF-8", f"{tmp_path}/a.parquet:2")
    assert (null.problem, null.place) == ("no text", f"{tmp_path}/a.parquet:3")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    assert [r.problem for r in records(Parquet(tmp_path))] == ["text is no string"] * 2


def test_damage_is_told(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    text = [generator.bytes(600).hex() for _ in range(100)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": text}), path, row_group_size=50, use_dictionary=False, write_page_checksum=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for shard_bytes in (1 << 30, 10):
        (bad,) = records(Parquet(tmp_path, shard_bytes=shard_bytes))
        assert bad.problem == "not Parquet" and bad.message.startswith(f"{path} is given up after row 0: not Parquet")
    path.write_bytes(whole[:40_000] + bytes(20_000) + whole[60_000:])
    *found, bad = records(Parquet(tmp_path))
    assert isinstance(bad, BadRecord) and bad.problem in ("damaged file", "not Parquet")
    assert all(d.text == text[i] for i, d in enumerate(found))


def test_a_batch_is_as_small_as_its_rows_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": ["x" * (1 << 20)] * 40}), tmp_path / "a.parquet", use_dictionary=False)
    asked = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, n, **options: asked.append(n) or batches(self, n, **options)
    )
    assert len(records(Parquet(tmp_path))) == 40
    assert asked == [15]
