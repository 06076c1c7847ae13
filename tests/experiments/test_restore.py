"""Opening a run: its weights bit for bit, and a sentence where that cannot be."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.console import UsageError
from data.spec import build, describe
from experiments.restore import open_run, placement_of, restore
from model.transformer import TransformerConfig
from sharding.placements import DataParallel, FullySharded, TensorParallel
from train.checkpoint import Checkpoints
from train.digest import digest
from train.evaluation import Evaluator
from train.load import config_names, load_experiment
from train.loop import train
from train.optimizers import AdamW, Averaged, Grouped, Lion, Optimizer, Rounded, Rule, ScheduleFreeAdamW
from train.retention import Keep
from train.run_directory import RunDirectory
from train.state import Blueprint, TrainState, abstract_state

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run that a test may damage."""
    return shutil.copytree(trained.path, tmp_path / "copy")


def damage(path, step: int) -> None:
    for file in (path / "checkpoints" / str(step)).rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(bytes(len(file.read_bytes())))


def test_the_weights_are_those_that_training_restores(trained) -> None:
    experiment, layout = trained.experiment, trained.experiment.placement.on()
    blueprint = Blueprint(experiment.model)
    optimizer = experiment.optimizer.transform(experiment.schedule.over(experiment.steps), blueprint.table)
    state = Checkpoints(open_run(trained.path).run.checkpoints, Keep()).restore(
        abstract_state(blueprint, optimizer, layout, experiment.objective, experiment.safety)
    )
    assert state is not None
    opened = open_run(trained.path)
    assert opened.step == int(state.step) == 4
    jax.tree.map(np.testing.assert_array_equal, opened.weights, state.weights)


def test_any_placement_gives_the_same_weights(trained) -> None:
    here, there = open_run(trained.path), open_run(trained.path, FullySharded())
    assert not all(leaf.is_fully_replicated for leaf in jax.tree.leaves(there.weights))
    jax.tree.map(np.testing.assert_array_equal, here.weights, there.weights)


def test_three_things_come_back(trained) -> None:
    experiment, prepared, model = restore(trained.path)
    assert experiment.model == trained.experiment.model and experiment.hooks == ()
    assert prepared.tokenizer.vocab_size == 257
    assert model(jnp.zeros((1, 8), jnp.int32)).shape == (1, 8, 257)


def test_an_older_checkpoint_stands_in_for_a_damaged_one(copy) -> None:
    damage(copy, 4)
    said: list[str] = []
    assert open_run(copy, log=said.append).step == 2
    assert len(said) == 1 and "checkpoints/4 cannot be used" in said[0]
    # Whoever reads leaves the run as it is.
    assert (copy / "checkpoints" / "4").exists()


def test_what_cannot_be_opened_gets_a_sentence(copy) -> None:
    with pytest.raises(UsageError, match="does not exist; did you mean copy"):
        open_run(copy.parent / "coppy")
    with pytest.raises(UsageError, match="has no config.json"):
        open_run(copy.parent)
    damage(copy, 2)
    damage(copy, 4)
    with pytest.raises(ValueError, match="none of the 2 checkpoints"):
        open_run(copy, log=lambda line: None)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(UsageError, match="no checkpoint yet"):
        open_run(copy)
    (copy / "data" / "prepared.json").unlink()
    with pytest.raises(FileNotFoundError, match="data is incomplete"):
        open_run(copy)
    stored = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(stored | {"model": {"type": "Perceptron"}}))
    with pytest.raises(ValueError, match=r"config.json cannot be read: .*Perceptron"):
        open_run(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json cannot be read"):
        open_run(copy)


def test_a_fresh_process_knows_the_types_of_every_config() -> None:
    """Whoever opens a run has not imported the config that it was made from."""
    configs = {name: describe(load_experiment(name)[0]) for name in config_names()}
    for stored in configs.values():
        del stored["placement"], stored["hooks"]
    code = (
        "import json, sys; from experiments.restore import Experiment; from data.spec import build\n"
        "for name, stored in json.load(sys.stdin).items(): build(stored, Experiment); print(name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=json.dumps(configs), capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == config_names(), done.stderr


def test_another_format_is_refused_by_its_number(copy) -> None:
    for step in (2, 4):
        note = copy / "checkpoints" / str(step) / "note" / "metadata"
        note.write_text(json.dumps(json.loads(note.read_text()) | {"format": 1}))
    said: list[str] = []
    with pytest.raises(ValueError, match="none of the 2 checkpoints"):
        open_run(copy, log=said.append)
    assert all("it has format 1, and this version reads formats 2, 3, 4" in line for line in said) and len(said) == 2


def test_numbers_other_than_those_saved_are_noticed(copy) -> None:
    note = copy / "checkpoints" / "4" / "note" / "metadata"
    stored = json.loads(note.read_text())
    stored["digest"]["weights"][0] ^= 1
    note.write_text(json.dumps(stored))
    said: list[str] = []
    assert open_run(copy, log=said.append).step == 2
    assert "not those that were saved" in said[0]


AVERAGING = [
    ScheduleFreeAdamW(b1=0.5), Grouped(Rounded(Averaged(Lion(), 0.5)), (Rule("embedding", trained=False),)),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", AVERAGING, ids=lambda optimizer: type(optimizer).__name__)
def test_what_averages_is_opened_as_its_average(copy, optimizer: Optimizer) -> None:
    stored = json.loads((copy / "config.json").read_text()) | {"optimizer": describe(optimizer)}
    (copy / "config.json").write_text(json.dumps(stored))
    shutil.rmtree(copy / "checkpoints")
    blueprint = Blueprint(build(stored["model"], TransformerConfig))
    transformation = optimizer.transform(lambda step: 0.1, blueprint.table)
    rng = np.random.default_rng(0)
    weights, gradients = (
        jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), blueprint.shapes)
        for _ in range(2)
    )
    update = jax.jit(transformation.update, compiler_options={"xla_backend_optimization_level": 0})
    updates, kept = update(gradients, transformation.init(weights), weights)
    after, zero = jax.tree.map(jnp.add, weights, updates), jnp.zeros((), jnp.int32)
    for step in (1, 2):
        # Of steps 1 and 2 with what was kept after the first.
        checkpoints = Checkpoints(RunDirectory(copy).checkpoints, Keep(latest=2))
        checkpoints.save(TrainState(zero + step, zero, after if step == 1 else weights, kept, {}))
        checkpoints.close()
    opened = open_run(copy, FullySharded())
    assert opened.step == 2
    wanted = optimizer.evaluated(kept, weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), opened.weights, wanted)
    if not isinstance(optimizer, ScheduleFreeAdamW):
        both = zip(jax.tree.leaves(opened.weights), jax.tree.leaves(weights), strict=True)
        unlike = [not np.array_equal(found, learnt) for found, learnt in both]
        assert sum(unlike) == len(unlike) - isinstance(optimizer, Grouped)
    note = copy / "checkpoints" / "2" / "note" / "metadata"
    stored = json.loads(note.read_text())
    stored["digest"]["optimizer"][-1] ^= 1
    note.write_text(json.dumps(stored))
    said: list[str] = []
    assert open_run(copy, log=said.append).step == 1
    assert "not those that were saved" in said[0]


@pytest.mark.slow
def test_a_run_is_evaluated_by_what_is_opened(trained, tmp_path) -> None:
    experiment = dataclasses.replace(trained.experiment, optimizer=Averaged(AdamW(), 0.5), steps=2, hooks=())
    metrics = train(experiment, RunDirectory(tmp_path / "run"), say=lambda line: None)
    opened = open_run(tmp_path / "run")
    evaluator = Evaluator(
        opened.blueprint, experiment.objective, opened.prepared, experiment.batch, experiment.placement.on()
    )
    assert evaluator(opened.weights)["eval/loss"] == pytest.approx(metrics["eval/loss"], rel=1e-6)
    learning = Checkpoints(opened.run.checkpoints, Keep(latest=2)).restore(
        abstract_state(
            opened.blueprint, experiment.optimizer.transform(lambda step: 0.1, opened.blueprint.table),
            experiment.placement.on(), experiment.objective, experiment.safety,
        )
    )
    assert evaluator(learning.weights)["eval/loss"] != pytest.approx(metrics["eval/loss"], rel=1e-4)


def test_weights_of_format_2_are_read(trained, copy) -> None:
    """Its note has one list of digests, and what came later is not in its state."""
    shutil.rmtree(copy / "checkpoints")
    state = ocp.StandardCheckpointer().restore(trained.path / "checkpoints" / "4" / "state")
    kept = {part: state[part] for part in ("step", "weights", "optimizer")}
    numbers = [int(leaf) for part in kept.values() for leaf in jax.tree.leaves(digest(part))]
    with ocp.CheckpointManager(copy / "checkpoints", item_names=("state", "note")) as manager:
        note = {"format": 2, "digest": numbers}
        manager.save(4, args=ocp.args.Composite(state=ocp.args.StandardSave(kept), note=ocp.args.JsonSave(note)))
    opened = open_run(copy)
    assert opened.step == 4
    jax.tree.map(np.testing.assert_array_equal, opened.weights, open_run(trained.path).weights)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sideways()", "--placement: placement: there is no type 'Sideways'"),
        ("TensorParallel(tensor=3)", "--placement: mesh .* does not fit 8 devices"),
        ("FullySharded(", "--placement: placement: cannot read"),
    ],
)
def test_placements_that_cannot_be_get_a_sentence(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        placement_of(text)


def test_placement_of_a_flag() -> None:
    assert placement_of("") == DataParallel()
    assert placement_of("TensorParallel(data=2, tensor=4)") == TensorParallel(data=2, tensor=4)
