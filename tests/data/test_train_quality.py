"""The verb that trains a quality classifier."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from data import train_quality
from data.curation import AtLeast, QualityScore
from data.document import Document
from data.pinned_file import PinnedFile

ROOT = Path(__file__).resolve().parents[2]
GOOD = [f"The heron number {n} stands in clear water, and waits for {n} fish." for n in range(60)]
BAD = [f"buy cheap watch {n} best price click here {n} free" for n in range(60)]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "good.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in GOOD))
    (tmp_path / "bad").mkdir()
    for number, text in enumerate(BAD):
        (tmp_path / "bad" / f"{number:02d}.txt").write_text(text)
    return tmp_path


def run(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "data.train_quality", f"--negative={folder / 'bad'}", "--buckets=4096", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_trains_a_classifier_that_a_recipe_can_name(folder: Path) -> None:
    done = run(folder, f"--positive={folder / 'good.jsonl'}", f"--to={folder / 'quality.npz'}")
    assert done.returncode == 0, done.stderr
    trained, held = (tuple(map(int, re.search(rf"{words} (\d+) \D*(\d+)", done.stdout).groups()))
                     for words in ("trained on", "held out:"))  # fmt: skip
    assert trained[0] + held[0] == trained[1] + held[1] == 60
    assert "area under the ROC curve 1.0000" in done.stdout
    path, digest = re.search(r'QualityScore\(PinnedFile\("(.*)", "(.*)"\)\)', done.stdout).groups()
    judge = QualityScore(PinnedFile(path, digest), AtLeast(0.5)).start_batch()
    kept = [verdict.document is not None for verdict in judge([Document(t, "d", "s") for t in (GOOD[0], BAD[0])])]
    assert kept == [True, False]


def test_a_wrong_path_is_one_line(folder: Path) -> None:
    done = run(folder, f"--positive={folder / 'nothing'}", f"--to={folder / 'quality.npz'}")
    assert done.returncode == 2 and not (folder / "quality.npz").exists()
    assert done.stderr == f"error: {folder / 'nothing'} does not exist; give a file, a directory or a glob\n"


def test_documents_are_read_whatever_they_are_stored_as(folder: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"text": GOOD}), folder / "good.parquet")
    for name in ("good.jsonl", "good.parquet"):
        assert [document.text for document in train_quality.documents(str(folder / name))] == GOOD
    assert [document.text for document in train_quality.documents(str(folder / "bad"))] == BAD


def test_documents_are_divided_by_their_text(folder: Path) -> None:
    training, held_out = train_quality.divided([str(folder / "good.jsonl")], 100)
    assert training + held_out != GOOD and sorted(training + held_out) == sorted(GOOD)
    assert 1 <= len(held_out) <= 15
    twice = train_quality.divided([str(folder / "bad"), str(folder / "good.jsonl")], 1000)
    assert set(held_out) <= set(twice[1]) and set(training) <= set(twice[0])
    assert sum(map(len, train_quality.divided([str(folder / "good.jsonl")], 7))) == 7
