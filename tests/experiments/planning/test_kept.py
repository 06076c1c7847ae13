"""Figures are read back as they were written, in the order that is asked for."""

import json
from pathlib import Path

from experiments.planning.found import Found
from experiments.planning.kept import read, rounded, written
from experiments.planning.provenance import Provenance
from experiments.planning.results import Result

MADE = Provenance("0.0.1", "a", "b")
RESULT = Result(2.0, 1.0, 10.5, 15.75, 0.5, 1234.0, 1.25, {"fsdp": 4}, 8, 16, 30, 1.5, MADE)
FOUND = Found(24, 3, ("model.remat=full", "batch.accumulate=2"), 0.95, 2.0, 1.5, 2.5, MADE)


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    for figures in (RESULT, FOUND):
        path.write_text(written({"one": figures, "other": figures, "gone": figures}, ["other", "missing", "one"]))
        assert read(path, type(figures)) == {"one": figures, "other": figures}
        assert list(json.loads(path.read_text())) == ["other", "one"]
    assert read(tmp_path / "none.json", Result) == {}


def test_four_figures_are_kept() -> None:
    assert (rounded(1.23456789), rounded(12345.678), rounded(0.0012345)) == (1.235, 12350.0, 0.001234)
