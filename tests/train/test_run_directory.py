"""The run directory: names that other tools rely on, and what may change between one start and the next."""

import dataclasses
import json
from pathlib import Path

import pytest

from train.load import load_experiment
from train.run_directory import RunDirectory


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("shakespeare_char")[0]


def test_checkpoints_lie_on_an_absolute_path_which_orbax_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(RunDirectory("runs/one").checkpoints) == str(tmp_path / "runs" / "one" / "checkpoints")
    assert str(RunDirectory("gs://bucket/one").checkpoints) == "gs://bucket/one/checkpoints"


def test_begin_writes_config_difference_and_environment(tmp_path: Path, experiment) -> None:
    run = RunDirectory(tmp_path)
    changed = dataclasses.replace(experiment, steps=7)
    run.begin(changed, experiment, ["python", "-m", "train"])
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 7
    assert "  steps: 2000 -> 7" in (tmp_path / "config_diff.txt").read_text()
    assert json.loads((tmp_path / "environment.json").read_text())["command"] == ["python", "-m", "train"]
    assert run.experiment() == changed


def test_what_may_change_and_what_may_not(tmp_path: Path, experiment) -> None:
    run = RunDirectory(tmp_path)
    run.begin(experiment, experiment, [])
    moved = dataclasses.replace(experiment.data, source=dataclasses.replace(experiment.data.source, path="/elsewhere"))
    often = dataclasses.replace(experiment.cadence, log=1)
    run.check_same(dataclasses.replace(experiment, data=moved, cadence=often, hooks=()))
    with pytest.raises(ValueError, match=r"holds a run of another experiment \(seed: 1337 -> 2\)"):
        run.check_same(dataclasses.replace(experiment, seed=2))
