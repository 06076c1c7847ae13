"""What a search tries."""

import math

import pytest

from experiments.planning.candidates import candidates, changed, meshes_of, with_kernels
from sharding.placements import ShardedOptimizer
from sharding.topology import Topology
from train.load import load_experiment

V5E = Topology("v5e", (4, 4))


def test_meshes_have_all_devices_and_divide_the_model(config: str) -> None:
    _, experiment = load_experiment(config)
    found = list(meshes_of(experiment, V5E, 16))
    assert len(set(found)) == len(found)
    for mesh in found:
        assert math.prod(mesh.mesh_shape().values()) == 16
        # 4 query heads and 2 key heads.
        assert mesh.tensor in (1, 2)
        assert mesh.expert == mesh.context == mesh.stage == 1
    # data x fsdp of 16, and of 8 beside tensor 2: five and four ways.
    assert len(found) == 5 + 4


def test_experts_are_divided_where_there_are_any(config: str) -> None:
    experts = "model.feedforward=MoE(experts=4,top_k=2,expert=GatedMLP(hidden=128))"
    _, experiment = load_experiment(config, [experts])
    assert {mesh.expert for mesh in meshes_of(experiment, V5E, 16)} == {1, 2, 4}


def test_sequences_stay_divided_as_they_are(config: str) -> None:
    _, experiment = load_experiment(config, ["placement=Combined(context=4)"])
    assert {mesh.context for mesh in meshes_of(experiment, V5E, 16)} == {4}


def test_slices_are_of_the_topology(config: str) -> None:
    _, experiment = load_experiment(config)
    for mesh in meshes_of(experiment, Topology("v5e", (4, 4), slices=2), 32):
        assert mesh.slices == 2 and math.prod(mesh.mesh_shape().values()) == 32


def test_candidates_are_what_their_changes_make(config: str) -> None:
    _, experiment = load_experiment(config)
    found = list(candidates(experiment, V5E, 16))
    assert len({candidate.changes for candidate in found}) == len(found)
    for candidate in found[:: len(found) // 4]:
        assert changed(experiment, candidate.changes) == candidate
        batch = candidate.experiment.batch
        # The batch is the config's; every micro-batch divides.
        ways = candidate.experiment.placement.batch_divisor(16)
        assert batch.batch == 64 and batch.batch % (ways * batch.accumulate) == 0
    assert {candidate.experiment.model.remat for candidate in found} == {
        "none", "full", "save_attention", "save_query_attention", "save_qkv_attention", "save_products"
    }  # fmt: skip
    # Fields that are as they are by default are not written.
    placements = {change for candidate in found for change in candidate.changes if change.startswith("placement")}
    assert not any("micro" in change or "slices" in change for change in placements)
    # The config's own mesh is not written either.
    assert "placement=Combined(fsdp=8,tensor=2)" in placements and "placement=Combined(fsdp=16)" not in placements


def test_an_optimizer_that_is_divided_stays_so(config: str) -> None:
    _, experiment = load_experiment(config, ["placement=ShardedOptimizer(data=4,fsdp=4)"])
    found = list(candidates(experiment, V5E, 16))
    assert {type(candidate.experiment.placement) for candidate in found} == {ShardedOptimizer}
    placed = {candidate.changes[0] for candidate in found if candidate.experiment.placement != experiment.placement}
    assert "placement=ShardedOptimizer(data=8,fsdp=2)" in placed
    assert all(changed(experiment, candidate.changes) == candidate for candidate in found[:: len(found) // 4])
    # Its own mesh is tried with other policies, and is not written.
    own = [candidate for candidate in found if candidate.experiment.placement == experiment.placement]
    assert {candidate.experiment.model.remat for candidate in own} > {"none", "save_products"}
    assert not any(change.startswith("placement") for candidate in own for change in candidate.changes)


def test_a_placement_for_other_devices_is_left_out(config: str) -> None:
    _, experiment = load_experiment(config, ["placement=Combined(fsdp=4,tensor=2)"])
    found = list(candidates(experiment, V5E, 16))
    assert found and all(candidate.changes[0].startswith("placement=") for candidate in found)


@pytest.mark.slow
def test_batches_are_tried_when_asked_for(config: str) -> None:
    _, experiment = load_experiment(config)
    sizes = {candidate.experiment.batch.batch for candidate in candidates(experiment, V5E, 16, batches=True)}
    assert sizes == {16, 32, 64, 128, 256}


def test_kernels_are_tried_for_a_candidate(config: str) -> None:
    _, experiment = load_experiment(config)
    found = list(with_kernels(experiment, ("model.remat=none",)))
    assert len(found) == 3
    assert all(candidate.changes[0] == "model.remat=none" for candidate in found)
    assert found[1].experiment.model.attention.kernel.queries == 1024
