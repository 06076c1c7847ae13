"""A program as far as its schedule, against the same program compiled to the end."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from sharding.program.schedule import planned_bytes, scheduled

ROOT = Path(__file__).parents[3]

# In a process of its own, as the compiler goes on behind its schedule.
COMPARED = """
import os, sys
from data import console
console.quiet()
import jax, jax.numpy as jnp, numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sharding.chips import chip_for
from sharding.program.cost import cost_of
from sharding.program.dump import compiled_text
from sharding.program.schedule import scheduled

try:
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
except Exception as error:
    print(f"libtpu gives no topology here: {error}")
    os._exit(77)
mesh = Mesh(np.array(devices).reshape(-1), ("data",))
x = jax.ShapeDtypeStruct((4096, 1024), jnp.bfloat16, sharding=NamedSharding(mesh, PartitionSpec("data")))
w = jax.ShapeDtypeStruct((6, 1024, 1024), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))

def loss(w, x):
    layer = lambda x, w: (jnp.tanh(x @ w.astype(x.dtype)), None)
    return (jax.lax.scan(layer, x, w)[0].astype(jnp.float32) ** 2).mean()

lowered = jax.jit(jax.grad(loss)).lower(w, x)
compiled, text = compiled_text(lowered)
found = scheduled(lowered)
whole, schedule = (cost_of(each, chip_for("v5e"), mesh) for each in (text, found.text))
assert schedule.cycles == 0 < whole.cycles
for name in ("matmul_flops", "hbm_bytes", "loops"):
    assert getattr(schedule, name) == getattr(whole, name), name
assert [c.sent_bytes for c in schedule.collectives] == [c.sent_bytes for c in whole.collectives] != []
memory = compiled.memory_analysis()
# Its peak also counts what is on chip here.
held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
assert abs(found.peak / held - 1) < 0.01, (found.peak, held)
print("the same")
sys.stdout.flush()
os._exit(0)
"""


def test_it_is_that_of_the_compiled_program() -> None:
    env = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run([sys.executable, "-c", COMPARED], env=env, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stdout)
    assert done.returncode == 0 and done.stdout.endswith("the same\n"), done.stderr[-2000:]


def test_another_compiler_leaves_none() -> None:
    with pytest.raises(RuntimeError, match="left no schedule of jit__lambda"):
        scheduled(jax.jit(lambda x: x @ x).lower(jnp.zeros((8, 8))))


def test_bytes_are_of_the_main_memory_and_of_no_function_that_is_fused() -> None:
    text = """BufferAssignment:
allocation 0: size 4, color 8, page 0, thread-local:
 value: <1 a{2} @8> (size=4,offset=0): u32[]{:S(8)}
allocation 1: size 32, page 0, thread-local:
allocation 2: size 100, page 0, parameter 6, shape |f32[25]| at ShapeIndex {}, maybe-live-out:
allocation 3: size 1000, color 1, page 0, preallocated-temp:
allocation 4: size 7000, page 0, preallocated-temp:
"""
    assert planned_bytes(text) == 7100
