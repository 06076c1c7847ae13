"""Mesh shapes and rules, by hand."""

import dataclasses
from typing import ClassVar

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import PartitionSpec

from sharding.placement import Placement, PlacementError, Rules, complete_shape
from sharding.placements import Combined, DataParallel, FullySharded, TensorParallel


@dataclasses.dataclass(frozen=True)
class Grid(Placement):
    """Two mesh axes, and a table for each need of a test."""

    weights: ClassVar[Rules] = {
        "embed": "x", "mlp": "y", "heads": ("x", "y"), "kv_heads": ("y", "slice"), "vocab": "x",
        "head_dim": ("slice",),
    }  # fmt: skip
    activations: ClassVar[Rules] = {"batch": ("x", "y"), "seq": "y"}

    def mesh_shape(self) -> dict[str, int]:
        return {"x": 4, "y": 2}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_the_free_size_takes_what_remains(sizes: list[int], data: st.DataObject) -> None:
    names = [f"axis{i}" for i in range(len(sizes))]
    whole = dict(zip(names, sizes))
    devices = int(np.prod(sizes))
    assert complete_shape(whole, devices) == whole
    free = whole | {data.draw(st.sampled_from(names)): -1}
    assert complete_shape(free, devices) == whole
    assert list(complete_shape(free, devices)) == names


@pytest.mark.parametrize(
    ("shape", "devices", "message"),
    [
        ({"data": 3, "tensor": -1}, 8, "mesh data 3 x tensor -1 does not fit 8 .*3, .*divide the"),
        ({"data": 2, "tensor": 2}, 8, "mesh data 2 x tensor 2 does not fit 8 .*4, .*have to be the"),
        ({"data": -1, "tensor": -1}, 8, "mesh data -1 x tensor -1: .* at most one may be -1"),
        ({"data": 0}, 8, "mesh data 0: sizes are positive"),
        ({"data": -2, "tensor": -1}, 8, "sizes are positive"),
        ({"data": 16, "tensor": -1}, 8, "does not fit 8 devices"),
    ],
)
def test_meshes_that_cannot_be(shape: dict[str, int], devices: int, message: str) -> None:
    with pytest.raises(PlacementError, match=message):
        complete_shape(shape, devices)


def test_rules_become_specs() -> None:
    layout = Grid().on()
    assert dict(layout.mesh.shape) == {"x": 4, "y": 2}
    assert layout.mesh.devices.ravel().tolist() == jax.devices()
    assert layout.platform == "cpu"
    assert layout.weight(("layers", "embed", "mlp"), (3, 8, 6)).spec == PartitionSpec(None, "x", "y")
    assert layout.weight(("heads", None), (16, 5)).spec == PartitionSpec(("x", "y"), None)
    assert layout.activation(("batch", None, "embed"), (8, 2, 4)).spec == PartitionSpec(
        ("x", "y"), None, None
    )
    assert layout.batch.spec == PartitionSpec(("x", "y"))
    assert layout.replicated.spec == PartitionSpec()
    # Mesh axes that this mesh has not are passed over.
    assert layout.weight(("kv_heads", "head_dim"), (4, 4)).spec == PartitionSpec("y", None)


def test_blocks_are_spread_over_all_devices_unless_told_otherwise() -> None:
    @dataclasses.dataclass(frozen=True)
    class Told(Grid):
        weights = {"blocks": "y"}

    shape = (16, 3, 3)
    layout = Grid().on()
    assert layout.weight(("blocks", None, None), shape).spec == PartitionSpec(("x", "y"), None, None)
    assert layout.activation(("blocks", None, None), shape).spec == PartitionSpec(("x", "y"), None, None)
    assert layout.weight(("blocks", None, None), (12, 3, 3)).spec == PartitionSpec(None, None, None)
    assert Told().on().weight(("blocks", None, None), shape).spec == PartitionSpec("y", None, None)


def test_dimensions_that_do_not_divide_stay_whole() -> None:
    layout = Grid().on()
    assert layout.weight(("embed", "mlp"), (6, 4)).spec == PartitionSpec(None, "y")
    assert layout.weight(("heads",), (12,)).spec == PartitionSpec(None)
    assert layout.activation(("batch",), (4,)).spec == PartitionSpec(None)
    assert layout.undivided(("embed", "mlp"), (6, 4)) == ["embed of 6 is not divisible by 4 (x)"]
    assert layout.undivided(("layers", "heads"), (3, 12)) == [
        "heads of 12 is not divisible by 8 (('x', 'y'))"
    ]
    assert layout.undivided(("embed", "mlp"), (8, 4)) == []


@pytest.mark.parametrize(
    ("axes", "mesh_axis"),
    [(("embed", "vocab"), "x"), (("heads", "mlp"), "y"), (("vocab", None, "heads"), "x")],
)
def test_a_collision_names_both_axes(axes: tuple[str | None, ...], mesh_axis: str) -> None:
    first, second = (axis for axis in axes if axis)
    message = f"Grid: logical axes '{first}' and '{second}' of one .* mesh axis '{mesh_axis}'"
    with pytest.raises(PlacementError, match=message):
        Grid().on().weight(axes, (16,) * len(axes))
    with pytest.raises(PlacementError, match="'batch' and 'seq'"):
        Grid().on().activation(("batch", "seq"), (8, 8))


def test_one_device_needs_no_constraints() -> None:
    @dataclasses.dataclass(frozen=True)
    class Single(Grid):
        def mesh_shape(self) -> dict[str, int]:
            return {"x": -1, "y": 1}

    one = Single().on(jax.devices()[3:4])
    assert one.mesh.devices.ravel().tolist() == jax.devices()[3:4]
    assert one.activation(("batch",), (8,)) is None
    assert Single().on().activation(("batch",), (8,)) is not None


def test_ways_to_split_a_batch() -> None:
    @dataclasses.dataclass(frozen=True)
    class Free(Grid):
        def mesh_shape(self) -> dict[str, int]:
            return {"x": -1, "y": 2, "tensor": 3}

    assert Grid().batch_divisor(8) == 8
    assert Free().batch_divisor(24) == 8 and Free().batch_divisor(6) == 2
    with pytest.raises(PlacementError):
        Free().batch_divisor(8)


def test_what_the_optimizer_keeps_is_divided_over_all_that_its_table_names() -> None:
    @dataclasses.dataclass(frozen=True)
    class Apart(Grid):
        optimizer = {"embed": ("x", "y"), "mlp": "y"}

    assert not Grid().on().apart and Apart().on().apart
    layout = Apart().on()
    assert Grid().on().kept(("embed", "mlp"), (8, 6)) == Grid().on().weight(("embed", "mlp"), (8, 6))
    kept = {
        ("embed",): ((16,), (("x", "y"),)),
        # 12 is not divisible by 8: by 4, and then 3 is left, so the layers take the other two.
        ("layers", "embed"): ((6, 12), ("y", "x")),
        # No name of the table: the largest first, then what is then the largest.
        ("heads", "head_dim"): ((4, 32), (None, ("x", "y"))),
        ("vocab", "rank"): ((4, 2), ("x", "y")),
        ("mlp", "heads"): ((6, 3), ("y", None)),
        (): ((), ()),
    }
    for axes, (shape, spec) in kept.items():
        assert layout.kept(axes, shape).spec == PartitionSpec(*spec), axes


def test_mesh_axes_that_are_left_out_do_not_divide_a_batch() -> None:
    @dataclasses.dataclass(frozen=True)
    class Wide(Grid):
        activations = {"batch": ("slice", "x", "y")}

    assert Wide().batch_divisor(8) == 8


@pytest.mark.parametrize(
    ("placement", "ways"),
    [
        (DataParallel(), 8),
        (FullySharded(data=2), 8),
        (TensorParallel(tensor=2), 4),
        (TensorParallel(tensor=4, fsdp=2), 2),
        (TensorParallel(data=2, tensor=2), 4),
        (Combined(stage=2, tensor=2), 4),
        (Combined(stage=4, data=2, fsdp=1, micro=12, repeats=2), 24),
    ],
)
def test_ways_in_which_those_that_ship_split_a_batch(placement: Placement, ways: int) -> None:
    assert placement.batch_divisor(8) == ways


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stage": 4, "micro": 6}, r"placement.micro is 6; it is a multiple of placement.stage \(4\), or 0"),
        ({"stage": 2, "micro": -2}, "placement.micro is -2"),
        ({"stage": -1}, "placement.stage is -1; it is at least 1"),
        ({"stage": 2, "repeats": 0}, "placement.repeats is 0; it is at least 1"),
    ],
)
def test_pipelines_that_cannot_be_are_refused(fields: dict[str, int], said: str) -> None:
    with pytest.raises(PlacementError, match=said):
        Combined(**fields)
