"""The text of a program from the files that the compiler leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sharding.chips import chip_for
from sharding.program.cost import cost_of
from sharding.program.dump import compiled_text
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
