"""Bytes to and from HBM, counted by hand for fusions of every kind."""

import pytest

from sharding.program.shapes import Space
from sharding.program.text import parse
from sharding.program.traffic import Traffic

TEXT = """HloModule t

%layer (p0: f32[12,1024], p1: s32[]) -> f32[1024] {
  %p0 = f32[12,1024]{1,0:T(8,128)} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %slice = f32[1,1024]{1,0:T(1,128)} dynamic-slice(%p0, %p1, %zero), dynamic_slice_sizes={1,1024}
  %flat = f32[1024]{0:T(1024)} bitcast(%slice)
  ROOT %sine = f32[1024]{0:T(1024)} sine(%flat)
}

%nested (p0: f32[12,1024], p1: s32[]) -> f32[1024] {
  %p0 = f32[12,1024]{1,0:T(8,128)} parameter(0)
  %p1 = s32[] parameter(1)
  ROOT %inner = f32[1024]{0:T(1024)} fusion(%p0, %p1), kind=kLoop, calls=%layer
}

%both (p0: f32[12,1024], p1: s32[]) -> f32[1024] {
  %p0 = f32[12,1024]{1,0:T(8,128)} parameter(0)
  %p1 = s32[] parameter(1)
  %inner = f32[1024]{0:T(1024)} fusion(%p0, %p1), kind=kLoop, calls=%layer
  ROOT %sum = f32[1024]{0:T(1024)} reduce(%p0), to_apply=%add
}

%update (p0: f32[12,1024], p1: f32[1,1024], p2: s32[]) -> f32[12,1024] {
  %p0 = f32[12,1024]{1,0:T(8,128)} parameter(0)
  %p1 = f32[1,1024]{1,0:T(1,128)} parameter(1)
  %p2 = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %new = f32[12,1024]{1,0:T(8,128)} dynamic-update-slice(%p0, %p1, %p2, %zero)
}

%two (p0: f32[1024]) -> (f32[1024], f32[1024]) {
  %p0 = f32[1024]{0:T(1024)} parameter(0)
  %a = f32[1024]{0:T(1024)} sine(%p0)
  ROOT %t = (f32[1024]{0:T(1024)}, f32[1024]{0:T(1024)S(1)}, f32[1024]{0:T(1024)}) tuple(%a, %a, %p0)
}

ENTRY %main (stack: f32[12,1024], i: s32[], row: f32[1,1024]) -> f32[1024] {
  %stack = f32[12,1024]{1,0:T(8,128)} parameter(0)
  %i = s32[]{:T(128)S(6)} parameter(1)
  %row = f32[1,1024]{1,0:T(1,128)} parameter(2)
  %x = f32[1024]{0:T(1024)} parameter(3)
  %near = f32[1024]{0:T(1024)S(1)} parameter(4)
  %layer_fusion = f32[1024]{0:T(1024)} fusion(%stack, %i), kind=kLoop, calls=%layer
  %nested_fusion = f32[1024]{0:T(1024)} fusion(%stack, %i), kind=kLoop, calls=%nested
  %both_fusion = f32[1024]{0:T(1024)} fusion(%stack, %i), kind=kLoop, calls=%both
  %update_fusion = f32[12,1024]{1,0:T(8,128)} fusion(%stack, %row, %i), kind=kLoop, calls=%update
  %two_fusion = (f32[1024]{0:T(1024)}, f32[1024]{0:T(1024)S(1)}, f32[1024]{0:T(1024)}) fusion(%x), calls=%two
  %add = f32[1024]{0:T(1024)} add(%x, %near)
  %cut = f32[128]{0:T(128)} slice(%x), slice={[0:128]}
  ROOT %placed = f32[12,1024]{1,0:T(8,128)} dynamic-update-slice(%stack, %row, %i, %i)
}
"""
ROW = 4 * 1024
# Twelve rows, in tiles of eight.
STACK = 16 * ROW


@pytest.mark.parametrize(
    ("name", "nbytes"),
    [
        ("layer_fusion", ROW + ROW),
        ("nested_fusion", ROW + ROW),
        # What reads the whole reads no more than the whole.
        ("both_fusion", STACK + ROW),
        # In place: the row is read and written, the rest stays as it is.
        ("update_fusion", ROW + ROW),
        # Its second result is on the chip, its third is its operand handed on.
        ("two_fusion", ROW + ROW),
        ("add", ROW + ROW),
        ("cut", 2 * 4 * 128),
        ("placed", 2 * ROW),
    ],
)
def test_bytes_of_hbm(name: str, nbytes: float) -> None:
    module = parse(TEXT)
    assert Traffic(module, []).moved(module.entry, module.entry.named[name]) == nbytes


def test_bytes_of_other_memories() -> None:
    module = parse(TEXT)
    traffic = Traffic(module, [])
    assert traffic.moved(module.entry, module.entry.named["two_fusion"], (Space.ON_CHIP,)) == ROW
    assert traffic.moved(module.entry, module.entry.named["add"], (Space.ON_CHIP,)) == ROW


def test_collectives_inside_fusions_move_nothing() -> None:
    text = TEXT.replace("sine(%flat)", "all-reduce(%flat), to_apply=%add")
    module = parse(text)
    moved = {each: Traffic(module, names).moved(module.entry, module.entry.named["layer_fusion"])
             for each, names in (("sent", ["all-reduce"]), ("worked", []))}  # fmt: skip
    assert moved == {"sent": ROW, "worked": 2 * ROW}
