"""Seconds of single operations: cycles where the compiler estimates them, between the roofline and a multiple of it."""

import pytest

from sharding.chips import chip_for
from sharding.program.pricing import (
    HBM_EFFICIENCY,
    KERNEL_EFFICIENCY,
    MATMUL_CAP,
    MATMUL_EFFICIENCY,
    MEMORY_CAP,
    ON_CHIP,
    Category,
    Prices,
    Work,
)
from sharding.program.text import parse

CHIP = chip_for("v5e")
TEXT = """HloModule t

%product (p0: bf16[4096,4096], p1: bf16[4096,4096]) -> bf16[4096,4096] {{
  %p0 = bf16[4096,4096]{{1,0}} parameter(0)
  %p1 = bf16[4096,4096]{{1,0}} parameter(1)
  ROOT %c = bf16[4096,4096]{{1,0}} convolution(%p0, %p1), dim_labels=bf_io->bf
}}

%turned (p0: bf16[4096,4096]) -> bf16[4096,4096] {{
  %p0 = bf16[4096,4096]{{1,0}} parameter(0)
  ROOT %c = bf16[4096,4096]{{1,0}} transpose(%p0), dimensions={{1,0}}
}}

%waved (p0: bf16[4096,4096]) -> bf16[4096,4096] {{
  %p0 = bf16[4096,4096]{{1,0}} parameter(0)
  ROOT %c = bf16[4096,4096]{{1,0}} sine(%p0)
}}

%gathered (p0: bf16[4096,4096]) -> bf16[4096,4096] {{
  %p0 = bf16[4096,4096]{{1,0}} parameter(0)
  ROOT %c = bf16[4096,4096]{{1,0}} all-reduce(%p0), replica_groups={{{{0}}}}, to_apply=%add
}}

ENTRY %main (x: bf16[4096,4096]) -> bf16[4096,4096] {{
  %x = bf16[4096,4096]{{1,0}} parameter(0)
  %near = bf16[4096,4096]{{1,0:S(1)}} parameter(1)
  ROOT %out = {line}
}}
"""
ARRAY = 2 * 4096 * 4096
FLOPS = 2 * 4096**3
HBM = CHIP.hbm_bandwidth * HBM_EFFICIENCY
FULL = FLOPS / CHIP.peak_flops


def work(line: str, cycles: int | None = None) -> Work | None:
    config = "" if cycles is None else f', backend_config={{"estimated_cycles":"{cycles}"}}'
    module = parse(TEXT.format(line=line + config))
    return Prices(module, CHIP).work(module.entry, module.entry.root)


def fusion(name: str, operands: str = "%x") -> str:
    return f"bf16[4096,4096]{{1,0}} fusion({operands}), kind=kLoop, calls=%{name}"


@pytest.mark.parametrize(
    ("cycles", "seconds"),
    [
        (None, FULL / MATMUL_EFFICIENCY),
        (CHIP.clock * FULL * 1.2, FULL * 1.2),
        (CHIP.clock * FULL * 0.5, FULL),
        (CHIP.clock * FULL * 9, FULL * MATMUL_CAP),
    ],
)
def test_products(cycles: float | None, seconds: float) -> None:
    found = work(fusion("product", "%x, %x"), None if cycles is None else round(cycles))
    assert (found.category, found.flops, found.hbm_bytes) == (Category.MATMUL, FLOPS, 3 * ARRAY)
    assert found.seconds == pytest.approx(seconds, rel=1e-6)


@pytest.mark.parametrize(("name", "category"), [("turned", Category.COPY), ("waved", Category.ELEMENTWISE)])
@pytest.mark.parametrize(("factor", "priced"), [(None, 1), (1.1, 1.1), (0.3, 1), (5, MEMORY_CAP)])
def test_operations_bound_by_memory(name: str, category: Category, factor: float | None, priced: float) -> None:
    roofline = 2 * ARRAY / HBM
    found = work(fusion(name), None if factor is None else round(CHIP.clock * roofline * factor))
    assert (found.category, found.flops, found.hbm_bytes) == (category, 0, 2 * ARRAY)
    assert found.seconds == pytest.approx(priced * roofline, rel=1e-6)


def test_on_chip_memory_is_faster() -> None:
    assert work(fusion("waved", "%near")).seconds == pytest.approx(
        ARRAY / HBM + ARRAY / (ON_CHIP * CHIP.hbm_bandwidth)
    )


def test_other_operations() -> None:
    assert work("bf16[4096,4096]{1,0} copy(%x)").category is Category.COPY
    assert work("bf16[4096,4096]{1,0} sine(%x)").category is Category.ELEMENTWISE
    assert work(fusion("gathered")).category is Category.COLLECTIVE
    assert work("s32[2]{0} sine(%x)") is None


def test_kernels_are_as_slow_as_their_arithmetic_or_their_memory() -> None:
    call = 'bf16[4096,4096]{1,0} custom-call(%x), custom_call_target="tpu_custom_call"'
    unknown = work(call)
    assert unknown.category is Category.KERNEL and unknown.seconds == pytest.approx(2 * ARRAY / HBM)
    stated = work(call + ', backend_config={"custom_call_config":{"cost_estimate":{"flops":"1000000000000"}}}')
    assert stated.seconds == pytest.approx(1e12 / (CHIP.peak_flops * KERNEL_EFFICIENCY))
    assert work(call.replace("tpu_custom_call", "AllocateBuffer")) is None


def test_a_kernel_of_unknown_cost_is_named() -> None:
    module = parse(TEXT.format(line='f32[2]{0} custom-call(%x), custom_call_target="tpu_custom_call"'))
    prices = Prices(module, CHIP)
    prices.work(module.entry, module.entry.root)
    assert list(prices.notes) == ["kernel out (tpu_custom_call): FLOPs unknown, priced by its bytes"]
