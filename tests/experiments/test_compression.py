"""Baselines of general compressors, against the compressors run on the held-out text itself."""

import bz2
import json
import lzma

import pytest

from data.prepared import Prepared
from experiments import compression


def test_baselines_are_those_of_the_compressors(trained) -> None:
    text = trained.held_out.encode()
    found = compression.baselines(Prepared.open(trained.path / "data"))
    assert found[compression.BZ2] == pytest.approx(8 * len(bz2.compress(text, 9)) / len(text), rel=1e-12)
    expected = 8 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) / len(text)
    assert found[compression.XZ] == pytest.approx(expected, rel=1e-12)


def test_held_out_is_the_text_that_was_held_out(trained) -> None:
    assert b"".join(compression.held_out(Prepared.open(trained.path / "data"))).decode() == trained.held_out


def test_every_evaluation_carries_the_baselines(trained) -> None:
    lines = [json.loads(line) for line in (trained.path / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if "eval/loss" in line]
    assert [line["step"] for line in evaluations] == [2, 4]
    assert all({compression.BZ2, compression.XZ} < line.keys() for line in evaluations)
