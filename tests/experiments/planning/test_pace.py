"""Times by closed form, against the same worked out by hand, and their order."""

import pytest

from experiments.planning.pace import Pace, pace
from sharding.topology import Topology, parse_topology
from train.load import load_experiment
from train.program import Programs

pytestmark = pytest.mark.usefixtures("topology_there")


def of(config: str, topology: Topology, *changes: str) -> Pace:
    _, experiment = load_experiment(config, changes)
    layout = experiment.placement.on(topology.devices())
    return pace(experiment, Programs.of(experiment, layout).abstract, layout, topology)


def test_products_are_those_of_the_model(config: str) -> None:
    topology = parse_topology("v5e:1x1")
    found = of(config, topology, "model.remat=none", "batch.batch=8", "batch.evaluation=8")
    # Per token 6 FLOPs for a weight of: 4 layers of 12 heads of 128 and of 3 matrices of 1536, and the table.
    weights = 4 * (512 * 128 * 12 + 3 * 512 * 1536) + 512 * 8192
    tokens = 8 * 256
    efficiency = 0.85 * tokens / (tokens + 128)
    assert found.products == pytest.approx(6 * weights * tokens / (197e12 * efficiency))
    # 128.5 keys are seen in the mean, of 4 heads of 128: 2 FLOPs each in 7 products.
    assert found.attention == pytest.approx(4 * 7 * 2 * 128.5 * 512 * tokens / (197e12 * 0.55))
    # One device sends nothing.
    assert found.exposed == 0
    assert found.seconds == found.products + found.attention + found.memory


def test_what_is_computed_again_costs(config: str) -> None:
    topology = parse_topology("v5e:2x2")
    order = [of(config, topology, f"model.remat={name}").seconds for name in ("none", "save_qkv_attention", "full")]
    assert order == sorted(order) and len(set(order)) == 3


def test_micro_batches_gather_weights_again(config: str) -> None:
    topology = parse_topology("v5e:8x8")
    once, twice = (of(config, topology, "placement=FullySharded()", change, "batch.batch=512", "batch.evaluation=512")
                   for change in ("batch.accumulate=1", "batch.accumulate=2"))  # fmt: skip
    assert twice.exposed > once.exposed > 0


def test_slices_are_joined_by_a_slower_network(config: str) -> None:
    near = of(config, parse_topology("v5e:4x8"), "placement=Combined(data=2)")
    far = of(config, parse_topology("v5e:4x4", 2), "placement=Combined(slices=2)")
    assert far.exposed > 2 * near.exposed
