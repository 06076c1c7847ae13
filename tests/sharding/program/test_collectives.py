"""What collectives send, in programs whose sizes are known: eight CPU devices on a mesh of 2 x 4."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, PartitionSpec

from sharding.chips import chip_for
from sharding.program.collectives import LATENCY, LINK_EFFICIENCY, Exchange, Network, kind_of
from sharding.program.cost import cost_of
from sharding.program.report import Collective, Kind
from sharding.program.text import parse

QUICK = {"xla_backend_optimization_level": 0}
CHIP = chip_for("v5e")
# Of the array that each device holds in the programs below.
ROWS, COLUMNS = 16, 32
NBYTES = 4 * ROWS * COLUMNS


def mesh_of(order: list[int]) -> Mesh:
    devices = np.array(jax.devices())[order].reshape(2, 4)
    return Mesh(devices, ("outer", "inner"), axis_types=(AxisType.Auto,) * 2)


MESH = mesh_of(list(range(8)))
# Partitions are numbered by the mesh, whatever the numbers of its devices.
SHUFFLED = mesh_of([3, 1, 4, 0, 5, 7, 2, 6])


def compiled(body: Callable[[jax.Array], jax.Array], mesh: Mesh = MESH) -> tuple[Collective, ...]:
    spec = PartitionSpec(("outer", "inner"))
    program = jax.jit(jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    text = program.lower(jnp.zeros((8 * ROWS, COLUMNS))).compile(QUICK).as_text()
    return cost_of(text, CHIP, mesh).collectives


def one(body: Callable[[jax.Array], jax.Array], mesh: Mesh = MESH) -> Collective:
    (found,) = compiled(body, mesh)
    return found


@pytest.mark.parametrize("mesh", [MESH, SHUFFLED], ids=["in order", "shuffled"])
@pytest.mark.parametrize(("axes", "size"), [(("inner",), 4), (("outer",), 2), (("outer", "inner"), 8)])
def test_sums(axes: tuple[str, ...], size: int, mesh: Mesh) -> None:
    found = one(lambda x: lax.psum(x, axes), mesh)
    assert (found.kind, found.axes, found.size, found.count) == (Kind.ALL_REDUCE, axes, size, 1)
    assert found.payload_bytes == NBYTES
    assert found.sent_bytes == pytest.approx(2 * NBYTES * (size - 1) / size)


def test_gathers() -> None:
    found = one(lambda x: lax.all_gather(x, "inner")[0] * 2)
    assert (found.kind, found.axes, found.payload_bytes) == (Kind.ALL_GATHER, ("inner",), 4 * NBYTES)
    assert found.sent_bytes == pytest.approx(3 * NBYTES)
    assert found.seconds == pytest.approx(3 * NBYTES / (2 * CHIP.link_bandwidth * LINK_EFFICIENCY) + LATENCY)


def test_scattered_sums() -> None:
    found = one(lambda x: jnp.tile(lax.psum_scatter(x, "outer", tiled=True), (2, 1)))
    assert (found.kind, found.axes, found.payload_bytes) == (Kind.REDUCE_SCATTER, ("outer",), NBYTES)
    assert found.sent_bytes == pytest.approx(NBYTES / 2)


def test_rings() -> None:
    found = one(lambda x: lax.ppermute(x, "inner", [(i, (i + 1) % 4) for i in range(4)]))
    assert (found.kind, found.axes) == (Kind.PERMUTE, ("inner",))
    assert found.payload_bytes == found.sent_bytes == NBYTES
    assert found.seconds == pytest.approx(NBYTES / (CHIP.link_bandwidth * LINK_EFFICIENCY) + LATENCY)


def test_exchanges_of_all_with_all() -> None:
    found = one(lambda x: lax.all_to_all(x, "inner", 0, 0, tiled=True))
    assert (found.kind, found.axes, found.payload_bytes) == (Kind.ALL_TO_ALL, ("inner",), NBYTES)
    assert found.sent_bytes == pytest.approx(NBYTES * 3 / 4)


def test_loops_count_every_time() -> None:
    """Six times five sums, and three gathers: each kind by its axes."""

    def body(x: jax.Array) -> jax.Array:
        def inner(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.sin(lax.psum(x, "inner")), None

        def outer(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return lax.scan(inner, x, length=5)[0], None

        x = lax.scan(outer, x, length=6)[0]
        return lax.scan(lambda x, _: (lax.all_gather(x, "outer")[1] + 1, None), x, length=3)[0]

    found = {each.kind: each for each in compiled(body)}
    assert {(kind, each.axes, each.count) for kind, each in found.items()} == {
        (Kind.ALL_REDUCE, ("inner",), 30), (Kind.ALL_GATHER, ("outer",), 3),
    }  # fmt: skip
    assert found[Kind.ALL_REDUCE].payload_bytes == 30 * NBYTES
    assert found[Kind.ALL_GATHER].payload_bytes == 3 * 2 * NBYTES


LINE = """HloModule t, num_partitions=8

ENTRY %main (x: f32[64]) -> f32[64] {{
  %x = f32[64]{{0}} parameter(0)
  ROOT %out = {}
}}
"""


def exchange(line: str, mesh: Mesh | None = None) -> Exchange:
    module = parse(LINE.format(line))
    return Network(CHIP, 8, mesh).exchange(module.entry, module.entry.root)


def test_what_a_start_gathers_is_its_second_result() -> None:
    groups = "replica_groups=mesh['a'=2,'b'=4] {'b'}, dimensions={0}"
    found = exchange(f"(f32[64]{{0}}, f32[256]{{0}}) all-gather-start(%x), {groups}", MESH)
    assert (found.axes, found.size, found.payload_bytes) == (("inner",), 4, 1024)


def test_of_a_ragged_exchange_the_first_operand_is_sent() -> None:
    found = exchange("f32[64]{0} ragged-all-to-all(%x, %x, %x, %x), replica_groups={{0,1,2,3,4,5,6,7}}")
    assert (found.kind, found.payload_bytes, found.axes, found.size) == (Kind.RAGGED_ALL_TO_ALL, 256, None, 8)


def test_kinds() -> None:
    assert kind_of("all-reduce-start") is kind_of("all-reduce") is Kind.ALL_REDUCE
    assert kind_of("fusion") is None
