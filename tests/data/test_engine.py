"""A corpus is curated the same by any number of workers, through kills, and never silently shorter."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.curation import Clean, DeduplicateParagraphs, ExactDeduplicate, MinLength, Refuse, Skip
from data.curation.curation import CuratedCorpus, Curation
from data.curation.engine import curate
from data.sources import JsonLines

ROOT = Path(__file__).resolve().parents[2]
TRANSFORMS = (Clean(), MinLength(5), ExactDeduplicate(), DeduplicateParagraphs(10))


@pytest.fixture
def source(tmp_path: Path) -> JsonLines:
    folder = tmp_path / "source"
    folder.mkdir()
    for shard in range(4):
        texts = [
            f"Text {i % 7} of some.\r\n\n\nA paragraph that comes again and again, {i % 3}." for i in range(shard, 12)
        ]
        texts += ["no", f"Only in shard {shard}: caf\u00e9"]
        (folder / f"part-{shard}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return JsonLines(folder, licence="CC0-1.0", language="en")


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_workers_change_nothing(tmp_path: Path, source: JsonLines) -> None:
    lines: list[str] = []
    one = curate(Curation(source, TRANSFORMS), tmp_path / "one", 1, lines.append)
    curate(Curation(source, TRANSFORMS), tmp_path / "two", 2, lines.append)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    texts = [document.text for document in one.documents()]
    # In memory, with a set, as anybody would write it.
    seen, expected = set(), []
    whole = set()
    for document in source.documents():
        text = document.text.replace("\r\n", "\n")
        if len(text) < 5 or text in whole:
            continue
        whole.add(text)
        kept = []
        for paragraph in text.split("\n\n\n"):
            if len(paragraph) < 10 or paragraph not in seen:
                kept.append(paragraph)
            if len(paragraph) >= 10:
                seen.add(paragraph)
        if kept:
            expected.append("\n\n\n".join(kept))
    assert texts == expected
    assert one.characters == sum(map(len, texts))
    assert {document.licence for document in one.documents()} == {"CC0-1.0"}


def test_it_is_made_once_and_only_by_the_same_recipe(tmp_path: Path, source: JsonLines) -> None:
    lines: list[str] = []
    curate(Curation(source, TRANSFORMS), tmp_path / "out", 1, lines.append)
    before = contents(tmp_path / "out")
    curate(Curation(source, TRANSFORMS), tmp_path / "out", 1, lines.append)
    assert "found" in lines[-1] and contents(tmp_path / "out") == before
    with pytest.raises(ValueError, match=r"another recipe: recipe.transforms\[1\].characters is 5 there, 6 here"):
        curate(Curation(source, (Clean(), MinLength(6), *TRANSFORMS[2:])), tmp_path / "out", 1)
    (Path(source.path) / "part-0.jsonl").write_text(json.dumps({"text": "changed"}))
    with pytest.raises(ValueError, match="other text: the files of its source have changed"):
        curate(Curation(source, TRANSFORMS), tmp_path / "out", 1)
    assert contents(tmp_path / "out") == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds mine.txt but no curated corpus"):
        curate(Curation(source), tmp_path / "full", 1)
    assert list(contents(tmp_path / "full")) == ["mine.txt"]


KILLED = """
import sys, time
from data.curation import *
from data.curation.curation import Curation
from data.curation.engine import curate
from data.sources import JsonLines
import data.curation.passes as passes

run_shard = passes.run_shard
def slow(*args):
    time.sleep(0.15)
    return run_shard(*args)
passes.run_shard = slow
transforms = (Clean(), MinLength(5), ExactDeduplicate(), DeduplicateParagraphs(10))
curate(Curation(JsonLines(sys.argv[1], licence="CC0-1.0", language="en"), transforms), sys.argv[2], 1)
"""


def test_a_kill_loses_nothing(tmp_path: Path, source: JsonLines) -> None:
    curate(Curation(source, TRANSFORMS), tmp_path / "whole", 1, lambda line: None)
    command = [sys.executable, "-c", KILLED, str(source.path), str(tmp_path / "killed")]
    kills = 0
    for shards in (1, 6, 10):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while len(list((tmp_path / "killed").glob(".curating/pass-*/shard-*.json"))) < shards:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    half = {p: os.stat(p).st_mtime_ns for p in (tmp_path / "killed").glob(".curating/pass-0/shard-*.json")}
    assert len(half) == 4
    lines: list[str] = []
    curate(Curation(source, TRANSFORMS), tmp_path / "killed", 1, lines.append)
    assert "going on" in lines[0]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_unreadable_records_are_refused_or_counted(tmp_path: Path, source: JsonLines) -> None:
    file = Path(source.path) / "part-1.jsonl"
    good = len(file.read_text().splitlines())
    file.write_bytes(file.read_bytes() + b'\nnot json\n{"text": "\xff"}\n{"text": 3}\n{"text": "the last one"}\n')
    with pytest.raises(ValueError, match=f"part-1.jsonl:{good + 1} is not JSON"):
        curate(Curation(source, TRANSFORMS, Refuse()), tmp_path / "refused", 1, lambda line: None)
    assert not (tmp_path / "refused" / "curated.json").exists()
    with pytest.raises(ValueError, match="3 of 54 records cannot be read, more than the share of 0.01"):
        curate(Curation(source, TRANSFORMS, Skip()), tmp_path / "too_many", 1, lambda line: None)
    lines: list[str] = []
    made = curate(Curation(source, TRANSFORMS, Skip(0.1)), tmp_path / "skipped", 1, lines.append)
    assert sum(made.report["bad"].values()) == 3 and len(made.report["bad_samples"]) >= 1
    assert any("3 records cannot be read" in line for line in lines)
    assert [d.text for d in made.documents() if d.text == "the last one"]
    with pytest.raises(ValueError, match=r"Skip.share is 2.0, but must be in \[0, 1\]"):
        Skip(2.0)


def test_nothing_left_is_an_error(tmp_path: Path, source: JsonLines) -> None:
    with pytest.raises(ValueError, match="gave 50 documents, of which none are left .*MinLength 50"):
        curate(Curation(source, (MinLength(1000),)), tmp_path / "none", 1, lambda line: None)
    assert not contents(tmp_path / "none").keys() - {".lock"}


def test_flipped_bits_are_noticed(tmp_path: Path, source: JsonLines) -> None:
    made = curate(Curation(source, TRANSFORMS), tmp_path / "out", 1, lambda line: None)
    path = Path(made.paths()[0])
    raw = bytearray(path.read_bytes())
    for place in range(12, len(raw), 9):
        changed = raw.copy()
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="shard-00000.jsonl.zst is damaged after document"):
            list(made.documents())
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        list(made.documents())


def test_new_data_joins_an_old_corpus(tmp_path: Path, source: JsonLines) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("\n".join(json.dumps({"text": f"Only in shard {i}: caf\u00e9"}) for i in (1, 3)))
    against = ExactDeduplicate(against=JsonLines(old))
    made = curate(Curation(source, (against,)), tmp_path / "out", 1, lambda line: None)
    alone = curate(Curation(source, (ExactDeduplicate(),)), tmp_path / "alone", 1, lambda line: None)
    texts, before = ([d.text for d in corpus.documents()] for corpus in (made, alone))
    assert [text for text in before if text not in texts] == [f"Only in shard {i}: caf\u00e9" for i in (1, 3)]
    assert [text for text in before if text in texts] == texts
    old.write_text(json.dumps({"text": "other"}))
    with pytest.raises(ValueError, match="other text"):
        curate(Curation(source, (against,)), tmp_path / "out", 1)
    assert CuratedCorpus.open(tmp_path / "out").marker["earlier"] != []


def test_two_processes_do_not_mix(tmp_path: Path, source: JsonLines) -> None:
    import fcntl

    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="another process is writing to"):
            curate(Curation(source, TRANSFORMS), tmp_path / "out", 1)
