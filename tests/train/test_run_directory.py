"""The run directory: names that other tools rely on, and what may change between one start and the next."""

import dataclasses
import json
from pathlib import Path

import pytest

from data.mixture import Joining, Mixture, Part
from train.experiment import Experiment
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
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["command"] == ["python", "-m", "train"] and environment["deterministic"] is False
    assert run.experiment() == changed


def test_what_may_change_and_what_may_not(tmp_path: Path, experiment) -> None:
    run = RunDirectory(tmp_path)
    run.begin(experiment, experiment, [])
    moved = dataclasses.replace(experiment.data, source=dataclasses.replace(experiment.data.source, path="/elsewhere"))
    often = dataclasses.replace(experiment.cadence, log=1)
    run.check_same(dataclasses.replace(experiment, data=moved, cadence=often, hooks=()))
    with pytest.raises(ValueError, match=r"holds a run of another experiment \(seed: 1337 -> 2\)"):
        run.check_same(dataclasses.replace(experiment, seed=2))


def test_data_may_join_at_a_step_that_was_not_passed(tmp_path: Path, experiment) -> None:
    run, old = RunDirectory(tmp_path), Mixture((Part("plays", experiment.data, 1.0),))
    run.begin(dataclasses.replace(experiment, data=old), experiment, [])
    (tmp_path / "checkpoints" / "500").mkdir(parents=True)
    (tmp_path / "checkpoints" / "500.orbax-tmp").mkdir()
    assert run.steps_saved() == 500

    def joined(step: int, **changes: object) -> Experiment:
        new = Part("poems", experiment.data, Joining(step, 0.5))
        return dataclasses.replace(experiment, data=dataclasses.replace(old, parts=(*old.parts, new), **changes))

    run.check_same(joined(500))
    with pytest.raises(ValueError, match="is at step 500, but data would join at step 400; choose a later step"):
        run.check_same(joined(400))
    with pytest.raises(ValueError, match=r"another experiment \(.*data.temperature: 1.0 -> 2.0"):
        run.check_same(joined(500, temperature=2.0))
    with pytest.raises(ValueError, match="another experiment"):
        run.check_same(dataclasses.replace(joined(500), seed=2))
