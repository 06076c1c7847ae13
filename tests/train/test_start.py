"""Runs that start from others: a branch is the end of one uninterrupted run, and weights arrive as they left."""

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.packing import Windows
from data.recipe import Recipe
from data.tokenizers import Characters
from model.precision import Precision
from sharding.placements import FullySharded
from train.batch_growth import Stages
from train.experiment import Cadence, Experiment
from train.load import load_experiment
from train.loop import train
from train.run_directory import RunDirectory
from train.schedule import Constant
from train.stable_decay import LinearDecay, WarmupStableDecay
from train.start import Branch, FromRun

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

pytestmark = pytest.mark.usefixtures("quickly_compiled")
change = dataclasses.replace


def arrays(run: Path, step: int, field: str = "") -> dict[str, np.ndarray]:
    """Every array of a checkpoint, read by Orbax alone."""
    tree = ocp.StandardCheckpointer().restore((run / "checkpoints" / str(step) / "state").resolve())
    found = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}
    return {path: leaf for path, leaf in found.items() if path.startswith(f"['{field}']" if field else "")}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for path in one:
        assert one[path].dtype == other[path].dtype and one[path].tobytes() == other[path].tobytes(), path


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("perf/")} for line in lines if "train/loss" in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Experiment:
    written = load_experiment(str(processes.write_experiment(folder)))[0]
    often = Cadence(log=1, evaluate=100, checkpoint=4, keep=9)
    growth = Stages((0, 6), (1, 2))
    batch = change(written.batch, growth=growth, evaluation=64)
    model = change(written.model, layers=1)
    return change(written, model=model, steps=12, schedule=Constant(1e-2, 2), cadence=often, batch=batch)


@pytest.fixture(scope="module")
def trunk(folder: Path, tiny: Experiment) -> Path:
    """A run of constant rate, twelve steps long, saved after every fourth."""
    train(tiny, RunDirectory(folder / "trunk"), say=lambda line: None)
    return folder / "trunk"


def run(experiment: Experiment, path: Path) -> list[str]:
    said: list[str] = []
    train(experiment, RunDirectory(path), say=said.append)
    return said


def test_a_branch_is_the_end_of_one_run(folder: Path, tiny: Experiment, trunk: Path) -> None:
    decaying = change(tiny, steps=14, schedule=WarmupStableDecay(1e-2, 2, decay=6, shape=LinearDecay()))
    run(decaying, folder / "whole")
    before = {path: path.read_bytes() for path in trunk.rglob("*") if path.is_file()}
    said = run(change(decaying, start=Branch(str(trunk), step=8)), folder / "branch")
    # Six steps of one batch, then two of two.
    assert f"start: a branch of {trunk} from step 8, data from 10" in said
    assert not any("learning rate" in line for line in said)
    same(arrays(folder / "whole", 14), arrays(folder / "branch", 14))
    assert metrics(folder / "branch") == [line for line in metrics(folder / "whole") if line["step"] > 8]
    assert {path: path.read_bytes() for path in trunk.rglob("*") if path.is_file()} == before

    record = json.loads((folder / "branch" / "start.json").read_text())
    assert (record["type"], record["run"], record["step"], record["position"]) == ("Branch", str(trunk), 8, 10)
    assert record["evaluation"]["eval/loss"] > 0 and len(record["weights"]) == 32


def test_a_resume_does_not_go_back_to_the_source(folder: Path, tiny: Experiment, trunk: Path) -> None:
    source, path = folder / "lost", folder / "lost_branch"
    shutil.copytree(trunk, source)
    branch = change(tiny, steps=14, schedule=Constant(1e-2, 2), start=Branch(str(source), step=12))
    run(branch, path)
    expected = arrays(path, 14)
    shutil.rmtree(source)
    shutil.rmtree(path / "checkpoints" / "14")
    said = run(branch, path)
    assert any(line.startswith("resume: step 12 of 14") for line in said)
    same(expected, arrays(path, 14))


@pytest.mark.slow
def test_weights_alone_begin_anew_in_any_precision_and_placement(folder: Path, tiny: Experiment, trunk: Path) -> None:
    halves = change(tiny.model, vocab=264, precision=Precision(weights="bfloat16", compute="float32"))
    anew = change(tiny, model=halves, placement=FullySharded(), steps=1, start=FromRun(str(trunk)))
    said = run(anew, folder / "anew")
    assert f"start: the weights of {trunk} after step 12; 7 token ids that it lacks begin afresh" in said
    there, here = arrays(trunk, 12, "weights"), arrays(folder / "anew", 0, "weights")
    for path, leaf in there.items():
        np.testing.assert_array_equal(here[path][tuple(map(slice, leaf.shape))], leaf.astype(here[path].dtype))
    grown = [path for path in there if here[path].shape != there[path].shape]
    assert grown and all(np.abs(here[path].astype(float)).min(axis=-1).max() > 0 for path in grown)
    kept = arrays(folder / "anew", 0)
    assert kept["['step']"] == kept["['position']"] == 0
    moments = [leaf for path, leaf in kept.items() if path.startswith("['optimizer']")]
    assert moments and all(not leaf.astype(float).any() for leaf in moments)
    assert json.loads((folder / "anew" / "start.json").read_text())["fresh_ids"] == 7
    # As anyone would compute it from both checkpoints: the first loss is that of the trunk's weights.
    assert abs(metrics(folder / "anew")[0]["train/loss"] - metrics(trunk)[0]["train/loss"]) > 0.5


def test_a_damaged_newest_checkpoint_is_passed_over(folder: Path, tiny: Experiment, trunk: Path) -> None:
    source = folder / "damaged"
    shutil.copytree(trunk, source)
    for file in (source / "checkpoints" / "12").rglob("d/*"):
        file.write_bytes(bytes(file.stat().st_size))
    said = run(change(tiny, steps=1, start=FromRun(str(source))), folder / "from_damaged")
    assert any("checkpoints/12 cannot be used" in line for line in said)
    same(arrays(trunk, 8, "weights"), arrays(folder / "from_damaged", 0, "weights"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda e, t: change(e, start=Branch(t, 7)), "start.step is 7, but .* has checkpoints of steps 4, 8, 12"),
        (lambda e, t: change(e, start=Branch(t, 12)), "is at step 12, and steps is 12; steps counts"),
        (lambda e, t: change(e, start=Branch(t), seed=4), "but here seed: 3 -> 4; FromRun takes the weights alone"),
        (lambda e, t: change(e, start=FromRun(f"{t}x")), "trunkx holds no run: it has no config.json"),
        (
            lambda e, t: change(e, start=FromRun(t), model=change(e.model, embed=32)),
            r"does not fit this model: its .* has shape \(.*16.*\), and the model's \(.*32.*\)",
        ),
        (
            lambda e, t: change(e, start=FromRun(t), model=change(e.model, tie_embeddings=False)),
            "does not fit this model: it has no weight",
        ),
        (
            lambda e, t: change(
                e, start=FromRun(t), data=_characters(e.data), batch=change(e.batch, packing=Windows())
            ),
            "was trained with the tokenizer bytes .* and this data is tokenized by characters .* SavedTokenizer",
        ),
    ],
)
def test_what_does_not_fit_is_said(
    folder: Path, tiny: Experiment, trunk: Path, tmp_path: Path, changed: Callable, message: str
) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        train(changed(tiny, str(trunk)), RunDirectory(tmp_path / "new"), say=lambda line: None)
    assert not (tmp_path / "new" / "start.json").exists()


def _characters(data: Recipe) -> Recipe:
    return change(data, tokenizer=Characters())
