"""Trials in one program learn what they learn apart, and what is no number is refused."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import GatedMLP
from model.norms import LayerNorm
from model.precision import Precision
from model.transformer import TransformerConfig
from sharding.placements import Combined, DataParallel
from train.experiment import Batches, Experiment
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.program import Programs
from train.safety import Safety
from train.schedule import WarmupCosine
from train.state import Blueprint, fresh_state
from train.trials import NotTogether, Trials, numbers_of

BASE = Experiment(
    model=TransformerConfig(
        layers=2, embed=16, vocab=32, dropout=0.1, attention=Attention(2), feedforward=GatedMLP(24),
        precision=Precision(compute="float32"),
    ),
    data=Recipe(TextFiles("there_is_none.txt"), (), TailSplit(0.2), Bytes()),
    batch=Batches(sequence=8, batch=4, accumulate=2),
    safety=Safety(patience=0), optimizer=AdamW(eps=1e-3), schedule=WarmupCosine(peak=1e-2, warmup=2), steps=3,
)  # fmt: skip
TRIALS = [
    BASE,
    dataclasses.replace(BASE, seed=3),
    dataclasses.replace(
        BASE, schedule=WarmupCosine(peak=5e-3, warmup=1, floor=1e-3), optimizer=AdamW(eps=1e-3, decay=0.3)
    ),
    dataclasses.replace(BASE, steps=5, seed=4, objective=CrossEntropy(z_loss=0.01)),
]


def batch(seed: int, step: int) -> dict[str, np.ndarray]:
    tokens = np.random.default_rng([seed, step]).integers(0, 32, (4, 9)).astype(np.int32)
    return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": np.ones((4, 8), np.float32)}


def apart(experiment: Experiment) -> tuple[Any, list[float]]:
    """Weights after all steps, and the losses on the way, on one device."""
    layout = DataParallel().on(jax.devices()[:1])
    programs = Programs.of(dataclasses.replace(experiment, placement=DataParallel()), layout)
    schedule = experiment.schedule.over(experiment.steps)
    optimizer = experiment.optimizer.transform(schedule, programs.blueprint.table)
    objective, safety = experiment.objective, experiment.safety
    state = fresh_state(Blueprint(experiment.model), optimizer, layout, experiment.seed, objective, safety)
    losses = []
    for step in range(experiment.steps):
        state, metrics = programs.at(step)(state, batch(experiment.seed, step))
        losses.append(float(metrics["train/loss"]))
    return jax.tree.map(np.asarray, state.weights), losses


@pytest.mark.parametrize(
    ("devices", "placement"),
    [(1, DataParallel()), (4, DataParallel()), pytest.param(8, Combined(fsdp=2), marks=pytest.mark.slow)],
)
def test_together_is_apart(devices: int, placement: Any) -> None:
    trials = Trials([dataclasses.replace(one, placement=placement) for one in TRIALS], jax.devices()[:devices])
    assert trials.layout.mesh.size == devices
    state, losses = trials.fresh(), []
    for step in range(5):
        state, metrics = trials.step(state, trials.rows([batch(one.seed, step) for one in TRIALS]))
        losses.append(np.asarray(metrics["train/loss"]))
    weights = jax.tree.map(np.asarray, state.weights)
    seen = jax.tree.map(jax.numpy.asarray, batch(7, 7))
    (nll, tokens), at = trials.sums(state, seen)
    np.testing.assert_allclose(np.sum(at.nll, axis=1), nll, rtol=1e-5)
    for i, one in enumerate(TRIALS):
        wanted, path = apart(one)
        np.testing.assert_allclose([loss[i] for loss in losses[: one.steps]], path, rtol=1e-5)
        jax.tree.map(lambda x, y, i=i: np.testing.assert_allclose(x[i], y, rtol=1e-4, atol=1e-5), weights, wanted)
        assert int(state.step[i]) == one.steps and float(tokens[i]) == 32
        model = Blueprint(one.model).model(jax.tree.map(lambda x, i=i: jax.numpy.asarray(x[i]), weights))
        expected = one.objective.sums(model, seen, None).nll
        assert float(nll[i]) == pytest.approx(float(expected), rel=1e-4)


def test_numbers_are_those_that_differ() -> None:
    found = {key: values.tolist() for key, values in numbers_of(TRIALS).items()}
    assert found["seed"] == [0, 3, 0, 4] and found["steps"] == [3, 3, 3, 5] and found["schedule.warmup"] == [2, 2, 1, 2]
    assert found["schedule.peak"] == pytest.approx([1e-2, 1e-2, 5e-3, 1e-2])
    assert found.keys() == {
        "seed", "steps", "schedule.peak", "schedule.warmup", "schedule.floor", "optimizer.decay",
        "objective.z_loss",
    }  # fmt: skip


def test_what_is_no_number_is_refused() -> None:
    other = dataclasses.replace(BASE, model=dataclasses.replace(BASE.model, norm=LayerNorm()))
    with pytest.raises(NotTogether, match="^trials differ in model.norm"):
        Trials([BASE, other])
    with pytest.raises(NotTogether, match="^trials differ in batch.batch "):
        Trials([BASE, dataclasses.replace(BASE, batch=Batches(sequence=8, batch=8, accumulate=2))])


def test_a_number_that_makes_shapes_is_refused() -> None:
    wider = dataclasses.replace(BASE, model=dataclasses.replace(BASE.model, embed=32))
    with pytest.raises(NotTogether, match="^seed, model.embed cannot all differ within one program: "):
        Trials([BASE, wider])
