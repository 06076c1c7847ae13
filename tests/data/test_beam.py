"""Beam pipelines make the same files as a pool of processes, byte for byte."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from etils import epath
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.curation import (
    BatchTransform,
    Clean,
    CorpusTransform,
    DeduplicateLines,
    ExactDeduplicate,
    MinLength,
    NearDuplicates,
    Skip,
    Substrings,
    Verdict,
)
from data.curation.beam import curate_with_beam
from data.curation.curation import Curation
from data.curation.engine import curate
from data.curation.join import Clusters, FirstOccurrence, Join, Totals
from data.curation.passes import Task, write_arrays
from data.document import Document
from data.sources import JsonLines

ROOT = Path(__file__).resolve().parents[2]
beam = pytest.importorskip("apache_beam")


@dataclass(frozen=True)
class Echo(BatchTransform):
    """Adds a document after each that shouts."""

    def start_batch(self) -> Callable[[Sequence[Document]], Sequence[Verdict]]:
        return lambda documents: [
            Verdict(d, {"shouts": 1}, added=(replace(d, id=f"{d.id}'", text=d.text.lower()),))
            if d.text.isupper()
            else Verdict(d, tallies={"calm": 1})
            for d in documents
        ]


@dataclass(frozen=True)
class Share(CorpusTransform):
    """Notes of how much text a document is a part."""

    @property
    def join(self) -> Totals:
        return Totals()

    def start_signature(self) -> Callable[[Document], dict[str, float]]:
        return lambda document: {"characters": len(document.text) / 3}

    def start_apply(self) -> Callable[[Document, Any], Verdict]:
        return lambda document, sums: Verdict(replace(document, meta={**document.meta, "of": sums["characters"]}))


@pytest.fixture
def source(tmp_path: Path) -> JsonLines:
    folder = tmp_path / "source"
    folder.mkdir()
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
    long = " ".join(words * 4)
    for shard in range(4):
        texts = [
            f"{long} {shard}",
            f"Text {shard % 2} of some.\r\n\n\nA paragraph that comes again and again, {shard % 3}.",
            f"SHOUTED {shard} TIMES",
            " ".join(f"{word}{shard}" for word in words) + "\nA line that stands everywhere, shouted not.",
            f"Before {shard}: {'passage, ' * 3}that is repeated word for word in every one: after {shard * shard}",
            "no",
            f"Known of old, {shard}",
            "!" * 6,
        ]
        lines = [json.dumps({"text": text}) for text in texts[: 8 - shard]]
        (folder / f"part-{shard}.jsonl").write_text("\n".join([*lines, "not json"]))
    (folder / "part-4.jsonl").write_text("")
    (folder / "part-5.jsonl").write_text(json.dumps({"text": "short"}))
    (tmp_path / "old").mkdir()
    for part, text in enumerate(("Known of old, 1", "A line that stands everywhere, shouted not.", f"{long} old")):
        (tmp_path / "old" / f"{part}.jsonl").write_text(json.dumps({"text": text}))
    return JsonLines(folder, licence="CC0-1.0", language="en")


def recipe(source: JsonLines) -> Curation:
    old = JsonLines(Path(source.path).parent / "old")
    transforms = (
        Clean(),
        ExactDeduplicate(against=old),
        MinLength(6),
        Echo(),
        NearDuplicates(against=old),
        DeduplicateLines(20, against=old),
        Share(),
        Substrings(30, against=old),
        Echo(),
    )
    return Curation(source, transforms, Skip(0.5))


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_every_file_is_the_same(tmp_path: Path, source: JsonLines) -> None:
    curation, lines = recipe(source), []
    pool = curate(curation, tmp_path / "pool", 1, lines.append)
    made = curate_with_beam(curation, tmp_path / "beam", log=lines.append)
    assert contents(tmp_path / "beam") == contents(tmp_path / "pool")
    assert made.report == pool.report
    # The recipe is a test only if each of its transforms has something to do.
    for transform in made.report["transforms"]:
        assert transform["dropped"] or transform["changed"] or transform["added"], transform["transform"]
    assert made.report["bad"] == {"not JSON": 4}


def test_a_pool_goes_on_where_beam_was_stopped(
    tmp_path: Path, source: JsonLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    curation, lines = Curation(source, (Clean(), ExactDeduplicate(), MinLength(6)), Skip(0.5)), []
    run = Task.run

    def stopped(task: Task, number: int, *others: Any) -> int:
        if task.part.number == 1 and number == 2:
            raise OSError("no space left")
        return run(task, number, *others)

    with monkeypatch.context() as patch:
        patch.setattr(Task, "run", stopped)
        with pytest.raises(OSError, match="no space left"):
            curate_with_beam(curation, tmp_path / "made", log=lines.append)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("made/.curating/pass-0/*.json")}
    assert len(first) == 6
    monkeypatch.setattr(Task, "run", lambda task, *rest: run(task, *rest) if task.part.number else pytest.fail("again"))
    curate(curation, tmp_path / "made", 1, lines.append)
    assert any("going on" in line for line in lines)
    monkeypatch.undo()
    curate(curation, tmp_path / "whole", 1, lines.append)
    assert contents(tmp_path / "made") == contents(tmp_path / "whole")


_KEY = st.tuples(st.integers(0, 3), st.integers(0, 2))
_KEYS = st.lists(_KEY, max_size=3).map(lambda pairs: np.array(pairs, np.uint64).reshape(-1, 2))
_BANDS = st.sampled_from([0, 2]).flatmap(lambda size: st.lists(st.integers(0, 9), min_size=size, max_size=size))
_CASES = st.one_of(
    st.tuples(st.just(FirstOccurrence()), st.lists(st.lists(_KEYS, max_size=4), min_size=2, max_size=4)),
    st.tuples(
        st.just(Clusters()),
        st.lists(st.lists(_BANDS.map(lambda bands: np.array(bands, np.uint64)), max_size=8), min_size=2, max_size=4),
    ),
)


@given(case=_CASES, earlier=st.integers(0, 2))
# Shrinking would run a pipeline hundreds of times.
@settings(max_examples=5, phases=[Phase.generate])
def test_distributed_joins_find_the_same(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Join, list[list[Any]]], earlier: int
) -> None:
    from data.curation.beam.joins import resolve

    join, shards = case
    directory = epath.Path(tmp_path_factory.mktemp("signatures"))
    packed = [join.pack(shard) for shard in shards]
    paths = [(number - earlier, directory / f"{number}.npz") for number in range(len(shards))]
    for (_, path), arrays in zip(paths, packed, strict=True):
        write_arrays(path, arrays)
    found: dict[int, list[Any]] = {}
    with beam.Pipeline("FnApiRunner") as pipeline:
        # What is found is written down by this process: the local runner has no other.
        _ = resolve(join, pipeline | beam.Create(paths[::-1])) | beam.MapTuple(
            lambda number, findings: (directory / f"{number}.json").write_text(json.dumps(_plain(findings)))
        )
    found = {number: json.loads((directory / f"{number}.json").read_text()) for number, _ in paths}
    assert [found[number] for number, _ in paths] == [_plain(findings) for findings in join.resolve(packed)]


def _plain(findings: Sequence[Any]) -> list[Any]:
    return [np.asarray(finding).tolist() for finding in findings]


def test_an_error_in_a_pipeline_is_the_same_sentence(tmp_path: Path, source: JsonLines) -> None:
    with pytest.raises(ValueError, match=r"part-0.jsonl:9 is not JSON: [^\[]*$"):
        curate_with_beam(Curation(source), tmp_path / "refused", log=lambda line: None)
    with pytest.raises(ValueError, match=r"more than Substrings.limit = 9; [^\[]*$"):
        curate_with_beam(Curation(source, (Substrings(limit=9),), Skip(1.0)), tmp_path / "long", log=lambda line: None)
    with pytest.raises(ValueError, match="Apache Beam has no option 'runer'; did you mean runner"):
        curate_with_beam(Curation(source), tmp_path / "option", ["--runer=DirectRunner"])
    assert not (tmp_path / "refused" / "curated.json").exists()


def test_beam_is_an_extra(tmp_path: Path, source: JsonLines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'espalier\[beam\]'"):
        curate_with_beam(Curation(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_verb_runs_pipelines_and_says_nothing_of_beam(tmp_path: Path, source: JsonLines) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from data.curation import ExactDeduplicate, Skip\n"
        "from data.curation.curation import Curation\n"
        "from data.sources import JsonLines\n"
        f"def curation():\n    return Curation(JsonLines({str(source.path)!r}), (ExactDeduplicate(),), Skip(0.5))\n"
    )
    command = [sys.executable, "-m", "data.curate", f"--config={recipe}", f"--to={tmp_path / 'out'}", "--runner=beam"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "data: pass 2 of 2: 6 shards" in done.stdout
