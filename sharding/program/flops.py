"""Floating-point operations of matrix products, which the TPU compiler writes as convolutions.

A multiply-add counts as two. Operation semantics: https://openxla.org/xla/operation_semantics#conv_convolution.
"""

import dataclasses
import functools
import math
import re

from sharding.program.text import Computation, Instruction, Module, ProgramError

_WINDOW = re.compile(r"window=\{([^}]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")


@dataclasses.dataclass(frozen=True)
class _Axis:
    """A spatial dimension of a convolution."""

    input: int
    output: int
    size: int = 1
    stride: int = 1
    pad: int = 0
    input_dilation: int = 1
    window_dilation: int = 1


def product_flops(where: Computation, instruction: Instruction) -> float:
    """Of a `dot` or `convolution`; 0 of anything else.

    Batched matrix products are written as convolutions whose window is padded or dilated, so that most of its
    elements fall beside the input or between its elements: these are not counted.

    Raises ProgramError if its dimensions are not told.
    """
    if instruction.opcode == "dot":
        return _dot(where, instruction)
    if instruction.opcode == "convolution":
        return _convolution(where, instruction)
    return 0.0


def all_flops(module: Module, name: str) -> float:
    """Of a fused computation, those that it fuses in turn included."""
    total = 0.0
    for each in module.computations[name].instructions:
        total += product_flops(module.computations[name], each)
        inner = each.attribute("calls") if each.opcode == "fusion" else None
        total += all_flops(module, inner) if inner else 0.0
    return total


def _dims(where: Computation, instruction: Instruction, index: int) -> tuple[int, ...]:
    return where.operand(instruction, index).arrays[0].dims


def _dot(where: Computation, instruction: Instruction) -> float:
    contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.attributes)
    left = _dims(where, instruction, 0)
    summed = math.prod(left[int(dim)] for dim in contracted[1].split(",") if dim) if contracted else 1
    return 2.0 * instruction.arrays[0].elements * summed


def _convolution(where: Computation, instruction: Instruction) -> float:
    labels = _LABELS.search(instruction.attributes)
    if labels is None:
        raise ProgramError(f"convolution {instruction.name}: it has no dim_labels")
    left, right, out = labels.groups()
    left_dims, right_dims = _dims(where, instruction, 0), _dims(where, instruction, 1)
    out_dims = instruction.arrays[0].dims
    batch_groups = int(instruction.attribute("batch_group_count") or 1)
    total = 2.0 * left_dims[left.index("b")] / batch_groups
    total *= right_dims[right.index("i")] * out_dims[out.index("f")]
    windows = _windows(instruction, len(left) - 2)
    for number, window in enumerate(windows):
        label = str(number)
        total *= _inside(_Axis(left_dims[left.index(label)], out_dims[out.index(label)], **window))
    return total


def _windows(instruction: Instruction, axes: int) -> list[dict[str, int]]:
    found = _WINDOW.search(instruction.attributes)
    written = dict(re.findall(r"(\w+)=(\S+)", found[1])) if found else {}
    names = {"size": "size", "stride": "stride", "lhs_dilate": "input_dilation", "rhs_dilate": "window_dilation"}
    windows: list[dict[str, int]] = [{} for _ in range(axes)]
    for written_name, name in names.items():
        for window, value in zip(windows, written.get(written_name, "").split("x"), strict=False):
            if value:
                window[name] = int(value)
    for window, value in zip(windows, written.get("pad", "").split("x"), strict=False):
        if value:
            window["pad"] = int(value.split("_")[0])
    return windows


@functools.lru_cache(maxsize=4096)
def _inside(axis: _Axis) -> int:
    """Pairs of an output position and a window element that meet an element of the input.

    Output `o` and window element `w` meet at `o * stride + w * window_dilation - pad`, in an input whose elements are
    `input_dilation` apart.
    """
    last = (axis.input - 1) * axis.input_dilation
    common = math.gcd(axis.stride, axis.input_dilation)
    period = axis.input_dilation // common
    inverse = pow(axis.stride // common, -1, period) if period > 1 else 0
    total = 0
    for element in range(axis.size):
        shift = element * axis.window_dilation - axis.pad
        low = max(0, -(shift // axis.stride))
        high = min(axis.output - 1, (last - shift) // axis.stride)
        if high < low or shift % common:
            continue
        # Of outputs between these, those with o * stride + shift divisible by the input's dilation.
        first = (-shift // common * inverse) % period if period > 1 else 0
        total += (high - first) // period - (low - 1 - first) // period
    return total
