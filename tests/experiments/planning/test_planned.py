"""A small decoder planned for every generation of chips, alone and in two slices, by the TPU's compiler."""

import pytest

from experiments.planning.planned import planned
from experiments.planning.record import Request
from sharding.placement import SLICE
from sharding.topology import parse_topology
from train.load import load_experiment

TINY = ("model.layers=2", "model.embed=256", "model.vocab=2048", "model.attention.heads=2",
        "model.attention.kv_heads=2", "model.feedforward.hidden=512", "batch.batch=32")  # fmt: skip
# Two tables; in each of 2 layers four projections of 256 x 256, three matrices of 512 and two scales; one at the end.
WEIGHTS = 2 * 2048 * 256 + 2 * (4 * 256 * 256 + 3 * 256 * 512 + 2 * 256) + 256
TOPOLOGIES = {"v4:2x2x1": 4, "v5e:2x2": 4, "v5p:2x2x1": 4, "v6e:2x2": 4, "tpu7x:2x2x1": 8}


@pytest.mark.slow
@pytest.mark.usefixtures("topology_there")
@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_chip_alone_and_in_two_slices(config: str, name: str, slices: int) -> None:
    devices = TOPOLOGIES[name]
    changes = (*TINY, f"placement=Combined(slices={slices},fsdp={devices})")
    topology = parse_topology(name, slices)
    record = planned(Request(config, changes, topology), load_experiment(config, changes)[1], say=lambda line: None)
    assert record.fits and record.occupancy is not None and record.cost is not None and record.speed is not None
    # Weights lie over a slice, and in each slice whole.
    assert record.occupancy.weights == 4 * WEIGHTS // devices
    assert record.occupancy.peak >= 3 * record.occupancy.weights
    assert record.speed.seconds >= record.speed.bound > 0
    found = record.cost.collectives
    assert any(each.axes == ("fsdp",) for each in found)
    across = [each for each in found if each.between_slices]
    if slices == 1:
        assert not across
        return
    # Gradients, in float32 at the most, and the sums of losses and norms: no weights, no activations.
    assert across and all(SLICE in (each.axes or ()) for each in across)
    assert {each.kind.value for each in across} == {"all-reduce"}
    assert sum(each.payload_bytes for each in across) <= 4 * WEIGHTS * 1.05
    assert record.cost.seconds.total > 0
