"""Weights & Biases, by a package of that name that writes down what it is told."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import MLP
from model.transformer import TransformerConfig
from train.clock import Clock
from train.experiment import Batches, Experiment
from train.journal import Journal
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.schedule import WarmupCosine
from train.wandb_board import WeightsAndBiases

FAKE = '''
import json, pathlib
_to = pathlib.Path(__file__).with_suffix(".jsonl")
def _told(*what):
    with _to.open("a") as file:
        file.write(json.dumps(what) + "\\n")
class _Run:
    def log(self, values, step):
        _told("log", step, values)
    def finish(self):
        _told("finish")
def init(**given):
    _told("init", given)
    return _Run()
'''


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the fake package was told so far."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "wandb.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    yield lambda: [json.loads(line) for line in (folder / "wandb.jsonl").read_text().splitlines()]
    sys.modules.pop("wandb", None)


def experiment(*hooks: WeightsAndBiases) -> Experiment:
    return Experiment(
        model=TransformerConfig(1, 8, 257, Attention(2), MLP(8)),
        data=Recipe(TextFiles("none.txt"), (), TailSplit(0.1), Bytes()),
        batch=Batches(sequence=8, batch=2),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=0.1, warmup=1),
        steps=20,
        hooks=hooks,
    )


def journal(run: RunDirectory, start: int, of: Experiment) -> Journal:
    return Journal(run, start, of, Clock(run.clock), (), True)


def test_a_restart_goes_on_in_the_same_run(tmp_path: Path, told: Any) -> None:
    run, of = RunDirectory(tmp_path / "run"), experiment(WeightsAndBiases("mine", offline=True))
    for start in (0, 10):
        with journal(run, start, of) as kept:
            kept.note(start + 5, {"train/loss": 2.5})
            kept.note(start + 5, {"eval/loss": 3.0})
    first, second = (given for kind, *rest in told() if kind == "init" for given in rest)
    assert first == second and first["resume"] == "allow" and len(first["id"]) == 8
    assert first["project"] == "mine" and first["mode"] == "offline" and first["entity"] is None
    assert first["dir"] == str(tmp_path / "run") and first["name"] == "run"
    assert first["config"]["model"]["embed"] == 8
    said = [line for line in told() if line[0] != "init"]
    assert said == [
        ["log", 5, {"train/loss": 2.5}], ["log", 5, {"eval/loss": 3.0}], ["finish"],
        ["log", 15, {"train/loss": 2.5}], ["log", 15, {"eval/loss": 3.0}], ["finish"],
    ]  # fmt: skip
    assert list((tmp_path / "run" / "tensorboard").glob("events.*")), "TensorBoard is written always"


def test_nobody_asking_it_is_not_imported(tmp_path: Path, told: Any) -> None:
    with journal(RunDirectory(tmp_path / "run"), 0, experiment()) as kept:
        kept.note(5, {"train/loss": 2.5})
    assert "wandb" not in sys.modules
    assert "train.wandb_board" in sys.modules


def test_without_the_package_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="needs the package wandb: install it, or take the hook out"):
        journal(RunDirectory(tmp_path / "run"), 0, experiment(WeightsAndBiases()))
