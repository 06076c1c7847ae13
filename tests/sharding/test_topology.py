"""Topologies by name: which there are, which are refused, and the devices that libtpu makes of them."""

import math

import pytest

from data.console import UsageError
from sharding.topology import Topology, larger, parse_topology, shapes


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5f:2x2", "--topology is 'v5f:2x2'; there is no 'v5f'; did you mean v5p?"),
        ("v5e:3x3", "a shape in which there is no v5e; the nearest is v5e:2x4, with 8 chips"),
        ("v5e:32x32", "the nearest is v5e:16x16, with 256 chips"),
        ("v5p:8x8x6", "the nearest is v5p:4x8x12, with 384 chips"),
        ("v5p:4x4", "a topology of v5p is written v5p:NxNxN"),
        ("v6e", "a topology of v6e is written v6e:NxN"),
    ],
)
def test_a_topology_that_is_not_there_gets_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_topology(name)
    assert said in str(refused.value)


def test_shapes_may_be_written_in_any_order() -> None:
    assert parse_topology("v5p:8x8x4") == Topology("v5p", (8, 8, 4))
    assert parse_topology("v4:2x2x1").chips == 4
    assert parse_topology("v5e:16x16", 2).chips == 512
    assert str(parse_topology("v5e:16x16", 2)) == "2 slices of v5e:16x16"
    with pytest.raises(UsageError, match="--slices is 0"):
        parse_topology("v5e:16x16", 0)


@pytest.mark.parametrize("generation", ["v4", "v5e", "v5p", "v6e", "tpu7x"])
def test_shapes_grow(generation: str) -> None:
    chips = [math.prod(shape) for shape in shapes(generation)]
    assert chips == sorted(chips)
    # As documented: the largest slices of 4096, 256, 6144, 256 and 9216 chips.
    assert chips[-1] == {"v4": 4096, "v5e": 256, "v5p": 6144, "v6e": 256, "tpu7x": 9216}[generation]
    assert all(parse_topology(topology.name) == topology for topology in larger(Topology(generation, (1, 1))))


def test_larger_ones_come_smallest_first() -> None:
    assert [found.name for found in larger(parse_topology("v5e:4x8"))] == ["v5e:8x8", "v5e:8x16", "v5e:16x16"]
    assert next(larger(parse_topology("v5p:2x2x1", 2))) == Topology("v5p", (2, 2, 2), 2)


@pytest.mark.parametrize(
    ("name", "slices", "devices"),
    # A v4 chip is one device, as on Cloud TPU; a tpu7x chip is two.
    [("v4:2x2x1", 1, 4), ("v5e:4x4", 1, 16), ("v5e:4x4", 2, 32), ("v5p:2x2x1", 1, 4), ("v6e:2x2", 1, 4),
     ("tpu7x:2x2x1", 1, 8)],
)  # fmt: skip
def test_libtpu_gives_the_devices(name: str, slices: int, devices: int) -> None:
    pytest.importorskip("libtpu")
    topology = parse_topology(name, slices)
    found = topology.devices()
    assert len(found) == devices
    assert found[0].device_kind.startswith(topology.chip.kind)
    assert len({getattr(device, "slice_index", 0) for device in found}) == slices
