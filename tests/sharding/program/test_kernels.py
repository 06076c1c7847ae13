"""FLOPs of Pallas kernels: stated, or those of attention by its shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas, topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sharding.chips import chip_for
from sharding.program.cost import cost_of
from sharding.program.kernels import kernel_flops
from sharding.program.text import parse

TEXT = """HloModule t

ENTRY %main (q: bf16[2]) -> bf16[2] {{
  %q = bf16[2,8,1024,64]{{3,2,1,0}} parameter(0)
  %k = bf16[2,8,512,64]{{3,2,1,0}} parameter(1)
  %v = bf16[2,8,512,64]{{3,2,1,0}} parameter(2)
  %mask = s8[1,2,2]{{2,1,0}} parameter(3)
  ROOT %{name} = bf16[2,8,1024,64]{{3,2,1,0}} custom-call(%mask, %q, %k, %v), custom_call_target="tpu_custom_call"{more}
}}
"""
# One product of queries and keys.
PRODUCT = 2 * 2 * 8 * 1024 * 512 * 64


def flops(name: str, more: str = "") -> float | None:
    module = parse(TEXT.format(name=name, more=more))
    return kernel_flops(module.entry, module.entry.root)


def test_what_a_kernel_states_counts() -> None:
    config = 'backend_config={"custom_call_config":{"cost_estimate":{"bytes_accessed":"7","flops":"12345"}}}'
    assert flops("gmm.3", f", {config}") == 12345
    assert flops("splash_mha_fwd.1", f", {config}") == 12345


def test_other_kernels_are_unknown() -> None:
    assert flops("gmm.3") is None


@pytest.mark.parametrize(
    ("name", "products"),
    [("splash_mha_fwd_residuals.2", 2), ("splash_mha_dq_no_residuals.1", 3), ("splash_mha_dkv_no_residuals", 4)],
)
def test_causal_attention(name: str, products: int) -> None:
    """Half of the products, and of the blocks on the diagonal the other half."""
    assert flops(name) == products * PRODUCT / 2
    metadata = ', frontend_attributes={kernel_metadata={\n"xprof_metadata":"{\\"block_q\\": 256}"\n}}'
    assert flops(name, metadata) == products * PRODUCT * (1 / 2 + 1 / 2 * 256 / 1024)


def test_one_kernel_for_all_gradients() -> None:
    metadata = ', frontend_attributes={kernel_metadata={\n"x":"{\\"use_fused_bwd_kernel\\": true}"\n}}'
    assert flops("splash_mha_dkv_no_residuals", metadata) == 5 * PRODUCT / 2


def test_the_gradient_of_queries_by_blocks_of_keys_tells_of_one_kernel() -> None:
    text = TEXT.format(name="splash_mha_dkv.1", more="").replace(
        "ROOT %splash_mha_dkv.1 = bf16[2,8,1024,64]{3,2,1,0}",
        "ROOT %splash_mha_dkv.1 = (bf16[4,2,8,1024,64]{4,3,2,1,0}, bf16[2,8,512,64]{3,2,1,0})",
    )
    module = parse(text)
    assert kernel_flops(module.entry, module.entry.root) == 5 * PRODUCT / 2


def test_blocks_that_are_visited_are_read_from_the_scope() -> None:
    scope = ', metadata={op_name="jit(step)/transpose(jvp(visits_3_of_4_blocks))/vmap(mha)/pallas_call"}'
    assert flops("splash_mha_fwd.1", scope) == 2 * PRODUCT * 3 / 4


@pytest.mark.parametrize(
    ("name", "channels"), [("splash_mha_fwd", 64 + 32), ("splash_mha_dq", 2 * 64 + 32), ("splash_mha_dkv", 128 + 64)]
)
def test_values_may_have_fewer_features(name: str, channels: int) -> None:
    text = TEXT.format(name=f"{name}.1", more="").replace("%v = bf16[2,8,512,64]", "%v = bf16[2,8,512,32]")
    module = parse(text)
    assert kernel_flops(module.entry, module.entry.root) == PRODUCT / 64 * channels / 2


def test_a_compiled_kernel_is_found() -> None:
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    mesh = Mesh(np.array(devices), ("data",))
    x = jax.ShapeDtypeStruct((1024, 1024), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("data")))
    estimate = pallas.CostEstimate(flops=123_456, bytes_accessed=2 << 20, transcendentals=0)
    block = pallas.BlockSpec((128, 1024), lambda i: (i, 0))

    def doubled(source: jax.Array, result: jax.Array) -> None:
        result[...] = source[...] * 2

    call = pallas.pallas_call(
        doubled, jax.ShapeDtypeStruct((256, 1024), jnp.float32), grid=(2,), in_specs=[block], out_specs=block,
        cost_estimate=estimate,
    )  # fmt: skip
    spec = PartitionSpec("data")
    program = jax.jit(jax.shard_map(call, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)).lower(x).compile()
    cost = cost_of(program, chip_for("v5e"), mesh)
    assert cost.kernel_flops == 123_456 and cost.hbm_bytes == 2 * 4 * 256 * 1024
    assert cost.seconds.total == cost.seconds.kernels
