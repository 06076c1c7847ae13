"""Collectives between slices: as the text has them, and as the TPU compiler writes them."""

from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sharding.chips import chip_for
from sharding.program.collectives import LATENCY
from sharding.program.cost import cost_of
from sharding.program.report import Kind
from sharding.program.slices import Carried, carried, rendezvous
from sharding.program.text import Instruction, parse

CHIP = chip_for("v5e")
TEXT = """ENTRY %main (x: f32[64]) -> f32[64] {{
  %x = f32[64]{{0}} parameter(0)
  %token = token[] after-all()
  ROOT %s = (f32[64]{{0}}, u32[], token[]) send(%x, %token), channel_id=2, frontend_attributes={{{}}}
}}
"""
TARGETS = {
    '"{1,2}x{0:3}"': (("outer", "inner"), 2),
    '"{1:4}x{0:3}"': (("outer", "inner"), 4),
    "{{100000,300000},{100001,300001},{200000,400000},{200001,400001}}": (("outer",), 2),
    "{{100000->200000},{200000->100000}}": (("inner",), 2),
    "{{7,8}}": (None, 2),
}


def send(attributes: str) -> Instruction:
    return parse(TEXT.format(attributes)).entry.root


def mesh_of_four_slices() -> Mesh:
    """Four slices of two devices, as 2 x 2 x 2."""
    devices = [mock.Mock(slice_index=i // 2) for i in range(8)]
    for i, device in enumerate(devices):
        device.id = 100_000 * (i // 2 + 1) + i % 2
    return Mesh(np.array(devices).reshape(2, 2, 2), ("outer", "inner", "data"))


@pytest.mark.parametrize(("target", "told"), TARGETS.items())
def test_who_takes_part(target: str, told: tuple[tuple[str, ...] | None, int]) -> None:
    axes, size = told
    written = f'_xla_host_transfer_rendezvous="sum_0",_xla_megascale_target={target},_xla_megascale_transfer_type='
    found = send(f'{written}"ALL_REDUCE"')
    assert carried(found, mesh_of_four_slices()) == Carried(Kind.ALL_REDUCE, axes, size)
    assert carried(found, None) == Carried(Kind.ALL_REDUCE, None, size)
    assert rendezvous(found) == "sum_0"


def test_what_is_sent_to_the_host_itself() -> None:
    assert carried(send('_xla_host_transfer_rendezvous="print"'), None) is None
    assert rendezvous(send("")) is None


@pytest.fixture(scope="module")
def two_slices() -> Mesh:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TPU_SKIP_MDS_QUERY", "1")
        patch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
        try:
            found = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2", num_slices=2).devices
        except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
            pytest.skip(f"libtpu gives no topology here: {error}")
    return Mesh(np.array(found).reshape(2, 4), ("slice", "data"), axis_types=(AxisType.Auto,) * 2)


# Bytes of what each device holds, and times those that each kind sends of it between two slices.
ROWS, COLUMNS = 64, 1024
NBYTES = 4 * ROWS * COLUMNS
BETWEEN: dict[Kind, tuple[Callable[[jax.Array], jax.Array], float, float]] = {
    Kind.ALL_REDUCE: (lambda x: lax.psum(x, "slice"), 1, 1),
    Kind.ALL_GATHER: (lambda x: lax.all_gather(x, "slice")[0] * 2, 2, 1),
    Kind.REDUCE_SCATTER: (lambda x: jnp.tile(lax.psum_scatter(x, "slice", tiled=True), (2, 1)), 1, 1 / 2),
    Kind.PERMUTE: (lambda x: lax.ppermute(x, "slice", [(0, 1), (1, 0)]), 1, 1),
    Kind.ALL_TO_ALL: (lambda x: lax.all_to_all(x, "slice", 0, 0, tiled=True), 1, 1 / 2),
}


@pytest.mark.parametrize("kind", BETWEEN, ids=lambda kind: kind.value)
def test_every_kind_between_two_slices(kind: Kind, two_slices: Mesh) -> None:
    body, payload, sent = BETWEEN[kind]
    spec = PartitionSpec(("slice", "data"))
    x = jax.ShapeDtypeStruct((8 * ROWS, COLUMNS), jnp.float32, sharding=NamedSharding(two_slices, spec))
    program = jax.jit(jax.shard_map(body, mesh=two_slices, in_specs=spec, out_specs=spec, check_vma=False))
    cost = cost_of(program.lower(x).compile(), CHIP, two_slices)
    (found,) = cost.collectives
    assert (found.kind, found.axes, found.size, found.between_slices) == (kind, ("slice",), 2, True)
    assert (found.payload_bytes, found.sent_bytes) == (payload * NBYTES, sent * NBYTES)
    assert found.seconds == pytest.approx(sent * NBYTES / CHIP.dcn_bandwidth + LATENCY)
    # Nothing else is to be done, so it is waited for.
    assert cost.seconds.exposed_collectives == pytest.approx(found.seconds)
    assert cost.devices == 4


def test_a_sum_over_all_devices_leaves_a_part_for_the_other_network(two_slices: Mesh) -> None:
    """A slice sums within, each device sends its quarter to the other slice, and the slice gathers."""
    spec = PartitionSpec(("slice", "data"))
    x = jax.ShapeDtypeStruct((8 * ROWS, COLUMNS), jnp.float32, sharding=NamedSharding(two_slices, spec))
    program = jax.jit(jax.shard_map(
        lambda x: lax.psum(x, ("slice", "data")), mesh=two_slices, in_specs=spec, out_specs=spec, check_vma=False,
    ))  # fmt: skip
    cost = cost_of(program.lower(x).compile(), CHIP, two_slices)
    assert {(each.kind, each.axes, each.between_slices, each.payload_bytes) for each in cost.collectives} == {
        (Kind.REDUCE_SCATTER, ("data",), False, NBYTES),
        (Kind.ALL_REDUCE, ("slice",), True, NBYTES / 4),
        (Kind.ALL_GATHER, ("data",), False, NBYTES),
    }
    assert cost.over("slice")[0].sent_bytes == NBYTES / 4
