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
    efficiency = 0.9 * tokens / (tokens + 128)
    assert found.products == pytest.approx(6 * weights * tokens / (197e12 * efficiency))
    # 128.5 keys are seen in the mean, of 4 heads of 128: 2 FLOPs each in 7 products.
    assert found.attention == pytest.approx(4 * 7 * 2 * 128.5 * 512 * tokens / (197e12 * 0.6))
    # One device sends nothing.
    assert found.exposed == 0
    assert found.seconds == found.products + found.attention + found.memory


def test_what_is_computed_again_costs(config: str) -> None:
    topology = parse_topology("v5e:2x2")
    names = ("save_products", "save_qkv_attention", "save_query_attention", "save_attention", "full")
    order = [of(config, topology, f"model.remat={name}") for name in names]
    seconds = [found.seconds for found in order]
    assert seconds == sorted(seconds) and len(set(seconds)) == len(names)
    # The output's projection again, and two of three matrices: of 512 x 512 and 512 x 1536, twice 2 FLOPs of 6 more.
    once = 4 * (512 * 128 * 12 + 3 * 512 * 1536) + 512 * 8192
    again = 4 * (512 * 512 + 2 * 512 * 1536)
    assert order[1].products == pytest.approx(order[0].products * (1 + again / 3 / once))


def test_norms_and_gates_go_over_what_layers_compute(config: str) -> None:
    few, many = (of(config, parse_topology("v5e:2x2"), f"model.layers={layers}") for layers in (4, 8))
    # Logits of 8192 in float32, and weights of 4 layers less, stay; the rest is twice as much.
    assert 1.5 < many.memory / few.memory < 2.0


def test_micro_batches_gather_weights_again(config: str) -> None:
    topology = parse_topology("v5e:8x8")
    once, twice = (of(config, topology, "placement=FullySharded()", change, "batch.batch=512", "batch.evaluation=512")
                   for change in ("batch.accumulate=1", "batch.accumulate=2"))  # fmt: skip
    assert twice.exposed > once.exposed > 0


def test_slices_are_joined_by_a_slower_network(config: str) -> None:
    one = of(config, parse_topology("v5e:4x4"), "batch.batch=32", "batch.evaluation=32")
    two = of(config, parse_topology("v5e:4x4", 2), "placement=Combined(slices=2)")
    # Gradients of two tables and four layers in float32, a sixteenth on each device, half of it sent and half got.
    gradients = 4 * (2 * 8192 * 512 + 4 * (512 * 128 * 12 + 3 * 512 * 1536) + 9 * 512) / 16
    assert two.exposed - one.exposed == pytest.approx(gradients / 3.125e9)
