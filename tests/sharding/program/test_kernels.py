"""FLOPs of Pallas kernels: stated, or those of attention by its shapes."""

import pytest

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
