"""Fingerprints: at resume it shows whether the data or the program changed, and what that did to the first losses."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

import train.loop
from train.checkpoint import Checkpoints
from train.metrics import read_metrics
from train.run_directory import RunDirectory

_spec = importlib.util.spec_from_file_location("spoilt", Path(__file__).parent / "spoilt.py")
spoilt = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(spoilt)

pytestmark = pytest.mark.usefixtures("quickly_compiled")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that died at step 12 with nothing saved after step 8, its text beside it."""
    directory = tmp_path_factory.mktemp("fingerprint")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoints, "save", spoilt.crashing(12))
        with pytest.raises(RuntimeError, match="killed"):
            spoilt.go(spoilt.experiment(directory), directory / "run")
    return directory


@pytest.fixture
def resume(killed: Path, tmp_path: Path) -> Callable[[], tuple[RunDirectory, list[str]]]:
    """Goes on with a copy of the run; gives what it says of fingerprints."""
    shutil.copytree(killed / "run", tmp_path / "run")

    def go() -> tuple[RunDirectory, list[str]]:
        run, said = spoilt.go(spoilt.experiment(killed), tmp_path / "run")
        return run, [line for line in said if line.startswith("fingerprint")]

    return go


def test_the_first_steps_are_taken_down(killed: Path) -> None:
    stored = json.loads((killed / "run" / "fingerprint.json").read_text())
    logged = {line["step"]: line for line in read_metrics(RunDirectory(killed / "run").metrics) if "train/loss" in line}
    assert len(stored["first"]) == 3 and len(stored["programs"]) == 1 and stored["position"] == 0
    # Steps 1 and 3 are not in the metrics, which are written every other step.
    assert stored["first"][1] == {key: logged[2][key] for key in stored["first"][1]}
    assert len({one["train/batch"] for one in stored["first"]}) == 3


def test_nothing_changed(resume: Any) -> None:
    _, said = resume()
    assert said == ["fingerprint: the data and the program are as before"]


def test_other_data_is_refused(resume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    training = train.loop.training
    monkeypatch.setattr(train.loop, "training", lambda *a, **k: training(*a, **{**k, "seed": 4}))
    with pytest.raises(ValueError, match="batch 1 of this run is another than when it was begun .* remove "):
        resume()


def test_another_program_that_computes_the_same(resume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = spoilt.Spoilt.sums

    def slower(self: Any, *rest: Any) -> Any:
        found = sums(self, *rest)
        return found._replace(nll=jnp.maximum(found.nll, found.nll))

    monkeypatch.setattr(spoilt.Spoilt, "sums", slower)
    run, said = resume()
    assert said == [
        "fingerprint: the data is the same; the program changed, and gives the same first 3 losses and gradient norms"
    ]
    programs = json.loads(run.fingerprint.read_text())["programs"]
    assert [one["step"] for one in programs] == [0, 8]


def test_another_program_that_computes_something_else(resume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = spoilt.Spoilt.sums

    def other(self: Any, *rest: Any) -> Any:
        found = sums(self, *rest)
        return found._replace(nll=found.nll * 1.5)

    monkeypatch.setattr(spoilt.Spoilt, "sums", other)
    _, said = resume()
    assert said[0] == (
        "fingerprint: the data is the same; the program changed, "
        "and its first 3 losses are up to 5.0e-01 of themselves apart"
    )
    # Step 10 was done before the run died, and is done again.
    assert len(said) == 2 and said[1].startswith("fingerprint: step 10, done again, differs from before: train/loss ")
