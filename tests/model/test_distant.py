"""Experts on other devices, as a TPU's compiler sees them."""

import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import topologies

from model.dispatch import Capacity, Dispatch
from model.distant import _rounds
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


def started(text: str, kind: str) -> int:
    """Number of collectives of a kind."""
    return len(re.findall(rf" {kind}(?:-start)?\(", text))


def gathered(text: str) -> list[list[int]]:
    """Shapes of what is gathered."""
    shapes = re.findall(r"= \(?\w+\[([\d,]+)\][^=]* all-gather(?:-start)?\(", text)
    return [[int(size) for size in shape.split(",")] for shape in shapes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dispatch", "kind"), [(Dropless(), "ragged-all-to-all"), (Capacity(), "all-to-all")], ids=["dropless", "capacity"]
)
def test_rows_are_sent_by_the_tpus_own_collective(dispatch: Dispatch, kind: str) -> None:
    text = compiled(dispatch, "v5e:2x4", Combined(expert=4, fsdp=2)).as_text()
    # There and back, and the same for gradients.
    assert started(text, kind) >= 4
    # Each device gathers what `fsdp` divides of its two experts, never those of others, and no tokens.
    assert [2, EMBED, HIDDEN] in gathered(text)
    assert not [shape for shape in gathered(text) if math.prod(shape) > 2 * EMBED * HIDDEN]


@pytest.mark.slow
def test_sorted_rows_are_multiplied_by_a_kernel() -> None:
    """Three products and their six gradients, each of rows with the one expert that is theirs."""
    text = compiled(Dropless(), "v5e:2x2", Combined(fsdp=4)).as_text()
    assert len(re.findall(r"%[\w.-]*gmm[\w.]* = \S+ custom-call\(", text)) >= 9
    assert not [shape for shape in gathered(text) if math.prod(shape) > EXPERTS * EMBED * HIDDEN]


def test_further_rounds_begin_with_the_gradient_of_the_first() -> None:
    """So that they wait for it: what the first round keeps is gone before another is computed again."""

    def run(weights: Any, rows: Any, counts: Any, number: Any) -> Any:
        return jnp.sin(rows[0] * weights["w"]) * rows[1]

    def loss(weights: Any, rows: Any) -> Any:
        return _rounds(run, weights, rows, jnp.zeros((2, 2), jnp.int32), jnp.int32(3)).sum()

    given = {"w": jnp.ones(4)}, (jnp.ones((5, 4)), jnp.ones((5, 1)))
    program = jax.make_jaxpr(jax.grad(loss, (0, 1)))(*given).jaxpr
    made = {str(out): equation.primitive.name for equation in program.eqns for out in equation.outvars}
    loops = [equation for equation in program.eqns if equation.primitive.name == "while"]
    assert len(loops) == 2
    # Of both the first number counts rounds; what is added up follows it, and is no array of zeros.
    begins = [made[str(x)] for loop in loops for x in loop.invars[-len(loop.outvars) + 1 :]]
    assert begins and "broadcast_in_dim" not in begins, begins
    found = jax.grad(loss, (0, 1))(*given)
    wanted = jax.grad(lambda w, r: 3 * run(w, r, None, 0).sum(), (0, 1))(*given)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found, wanted)
