"""Costs of whole programs: closed forms on CPU and TPU compilers, and agreement with another way of counting.

The other way is a script of its own, `tools/hlo_cost.py` in the directory that the variable ESPALIER_SHARED names.
"""

import collections
import dataclasses
import gzip
import importlib.util
import os
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from model.feedforward import FeedForward, GatedMLP
from model.kernels import Blocked, Kernel
from model.moe import MoE
from sharding.axes import active
from sharding.chips import chip_for
from sharding.placement import Placement
from sharding.placements import DataParallel, FullySharded, TensorParallel
from sharding.program.cost import cost_of
from sharding.program.dump import compiled_text
from sharding.program.report import Kind
from sharding.program.text import ProgramError
from train.feed import abstract_batch
from train.load import load_experiment
from train.state import Blueprint, abstract_state
from train.step import lower_step, make_step

QUICK = {"xla_backend_optimization_level": 0}
V5E = chip_for("v5e")


def tpu_mesh(topology: str, shape: tuple[int, ...], names: tuple[str, ...]) -> Mesh:
    """A mesh of abstract TPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TPU_SKIP_MDS_QUERY", "1")
        patch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
        try:
            devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
        except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
            pytest.skip(f"libtpu gives no topology here: {error}")
    return Mesh(np.array(devices).reshape(shape), names, axis_types=(AxisType.Auto,) * len(names))


def test_products_in_nested_scans() -> None:
    """Seven times five products of n x n, and seven of n x 2n x n."""
    n = 16

    def inner(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jnp.tanh(x @ x), None

    def outer(x: jax.Array, w: jax.Array) -> tuple[jax.Array, None]:
        x = lax.scan(inner, x, length=5)[0]
        return jnp.tanh(x @ w) @ w.T, None

    arguments = jnp.zeros((n, n)), jnp.zeros((7, n, 2 * n))
    program = jax.jit(lambda x, ws: lax.scan(outer, x, ws)[0]).lower(*arguments).compile(QUICK)
    cost = cost_of(program, V5E)
    assert cost.matmul_flops == 7 * (5 * 2 * n**3 + 2 * 2 * n * 2 * n * n)
    assert sorted((loop.trips, loop.entered, loop.depth) for loop in cost.loops) == [(5, 7, 1), (7, 1, 0)]
    assert cost.devices == 1 and cost.collectives == ()


def test_text_and_lines_cost_what_the_program_costs(tmp_path: Path) -> None:
    program = jax.jit(lambda x: x @ x).lower(jnp.zeros((8, 8))).compile(QUICK)
    path = tmp_path / "program.txt.gz"
    with gzip.open(path, "wt") as file:
        file.write(program.as_text())
    with gzip.open(path, "rt") as file:
        assert cost_of(program, V5E) == cost_of(program.as_text(), V5E) == cost_of(file, V5E)
    with pytest.raises(ProgramError, match="no ENTRY"):
        cost_of("nothing", V5E)


def test_layers_over_a_tpu_mesh() -> None:
    """Six layers, each of two products with weights divided over `tensor` and a sum over it, rows over `data`."""
    mesh = tpu_mesh("v5e:2x2", (2, 2), ("data", "tensor"))
    layers, rows, width, hidden = 6, 512, 1024, 4096
    x = jax.ShapeDtypeStruct((rows, width), jnp.bfloat16, sharding=NamedSharding(mesh, PartitionSpec("data")))
    shapes = ((layers, width, hidden), PartitionSpec(None, None, "tensor")), (
        (layers, hidden, width), PartitionSpec(None, "tensor"),
    )  # fmt: skip
    up, down = (
        jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=NamedSharding(mesh, spec)) for shape, spec in shapes
    )

    def layer(x: jax.Array, weights: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return jax.nn.relu(jnp.dot(jax.nn.relu(x @ weights[0]), weights[1])), None

    cost = cost_of(jax.jit(lambda x, *ws: lax.scan(layer, x, ws)[0]).lower(x, up, down).compile(), V5E, mesh)
    assert cost.devices == 4 and cost.warnings == ()
    assert cost.matmul_flops == layers * 2 * 2 * rows / 2 * width * hidden / 2
    assert [(loop.trips, loop.how) for loop in cost.loops] == [(layers, "worked out from its counter")]
    (found,) = cost.collectives
    assert (found.kind, found.axes, found.size, found.count) == (Kind.ALL_REDUCE, ("tensor",), 2, layers)
    # Sums are sent as bfloat16 or float32, as the compiler likes.
    assert found.payload_bytes / layers / (rows / 2 * width) in (2, 4)
    assert found.sent_bytes == found.payload_bytes
    # Weights are read once; activations may stay on the chip.
    weights = layers * 2 * width * hidden / 2 * 2
    assert weights <= cost.hbm_bytes < 1.1 * weights + layers * 8 * 4 * rows / 2 * max(width, hidden / 2)
    assert cost.roofline.bound <= cost.seconds.total
    assert cost.cycles > cost.matmul_flops / V5E.peak_flops * V5E.clock


def test_scattered_sums_on_a_tpu() -> None:
    """The TPU compiler writes a reduce-scatter as a sum fused with a slice: it counts as the sum, and is told."""
    mesh = tpu_mesh("v5e:2x2", (4,), ("data",))
    spec, rows, columns = PartitionSpec("data"), 2048, 1024
    x = jax.ShapeDtypeStruct((4 * rows, columns), jnp.bfloat16, sharding=NamedSharding(mesh, spec))

    def body(x: jax.Array) -> jax.Array:
        return lax.psum_scatter(x * 2, "data", tiled=True)

    program = jax.jit(jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)).lower(x)
    (found,) = cost_of(program.compile(), V5E, mesh).collectives
    assert found.payload_bytes == 2 * rows * columns
    assert (found.kind, found.scattered, found.sent_bytes / found.payload_bytes) in (
        (Kind.ALL_REDUCE, 1, 2 * 3 / 4), (Kind.REDUCE_SCATTER, 0, 3 / 4),
    )  # fmt: skip


@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
def test_batched_products_and_plain_arithmetic_on_a_tpu(topology: str) -> None:
    """The TPU compiler writes batches as windows; FLOPs stay what they are. A sum reads two arrays and writes one."""
    mesh = tpu_mesh(topology, (4,), ("data",))
    here = NamedSharding(mesh, PartitionSpec())
    batch, rows, inner, columns = 12, 256, 128, 384
    left = jax.ShapeDtypeStruct((batch, rows, inner), jnp.bfloat16, sharding=here)
    right = jax.ShapeDtypeStruct((batch, inner, columns), jnp.bfloat16, sharding=here)
    program = jax.jit(lambda a, b: jnp.einsum("bik,bkj->bij", a, b)).lower(left, right).compile()
    assert cost_of(program, chip_for(topology), mesh).matmul_flops == 2 * batch * rows * inner * columns
    large = jax.ShapeDtypeStruct((8192, 4096), jnp.float32, sharding=here)
    added = cost_of(jax.jit(jnp.add).lower(large, large).compile(), chip_for(topology), mesh)
    assert added.hbm_bytes == 3 * 4 * 8192 * 4096 and added.matmul_flops == 0
    assert added.seconds.total == added.seconds.elementwise >= added.roofline.hbm


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2", "tpu7x:2x2x1"])
def test_large_products_come_near_the_peak(topology: str) -> None:
    """By the compiler's own estimate, in cycles of the chip's clock."""
    chip, n = chip_for(topology), 4096
    devices = topologies.get_topology_desc(platform="tpu", topology_name=topology, **chip.topology_options).devices
    here = NamedSharding(Mesh(np.array(devices), ("data",)), PartitionSpec())
    x = jax.ShapeDtypeStruct((n, n), jnp.bfloat16, sharding=here)
    cost = cost_of(jax.jit(jnp.dot).lower(x, x).compile(), chip)
    assert 0.7 < 2 * n**3 / chip.peak_flops / (cost.cycles / chip.clock) < 1


def other_way() -> types.ModuleType:
    """The script that counts in another way."""
    path = Path(os.environ.get("ESPALIER_SHARED", "")) / "tools" / "hlo_cost.py"
    if not os.environ.get("ESPALIER_SHARED") or not path.exists():
        pytest.skip("ESPALIER_SHARED names no directory with tools/hlo_cost.py")
    spec = importlib.util.spec_from_file_location("hlo_cost", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclasses.dataclass(frozen=True)
class Case:
    """A training step that is compiled: a small decoder under a placement, on a topology."""

    topology: str
    placement: Placement
    feedforward: FeedForward = GatedMLP(hidden=2048)
    kernel: Kernel | None = Blocked(512)
    remat: str = "full"


CASES = {
    "data parallel, splash attention": Case("v5e:2x2", DataParallel(), kernel=None, remat="minimal"),
    "fully sharded": Case("v5e:2x4", FullySharded()),
    "tensor parallel": Case("v5e:2x4", TensorParallel(fsdp=2, tensor=4)),
    "experts": Case("v5p:2x2x1", FullySharded(), feedforward=MoE(experts=8, top_k=2, expert=GatedMLP(hidden=512))),
}


def step_of(case: Case) -> tuple[str, Mesh]:
    """The step that training takes, compiled."""
    experiment, _ = load_experiment("llama3_8b")
    devices = list(tpu_mesh(case.topology, (-1,), ("all",)).devices.flat)
    layout = case.placement.on(devices)
    attention = dataclasses.replace(experiment.model.attention, heads=8, kv_heads=4, kernel=case.kernel)
    model = dataclasses.replace(
        experiment.model, layers=4, embed=1024, vocab=8192, attention=attention, feedforward=case.feedforward,
        remat=case.remat,
    )  # fmt: skip
    blueprint, schedule = Blueprint(model), experiment.schedule.over(experiment.steps)
    optimizer = experiment.optimizer.transform(schedule, blueprint.table)
    state = abstract_state(blueprint, optimizer, layout)
    batch = dataclasses.replace(experiment.batch, batch=16, sequence=1024)
    step = make_step(blueprint, experiment.objective, optimizer, schedule, seed=0, accumulate=batch.accumulate)
    lowered = lower_step(step, state, abstract_batch(batch.form.fields, batch.batch, layout), layout)
    with active(layout):
        return compiled_text(lowered)[1], layout.mesh


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_another_way_of_counting_agrees(case: Case) -> None:
    other = other_way()
    (text, mesh), chip = step_of(case), chip_for(case.topology)
    cost, told = cost_of(text, chip, mesh), other.analyze(text, chip.name)
    assert cost.matmul_flops == pytest.approx(told["matmul_flops"], rel=0.03)
    assert cost.kernel_flops == pytest.approx(told["custom_call_flops_guess"], rel=0.03)
    assert cost.hbm_bytes == pytest.approx(told["hbm_bytes"], rel=0.03)
    assert cost.cycles == pytest.approx(told["estimated_cycles_total"], rel=0.03)
    assert cost.seconds.total == pytest.approx(told["simulated_seconds"], rel=0.03)
    found = collections.defaultdict(lambda: np.zeros(4))
    for each in cost.collectives:
        found[each.kind.value] += each.count, each.asynchronous, each.payload_bytes, each.sent_bytes
    assert found.keys() == told["collectives"].keys()
    for kind, sums in found.items():
        there = told["collectives"][kind]
        expected = [there[key] for key in ("count", "bytes", "ici_bytes_per_chip")]
        assert sums[[0, 2, 3]] == pytest.approx(expected, rel=0.03), kind
        assert sums[1] == there.get("async_count", 0)
    assert all(each.axes for each in cost.collectives)
    print(f"simulated {cost.seconds.total:.6f} s, there {told['simulated_seconds']:.6f} s")
