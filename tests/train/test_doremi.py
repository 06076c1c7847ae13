"""DoReMi against NumPy float64, and from a reference run to the weights of a mixture."""

import dataclasses
import importlib.util
import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data.group_by import ByMeta
from data.grouping import MetadataGroups
from data.mixture import Mixture, Part, weighted_by
from data.recipe import Recipe
from data.sources import JsonLines
from data.split import HashSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.domain_weights import DomainWeights
from train.doremi import DoReMi
from train.experiment import Batches, Cadence, Experiment
from train.group_weights import GroupDRO
from train.loop import train
from train.objective import CausalLM
from train.optimizers import AdamW
from train.probes.noise_scale import NoiseScale
from train.run_directory import RunDirectory
from train.schedule import WarmupCosine
from train.state import Blueprint, TrainState
from train.step import make_step

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

CONFIG = TransformerConfig(
    layers=1, embed=8, vocab=257, attention=Attention(2), feedforward=MLP(8), precision=Precision(compute="float32")
)
NAMES = ("easy", "hard")


def losses(blueprint: Blueprint, weights: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
    """The loss of each token in float64, from the logits."""
    outputs = blueprint.model(weights).outputs(jnp.asarray(batch["inputs"]), None, None, None)
    logits = np.asarray(outputs.logits, np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    return log_z - np.take_along_axis(logits, batch["targets"][..., None], -1)[..., 0]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_weights_move_by_the_excess_over_the_reference(monkeypatch: pytest.MonkeyPatch, accumulate: int) -> None:
    blueprint, rng = Blueprint(CONFIG), np.random.default_rng(0)
    reference, start = (blueprint.weights(jax.random.key(seed)) for seed in (1, 2))
    # Large enough that each is better at some tokens.
    reference, start = (jax.tree.map(lambda leaf: leaf * 3, tree) for tree in (reference, start))
    monkeypatch.setattr("train.doremi.weights_of", lambda directory: reference)
    monkeypatch.setattr("train.doremi.model_of", lambda directory, weights: blueprint.model(weights))
    objective, optimizer = DoReMi(NAMES, reference="there", rate=0.7, smoothing=0.01), optax.sgd(0.1)
    step = jax.jit(make_step(blueprint, objective, optimizer, lambda _: 0.1, seed=0, accumulate=accumulate))
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(zero, zero, start, optimizer.init(start), objective.start())
    alpha, mean = np.ones(2) / 2, np.zeros(2)
    for number in range(3):
        batch = {
            "inputs": rng.integers(0, 257, (4, 6)).astype(np.int32),
            "targets": rng.integers(0, 257, (4, 6)).astype(np.int32),
            "weights": (rng.random((4, 6)) < 0.7).astype(np.float32),
            "groups": (rng.random((4, 6)) < 0.3).astype(np.int32),
        }
        own = losses(blueprint, state.weights, batch)
        excess = np.maximum(own - losses(blueprint, reference, batch), 0)
        score = np.zeros(2)
        expected = 0.0
        for group in range(2):
            chosen = batch["weights"] * (batch["groups"] == group)
            score[group] = (chosen * excess).sum() / chosen.sum()
            expected += alpha[group] * (chosen * own).sum() / chosen.sum()
        alpha = alpha * np.exp(0.7 * score)
        alpha = 0.99 * alpha / alpha.sum() + 0.01 / 2
        mean += alpha
        state, metrics = step(state, batch)
        assert 0 < (excess > 0).mean() < 1
        np.testing.assert_allclose(metrics["train/objective"], expected, rtol=1e-5)
        for group, name in enumerate(NAMES):
            np.testing.assert_allclose(metrics[f"train/excess/{name}"], score[group], rtol=1e-4)
            np.testing.assert_allclose(metrics[f"train/weight/{name}"], alpha[group], rtol=1e-4)
            np.testing.assert_allclose(metrics[f"train/mean_weight/{name}"], mean[group] / (number + 1), rtol=1e-4)
    same = jax.tree.map(np.array_equal, state.objective["reference"], reference)
    assert all(jax.tree.leaves(same))


TEXT = """
import json
import pathlib
import random

chance = random.Random(0)
lines = []
for number in range(300):
    kind = "easy" if number % 2 else "hard"
    text = "abababab" * 8 if kind == "easy" else "".join(chance.choices("cdefghijklmnopqrstuvwxyz", k=64))
    lines.append(json.dumps({"text": text, "id": str(number), "kind": kind}))
"""


def experiment(top: Path, **changes: Any) -> Experiment:
    """A model that learns two groups of documents: one that repeats itself, and one drawn at random."""
    if not (top / "text.jsonl").exists():
        made: dict[str, Any] = {}
        exec(TEXT, made)
        (top / "text.jsonl").write_text("\n".join(made["lines"]) + "\n")
    whole = Experiment(
        model=CONFIG,
        data=Recipe(JsonLines(str(top / "text.jsonl")), (), HashSplit(0.1), Bytes(), groups=ByMeta("kind")),
        batch=Batches(sequence=16, batch=16, accumulate=2, groups=MetadataGroups(NAMES)),
        optimizer=AdamW(), schedule=WarmupCosine(peak=1e-2, warmup=5), steps=40,
        cadence=Cadence(log=1, evaluate=40, checkpoint=40), seed=3,
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def run(directory: Path, what: Experiment) -> list[dict[str, Any]]:
    said: list[str] = []
    train(what, RunDirectory(directory), say=said.append)
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_from_a_reference_to_a_mixture(tmp_path: Path) -> None:
    reference = experiment(tmp_path, steps=4, objective=CausalLM())
    run(tmp_path / "reference", reference)
    objective = DoReMi(NAMES, reference=str(tmp_path / "reference"))
    what = experiment(tmp_path, objective=objective, hooks=(DomainWeights(), NoiseScale()))
    lines = run(tmp_path / "proxy", what)
    last = {key: value for line in lines for key, value in line.items()}
    weights = json.loads((tmp_path / "proxy" / "domain_weights.json").read_text())["weights"]
    assert weights == {name: last[f"train/mean_weight/{name}"] for name in NAMES}
    assert math.isclose(sum(weights.values()), 1, rel_tol=1e-5)
    steps = [line["train/weight/hard"] for line in lines if "train/weight/hard" in line]
    assert len(steps) == 40
    assert np.mean(steps) == pytest.approx(weights["hard"], rel=1e-4)
    assert any(line["noise/trace"] > 0 for line in lines if "noise/trace" in line)
    assert last["noise/critical_tokens"] == pytest.approx(16 * last["noise/critical_rows"])
    parts = tuple(Part(name, reference.data) for name in ("hard", "easy"))
    weighted = weighted_by(tmp_path / "proxy" / "domain_weights.json", Mixture(parts))
    assert [part.weight for part in weighted.parts] == [round(weights[name], 4) for name in ("hard", "easy")]
    with pytest.raises(ValueError, match="has weights for easy, hard, but the parts of the mixture are hard"):
        weighted_by(tmp_path / "proxy" / "domain_weights.json", Mixture(parts[:1]))


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"DoReMi\.reference is empty"):
        DoReMi(NAMES)
    with pytest.raises(FileNotFoundError, match="holds no run: it has no config.json; it is to be the reference"):
        DoReMi(NAMES, reference=str(tmp_path)).start()
    with pytest.raises(ValueError, match="DomainWeights writes the weights of groups, but CrossEntropy has none"):
        experiment(tmp_path, hooks=(DomainWeights(),))
    with pytest.raises(ValueError, match=r"objective\.names is hard, easy, but batch\.groups names easy, hard"):
        experiment(tmp_path, objective=GroupDRO(("hard", "easy")))


PROCESS = """
from tests.train.test_doremi import NAMES, experiment
from train.experiment import Cadence, Experiment
from train.group_weights import GroupDRO
from train.probes.noise_scale import NoiseScale
import pathlib

def tiny() -> Experiment:
    top = pathlib.Path(__file__).parent
    return experiment(top, steps=60, objective=GroupDRO(NAMES, rate=0.1), hooks=(NoiseScale(),),
                      cadence=Cadence(log=1, evaluate=30, checkpoint=7))
"""


@pytest.mark.slow
def test_a_killed_run_of_group_dro_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(PROCESS)
    named = Path(f"{config}:tiny")
    processes.finish(processes.start(named, tmp_path / "whole"))
    victim = processes.start(named, tmp_path / "killed")
    metrics, until = tmp_path / "killed" / "metrics.jsonl", time.monotonic() + 120
    while victim.poll() is None and time.monotonic() < until:
        if metrics.exists() and '"step": 25,' in metrics.read_text():
            break
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    victim.stdout.close()
    assert "resume: step " in processes.finish(processes.start(named, tmp_path / "killed"))
    whole, killed = (
        [
            {key: value for key, value in json.loads(line).items() if not key.startswith("perf/")}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "killed")
    )
    training = [[line for line in lines if "train/loss" in line] for lines in (whole, killed)]
    assert training[0] == training[1] and len(training[0]) == 60
    first, last = training[0][0], training[0][-1]
    # Before anything is learnt neither group is the harder one.
    assert abs(first["train/weight/hard"] - 0.5) < 0.01 and last["train/weight/hard"] > 0.6
    assert last["train/loss/hard"] > last["train/loss/easy"]
    noise = [[line for line in lines if "noise/critical_tokens" in line] for lines in (whole, killed)]
    assert [line["noise/critical_tokens"] for line in noise[0]] == [line["noise/critical_tokens"] for line in noise[1]]
    assert noise[0]
