"""Records keep what they say of themselves; a curated corpus is read by its marker."""

import json
from pathlib import Path

import pytest

from data.curation.curation import Curation
from data.curation.engine import curate
from data.document import Document
from data.sources import BadRecord, CuratedDocuments, JsonLines, curated


def test_lines_keep_their_own_words(tmp_path: Path) -> None:
    records = [
        {"text": "a", "id": "x", "source": "s", "licence": "MIT", "language": "de", "meta": {"domain": "d"}, "year": 3},
        {"text": "b"},
        {"text": "c", "id": 7, "meta": "loose"},
    ]
    path = tmp_path / "docs" / "one.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([*map(json.dumps, records), "{broken"]))
    source = CuratedDocuments(path.parent)
    (shard,) = source.shards()
    *documents, bad = source.read(shard)
    here = str(path.parent)
    assert documents == [
        Document("a", "x", "s", "MIT", "de", {"domain": "d", "year": 3}),
        Document("b", "one.jsonl:2", here),
        Document("c", "one.jsonl:3", here, meta={"id": 7, "meta": "loose"}),
    ]
    assert isinstance(bad, BadRecord) and "one.jsonl:4" in bad.place
    before = source.fingerprint()
    path.write_text(path.read_text() + "\n")
    assert source.fingerprint() != before


def test_large_files_are_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curated, "_SHARD_BYTES", 100)
    path = tmp_path / "large.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {i}", "id": str(i)}) + "\n" for i in range(20)))
    source = CuratedDocuments(path)
    assert len(source.shards()) > 3
    assert [d.id for d in source.documents()] == [str(i) for i in range(20)]


def test_a_curated_corpus_is_read_shard_by_shard(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a", "b"):
        (texts / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": f"{name} {i}"}) for i in range(5)))
    corpus = curate(Curation(JsonLines(str(texts), licence="MIT")), tmp_path / "corpus", log=lambda line: None)
    source = CuratedDocuments(str(tmp_path / "corpus"))
    assert [shard.name for shard in source.shards()] == ["shard-00000.jsonl.zst", "shard-00001.jsonl.zst"]
    assert list(source.documents()) == list(corpus.documents()) and len(list(source.documents())) == 10
    # What identifies it is what is in it, not where it lies.
    (tmp_path / "corpus").rename(tmp_path / "moved")
    moved = CuratedDocuments(str(tmp_path / "moved"))
    assert moved.fingerprint() == source.__class__(str(tmp_path / "moved")).fingerprint()
    archive = tmp_path / "moved" / "documents" / "shard-00001.jsonl.zst"
    archive.write_bytes(archive.read_bytes()[:-9])
    *_, bad = moved.read(moved.shards()[1])
    assert isinstance(bad, BadRecord) and "shard-00001.jsonl.zst is damaged" in bad.message
    with pytest.raises(ValueError, match=r"shard-00001.jsonl.zst is damaged"):
        list(moved.documents())
