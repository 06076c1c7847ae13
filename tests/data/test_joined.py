"""Several sources read as one."""

import json
from pathlib import Path

import pytest

from data.sources import Joined, JsonLines, Source, TextFiles
from data.spec import build, describe


def test_shards_of_all_and_documents_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("one")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "two"}))
    text = TextFiles(tmp_path / "text", licence="MIT")
    lines = JsonLines(tmp_path / "a.jsonl", language="en")
    source = Joined((text, lines, Joined((text,))))
    assert [s.name for s in source.shards()] == ["0/files-00000", "1/a.jsonl", "2/0/files-00000"]
    apart = [list(source.read(shard)) for shard in reversed(source.shards())]
    assert [d for records in reversed(apart) for d in records] == list(source.documents())
    assert list(source.documents()) == [*text.documents(), *lines.documents(), *text.documents()]
    assert describe(build(describe(source), Source)) == describe(source)
    before = source.fingerprint()
    assert before != Joined((lines, text)).fingerprint()
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "TWO"}))
    assert source.fingerprint() != before
    with pytest.raises(ValueError, match="sources is empty, but must name at least one source"):
        Joined(())
