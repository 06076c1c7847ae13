"""Checkpoints: on any mesh and in any type of numbers, and kept by rule."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from model.attention import Attention
from model.feedforward import GatedMLP
from model.moe import MoE
from model.transformer import TransformerConfig
from sharding.placements import Combined, DataParallel, FullySharded, ShardedOptimizer, TensorParallel
from train.checkpoint import Checkpoints
from train.detours import Detours, Incident
from train.digest import digest
from train.optimizers import AdamW
from train.retention import Keep
from train.safety import Safety
from train.state import Blueprint, TrainState, abstract_state


def mesh(rows: int, columns: int) -> Mesh:
    return Mesh(np.array(jax.devices()[: rows * columns]).reshape(rows, columns), ("rows", "columns"))


def state(step: int, dtype: Any = jnp.float32, on: Mesh | None = None) -> TrainState:
    """A state of one matrix and its moments, spread over a mesh."""
    on = on or mesh(8, 1)
    spread, whole = NamedSharding(on, PartitionSpec("rows", "columns")), NamedSharding(on, PartitionSpec())
    values = np.random.default_rng(step).normal(size=(16, 8))
    count = jax.device_put(jnp.int32(step), whole)
    matrix = jax.device_put(jnp.asarray(values, dtype), spread)
    guard = jax.tree.map(lambda leaf: jax.device_put(leaf, whole), Safety().start())
    return TrainState(count, count * 2, {"w": matrix}, ({"mu": matrix * 3},), {}, guard)


def abstract(like: TrainState) -> TrainState:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like)


def checkpoints(path: Path, keep: Keep = Keep(), said: list[str] | None = None, **more: Any) -> Checkpoints:
    return Checkpoints(epath.Path(path), keep, ([] if said is None else said).append, **more)


def saved(path: Path, *states: TrainState, keep: Keep = Keep(), metrics: Any = (), **more: Any) -> None:
    manager = checkpoints(path, keep, **more)
    for i, one in enumerate(states):
        manager.save(one, metrics[i] if metrics else {})
    manager.close()


def steps(path: Path) -> set[int]:
    return {int(one.name) for one in path.iterdir() if one.name.isdecimal()}


def equal(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (2, 4)])
def test_a_state_comes_back_on_another_mesh(tmp_path: Path, shape: tuple[int, int]) -> None:
    before = state(5)
    saved(tmp_path / "c", before)
    wanted = abstract(state(0, on=mesh(*shape)))
    after = checkpoints(tmp_path / "c").restore(wanted)
    assert after is not None
    equal(after, before)
    assert after.weights["w"].sharding == wanted.weights["w"].sharding


def test_a_state_goes_from_placement_to_placement(tmp_path: Path) -> None:
    """Weights and moments, bit for bit, each time in the shares of the next placement."""
    experts = MoE(4, 2, GatedMLP(32))
    blueprint = Blueprint(TransformerConfig(2, 16, 24, Attention(4, kv_heads=2), experts, tie_embeddings=False))
    optimizer = AdamW().transform(optax.constant_schedule(0.1), blueprint.table)
    placements = [
        DataParallel(), FullySharded(), TensorParallel(data=2, fsdp=2, tensor=2), ShardedOptimizer(),
        ShardedOptimizer(slices=2, fsdp=2, tensor=2), Combined(stage=2, fsdp=4),
        Combined(stage=2, expert=2, context=2, fsdp=1), DataParallel(),
    ]  # fmt: skip
    kinds = [abstract_state(blueprint, optimizer, placement.on()) for placement in placements]
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: (rng.normal(size=leaf.shape) * 9).astype(leaf.dtype), kinds[0])
    now = jax.device_put(drawn, jax.tree.map(lambda leaf: leaf.sharding, kinds[0]))
    for number, kind in enumerate(kinds[1:]):
        saved(tmp_path / str(number), now)
        now = checkpoints(tmp_path / str(number)).restore(kind)
        assert now is not None
        equal(now, drawn)
        assert all(
            leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)
            for leaf, wanted in zip(jax.tree.leaves(now), jax.tree.leaves(kind), strict=True)
        )


@pytest.mark.parametrize(("stored", "wanted"), [(jnp.float32, jnp.bfloat16), (jnp.bfloat16, jnp.float32)])
def test_numbers_are_checked_as_saved_and_then_cast(tmp_path: Path, stored: Any, wanted: Any) -> None:
    before = state(5, stored)
    saved(tmp_path / "c", before)
    after = checkpoints(tmp_path / "c").restore(abstract(state(0, wanted, mesh(2, 2))))
    assert after is not None and after.weights["w"].dtype == wanted
    equal(after.weights["w"], np.asarray(before.weights["w"]).astype(wanted))
    assert int(after.step) == 5 and int(after.position) == 10


def test_retention_survives_restarts(tmp_path: Path) -> None:
    path, keep = tmp_path / "c", Keep(latest=1, every=4, best=1)
    saved(path, state(1), state(2), state(4), keep=keep, metrics=[{"eval/loss": v} for v in (3.0, 1.0, 2.0)])
    assert steps(path) == {2, 4}
    skipping = {"eval/loss": 5.0, "train/skipped_in_a_row": 2.0}
    saved(path, state(5), state(6), state(7), keep=keep, metrics=[{}, skipping, skipping])
    # 2 is the best, 4 by interval, 5 the newest that is good, 7 the newest.
    assert steps(path) == {2, 4, 5, 7}


def test_blocked_time_is_told(tmp_path: Path) -> None:
    manager = checkpoints(tmp_path / "c")
    first, again = manager.save(state(1)), manager.save(state(1))
    manager.close()
    assert again == {} and first["perf/checkpoint_blocked_seconds"] > 0
    assert 0 < first["perf/checkpoint_blocked_share"] <= 1


def test_what_read_the_batches_passed_over_is_deleted(tmp_path: Path) -> None:
    path, said = tmp_path / "c", []
    saved(path, state(1), state(2), state(3), keep=Keep(9))
    (tmp_path / "i").write_text(json.dumps({"step": 1, "first": 3, "until": 5}) + "\n")
    ways = Detours(epath.Path(tmp_path / "i"), Safety(), said.append)
    assert ways.known == [Incident(1, 3, 5)]
    after = checkpoints(path, Keep(9), said, detours=ways).restore(abstract(state(0)))
    assert after is not None and int(after.step) == 1 and steps(path) == {1} and len(said) == 2
    # One that knows of them has jumped.
    saved(path, state(2), keep=Keep(9), detours=ways)
    after = checkpoints(path, Keep(9), detours=ways).restore(abstract(state(0)))
    assert after is not None and int(after.step) == 2


def old_format(path: Path, number: int, one: TrainState, **note: Any) -> None:
    parts = {2: ("step", "weights", "optimizer"), 3: ("step", "position", "weights", "optimizer", "objective")}
    tree = {part: getattr(one, part) for part in parts.get(number, TrainState._fields)}
    with ocp.CheckpointManager(path, item_names=("state", "note")) as manager:
        args = ocp.args.Composite(state=ocp.args.StandardSave(tree), note=ocp.args.JsonSave({"format": number, **note}))
        manager.save(int(one.step), args=args)


def sums(tree: Any) -> list[int]:
    return [int(leaf) for leaf in jax.tree.leaves(digest(tree))]


def test_formats_2_and_3_are_read(tmp_path: Path) -> None:
    one = state(4)
    old_format(tmp_path / "2", 2, one, digest=sums((one.step, one.weights, one.optimizer)))
    old_format(
        tmp_path / "3", 3, one,
        digest={part: sums(getattr(one, part)) for part in ("step", "position", "weights", "optimizer", "objective")},
    )  # fmt: skip
    for number, position in (("2", 4), ("3", 8)):
        after = checkpoints(tmp_path / number).restore(abstract(one))
        assert after is not None and int(after.position) == position
        equal(after._replace(position=one.position), one)
        assert after.weights["w"].sharding == one.weights["w"].sharding


def test_another_format_and_other_numbers_are_refused(tmp_path: Path) -> None:
    one, said = state(4), []
    old_format(tmp_path / "9", 9, one, digest={})
    with pytest.raises(ValueError, match="none of the 1 checkpoints"):
        checkpoints(tmp_path / "9", said=said).restore(abstract(one))
    assert "it has format 9, and this version reads formats 2, 3, 4" in said[0]
    numbers = sums((one.step, one.weights, one.optimizer))
    old_format(tmp_path / "2", 2, one, digest=[*numbers[:-1], numbers[-1] + 1])
    with pytest.raises(ValueError, match="none of the 1 checkpoints"):
        checkpoints(tmp_path / "2", said=said).restore(abstract(one))
    assert "not those that were saved" in said[1]
