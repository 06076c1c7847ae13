"""Attention on TPUs: the splash kernel of Pallas, which visits only the blocks that the mask leaves.

Splash (sparse flash) attention is given the mask in blocks: it fetches and computes those that are not
empty, and masks those that are not full. Segments are compared within the kernel.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from model.kernels import Blocked, Dropout, Kernel, Scores, Visibility, allowed
from model.masks import Full, Mask, Places, Segments, at_least, conjuncts
from sharding.axes import BATCH, HEAD_DIM, HEADS, KV_HEADS, SEQ, laid_out, platform

LANES = 128
# Of a fused backward pass: gradients of queries that are held apart, at most, until blocks of keys are the longest.
PARTS, LONGEST = 8, 2048
# The name under which a rematerialisation policy can keep the output, and of each softmax the log of its sum.
KEPT = "splash"


class Lowered(NamedTuple):
    """A mask as splash takes it: `mask` knows no segments, and `segments` says whether they are compared too."""

    mask: Mask
    segments: bool


def lowered(mask: Mask, segments: bool) -> Lowered | None:
    """Splits `A & Segments()` in two; None if segments stand anywhere else. Without segments any mask will do."""
    if not segments:
        return Lowered(mask.without_segments(Full(), Full()), False)
    parts = conjuncts(mask)
    others = [part for part in parts if not isinstance(part, Segments)]
    if any(part.segmented() for part in others):
        return None
    return Lowered(functools.reduce(Mask.__and__, others) if others else Full(), len(others) < len(parts))


@dataclasses.dataclass(frozen=True)
class Splash(Kernel):
    """Splash attention (FlashAttention, Dao 2022, on the blocks of a static mask; JAX's Pallas kernel for TPUs).

    Takes any mask `A` or `A & Segments()`, where A lets every query see some key, shared key heads, softcap and
    sinks. Runs within each device's share of batch and heads. Leaves to `Blocked`: a bias, dropout, indices that
    are not plain, other masks, a sharded sequence, and other platforms.

    Attributes:
      queries: queries in a block, at most; blocks are multiples of 128.
      keys: keys that are fetched at a time, at most.
      inner: keys of these that are computed at a time, at most.
      backward_queries: queries in a block of the backward pass; 0: as forward.
      backward_keys: keys in a block of the backward pass; 0: as forward, or more if that is fused and rows are long.
      fused_backward: one backward kernel for all three gradients, rather than two that each make the logits again.
        It keeps the gradient of queries once for each block of keys, and adds these up.
      computed: masks come from indices within the kernel; otherwise blocks that are neither empty nor full
        are stored. Either way only blocks that are not empty are visited.
      interpret: run on any platform, by Pallas' interpreter; for tests.
    """

    scales_first: ClassVar[bool] = True
    names_output: ClassVar[bool] = True

    queries: int = 512
    keys: int = 512
    inner: int = 512
    backward_queries: int = 0
    backward_keys: int = 0
    fused_backward: bool = False
    computed: bool = False
    interpret: bool = False

    def __post_init__(self) -> None:
        for field in ("queries", "keys", "inner"):
            at_least(LANES, self, field, f"a block holds at least {LANES}")
        for field in ("backward_queries", "backward_keys"):
            if getattr(self, field) != 0:
                at_least(LANES, self, field, f"a block holds at least {LANES}, and 0 means as in the forward pass")

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """The kernel, on each device's share."""
        there = self.interpret or platform() == "tpu"
        mask = lowered(visibility.mask, visibility.query.segment is not None) if visibility.plain else None
        if not there or mask is None or scores.bias is not None or dropout is not None:
            return checkpoint_name(Blocked().attend(q, k, v, visibility, scores, dropout), KEPT)
        queries, keys = q.shape[1], k.shape[1]
        shardings = (laid_out(q.shape, BATCH, SEQ, HEADS, HEAD_DIM), laid_out(k.shape, BATCH, SEQ, KV_HEADS, HEAD_DIM))
        split = None if shardings[0] is None or shardings[1] is None else _Split(*shardings)
        if (split is not None and not split.possible) or _blind(mask.mask, queries, keys):
            return checkpoint_name(Blocked().attend(q, k, v, visibility, scores, dropout), KEPT)
        ways = 1 if split is None else split.ways
        kernel = self.kernel(mask.mask, queries, keys, q.shape[2] // ways, scores.softcap)
        shared = math.lcm(k.shape[2], ways) // k.shape[2]
        k, v = (x if shared == 1 else jnp.repeat(x, shared, axis=2) for x in (k, v))
        run = functools.partial(_run, kernel, rows=q.shape[1])
        segments = (visibility.query.segment, visibility.key.segment) if mask.segments else None
        arguments = (q if scores.scale == 1 else q * scores.scale, k, v, segments, scores.sinks)
        mixed = run(*arguments) if split is None else split.over(run, arguments)
        if segments is None or (segments[0] is segments[1] and _sees_itself(mask.mask, queries)):
            return mixed
        # Whether a query of another row than the keys' sees one of its segment only the data tell.
        return jnp.where(allowed(visibility).any(-1)[:, 0, :, None, None], mixed, 0)

    def kernel(self, mask: Mask, queries: int, keys: int, heads: int, softcap: float) -> Any:
        """The Pallas kernel and its maps of blocks, for `heads` heads of one row; `mask` without segments."""
        # Pallas takes half a second to import, which runs on other platforms need not wait for.
        from model.splash_kernel import splash_kernel

        return splash_kernel(
            mask, queries, keys, heads, (_padded(queries), _padded(keys)),
            tuple(self.block_sizes(queries, keys).items()), softcap, self.computed, self.interpret,
        )  # fmt: skip

    def block_sizes(self, queries: int, keys: int) -> dict[str, Any]:
        """Pallas' block sizes for rows of these lengths: multiples of 128 that divide the padded lengths."""
        rows, columns = _padded(queries), _padded(keys)
        fetched = _fitting(self.keys, columns)
        most = self.backward_keys or self.keys
        if self.fused_backward and not self.backward_keys:
            most = max(most, min(columns // PARTS, LONGEST))
        fetched_back = _fitting(most, columns)
        back = _fitting(self.backward_queries or self.queries, rows)
        return dict(
            block_q=_fitting(self.queries, rows),
            block_kv=fetched,
            block_kv_compute=_fitting(self.inner, fetched),
            block_q_dkv=back,
            block_kv_dkv=fetched_back,
            block_kv_dkv_compute=_fitting(self.inner, fetched_back),
            block_q_dq=None if self.fused_backward else back,
            block_kv_dq=None if self.fused_backward else fetched_back,
            use_fused_bwd_kernel=self.fused_backward,
        )


def _run(
    kernel: Any, q: Array, k: Array, v: Array, segments: tuple[Array, Array] | None, sinks: Array | None, rows: int
) -> Array:
    """[batch, rows, heads, features] of one device."""
    from model.splash_kernel import segment_ids, visiting

    q, k, v = (jnp.pad(x.swapaxes(1, 2), ((0, 0), (0, 0), (0, -x.shape[1] % LANES), (0, 0))) for x in (q, k, v))
    scope = visiting(kernel, k.shape[2])
    if segments is None:
        with scope:
            mixed = jax.vmap(lambda q, k, v: kernel(q, k, v, sinks=sinks))(q, k, v)
    else:
        # Padded queries repeat the last, as in the mask.
        padded = (jnp.pad(x, ((0, 0), (0, -x.shape[1] % LANES)), mode="edge") for x in segments)
        ids = tuple(x.astype(jnp.int32) for x in padded)
        with scope:
            mixed = jax.vmap(lambda q, k, v, ids: kernel(q, k, v, segment_ids(*ids), sinks=sinks))(q, k, v, ids)
    return mixed[:, :, :rows].swapaxes(1, 2)


class _Split(NamedTuple):
    """How activations of queries and of keys are laid out over a mesh."""

    query: jax.sharding.NamedSharding
    key: jax.sharding.NamedSharding

    @property
    def possible(self) -> bool:
        """Whether every device has whole rows, and whole heads of them."""
        return all(part.spec[1] is None and part.spec[3] is None for part in self)

    @property
    def ways(self) -> int:
        """Number of shares of the heads."""
        axes = self.query.spec[2]
        names = () if axes is None else (axes,) if isinstance(axes, str) else axes
        return math.prod(self.query.mesh.shape[name] for name in names)

    def over(self, run: Callable[..., Array], arguments: tuple[Any, ...]) -> Array:
        """`run` on every device's share of q, k, v, segments and sinks."""
        batch, _, heads, _ = self.query.spec
        rows = PartitionSpec(batch, None, heads, None)
        specs = (rows, rows, rows, PartitionSpec(batch, None), PartitionSpec(heads))
        return jax.shard_map(run, mesh=self.query.mesh, in_specs=specs, out_specs=rows, check_vma=False)(*arguments)


@functools.lru_cache(maxsize=64)
def _blind(mask: Mask, queries: int, keys: int) -> bool:
    """Whether some query sees no key."""
    if queries <= keys and _sees_itself(mask, queries):
        return False
    return bool((_seen(mask, queries, keys) == 0).any())


@functools.lru_cache(maxsize=64)
def _sees_itself(mask: Mask, length: int) -> bool:
    index = np.arange(length)
    return bool(np.asarray(mask.allowed(Places(index), Places(index))).all())


def _seen(mask: Mask, queries: int, keys: int) -> np.ndarray:
    """Number of keys that each query sees."""
    step = max(1, (1 << 24) // keys)
    columns = Places(np.arange(keys)[None])
    parts = [np.arange(start, min(start + step, queries))[:, None] for start in range(0, queries, step)]
    return np.concatenate([np.asarray(mask.allowed(Places(rows), columns)).sum(1) for rows in parts])


def _padded(length: int) -> int:
    return -(-length // LANES) * LANES


def _fitting(most: int, length: int) -> int:
    """The largest multiple of 128 that divides `length`, itself one, and is not above `most`."""
    return next(size for size in range(min(most // LANES * LANES, length), 0, -LANES) if length % size == 0)
