"""Runs in two stages: the second begins with what the first came to, made by itself or within the run."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.targets import NextToken, PrefixLM
from data.tokenizers import Characters
from train.experiment import Cadence, Experiment
from train.load import load_experiment
from train.loop import train
from train.pretrained import Pretrained
from train.run_directory import RunDirectory
from train.schedule import Constant

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

pytestmark = pytest.mark.usefixtures("quickly_compiled")
change = dataclasses.replace


def weights(run: Path, step: int) -> dict[str, np.ndarray]:
    """Those of a checkpoint, read by Orbax alone."""
    tree = ocp.StandardCheckpointer().restore((run / "checkpoints" / str(step) / "state").resolve())["weights"]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[path].tobytes() == other[path].tobytes() for path in one)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    written = load_experiment(str(processes.write_experiment(tmp_path_factory.mktemp("pretrained"))))[0]
    batch = change(written.batch, targets=PrefixLM(), evaluation=64)
    often = Cadence(log=1, evaluate=100, checkpoint=4, keep=9)
    return change(written, model=change(written.model, layers=1), batch=batch, steps=6, cadence=often)


def test_the_second_stage_begins_with_the_weights_of_the_first(tmp_path: Path, plain: Experiment) -> None:
    staged = change(plain, start=Pretrained(plain.data, steps=8, schedule=Constant(1e-2, 2)))
    first = change(plain, batch=change(plain.batch, targets=NextToken()), steps=8, schedule=Constant(1e-2, 2))
    for experiment, name in ((first, "first"), (staged, "staged")):
        train(experiment, RunDirectory(tmp_path / name), say=lambda line: None)
    run = tmp_path / "staged"
    assert same(weights(tmp_path / "first", 8), weights(run, 0)) and not same(weights(run, 0), weights(run, 6))
    record = json.loads((run / "start.json").read_text())
    assert (record["type"], record["run"], record["step"]) == ("FromRun", str(run / "pretraining"), 8)

    # Stopped before the second stage has anything of its own, it finds the first where that was stopped.
    again = tmp_path / "again"
    shutil.copytree(run / "pretraining", again / "pretraining")
    shutil.rmtree(again / "pretraining" / "checkpoints" / "8")
    said: list[str] = []
    train(staged, RunDirectory(again), say=said.append)
    assert "pretraining: resume: step 4 of 8" in said
    assert same(weights(run, 0), weights(again, 0)) and same(weights(run, 6), weights(again, 6))


def test_two_stages_have_one_tokenizer(tmp_path: Path, plain: Experiment) -> None:
    other = change(plain.data, tokenizer=Characters())
    staged = change(plain, start=Pretrained(other, steps=2, schedule=Constant(1e-2)))
    with pytest.raises(ValueError, match="the stage before has the tokenizer characters .*, and this one bytes"):
        train(staged, RunDirectory(tmp_path / "run"), say=lambda line: None)


def test_a_first_stage_that_cannot_be_is_refused(plain: Experiment) -> None:
    with pytest.raises(ValueError, match="start: in the stage before, steps is 0; it is at least 1"):
        change(plain, start=Pretrained(plain.data, steps=0, schedule=Constant(1e-2)))
