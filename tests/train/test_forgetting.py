"""Continual pre-training from end to end: what is forgotten is what anyone would compute from the checkpoints."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.mixture import with_replay
from data.sources import TextFiles
from train.experiment import Cadence, Experiment
from train.forgetting import Forgetting
from train.load import load_experiment
from train.loop import train
from train.rewarming import Rewarmed
from train.run_directory import RunDirectory
from train.schedule import Constant
from train.start import FromRun
from train.state import Blueprint

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

STEPS = 30


def loss(run: Path, step: int, experiment: Experiment, part: str) -> float:
    """Mean loss over a part's held-out text in NumPy float64, from the arrays of a checkpoint."""
    tree = ocp.StandardCheckpointer().restore((run / "checkpoints" / str(step) / "state").resolve())
    model = Blueprint(experiment.model).model(jax.tree.map(jnp.asarray, tree["weights"]))
    prepared = experiment.data.open(run / "data").sources[part]
    total = count = 0.0
    for batch in experiment.batch.form.evaluation(prepared.validation, prepared.tokenizer, 64):
        outputs = model.outputs(*(jnp.asarray(batch[k]) for k in ("inputs", "positions", "segment_ids")), None)
        logits = np.asarray(outputs.logits, np.float64)
        chosen = np.take_along_axis(logits, np.asarray(batch["targets"])[..., None], -1)[..., 0]
        nll = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1) - chosen
        total += (nll * batch["weights"]).sum()
        count += batch["weights"].sum()
    return total / count


def evaluations(run: Path) -> dict[int, dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "eval/loss" in line}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Experiment]:
    """A run on words, and its experiment."""
    folder = tmp_path_factory.mktemp("forgetting")
    written = load_experiment(str(processes.write_experiment(folder)))[0]
    (folder / "numbers.txt").write_text("\n".join(f"{n} times {n} is {n * n};" for n in range(900)))
    batch = dataclasses.replace(written.batch, evaluation=64)
    model = dataclasses.replace(written.model, layers=1, dropout=0.0)
    experiment = dataclasses.replace(
        written, model=model, batch=batch, schedule=Constant(2e-2, 2), steps=STEPS, cadence=Cadence(10, 15, STEPS, 9)
    )
    train(experiment, RunDirectory(folder / "old"), say=lambda line: None)
    return folder, experiment


def continued(old: tuple[Path, Experiment], share: float) -> tuple[Path, Experiment]:
    folder, experiment = old
    numbers = dataclasses.replace(experiment.data, source=TextFiles(str(folder / "numbers.txt")))
    experiment = dataclasses.replace(
        experiment, data=with_replay(experiment.data, numbers, share), schedule=Rewarmed(2e-2, 2, 1e-3),
        start=FromRun(str(folder / "old")), hooks=(Forgetting(),),
    )  # fmt: skip
    return folder / f"replay{share}", experiment


@pytest.mark.slow
def test_forgetting_with_and_without_replay(old: tuple[Path, Experiment]) -> None:
    found = {}
    for share in (0.0, 0.3):
        run, experiment = continued(old, share)
        train(experiment, RunDirectory(run), say=lambda line: None)
        told = evaluations(run)
        assert sorted(told) == [0, 15, 30] and told[0]["eval/old/forgetting"] == 0
        before, after = (loss(run, step, experiment, "old") for step in (0, STEPS))
        assert told[0]["eval/old/loss"] == pytest.approx(before, rel=1e-5)
        assert told[STEPS]["eval/old/forgetting"] == pytest.approx(after - before, rel=1e-3)
        assert told[STEPS]["eval/new/loss"] == pytest.approx(loss(run, STEPS, experiment, "new"), rel=1e-5)
        assert told[STEPS]["eval/new/loss"] < told[0]["eval/new/loss"]
        assert told[STEPS]["data/old/share"] == pytest.approx(share, abs=1 / 240)
        found[share] = told[STEPS]["eval/old/forgetting"]
    print("forgetting in nats a token, by the share that is replayed:", found)
    assert found[0.0] > 0.2 > found[0.3] and not math.isnan(found[0.3])

    # What the start was is in the run: a resume knows it, with no source left.
    run, experiment = continued(old, 0.3)
    (old[0] / "old").rename(old[0] / "moved")
    longer = dataclasses.replace(experiment, cadence=Cadence(10, 10, STEPS, 9))
    (run / "checkpoints" / str(STEPS)).rename(old[0] / "aside")
    train(longer, RunDirectory(run), say=lambda line: None)
    assert evaluations(run)[STEPS]["eval/old/forgetting"] == found[0.3]
    assert sorted(evaluations(run)) == [0, 10, 20, 30]
