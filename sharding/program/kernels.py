"""Floating-point operations of Pallas kernels, into which the compiler does not see.

A kernel may state them (`pl.CostEstimate`). Attention is worked out from its shapes: the forward pass is two matrix
products, the gradient of queries three, that of keys and values four, or five where all gradients are one kernel
(Dao 2023, "FlashAttention-2", section 3.1, for what is computed again). How many blocks of queries and keys it visits
is read from its scope, `visits_3_of_4_blocks`, if that says so. Otherwise it is taken to be causal: blocks above the
diagonal are skipped, those on it are not.
"""

import re
from collections.abc import Sequence

from sharding.program.shapes import Array
from sharding.program.text import Computation, Instruction

_ATTENTION = re.compile("splash|flash|attention|mha|mqa")
_STATED = re.compile(r'"cost_estimate":\{[^}]*?"flops":"?(\d+)')
_BLOCK = re.compile(r'\\"block_q\\": (\d+)')
_VISITS = re.compile(r"visits_(\d+)_of_(\d+)_blocks")
_FUSED = '\\"use_fused_bwd_kernel\\": true'
# Scales and the like are operands too; a head has at least so many channels.
_FEWEST_CHANNELS = 32


def kernel_flops(where: Computation, call: Instruction) -> float | None:
    """Of a custom call; None if it neither states them nor is attention."""
    stated = _STATED.search(call.config)
    if stated and int(stated[1]):
        return float(stated[1])
    given = [each for name in call.operands if name in where.named for each in where.named[name].arrays]
    return _attention(call, given)


def _attention(call: Instruction, given: Sequence[Array]) -> float | None:
    name = call.name.lower()
    heads = [
        each.dims for each in given
        if each.dtype in ("bf16", "f32") and len(each.dims) >= 3 and each.dims[-1] >= _FEWEST_CHANNELS
    ]  # fmt: skip
    if not _ATTENTION.search(name) or len(heads) < 3:
        return None
    *outer, queries, channels = heads[0]
    keys, values = heads[1][-2], heads[2][-1]
    # A kernel of all gradients gives that of queries once for each block of keys, on an axis more.
    fused = _FUSED in call.attributes or any(len(each.dims) > len(heads[0]) for each in call.arrays)
    total = 2.0 * queries * keys * _visited(call, queries)
    for each in outer:
        total *= each
    by_keys, by_values = _products(name, fused)
    return total * (by_keys * channels + by_values * values)


def _visited(call: Instruction, queries: int) -> float:
    """Share of all pairs of queries and keys that lie in blocks which are computed."""
    stated = _VISITS.search(call.attributes)
    if stated:
        return int(stated[1]) / int(stated[2])
    block = _BLOCK.search(call.attributes)
    return 0.5 + (0.5 * min(1.0, int(block[1]) / queries) if block else 0.0)


def _products(name: str, fused: bool) -> tuple[int, int]:
    """Matrix products of an attention kernel, by its name: over features of queries and keys, and over those of values.

    Logits and the output; in the gradient logits again and, by values, what the output's gradient says of weights.
    """
    if "dkv" in name or "bwd" in name:
        return (3, 2) if fused else (2, 2)
    return (2, 1) if "dq" in name else (1, 1)
