"""Shares of a source: apart from one another, together the whole, each as large as it says."""

import json
from pathlib import Path

import pytest

from data.sources import JsonLines, Share, Source
from data.spec import build, describe


def lines(path: Path, count: int = 2000) -> JsonLines:
    path.write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(count)))
    return JsonLines(path)


def test_shares_are_apart_and_together_the_whole(tmp_path: Path) -> None:
    source = lines(tmp_path / "a.jsonl")
    parts = [[d.id for d in Share(source, low, high).documents()] for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0))]
    assert sorted(sum(parts, [])) == sorted(d.id for d in source.documents())
    # A binomial of 2000 has a deviation of at most 23.
    assert [len(part) for part in parts] == pytest.approx([400, 600, 1000], abs=100)
    other = {d.id for d in Share(source, 0.0, 0.2, seed=1).documents()}
    assert len(other & set(parts[0])) == pytest.approx(80, abs=40)


def test_documents_stay_as_they_are_and_bad_records_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    source = lines(path, 50)
    assert list(Share(source).documents()) == list(source.documents())
    path.write_text("no JSON\n")
    (shard,) = Share(source, 0.0, 1e-9).shards()
    assert len(list(Share(source, 0.0, 1e-9).read(shard))) == 1


def test_what_it_is_made_by(tmp_path: Path) -> None:
    share = Share(lines(tmp_path / "a.jsonl", 5), 0.1, 0.3)
    assert describe(build(describe(share), Source)) == describe(share)
    assert len({share.fingerprint(), Share(share.of, 0.1, 0.4).fingerprint(), share.of.fingerprint()}) == 3
    for low, high in ((0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(ValueError, match="the first below the second"):
            Share(share.of, low, high)
