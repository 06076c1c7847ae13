"""Experts on other devices, as a TPU's compiler sees them."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.experimental import topologies

from model.dispatch import Capacity, Dispatch
from model.dropless import Dropless
from model.feedforward import GatedMLP
from model.moe import MoE
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision
from sharding.axes import active
from sharding.placements import Combined

EXPERTS, EMBED, HIDDEN = 8, 256, 512
SIZES = Sizes(EMBED, layers=2, dropout=0.0, parametrization=Standard(0.02), precision=Precision())


def compiled(dispatch: Dispatch, topology: str, placement: Combined) -> jax.stages.Compiled:
    """Output and gradients of one layer, for 4 rows of 512 tokens a device."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    layout = placement.on(devices)
    spec = MoE(EXPERTS, 2, GatedMLP(HIDDEN), dispatch=dispatch)
    graph, state = nnx.split(nnx.eval_shape(lambda: spec.build(SIZES, nnx.Rngs(0))))
    placed = {
        path: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=layout.weight(names, v.shape))
        for (path, v), names in zip(nnx.to_flat_state(state), logical_axes(state).values(), strict=True)
    }
    x = jax.ShapeDtypeStruct((4 * layout.mesh.size, 512, EMBED), jnp.bfloat16, sharding=layout.batch)

    @functools.partial(jax.grad, argnums=(0, 1))
    def value(weights: Any, x: jax.Array) -> jax.Array:
        y = nnx.merge(graph, nnx.traversals.unflatten_mapping(weights)).routed(x)[0]
        return jnp.square(y.astype(jnp.float32)).sum()

    shardings = jax.tree.map(lambda leaf: leaf.sharding, (placed, x))
    with active(layout):
        return jax.jit(value, out_shardings=shardings).lower(placed, x).compile()


def sent(text: str, kind: str) -> list[str]:
    """Types of what the collectives of a kind give."""
    return re.findall(rf"= (\(?\w+\[[\d,]*\]).* {kind}(?:-start)?\(", text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dispatch", "kind"), [(Dropless(), "ragged-all-to-all"), (Capacity(), "all-to-all")], ids=["dropless", "capacity"]
)
def test_rows_are_sent_by_the_tpus_own_collective(dispatch: Dispatch, kind: str) -> None:
    text = compiled(dispatch, "v5e:2x4", Combined(expert=4, fsdp=2)).as_text()
    # There and back, and the same for gradients.
    assert len(sent(text, kind)) >= 4, set(re.findall(r" ([\w-]*all-[\w-]*)\(", text))
    for shape in sent(text, "all-gather"):
        sizes = [int(size) for size in re.findall(r"\d+", shape.split("[")[1])]
        # Each device gathers what `fsdp` divides of its two experts, and never those of others.
        assert EXPERTS not in sizes or len(sizes) < 3, shape


@pytest.mark.slow
def test_sorted_rows_are_multiplied_by_a_kernel() -> None:
    """XLA for TPUs makes `ragged_dot` and both of its gradients kernels, which read rows of experts that have some."""
    text = compiled(Dropless(), "v5e:2x2", Combined(fsdp=4)).as_text()
    calls = re.findall(r"%(ragged-dot[\w-]*)[.\d]* = \S+ custom-call", text)
    assert len([name for name in calls if "metadata" not in name]) >= 9
