"""A mask of the algebra as Pallas' splash attention takes one, and the kernel made for it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as pallas
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask
from jaxtyping import Array

from model.masks import AnyArray, Mask, Places, Stretch
from model.splash import KEPT

segment_ids = pallas.SegmentIds


class SplashMask(splash_attention_mask.Mask):
    """A mask of this code base for one row, evaluated a block at a time.

    Rows padded to whole blocks repeat the last real query, so that none is without keys; padded keys are seen by none.
    """

    def __init__(self, mask: Mask, queries: int, keys: int, shape: tuple[int, int]) -> None:
        self.mask, self.queries, self.keys, self._shape = mask, queries, keys, shape

    @property
    def shape(self) -> tuple[int, int]:
        """Padded queries and keys."""
        return self._shape

    def _identity(self) -> tuple[Any, ...]:
        return type(self), self.mask, self.queries, self.keys, self._shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SplashMask) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        """Boolean for a block; one that the mask's bounds decide is not evaluated."""
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(index, self._shape, strict=True)
        )
        rows, columns = (np.minimum([top, bottom - 1], self.queries - 1), np.array([left, right - 1]))
        bounds = self.mask.bounds(Stretch(rows[:1], rows[1:]), Stretch(columns[:1], columns[1:]))
        if not bounds.possible[0] or left >= self.keys:
            return _constant(False, (bottom - top, right - left))
        if bounds.certain[0] and right <= self.keys:
            return _constant(True, (bottom - top, right - left))
        query = np.minimum(np.arange(top, bottom), self.queries - 1)[:, None]
        key = np.arange(left, right)[None]
        return np.asarray(self.mask.allowed(Places(query), Places(key)) & (key < self.keys))


class ComputedMask(SplashMask):
    """One that the kernel computes from indices, rather than read it from memory in blocks."""

    @property
    def q_sequence(self) -> np.ndarray:
        """Index of each query."""
        return np.minimum(np.arange(self._shape[0], dtype=np.int32), self.queries - 1)

    @property
    def mask_function(self) -> Callable[[AnyArray, AnyArray], AnyArray]:
        """The rule, for indices of queries and keys."""
        return _Computed(self.mask, self.keys, self._shape[1])


@dataclasses.dataclass(frozen=True)
class _Computed:
    mask: Mask
    keys: int
    padded: int

    def __call__(self, query: AnyArray, key: AnyArray) -> AnyArray:
        seen = self.mask.allowed(Places(query), Places(key))
        return seen if self.keys == self.padded else seen & (key < self.keys)


@functools.lru_cache(maxsize=16)
def _constant(value: bool, shape: tuple[int, int]) -> np.ndarray:
    return np.full(shape, value)


@functools.lru_cache(maxsize=64)
def splash_kernel(
    mask: Mask,
    queries: int,
    keys: int,
    heads: int,
    padded: tuple[int, int],
    sizes: tuple[tuple[str, Any], ...],
    softcap: float,
    computed: bool,
    interpret: bool,
) -> Any:
    """The kernel for `heads` heads of one row, with its maps of blocks; `sizes` are those of Pallas, by name."""
    of_row = (ComputedMask if computed else SplashMask)(mask, queries, keys, padded)
    # Outside of any trace, and in NumPy, so that the maps can serve every later trace.
    with jax.ensure_compile_time_eval():
        made = pallas.make_splash_mha(
            splash_attention_mask.MultiHeadMask([of_row] * heads),
            block_sizes=pallas.BlockSizes(**dict(sizes)),
            attn_logits_soft_cap=softcap or None,
            head_shards=1,
            q_seq_shards=1,
            residual_checkpoint_name=KEPT,
            interpret=interpret,
        )
        return jax.tree.map(np.asarray, made)


def visiting(kernel: Any, keys: int) -> Any:
    """A scope whose name tells readers of the program how many blocks a kernel visits; `keys` are those of a row."""
    mask, block = kernel.fwd_mask_info.block_mask, kernel.kwargs["block_sizes"].block_kv
    heads, rows, _ = mask.shape
    # The last axis has as many entries as the fullest row of blocks has that are not empty.
    return jax.named_scope(f"visits_{np.count_nonzero(mask)}_of_{heads * rows * -(-keys // block)}_blocks")


def with_log_sums(
    kernel: Any, q: Array, k: Array, v: Array, segments: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """Output [heads, queries, value_dim] of a kernel over one row, and the log of each softmax sum [heads, queries]."""
    told = {**kernel.kwargs, "save_residuals": True, "residual_checkpoint_name": None}
    telling = pallas.SplashAttentionKernel(kernel.fwd_mask_info, None, None, **told)
    with visiting(kernel, k.shape[-2]):
        mixed, (log_sum,) = telling(q, k, v, None if segments is None else segment_ids(*segments))
    return mixed, log_sum


def gradients(
    kernel: Any, q: Array, k: Array, v: Array, segments: tuple[Array, Array] | None, mixed: Array, d_mixed: Array,
    log_sum: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Derivatives by q, k and v, where output and sums may be over more keys than these."""
    told = kernel.kwargs
    ids = None if segments is None else segment_ids(*segments)
    infos = (_collapsed(info) for info in (kernel.dq_mask_info, kernel.dkv_mask_info))
    with visiting(kernel, k.shape[-2]):
        found = pallas._splash_attention_bwd(
            False, told["mask_value"], told["is_mqa"], told["block_sizes"], None, told["mask_function"],
            told["attn_logits_soft_cap"], told["interpret"], (q, k, v, ids, None, mixed, log_sum, *infos), d_mixed,
        )  # fmt: skip
    return found[3:6]


def _collapsed(info: Any) -> Any:
    """Blocks of a mask on one axis, as the kernels read them."""
    if info is None or info.partial_mask_blocks is None:
        return info
    blocks = info.partial_mask_blocks
    return info._replace(partial_mask_blocks=blocks.reshape(-1, *blocks.shape[-2:]))
