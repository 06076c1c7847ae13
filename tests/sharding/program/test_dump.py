"""The text of a program from the files that the compiler leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sharding.chips import chip_for
from sharding.program.cost import cost_of
from sharding.program.dump import compiled_text
from sharding.program.report import Kind
from sharding.program.text import parse


def test_it_is_the_text_of_the_program() -> None:
    def wave(x: jax.Array) -> jax.Array:
        return jnp.sin(x @ x)

    compiled, text = compiled_text(jax.jit(wave).lower(jnp.zeros((8, 8))), {"xla_backend_optimization_level": 0})
    assert parse(text).entry.root.arrays == parse(compiled.as_text()).entry.root.arrays
    assert parse(text).scheduled


def test_of_a_tpu_it_has_cycles() -> None:
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    here = NamedSharding(Mesh(np.array(devices), ("data",)), PartitionSpec())
    x = jax.ShapeDtypeStruct((1024, 1024), jnp.bfloat16, sharding=here)
    compiled, text = compiled_text(jax.jit(lambda x: jnp.sin(x @ x)).lower(x))
    assert cost_of(text, chip_for("v5e")) == cost_of(compiled, chip_for("v5e"))
    assert cost_of(text, chip_for("v5e")).cycles > 0


@pytest.mark.slow
def test_of_what_the_sparse_core_does_it_tells_axes() -> None:
    """Layers whose weights are divided over all devices: gathered, and their gradients scattered, by the SparseCore."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="tpu7x:2x2x1").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    mesh = Mesh(np.array(devices), ("fsdp",), axis_types=(AxisType.Auto,))
    layers, width = 4, 4096
    over = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
    weights = jax.ShapeDtypeStruct((layers, width, width), jnp.float32, sharding=over)
    x = jax.ShapeDtypeStruct((8192, width), jnp.bfloat16, sharding=NamedSharding(mesh, PartitionSpec("fsdp")))

    def loss(weights: jax.Array, x: jax.Array) -> jax.Array:
        def layer(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, None]:
            return x + jnp.tanh(x @ weight.astype(x.dtype)), None

        return (lax.scan(layer, x, weights)[0].astype(jnp.float32) ** 2).mean()

    lowered = jax.jit(jax.value_and_grad(loss), out_shardings=(None, over)).lower(weights, x)
    cost = cost_of(compiled_text(lowered)[1], chip_for("tpu7x"), mesh)
    # In bfloat16: weights forwards and backwards, gradients once.
    stack = 2 * layers * width**2
    sent = {(each.kind, each.axes, each.payload_bytes) for each in cost.collectives if each.payload_bytes > 1e6}
    assert sent == {(Kind.ALL_GATHER, ("fsdp",), 2 * stack), (Kind.REDUCE_SCATTER, ("fsdp",), stack)}
    assert cost.matmul_flops == 3 * 2 * layers * 8192 / 8 * width**2
