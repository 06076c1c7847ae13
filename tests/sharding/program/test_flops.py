"""FLOPs of matrix products against counting, and against closed forms of compiled programs."""

import jax
import jax.numpy as jnp
from hypothesis import given
from hypothesis import strategies as st

from sharding.program.flops import product_flops
from sharding.program.text import parse

MODULE = """HloModule test, is_scheduled=true, num_partitions=1

ENTRY %main (a: f32[2], b: f32[2]) -> f32[2] {{
  %a = {left} parameter(0)
  %b = {right} parameter(1)
  ROOT %out = {out} {opcode}(%a, %b), {attributes}, metadata={{op_name="x"}}
}}
"""


def flops(left: str, right: str, out: str, opcode: str, attributes: str) -> float:
    module = parse(MODULE.format(left=left, right=right, out=out, opcode=opcode, attributes=attributes))
    return product_flops(module.entry, module.entry.root)


def test_a_dot_counts_what_it_contracts() -> None:
    attributes = "lhs_batch_dims={0}, lhs_contracting_dims={1,3}, rhs_batch_dims={0}, rhs_contracting_dims={1,2}"
    assert flops("f32[5,7,3,4]{3,2,1,0}", "f32[5,7,4,6]{3,2,1,0}", "f32[5,3,6]{2,1,0}", "dot", attributes) == (
        2 * 5 * 7 * 3 * 4 * 6
    )


def test_a_product_of_matrices_is_a_convolution_without_windows() -> None:
    """As the TPU compiler writes it: `bf`, the rows and columns, times `io`."""
    assert flops("bf16[16,32]{1,0}", "bf16[32,8]{1,0}", "bf16[16,8]{1,0}", "convolution", "dim_labels=bf_io->bf") == (
        2 * 16 * 32 * 8
    )


def test_groups_of_a_batch() -> None:
    """Of a batch in groups, each output channel sees its own group alone."""
    labels = "dim_labels=bf_io->bf, batch_group_count=4"
    assert flops("f32[16,32]{1,0}", "f32[32,8]{1,0}", "f32[4,8]{1,0}", "convolution", labels) == 2 * 4 * 32 * 8


@given(
    length=st.integers(1, 9), size=st.integers(1, 6), stride=st.integers(1, 4), low=st.integers(-3, 7),
    high=st.integers(-3, 7), dilation=st.integers(1, 4), window_dilation=st.integers(1, 3),
)  # fmt: skip
def test_windows_beside_the_input_are_not_counted(
    length: int, size: int, stride: int, low: int, high: int, dilation: int, window_dilation: int
) -> None:
    """Every output position meets every window element, on a dilated and padded line of which the input is a part."""
    line = [None] * low + [
        position // dilation if position % dilation == 0 else None for position in range((length - 1) * dilation + 1)
    ]  # fmt: skip
    line = line[-low:] if low < 0 else line
    line = line + [None] * high if high >= 0 else line[:high]
    reach = (size - 1) * window_dilation + 1
    outputs = (len(line) - reach) // stride + 1
    if outputs < 1:
        return
    met = sum(
        line[output * stride + element * window_dilation] is not None
        for output in range(outputs) for element in range(size)
    )  # fmt: skip
    window = f"size={size} stride={stride} pad={low}_{high} lhs_dilate={dilation} rhs_dilate={window_dilation}"
    found = flops(
        f"f32[2,{length},3]{{2,1,0}}", f"f32[{size},3,5]{{2,1,0}}", f"f32[2,{outputs},5]{{2,1,0}}", "convolution",
        f"window={{{window}}}, dim_labels=b0f_0io->b0f",
    )  # fmt: skip
    assert found == 2 * 2 * 3 * 5 * met


def test_two_dimensions_multiply() -> None:
    """An ordinary image convolution: 3 x 3 windows, of which the border has fewer."""
    found = flops(
        "f32[1,4,6,2]{3,2,1,0}", "f32[3,3,2,7]{3,2,1,0}", "f32[1,4,6,7]{3,2,1,0}", "convolution",
        "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f",
    )  # fmt: skip
    assert found == 2 * 2 * 7 * (3 * 4 - 2) * (3 * 6 - 2)


def test_a_gradient_of_a_strided_convolution_costs_what_it_does() -> None:
    """Dilated inputs are read where they are: the gradient by the input costs what the convolution costs."""

    def strided(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, w, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, w = jnp.zeros((1, 9, 9, 2)), jnp.zeros((3, 3, 2, 4))
    text = jax.jit(jax.grad(lambda x: strided(x, w).sum())).lower(x).as_text(dialect="hlo")
    lines = [line for line in text.splitlines() if " convolution(" in line]
    assert len(lines) == 1 and "lhs_dilate=2x2" in lines[0]
    shapes = {"left": "f32[1,4,4,4]", "right": "f32[3,3,2,4]", "out": "f32[1,9,9,2]"}
    found = flops(opcode="convolution", attributes=lines[0].partition("), ")[2], **shapes)
    assert found == 2 * 4 * 4 * 9 * 2 * 4
