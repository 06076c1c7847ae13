"""JSON lines: what cannot be read of them, and files that several workers read."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources import BadRecord, JsonLines, Source

DEEP = b"[" * 100_000


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": "x"', "not JSON"),
        (b'"text"', "not an object"),
        (b'{"body": "x"}', "no text"),
        (b'{"text": null}', "no text"),
        (b'{"text": ["x"]}', "text is no string"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": "x", "lang": 7}', "language is no string"),
        (DEEP, "JSON beyond limits"),
        (b"9" * 5000, "JSON beyond limits"),
        (b'{"text": "' + b"x" * 200_000 + b'"}', "too long"),
    ],
)
def test_bad_lines_are_counted_by_their_kind(tmp_path: Path, line: bytes, problem: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}')
    before, bad, after = records(JsonLines(tmp_path, language_field="lang", longest=200_000))
    assert (before.text, after.text, after.id) == ("before", "after", "a.jsonl:3")
    assert (bad.problem, bad.place) == (problem, f"{tmp_path}/a.jsonl:2")
    assert bad.message.startswith(f"{tmp_path}/a.jsonl:2 ") and "\n" not in bad.message and len(bad.excerpt) <= 200


def test_a_record_knows_better_than_the_spec(tmp_path: Path) -> None:
    rows = [{"text": "a", "l": "MIT", "lang": "fr"}, {"text": "b", "l": " ", "lang": None}, {"text": "c", "n": 1}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = JsonLines(tmp_path, licence="CC0-1.0", language="en", licence_field="l", language_field="lang")
    found = list(source.documents())
    assert [(d.licence, d.language) for d in found] == [("MIT", "fr"), ("CC0-1.0", "en"), ("CC0-1.0", "en")]
    assert [dict(d.meta) for d in found] == [{}, {}, {"n": 1}]


@given(
    texts=st.lists(st.text(max_size=30), max_size=12),
    shard_bytes=st.integers(1, 80),
    longest=st.sampled_from([40, 1000]),
    ended=st.booleans(),
)
def test_ranges_have_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], shard_bytes: int, longest: int, ended: bool
) -> None:
    path = tmp_path_factory.mktemp("ranges") / "a@0-5.jsonl"
    rows = [json.dumps({"text": text}).encode() for text in texts]
    path.write_bytes(b"\n".join([*rows, b""]) if ended else b"\n".join(rows))
    whole = records(JsonLines(path, longest=longest))
    source = JsonLines(path, longest=longest, shard_bytes=shard_bytes)
    shards = list(source.shards())
    read = {}
    # In any order, each apart: a worker that is started again reads what it would have read.
    for shard in random.Random(0).sample(shards, len(shards)):
        read[shard.name] = list(source.read(shard))
    found = [record for shard in shards for record in read[shard.name]]
    assert [getattr(r, "text", None) for r in found] == [getattr(r, "text", None) for r in whole]
    assert [type(r) for r in found] == [type(r) for r in whole]
    if len(shards) > 1:
        starts = [sum(len(row) + 1 for row in rows[:i]) for i in range(len(rows))]
        wanted = {f"{path}@{start}" if len(row) > longest else f"{path.name}@{start}"
                  for start, row in zip(starts, rows, strict=True)}  # fmt: skip
        assert {r.place if isinstance(r, BadRecord) else r.id for r in found} == wanted


def test_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match="longest is 0 and shard_bytes 1073741824, but both must be at least 1"):
        JsonLines("a", longest=0)
