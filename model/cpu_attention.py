"""Attention for a CPU: blocks of queries against the keys they may see, with a gradient that recomputes.

FlashAttention's bookkeeping (Dao 2022, algorithms 1 and 4) with blocks as large as a core's cache likes
them: the forward pass keeps the log of each softmax sum, and the backward pass makes the
probabilities again from it, keys first, so that each product has plain operands.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from model.cpu_layers import plain
from model.kernels import FORBIDDEN, Blocked, Dropout, Kernel, Scores, Visibility, allowed, part
from model.masks import Places

# Boolean [1 or n, 1, rows, keys]; a constant where segments do not matter. None: all keys are seen.
Seen = Array | np.ndarray | None


class Span(NamedTuple):
    """One block: its queries, and the keys that it is computed against."""

    rows: slice
    keys: slice


@dataclasses.dataclass(frozen=True)
class Recomputed(Kernel):
    """Blocked attention with its own gradient, for XLA's CPU backend.

    Needs plain indices and float32, and only scaled scores and no dropout; leaves all else to `Blocked`.

    Attributes:
      block: queries in a block.
    """

    block: int = 128

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One softmax a block of queries, over its span of keys."""
        if not visibility.plain or not scores.only_scaled or dropout is not None or q.dtype != jnp.float32:
            return Blocked(self.block).attend(q, k, v, visibility, scores, dropout)
        batch, queries, heads, head_dim = q.shape
        keys, kv_heads = k.shape[1], k.shape[2]
        spans, seen = [], []
        for (start, stop), (low, high), full in Blocked(self.block).spans(visibility.mask, queries, keys):
            span = Span(slice(start, stop), slice(low, high))
            spans.append(span)
            seen.append(None if full else self._seen(visibility, span, kv_heads))
        # [batch * kv_heads, group, seq, head_dim]: each key head beside the queries that share it.
        grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, head_dim)
        grouped = grouped.transpose(0, 2, 3, 1, 4).reshape(batch * kv_heads, -1, queries, head_dim)
        k, v = (x.transpose(0, 2, 1, 3).reshape(batch * kv_heads, keys, -1) for x in (k, v))
        mixed = _attention(tuple(spans), scores.scale)(grouped, k, v, tuple(seen))
        mixed = mixed.reshape(batch, kv_heads, heads // kv_heads, queries, -1)
        return mixed.transpose(0, 3, 1, 2, 4).reshape(batch, queries, heads, -1)

    def _seen(self, visibility: Visibility, span: Span, kv_heads: int) -> Seen:
        if visibility.query.segment is None:
            rows, keys = np.arange(span.rows.start, span.rows.stop), np.arange(span.keys.start, span.keys.stop)
            seen = visibility.mask.allowed(Places(rows[:, None]), Places(keys[None]))
            return np.asarray(seen)[None, None]
        seen = allowed(part(visibility, span.rows, span.keys))
        # A mask that takes no notice of segments is the same for every row of the batch.
        return seen if seen.shape[0] == 1 else jnp.repeat(seen, kv_heads, axis=0)


def _attention(spans: Sequence[Span], scale: float) -> Callable[..., Array]:
    """Attention on q [n, group, seq, d], k [n, keys, d] and v [n, keys, e], for these blocks."""
    scale = np.float32(scale)

    def forward(q: Array, k: Array, v: Array, seen: tuple[Seen, ...]) -> tuple[Array, Array]:
        outputs, sums = [], []
        for span, mask in zip(spans, seen, strict=True):
            rows, keys, values = plain((q[:, :, span.rows], k[:, span.keys], v[:, span.keys]))
            logits = plain(jnp.einsum("ngtd,nsd->ngts", rows, keys))
            top = plain((logits if mask is None else jnp.where(mask, logits, FORBIDDEN)).max(-1, keepdims=True))
            weights = jnp.exp((logits - top) * scale)
            weights = plain(weights if mask is None else jnp.where(mask, weights, 0))
            total = weights.sum(-1, keepdims=True)
            # A row that sees nothing has a sum of 0 and gets 0.
            inverse = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 0)
            outputs.append(plain(jnp.einsum("ngts,nsd->ngtd", weights, values)) * inverse)
            sums.append((top * scale + jnp.log(jnp.where(total > 0, total, 1)))[..., 0])
        return _joined(outputs, 2), _joined(sums, 2)

    @jax.custom_vjp
    def attention(q: Array, k: Array, v: Array, seen: tuple[Seen, ...]) -> Array:
        return forward(q, k, v, seen)[0]

    def kept(q: Array, k: Array, v: Array, seen: tuple[Seen, ...]) -> tuple[Array, tuple]:
        q, k, v = plain((q, k, v))
        mixed, log_sum = forward(q, k, v, seen)
        return mixed, (q, k, v, mixed, log_sum, seen)

    def backward(saved: tuple, d_mixed: Array) -> tuple[Array, Array, Array, None]:
        q, k, v, mixed, log_sum, seen = saved
        d_mixed = plain(d_mixed)
        delta = plain((d_mixed * mixed).sum(-1))
        d_q, d_k, d_v = [], jnp.zeros_like(k), jnp.zeros_like(v)
        for span, mask in zip(spans, seen, strict=True):
            rows, d_rows, keys, values = plain(
                (q[:, :, span.rows], d_mixed[:, :, span.rows], k[:, span.keys], v[:, span.keys])
            )
            logits, d_weights = plain(
                (jnp.einsum("nsd,ngtd->nsgt", keys, rows), jnp.einsum("nsd,ngtd->nsgt", values, d_rows))
            )
            shifted = logits * scale - log_sum[:, None, :, span.rows]
            weights = jnp.exp(shifted if mask is None else jnp.where(mask.transpose(0, 3, 1, 2), shifted, FORBIDDEN))
            d_logits = weights * (d_weights - delta[:, None, :, span.rows]) * scale
            weights, d_logits = plain((weights, d_logits))
            d_q.append(plain(jnp.einsum("nsgt,nsd->ngtd", d_logits, keys)))
            d_k = d_k.at[:, span.keys].add(plain(jnp.einsum("nsgt,ngtd->nsd", d_logits, rows)))
            d_v = d_v.at[:, span.keys].add(plain(jnp.einsum("nsgt,ngtd->nsd", weights, d_rows)))
        return _joined(d_q, 2), d_k, d_v, None

    attention.defvjp(kept, backward)
    return attention


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis)
